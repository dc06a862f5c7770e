"Songs in every format, at every rate, and everything that can be wrong with a file."

import sys
import warnings
import wave

import numpy as np
import pytest
import soundfile as sf

from mapperatorinator import audio
from mapperatorinator.audio import (
    OSU_OFFSET_MS,
    clicks,
    load_audio,
    read_tags,
    resample_linear,
    resample_soxr,
    show_waveform,
)
from mapperatorinator.core import UserError, demo_song
from sounds import RATE, bursts, encoded, lag, melody, wave_of, write_av


@pytest.fixture(scope="module")
def reference():
    return load_wave(melody())


def load_wave(x):
    "What a perfect decoder and soxr make of it."
    y = np.concatenate(list(resample_soxr([x[:, None]], RATE, 16000)))
    return y / np.abs(y).max()


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "opus"])
def test_formats_by_soundfile(tmp_path, reference, suffix):
    path = tmp_path / f"song.{suffix}"
    rate = 48000 if suffix == "opus" else RATE
    if suffix == "opus":
        sf.write(path, melody(rate), rate, format="OGG", subtype="OPUS")
    else:
        sf.write(path, melody(), rate)
    x = load_audio(path)
    assert x.dtype == np.float32 and x.ndim == 1 and abs(len(x) - 48000) <= 1
    assert np.abs(x).max() == pytest.approx(1, abs=1e-6)
    assert lag(reference, x) == 0
    assert np.corrcoef(x[:47000], reference[:47000])[0, 1] > 0.99


@pytest.mark.parametrize(
    "suffix, codec", [("m4a", "aac"), ("aac", "aac"), ("mp4", "aac"), ("wma", "wmav2"), ("mkv", "ac3")]
)
def test_formats_by_av(tmp_path, reference, suffix, codec):
    path = tmp_path / f"song.{suffix}"
    write_av(path, melody(), codec)
    x = load_audio(path)
    assert x.dtype == np.float32 and abs(len(x) - 48000) < 1600
    assert (
        abs(lag(reference, x)) < 800
    )  # some of these containers cannot say how much the encoder put in front
    shift = lag(reference, x)
    assert np.corrcoef(np.roll(x, -shift)[2000:44000], reference[2000:44000])[0, 1] > 0.98


def test_m4a_starts_where_the_song_starts(tmp_path, reference):
    write_av(tmp_path / "song.m4a", melody(), "aac")
    assert abs(lag(reference, load_audio(tmp_path / "song.m4a"))) <= 1


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000])
def test_any_rate(tmp_path, rate):
    t = np.arange(2 * rate) / rate
    sf.write(tmp_path / "a.wav", 0.3 * np.sin(2 * np.pi * 440 * t), rate, subtype="FLOAT")
    for how in audio.RESAMPLERS:
        x = load_audio(tmp_path / "a.wav", resample=how)
        assert abs(len(x) - 32000) <= 2
        want = np.sin(2 * np.pi * 440 * np.arange(len(x)) / 16000)
        assert np.corrcoef(x[200:-200], want[200:-200])[0, 1] > 0.999


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_channels(tmp_path, channels):
    x = melody()[:, None] * np.linspace(1, 0.2, channels)
    sf.write(tmp_path / "a.wav", x, RATE, subtype="FLOAT")
    assert np.abs(load_audio(tmp_path / "a.wav") - load_wave(x.mean(1).astype(np.float32))).max() < 1e-5


def test_another_target_rate(tmp_path):
    sf.write(tmp_path / "a.wav", melody(), RATE)
    assert len(load_audio(tmp_path / "a.wav", sample_rate=22050)) == pytest.approx(66150, abs=1)


def linear_by_hand(x, rate, out_rate):
    "The published rule, one sample at a time, in integers."
    from math import gcd

    g = gcd(rate, out_rate)
    I = rate // g
    O = out_rate // g
    out = []
    for k in range((len(x) - 1) * O // I + 1):
        n = -(-k * I // O)
        d = n * O - k * I
        before = x[n - 1] if n else 0
        out.append(int(float((before << 16) * d + (x[n] << 16) * (O - d)) / O) >> 16)
    return out


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_linear_is_the_rule_bit_for_bit(rate):
    x = np.random.default_rng(rate).integers(-32768, 32768, 3000)
    got = np.concatenate(list(resample_linear(np.array_split(x[:, None] / 32768, 7), rate, 16000)))
    assert got.tolist() == linear_by_hand(x.tolist(), rate, 16000)


@pytest.mark.parametrize("rate, channels", [(44100, 1), (44100, 2), (48000, 2), (22050, 1)])
def test_linear_is_audioop(rate, channels):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop")
    x = np.random.default_rng(0).integers(-32768, 32768, (4000, channels)).astype(np.int16)
    want, _ = audioop.ratecv(x.tobytes(), 2, channels, rate, 16000, None)
    if channels == 2:
        want = audioop.tomono(want, 2, 0.5, 0.5)
    got = np.concatenate(list(resample_linear([x / 32768], rate, 16000)))
    np.testing.assert_array_equal(got, np.frombuffer(want, np.int16))


def test_linear_does_nothing_at_16_khz():
    x = np.arange(-500, 500)[:, None] / 32768
    np.testing.assert_array_equal(
        np.concatenate(list(resample_linear([x], 16000, 16000))), np.arange(-500, 500)
    )


def test_soxr_suppresses_what_would_fold():
    high = np.sin(2 * np.pi * 13000 * np.arange(48000) / 48000).astype(np.float32)[:, None]
    assert np.abs(np.concatenate(list(resample_soxr([high], 48000, 16000)))[500:-500]).max() < 1e-3


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("missing.mp3", None, "no file"),
        ("empty.mp3", b"", "empty"),
        ("letter.mp3", b"Dear model, please make a map.\n" * 50, "not audio"),
        ("page.wav", b"<!DOCTYPE html><html></html>" * 30, "not audio"),
        ("zeros.mp3", bytes(5000), "not audio"),
        ("head.wav", b"RIFF", "not audio"),
        ("torn.flac", b"fLaC" + bytes(200), "not audio"),
        ("id3.mp3", b"ID3\x03\0\0\0\0\0\x05hello", "not audio"),
    ],
)
def test_bad_files(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=words) as e:
        load_audio(path)
    assert name in str(e.value) and "\n" not in str(e.value) and str(e.value).endswith(".")


def test_text_as_mp3_is_refused_quietly(tmp_path, capfd):
    (tmp_path / "a.mp3").write_text("hello " * 1000)
    with pytest.raises(UserError):
        load_audio(tmp_path / "a.mp3")
    assert capfd.readouterr() == ("", "")


def test_a_folder(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        load_audio(tmp_path)


def test_video_without_sound(tmp_path):
    import av

    with av.open(str(tmp_path / "mute.mp4"), "w") as box:
        stream = box.add_stream("mpeg4", rate=24)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")):
                box.mux(packet)
        for packet in stream.encode():
            box.mux(packet)
    with pytest.raises(UserError, match="not audio"):
        load_audio(tmp_path / "mute.mp4")


@pytest.mark.parametrize(
    "samples, words",
    [
        (melody()[:8820], "only 0.20 s"),
        (np.zeros(RATE * 2), "silent"),
        (np.full(RATE * 2, 1e-6), "silent"),
        (np.zeros(0), "not audio|only"),
        (np.where(np.arange(RATE * 2) == 999, np.nan, 0.1), "NaN"),
        (np.where(np.arange(RATE * 2) == 999, np.inf, 0.1), "NaN"),
    ],
)
def test_bad_samples(tmp_path, samples, words):
    sf.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(UserError, match=words):
        load_audio(tmp_path / "a.wav")


def test_too_long(tmp_path, monkeypatch):
    sf.write(tmp_path / "a.wav", melody(), RATE)
    write_av(tmp_path / "a.m4a", melody(), "aac")
    monkeypatch.setattr(audio, "MAX_MINUTES", 2.5 / 60)
    for name in ("a.wav", "a.m4a"):
        with pytest.raises(UserError, match="longer than"):
            load_audio(tmp_path / name)


def test_forty_minutes_work_in_blocks(tmp_path, monkeypatch):
    "The header alone is an hour away from the limit; what is decoded is never held as a whole."
    with wave.open(str(tmp_path / "long.wav"), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(8000)
        block = (melody(8000, 60) * 32000).astype(np.int16).tobytes()
        for _ in range(40):
            f.writeframes(block)
    biggest, mono = [], audio._mono

    def watched(blocks):
        for x in blocks:
            biggest.append(len(x))
            yield from mono([x])

    monkeypatch.setattr(audio, "_mono", watched)
    assert len(load_audio(tmp_path / "long.wav")) == 40 * 60 * 16000 and max(biggest) <= 1 << 20


def test_unknown_resampler(tmp_path):
    with pytest.raises(UserError, match="Unknown resampler"):
        load_audio(tmp_path, resample="cubic")


def test_mp3_whose_xing_frame_has_no_name(tmp_path, reference):
    sf.write(tmp_path / "a.mp3", melody(), RATE)
    data = (tmp_path / "a.mp3").read_bytes()
    assert b"LAME" in data[:400] or b"Lavc" in data[:400]
    (tmp_path / "b.mp3").write_bytes(data.replace(b"LAME", bytes(4)).replace(b"Lavc", bytes(4)))
    tag = b"ID3\x03\0\0\0\0\x08\0" + bytes(1024)  # 8 << 7 bytes of tag in front
    (tmp_path / "c.mp3").write_bytes(tag + (tmp_path / "b.mp3").read_bytes())
    assert np.array_equal(load_audio(tmp_path / "c.mp3"), load_audio(tmp_path / "b.mp3"))
    assert lag(reference, load_audio(tmp_path / "a.mp3")) == 0
    assert lag(reference, load_audio(tmp_path / "b.mp3")) == pytest.approx(
        1105 * 16000 / 44100, abs=2
    )  # nothing says how much to cut


def test_tags_in_every_container(tmp_path):
    for name in ("a.mp3", "a.flac", "a.ogg", "a.wav"):
        with sf.SoundFile(tmp_path / name, "w", RATE, 1) as f:
            f.title, f.artist = "Ta ra", "Böp"
            f.write(melody())
        if name != "a.wav":
            assert read_tags(tmp_path / name) == {"title": "Ta ra", "artist": "Böp"}, name
    write_av(tmp_path / "a.m4a", melody(), "aac", title="Ta ra", artist="Böp")
    assert read_tags(tmp_path / "a.m4a") == {"title": "Ta ra", "artist": "Böp"}


def test_tags_from_the_name(tmp_path):
    for name, want in {
        "Ann - Air - live.wav": ("Air - live", "Ann"),
        "plain.wav": ("plain", "Unknown Artist"),
    }.items():
        sf.write(tmp_path / name, melody(), RATE)
        assert read_tags(tmp_path / name) == {"title": want[0], "artist": want[1]}
    (tmp_path / "x - y.mp3").write_text("not a song")
    assert read_tags(tmp_path / "x - y.mp3") == {"title": "y", "artist": "x"}


def test_clicks_lie_on_their_sample():
    x = clicks([100, 2000], 16000, strong=[500])
    first = [int(np.flatnonzero(x[i:])[0]) + i for i in (0, 2500)]
    assert x.dtype == np.float32 and len(x) == 16000 and first == [1601, 8001]  # a sine starts at 0


def test_waveform_is_drawn():
    fig = show_waveform(melody(), clicks=[500], strong=[1000], start=200, end=2000, sample_rate=RATE)
    assert fig.axes[0].get_xlim()[0] == pytest.approx(0.2)


def test_osu_convention():
    assert OSU_OFFSET_MS == 23


def test_a_song_is_heard_to_its_last_sample():
    path = demo_song()
    assert len(load_audio(path)) == sf.info(path).frames


# Channels that cancel each other


def stereo(path, *channels, **kw):
    sf.write(path, np.stack(channels, 1), RATE, **kw)
    x = load_audio(path, notes=(notes := []))
    return x, notes


OPPOSED = {
    "left against right": lambda x, y: (x, -x),
    "not quite as loud": lambda x, y: (x, -0.8 * x),
    "all four": lambda x, y: (x, -x, x, -x),
    "front pair of six": lambda x, y: (x, -x, 0 * x, 0 * x, 0 * x, 0 * x),
    "both pairs of six": lambda x, y: (x, -x, 0 * x, 0 * x, 0.3 * y, -0.3 * y),
    "back against front": lambda x, y: (0.5 * x, 0.5 * x, 0 * x, 0 * x, -0.5 * x, -0.5 * x),
    "middle against sides": lambda x, y: (0.5 * x, 0.5 * x, -x, 0 * x),
}


@pytest.mark.parametrize("kind", OPPOSED)
def test_channels_that_cancel_are_heard(tmp_path, kind):
    song = bursts()
    other = bursts(seed=1)
    alone, nothing = stereo(tmp_path / "a.flac", song, song)
    x, notes = stereo(tmp_path / "b.wav", *OPPOSED[kind](song, other))
    assert nothing == [] and len(notes) == 1 and "cancel each other for 4.0 s" in notes[0]
    assert abs(np.corrcoef(alone[8000:], x[8000:])[0, 1]) > 0.9 and lag(np.abs(alone), np.abs(x)) == 0


@pytest.mark.parametrize("suffix", ["mp3", "ogg"])
def test_lossy_codecs_leave_a_rest_where_channels_cancel(tmp_path, suffix):
    alone, _ = stereo(tmp_path / f"a.{suffix}", bursts(), bursts())
    x, notes = stereo(tmp_path / f"b.{suffix}", bursts(), -bursts())
    assert "cancel each other for 4.0 s" in notes[0] and abs(np.corrcoef(alone[8000:], x[8000:])[0, 1]) > 0.9


def test_what_does_not_cancel_is_left_as_it_is(tmp_path):
    song = bursts()
    other = bursts(seed=1)
    for channels in (
        (song, other),
        (song, 0 * song),
        (song, 0.5 * song),
        (song, -0.3 * song),
        (song, -np.roll(song, 30)),
    ):
        x, notes = stereo(tmp_path / "a.wav", *channels)
        sf.write(tmp_path / "b.wav", np.mean(channels, 0), RATE, subtype="FLOAT")
        assert notes == [] and np.abs(x - load_audio(tmp_path / "b.wav")).max() < 1e-3


def test_half_a_song_cancels(tmp_path):
    song = bursts()
    x, notes = stereo(tmp_path / "a.wav", song, np.where(np.arange(len(song)) < 2 * RATE, song, -song))
    alone, _ = stereo(tmp_path / "b.wav", song, song)
    assert "for 2.0 s" in notes[0] and abs(np.corrcoef(np.abs(alone), np.abs(x))[0, 1]) > 0.95


# Names


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize(
    "name",
    [
        "Re: Song.m4a",
        "http:x.mp3",
        "pipe:0.wav",
        "-i.mp3",
        "concat:a|b.mp3",
        "file:a.ogg",
        "data:,x.flac",
        "%03d.mp3",
        "subfile,,start,0,end,9,,:a.mp3",
        "[a]{b},c.mp3",
        "crypto:a.m4a",
        "C:a.mp3",
        "a\nb.mp3",
        "caf\udce9.wav",
    ],
)
def test_a_name_is_never_an_address(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    suffix = name.rpartition(".")[2]
    try:
        (tmp_path / name).write_bytes(encoded(suffix, melody()))
    except (OSError, UnicodeError):
        pytest.skip("this disk has no such names")
    assert len(load_audio(name)) >= 48000 and "\n" not in read_tags(name)["title"]


# Headers that no library expects


@pytest.mark.parametrize(
    "change",
    [
        dict(bits=0),
        dict(bits=255, block=1),
        dict(rate=0),
        dict(rate=1),
        dict(rate=4_000_000_000),
        dict(format=0),
        dict(format=2),
        dict(format=0x11),
        dict(format=0xFFFE),
        dict(format=0xFFFF),
    ],
)
def test_a_header_of_nonsense_gets_a_sentence(tmp_path, change):
    (tmp_path / "a.wav").write_bytes(wave_of((melody() * 32767).astype("<i2").tobytes(), **change))
    with pytest.raises(UserError, match="a.wav' is not audio that can be read; give a song"):
        load_audio(tmp_path / "a.wav")
