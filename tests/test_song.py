"From a song to a set: three songs end to end, what is refused, loudness, times, the way to the game, and what a map says of its origin."

import io
import json
import os
import re
import struct
import sys
import zlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import house
from mapperatorinator import cli
from mapperatorinator.audio import OSU_OFFSET_MS, clicks, load_audio
from mapperatorinator.audio2events import SongContext
from mapperatorinator.config import BANNED, GenerateConfig, known_settings
from mapperatorinator.core import UserError, demo_song
from mapperatorinator.finish import finished
from mapperatorinator.loudness import loudness_of
from mapperatorinator.osu.beatmap import Beatmap, Circle, TimingPoint
from mapperatorinator.osu.criteria import luminosity
from mapperatorinator.osu.files import read_osz
from mapperatorinator.provenance import origin_of, read_record
from mapperatorinator.request import prepare
from mapperatorinator.song import ATTACHED, look_into
from mapperatorinator.song2map import Result
from mapperatorinator.timing.offset import chart_offset
from mapperatorinator.verify import check_mapset, read_set

av = pytest.importorskip("av")
Image = pytest.importorskip("PIL.Image")
ASK = GenerateConfig(
    difficulty=3, seed=1, device="cpu", timing="manual", bpm=128, offset=377, end_time=1500, star_tries=0
)
RATE = 16000


@pytest.fixture(scope="module")
def tune():
    return soundfile.read(demo_song(), start=8 * RATE, frames=4 * RATE, dtype="float32")[0]


def art(size=(500, 500)):
    picture = Image.new("RGB", size, "#1c1830")
    picture.paste("#ff6a3d", (0, 0, size[0] // 2, size[1] // 2))
    picture.paste("#3dc9b0", (size[0] // 2, size[1] // 2, *size))
    return picture


def png(picture):
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def bomb():
    "A PNG of a kilobyte that promises 3.6 gigapixels."
    chunk = lambda kind, data: (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    )
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(9999)))
        + chunk(b"IEND", b"")
    )


def write_song(path, tune, codec, cover=None, moving=False, tracks=1, **tags):
    "A song with tags, perhaps a cover, perhaps moving pictures."
    with av.open(str(path), "w") as box:
        box.metadata.update({key.replace("_sort", "-sort"): value for key, value in tags.items()})
        audio = [box.add_stream(codec, rate=RATE, layout="mono") for _ in range(tracks)]
        pictures = []
        if cover is not None:
            still = box.add_stream("png", width=500, height=500, pix_fmt="rgb24")
            still.disposition = ATTACHED
            packet = av.Packet(cover)
        if moving:
            pictures = [box.add_stream("libx264", rate=10, width=160, height=120, pix_fmt="yuv420p")]
        box.start_encoding()
        for stream in audio:
            frame = av.AudioFrame.from_ndarray(tune[None], "fltp", "mono")
            frame.rate = RATE
            size = stream.codec_context.frame_size or 1024
            form = stream.codec_context.format.name
            resampler = av.AudioResampler(form, "mono", RATE, size)
            for ready in [*resampler.resample(frame), *resampler.resample(None)]:
                box.mux(stream.encode(ready))
            box.mux(stream.encode(None))
        if cover is not None:
            packet.stream, packet.pts, packet.dts = still, 0, 0
            box.mux(packet)
        for stream in pictures:
            for _ in range(40):
                box.mux(stream.encode(av.VideoFrame.from_image(art((160, 120)))))
            box.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def tagged(tune, tmp_path_factory):
    said = dict(
        title="夜に",
        artist="Somebody",
        title_sort="Yoru ni",
        genre="J-Pop",
        album="Nights",
        language="Japanese",
    )
    path = tmp_path_factory.mktemp("tagged") / "song.flac"
    write_song(path, tune, "flac", None, **said | {"TITLESORT": "Yoru ni"})
    return add_flac_cover(path, png(art()))


def add_flac_cover(path, data):
    "A flac with a picture block (https://xiph.org/flac/format.html#metadata_block_picture)."
    block = (
        struct.pack(">II", 3, 9) + b"image/png" + struct.pack(">IIIIII", 0, 500, 500, 24, 0, len(data)) + data
    )
    was = path.read_bytes()
    size = int.from_bytes(was[5:8], "big")
    head = bytes([6]) + len(block).to_bytes(3, "big")
    path.write_bytes(was[: 8 + size] + head + block + was[8 + size :])
    return path


@pytest.fixture
def asked(tmp_path):
    return lambda path, **more: replace(
        ASK, **dict(audio_path=str(path), output_path=str(tmp_path / "out")) | more
    )


@pytest.fixture
def quick(make, monkeypatch):
    "The pipeline, but the model writes two notes at once."

    def maps_of(self, song, requests, progress=None, begun=None, **metadata):
        reference = song.reference
        notes = [Circle(64, 64, 500 + 250 * i) for i in range(9)]
        known = {key: value for key, value in metadata.items() if key != "tags"}
        version = requests[0].version or "Hard"
        b = Beatmap.new(version=version, timing_points=[TimingPoint(0, 500)], hit_objects=notes, **known)
        b = reference.copy() if reference is not None and requests[0].add_to_beatmap else b
        return [Result(b, dict(seed=1, achieved_stars=1.0, objects=9), span=(0, 1500))]

    monkeypatch.setattr(type(make), "maps_of", maps_of)
    return make


def in_set(made):
    read = read_osz(made.path)
    assert not read.refused
    return next(iter(read.beatmaps.values())), read.files


# Three songs end to end


def test_a_song_with_cover_and_tags_becomes_a_whole_set(make, asked, tagged):
    made = make(asked(tagged, export_osz=True))
    b, files = in_set(made)
    assert sorted(files) == ["cover.png", "song.ogg"] and files["cover.png"] == png(art())
    assert (b.title, b.title_unicode, b.artist) == ("Yoru ni", "夜に", "Somebody")
    assert {"j-pop", "japanese", "nights", "ai-generated"} <= set(b.tags.split())
    assert (b.audio_filename, b.background) == ("song.ogg", "cover.png")
    colours = [tuple(map(int, text.split(","))) for text in b.colours.values()]
    assert 2 <= len(colours) <= 4 and all(43 < luminosity(c) < 250 for c in colours)
    assert "chart_offset" in made.report and "23 ms" in made.report["convention"]
    assert "Ogg Vorbis" in made.report["set"] and "AI" in made.report["share"]
    kinds = {f.kind for f in check_mapset(read_set(made.path)).findings}
    assert not kinds & {
        "audio_format",
        "background_size",
        "broken_file",
        "missing_file",
        "unused_file",
        "few_colours",
    }


def test_a_video_becomes_a_set_and_its_pictures_stay_out_unless_asked(quick, asked, tune, tmp_path):
    path = write_song(tmp_path / "clip.mkv", tune, "aac", moving=True, tracks=2)
    made = quick(asked(path, export_osz=True))
    assert list(in_set(made)[1]) == ["clip.ogg"] and "2 audio streams" in made.report["heard"]
    b, files = in_set(quick(asked(path, export_osz=True, video=True, version="with it")))
    assert sorted(files) == ["clip.mp4", "clip.ogg"] and any(line.startswith("Video,") for line in b.events)
    (tmp_path / "taken.mp4").write_bytes(files["clip.mp4"])
    assert look_into(tmp_path / "taken.mp4").video == "h264" and not look_into(tmp_path / "taken.mp4").codecs


def test_a_song_without_tags_becomes_a_set_under_its_files_name(quick, asked, tune, tmp_path):
    path = tmp_path / "Some One - Some Song.wav"
    soundfile.write(path, tune, RATE)
    made = quick(asked(path, export_osz=True))
    b, files = in_set(made)
    assert list(files) == ["Some One - Some Song.ogg"] and (b.title, b.artist) == ("Some Song", "Some One")
    assert b.background is None and made.report["note"] is None
    (tmp_path / "heard.ogg").write_bytes(files["Some One - Some Song.ogg"])
    was, now = load_audio(path), load_audio(tmp_path / "heard.ogg")
    assert len(was) == len(now) and np.corrcoef(was, now)[0, 1] > 0.98  # nothing trimmed, nothing moved


def test_what_the_game_plays_stays_as_it_is(quick, asked, tune, tmp_path):
    path = write_song(tmp_path / "a.mp3", tune, "libmp3lame")
    b, files = in_set(quick(asked(path, export_osz=True)))
    assert files == {"a.mp3": path.read_bytes()} and b.audio_filename == "a.mp3"
    other = write_song(tmp_path / "b.ogg", tune, "libopus")
    assert look_into(other).codecs == ("opus",)  # an .ogg that the game does not play
    _, files = in_set(quick(asked(other, export_osz=True)))
    assert files["b.ogg"] != other.read_bytes()


# What is refused, and when


def test_a_picture_that_is_none_is_said_before_the_model_runs(make, asked, tagged, tmp_path, monkeypatch):
    monkeypatch.setattr(type(make), "listen_to", lambda *_, **__: pytest.fail("the model ran"))
    for name, data, word in (("a.png", b"art", "no picture"), ("b.png", bomb(), "pixels")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=word) as said:
            make(asked(tagged, background=str(tmp_path / name)))
        assert len(said.value.args) == 1


@pytest.mark.parametrize(
    "more, word",
    [
        (dict(video=True, export_osz=True), "no moving picture"),
        (dict(video=True), "export_osz"),
        (dict(loudness=-14), "export_osz"),
        (dict(open=True), "export_osz"),
        (dict(game_folder="/nowhere"), "leave output_path"),
        (dict(game_folder="/nowhere", output_path=None), "is no folder"),
        (dict(combo_colours=["red", "blue"]), "#ff6a3d"),
        (dict(combo_colours=["#ff0000"]), "2 to 8"),
        (dict(loudness=3), "-40 to -5"),
        (dict(offset_shift=9999), "-1000 to 1000"),
    ],
)
def test_what_cannot_be_is_one_sentence(asked, tagged, more, word):
    with pytest.raises(UserError, match=re.escape(word)):
        prepare(asked(tagged, **more))


def test_a_cover_that_is_none_costs_the_background_only(quick, asked, tune, tmp_path):
    for name, data in (("a.flac", b"no art"), ("b.flac", bomb())):
        path = add_flac_cover(write_song(tmp_path / name, tune, "flac"), data)
        made = quick(asked(path, export_osz=True))
        b, files = in_set(made)
        assert len(files) == 1 and b.background is None and "no background" in made.report["note"]


def test_tags_of_bad_will_write_no_lines(quick, asked, tune, tmp_path):
    evil = dict(title="x\n[HitObjects]\n" + "y" * 10**5, artist="Êèíî è äðóãèå", genre="a\n[Events]\n//b")
    path = write_song(tmp_path / "Name - Song.flac", tune, "flac", **evil)
    b, _ = in_set(quick(asked(path, export_osz=True)))
    assert not b.warnings and len(b.title) <= 200 and b.artist == "Name"
    assert len(b.hit_objects) == 9 and not any("//b" in line for line in b.events)


def test_names_in_letters_that_nobody_can_read_are_kept_and_said(quick, asked, tune, tmp_path):
    path = write_song(tmp_path / "track.flac", tune, "flac", title="夜に", artist="誰か")
    made = quick(asked(path, export_osz=True))
    b, _ = in_set(made)
    assert (
        (b.title_unicode, b.artist_unicode) == ("夜に", "誰か") and b.title.isascii() and b.artist.isascii()
    )
    assert "title_unicode" in made.report["note"]
    both = prepare(asked(path, title="Yoru ni", artist="Dareka", title_unicode="夜に")).metadata
    assert (both["title"], both["title_unicode"], both["artist"]) == ("Yoru ni", "夜に", "Dareka")


# Loudness


def ffmpeg_loudness(x):
    "The last reading of FFmpeg's own meter (https://ffmpeg.org/ffmpeg-filters.html#ebur128)."
    graph = av.filter.Graph()
    chain = [
        graph.add_abuffer(sample_rate=RATE, format="flt", layout="mono", time_base=f"1/{RATE}"),
        graph.add("ebur128", "metadata=1"),
        graph.add("abuffersink"),
    ]
    graph.link_nodes(*chain).configure()
    frame = av.AudioFrame.from_ndarray(x[None], "flt", "mono")
    frame.rate, frame.pts = RATE, 0
    graph.push(frame)
    graph.push(None)
    last = None
    while True:
        try:
            found = graph.pull().metadata
        except (av.error.EOFError, av.error.BlockingIOError):
            return last
        last = float(found["lavfi.r128.I"]) if "lavfi.r128.I" in found else last


def test_loudness_is_that_of_the_standard_and_of_ffmpeg(quick, asked, tune, tmp_path):
    t = np.arange(10 * 48000) / 48000
    sine = 10 ** (-23 / 20) * np.sin(2 * np.pi * 997 * t)
    assert loudness_of(np.stack([sine, sine], 1), 48000) == pytest.approx(
        -23, abs=0.1
    )  # EBU Tech 3341, case 1
    if hasattr(av.AudioFrame, "metadata"):
        song = load_audio(demo_song())[: 20 * RATE]
        assert loudness_of(song, RATE) == pytest.approx(ffmpeg_loudness(song), abs=0.15)
    soundfile.write(tmp_path / "a.wav", tune, RATE)
    made = quick(asked(tmp_path / "a.wav", export_osz=True, loudness=-24))
    x, rate = soundfile.read(io.BytesIO(in_set(made)[1]["a.ogg"]))
    assert loudness_of(x, rate) == pytest.approx(-24, abs=0.3) and "LUFS" in made.report["set"]


# Times


def test_conventions_and_shifts_move_the_whole_map_and_the_report_says_so(make):
    times = np.arange(500, 9000, 250.0)
    sound = clicks(times + OSU_OFFSET_MS, 10 * RATE)
    encoded = SimpleNamespace(
        samples=sound, rate=RATE, ms=10_000, frames=None, plan=SimpleNamespace(start=0, end=10_000)
    )
    song = SongContext(encoded, None, [])
    b = Beatmap.new(timing_points=[TimingPoint(500, 500)], hit_objects=[Circle(9, 9, t) for t in times])
    other = replace(ASK, offset_convention="acoustic", offset=[400], offset_shift=40)
    usual, moved = (finished(b.copy(), song, c, make.language) for c in (ASK, other))
    later = OSU_OFFSET_MS + 40  # of the acoustic clock, and of the shift
    for kind in ("hit_objects", "timing_points"):
        assert [o.time for o in getattr(moved, kind)] == [o.time + later for o in getattr(usual, kind)]
    assert make.find_grid(encoded, other).offset == 377  # 400 on the sound is 377 in the game
    for b, c, late in ((usual, ASK, 0), (moved, other, 40)):
        found = chart_offset(song.growth, [o.time for o in b.hit_objects], c.offset_convention)
        assert found.ms == pytest.approx(late, abs=3) and found.convention == c.offset_convention


def test_every_report_says_how_late_the_chart_comes(tmp_path, capsys):
    "check, mod and timing measure it on the song, and say why where there is none."
    times = np.arange(500, 6000, 250.0)
    sound = clicks(times + OSU_OFFSET_MS, 7 * RATE)
    soundfile.write(tmp_path / "song.wav", sound, RATE)
    b = Beatmap.new(audio_filename="song.wav", version="Hard", timing_points=[TimingPoint(500, 500)])
    b.hit_objects = [Circle(99, 99, t + 12) for t in times]  # 12 ms late on its own red lines
    path = tmp_path / "hard.osu"
    b.write(path)

    def said(*words):
        cli.main([*words])
        return capsys.readouterr().out

    (checked,) = json.loads(said("check", str(path), "--json"))["results"]
    (modded,) = json.loads(said("mod", f"beatmap_path={path}", "device=cpu", "json=true"))["results"]
    (timed,) = json.loads(said("timing", str(path), "provider=reference", "--json"))["results"]
    for row, late in ((checked["offsets"]["Hard"], 12), (modded["maps"][0], 12), (timed, 0)):
        assert row["chart_offset"] == pytest.approx(late, abs=3) and "23 ms" in row["convention"]
    assert "objects late by 1" in said("check", str(path)) and "23 ms before the sound" in said(
        "timing", str(path)
    )
    (tmp_path / "song.wav").unlink()
    (row,) = json.loads(said("check", str(path), "--json"))["results"]
    assert (
        row["offsets"]["Hard"]["chart_offset"] is None
        and "not be heard" in row["offsets"]["Hard"]["not_measured"]
    )


def test_a_map_can_be_listened_to(quick, asked, tagged):
    made = quick(asked(tagged, listen=True))
    assert [p.name.rsplit(" ", 1)[1] for p in made.sounds] == ["clicks.ogg", "hitsounds.ogg"]
    song = load_audio(tagged)
    for path in made.sounds:
        x, rate = soundfile.read(path)
        assert (len(x), rate) == (len(song), RATE)
    hits = soundfile.read(made.sounds[1])[0] - 0.55 * song
    loud = lambda ms: np.abs(hits[int(ms * 16) : int(ms * 16) + 320]).max()
    assert loud(500 + OSU_OFFSET_MS) > 3 * loud(500 + OSU_OFFSET_MS - 60)


# The way to the game


def test_a_set_goes_into_the_game_and_replaces_nothing(quick, asked, tagged, tmp_path):
    songs = tmp_path / "Songs"
    songs.mkdir()
    ask = asked(tagged, output_path=None, game_folder=str(songs))
    first = quick(ask)
    place = songs / "Somebody - Yoru ni"
    assert first.path.parent == place and sorted(p.suffix for p in place.iterdir()) == [
        ".ogg",
        ".osu",
        ".png",
    ]
    before = {p: p.read_bytes() for p in place.iterdir()}
    quick(replace(ask, version="Other"))
    assert all(p.read_bytes() == data for p, data in before.items()) and len(list(place.iterdir())) == 4
    mounted = tmp_path / ("0f" * 32)
    mounted.mkdir()
    (mounted / "song.ogg").write_bytes(b"another song")
    (mounted / "its.osu").write_text("osu file format v14\n")
    made = quick(replace(ask, game_folder=str(mounted)))
    assert Beatmap.read(made.path).audio_filename == "song (2).ogg"
    assert (mounted / "song.ogg").read_bytes() == b"another song" and (mounted / "song (2).ogg").is_file()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the system opens it by itself there")
def test_the_archive_is_handed_to_the_system(quick, asked, tagged, tmp_path, monkeypatch):
    tool = tmp_path / "xdg-open"
    tool.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    made = quick(asked(tagged, export_osz=True, open=True))
    for _ in range(100):
        if (tmp_path / "opened").is_file() and (tmp_path / "opened").read_text():
            break
        __import__("time").sleep(0.05)
    assert (tmp_path / "opened").read_text().strip() == str(made.path) and "handed" in made.report["opened"]


def test_a_map_of_lazer_goes_into_a_set_for_everybody(quick, asked, tagged, tmp_path):
    rosu = pytest.importorskip("rosu_pp_py")
    lazer = (house.repo / "tests" / "maps" / "lazer.osu").read_text().replace("a.mp3", "song.flac")
    (tmp_path / "lazer.osu").write_text(lazer)
    (tmp_path / "song.flac").write_bytes(tagged.read_bytes())
    ask = asked(
        tmp_path / "song.flac", beatmap_path=str(tmp_path / "lazer.osu"), add_to_beatmap=True, timing="auto"
    )
    ask = replace(ask, bpm=None, offset=None, export_osz=True)
    made = quick(ask)
    b, _ = in_set(made)
    assert b.format_version == 14 and "every version of the game" in made.report["set"]
    assert all(float(v).is_integer() for o in b.hit_objects for v in (o.x, o.y, o.time))
    assert rosu.Beatmap(content=b.to_text()).n_objects == 3
    assert (tmp_path / "lazer.osu").read_text() == lazer


def test_a_saved_map_is_looked_at_again(tmp_path, monkeypatch, capsys):
    b = Beatmap.new(
        title="A", version="B", timing_points=[TimingPoint(0, 500)], hit_objects=[Circle(9, 9, 500)]
    )
    b.write(tmp_path / "a.osu")
    rounds = iter([lambda: None, lambda: replace_first(b, tmp_path / "a.osu"), lambda: None])

    def sleep(_):
        step = next(rounds, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr("mapperatorinator.game.time.sleep", sleep)
    monkeypatch.setattr("mapperatorinator.game.saves.__defaults__", (sleep,))
    code = cli.main(["check", f"watch={tmp_path}", "mod=false", "listen=false", "show=problem"])
    out = capsys.readouterr()
    assert code == 130 and out.out.count("a.osu") >= 2 and "Ctrl-C" in out.err
    assert "off_screen" in out.out or "outside" in out.out or out.out.count("problem") >= 1
    assert cli.main(["check", f"watch={tmp_path / 'gone'}"]) == 2


def replace_first(b, path):
    b.hit_objects[0].x = -900
    b.write(path)


# What a map says of its origin


def test_provenance_says_mine_of_ours_only(quick, asked, tagged, tmp_path, capsys):
    made = quick(asked(tagged, export_osz=True))
    human = Beatmap.new(creator="Somebody", tags="piano ai", hit_objects=[Circle(9, 9, 500)])
    human.write(tmp_path / "human.osu")
    (tmp_path / "none.osu").write_text("")
    assert cli.main(["provenance", str(made.path)]) == 1 and "made by this tool" in capsys.readouterr().out
    assert cli.main(["provenance", str(tmp_path / "human.osu")]) == 0
    assert "proves nothing" in capsys.readouterr().out
    assert cli.main(["provenance", str(tmp_path / "gone.osu"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)[0]["made_by_this_tool"] is False
    b, _ = in_set(made)
    record = read_record(b)
    assert (record.model, record.seed) == ("embedded", 1) and origin_of(b).as_made
    b.hit_objects[0].x += 1
    assert origin_of(b).ours and not origin_of(b).as_made


def test_nobody_else_is_said_to_be_ours(corpus):
    maps = [p for p in corpus.rglob("*.osu")][::25]
    read = []
    for path in maps:
        try:
            read.append(Beatmap.read(path))
        except UserError:
            continue
    assert read and not [b for b in read if b.creator != "Mapperatorinator" and origin_of(b).ours]


def test_a_part_of_a_map_is_declared_too(quick, asked, tagged, tmp_path):
    from mapperatorinator.remap import remap_file

    b = Beatmap.new(
        creator="Me", tags="piano", timing_points=[TimingPoint(0, 500)], hit_objects=[Circle(9, 9, 500)]
    )
    b.write(tmp_path / "mine.osu")
    remap_file(tmp_path / "mine.osu", b, 400, 600)
    assert Beatmap.read(tmp_path / "mine.osu").tags == "piano mapperatorinator ai-generated"


TOLD = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "colab/*.ipynb",
    "nbs/**/*.ipynb",
    "mapperatorinator/**/*.py",
]
TOLD += [
    "mapperatorinator/assets/**/*.js",
    "mapperatorinator/assets/**/*.html",
    "mapperatorinator/assets/**/*.md",
]


def told():
    return [p for pattern in TOLD for p in house.repo.glob(pattern) if "_modidx" not in p.name]


def test_nothing_is_called_fit_for_ranking_and_the_ban_stands_at_every_door():
    assert len(files := told()) > 100
    said = [p.name for p in files if re.search(r"\brankable\b", p.read_text(encoding="utf-8"), re.IGNORECASE)]
    assert not said
    for place in ("README.md", "nbs/index.ipynb", "colab/generate.ipynb"):
        assert re.search(r"hitsounds \*and timing\*", (house.repo / place).read_text(encoding="utf-8")), place
    assert "hitsounds and timing" in BANNED and BANNED in cli.overview()
    from mapperatorinator.ui import about_page

    assert about_page(1, False)["ban"] == BANNED
    assert (
        "about.ban" in (script := (house.package / "assets" / "form.js").read_text())
        or '"about").ban' in script
    )


SENDS = r"\burlopen\b|\brequests\.|http\.client|\.post\(|\.put\(|upload_(file|folder|large)|push_to_hub|create_repo|XMLHttpRequest"


MODELS_ONLY = {"hub.py": {"create_repo", "upload_folder"}, "transformers.py": {"push_to_hub"}}


def test_there_is_no_way_to_upload():
    "No call that sends a file anywhere but a model to its hub, and no address of the game's site but its wiki, its news and the page of a map."
    code = [p for p in house.package.rglob("*.py") if p.name != "_modidx.py"]
    code += house.package.rglob("*.js")
    assert len(code) > 60
    for path in code:
        text = path.read_text(encoding="utf-8")
        sent = [found[0] for found in re.finditer(SENDS, text)]
        assert set(sent) <= MODELS_ONLY.get(path.name, set()), (path.name, sent)
        assert not re.search(r"ppy\.sh/(?!wiki)(?!community)(?!home)(?!b/)\w", text), path.name
    with pytest.raises(AssertionError):
        assert not re.search(SENDS, "requests.post('https://osu.ppy.sh/beatmapsets', files=osz)")


def test_who_opted_out_is_not_proposed(monkeypatch, tmp_path):
    from mapperatorinator import form

    monkeypatch.setattr(form, "mappers_of", lambda model: ((1, "Somebody"), (2, "Someone Else")))
    (tmp_path / "away.txt").write_text("1 Somebody\n")
    assert len(form.find_mappers("v32", "some")) == 2
    monkeypatch.setenv("MAPPERATORINATOR_OPT_OUT", str(tmp_path / "away.txt"))
    assert [m["id"] for m in form.find_mappers("v32", "some")] == [2]


# The table of what was asked for


def test_what_was_asked_for_lives_where_the_table_says():
    text = (house.repo / "docs" / "asked_for.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    known = known_settings(GenerateConfig)
    for name in re.findall(r"`([^`]+)`", "\n".join(row.split(" | ", 1)[1] for row in rows)):
        if name.startswith("mapperatorinator "):
            assert name.split()[1] in cli.COMMANDS, name
        elif name.startswith(("nbs/", "tests/")):
            file, _, test = name.partition("::")
            assert (house.repo / file).is_file(), name
            assert not test or f"def {test}(" in (house.repo / file).read_text(encoding="utf-8"), name
        else:
            assert name in known, name
    assert len(rows) > 12
