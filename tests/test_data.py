"Corpora as people have them: a map's own song among other sounds, songs that cannot be read and maps that are of no use."

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf
import torch

from mapperatorinator.config import EvalConfig, LanguageConfig, TrainConfig
from mapperatorinator.core import UserError
from mapperatorinator.data import (
    SPEEDS,
    Batches,
    Listing,
    MapItem,
    Sampler,
    load_corpus,
    song_folders,
    window_example,
    window_line,
)
from mapperatorinator.events import EventType
from mapperatorinator.osu.beatmap import Beatmap
from mapperatorinator.osu.files import find_file
from mapperatorinator.parse import Parser
from mapperatorinator.prompt import Metadata
from mapperatorinator.tokenizer import Tokenizer
from mapperatorinator.evaluate import evaluate
from mapperatorinator.evaluation.timing import PEERS, by_peer
from sounds import RATE, bursts, damage, encoded
from mapperatorinator.model.mapper import tiny_model

CONF = TrainConfig(model=tiny_model())


def osu(audio="song.ogg", objects=12, line="26,468.75,4,2,0,60,1,0"):
    "A map of a tempo, as text."
    spots = "".join(
        f"{100 + 60 * (i % 5)},{100 + 40 * (i % 4)},{26 + round(234.375 * i)},1,0,0:0:0:0:\n"
        for i in range(objects)
    )
    head = f"osu file format v14\n\n[General]\nAudioFilename: {audio}\nMode: 0\n\n[Metadata]\nTitle:T\nArtist:A\nCreator:C\nVersion:V\n\n"
    rules = "[Difficulty]\nHPDrainRate:5\nCircleSize:4\nOverallDifficulty:5\nApproachRate:5\nSliderMultiplier:1.4\nSliderTickRate:1\n\n"
    return f"{head}{rules}[TimingPoints]\n{line}\n\n[HitObjects]\n{spots}"


def folder(root, name, split="train", **files):
    "A song folder; the names of files with __ for the dot."
    place = root / "songs" / split / name
    place.mkdir(parents=True)
    for file, content in files.items():
        (place / file.replace("__", ".")).write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
    return place


@pytest.fixture(scope="module")
def song():
    return encoded("ogg", bursts(4))


def seconds(item):
    return len(item.mel) * item.frame_ms / 1000


def test_a_map_is_learnt_with_its_own_song(tmp_path, song):
    "Hit sounds, other songs and videos lie beside it, and its name is in another case."
    place = folder(
        tmp_path,
        "one",
        a__osu=osu("SONG.OGG"),
        b__osu=osu(),
        song__ogg=song,
        audio__mp3=encoded("mp3", bursts(2)),
    )
    sf.write(place / "normal-hitclap.wav", bursts(1.5), RATE)
    (item,) = load_corpus(tmp_path, "train", CONF, listing=(listing := Listing()))
    assert seconds(item) == pytest.approx(4, abs=0.1) and len(item.maps) == 2 and listing.sentences() == []


def test_the_song_is_found_as_the_game_finds_it(tmp_path, song):
    place = folder(tmp_path, "one", a__osu=osu("music\\Song.ogg"))
    (place / "Music").mkdir()
    (place / "Music" / "song.ogg").write_bytes(song)
    assert (
        find_file(place, "music\\Song.ogg")
        == find_file(place, "MUSIC/song.ogg")
        == place / "Music" / "song.ogg"
    )
    assert find_file(place, "../a.osu") is find_file(place, "") is find_file(place, "Music") is None
    assert len(load_corpus(tmp_path, "train", CONF)) == 1


def test_two_songs_in_one_folder(tmp_path, song):
    folder(
        tmp_path,
        "marathon",
        a__osu=osu("a.ogg"),
        b__osu=osu("b.mp3"),
        a__ogg=song,
        b__mp3=encoded("mp3", bursts(2)),
    )
    items = load_corpus(tmp_path, "train", CONF)
    assert [(i.name, len(i.maps), round(seconds(i))) for i in items] == [
        ("marathon/a.ogg", 1, 4),
        ("marathon/b.mp3", 1, 2),
    ]


def bad_corpus(root, song):
    folder(root, "good", a__osu=osu(), song__ogg=song)
    folder(root, "torn", a__osu=osu(), song__ogg=damage(song, "zeroed"))
    folder(root, "junk", a__osu=osu(), song__ogg=b"\x81junk" * 600)
    folder(root, "none", a__osu=osu())
    folder(
        root,
        "maps",
        a__osu=osu(),
        b__osu=osu(objects=0),
        c__osu=osu(line="26,-100,4,2,0,60,0,0"),
        d__osu=b"\x00\x01 no map" * 9,
        song__ogg=song,
    )
    return root


def test_bad_songs_and_maps_are_left_out_named_and_counted(tmp_path, song):
    items = load_corpus(bad_corpus(tmp_path, song), "train", CONF, listing=(listing := Listing()))
    assert [i.name for i in items] == ["good", "maps", "torn"]
    told = listing.sentences()
    for name, words in {
        "junk/song.ogg": "not audio",
        "none/a.osu": "song.ogg",
        "maps/b.osu": "no objects",
        "maps/c.osu": "no tempo",
        "maps/d.osu": "",
    }.items():
        assert [s for s in told if s.startswith(f"{name} is left out") and words in s], name
    assert [s for s in told if s.startswith("torn/song.ogg: ") and "silent" in s]
    assert told[-1] == "Left out: 1 song, 4 maps." and not [s for s in told if "good" in s]


def test_nothing_that_can_be_used(tmp_path):
    folder(tmp_path, "junk", a__osu=osu(), song__ogg=b"\x81junk" * 600)
    with pytest.raises(UserError, match=r"1 files are left out.*junk/song.ogg.*not audio"):
        load_corpus(tmp_path, "train", CONF)
    with pytest.raises(UserError, match="No songs at"):
        song_folders(tmp_path, "test")


def test_training_goes_on_without_a_bad_song(tmp_path, song):
    bad_corpus(tmp_path, song)
    sizes = [
        "d_model=32",
        "n_heads=2",
        "d_ff=64",
        "encoder_layers=1",
        "decoder_layers=1",
        "local_attention=16",
    ]
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "mapperatorinator",
            "train",
            f"data={tmp_path}",
            "val_split=",
            "steps=1",
            "batch_size=1",
            "eval_every=1",
            f"run={tmp_path / 'run'}",
            "device=cpu",
            *(f"model.{s}" for s in sizes),
        ],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-500:]
    assert "junk/song.ogg is left out" in run.stdout and "Left out: 1 song, 4 maps." in run.stdout
    assert json.loads(run.stdout.strip().splitlines()[-1])["step"] == 1


def test_judging_goes_on_without_a_bad_song(tmp_path, song):
    said = []
    evaluate(
        EvalConfig(task="timing", dataset=str(bad_corpus(tmp_path, song)), split="train", songs=0),
        said.append,
    )
    assert sum(s.startswith("provider=grid") for s in said) == 3
    assert any(s.startswith("junk is left out") and "not audio" in s for s in said)
    assert any("none/a.osu is left out" in s for s in said) and json.loads(said[-1])["provider"] == "grid"


def test_a_program_that_hears_no_beats_has_no_tempo(monkeypatch):
    for beats in ([], [1.0], [1.0, 1.5]):
        monkeypatch.setitem(PEERS, "librosa", lambda x, beats=beats: np.array(beats))
        with pytest.raises(UserError, match=f"hears {len(beats)} beats"):
            by_peer("librosa", np.zeros(16000))


def test_a_mania_map_is_learnt_with_its_shares_of_holds_and_scroll_speeds():
    "And a taiko map with its scroll speeds: the tokens that a request would have, none of them unknown."
    lines = "0,468.75,4,2,0,60,1,0\n2000,-50,4,2,0,60,0,0"
    text = osu(line=lines).replace("CircleSize:4", "CircleSize:5")
    for mode, holds, scrolls in ((0, None, None), (1, None, 1 / 12), (3, 0.0, 1 / 12)):
        b = Beatmap.parse(text.replace("Mode: 0", f"Mode: {mode}"))
        item = MapItem(b, Parser(CONF.language))
        found = item.metadata(9000, 1.0)
        assert (found.hold_note_ratio, found.scroll_speed_ratio) == (holds, pytest.approx(scrolls))
        assert found == Metadata.of(b, CONF.language, 9000, difficulty=item.difficulty())


def test_the_ratios_stand_in_the_line_that_is_learnt():
    language = LanguageConfig(gamemodes=[3])
    tokenizer = Tokenizer.from_config(language)
    b = Beatmap.parse(osu().replace("Mode: 0", "Mode: 3"))
    example = window_example(MapItem(b, Parser(language)), tokenizer, language, 0, 9000)
    for kind, value in ((EventType.HOLD_NOTE_RATIO, 0.0), (EventType.SCROLL_SPEED_RATIO, 0.0)):
        assert tokenizer.metadata_id(kind, value) in example.ids


def drawn(tmp_path, song, **settings):
    "A sampler of a song with two maps."
    folder(tmp_path, "one", song__ogg=song, a__osu=osu(), b__osu=osu(objects=9))
    conf = TrainConfig(model=tiny_model(), batch_size=2, steps=6, **settings)
    songs = load_corpus(tmp_path, "train", conf)
    return Sampler(songs, Tokenizer.from_config(conf.language), conf)


def equal(a, b):
    pairs = [(x, y) for g, h in zip(a.groups, b.groups, strict=True) for x, y in zip(g, h)]
    return all(torch.equal(x, y) for x, y in pairs) and torch.allclose(a.mel, b.mel, atol=1e-3)


@pytest.mark.parametrize("settings", [{}, dict(group_tokens=512)])
def test_workers_and_the_bank_give_what_the_sampler_gives(tmp_path, song, settings):
    sampler = drawn(tmp_path, song, **settings)
    alone = [sampler(step) for step in range(6)]
    for workers in (0, 2):
        batches = Batches(sampler, "cpu", workers)
        assert all(equal(batches(step), alone[step]) for step in range(6))
        assert equal(batches(3), alone[3]) and equal(batches(4), alone[4])  # taken up again


def test_lines_from_arrays_are_lines_from_events(tmp_path, song):
    sampler = drawn(tmp_path, song)
    (one,) = sampler.songs
    rng = np.random.default_rng(3)
    for _ in range(200):
        where = dict(start_ms=8.0 * rng.integers(-400, 600), song_ms=one.ms, speed=float(rng.choice(SPEEDS)))
        flip = (bool(rng.integers(2)), bool(rng.integers(2)))
        told = one.maps[rng.integers(2)], sampler.tokenizer, sampler.conf.language
        slow = window_example(*told, flip=flip, **where)
        fast = window_line(*told, flip=flip, **where)
        assert fast.ids.tolist() == slow.ids.tolist() and fast.labels.tolist() == slow.labels.tolist()
