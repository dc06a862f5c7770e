"The judges that were learnt: the shipped file, what they promise across rooms, and their two tasks."

import json

import numpy as np
import pytest

from mapperatorinator.complexity import complexity
from mapperatorinator.config import EvalConfig
from mapperatorinator.consent import OptOut
from mapperatorinator.core import UserError, asset
from mapperatorinator.distances import Yardstick, distance
from mapperatorinator.evaluate import evaluate
from mapperatorinator.heads import FILE, Heads, shipped_heads
from mapperatorinator.judges import TASKS
from mapperatorinator.osu.files import write_osz
from mapperatorinator.statistics import Chart
from mapperatorinator.synth.damage import PROBES
from mapperatorinator.synth.songs import compose_song, write_song


@pytest.fixture(scope="module")
def heads():
    return shipped_heads()


def test_shipped_file_is_small_and_numbers_only(heads):
    files = sorted(p.name for p in asset("heads").iterdir())
    assert files == ["README.md", "heads.json", FILE]
    assert sum(p.stat().st_size for p in asset("heads").iterdir()) < 3e6
    told = json.loads((asset("heads") / "heads.json").read_text())
    assert len(told["mappers"]) == heads.style.weight.shape[1]
    assert not [key for key in told if "title" in key or "file" in key]


def test_atlas_is_in_order(heads):
    a = heads.atlas
    assert (np.diff(a.owner) >= 0).all() and a.owner.max() + 1 == len(a.id) == len(a.mode) == len(a.stars)
    assert set(np.unique(a.mode)) <= {0, 1, 2, 3}
    for mode in np.unique(a.mode):
        row = int(a.rows(mode)[0])
        x = a.x[a.owner == row] / 16
        assert a.nearest(x, mode, 1)[0].row == row


def test_nobody_who_opted_out_is_named(heads):
    x = heads.atlas.cloud(0).x[:3]
    named = dict(heads.style.likely(x, 0, OptOut()))
    gone = OptOut(names=frozenset(list(named)[:1]))
    assert list(named)[0] not in dict(heads.style.likely(x, 0, gone))
    assert sum(named.values()) == pytest.approx(1, abs=1e-6)


def test_complexity_is_finite_in_all_modes(heads):
    song = compose_song(3, 20, bpm=140)
    for mode in range(4):
        b = song.map(3)
        b.mode = mode
        assert 0 <= complexity(heads.rhythm, Chart.of(b)) < 200


def test_jitter_makes_a_rhythm_more_complex(heads):
    b = compose_song(5, 30, bpm=150).map(4)
    jitter = next(p for p in PROBES if p.name == "jitter")
    figures = [complexity(heads.rhythm, Chart.of(jitter(b, level))) for level in (-1, 0, 2)]
    assert figures[0] < figures[1] < figures[2]


def test_distance_of_people_from_themselves_is_nothing(heads):
    cloud = heads.atlas.cloud(0)
    assert Yardstick(cloud).frechet(cloud)(np.ones(len(cloud.names))) == pytest.approx(0, abs=1e-3)
    some = cloud.of(cloud.names[::6])
    i = distance("kernel", Yardstick(cloud.of(np.setdiff1d(cloud.names, some.names))), some)
    assert i.low < i.mean < i.high


def test_damaged_heads_are_named(tmp_path, heads):
    heads.write(tmp_path)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:500])
    with pytest.raises(UserError, match="heads.safetensors"):
        Heads.read(tmp_path)


def test_a_result_is_told_with_its_nearest_maps(tmp_path, heads):
    song = compose_song(5, 20, bpm=150)
    write_song(tmp_path / "song.ogg", song.samples, "Song", "Synth")
    maps = [song.map(stars) for stars in (2, 4)]
    for b, name in zip(maps, ("Easy", "Insane")):
        b.title, b.version, b.audio_filename = "Song", name, "song.ogg"
    write_osz(tmp_path / "set.osz", maps, {"song.ogg": (tmp_path / "song.ogg").read_bytes()})
    lines = []
    evaluate(EvalConfig(task="judges", maps=str(tmp_path / "set.osz")), lines.append)
    told = json.loads(lines[-1])["results"]
    assert "judges" in TASKS and len(told) == 2
    known = {int(i) for i in heads.atlas.id[heads.atlas.rows(0)]}
    for row in told.values():
        cosines = [near["cosine"] for near in row["near"]]
        assert {near["id"] for near in row["near"]} <= known and cosines == sorted(cosines, reverse=True)
    easy, insane = told.values()
    assert easy["stars"] < insane["stars"] and easy["near"] != insane["near"]


def test_a_result_without_its_song_is_left_out(tmp_path):
    compose_song(5, 20, bpm=150).map(3).write(tmp_path / "lone.osu")
    lines = []
    evaluate(EvalConfig(task="judges", maps=str(tmp_path / "lone.osu")), lines.append)
    assert json.loads(lines[-1])["results"] == {} and any("is not there" in line for line in lines)
