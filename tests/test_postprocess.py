"""Post-processing: each step alone, each twice, and any garbage of events still makes a map."""

import json, math, pathlib
from collections import Counter
import nbformat, numpy as np, pytest
from hypothesis import given, settings, strategies as st
from mapperatorinator.config import GenerateConfig, LanguageConfig
from mapperatorinator.groups import Group
from mapperatorinator.osu.difficulty import settings_for
from mapperatorinator.core import UserError
from mapperatorinator.events import GROUP_TYPES, NON_TIMED, Event, EventStream, EventType as E
from mapperatorinator.osu.faults import check_screen
from mapperatorinator.osu.findings import Facts
from mapperatorinator.osu.beatmap import Beatmap, Circle, Hold, Slider, Spinner, TimingPoint
from mapperatorinator.osu.check import check_map
from mapperatorinator.osu.timing import Timing
from mapperatorinator.parse import Parser, hold_note_ratio
from mapperatorinator import postprocess
from mapperatorinator.postprocess import (
    _into,
    assemble,
    clean,
    completed,
    end_holds,
    end_in_time,
    fix_combos,
    inside,
    on_screen,
    lead_in,
    one_at_a_time,
    preview_point,
    resnap,
    set_breaks,
    settle,
    ease_jumps,
    hyperdashes,
    size_hitsounds,
    snap_overlaps,
)
from mapperatorinator.timing.providers import manual
from corpus import assemble_round_trip
from parity import oracles_postprocess, postprocess as reference

RED = [TimingPoint(0, 500)]


def new(*objects, mode=0, points=RED, **settings):
    return Beatmap.new(mode=mode, timing_points=list(points), hit_objects=list(objects), **settings)


def slider(time, points, length, slides=1, **k):
    return Slider(
        *points[0], time, 2, 0, "0:0:0:0:", "L" if len(points) == 2 else "B", points, slides, length, **k
    )


def twice(step, map):  # changes of the first run; the second must change nothing
    n = step(map)
    before = map.to_text()
    assert step(map) == 0 and map.to_text() == before
    return n


# -- each step --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "time,snap,becomes",
    [
        (1003, 1, 1000),
        (1003, 4, 1000),
        (1128, 4, 1125),
        (1128, 0, 1128),
        (1160, 1, 1160),
        (1166, 3, 1166),
        (995, 16, 1000),
    ],
)
def test_resnap(time, snap, becomes):
    g = [Group(E.CIRCLE, time, snap=snap)]
    resnap(g, Timing(RED))
    assert g[0].time == becomes and resnap(g, Timing(RED)) == 0


@pytest.mark.parametrize("time,becomes", [(1003, 1000), (1130, 1125), (1166, 1166), (1205, 1205)])
def test_starts_on_no_tick_settle(time, becomes):
    start, end = g = [Group(E.CIRCLE, time), Group(E.HOLD_NOTE_END, time)]
    settle(g, Timing(RED))
    assert (start.time, end.time) == (becomes, time) and settle(g, Timing(RED)) == 0


def test_overlaps_stack():
    g = [
        Group(E.CIRCLE, 0, x=100, y=100),
        Group(E.CIRCLE, 200, x=102, y=101),
        Group(E.CIRCLE, 400, x=105, y=100),
        Group(E.CIRCLE, 1500, x=101, y=100),
    ]
    assert snap_overlaps(g) == 1 and (g[1].x, g[1].y) == (100, 100) and g[2].x == 105 and g[3].x == 101
    assert snap_overlaps(g) == 0


def test_one_at_a_time():
    m = new(
        Circle(1, 1, 1000),
        slider(1000, [(0, 0), (100, 0)], 100),
        Circle(2, 2, 500),
        Circle(3, 3, 504),
        Circle(4, 4, -5),
        Circle(math.nan, 0, 9000),
    )
    assert twice(one_at_a_time, m) == 4
    assert [type(o).__name__ for o in m.hit_objects] == ["Circle", "Slider"] and [
        o.time for o in m.hit_objects
    ] == [500, 1000]


def test_mania_keeps_chords():
    m = new(Circle(64, 192, 1000), Circle(192, 192, 1000), Circle(64, 192, 1003), mode=3, cs=4)
    assert twice(one_at_a_time, m) == 1 and len(m.hit_objects) == 2


def vertices(m):
    return np.concatenate([o.path.vertices if isinstance(o, Slider) else [[o.x, o.y]] for o in m.hit_objects])


def test_inside_moves_and_folds():
    m = new(
        Circle(-40, 500, 0),
        slider(1000, [(400, 100), (600, 100)], 200),
        slider(3000, [(250, 10), (250, 900)], 800),
        slider(9000, [(600, 0), (700, 0)], 100),
    )
    ends = [m.duration(o) for o in m.hit_objects]
    assert twice(inside, m) == 4
    v = vertices(m)
    assert v.min() >= 0 and v[:, 0].max() <= 512 and v[:, 1].max() <= 384
    assert [m.duration(o) for o in m.hit_objects] == pytest.approx(ends)
    assert (m.hit_objects[2].slides, m.hit_objects[2].length) == (4, 200)


@pytest.mark.parametrize("cs", [0, 2, 4, 7])
def test_no_head_is_cut_off(cs):
    "Stacks that climb off the screen, large circles at its lower edge, sliders: one run brings all back, and none out of the field."
    stack = [Circle(x, 1, 200 * i) for i, x in enumerate([0, 1, 0, 2, 0, 256, 0, 1])]
    low = [Circle(300, 384, 3000), slider(3500, [(400, 383), (450, 300)], 80), Circle(512, 384, 4500)]
    m = new(*stack, *low, cs=cs)
    twice(on_screen, m)
    assert not [f for f in check_screen(Facts(m)) if f.kind == "off_screen"]
    v = vertices(m)
    assert v.min() >= 0 and v[:, 0].max() <= 512 and v[:, 1].max() <= 384


def test_sliders_end_in_time():
    m = new(
        slider(0, [(0, 0), (140, 0)], 140, 4),
        Circle(9, 9, 1100),
        slider(2000, [(0, 0), (280, 0)], 280),
        Circle(9, 9, 2600),
        slider(4000, [(0, 0), (140, 0)], 140),
        Circle(9, 9, 4050),
    )
    assert twice(end_in_time, m) == 3
    a, _, b, _, c, _ = m.hit_objects
    assert (a.slides, a.length) == (2, 140) and b.length == pytest.approx(140) and isinstance(c, Circle)
    assert all(m.end_time(o) < n.time for o, n in zip(m.hit_objects, m.hit_objects[1:]))


def test_nothing_sliders_become_circles():
    m = new(slider(0, [(50, 50), (50, 50)], 100), slider(1000, [(50, 50), (90, 50)], 0.0))
    assert twice(end_in_time, m) == 2 and all(
        type(o) is Circle and o.type & 1 and not o.type & 2 for o in m.hit_objects
    )


def test_spinners_end_or_go():
    m = new(
        Spinner(256, 192, 0, 12, end_time=3000),
        Circle(0, 0, 2000),
        Spinner(256, 192, 4000, 12, end_time=4050),
        Spinner(256, 192, 5000, 12, end_time=7000),
    )
    assert twice(end_in_time, m) == 2
    assert [o.end_time for o in m.hit_objects if isinstance(o, Spinner)] == [1980, 7000]


def test_holds_end():
    m = new(
        Hold(64, 192, 0, end_time=900),
        Hold(192, 192, 0, end_time=900),
        Circle(64, 192, 500),
        Hold(192, 192, 890, end_time=895),
        mode=3,
        cs=4,
    )
    assert twice(end_holds, m) == 3
    assert [getattr(o, "end_time", None) for o in m.hit_objects] == [480, 870, None, None]


def test_hitsounds_are_sized():
    m = new(
        slider(0, [(0, 0), (50, 0)], 50, 3, edge_sounds=[2, 16, 8], edge_additions=[(1, 2)]),
        slider(5000, [(0, 0), (50, 0)], 50, 1, edge_sounds=[0] * 5),
    )
    assert twice(size_hitsounds, m) == 2
    assert (
        m.hit_objects[0].edge_sounds == [2, 0, 8, 0]
        and m.hit_objects[0].edge_additions == [(1, 2)] + [(0, 0)] * 3
        and len(m.hit_objects[1].edge_sounds) == 2
    )


def combos(m):  # lengths
    starts = [i for i, o in enumerate(m.hit_objects) if o.new_combo] + [len(m.hit_objects)]
    return list(np.diff(starts))


def test_combos():
    m = new(*[Circle(0, 0, 500 * i) for i in range(60)])
    assert twice(fix_combos, m) > 0 and max(combos(m)) <= 12
    assert m.hit_objects[0].new_combo and all(o.time % 2000 == 0 for o in m.hit_objects if o.new_combo)
    m = new(
        Circle(0, 0, 0, 5), Spinner(256, 192, 1000, 8, end_time=2000), Circle(0, 0, 3000), Circle(0, 0, 3500)
    )
    assert twice(fix_combos, m) == 2 and combos(m) == [1, 1, 2]


def test_preview_and_breaks():
    times = [*range(0, 10000, 500), *range(30000, 50000, 250), *range(60000, 62000, 500)]
    m = new(*[Circle(0, 0, t) for t in times], ar=9)
    assert preview_point(m) == 30000 and preview_point(new()) == -1
    assert twice(set_breaks, m) == 2 and m.breaks == [(9700, 29400), (49950, 59400)]
    m.timing_points.append(TimingPoint(41000, -100, uninherited=False, effects=1))
    assert preview_point(m) == 41000
    m.hit_objects = m.hit_objects[:10]
    set_breaks(m)
    assert m.breaks == []


def test_settings_and_lead_in():
    of = lambda stars: (lambda c: (c.overall_difficulty, c.approach_rate))(
        completed(GenerateConfig(difficulty=stars))
    )
    assert of(1) == (2, 3) and of(None) == of(4.0) and of(20) == (9.7, 10)
    assert (
        lead_in([TimingPoint(4321, 500)], 10)[0].time == 4321 - 3 * 2000
        and lead_in([TimingPoint(5, 500)], 10)[0].time == 5
    )
    with pytest.raises(UserError, match="red line"):
        lead_in([], 0)


# -- the whole --------------------------------------------------------------------------------------------------------


def check(m):
    "What every map must satisfy, by our reader and rosu's."
    import rosu_pp_py as rosu

    text = m.to_text()
    back = Beatmap.parse(text)
    assert not back.warnings and len(back.hit_objects) == len(m.hit_objects) and back.to_text() == text
    assert rosu.Beatmap(content=text).n_objects == len(m.hit_objects)
    times = [o.time for o in back.hit_objects]
    if m.mode == 3:
        assert len({(o.time, o.column(m.keys)) for o in back.hit_objects}) == len(times)
    else:
        assert all(a < b for a, b in zip(times, times[1:]))
        assert all(back.end_time(o) < n for o, n in zip(back.hit_objects, times[1:]))
    for o in back.hit_objects:
        if isinstance(o, Slider):
            assert (
                o.length > 0 and o.slides >= 1 and len(o.edge_sounds) == o.slides + 1 and back.duration(o) > 0
            )
        if isinstance(o, (Spinner, Hold)):
            assert o.end_time > o.time
    if m.mode != 1 and back.hit_objects:
        v = vertices(back)
        assert v.min() >= -0.51 and v[:, 0].max() <= 512.51 and v[:, 1].max() <= 384.51
    assert all(p.uninherited or 0.099 < p.velocity < 10.01 for p in back.timing_points) and all(
        0 <= p.volume <= 100 for p in back.timing_points
    )
    assert back.timing_points[0].uninherited and sum(clean(back).values()) == 0


RANGES = {
    E.SNAPPING: (0, 16),
    E.POS: (0, 1023),
    E.POS_REFINE: (0, 255),
    E.SCROLL_SPEED: (0, 1200),
    E.HITSOUND: (0, 71),
    E.VOLUME: (0, 100),
    E.MANIA_COLUMN: (0, 3),
    E.NEW_COMBO: (0, 0),
}
KINDS = sorted(GROUP_TYPES, key=lambda t: t.value)
SHAPES = [
    (E.CIRCLE,),
    (E.SPINNER, E.SPINNER_END),
    (E.HOLD_NOTE, E.HOLD_NOTE_END),
    (E.DRUMROLL, E.DRUMROLL_END),
    (E.DENDEN, E.DENDEN_END),
    (E.KIAI,),
    (E.SCROLL_SPEED_CHANGE,),
    (E.SLIDER_HEAD, E.LAST_ANCHOR, E.LAST_ANCHOR, E.SLIDER_END),
    (E.SLIDER_HEAD, E.PERFECT_ANCHOR, E.LAST_ANCHOR, E.LAST_ANCHOR, E.SLIDER_END),
    (
        E.SLIDER_HEAD,
        E.BEZIER_ANCHOR,
        E.RED_ANCHOR,
        E.CATMULL_ANCHOR,
        E.LAST_ANCHOR,
        E.LAST_ANCHOR,
        E.SLIDER_END,
    ),
]
one = st.tuples(
    st.sampled_from(SHAPES),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 2**30)), min_size=7, max_size=7),
    st.integers(0, 9),
)


@st.composite
def garbage(
    draw,
):  # shapes of objects; now and then a word is missing, doubled or of another type, a time goes back
    out = EventStream()
    now = 0
    for shape, parts, luck in draw(st.lists(one, max_size=25)):
        for kind, (step, dice) in zip(shape, parts):
            rng = np.random.default_rng(dice)
            now += step - 100 * (luck == 0)
            if kind not in NON_TIMED and rng.random() < 0.97:
                out.append(Event(E.TIME_SHIFT, now), max(now, 0))
            for a in RANGES:
                if rng.random() < (0.9 if a in (E.POS, E.MANIA_COLUMN) else 0.3):
                    out.append(Event(a, int(rng.integers(RANGES[a][0], RANGES[a][1] + 1))), max(now, 0))
            if luck == 1 and rng.random() < 0.2:
                kind = KINDS[rng.integers(len(KINDS))]
            if luck != 2 or rng.random() < 0.8:
                out.append(Event(kind, int(rng.integers(2)) if kind is E.KIAI else 0), max(now, 0))
    return out


@settings(max_examples=150, deadline=None)
@given(garbage(), st.integers(0, 3), st.sampled_from([60.0, 174.0, 300.0]), st.integers(-500, 3000))
def test_garbage_becomes_a_map(stream, mode, bpm, offset):
    check(
        assemble(stream, manual(bpm=bpm, offset=offset), GenerateConfig(gamemode=mode), LanguageConfig(), 4)
    )


sane = st.tuples(
    st.sampled_from(["circle", "slider", "spinner"]),
    st.integers(1, 400),
    st.lists(st.integers(0, 500), min_size=2, max_size=5),
    st.integers(1, 4),
    st.integers(5, 1200),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(sane, min_size=1, max_size=25))
def test_wild_objects_become_a_map(parts):
    out = EventStream()
    t = 0

    def say(time, *events):
        for e in events:
            out.append(e, time)

    for kind, gap, cells, slides, speed in parts:
        t += gap * 5
        at = Event(E.TIME_SHIFT, t)
        pos = [Event(E.POS, c) for c in cells]
        if kind == "circle":
            say(t, at, pos[0], Event(E.CIRCLE))
        elif kind == "spinner":
            say(t, at, Event(E.SPINNER))
            t += slides * 300
            say(t, Event(E.TIME_SHIFT, t), Event(E.SPINNER_END))
        else:
            say(t, at, pos[0], Event(E.SCROLL_SPEED, speed), Event(E.SLIDER_HEAD))
            for p in pos[1:-1]:
                say(t, p, Event(E.BEZIER_ANCHOR))
            say(t, pos[-1], Event(E.LAST_ANCHOR))
            span = gap * 3
            say(t + span, Event(E.TIME_SHIFT, t + span), Event(E.LAST_ANCHOR))
            say(t + span * slides, Event(E.TIME_SHIFT, t + span * slides), Event(E.SLIDER_END))
    check(assemble(out, manual(bpm=175, offset=100), report=(report := Counter())))
    assert report["one_at_a_time"] >= 0


def test_streams_apart_and_metadata():
    def one(t, *events):
        return EventStream(list(events), [t] * len(events))

    m = assemble(
        [
            one(1000, Event(E.TIME_SHIFT, 1000), Event(E.SNAPPING, 1), Event(E.POS, 300), Event(E.CIRCLE)),
            one(500, Event(E.TIME_SHIFT, 500), Event(E.KIAI, 1)),
        ],
        manual(bpm=120, offset=0),
        GenerateConfig(circle_size=3.5, difficulty=2.0),
        title="A",
        audio_filename="a.mp3",
    )
    assert (
        (m.title, m.audio_filename, m.cs, m.od) == ("A", "a.mp3", 3.5, settings_for(2)["od"])
        and m.preview_time == 500
        and [p.kiai for p in m.timing_points] == [False, True]
    )
    check(assemble(EventStream(), manual(bpm=120, offset=0)))


@pytest.mark.parametrize("mode,glob", [(0, "standard"), (1, "taiko"), (2, "catch"), (3, "mania")])
def test_human_maps_survive(corpus, mode, glob):
    language = LanguageConfig()
    parser = Parser(language)
    files = sorted(corpus.glob(f"songs/validation/*/{glob}-*.osu"))[:40]
    for f in files[:: max(min(len(files) // 5, 8), 1)]:
        human = Beatmap.read(f)
        streams = [
            parser.map_events(human),
            parser.kiai_events(human),
            *([parser.scroll_speed_events(human)] if mode in (1, 3) else []),
        ]
        made = assemble(
            streams,
            Timing.of(human),
            GenerateConfig(gamemode=mode, slider_multiplier=human.slider_multiplier),
            language,
            human.keys,
        )
        old, new_ = (np.array([o.time for o in m.hit_objects]) for m in (human, made))
        assert len(old) == len(new_) and np.abs(np.sort(old) - new_).max() <= 5
        assert sum(clean(made).values()) == 0


# -- modes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", range(4, 19))
def test_mania_of_any_key_count(keys):
    notes = [Circle(int((k + 0.5) * 512 / keys), 192, 100 * k) for k in range(keys)]
    holds = [
        Hold(int((k + 0.5) * 512 / keys), 192, 4000, 128, end_time=4500 + 10 * k) for k in range(0, keys, 2)
    ]
    points = [*RED, TimingPoint(4000, -50, 4, 2, 0, 100, False), TimingPoint(6000, 250)]
    human = new(*notes, *holds, Circle(10, 192, 6500), mode=3, cs=keys, points=points)
    back = assemble_round_trip.there_and_back(human)
    look = lambda m: sorted((o.time, o.column(keys), getattr(o, "end_time", 0) // 10) for o in m.hit_objects)
    assert (back.keys, look(back)) == (keys, look(human)) and hold_note_ratio(back) == hold_note_ratio(human)
    assert [back.point_at(t).velocity for t in (0, 4000, 6500)] == pytest.approx([1, 2, 1])


def test_taiko_keeps_colours_finishers_and_rolls():
    hits = [Circle(256, 192, 250 * i, 1, bits) for i, bits in enumerate((0, 2, 4, 8, 6, 12, 10, 14))]
    roll = slider(3000, [(0, 192), (280, 192)], 280)
    roll.hitsound = 4
    human = new(*hits, roll, Spinner(256, 192, 5000, 12, end_time=5500), mode=1)
    back = assemble_round_trip.there_and_back(human)
    assert [o.hitsound for o in back.hit_objects[:8]] == [o.hitsound for o in hits]
    assert [(type(o), o.time, back.end_time(o)) for o in back.hit_objects[8:]] == [
        (Slider, 3000, pytest.approx(4000, abs=1)),
        (Spinner, 5000, 5500),
    ]
    assert back.hit_objects[8].hitsound & 4


def catch(*pairs, **k):
    return new(*[Circle(x, 0, t) for t, x in pairs], mode=2, **k)


def test_a_body_nearly_as_wide_as_the_field_finds_one_place():
    "It has no room in whole px: moved back and forth, each cleaning would change it."
    assert [
        _into(*span, 512)
        for span in ((-0.3, 511.8), (0.2, 512.3), (-0.3, 500.0), (3.0, 514.5), (-0.3, 512.0))
    ] == [0, 0, 1, -3, 0]


def test_easing_a_long_map_looks_at_each_object_a_few_times(monkeypatch):
    calls = []
    whole = postprocess.fruits_of
    monkeypatch.setattr(postprocess, "fruits_of", lambda map, i: calls.append(i) or whole(map, i))
    m = catch(*((100 * i, 256 + 250 * (-1) ** i) for i in range(300)), cs=4)
    moved = ease_jumps(m)
    assert moved > 20 and len(calls) < 300 + 600


def test_hyperdashes_are_found_and_eased():
    m = catch((0, 0), (500, 500), (750, 0), (1000, 512), (5000, 0), cs=5)
    assert [(i, j) for _, i, j in hyperdashes(m)] == [(1, 2), (2, 3)]  # 500 px in 500 ms are walked
    assert twice(ease_jumps, m) > 0 and not hyperdashes(m)
    assert (
        not hyperdashes(catch((0, 0), (500, 512), cs=0))
        and len(hyperdashes(catch((0, 0), (300, 512), cs=7))) == 1
    )
    inside_one = new(
        slider(0, [(0, 0), (500, 0)], 500, 2),
        mode=2,
        slider_multiplier=3.6,
        points=[*RED, TimingPoint(0, -50, 4, 2, 0, 100, False)],
    )
    assert hyperdashes(inside_one) and ease_jumps(inside_one) == 0  # a stream that is too fast in itself


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(60, 900), st.integers(0, 512), st.booleans()), min_size=2, max_size=20))
def test_eased_maps_need_no_hyperdash(parts):
    objects, t = [], 0
    for gap, x, long in parts:
        t += gap
        objects.append(slider(t, [(x, 50), (min(x + 30, 512), 50)], 20) if long else Circle(x, 0, t))
    m = new(*objects, mode=2, cs=4)
    clean(m)
    ease_jumps(m)
    assert (
        sum(i != j for _, i, j in hyperdashes(m)) <= sum(isinstance(o, Slider) for o in m.hit_objects)
        and ease_jumps(m) == 0
    )


def test_there_and_back(corpus, capsys):
    assemble_round_trip.main(corpus, 12)
    total = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (total["moved"], total["lost"], total["plays"], total["new_findings"]) == (0, 0, 12, {}) and len(
        total["modes"]
    ) == 4


@pytest.mark.parametrize("mode", ["standard", "taiko", "catch"])
def test_another_reader_agrees(corpus, mode):
    reader = pytest.importorskip("slider")
    for path in sorted(corpus.glob(f"songs/validation/*/{mode}-*.osu"))[:2]:
        back = assemble_round_trip.there_and_back(Beatmap.read(path))
        assert len(reader.Beatmap.parse(back.to_text()).hit_objects(stacking=False)) == len(back.hit_objects)


# -- beside the reference ----------------------------------------------------------------------------------------------


def unexplained(cases):
    return [(name, what) for name, _, what, result in cases if result is False]


def test_small_oracles():
    cases = list(reference.cases_of(oracles_postprocess.DATA))
    assert len(cases) == 83 and not unexplained(cases)
    assert [r for n, _, w, r in cases if (n, w) == ("convert 1", "mania objects")] == [
        "holds pair by column + the line decides the sound bank"
    ]


def test_a_wrong_oracle_is_not_explained():
    case = oracles_postprocess.CONVERT[0]
    wrong = case | {
        "object_lines": [l.replace("140.0", "150.0") for l in case["object_lines"]],
        "timing_lines": case["timing_lines"][:-1],
    }
    assert [r for *_, r in reference.convert_rows(wrong)] == [False, False]


NOTEBOOK = pathlib.Path(__file__).resolve().parents[1] / "nbs/explanations/parity_with_the_reference.ipynb"


def told(name):
    "A table of the notebook that tells of the fixes."
    cell = next(c for c in nbformat.read(NOTEBOOK, 4).cells if c.source.startswith(f"{name} = "))
    exec(cell.source, space := {})
    return space[name]


def test_every_rule_is_told():
    assert {*reference.RULES, *reference.SNAP_RULES} == {
        n for n, f in told("FIXES").items() if f[0] == "postprocess"
    }


def test_no_stretch_of_a_map_is_silent():
    "A model that says a volume of nothing gets the least that the game plays; what is unrepaired stays as it was said."
    notes = [Circle(100 + 9 * i, 100, 500 * i) for i in range(1, 17)]
    lines = [TimingPoint(0, 500, volume=60), TimingPoint(4000, -100, volume=0, uninherited=False)]
    said = Parser(LanguageConfig()).map_events(Beatmap.new(timing_points=lines, hit_objects=notes))
    done = Counter()
    b = postprocess.assemble(said, Timing([TimingPoint(0, 500)]), report=done)
    raw = postprocess.assemble(said, Timing([TimingPoint(0, 500)]), repair=False)
    assert len(b.hit_objects) == 16 and done["audible"] >= 1
    assert min(p.volume for p in b.timing_points) == 5 and min(p.volume for p in raw.timing_points) == 0
    assert "silent_note" not in check_map(b).counts() and "silent_note" in check_map(raw).counts()
