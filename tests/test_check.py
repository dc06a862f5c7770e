"""Every fault that `osu.check` knows is found where it is planted, in every mode that can have it, and human maps are clean."""
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mapperatorinator.osu.beatmap import Beatmap, Circle, Hold, Slider, Spinner, TimingPoint
from mapperatorinator.osu.check import KINDS, check_map
from mapperatorinator.postprocess import clean, end_with_song

def healthy(mode, n=120): # a map without faults: notes on the quarters, nothing repeated
    rng = np.random.default_rng(mode)
    places = [(64 + 128 * int(c), 192) for c in rng.integers(0, 4, n)] if mode == 3 else rng.integers(40, 340, (n, 2)).tolist()
    notes = [Circle(x, y, 500 + 250 * i, hitsound=int(rng.integers(0, 2)) * 8) for i, (x, y) in enumerate(places)]
    return Beatmap.new(mode=mode, cs=4, timing_points=[TimingPoint(0, 500)], hit_objects=notes)

def line(t, x=100, y=100, length=100.): return Slider(x, y, t, curve="L", points=[(x, y), (x + 50, y)], length=length)
LATE = 40_000 # after everything in a healthy map
END = healthy(0).hit_objects[-1].time

def added(*objects): return lambda map: replace(map, hit_objects=[*map.hit_objects, *objects])
def pointed(*points): return lambda map: replace(map, timing_points=list(points))
def moved(change): return lambda map: replace(map, hit_objects=[change(i, o) for i, o in enumerate(map.hit_objects)])

ALL, FIELD, SINGLE = (0, 1, 2, 3), (0, 2), (0, 1, 2) # modes: every, with a field, one thing at a time
PLANTED = [ # kind, modes, what plants it, what the check is told
    ("no_tempo", ALL, pointed(), {}),
    ("early_line", ALL, pointed(TimingPoint(-9, -50, uninherited=False), TimingPoint(0, 500)), {}),
    ("absurd_tempo", ALL, pointed(TimingPoint(0, 500), TimingPoint(LATE, 1e-300)), {}),
    ("unordered", ALL, lambda map: replace(map, hit_objects=map.hit_objects[::-1]), {}),
    ("empty", ALL, lambda map: replace(map, hit_objects=[]), {}),
    ("foreign", SINGLE, added(Hold(64, 192, LATE, end_time=LATE + 500)), {}),
    ("foreign", (3,), added(line(LATE)), {}),
    ("outside", (0, 2, 3), added(Circle(700, 100, LATE)), {}),
    ("outside", (0,), added(Circle(100, 400, LATE)), {}),
    ("path_outside", FIELD, added(line(LATE, 450, length=400.)), {}),
    ("no_duration", SINGLE, added(Spinner(256, 192, LATE, end_time=LATE)), {}),
    ("no_duration", SINGLE, added(Slider(9, 9, LATE, curve="L", points=[(9, 9), (9, 9)])), {}),
    ("no_duration", (3,), added(Hold(64, 192, LATE, end_time=LATE - 9)), {}),
    ("short_slider", SINGLE, added(line(LATE, length=0.5)), {}),
    ("long_object", SINGLE, added(Spinner(256, 192, LATE, end_time=LATE + 10**6)), {}),
    ("long_object", (3,), added(Hold(64, 192, LATE, end_time=LATE + 10**6)), {}),
    ("overlap", SINGLE, added(line(LATE, length=300.), Circle(300, 300, LATE + 250)), {}),
    ("overlap", SINGLE, added(Circle(300, 300, LATE), Circle(100, 100, LATE)), {}),
    ("column_overlap", (3,), added(Hold(64, 192, LATE, end_time=LATE + 500), Circle(64, 192, LATE + 250)), {}),
    ("chord", (3,), added(*(Circle(x, 192, LATE) for x in (9, 150, 300, 400, 500))), {}),
    ("before_start", ALL, added(Circle(64, 64, -500)), {}),
    ("past_end", ALL, added(Circle(64, 64, LATE)), {"length": LATE - 10}),
    ("unsnapped", ALL, added(Circle(64, 64, LATE + 17)), {}),
    ("off_grid", ALL, moved(lambda i, o: replace(o, time=o.time + 8)), {}),
    ("stack", ALL, moved(lambda i, o: replace(o, x=64, y=64, hitsound=0)), {}),
    ("one_place", ALL, moved(lambda i, o: replace(o, x=64, y=64, hitsound=0)), {}),
    ("copies", ALL, lambda map: moved(lambda i, o: replace(o, x=64 * (i % 8), y=9, hitsound=8 * (i % 2)))(healthy(map.mode, 400)), {}),
    ("copied", FIELD, moved(lambda i, o: replace(o, x=64 * (i % 8), y=64)), {}),
    ("gap", ALL, added(Circle(64, 64, LATE * 3)), {}),
    ("coverage", ALL, lambda map: map, {"length": 10**6}),
    ("crowd", ALL, added(*(Circle(i % 512, 64, LATE + i) for i in range(500))), {}),
    ("silence", ALL, lambda map: map, {"samples": np.r_[np.ones(16000 * 20), np.zeros(16000 * 30)].astype(np.float32)}),
    ("stars", ALL, lambda map: map, {"stars": 30.}),
]

@pytest.mark.parametrize("mode", ALL)
def test_a_healthy_map_is_clean(mode):
    report = check_map(healthy(mode), length=END + 1000)
    assert not report.findings and report.clean and "Nothing" in report._repr_html_()

MENDED = {"foreign", "no_duration", "outside", "past_end", "overlap", "column_overlap", "unordered"} # there is one safe answer

def mended(map): # the kinds that must be gone
    end_with_song(map, END + 1000); clean(map)
    return MENDED

@pytest.mark.parametrize("kind,mode,plant,told", [(k, m, p, t) for k, modes, p, t in PLANTED for m in modes])
def test_planted(kind, mode, plant, told):
    map = plant(healthy(mode))
    report = check_map(map, **told)
    found = [f for f in report.findings if f.kind == kind]
    assert found and all(f.severity == KINDS[kind][0] and f.text.endswith(".") for f in found)
    assert all(0 <= i < len(map.hit_objects) for f in found for i in f.objects)
    if kind in MENDED: assert not mended(map) & set(check_map(map, **told).counts())

def test_every_kind_is_planted(): # rosu refuses what has no stars, and finds none of our toys suspicious
    assert set(KINDS) - {k for k, *_ in PLANTED} == {"no_stars"}

def test_another_song_is_no_excuse():
    taiko = healthy(1)
    assert check_map(replace(taiko, hit_objects=[replace(o, x=-999) for o in taiko.hit_objects])).clean # x means nothing there

positions, moments = st.integers(-100, 700), st.integers(0, 20).map(lambda i: i * 125)
anything = st.one_of(st.builds(Circle, positions, positions, moments), st.builds(line, moments, positions, positions, st.just(60.)),
                     st.builds(Spinner, positions, positions, moments, end_time=moments),
                     st.builds(Hold, positions, positions, moments, end_time=moments))

@settings(max_examples=150, deadline=None)
@given(st.lists(anything, max_size=12), st.sampled_from(ALL))
def test_cleaning_leaves_nothing_that_has_a_safe_answer(objects, mode):
    map = Beatmap.new(mode=mode, timing_points=[TimingPoint(0, 500)], hit_objects=objects)
    assert not mended(map) & set(check_map(map, length=END + 1000).counts())
    assert clean(map).total() == end_with_song(map, END + 1000) == 0, "a second run does nothing"

def test_human_maps_are_nearly_clean(corpus, capsys):
    files = sorted((corpus/"songs").rglob("*.osu"))
    maps = [Beatmap.read(p) for p in files[::max(min(len(files) // 20, 16), 1)]]
    start = time.process_time()
    clean = sum(check_map(map).clean for map in maps)
    spent = (time.process_time() - start) / len(maps)
    with capsys.disabled(): print(f"\n  {clean} of {len(maps)} maps have no problem; {spent * 1000:.0f} ms a map")
    assert clean >= 0.95 * len(maps) and spent < 0.5
