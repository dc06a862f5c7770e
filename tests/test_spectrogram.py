"The same picture as torchaudio, librosa and nnAudio draw."

from dataclasses import replace

import numpy as np
import pytest
import torch

from mapperatorinator.config import SpectrogramConfig
from mapperatorinator.model.hub import load_bundle
from mapperatorinator.spectrogram import MelSpectrogram, frame_to_ms, mel_filters, ms_to_frame, n_frames
from parity.checkpoints import Given, sounds

V28 = SpectrogramConfig(n_mels=388, f_min=0, mel_scale="slaney", pad_mode="constant", log=False)
V30 = SpectrogramConfig(n_mels=80)
V32 = SpectrogramConfig(n_mels=128)


@pytest.fixture(scope="module")
def noise():
    return torch.randn(2, 32000, generator=torch.Generator().manual_seed(0))


def test_htk_filters_are_torchaudios_bit_for_bit():
    ta = pytest.importorskip("torchaudio")
    for n in (40, 80, 128):
        want = ta.functional.melscale_fbanks(513, 20.0, 8000.0, n, 16000, norm=None, mel_scale="htk")
        assert torch.equal(mel_filters(SpectrogramConfig(n_mels=n)), want)


@pytest.mark.parametrize("n, low", [(388, 0), (80, 0), (128, 20)])
def test_slaney_filters_are_librosas(n, low):
    librosa = pytest.importorskip("librosa")
    want = librosa.filters.mel(sr=16000, n_fft=1024, n_mels=n, fmin=low, fmax=8000).T
    got = mel_filters(SpectrogramConfig(n_mels=n, f_min=low, mel_scale="slaney")).numpy()
    assert np.abs(got - want).max() <= 2e-8


@pytest.mark.parametrize("conf", [V30, V32], ids=["v30", "v32"])
def test_torchaudio(conf, noise):
    ta = pytest.importorskip("torchaudio")
    other = ta.transforms.MelSpectrogram(
        16000, 1024, hop_length=128, f_min=20, f_max=8000, n_mels=conf.n_mels, pad_mode="reflect"
    )
    torch.testing.assert_close(
        MelSpectrogram(conf)(noise), other(noise).log1p().transpose(1, 2), rtol=1e-5, atol=1e-5
    )


SLANEY = SpectrogramConfig(mel_scale="slaney", log=False)


def test_torchaudio_in_slaneys_scale(noise):
    ta = pytest.importorskip("torchaudio")
    other = ta.transforms.MelSpectrogram(
        16000,
        1024,
        hop_length=128,
        f_min=20,
        f_max=8000,
        n_mels=80,
        pad_mode="reflect",
        norm="slaney",
        mel_scale="slaney",
    )
    want = other(noise).transpose(1, 2)
    torch.testing.assert_close(MelSpectrogram(SLANEY)(noise), want, rtol=2e-4, atol=1e-5)


@pytest.mark.slow
def test_librosa(noise):
    "Its first call compiles for a minute."
    librosa = pytest.importorskip("librosa")
    x = noise[0].numpy()
    want = librosa.feature.melspectrogram(
        y=x, sr=16000, n_fft=1024, hop_length=128, n_mels=80, fmin=20, fmax=8000, pad_mode="reflect"
    ).T
    np.testing.assert_allclose(MelSpectrogram(SLANEY)(noise[:1])[0].numpy(), want, rtol=2e-4, atol=1e-5)


def test_nnaudio(noise):
    features = pytest.importorskip("nnAudio.features")
    other = features.MelSpectrogram(
        sr=16000,
        n_fft=1024,
        win_length=1024,
        n_mels=388,
        hop_length=128,
        center=True,
        fmin=0,
        fmax=8000,
        pad_mode="constant",
        verbose=False,
    )
    np.testing.assert_allclose(
        MelSpectrogram(V28)(noise).numpy(),
        other(noise).transpose(1, 2).detach().numpy(),
        rtol=1e-3,
        atol=1e-4,
    )


def test_published_oracle():
    t = torch.arange(16384) / 16000
    x = (0.5 * torch.sin(2 * torch.pi * 440 * t) + 0.25 * torch.sin(2 * torch.pi * 3000 * t))[None]
    for conf, shape, total, top, loudest in [
        (V28, (1, 129, 388), 436803.405311, 1183.224609, 55),
        (V30, (1, 129, 80), 6281.496549, 9.855816, 14),
        (V32, (1, 129, 128), 7475.379813, 9.588007, 23),
    ]:
        m = MelSpectrogram(conf)(x)
        assert tuple(m.shape) == shape and m.double().sum().item() == pytest.approx(total, rel=1e-6)
        assert m.max().item() == pytest.approx(top, rel=1e-6) and m[0, 64].argmax().item() == loudest


@pytest.mark.parametrize("version, conf", [("v28", V28), ("v30", V30), ("v31", V30), ("v32", V32)])
def test_measured_frames(fixtures, published, version, conf):
    io = Given(fixtures / "checkpoints" / version / "io.npz")
    model = load_bundle(published(version)).model
    frames = io["frames"] if "frames" in io else sounds(model, len(io["ids"]))
    assert io.near("mel", MelSpectrogram(replace(conf, n_mels=model.c.spectrogram.n_mels))(frames))[0]


@pytest.mark.parametrize(
    "cast",
    [
        lambda m: m.half(),
        lambda m: m.bfloat16(),
        lambda m: m.double(),
        lambda m: torch.nn.Sequential(m).to(torch.bfloat16)[0],
    ],
)
def test_always_float32(cast, noise):
    want = MelSpectrogram(V32)(noise)
    mel = cast(MelSpectrogram(V32))
    assert mel.window.dtype == mel.filters.dtype == torch.float32
    for x in (noise, noise.double()):
        with torch.autocast("cpu", torch.bfloat16):
            got = mel(x)
        assert got.dtype == torch.float32 and torch.equal(got, want)


def test_meta_device_and_back(noise):
    with torch.device("meta"):
        mel = MelSpectrogram(V32)
    assert torch.equal(mel.to_empty(device="cpu")(noise), MelSpectrogram(V32)(noise))


def test_nothing_to_save():
    assert not MelSpectrogram().state_dict() and not list(MelSpectrogram().parameters())


def test_modules_share_no_memory():
    a = MelSpectrogram()
    b = MelSpectrogram()
    a.filters.zero_()
    assert b.filters.any() and MelSpectrogram().filters.any()


@pytest.mark.parametrize("n", [513, 1000, 1024, 2047 * 128, 16000])
def test_frames_and_times(n):
    assert MelSpectrogram()(torch.zeros(1, n)).shape[1] == n_frames(n)
    assert frame_to_ms(ms_to_frame(1234.5)) == pytest.approx(1234.5) and frame_to_ms(125) == 1000


def test_gradients_flow_to_samples(noise):
    x = noise[:1, :4000].clone().requires_grad_()
    MelSpectrogram()(x).sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad.any()
