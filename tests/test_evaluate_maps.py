"Measures of maps: what they notice, what they are blind to, and the task that prints them."

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mapperatorinator.config import EvalConfig
from mapperatorinator.core import UserError, asset
from mapperatorinator.data import Listing
from mapperatorinator.evaluate import evaluate
from mapperatorinator.evaluation import maps as judging
from mapperatorinator.evaluation.generate import star_requests
from mapperatorinator.evaluation.songs import MappedSong
from mapperatorinator.judge import Verdicts, asks_of, measure, noticed_table, seen_by, try_probe
from mapperatorinator.metrics import HumanGrid, authored_divisors, bootstrap, count_matches, rank_correlation
from mapperatorinator.osu.beatmap import Beatmap, Circle, Hold, TimingPoint
from mapperatorinator.osu.timing import Timing
from mapperatorinator.statistics import Chart, figures_of, human_ranges, patterns
from mapperatorinator.synth.damage import PROBES, late, shaken
from mapperatorinator.synth.songs import compose_song, write_song

MADE = [compose_song(seed, 20, bpm=110 + 13 * seed) for seed in range(5)]
PROBE = {p.name: p for p in PROBES}


def in_mode(b, mode):
    "The rhythm of a composed map, as notes of another mode."
    out = Beatmap.new(mode=mode, cs=4, timing_points=b.timing_points, audio_filename=b.audio_filename)
    for i, o in enumerate(b.hit_objects):
        x = (64 + 128 * (i * 7 % 4)) if mode == 3 else 40 + (i * 97) % 430
        sound = 8 * (i * 5 % 3 == 0)
        long = mode == 3 and i % 5 == 0
        note = Hold(x, 192, o.time, hitsound=sound, end_time=o.time + 60) if long else None
        out.hit_objects.append(note or Circle(x, 192, o.time, 1, sound))
    return out


def asks(mode=0, songs=MADE):
    maps = [s.map(3) if mode == 0 else in_mode(s.map(3), mode) for s in songs]
    return [asks_of(f"song {i}", {"a.osu": b}, 20_000)[0] for i, b in enumerate(maps)]


@pytest.fixture(scope="module")
def tried():
    return [try_probe(a, p) for a in asks() for p in PROBES]


def found_by(tried, name):
    return {s.probe: s for s in seen_by(name, tried)}


times = st.lists(st.integers(0, 3000), max_size=40).map(lambda x: np.array(sorted(x), float))


@given(times, times, st.integers(0, 60))
def test_nothing_is_matched_twice(found, truth, tolerance):
    hits = count_matches(found, truth, tolerance)
    assert hits <= min(len(found), len(truth)) and hits == count_matches(truth, found, tolerance)
    assert count_matches(np.repeat(found, 2), truth[:1], tolerance) <= 1


@settings(deadline=None, max_examples=12)
@given(st.integers(0, len(MADE) - 1), st.floats(-80, 80))
def test_an_injected_shift_is_found(i, shift):
    b = MADE[i].map(3)
    timing = Timing.of(b)
    grid = HumanGrid.of(timing, authored_divisors([b]), 0, 20_000)
    starts = Chart.of(b).times
    assert abs(grid.offset(starts + shift) - grid.offset(starts) - shift) <= 3


def test_the_grid_of_a_song_is_that_of_all_its_tempos():
    points = [TimingPoint(100, 400, 4), TimingPoint(8100, 500, 3)]
    notes = [*np.arange(100, 8100, 200), *np.arange(8100, 20_000, 250)]
    b = Beatmap.new(timing_points=points, hit_objects=[Circle(0, 0, int(t)) for t in notes])
    grid = HumanGrid.of(Timing(points), authored_divisors([b]), 0, 20_000)
    assert grid.on(np.array(notes, float)) == 1 and grid.offset(np.array(notes, float)) == 0
    assert grid.on(np.array([8300.0, 8400.0])) == 0  # ticks of the first tempo only


def test_jitter_takes_notes_off_the_grid(tried):
    seen = found_by(tried, "on_grid")["jitter"]
    assert seen.noticed and seen.change.high < -0.3 and seen.rank.mean < -0.7


def test_a_loose_tolerance_is_told_to_be_blind(tried):
    v = Verdicts(0, tried=tried)
    for a in asks():
        v.add("human", a.song, measure(a.human.beatmap, a, a.human))
    told = {line.split(" | ")[0].strip("| "): line for line in noticed_table(v)}
    blind = told["rhythm F1 at 40 ms"].split(" | ")[2]
    assert "jitter" in blind and "types" in blind and "shift" not in blind
    assert "jitter" not in told["rhythm F1 at 10 ms"].split(" | ")[2]


@pytest.mark.parametrize(
    "name, damage",
    [
        ("offset", "shift"),
        ("astray", "strays"),
        ("repeats", "loop"),
        ("rate_ratio", "thin"),
        ("rate_ratio", "crowd"),
        ("rate_ratio", "bursts"),
        ("density", "thin"),
    ],
)
def test_every_damage_is_noticed_by_its_measure(tried, name, damage):
    assert found_by(tried, name)[damage].noticed


@pytest.mark.parametrize("name", ["on_grid", "on_grid_shifted", "f1_20", "rate", "density"])
def test_rhythm_is_blind_to_contents(tried, name):
    assert not found_by(tried, name)["types"].noticed


def test_patterns_notice_contents():
    first = asks(mode=1)[0]
    known = frozenset(patterns(first.human))
    damaged = [first.chart(PROBE["types"](first.human.beatmap, level)) for level in (-1, 0, 2)]
    whole, some, all_of_it = (figures_of(c, known)["familiar"] for c in damaged)
    assert whole == 1 > some > all_of_it


def test_a_mirror_is_noticed_by_nothing(tried):
    for name in tried[0].rows[0]:
        assert not found_by(tried, name)["mirror"].noticed, name


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_all_modes_are_measured(mode):
    first = asks(mode)[0]
    row = measure(first.human.beatmap, first, first.human)
    assert row["f1_10"] == 1 and row["on_grid"] == 1 and all(np.isfinite(v) for v in row.values())
    assert {f"{name}_fit" for name in figures_of(first.human, frozenset())} <= set(row)
    for probe in PROBES:
        damaged = probe(first.human.beatmap, 2)
        assert all(np.isfinite(v) for v in measure(damaged, first, first.human).values())
        assert damaged.to_text() == Beatmap.parse(damaged.to_text()).to_text()


def test_damage_leaves_the_map_alone_and_chords_whole():
    b = in_mode(MADE[0].map(3), 3)
    b.hit_objects += [Circle(450, 192, o.time) for o in b.hit_objects[::4]]
    before = b.to_text()
    shaken_map = shaken(b, 30, np.random.default_rng(0))
    assert b.to_text() == before
    count = lambda m: len({o.time for o in m.hit_objects})
    assert count(shaken_map) == count(b)
    assert [o.end_time - o.time for o in late(b, 20).hit_objects if isinstance(o, Hold)] == [
        o.end_time - o.time for o in b.hit_objects if isinstance(o, Hold)
    ]


def test_intervals():
    rng = np.random.default_rng(1)
    inside = [bootstrap(x).low <= 0.5 <= bootstrap(x).high for x in rng.normal(0.5, 0.1, (200, 25))]
    assert 0.88 <= np.mean(inside) <= 0.99
    assert bootstrap([1, 2, 3]) == bootstrap([1, 2, 3, np.nan]) and bootstrap([]).songs == 0
    assert not bootstrap([5.0]).clear and bootstrap([5.0, 5.1, 4.9]).clear
    assert rank_correlation([0, 1, 2, 3], [9, 4, 2, 1]) == pytest.approx(-1)


def test_the_shipped_figures_hold_no_map():
    stored = asset("statistics.json").read_text(encoding="utf-8")
    assert "osu file format" not in stored and len(stored) < 400_000
    for mode in range(4):
        ranges = human_ranges(mode)
        assert all(len(v) == len(ranges.stars) for v in ranges.borders.values()) and len(ranges.known) > 100


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    for i, song in enumerate(MADE[:2]):
        folder = root / "songs" / "validation" / f"song {i}"
        folder.mkdir(parents=True)
        write_song(folder / "audio.ogg", song.samples, "A", "B")
        for stars in (2, 4):
            song.map(stars).write(folder / f"{stars}.osu")
    return root


def judged(corpus, lines=None, **kw):
    given = dict(dataset=str(corpus), task="maps", songs=0, each=0, seconds=15, timings=[], probes=False)
    return evaluate(EvalConfig(**given | kw), [].append if lines is None else lines.append)


def test_the_last_line_is_json(corpus):
    lines = []
    found = judged(corpus, lines)
    last = json.loads(lines[-1])
    assert last["task"] == "maps" and last["standard"] == found["standard"]
    systems = last["standard"]["systems"]
    assert list(systems) == ["human", "metronome", "onsets", "onsets, own timing", "human, bars in disorder"]
    low, high = systems["onsets"]["f1_20"][1:]
    assert 0 <= low <= systems["onsets"]["f1_20"][0] <= high <= 1
    assert any(line.startswith("| rhythm F1 at 20 ms |") for line in lines)


def test_maps_of_others_are_judged(corpus, tmp_path):
    place = tmp_path / "theirs" / "song 0"
    place.mkdir(parents=True)
    late(MADE[0].map(4), 30).write(place / "4.osu")
    Beatmap.new(timing_points=[TimingPoint(0, 400)]).write(place / "2.osu")
    theirs = judged(corpus, maps=str(tmp_path))["standard"]["systems"]["theirs"]
    assert theirs["maps"] == 2 and theirs["offset"][0] == pytest.approx(30, abs=3)
    assert theirs["collapsed"][0] == 0.5 and theirs["f1_40"][0] == 0.5 and theirs["f1_20"][0] < 0.3


class Written:
    "A model that writes late human maps, and is stopped after some."

    def __init__(self, most):
        self.left = most

    def __call__(self, song, asks, timing, notes):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= len(asks)
        by = 10 if timing == "auto" else 0
        facts = [{"asked": ask.stars, "first_stars": ask.stars - 0.25, "drafts": 1} for ask in asks]
        return [(late(ask.human.beatmap, by), said) for ask, said in zip(asks, facts)]


def test_a_stopped_run_goes_on(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "PROBES", PROBES[:2])
    ways = dict(timings=["auto", "reference"], probes=True)

    def run(name, most):
        monkeypatch.setattr(judging, "MapWriter", lambda conf: Written(most))
        return judged(corpus, maps=str(tmp_path / name / "maps"), output=str(tmp_path / name), **ways)

    whole = run("whole", 99)
    with pytest.raises(KeyboardInterrupt):
        run("parts", 6)
    with (tmp_path / "parts" / "judged.jsonl").open("a") as f:
        f.write('{"key": ["half a li')
    assert run("parts", 2) == whole  # the eight that are wanted, less six
    systems = whole["standard"]["systems"]
    assert systems["auto"]["open_off"][0] == 0.25 and systems["reference"]["f1_10"][0] == 1
    assert 5 < systems["auto"]["offset"][0] < 15


def test_another_clip_is_another_measurement(corpus, tmp_path):
    judged(corpus, output=str(tmp_path), songs=1)
    with pytest.raises(UserError, match="was measured otherwise"):
        judged(corpus, output=str(tmp_path), songs=1, seconds=10)


def test_statistics_are_learnt(corpus, tmp_path):
    conf = EvalConfig(
        task="statistics", dataset=str(corpus), split="validation", output=str(tmp_path / "s.json")
    )
    lines = []
    evaluate(conf, lines.append)
    assert json.loads(lines[-1]) == {"task": "statistics", "standard": 4}
    assert set(json.loads((tmp_path / "s.json").read_text())) == {"0"}
    with pytest.raises(UserError, match="No human mania map"):
        evaluate(replace(conf, mode="mania"), lines.append)


def test_songs_and_targets_are_limited(corpus):
    conf = EvalConfig(task="maps", dataset=str(corpus), songs=1, each=1, seconds=15)
    songs = list(judging.asked_songs(conf, "standard", Listing()))
    assert [len(s.asks) for s in songs] == [1] and len(songs[0].samples) == 15 * 16000


def test_maps_that_share_their_beats_are_written_together(corpus):
    conf = EvalConfig(task="maps", dataset=str(corpus), songs=1, each=0, seconds=15)
    (song,) = judging.asked_songs(conf, "standard", Listing())
    easy, hard = song.asks
    other = replace(hard, human=hard.chart(late(hard.human.beatmap, 0)))
    other.human.beatmap.timing_points = [TimingPoint(0, 333)]
    count = lambda asks, timing: [len(group) for group in judging.sharing_beats(asks, timing)]
    assert count([easy, hard], "reference") == count([easy, other], "auto") == [2]
    assert count([easy, other], "reference") == [1, 1]
    assert judging.sharing_beats([], "auto") == []


def test_a_song_is_asked_for_maps_of_its_mode():
    human = Beatmap.new(mode=3, cs=7, timing_points=[TimingPoint(0, 400)], hit_objects=[Circle(64, 192, 0)])
    song = MappedSong("song", Path("song.ogg"), [human])
    asked = star_requests(EvalConfig(stars=[2, 4], settings=["temperature=0.5"]), song)
    assert [(c.gamemode, c.keycount, c.difficulty, c.temperature) for c in asked] == [
        (3, 7, 2, 0.5),
        (3, 7, 4, 0.5),
    ]
    short = song.clipped(1.0)
    assert len(short.maps) == 1 and short.name == "song"


def test_wrong_settings_of_a_request_are_said(corpus):
    with pytest.raises(UserError, match="temprature"):
        judged(corpus, timings=["auto"], settings=["temprature=0.5"])
