"""What people, scripts and accidents do to .osu files: only the typed error may leave, within a second and in little memory.

`pytest tests/test_fuzz.py` tries 300 inputs, `pytest tests/test_fuzz.py -m slow` 10,000."""
import math
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from corpus.corpus import anew
from mapperatorinator.config import LanguageConfig
from mapperatorinator.core import UserError
from mapperatorinator.osu.beatmap import Beatmap, BeatmapError, Slider
from mapperatorinator.osu.check import check_map
from mapperatorinator.osu.timing import Timing
from mapperatorinator.parse import Parser
from mapperatorinator.postprocess import clean

MAPS = [p.read_text(encoding="utf-8") for p in sorted((Path(__file__).parent/"maps").glob("*.osu"))] # our own, one of everything
CHUNKS = ["nan", "-1", "1e308", "1e-300", "99999999999", "2147483647", "-2147483648", "1e18", "", ",", "|", ":", "\r", "\n", "\0", "[", "]", "//", "B|",
          "[HitObjects]\n", "[TimingPoints]\n", "é", "\ufeff", "-", ".5", "131072", "9000", "9001", "L|0:0|0:0", "0,0,0,2,0,P|1:1|2:2,1,1\n", "٣", "\ud800",
          " ", "_", "0,1e-300,4,1,0,9,1,0\n", "0,NaN,4,1,0,9,1,0\n", "0,-1e-9,4,1,0,9,0,0\n", "9,9,9,2,0,B|9:9|131072:-131072|0:0,9000,131072\n",
          "0,0,0,8,0,2147483647\n", "5,5,0,128,0,2147483647:\n", "B4|1:1|2:9|3:3|4:0|5:5|9:9", "0,0,-2147483648,1,0\n"]
edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(CHUNKS) | st.text(max_size=5), st.sampled_from([1, 1, 1, 10])),
                 min_size=1, max_size=8)

def mutate(text, changes): # each: a place, how much is cut there, what comes instead, how often
    for place, cut, chunk, times in changes:
        i = int(place * len(text))
        text = text[:i] + chunk * times + text[i + cut:]
    return text

mutated = st.builds(mutate, st.sampled_from(MAPS), edits)
random_bytes = st.binary(max_size=300) | st.binary(max_size=200).map(lambda b: b"osu file format v14\n[HitObjects]\n" + b)
inputs = mutated | mutated.map(lambda t: t.encode("utf-8", "replace")) | st.text(max_size=300) | random_bytes

def events(map): # the map in the language of our own models; what lasts longer than any song has no such words
    try: assert Parser(LanguageConfig(add_mania_sv=True, add_kiai=True)).map_events(map) is not None
    except UserError as e: assert "longer than any song" in str(e)

def use(map): # what rooms above do with a map
    for o, end in zip(map.hit_objects, [map.end_time(o) for o in map.hit_objects]):
        assert math.isfinite(end)
        if isinstance(o, Slider): assert np.isfinite(o.path.vertices).all() and len(o.path.points_along(9)) == 9
    timing = Timing.of(map)
    try: timing.beats(0, max((map.end_time(o) for o in map.hit_objects), default=0), 4)
    except UserError as e: assert "shorter" in str(e)
    assert map._repr_markdown_() and map.filename and map.ar is not None and map.breaks is not None
    events(map)
    report = check_map(map, length=60_000)
    assert report.summary() and report._repr_html_()
    if any(p.uninherited for p in map.timing_points): clean(mended := map.copy()); assert len(mended.hit_objects) <= len(map.hit_objects)

def survives(data): # a typed error, or a beatmap that can be used and written
    start = time.process_time()
    try: map = Beatmap.parse(data)
    except BeatmapError: return
    out = map.to_bytes()
    assert Beatmap.parse(out).to_bytes() == out
    fresh = anew(map)
    assert Beatmap.parse(fresh.to_bytes()).hit_objects == fresh.hit_objects
    use(map)
    assert time.process_time() - start < 1

@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(inputs)
def test_inputs(data): survives(data)

@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(inputs)
def test_ten_thousand_inputs(data): survives(data)

HEAD = "osu file format v14\n\n[TimingPoints]\n0,500,4,1,0,50,1,0\n"
ABSURD = {"beats of no length": "0,1e-300,4,1,0,50,1,0\n[HitObjects]\n9,9,0,12,0,2147483647\n",
          "slides and lengths": "[HitObjects]\n" + "9,9,0,2,0,B|99:9|131072:-131072|0:0,9000,131072\n" * 50,
          "a billion slides": "[HitObjects]\n9,9,0,2,0,B|99:9,1000000000,1e18\n",
          "many points": "0,500,4,1,0,50,1,0\n" * 2_000 + "[HitObjects]\n9,9,0,2,0,L|99:9,1,90\n",
          "one long curve": "[HitObjects]\n9,9,0,2,0,B" + "".join(f"|{i * 7919 % 512}:{i * 104729 % 384}" for i in range(1000)) + ",1,900\n",
          "an endless hold": "[HitObjects]\n" + "9,9,-2147483648,128,0,2147483647:0:0:0:0:\n" * 20}

@pytest.mark.parametrize("name", ABSURD)
def test_absurd_numbers_cost_little(name):
    tracemalloc.start()
    try: survives(HEAD + ABSURD[name]); peak = tracemalloc.get_traced_memory()[1]
    finally: tracemalloc.stop()
    assert peak < 300e6
