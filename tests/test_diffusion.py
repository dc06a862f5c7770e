"Schedule, sampler and denoiser against numbers measured once on the published network's code; more of them in test_parity.py."

import math
import pickle

import numpy as np
import pytest
import torch

from mapperatorinator.config import DiffusionConfig
from mapperatorinator.core import UserError
from mapperatorinator.model.diffusion import (
    Schedule,
    bin_likelihood,
    denoising_loss,
    guided,
    kept_steps,
    noise_betas,
    reverse,
)
from mapperatorinator.model.dit import (
    Classes,
    DiT,
    class_vector,
    load_denoiser,
    new_denoiser,
    out_of_reach,
    point_features,
    save_denoiser,
    waves,
)

FULL = Schedule(noise_betas())
LAST = Schedule(noise_betas(), kept_steps(1000, [100] + [0] * 9))


def filled(shape, j, a):
    "Numbers that a rule makes: tensor number j, amplitude a."
    i = np.arange(math.prod(shape), dtype=np.float64)
    return torch.from_numpy((a * np.sin(0.37 * i + 1.3 * j)).astype(np.float32)).reshape(shape)


@pytest.fixture(scope="module")
def tiny():
    "A network of 32 channels whose weights follow the rule, with inputs."
    net = DiT(DiffusionConfig(width=32, depth=2, heads=4, neighbours=0), 50).eval()
    names = net.state_dict()
    net.load_state_dict(
        {
            k: filled(v.shape, j, 0.2 if k.endswith("weight") else 0.1)
            for j, (k, v) in enumerate(names.items())
        }
    )
    x = filled((2, 2, 6), 0, 1.0)
    x[1] = x[0]
    k = torch.arange(6.0)
    c = point_features(1000 + 250 * k, 40 * k, torch.tensor([1, 0, 4, 10, 11, 2])).expand(2, -1, -1)
    y = torch.zeros(2, 50)
    y[0, [3, 20]] = 1
    y[1, 25] = 1
    return net, x, c, y


def near(a, b, tolerance=2e-5):
    assert torch.allclose(torch.as_tensor(a), torch.tensor(b), atol=tolerance, rtol=0)


def test_the_network(tiny):
    net, x, c, y = tiny
    out = net(x, torch.tensor([3, 3]), c, y)
    near(
        out[0],
        [
            [1.463768, 1.431306, 0.056634, -0.269491, 0.167876, 0.342953],
            [0.908405, 1.055222, 0.008950, -0.197717, 0.385190, 0.445606],
            [-0.099263, 0.152717, -0.036976, -0.019856, 0.414328, 0.329585],
            [-1.064136, -0.834197, -0.071550, 0.160715, 0.226990, 0.039867],
        ],
    )
    near(out[1, 0], [1.597708, 1.441246, 0.000016, -0.290734, 0.208074, 0.327934])
    near(
        net(x, torch.tensor([3, 3]), c, y, out_of_reach(6, 2))[0, 0],
        [1.449041, 1.426864, 0.054540, -0.279091, 0.165445, 0.342557],
    )
    near(guided(out[0, 0], out[1, 0], 2.0), [1.329828, 1.421366, 0.113252, -0.248248, 0.127679, 0.357973])


def test_the_way_back(tiny):
    net, x, c, y = tiny
    ask = lambda x, t: net(x, torch.tensor([t]), c[:1], y[:1])
    *_, (_, end, guess) = reverse(LAST, ask, x[:1], torch.zeros_like)
    near(
        end[0],
        [
            [-0.006556, 0.121106, 0.542662, 0.919906, 0.828513, 0.842478],
            [0.801510, 0.253177, 0.066998, -0.192892, -0.779897, -0.997833],
        ],
        2e-4,
    )
    assert torch.equal(end, guess), "the last place is the last guess"


def test_silence_shrinks_back():
    *_, (_, end, _) = reverse(LAST, lambda x, t: torch.zeros(1, 4, 3), torch.ones(1, 2, 3), torch.zeros_like)
    near(end, [[[1.0142526] * 3] * 2], 1e-5)


def test_training_loss(tiny):
    net, x, c, y = tiny
    i = torch.tensor([0, 50])
    noise = filled((2, 2, 6), 5, 1.0)
    noisy = LAST.noised(x, i, noise)
    error, bits = denoising_loss(LAST, net(noisy, i, c, y), x, noisy, noise, i)
    near(error, [0.752857, 0.899933], 1e-5)
    near(
        bits, [1.550936, 0.022802], 1e-3
    )  # the measured one approximates the normal distribution; ours is exact


def test_bins_cover_everything():
    x = torch.arange(-1, 1.001, 2 / 255)
    total = bin_likelihood(x, torch.full_like(x, 0.2), torch.full_like(x, -3.0)).exp().sum()
    assert abs(total - 1) < 1e-3


def test_schedule():
    assert abs(FULL.betas[1] - 4.6141752737e-05) < 1e-14 and abs(FULL.variance[1] - 2.1789496146e-05) < 1e-14
    assert abs(FULL.clean_share[1] - 0.5277814093) < 1e-9 and abs(LAST.betas[50] - 2.8487096678e-04) < 1e-13
    assert abs(LAST.left[50] - 0.9917246846) < 1e-9 and abs(LAST.log_variance[50] + 8.19821997) < 1e-7
    assert abs(noise_betas("linear")[0] - 1e-4) < 1e-12 and abs(noise_betas("linear")[-1] - 0.02) < 1e-12
    with pytest.raises(UserError, match="expected cosine or linear"):
        noise_betas("sawtooth")
    with pytest.raises(UserError, match="no step at all"):
        kept_steps(1000, [0] * 10)
    assert Schedule(noise_betas(), [0]).log_variance.shape == (1,)


def test_waves():
    assert (
        abs(waves(torch.tensor([123.4]), 128)[0, 0] + 0.6387775) < 1e-4
        and abs(waves(torch.tensor([123.4]), 128)[0, 64] + 0.7693915) < 1e-4
    )


def test_published_keys():
    net = DiT(DiffusionConfig(width=64, depth=12, heads=1, neighbours=0), 10)
    keys = net.state_dict()
    assert (
        len(keys) == 134
        and keys["blocks.11.attn.in_proj_weight"].shape == (192, 64)
        and keys["context_embedder.mlp.0.weight"].shape == (64, 528)
    )


def test_unsafe_pickles_are_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    for save in (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))):
        for name in ("model_ema.pkl", "tokenizer.pkl"):
            save({"a": Evil()}, tmp_path / name)
        with pytest.raises(UserError, match="could run code|is damaged"):
            load_denoiser(tmp_path)
    assert not (tmp_path / "written").exists()


def test_what_cannot_be_loaded(tmp_path):
    with pytest.raises(UserError, match="holds no denoiser"):
        load_denoiser(tmp_path)
    with pytest.raises(UserError, match="No asset is called"):
        load_denoiser("nothing-of-the-kind")
    save_denoiser(new_denoiser(DiffusionConfig(width=32, depth=1, heads=2)), tmp_path)
    text = (tmp_path / "config.json").read_text(encoding="utf-8")
    (tmp_path / "config.json").write_text(text.replace('"width": 32', '"width": 64'), encoding="utf-8")
    with pytest.raises(UserError, match=r"is \(32, 528\) where config.json says \(64, 528\)"):
        load_denoiser(tmp_path)


def test_classes_are_kept(tmp_path):
    wish = Classes(mappers={7: 0}, mapper_count=2, descriptors={"a": 0}, descriptor_count=2)
    save_denoiser(
        new_denoiser(DiffusionConfig(width=32, depth=1, heads=2), wish), tmp_path, torch.float16, "# card"
    )
    again = load_denoiser(tmp_path).classes
    assert (
        torch.equal(class_vector(again, 3.0, 7, ["a"]), class_vector(wish, 3.0, 7, ["a"]))
        and (tmp_path / "README.md").read_text() == "# card"
    )
