"Files that break off, have holes, lie about their length or are several in one: what is there is heard, at its place, and told."

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from mapperatorinator.audio import load_audio
from mapperatorinator.core import UserError
from mapperatorinator.decode import (
    SAFE_PLANES,
    Hearing,
    as_float,
    best_reading,
    by_soundfile,
    open_av,
    read_errors,
    readers,
    sentences,
    watched,
)
from mapperatorinator.frames import (
    adts_header,
    info_frame,
    lost_frames,
    mpeg_header,
    ogg_crc,
    ogg_links,
    read_frames,
    tag_size,
    wave_header,
)
from sounds import RATE, bursts, damage, encoded, lag, ogg_pages, wave_of, write_av

FORMATS = ["mp3", "flac", "ogg", "opus", "m4a", "wma", "mp2"]


@pytest.fixture(scope="module")
def files():
    "Four seconds of noise bursts in every container."
    song = bursts()
    return {suffix: encoded(suffix, song) for suffix in (*FORMATS, "aac", "wav", "aiff", "mkv")}


def heard(folder, name, data):
    "Samples and notes of a file."
    (folder / name).write_bytes(data)
    x = load_audio(folder / name, notes=(notes := []))
    assert all(n.endswith(".") and "\n" not in n for n in notes)
    return x, notes


def late(whole, damaged, start, end):
    "ms by which a stretch (s) of a song lies later in the damaged one."
    a = int(start * 16000)
    b = int(end * 16000)
    return lag(whole[a:b], damaged[a:b]) / 16


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kind", ["overwritten", "zeroed"])
def test_a_hole_is_silent_and_what_comes_after_it_keeps_its_place(tmp_path, files, suffix, kind):
    whole, nothing = heard(tmp_path, f"a.{suffix}", files[suffix])
    x, notes = heard(tmp_path, f"b.{suffix}", damage(files[suffix], kind))
    assert nothing == [] and len(notes) == 1 and "silent" in notes[0]
    assert abs(len(x) - len(whole)) < 50
    assert abs(late(whole, x, 0, 1.4)) < 1 and abs(late(whole, x, 3.2, 3.9)) < 1


def test_two_holes(tmp_path, files):
    whole, _ = heard(tmp_path, "a.flac", files["flac"])
    for suffix in ("flac", "ogg", "m4a"):
        x, notes = heard(
            tmp_path, f"b.{suffix}", damage(damage(files[suffix], "zeroed", 2000, 0.3), "zeroed", 2000, 0.7)
        )
        assert "2 places" in notes[0] and abs(late(whole, x, 3.4, 3.9)) < 30, suffix


def test_the_bytes_of_a_hole_say_how_long_it_was_in_raw_aac(tmp_path, files):
    whole, _ = heard(tmp_path, "a.aac", files["aac"])
    x, notes = heard(tmp_path, "b.aac", damage(files["aac"], "zeroed", 1000))
    assert "silent" in notes[0] and abs(late(whole, x, 3.2, 3.9)) < 50  # to two frames


@pytest.mark.parametrize("suffix", ["mp3", "flac", "ogg", "opus", "wma"])
@pytest.mark.parametrize("kind", ["inserted", "removed"])
def test_bytes_too_many_or_too_few_move_nothing(tmp_path, files, suffix, kind):
    whole, _ = heard(tmp_path, f"a.{suffix}", files[suffix])
    x, _ = heard(tmp_path, f"b.{suffix}", damage(files[suffix], kind, 2000))
    assert abs(late(whole, x, 3.2, 3.9)) < 1


@pytest.mark.parametrize("suffix", [*FORMATS, "aac", "wav", "aiff", "mkv"])
def test_junk_before_a_song_moves_nothing(tmp_path, files, suffix):
    whole, _ = heard(tmp_path, f"a.{suffix}", files[suffix])
    x, notes = heard(tmp_path, f"b.{suffix}", damage(files[suffix], "junk before"))
    assert len(x) == len(whole) and np.abs(x - whole).max() < 1e-4
    assert ["700 bytes" in n for n in notes] == [True]


@pytest.mark.parametrize("suffix", ["mp3", "flac", "ogg", "opus", "aac", "wma", "mkv", "wav", "aiff"])
def test_of_a_broken_download_is_heard_what_is_there(tmp_path, files, suffix):
    whole, _ = heard(tmp_path, f"a.{suffix}", files[suffix])
    x, notes = heard(tmp_path, f"b.{suffix}", damage(files[suffix], "cut", at=0.6))
    assert 1 < len(x) / 16000 < 2.6 and np.corrcoef(x[:16000], whole[:16000])[0, 1] > 0.99
    assert len(notes) == 1 and "download broke off" in notes[0]


def test_a_broken_download_of_an_m4a_needs_its_table_in_front(tmp_path, files):
    write_av(tmp_path / "fast.m4a", bursts(), "aac", options={"movflags": "faststart"})
    data = (tmp_path / "fast.m4a").read_bytes()
    x, notes = heard(tmp_path, "a.m4a", data[: len(data) * 2 // 3])
    assert 2 < len(x) / 16000 < 3 and "promises 4.0 s" in notes[0]
    with pytest.raises(UserError, match="table of contents"):
        heard(tmp_path, "b.m4a", damage(files["m4a"], "cut", at=0.6))


def flac_of_length(data, samples):
    "A FLAC whose header says another number of samples."
    head = int.from_bytes(data[18:26], "big")
    return data[:18] + (head >> 36 << 36 | samples).to_bytes(8, "big") + data[26:]


@pytest.mark.parametrize("said", [0, 1, 2 * RATE, 16 * RATE, 2**36 - 1])
def test_a_flac_is_as_long_as_it_is(tmp_path, files, said):
    whole, _ = heard(tmp_path, "a.flac", files["flac"])
    x, notes = heard(tmp_path, "b.flac", flac_of_length(files["flac"], said))
    assert len(x) == len(whole) and np.abs(x - whole).max() < 1e-6 and len(notes) <= 1


@pytest.mark.parametrize("size", [0, 1, 2, 999, 200_000, 400_000, 2**31 - 1, 2**31, 2**32 - 8, 2**32 - 1])
def test_a_wave_file_is_as_long_as_its_bytes(tmp_path, size):
    samples = (bursts() * 32767).astype("<i2")
    x, _ = heard(tmp_path, "a.wav", wave_of(samples.tobytes(), size=size))
    assert abs(len(x) - 4 * 16000) <= 1


def test_chunks_behind_the_samples_are_no_sound(tmp_path):
    samples = (bursts() * 32767).astype("<i2").tobytes()
    x, notes = heard(
        tmp_path,
        "a.wav",
        wave_of(samples) + b"LIST" + (30_000).to_bytes(4, "little") + b"INFO" + bytes(29_996),
    )
    assert (len(x), notes) == (64000, [])


@pytest.mark.parametrize(
    "subtype",
    [
        "PCM_U8",
        "PCM_16",
        "PCM_24",
        "PCM_32",
        "FLOAT",
        "DOUBLE",
        "ULAW",
        "ALAW",
        "MS_ADPCM",
        "IMA_ADPCM",
        "GSM610",
    ],
)
def test_every_kind_of_wave(tmp_path, subtype):
    sf.write(tmp_path / "a.wav", bursts(), RATE, subtype=subtype)
    sf.write(tmp_path / "b.flac", bursts(), RATE)
    x, y = (load_audio(tmp_path / n, notes=(notes := [])) for n in ("a.wav", "b.flac"))
    assert abs(len(x) - len(y)) < 2000 and np.corrcoef(x[:60000], y[:60000])[0, 1] > 0.9 and notes == []


@pytest.mark.parametrize("bits, block", [(12, 2), (20, 3), (24, 4), (16, 2), (8, 1), (32, 4)])
def test_odd_bits(tmp_path, bits, block):
    "The sample stands in the upper bits of its container."
    x = bursts()
    wide = (x * 2**31 * 0.9).astype("<i8") & 0xFFFFFFFF if block == 4 and bits == 32 else None
    raw = (
        ((x + 1) * 127).astype("u1").tobytes()
        if bits == 8
        else b"".join(
            int(v * (2 ** (8 * block - 1) - 1)).to_bytes(block, "little", signed=True) for v in x[: RATE * 2]
        )
        if wide is None
        else wide.astype("<u4").tobytes()
    )
    try:
        y, _ = heard(tmp_path, "a.wav", wave_of(raw, bits=bits, block=block))
    except UserError as e:
        assert "not audio" in str(e)  # or one sentence
    else:
        assert len(y) in (32000, 64000)


def test_rf64_and_other_waves(tmp_path, files):
    whole, _ = heard(tmp_path, "a.wav", files["wav"])
    for suffix, format in (("wav", "RF64"), ("w64", "W64"), ("caf", "CAF"), ("au", "AU"), ("aiff", "AIFF")):
        sf.write(tmp_path / f"b.{suffix}", bursts(), RATE, format=format)
        x = load_audio(tmp_path / f"b.{suffix}", notes=(notes := []))
        assert np.array_equal(x, whole) and notes == [], format


# Several in one


def test_a_chained_ogg_is_heard_whole(tmp_path, files):
    other = encoded(
        "ogg", np.stack([bursts(2, 22050, seed=1)] * 2, 1), 22050
    )  # another rate, another number of channels
    x, notes = heard(tmp_path, "a.ogg", files["ogg"] + other + files["ogg"])
    whole, _ = heard(tmp_path, "b.ogg", files["ogg"])
    assert abs(len(x) - 10 * 16000) < 5 and "3 recordings" in notes[0]
    assert lag(whole, x[-64000:]) == 0
    for how in ("soxr", "linear"):
        assert abs(len(load_audio(tmp_path / "a.ogg", resample=how)) - 10 * 16000) < 5


def test_a_chain_of_opus_with_a_damaged_link(tmp_path, files):
    x, notes = heard(
        tmp_path, "a.opus", files["opus"] + damage(files["opus"], "zeroed", 2000) + files["opus"]
    )
    whole, _ = heard(tmp_path, "b.opus", files["opus"])
    assert abs(len(x) - 12 * 16000) < 5 and "silent" in notes[-1] and abs(lag(whole, x[-64000:])) <= 1


def test_a_link_whose_head_is_lost_does_not_lose_the_others(tmp_path, files):
    torn = files["ogg"][:58] + b"?" * 60 + files["ogg"][118:]
    x, _ = heard(tmp_path, "a.ogg", torn + files["ogg"])
    whole, _ = heard(tmp_path, "b.ogg", files["ogg"])
    assert lag(whole, x[-64000:]) == 0


def test_joined_mp3s_are_heard_whole(tmp_path, files):
    mp3 = files["mp3"]
    slower = encoded("mp3", bursts(2, 22050, seed=1), 22050)
    tag = b"ID3\x04\0\0\0\0\1\0" + bytes(128)
    for data, seconds in (
        (mp3 + mp3, 8),
        (mp3 + tag + mp3, 8),
        (mp3 + b"TAG" + bytes(125) + tag + mp3, 8),
        (mp3 + slower, 6),
        (mp3 * 5, 20),
    ):
        x, notes = heard(tmp_path, "a.mp3", data)
        assert abs(len(x) / 16000 - seconds) < 0.1 * seconds / 4 and any("holds" in n for n in notes)


def test_m4a_files_in_one_are_heard_whole(tmp_path, files):
    whole, _ = heard(tmp_path, "a.m4a", files["m4a"])
    slower = encoded("m4a", bursts(2, 22050, seed=1), 22050)
    x, notes = heard(tmp_path, "b.m4a", files["m4a"] + slower + files["m4a"])
    assert abs(len(x) / 16000 - 10) < 0.15 and "3 recordings in one file; all" in notes[0]
    assert abs(lag(whole, x[-len(whole) :])) <= 1
    torn = damage(files["m4a"], "removed")  # its table of contents is not where it should be
    x, notes = heard(tmp_path, "c.m4a", files["m4a"] + slower[:4000] + slower[7000:])
    assert len(x) == len(whole) and "2 recordings in one file; 1 of them" in notes[0]
    with pytest.raises(UserError, match="table of contents"):
        heard(tmp_path, "d.m4a", torn)


def test_a_lost_page_leaves_a_gap(tmp_path, files):
    for suffix in ("ogg", "opus"):
        pages = ogg_pages(files[suffix])
        whole, _ = heard(tmp_path, f"a.{suffix}", files[suffix])
        middle = len(pages) // 2 + 1
        x, notes = heard(tmp_path, f"b.{suffix}", b"".join(pages[:middle] + pages[middle + 1 :]))
        assert len(x) == len(whole) and "silent" in notes[0] and abs(late(whole, x, 3.4, 3.9)) < 1


def test_a_cover_is_not_the_song(tmp_path, files):
    picture = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 200  # with what looks like the beginning of frames
    frame = b"APIC" + (len(picture) + 14).to_bytes(4, "big") + b"\0\0\0image/jpeg\0\3\0" + picture
    size = len(frame)
    head = b"ID3\x03\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127])
    whole, _ = heard(tmp_path, "a.mp3", files["mp3"])
    for suffix in ("mp3", "flac", "aac"):
        x, notes = heard(tmp_path, f"b.{suffix}", head + frame + files[suffix])
        assert notes == [] and abs(lag(whole, x)) < (2 if suffix != "aac" else 800)


def test_a_video_with_sound_and_several_streams(tmp_path):
    import av

    write_av(tmp_path / "a.mkv", bursts(), "aac", streams=2)
    x, notes = heard(tmp_path, "b.mkv", (tmp_path / "a.mkv").read_bytes())
    assert abs(len(x) - 64000) < 800 and "2 audio streams" in notes[0]
    with av.open(str(tmp_path / "v.mp4"), "w") as box:
        video = box.add_stream("mpeg4", rate=24)
        sound = box.add_stream("aac", rate=RATE)
        video.width = video.height = 64
        video.pix_fmt, sound.layout = "yuv420p", "mono"
        for packet in video.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")):
            box.mux(packet)
        for packet in video.encode():
            box.mux(packet)
        for i in range(0, RATE * 2, 1024):
            frame = av.AudioFrame.from_ndarray(bursts()[None, i : i + 1024].copy(), "fltp", "mono")
            frame.rate, frame.pts = RATE, i
            for packet in sound.encode(frame):
                box.mux(packet)
        for packet in sound.encode(None):
            box.mux(packet)
    assert abs(len(load_audio(tmp_path / "v.mp4")) - 32000) < 800


# What is believed


def test_a_promise_must_fit_into_the_file():
    h = Hearing()
    for seconds, size, want in (
        (3, 50_000, 3),
        (2**63 / RATE, 50_000, 0),
        (float("inf"), 1, 0),
        (float("nan"), 1, 0),
        (-3, 50_000, 0),
        (0, 1, 0),
    ):
        h.promise(seconds, size)
        assert h.promised == want


def test_nothing_is_told_of_a_healthy_reading():
    assert sentences(Hearing(4, 4)) == [] and sentences(Hearing(0, 4)) == []


def test_a_timestamp_that_leads_out_of_the_song_is_not_believed(tmp_path, files):
    "Somewhere in a webm a time is damaged: the silence before it would be longer than the song."
    mkv = files["mkv"]
    whole, _ = heard(tmp_path, "a.mkv", mkv)
    blocks = [
        i for i in range(len(mkv) - 6) if mkv[i] == 0xA3 and mkv[i + 3] == 0x81
    ]  # SimpleBlock of track 1
    i = blocks[len(blocks) // 2] + 4
    x, _ = heard(tmp_path, "b.mkv", mkv[:i] + b"\x7f" + mkv[i + 1 :])
    assert abs(len(x) - len(whole)) < 800


@pytest.mark.parametrize("frames", [0, 1, 99_999, 2**32 - 1])
def test_a_first_frame_that_lies(tmp_path, files, frames):
    mp3 = files["mp3"]
    at = max(mp3.find(b"Xing"), mp3.find(b"Info")) + 8
    x, notes = heard(tmp_path, "a.mp3", mp3[:at] + frames.to_bytes(4, "big") + mp3[at + 4 :])
    assert abs(len(x) - 64000) < 800 and notes == []


def test_a_tag_that_says_it_is_larger_than_the_file(tmp_path, files):
    for suffix in ("mp3", "flac"):
        whole, _ = heard(tmp_path, f"a.{suffix}", files[suffix])
        x, notes = heard(tmp_path, f"b.{suffix}", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + files[suffix])
        assert np.abs(x - whole).max() < 1e-4 and ["10 bytes" in n for n in notes] == [True]


def test_junk_before_rarer_files(tmp_path):
    for suffix, codec in (("wv", "wavpack"), ("tta", "tta")):
        write_av(out := io.BytesIO(), bursts(), codec, format=suffix)
        whole, nothing = heard(tmp_path, f"a.{suffix}", out.getvalue())
        x, notes = heard(tmp_path, f"b.{suffix}", damage(out.getvalue(), "junk before"))
        assert nothing == [] and np.array_equal(x, whole) and "700 bytes" in notes[0]


def test_who_is_asked(tmp_path, files):
    name = lambda reader: reader.func.__name__
    asked = lambda data: [
        name(r.args[0] if name(r) == "_noted" else r) for r in readers(write(tmp_path / "x", data))
    ]

    def write(path, data):
        path.write_bytes(data)
        return path

    assert asked(files["ogg"]) == asked(files["flac"]) == asked(files["wav"]) == ["by_soundfile", "by_av"]
    assert asked(files["mp3"]) == asked(files["aac"]) == asked(files["mp2"]) == ["by_frames"]
    assert asked(files["m4a"]) == asked(b"Dear model, please make a map.") == ["by_av"]
    assert asked(files["ogg"] * 2) == asked(damage(files["ogg"], "zeroed", 10)) == ["by_links"]
    assert asked(files["wav"][:20] + b"\x55\0" + files["wav"][22:]) == [
        "by_av"
    ]  # mp3 in a wave file: libsndfile's would speak


def test_the_better_reader_is_believed(tmp_path):
    "One that breaks off, one that hears more: the second; both the same: the first."
    import mapperatorinator.decode as decode

    block = lambda n: (16000, np.zeros((n, 1), np.float32))

    def reader(n, promised):
        return lambda hearing: (
            setattr(hearing, "promised", promised),
            setattr(hearing, "opened", True),
            iter([block(n)]),
        )[2]

    def best(*readers):
        decode.readers, kept = lambda path: list(readers), decode.readers
        try:
            return best_reading(Path("x"), lambda blocks: sum(len(x) for _, x in blocks))
        finally:
            decode.readers = kept

    made, hearing = best(reader(16000, 2.0), reader(32000, 0))
    assert made == 32000 and "true length" in hearing.notes[0]
    assert best(reader(16000, 2.0), reader(16001, 3.0))[0] == 16000
    assert best(reader(32000, 2.0), None)[0] == 32000  # the second is not asked


# The bytes


def test_headers_of_mpeg_frames():
    kinds = {
        b"\xff\xfb\x90\x64": ("mp3float", 44100, 2, 1152, 417),
        b"\xff\xfb\x92\xc4": ("mp3float", 44100, 1, 1152, 418),
        b"\xff\xf3\x40\xc0": ("mp3float", 22050, 1, 576, 104),
        b"\xff\xe3\x18\xc4": ("mp3float", 8000, 1, 576, 72),
        b"\xff\xfd\xa4\x00": ("mp2float", 48000, 2, 1152, 576),
        b"\xff\xff\xa4\x00": ("mp1float", 48000, 2, 384, 320),
    }
    for head, want in kinds.items():
        h = mpeg_header(head)
        assert (*h.kind, h.samples, h.size) == want
    for head in (
        b"",
        b"\xff",
        b"\xff\xfb",
        b"\xff\xfb\x00\x00",
        b"\xff\xfb\xf0\x00",
        b"\xff\xfb\x9c\x00",
        b"\xff\xeb\x90\x00",
        b"\xff\xf9\x90\x00",
    ):
        assert mpeg_header(head) is None


def test_frames_and_what_lies_between(files):
    mp3 = files["mp3"]
    walk = lambda data: read_frames(data, mpeg_header)
    whole = walk(mp3)
    assert whole.size == len(mp3) and not whole.holes and not whole.front and not whole.cut
    assert info_frame(mp3, whole).frames == len(whole.frames) - 1
    holed = walk(damage(mp3, "zeroed", 2000))
    assert len(holed.holes) == 1 and holed.size + sum(holed.holes.values()) == len(mp3)
    gone = len(whole.frames) - len(holed.frames)
    assert list(lost_frames(holed, len(whole.frames)).values()) == [gone]
    assert walk(mp3[:-5]).cut and not walk(b"\xff" * 100_000).frames and not walk(bytes(1000)).frames
    stale = lost_frames(holed, 10_000)  # a promise of another file
    assert (
        list(stale.values()) == list(lost_frames(holed).values()) and 0 < sum(stale.values()) < 3 * gone + 3
    )
    assert (
        len(read_frames(files["aac"], adts_header).frames) > 150 and not read_frames(mp3, adts_header).frames
    )


def test_tags_of_every_kind():
    ape = (
        b"APETAGEX"
        + (2000).to_bytes(4, "little")
        + (64).to_bytes(4, "little")
        + (1).to_bytes(4, "little")
        + b"\0\0\0\xa0"
        + bytes(72)
    )
    lyrics = b"LYRICSBEGIN" + b"IND0000210" + b"LYRICS200"
    assert [
        tag_size(t)
        for t in (
            ape,
            lyrics,
            b"TAG" + bytes(125),
            b"TAG+" + bytes(223),
            b"ID3\4\0\x10\0\0\0\5" + bytes(15),
            b"LYRICSBEGIN",
            b"ID",
        )
    ] == [96, 30, 128, 227, 25, 0, 0]


def test_the_checksum_of_pages(files):
    for page in ogg_pages(files["ogg"]):
        assert ogg_crc(page) == int.from_bytes(page[22:26], "little")
    assert [link.whole for link in ogg_links(files["ogg"] + files["opus"])] == [True, True]
    assert ogg_links(files["ogg"][:-9])[0].cut and not ogg_links(files["wav"])


def test_headers_of_wave_files(files):
    assert wave_header(io.BytesIO(files["wav"])).seconds == pytest.approx(4)
    for data in (
        b"",
        b"RIFF",
        b"RIFF0000AVI LIST",
        b"RIFF0000WAVE",
        b"RIFF0000WAVE" + bytes(100_000),
        b"RIFF0000WAVEdata",
    ):
        wave_header(io.BytesIO(data))
    assert wave_header(io.BytesIO(b"RIFF0000WAVE" + b"junk\xff\xff\xff\xff" * 9)) is None


# Libraries of others


def test_frames_of_eight_and_more_channels_are_read_within_their_memory(tmp_path):
    import av

    x = (np.arange(8)[:, None] + 1) * 0.1 * np.ones((8, 480), np.float32)
    with av.open(
        str(tmp_path / "a.flac"), "w"
    ) as box:  # interleaved on disk, planes in memory after the resampler
        stream = box.add_stream("flac", rate=48000)
        stream.layout = "7.1"
        flat = av.AudioFrame.from_ndarray(
            np.ascontiguousarray((x * 2**31).astype(np.int32).T.reshape(1, -1)), "s32", "7.1"
        )
        flat.rate, flat.pts = 48000, 0
        for packet in [*stream.encode(flat), *stream.encode(None)]:
            box.mux(packet)
        (planes,) = av.AudioResampler(format="fltp").resample(flat)
    assert planes.format.is_planar and SAFE_PLANES == 7
    got = as_float(planes, 8)
    assert got.shape == (480, 8) and np.abs(got.T - x).max() < 1e-4


@pytest.mark.parametrize("name", ["u8", "s16", "s32", "flt", "dbl", "u8p", "s16p", "s32p", "fltp", "dblp"])
def test_samples_of_every_type(name):
    import av

    x = np.stack([bursts(1)[:1024], bursts(1, seed=1)[:1024]])
    source = av.AudioFrame.from_ndarray(x, "fltp", "stereo")
    source.rate = RATE
    (frame,) = av.AudioResampler(format=name).resample(source)
    assert np.abs(as_float(frame, 2).T - x).max() < 1 / 100 if "u8" in name else 1e-4
    assert as_float(frame, 1).shape == (1024, 1) and as_float(frame, 2).dtype == np.float32


def test_a_packet_that_announces_32_channels(tmp_path, files):
    "Single bits: in a child, since PyAV alone would take the process down with it."
    code = "import sys; from mapperatorinator.audio import load_audio; print(len(load_audio(sys.argv[1])))"
    for seed in range(6):
        (tmp_path / f"{seed}.m4a").write_bytes(damage(files["m4a"], "bits", seed=seed))
    run = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            code.replace("print(len(load_audio(sys.argv[1])))", "[load_audio(p) for p in sys.argv[1:]]"),
            *map(str, sorted(tmp_path.glob("*.m4a"))),
        ],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-500:]
    assert run.stderr == ""


def test_nothing_but_songs_is_opened(tmp_path):
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nhttp://127.0.0.1:9/song.ts\n#EXT-X-ENDLIST\n"
    for text in (
        playlist,
        "ffconcat version 1.0\nfile '/etc/passwd'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
        "<MPD></MPD>",
        "\x1b[2Jhello" * 99,
    ):
        with pytest.raises(read_errors()):
            open_av(io.BytesIO(text.encode()))
        (tmp_path / "a.mp3").write_text(text)
        with pytest.raises(UserError, match="not audio"):
            load_audio(tmp_path / "a.mp3")


def test_a_fault_ends_a_reading_and_not_the_program(files):
    def reader(hearing):
        yield 16000, np.zeros((16000, 1), np.float32)
        raise AttributeError("'AudioStream' object has no attribute 'rate'")

    blocks = list(watched(reader, h := Hearing()))
    assert len(blocks) == 1 and not h.ended and h.position == 1
    with pytest.raises(KeyboardInterrupt):

        def stopped(hearing):
            raise KeyboardInterrupt
            yield

        list(watched(stopped, Hearing()))
    opener = lambda: io.BytesIO(files["flac"][:-100])
    assert not list(watched(lambda h: by_soundfile(opener, h), h := Hearing())) or not h.whole


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "flac", "m4a", "aac", "wma", "mkv", "opus"])
def test_damage_costs_not_a_word_on_the_terminal(tmp_path, files, suffix, capfd):
    for kind in ("overwritten", "zeroed", "bits", "cut", "junk before", "removed"):
        (tmp_path / f"a.{suffix}").write_bytes(damage(files[suffix], kind))
        try:
            load_audio(tmp_path / f"a.{suffix}")
        except UserError:
            pass
    (tmp_path / f"a.{suffix}").write_bytes(files[suffix] * 2)
    load_audio(tmp_path / f"a.{suffix}")
    assert capfd.readouterr() == ("", "")


def test_noise_of_damaged_frames_does_not_drown_the_song(tmp_path, files):
    whole, _ = heard(tmp_path, "a.mp3", files["mp3"])
    for seed in range(8):
        x, _ = heard(tmp_path, "b.mp3", damage(files["mp3"], "bits", seed=seed))
        quiet = np.abs(x[:16000]).max() / np.abs(whole[:16000]).max()
        assert quiet > 0.2, seed
