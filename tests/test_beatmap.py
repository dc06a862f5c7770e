"""The rooms of `osu` against the corpus, the reference's figures and other readers."""

import math, random, warnings

import pytest

import parity
from parity import language as L
from corpus.corpus import anew, examine, report as figures
from mapperatorinator.core import UserError
from mapperatorinator.osu.beatmap import Beatmap, BeatmapError, Circle, Hold, Slider, Spinner, TimingPoint
from mapperatorinator.osu.curves import SliderPath
from mapperatorinator.osu.difficulty import star_rating
from mapperatorinator.osu.timing import Timing
from mapperatorinator.parse import Scribe


def files(corpus, every, few=40):
    "One map in so many; at least a few of a small corpus."
    found = [p for p in sorted(corpus.rglob("*.osu")) if p.parent.name != "malformed"]
    return found[:: max(min(every, len(found) // few), 1)]


def read(path):  # a beatmap, or None when it is refused
    try:
        return Beatmap.read(path)
    except BeatmapError:
        return None


def report(capsys, text):
    with capsys.disabled():
        print(f"\n  {text}")


# ---- reading and writing


def test_corpus_is_read_and_written_back(
    corpus, capsys
):  # the whole of it: python tests/corpus/corpus.py ../shared/data
    found = figures([examine(p) for p in sorted(corpus.rglob("malformed/*.osu")) + files(corpus, 25)])
    report(capsys, found)
    assert found["read"] == found["identity"] == 1 and found["byte_identical"] >= 0.99
    assert found["agreeing"] == found["refused"] > 0


def test_an_edit_costs_one_line(corpus):
    rng = random.Random(1)
    for path in files(corpus, 120, 20):
        if not (b := read(path)) or len(b.hit_objects) < 5:
            continue
        before = b.to_text().splitlines()
        rng.choice(b.hit_objects).time += 1
        after = b.to_text().splitlines()
        assert sum(x != y for x, y in zip(before, after)) == 1 and len(before) == len(after), path


# ---- other readers

KINDS = {"n_circles": Circle, "n_sliders": Slider, "n_spinners": Spinner, "n_holds": Hold}


def test_rosu_counts_the_same_objects(corpus, capsys):
    import rosu_pp_py as rosu

    n, other = 0, []
    for path in files(corpus, 12):
        if not (b := read(path)):
            continue
        n = n + 1
        map = rosu.Beatmap(content=path.read_bytes())
        ours = {k: sum(isinstance(o, kind) for o in b.hit_objects) for k, kind in KINDS.items()}
        if ours != {k: getattr(map, k) for k in KINDS}:
            other.append(path.name)
    report(capsys, f"object counts equal to rosu-pp on {n - len(other)} of {n} maps {other or ''}")
    assert not other


def test_slider_reads_the_same_objects(corpus, capsys):
    slider = pytest.importorskip("slider")
    n = objects = 0
    standard = [p for p in files(corpus, 1) if "standard" in p.parts]
    for path in standard[:: max(min(20, len(standard) // 12), 1)]:
        data = path.read_bytes()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = slider.Beatmap.parse(data.decode("utf-8-sig")).hit_objects(stacking=False)
        except Exception:
            continue  # that library raises on what the game reads
        b = Beatmap.parse(data)
        at = lambda d: round(d.total_seconds() * 1000)
        assert len(found) == len(b.hit_objects), path
        for a, o in zip(found, b.hit_objects):
            assert (a.position.x, a.position.y, at(a.time)) == (*o.pos, o.time), path
            if isinstance(o, Slider):
                assert a.length == o.length and a.repeat == o.slides and len(a.curve.points) == len(o.points)
            if isinstance(o, Slider) and b.redline_at(o.time).time <= o.time:
                assert abs(at(a.end_time) - b.end_time(o)) < 2, path
        n = n + 1
        objects = objects + len(found)
    report(capsys, f"{objects} objects of {n} maps as slider reads them")
    assert n > 10


def test_stars_of_our_text_are_those_of_the_file(corpus, capsys):
    rows = [l.split("\t") for l in (corpus / "beatmaps" / "index.tsv").read_text().splitlines()]
    head = rows[0]
    rows = [r for r in rows[1:] if "malformed" not in r[0]]
    rows = rows[:: max(min(40, len(rows) // 40), 1)]
    worst = 0.0
    for r in rows:
        row = dict(zip(head, r))
        b = anew(Beatmap.read(corpus / row["file"]))
        worst = max(worst, abs(star_rating(b) - float(row["stars"])))
    report(capsys, f"stars of {len(rows)} maps written anew: within {worst:.4f} of the file's")
    assert worst < 0.01


# ---- curves and timing against the reference


def test_slider_paths(fixtures):
    kinds = {"Linear": "L", "Bezier": "B", "PerfectCurve": "P", "Catmull": "C"}
    worst = 0.0
    for f in parity.oracles_of(fixtures)["slider_path"]:
        path = SliderPath(kinds[f["type"]], f["points"])
        assert len(path.vertices) == f["vertices"] and abs(path.natural_length - f["length"]) < 1e-6
        worst = max([worst, *(math.dist(path.at(p), (x, y)) for p, x, y in f["at"])])
        if "expected" in f:
            want, length, x, y = f["expected"]
            cut = SliderPath(kinds[f["type"]], f["points"], want)
            assert math.dist(cut.end, (x, y)) < 1e-5 and abs(cut.total - length) < 1e-6
    assert worst < 5e-7


def _tokens(x, y):  # v32 cell and sub-cell, truncated as published models do
    cell = lambda v, low, high: int(min(max(v / 32, low / 32), high / 32)) - low // 32
    fine = lambda v: min(math.floor(v % 32 / 2), 15)
    return cell(x, -256, 768) + 33 * cell(y, -256, 640), fine(x) + 16 * fine(y)


def slider_ends(fixtures):
    "(raw end, what it is in our tokens, what it is in the oracle's) of the sliders of v32; times and snaps are in both."
    for path in sorted((fixtures / "oracles" / "parse").glob("*.json.gz")):
        b = L.beatmap(
            fixtures, path.name.removesuffix(".json.gz"), own_clock=False
        )  # which are read 24 ms early there
        if b.mode not in (0, 2):
            continue
        expected, seen = [], {}
        for name, value, at in L.stream(
            L.types_of(fixtures), parity.read_json(path)["configs"]["v32"]["map"]
        ):
            if name == "slider_end":
                expected.append((at, seen["snap"], seen["pos"], seen["pos_refine"]))
            seen[name] = value
        scribe = Scribe(L.language("v32"), b)
        sliders = [
            (round(o.time * 1000) + scribe.slider_span(o)[0], o)
            for o in b.hit_objects
            if isinstance(o, Slider) and len(o.points) < 100
        ]
        assert len(sliders) == len(expected), path.name
        for (us, o), want in zip(sorted(sliders, key=lambda s: scribe.ms(s[0])), expected):
            kind, points = scribe.shape(o)
            at = scribe.slider_end(o, kind, points)
            yield at, (scribe.ms(us), scribe.snaps[us], *_tokens(*at)), want


def same_end(at, time, theirs):
    "Whether an end is the oracle's, or would be if a last bit were another; time: ms and snap."
    return any((*time, *_tokens(*end)) == theirs for end in [at, *L.sides(at)])


def test_slider_ends_of_published_models(fixtures, capsys):
    found = list(slider_ends(fixtures))
    equal = sum(ours == theirs for _, ours, theirs in found)
    report(capsys, f"{equal} of {len(found)} slider ends equal in time, snap and position tokens")
    assert len(found) > 50 and equal >= 0.998 * len(found)
    assert not [(at, ours, theirs) for at, ours, theirs in found if not same_end(at, ours[:2], theirs)]


@pytest.mark.parametrize(
    "off,excused", [(1e-13, True), (1e-12, True), (1e-10, False), (1e-9, False), (1.0, False)]
)
def test_an_end_is_only_excused_on_the_very_border_of_two_cells(off, excused):
    for x in (-100, 0, 96, 256, 510):
        right = (x + off, 77.3)
        left = _tokens(x - off, 77.3)
        assert _tokens(*right) != left and same_end(right, (1000, 2), (1000, 2, *left)) == excused
        assert not same_end(right, (1000, 2), (1010, 2, *left)), "no border excuses another time"


def test_median_beat_length_of_the_reference(fixtures):
    n = 0
    for path in sorted((fixtures / "oracles" / "parse").glob("*.json.gz")):
        scalars = parity.read_json(path)["scalars"]
        b = L.beatmap(fixtures, path.name.removesuffix(".json.gz"))
        if "median_ms_per_beat" not in scalars or not b.hit_objects or b.timing_points != Timing.of(b).points:
            continue
        last = max(o.end_time if isinstance(o, Hold) else o.time for o in b.hit_objects)
        assert Timing.of(b).median_beat_length(last, whole_seconds=True) == pytest.approx(
            scalars["median_ms_per_beat"], abs=1e-3
        ), path.name
        n += 1
    assert n >= 2


def test_resnap_never_moves_further_than_the_reference(fixtures):
    for f in parity.oracles_of(fixtures)["resnap"]:
        timing = Timing([TimingPoint(*p) for p in f["timing"]])
        ours = timing.resnap(f["time"], f["divisor"])
        assert abs(ours - f["time"]) <= min(21, abs(f["out"] - f["time"]) + 1)


# ---- user errors


@pytest.mark.parametrize(
    "make",
    [lambda d: d / "missing.osu", lambda d: d, lambda d: (d / "x.osu").write_text("hello") and d / "x.osu"],
)
def test_bad_paths_are_user_errors(tmp_path, make):
    with pytest.raises(UserError):
        Beatmap.read(make(tmp_path))


def test_a_velocity_that_is_no_number_is_equal_to_itself():
    "From Python 3.13 on dataclasses compare field by field, where NaN is not even itself."
    text = "osu file format v14\n[TimingPoints]\n0,500,4,1,0,60,1,0\n9,NaN,4,1,0,60,0,0\n"
    a = Beatmap.parse(text).timing_points
    b = Beatmap.parse(text).timing_points
    assert a == b and len({*a, *b}) == 2 and a[0] != a[1]
