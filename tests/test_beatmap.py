"""Rooms 10 to 13 against the corpus, the reference's figures and other readers."""
import gzip, io, json, math, os, random, warnings, zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from corpus import anew, examine, report as figures
from parity_language import beatmap as published
from mapperatorinator.core import UserError
from mapperatorinator.osu.beatmap import Beatmap, BeatmapError, Circle, Hold, Slider, Spinner, TimingPoint, read_osz, safe_member
from mapperatorinator.osu.curves import SliderPath, end_point
from mapperatorinator.osu.difficulty import star_rating
from mapperatorinator.osu.timing import Timing

SHARED = Path(__file__).resolve().parents[2]/"shared"
FILES = sorted((SHARED/"data").rglob("*.osu")) if (SHARED/"data").is_dir() else []
FIXTURES = SHARED/"fixtures"
corpus = pytest.mark.skipif(not FILES, reason="../shared/data is absent")
fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="../shared/fixtures is absent")

def read(path): # a beatmap, or None when it is refused
    try: return Beatmap.read(path)
    except BeatmapError: return None

def report(capsys, text):
    with capsys.disabled(): print(f"\n  {text}")

# ---- reading and writing

@corpus
def test_corpus_is_read_and_written_back(capsys): # the whole of it: python tests/corpus.py ../shared/data
    found = figures([examine(p) for p in [p for p in FILES if p.parent.name == "malformed"] + FILES[::25]])
    report(capsys, found)
    assert found["read"] == found["identity"] == 1 and found["byte_identical"] >= 0.99
    assert found["agreeing"] == found["refused"] > 0

@corpus
def test_an_edit_costs_one_line():
    rng = random.Random(1)
    for path in FILES[::120]:
        if not (b := read(path)) or len(b.hit_objects) < 5: continue
        before = b.to_text().splitlines()
        rng.choice(b.hit_objects).time += 1
        after = b.to_text().splitlines()
        assert sum(x != y for x, y in zip(before, after)) == 1 and len(before) == len(after), path

# ---- other readers

KINDS = {"n_circles": Circle, "n_sliders": Slider, "n_spinners": Spinner, "n_holds": Hold}

@corpus
def test_rosu_counts_the_same_objects(capsys):
    import rosu_pp_py as rosu
    n, other = 0, []
    for path in FILES[::12]:
        if path.parent.name == "malformed" or not (b := read(path)): continue
        n, map = n + 1, rosu.Beatmap(content=path.read_bytes())
        ours = {k: sum(isinstance(o, kind) for o in b.hit_objects) for k, kind in KINDS.items()}
        if ours != {k: getattr(map, k) for k in KINDS}: other.append(path.name)
    report(capsys, f"object counts equal to rosu-pp on {n - len(other)} of {n} maps {other or ''}")
    assert not other

@corpus
def test_slider_reads_the_same_objects(capsys):
    slider = pytest.importorskip("slider")
    n = objects = 0
    for path in [p for p in FILES if "standard" in p.parts][::20]:
        data = path.read_bytes()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = slider.Beatmap.parse(data.decode("utf-8-sig")).hit_objects(stacking=False)
        except Exception: continue # that library raises on what the game reads
        b, at = Beatmap.parse(data), lambda d: round(d.total_seconds() * 1000)
        assert len(found) == len(b.hit_objects), path
        for a, o in zip(found, b.hit_objects):
            assert (a.position.x, a.position.y, at(a.time)) == (*o.pos, o.time), path
            if isinstance(o, Slider): assert a.length == o.length and a.repeat == o.slides and len(a.curve.points) == len(o.points)
            if isinstance(o, Slider) and b.redline_at(o.time).time <= o.time: assert abs(at(a.end_time) - b.end_time(o)) < 2, path
        n, objects = n + 1, objects + len(found)
    report(capsys, f"{objects} objects of {n} maps as slider reads them")
    assert n > 10

@corpus
def test_stars_of_our_text_are_those_of_the_file(capsys):
    rows = [l.split("\t") for l in (SHARED/"data"/"beatmaps"/"index.tsv").read_text().splitlines()]
    head, rows = rows[0], [r for r in rows[1:] if "malformed" not in r[0]][::40]
    worst = 0.
    for r in rows:
        row = dict(zip(head, r))
        b = anew(Beatmap.read(SHARED/"data"/row["file"]))
        worst = max(worst, abs(star_rating(b) - float(row["stars"])))
    report(capsys, f"stars of {len(rows)} maps written anew: within {worst:.4f} of the file's")
    assert worst < 0.01

# ---- curves and timing against the reference

@fixtures
def test_slider_paths():
    kinds, worst = {"Linear": "L", "Bezier": "B", "PerfectCurve": "P", "Catmull": "C"}, 0.
    for f in json.loads((FIXTURES/"postprocess_timing_oracles.json").read_text())["slider_path"]:
        path = SliderPath(kinds[f["type"]], f["points"])
        assert len(path.vertices) == f["vertices"] and abs(path.natural_length - f["length"]) < 1e-6
        worst = max([worst, *(math.dist(path.at(p), (x, y)) for p, x, y in f["at"])])
        if "expected" in f:
            want, length, x, y = f["expected"]
            cut = SliderPath(kinds[f["type"]], f["points"], want)
            assert math.dist(cut.end, (x, y)) < 1e-5 and abs(cut.total - length) < 1e-6
    assert worst < 5e-7

def _tokens(x, y): # v32 cell and sub-cell, truncated as published models do
    cell = lambda v, low, high: int(min(max(v / 32, low / 32), high / 32)) - low // 32
    fine = lambda v: min(math.floor(v % 32 / 2), 15)
    return cell(x, -256, 768) + 33 * cell(y, -256, 640), fine(x) + 16 * fine(y)

@fixtures
def test_slider_ends_of_published_models(capsys):
    folder = FIXTURES/"oracles"/"parse"
    index, wrong, n = json.loads((folder/"index.json").read_text()), [], 0
    for f in (f for f in index["files"] if f["mode"] in (0, 2)):
        b = published(FIXTURES, f["name"], own_clock=False) # which are read 24 ms early there
        events = json.loads(gzip.decompress((folder/f"{f['name']}.json.gz").read_bytes()))["configs"]["v32"]["map"]
        expected, seen, timing = [], {}, Timing.of(b)
        for kind, value, at in zip(events["type"], events["value"], events["time"]):
            name = index["types"][kind]
            if name == "slider_end": expected.append((at, seen["snap"], seen["pos"], seen["pos_refine"]))
            seen[name] = value
        ends = [(int(o.time + int(b.duration(o)) + 1e-5), o) for o in b.hit_objects if isinstance(o, Slider) and len(o.points) < 100]
        found = [(t, timing.snap_divisor(t), *_tokens(*end_point(o.curve, tuple(o.points), o.length))) for t, o in sorted(ends, key=lambda e: e[0])]
        wrong += [(f["name"], a, e) for a, e in zip(found, expected) if a != e]
        assert len(found) == len(expected), f["name"]
        n += len(found)
    report(capsys, f"{n - len(wrong)} of {n} slider ends equal in time, snap and position tokens")
    assert not wrong

@fixtures
def test_median_beat_length_of_the_reference():
    folder, n = FIXTURES/"oracles"/"parse", 0
    for f in json.loads((folder/"index.json").read_text())["files"]:
        scalars = json.loads(gzip.decompress((folder/f"{f['name']}.json.gz").read_bytes()))["scalars"]
        key = next((k for k in scalars if "median" in k), None)
        b = Beatmap.parse(gzip.decompress((folder/"osu"/f"{f['name']}.osu.gz").read_bytes()))
        if key is None or not b.hit_objects or b.timing_points != Timing.of(b).points: continue
        last = max(o.end_time if isinstance(o, Hold) else o.time for o in b.hit_objects)
        assert Timing.of(b).median_beat_length(last, whole_seconds=True) == pytest.approx(scalars[key], abs=1e-3), f["name"]
        n += 1
    assert n > 20

@fixtures
def test_resnap_never_moves_further_than_the_reference():
    for f in json.loads((FIXTURES/"postprocess_timing_oracles.json").read_text())["resnap"]:
        timing = Timing([TimingPoint(*p) for p in f["timing"]])
        ours = timing.resnap(f["time"], f["divisor"])
        assert abs(ours - f["time"]) <= min(21, abs(f["out"] - f["time"]) + 1)

BASE = (Path(__file__).parent/"maps"/"kinds.osu").read_text(encoding="utf-8") # one of everything

# ---- archives

def archive(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in members: z.writestr(name, data)
    return buffer.getvalue()

def test_archive_limits():
    with pytest.raises(BeatmapError, match="files; the limit"): read_osz(archive([(f"{i}", "") for i in range(11)]), max_files=10)
    with pytest.raises(BeatmapError, match="unpacks to"): read_osz(archive([("bomb.osu", b"0" * 10**7)]), max_bytes=10**6)
    with pytest.raises(BeatmapError, match="not an .osz"): read_osz(b"not a zip")
    broken = bytearray(archive([("a.osu", BASE)])); broken[40:60] = b"\xff" * 20
    assert not read_osz(bytes(broken)).beatmaps and read_osz(bytes(broken)).refused

@given(st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_member_names_stay_inside(name):
    safe = safe_member(name)
    if safe is not None:
        root = Path("/root/folder")
        assert Path(os.path.normpath(root/safe)).is_relative_to(root)

# ---- user errors

@pytest.mark.parametrize("make", [lambda d: d/"missing.osu", lambda d: d, lambda d: (d/"x.osu").write_text("hello") and d/"x.osu"])
def test_bad_paths_are_user_errors(tmp_path, make):
    with pytest.raises(UserError): Beatmap.read(make(tmp_path))
