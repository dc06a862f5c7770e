"The main job from outside: songs of every kind, bad input, the same again, what other programs say of the map."
import signal, subprocess, sys, time, zipfile
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from mapperatorinator.audio import load_audio
from mapperatorinator.config import GenerateConfig, LanguageConfig
from mapperatorinator.core import UserError, demo_song
from mapperatorinator.evaluate import faults
from mapperatorinator.osu.beatmap import Beatmap, Circle, TimingPoint, read_osz
from mapperatorinator.osu.check import check_map
from mapperatorinator.pipeline import Result, Song2Map, generate_map

ASK = GenerateConfig(difficulty=3, seed=1, device="cpu", timing="manual", bpm=128, offset=377)

@pytest.fixture(scope="module")
def clip(excerpt): return excerpt(8, "Some One - Some Song.wav")

@pytest.fixture(scope="module")
def made(make, clip): return make(replace(ASK, audio_path=str(clip)))

COMMAND = [sys.executable, "-c", "import sys; from mapperatorinator.cli import main; sys.exit(main())"]

def test_the_map_is_sound(made):
    assert faults(made.beatmap) == [] and made.report["objects"] == len(made.beatmap.hit_objects) > 5
    assert (made.beatmap.title, made.beatmap.artist) == ("Some Song", "Some One")
    assert made.report["bpm"] == 128 and made.report["achieved_stars"] > 0

def test_other_readers_agree(made):
    rosu, slider = pytest.importorskip("rosu_pp_py"), pytest.importorskip("slider")
    assert rosu.Beatmap(path=str(made.path)).n_objects == len(made.beatmap.hit_objects)
    assert len(slider.Beatmap.from_path(made.path).hit_objects(stacking=False)) == len(made.beatmap.hit_objects)

class Scripted(Song2Map):
    "A pipeline whose model wrote, draft by draft, what is handed in: a number of objects and the stars they come to."
    def __init__(self, *drafts): self.script, self.told, self.language = list(drafts), [], LanguageConfig()
    def hear(self, *_): return None
    find_grid = given = hear
    def drafts(self, song, wishes, progress=None, **metadata):
        self.told += [w.told for w in wishes]
        return [self.result(w, *self.script.pop(0)) for w in wishes]
    def result(self, wish, objects, stars): # side by side in one place before the song: nothing but problems
        b = Beatmap.new(timing_points=[TimingPoint(0, 500)], hit_objects=[Circle(-50, 192, 10)] * objects)
        report = dict(requested_stars=wish.config.difficulty, achieved_stars=stars, objects=objects, seed=wish.config.seed)
        return Result(b, report, check_map(b), wish.told)

def test_a_retry_that_writes_nothing_keeps_the_earlier_map():
    ask = replace(ASK, difficulty=1., star_tries=3)
    line = Scripted((40, 6.), (0, 0.), (0, 0.), (0, 0.))
    kept = line.maps(None, [ask])[0]
    assert (kept.report["objects"], kept.report["achieved_stars"], kept.told) == (40, 6., 1.)
    assert line.told[:2] == [1., .5] and len(line.told) == kept.report["drafts"].count("told") == 4
    with pytest.raises(UserError, match="wrote no objects"): Scripted((0, 0.)).maps(None, [ask])

def test_what_was_mended_in_the_song_stands_in_the_report(make, made, clip, tmp_path):
    x, rate = soundfile.read(clip)
    soundfile.write(tmp_path/"a.flac", np.stack([x, -x], 1), rate)
    data = (tmp_path/"a.flac").read_bytes()
    (tmp_path/"b.flac").write_bytes(data[:len(data)*2//3] + bytes(3000) + data[len(data)*2//3 + 3000:])
    ask = replace(ASK, audio_path=str(tmp_path/"b.flac"), output_path=str(tmp_path), difficulties=[2., 3.], end_time=1000, star_tries=0)
    result = make(ask)
    assert "silent" in result.report["heard"] and "cancel" in result.report["heard"] and made.report["heard"] is None
    assert [r.report["heard"] for r in result.others] == [result.report["heard"]]

def test_settings_and_disclosure_are_in_the_tags(made):
    tags = made.beatmap.metadata["Tags"].split()
    assert {"ai-generated", "seed=1", "difficulty=3", "bpm=128", "timing=manual"} <= {t.replace("=3.0", "=3").replace("=128.0", "=128") for t in tags}
    assert not any("audio_path" in t or "output_path" in t for t in tags)

def test_same_seed_same_bytes(make, clip, made, tmp_path):
    again = make(replace(ASK, audio_path=str(clip), output_path=str(tmp_path)))
    assert again.path.read_bytes() == made.path.read_bytes()
    other = make(replace(ASK, audio_path=str(clip), output_path=str(tmp_path), seed=2))
    assert other.path.read_bytes() != made.path.read_bytes() and again.path.exists() and other.path != again.path

def test_osz_holds_map_and_song(make, clip, tmp_path):
    made = make(replace(ASK, audio_path=str(clip), output_path=str(tmp_path), export_osz=True))
    names = zipfile.ZipFile(made.path).namelist()
    assert clip.name in names and len(names) == 2 and made.path.suffix == ".osz"
    assert list(read_osz(made.path).beatmaps.values())[0].hit_objects

def test_timing_is_heard_when_not_given(make, tmp_path):
    made = make(replace(ASK, audio_path=str(demo_song()), output_path=str(tmp_path), timing="auto", bpm=None, offset=None, difficulty=2))
    assert abs(made.report["bpm"] - 128) < .05 and abs((made.report["offset"] - 877) % (60000/128)) < 8 and faults(made.beatmap) == []

def test_the_models_own_timing(make, clip, tmp_path):
    "The grid that the model writes becomes red lines, or a sentence says why not."
    ask = replace(ASK, audio_path=str(clip), output_path=str(tmp_path), timing="model", bpm=None, offset=None)
    try: assert faults(make(ask).beatmap) == []
    except UserError as e: assert "timing" in str(e)

@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".flac"])
def test_other_formats(make, tmp_path, clip, suffix):
    path = tmp_path/f"song{suffix}"
    samples = load_audio(clip)[:5*16000]
    soundfile.write(path, np.stack([samples, samples], 1), 16000)
    assert faults(make(replace(ASK, audio_path=str(path))).beatmap) == []

def bad_inputs(folder):
    "Name: what is given, a word of the sentence."
    write = lambda name, data: (folder/name).write_bytes(data) and str(folder/name) or str(folder/name)
    def tone(name, samples): soundfile.write(folder/name, samples, 16000); return str(folder/name)
    return {"missing file": ([f"audio_path={folder/'none.mp3'}"], "none.mp3"), "directory": ([f"audio_path={folder}"], str(folder)),
            "empty file": ([f"audio_path={write('empty.mp3', b'')}"], "empty.mp3"), "nothing": ([], "audio_path"),
            "text renamed": ([f"audio_path={write('text.mp3', b'hello there, I am text' * 50)}"], "text.mp3"),
            "too short": ([f"audio_path={tone('short.wav', np.ones(3200) * .1)}"], "short.wav"),
            "silence": ([f"audio_path={tone('silence.wav', np.zeros(160000))}"], "silen"),
            "unknown key": (["audio_path=a.mp3", "dificulty=5"], "difficulty"), "unknown preset": (["preset=v99"], "v99"),
            "bad number": (["seed=abc"], "seed=abc"), "times": ([f"audio_path={demo_song()}", "start_time=9000", "end_time=100"], "start_time=9000"),
            "mode": ([f"audio_path={demo_song()}", "gamemode=3"], "gamemode=3"), "model": ([f"audio_path={demo_song()}", "model=none"], "none"),
            "unwritable": ([f"audio_path={demo_song()}", "output_path=/proc/nowhere/map.osu"], "/proc/nowhere")}

@pytest.mark.parametrize("name", ["missing file", "directory", "empty file", "nothing",
    "text renamed", "too short", "silence", "unknown key", "unknown preset", "bad number", "times", "mode", "model", "unwritable"])
def test_bad_input_is_one_sentence(name, tmp_path, capfd):
    from mapperatorinator.cli import main
    args, word = bad_inputs(tmp_path)[name]
    before = set(tmp_path.iterdir())
    code, said = main(["generate", "device=cpu", *args]), capfd.readouterr()
    assert code == 2 and not said.out, said
    lines = [l for l in said.err.splitlines() if l.strip()]
    assert len(lines) == 1 and word in lines[0], said.err
    assert set(tmp_path.iterdir()) == before

def test_samples_that_are_not_numbers(make, tmp_path):
    samples = np.sin(np.arange(160000) / 20).astype(np.float32); samples[5000] = np.nan
    soundfile.write(tmp_path/"nan.wav", samples, 16000, subtype="FLOAT")
    with pytest.raises(UserError, match="nan.wav"): make(replace(ASK, audio_path=str(tmp_path/"nan.wav")))

def test_cancel_leaves_nothing(make, clip, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(replace(ASK, audio_path=str(clip), output_path=str(tmp_path)), lambda p: p.stage == "map")
    assert list(tmp_path.iterdir()) == []

@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another signal there")
def test_ctrl_c_while_writing_leaves_nothing(tmp_path):
    run = subprocess.Popen([*COMMAND, "generate", f"audio_path={demo_song()}", f"output_path={tmp_path}"],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in iter(lambda: run.stderr.readline(), ""):
        if "map" in line or "listening" in line: break
    time.sleep(.5); run.send_signal(signal.SIGINT)
    assert run.wait(timeout=60) == 130 and list(tmp_path.iterdir()) == []

def test_one_call_keeps_the_model(clip, tmp_path):
    from mapperatorinator.pipeline import _ready
    _ready.cache_clear()
    for seed in (1, 2): generate_map(replace(ASK, audio_path=str(clip), output_path=str(tmp_path), seed=seed, end_time=3000))
    assert _ready.cache_info().misses == 1
