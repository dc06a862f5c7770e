"The main job from outside: songs of every kind, bad input, the same again, what other programs say of the map."

import signal, subprocess, sys, time, zipfile
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from mapperatorinator.audio import load_audio
from mapperatorinator.config import GenerateConfig, LanguageConfig
from mapperatorinator.core import UserError, demo_song
from mapperatorinator.evaluation.generate import faults
from mapperatorinator.osu.beatmap import Beatmap, Circle, TimingPoint
from mapperatorinator.osu.check import check_map
from mapperatorinator.osu.files import read_osz
from mapperatorinator.pipeline import generate_map
from mapperatorinator.song2map import Result, Song2Map

ASK = GenerateConfig(difficulty=3, seed=1, device="cpu", timing="manual", bpm=128, offset=377, star_tries=0)


@pytest.fixture(scope="module")
def clip(excerpt):
    return excerpt(8, "Some One - Some Song.wav")


@pytest.fixture(scope="module")
def made(make, clip):
    return make(replace(ASK, audio_path=str(clip)))


COMMAND = [sys.executable, "-c", "import sys; from mapperatorinator.cli import main; sys.exit(main())"]


def test_the_map_is_sound(made):
    assert faults(made.beatmap) == [] and made.report["objects"] == len(made.beatmap.hit_objects) > 5
    assert (made.beatmap.title, made.beatmap.artist) == ("Some Song", "Some One")
    assert made.report["bpm"] == 128 and made.report["achieved_stars"] > 0


def test_other_readers_agree(made):
    rosu = pytest.importorskip("rosu_pp_py")
    slider = pytest.importorskip("slider")
    assert rosu.Beatmap(path=str(made.path)).n_objects == len(made.beatmap.hit_objects)
    assert len(slider.Beatmap.from_path(made.path).hit_objects(stacking=False)) == len(
        made.beatmap.hit_objects
    )


class Scripted(Song2Map):
    "A pipeline whose model wrote, draft by draft, what is handed in: a number of objects and the stars they come to."

    def __init__(self, *drafts):
        self.script = list(drafts)
        self.told = []
        self.language = LanguageConfig()

    def listen_to(self, *_):
        return None

    def drafts(self, song, requests, progress=None, **metadata):
        self.told += [r.prompted_stars for r in requests]
        return [self.result(r, *self.script.pop(0)) for r in requests]

    def result(
        self, request, objects, stars
    ):  # side by side in one place before the song: nothing but problems
        b = Beatmap.new(timing_points=[TimingPoint(0, 500)], hit_objects=[Circle(-50, 192, 10)] * objects)
        report = dict(
            requested_stars=request.config.difficulty,
            achieved_stars=stars,
            objects=objects,
            seed=request.config.seed,
        )
        return Result(b, report, check_map(b), request.prompted_stars)


def test_a_retry_that_writes_nothing_keeps_the_earlier_map():
    ask = replace(ASK, difficulty=1.0, star_tries=3)
    line = Scripted((40, 6.0), (0, 0.0), (0, 0.0), (0, 0.0))
    kept = line.maps(None, [ask])[0]
    assert (kept.report["objects"], kept.report["achieved_stars"], kept.prompted_stars) == (40, 6.0, 1.0)
    assert line.told[:2] == [1.0, 0.5] and len(line.told) == kept.report["drafts"].count("told") == 4
    with pytest.raises(UserError, match="wrote no objects"):
        Scripted((0, 0.0)).maps(None, [ask])


def test_what_was_mended_in_the_song_stands_in_the_report(make, made, clip, tmp_path):
    x, rate = soundfile.read(clip)
    soundfile.write(tmp_path / "a.flac", np.stack([x, -x], 1), rate)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "b.flac").write_bytes(
        data[: len(data) * 2 // 3] + bytes(3000) + data[len(data) * 2 // 3 + 3000 :]
    )
    ask = replace(
        ASK,
        audio_path=str(tmp_path / "b.flac"),
        output_path=str(tmp_path),
        difficulties=[2.0, 3.0],
        end_time=4000,
    )
    result = make(ask)
    assert (
        "silent" in result.report["heard"]
        and "cancel" in result.report["heard"]
        and made.report["heard"] is None
    )
    assert [r.report["heard"] for r in result.others] == [result.report["heard"]]


def test_settings_and_disclosure_are_in_the_tags(made):
    tags = made.beatmap.metadata["Tags"].split()
    assert {"ai-generated", "seed=1", "difficulty=3", "bpm=128", "timing=manual"} <= {
        t.replace("=3.0", "=3").replace("=128.0", "=128") for t in tags
    }
    assert not any("audio_path" in t or "output_path" in t for t in tags)


def test_same_seed_same_bytes(make, clip, made, tmp_path):
    again = make(replace(ASK, audio_path=str(clip), output_path=str(tmp_path)))
    assert again.path.read_bytes() == made.path.read_bytes()


def test_osz_holds_map_and_song(make, clip, tmp_path):
    made = make(replace(ASK, audio_path=str(clip), output_path=str(tmp_path), export_osz=True, end_time=1500))
    names = zipfile.ZipFile(made.path).namelist()
    assert f"{clip.stem}.ogg" in names and len(names) == 2 and made.path.suffix == ".osz"
    assert list(read_osz(made.path).beatmaps.values())[0].hit_objects


def test_nothing_that_is_there_is_replaced_in_silence(make, clip, made, tmp_path):
    "A named file leaves an undo copy, a folder holds both, and so for the pictures."
    mine = tmp_path / "mine.osu"
    art = tmp_path / "mine.png"
    mine.write_text("weeks of work")
    art.write_text("the cover")
    again = make(replace(ASK, audio_path=str(clip), output_path=str(mine), plot=True))
    assert (tmp_path / "mine.osu.undo1").read_text() == "weeks of work" and "mine.osu.undo1" in again.report[
        "kept"
    ]
    assert art.read_text() == "the cover" and again.png.name == "mine (2).png" and again.path == mine
    assert mine.read_bytes() == made.path.read_bytes()
    make(replace(ASK, audio_path=str(clip), output_path=str(mine)))
    assert not (tmp_path / "mine.osu.undo2").exists()  # the same again: nothing to keep


def write_picture(path):
    "A picture that may stay as it is; its bytes."
    pytest.importorskip("PIL.Image").new("RGB", (200, 200), "red").save(path)
    return path.read_bytes()


LATE = {
    "a refiner": dict(refiner="no_such_refiner"),
    "a folder as a file": dict(output_path="FOLDER.osu"),
    "a long name": dict(output_path="x" * 300 + ".osu"),
    "a picture": dict(background="none.png"),
    "a comma": dict(background="a, b.png"),
    "the song itself": dict(audio_path="song.osu", output_path="song.osu"),
    "a difficulty": dict(version="x" * 300),
    "a closed place": dict(output_path="/proc/nowhere"),
}


@pytest.mark.parametrize("what", LATE)
def test_what_can_be_known_before_is_refused_before_the_model_runs(make, clip, tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FOLDER.osu").mkdir()
    write_picture(tmp_path / "a, b.png")
    (tmp_path / "song.osu").write_bytes(clip.read_bytes())
    before = sorted(p.name for p in tmp_path.iterdir())
    monkeypatch.setattr(type(make), "listen_to", lambda *_, **__: pytest.fail("the model ran"))
    with pytest.raises(UserError) as e:
        make(replace(ASK, **dict(audio_path=str(clip), output_path=str(tmp_path)) | LATE[what]))
    assert "\n" not in str(e.value) and sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_spread_of_a_long_title_is_an_archive_of_all(make, clip, tmp_path):
    "With names that no file system takes as they are, and a picture with a comma."
    art = write_picture(tmp_path / "art, final.png")
    title = (
        "A song whose title is rather long, with a subtitle (feat. somebody else) [Remix]: \U0001d4f5\U0001d4f8\U0001d4ff\U0001d4ee / 夜"
        + "!" * 99
    )
    ask = replace(
        ASK,
        audio_path=str(clip),
        output_path=str(tmp_path),
        title=title,
        version="a/b",
        difficulties=[1, 3],
        end_time=1500,
        plot=True,
        background=str(tmp_path / "art, final.png"),
        export_osz=True,
    )
    made = make(ask)
    read = read_osz(made.path)
    assert (
        len(read.beatmaps) == 2
        and not read.refused
        and sorted(read.files) == [f"{clip.stem}.ogg", "art final.png"]
    )
    for b in read.beatmaps.values():
        assert (
            b.title_unicode == title
            and b.title.isascii()
            and b.title.startswith("A song whose")
            and "love" in b.title
        )
        assert read.find(b.background) == art and read.find(b.audio_filename).startswith(b"OggS")
    assert {b.version for b in read.beatmaps.values()} == {"a/b 1", "a/b 3"} and len(
        {r.png for r in [*made.others, made]}
    ) == 2


def test_a_song_with_line_breaks_in_its_tags_writes_no_lines(make, clip, tmp_path):
    path = tmp_path / "tagged.flac"
    with soundfile.SoundFile(path, "w", 16000, 1) as f:
        f.title, f.artist = "First line\n[HitObjects]\n1,1,1,1,0", "One\r\nTwo"
        f.write(load_audio(clip))
    made = make(
        replace(ASK, audio_path=str(path), end_time=1500, creator="me\n", version="v\n[TimingPoints]\n0,1")
    )
    again = Beatmap.read(made.path)
    assert (
        again == made.beatmap
        and not again.warnings
        and (again.creator, again.version) == ("me", "v [TimingPoints] 0,1")
    )
    assert again.artist == "One Two" and again.title == "First line [HitObjects] 1,1,1,1,0"


def test_a_map_goes_into_an_archive_with_its_song_and_picture(make, clip, made, tmp_path):
    "A reference map that names them as only the game understands."
    (tmp_path / "Music").mkdir()
    (tmp_path / "Music" / "Some Song.wav").write_bytes(clip.read_bytes())
    (tmp_path / "BG.png").write_bytes(b"art")
    mine = made.beatmap.copy()
    mine.audio_filename = "music\\some song.WAV"
    mine.events.insert(1, '0,0,"bg.PNG",0,0')
    mine.write(tmp_path / "mine.osu")
    again = make(
        GenerateConfig(
            beatmap_path=str(tmp_path / "mine.osu"),
            add_to_beatmap=True,
            start_time=1000,
            end_time=2000,
            export_osz=True,
            seed=1,
            star_tries=0,
            device="cpu",
            output_path=str(tmp_path / "out"),
        )
    )
    read = read_osz(again.path)
    (b,) = read.beatmaps.values()
    assert read.find(b.audio_filename).startswith(b"OggS") and read.find(b.background) == b"art"
    assert Beatmap.read(tmp_path / "mine.osu") == mine


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_song_whose_name_is_not_utf8(make, clip, tmp_path):
    path = tmp_path / "caf\udce9.wav"
    path.write_bytes(clip.read_bytes())
    made = make(replace(ASK, audio_path=str(path), export_osz=True, end_time=1500))
    assert read_osz(made.path).find(made.beatmap.audio_filename).startswith(b"OggS")


def test_timing_is_heard_when_not_given(make, tmp_path):
    made = make(
        replace(
            ASK,
            audio_path=str(demo_song()),
            output_path=str(tmp_path),
            timing="auto",
            bpm=None,
            offset=None,
            difficulty=2,
            end_time=9000,
        )
    )
    assert (
        abs(made.report["bpm"] - 128) < 0.05
        and abs((made.report["offset"] - 877) % (60000 / 128)) < 8
        and faults(made.beatmap) == []
    )


def test_the_models_own_timing(make, clip, tmp_path):
    "The grid that the model writes becomes red lines, or a sentence says why not."
    ask = replace(ASK, audio_path=str(clip), output_path=str(tmp_path), timing="model", bpm=None, offset=None)
    try:
        assert faults(make(ask).beatmap) == []
    except UserError as e:
        assert "timing" in str(e)


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".flac"])
def test_other_formats(make, tmp_path, clip, suffix):
    path = tmp_path / f"song{suffix}"
    samples = load_audio(clip)[: 5 * 16000]
    soundfile.write(path, np.stack([samples, samples], 1), 16000)
    assert faults(make(replace(ASK, audio_path=str(path), end_time=1500)).beatmap) == []


def bad_inputs(folder):
    "Name: what is given, a word of the sentence."
    write = lambda name, data: (folder / name).write_bytes(data) and str(folder / name) or str(folder / name)

    def tone(name, samples):
        soundfile.write(folder / name, samples, 16000)
        return str(folder / name)

    return {
        "missing file": ([f"audio_path={folder / 'none.mp3'}"], "none.mp3"),
        "directory": ([f"audio_path={folder}"], str(folder)),
        "empty file": ([f"audio_path={write('empty.mp3', b'')}"], "empty.mp3"),
        "nothing": ([], "audio_path"),
        "text renamed": ([f"audio_path={write('text.mp3', b'hello there, I am text' * 50)}"], "text.mp3"),
        "too short": ([f"audio_path={tone('short.wav', np.ones(3200) * 0.1)}"], "short.wav"),
        "silence": ([f"audio_path={tone('silence.wav', np.zeros(160000))}"], "silen"),
        "unknown key": (["audio_path=a.mp3", "dificulty=5"], "difficulty"),
        "unknown preset": (["preset=v99"], "v99"),
        "bad number": (["seed=abc"], "seed=abc"),
        "times": ([f"audio_path={demo_song()}", "start_time=9000", "end_time=100"], "start_time=9000"),
        "model": ([f"audio_path={demo_song()}", "model=none"], "none"),
        "unwritable": ([f"audio_path={demo_song()}", "output_path=/proc/nowhere/map.osu"], "/proc/nowhere"),
    }


@pytest.mark.parametrize(
    "name",
    [
        "missing file",
        "directory",
        "empty file",
        "nothing",
        "text renamed",
        "too short",
        "silence",
        "unknown key",
        "unknown preset",
        "bad number",
        "times",
        "model",
        "unwritable",
    ],
)
def test_bad_input_is_one_sentence(name, tmp_path, capfd):
    from mapperatorinator.cli import main

    args, word = bad_inputs(tmp_path)[name]
    before = set(tmp_path.iterdir())
    code = main(["generate", "device=cpu", *args])
    said = capfd.readouterr()
    assert code == 2 and not said.out, said
    lines = [l for l in said.err.splitlines() if l.strip()]
    assert len(lines) == 1 and word in lines[0], said.err
    assert set(tmp_path.iterdir()) == before


def test_samples_that_are_not_numbers(make, tmp_path):
    samples = np.sin(np.arange(160000) / 20).astype(np.float32)
    samples[5000] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 16000, subtype="FLOAT")
    with pytest.raises(UserError, match="nan.wav"):
        make(replace(ASK, audio_path=str(tmp_path / "nan.wav")))


@pytest.mark.parametrize("stage", ["map", "saving"])
def test_cancel_leaves_nothing(make, clip, tmp_path, stage):
    with pytest.raises(KeyboardInterrupt):
        make(replace(ASK, audio_path=str(clip), output_path=str(tmp_path)), lambda p: p.stage == stage)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another signal there")
def test_ctrl_c_while_writing_leaves_nothing(tmp_path, heard):
    run = subprocess.Popen(
        [*COMMAND, "generate", f"audio_path={demo_song()}", f"output_path={tmp_path}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in iter(lambda: run.stderr.readline(), ""):
        if "map" in line or "listening" in line:
            break
    time.sleep(0.5)
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=600) == 130 and list(tmp_path.iterdir()) == []


def test_one_call_keeps_the_model(clip, tmp_path):
    from mapperatorinator.pipeline import _ready

    _ready.cache_clear()
    for seed in (1, 2):
        generate_map(replace(ASK, audio_path=str(clip), output_path=str(tmp_path), seed=seed, end_time=1500))
    assert _ready.cache_info().misses == 1
