"Maps as points, refined and put back: what must stay, stays."

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mapperatorinator.config import (
    DiffusionConfig,
    GenerateConfig,
    LanguageConfig,
    RefineConfig,
    TrainRefineConfig,
    compose,
)
from mapperatorinator.core import Cancelled, UserError
from mapperatorinator.events import Event, EventStream, EventType as E
from mapperatorinator.finish import finished as last_steps
from mapperatorinator.groups import read_groups
from mapperatorinator.model.dit import Classes, new_denoiser, save_denoiser
from mapperatorinator.osu.beatmap import Beatmap, Slider
from mapperatorinator.osu.timing import Timing
from mapperatorinator.parse import Parser
from mapperatorinator.generate import SongPlan
from mapperatorinator.postprocess import assemble, clean, hyperdashes
from mapperatorinator.refine import group_points, map_points, move_map, refine, refine_stage, refined
from mapperatorinator.train_refine import half_covered, placement, sliders_outside, train_refine, travel

HEADER = (
    "osu file format v14\n\n[General]\nAudioFilename: a.mp3\nMode: 0\n\n[Difficulty]\nCircleSize:4\nSliderMultiplier:1.4\n\n"
    "[TimingPoints]\n0,500,4,2,0,70,1,0\n\n[HitObjects]\n"
)
LINES = [
    "0,0,1000,5,0,0:0:0:0:",
    "0,200,1250,1,0,0:0:0:0:",
    "64,64,1500,6,0,P|114:114|164:64,1,140,0|0,0:0|0:0,0:0:0:0:",
    "300,0,2250,1,0",
    "300,100,2500,2,0,B|350:150|400:100|400:100|420:50,2,140",
    "256,192,3500,12,0,4000,0:0:0:0:",
    "500,380,4500,1,2,0:0:0:0:",
    "20,300,5000,2,0,L|120:300,1,70",
    "40,40,5500,1,0,0:0:0:0:",
]


@pytest.fixture
def map():
    return Beatmap.parse(HEADER + "\n".join(LINES) + "\n")


@pytest.fixture(scope="module")
def wild():
    "A denoiser with random weights: it moves everything."
    torch.manual_seed(0)
    out = new_denoiser(
        DiffusionConfig(width=32, depth=1, heads=2), Classes(descriptors={"a": 0, "b": 1}, descriptor_count=3)
    )
    for p in out.model.parameters():
        torch.nn.init.normal_(p, std=0.15)
    out.model.eval()
    return out


FEW = dict(timesteps=[10] + [0] * 9)


def test_points_and_back_change_nothing(map):
    points = map_points(map)
    assert move_map(map, points, points.places).to_text() == map.to_text()


def test_zero_is_a_coordinate(map):
    points = map_points(map)
    assert points.places[0].tolist() == [0, 0] and points.places[1].tolist() == [0, 200]
    v31 = compose(LanguageConfig, preset="v31")
    zero, _ = group_points(read_groups(Parser(v31).map_events(map), v31))
    assert zero.places[0].tolist() == [2, 2] or zero.places[0].tolist() == [0, 0], "half a cell at most"
    stream = EventStream(
        [Event(E.CIRCLE), Event(E.TIME_SHIFT, 10), Event(E.POS_X, 0), Event(E.POS_Y, 77)], [10] * 4
    )
    exact, _ = group_points(read_groups(stream, replace(v31, position_precision=1)))
    assert exact.places.tolist() == [[0, 77]]


def test_the_same_seed_gives_the_same_map(map, wild):
    a, b, c = (refine(map, wild, RefineConfig(**FEW), seed=s) for s in (1, 1, 2))
    assert a.to_text() == b.to_text() != c.to_text() and map.to_text().splitlines()[-len(LINES) :] == LINES


def test_only_places_change(map, wild):
    out = refine(map, wild, RefineConfig(**FEW))
    bare = lambda m: [
        (type(o), o.time, o.type, o.hitsound, o.sample, getattr(o, "length", 0), getattr(o, "slides", 0))
        for o in m.hit_objects
    ]
    assert bare(out) == bare(map) and out.timing_points == map.timing_points
    moved = [a.pos != b.pos for a, b in zip(map.hit_objects, out.hit_objects)]
    assert sum(moved) >= 6 and not moved[5], "a spinner stays in the middle"


def test_short_maps_are_refined(map, wild):
    assert len(map_points(map)) < 256 and refine(map, wild, RefineConfig(**FEW)).to_text() != map.to_text()


def test_heads_stay_on_the_playfield(map, wild):
    out = refine(map, wild, RefineConfig(timesteps=[50] + [0] * 9))
    assert all(0 <= o.x <= 512 and 0 <= o.y <= 384 for o in out.hit_objects)


def test_what_lies_outside_the_window_keeps_its_line(map, wild):
    out = (
        refine(map, wild, RefineConfig(start_time=1600, end_time=3200, **FEW))
        .to_text()
        .splitlines()[-len(LINES) :]
    )
    assert [k for k, (a, b) in enumerate(zip(LINES, out)) if a != b] == [3, 4], (
        "a slider belongs to where it begins, and stays whole"
    )


def test_pieces_overlap(map, wild):
    far = refine(map, wild, RefineConfig(max_length=9, overlap=2, **FEW))
    assert sum(a.pos != b.pos for a, b in zip(map.hit_objects, far.hit_objects)) >= 6


def test_doubled_control_points_stay_doubled(map, wild):
    s = refine(map, wild, RefineConfig(**FEW)).hit_objects[4]
    assert s.points[2] == s.points[3] and len(s.points) == 5


def test_a_drawing_moves_as_a_whole(wild):
    art = "100,100,1000,2,0,B|" + "|".join(f"{100 + 5 * k}:{100 + k % 3}" for k in range(30)) + ",1,40"
    m = Beatmap.parse(HEADER + art + "\n300,300,2000,1,0\n")
    assert len(map_points(m)) == 2
    out = refine(m, wild, RefineConfig(**FEW)).hit_objects[0]
    assert (
        len({(a[0] - b[0], a[1] - b[1]) for a, b in zip(out.control_points, m.hit_objects[0].control_points)})
        == 1
    )


def test_slider_ends_are_where_the_ball_gets_to(map, wild):
    from mapperatorinator.refine import Refiner, gaussian

    points = map_points(map)
    places = Refiner(wild, RefineConfig(timesteps=[20] + [0] * 9))(points, gaussian(0))
    from mapperatorinator.osu.curves import SliderPath

    for g in points.guides:
        path = SliderPath(g.curve, [tuple(places[k]) for k in g.control])
        assert np.hypot(*(np.array(path.at(min(1, g.length / path.natural_length))) - places[g.end])) < 6


def test_guidance_asks_twice(map, wild):
    plain, wish = (
        refine(
            map,
            wild,
            RefineConfig(guidance=g, difficulty=6.0, descriptors=["a"], negative_descriptors=["b"], **FEW),
        )
        for g in (1.0, 30.0)
    )
    assert plain.to_text() != wish.to_text()


def test_groups_come_back_in_other_places(map, wild):
    v31 = compose(LanguageConfig, preset="v31")
    said = read_groups(Parser(v31).map_events(map), v31)
    out = refine(said, wild, RefineConfig(**FEW), timing=Timing.of(map))
    bare = lambda some: [replace(g, x=0, y=0) for g in some]
    assert (
        bare(out) == bare(said)
        and len(out) == len(said)
        and sum((a.x, a.y) != (b.x, b.y) for a, b in zip(said, out)) > 8
    )
    assert all(g.x == round(g.x) for g in out) and out == refine(
        said, wild, RefineConfig(**FEW), timing=Timing.of(map)
    )
    nowhere = refine([replace(g, x=None, y=None) for g in said], wild, RefineConfig(**FEW))
    assert None not in [v for g in nowhere if g.type is E.CIRCLE for v in (g.x, g.y)]


def test_an_empty_map_is_left_alone(wild):
    empty = Beatmap.parse(HEADER)
    assert refine(empty, wild, RefineConfig(**FEW)).to_text() == empty.to_text()
    assert refine([], wild, RefineConfig(**FEW)) == []


def test_progress_and_cancel(map, wild):
    seen = []
    refine(map, wild, RefineConfig(**FEW), progress=lambda p: seen.append((p.stage, p.done, p.total)))
    assert seen[-1] == ("refine", 10, 10)
    with pytest.raises(Cancelled):
        refine(map, wild, RefineConfig(**FEW), progress=lambda p: p.done == 3)


def test_refusals(map, wild):
    mania = Beatmap.parse(HEADER.replace("Mode: 0", "Mode: 3") + "64,192,1000,1,0\n")
    with pytest.raises(UserError, match="mode 3"):
        refine(mania, wild)
    with pytest.raises(UserError, match="part 1 has 100 steps"):
        refine(map, wild, RefineConfig(timesteps=[101] + [0] * 9))
    with pytest.raises(UserError, match="Nothing to learn from"):
        train_refine(TrainRefineConfig())


def test_placement_figures(map):
    assert abs(travel(map)[0] - 200 / 250) < 1e-9, "px per ms"
    stacked = Beatmap.parse(
        HEADER + "100,100,1000,1,0\n100,100,1200,1,0\n115,100,1400,1,0\n400,300,1600,1,0\n"
    )
    assert half_covered(stacked) == pytest.approx(1 / 3) and sliders_outside(map) == 0
    out = placement([map], [map], [2.0])
    assert out["travel_distance"] == 0 and out["stars_off"] > 0
    off = Beatmap.parse(HEADER + "500,100,1000,2,0,L|600:100,1,100\n" + "100,100,3000,2,0,L|200:100,1,100\n")
    assert sliders_outside(off) == 0.5


def test_stacks_stay_stacks(wild):
    m = Beatmap.parse(
        HEADER + "100,100,1000,1,0\n100,100,1200,1,0\n300,100,1400,1,0\n100,100,1600,1,0\n100,100,4000,1,0\n"
    )
    first, second, _, fourth, late = (o.pos for o in refine(m, wild, RefineConfig(**FEW)).hit_objects)
    assert first == second == fourth != late, "what comes a second later is another place"


def test_a_range_sees_its_neighbours_and_leaves_them(map, wild):
    conf = RefineConfig(start_time=2000, end_time=3000, **FEW)
    at = lambda m: [o.pos for o in m.hit_objects]
    elsewhere = map.copy()
    elsewhere.hit_objects[1].x += 200
    a = refine(map, wild, conf)
    b = refine(elsewhere, wild, conf)
    assert at(a)[3:5] != at(map)[3:5] and at(b)[3:5] != at(a)[3:5], "places depend on what lies around"
    assert at(a)[:3] + at(a)[5:] == at(map)[:3] + at(map)[5:]


def song(reference, ask):
    "What the last steps know of a song of nine seconds."
    plan = SongPlan.of(9 * 16000, LanguageConfig(), start_time=ask.start_time, end_time=ask.end_time)
    return SimpleNamespace(encoded=SimpleNamespace(plan=plan, ms=9000), reference=reference, plan=None)


@pytest.fixture
def finished(wild, tmp_path):
    "The last steps of the pipeline for a language and some settings."
    save_denoiser(wild, tmp_path)

    def finished(map, reference=None, language=LanguageConfig(), **settings):
        ask = GenerateConfig(refiner=str(tmp_path), device="cpu", seed=1, **settings)
        return last_steps(map, song(reference, ask), ask, language)

    return finished


def test_the_pipeline_refines_only_the_range(map, finished):
    out = finished(map, start_time=int(map.hit_objects[1].time))
    assert [o.time for o in out.hit_objects] == [o.time for o in map.hit_objects] and out.hit_objects[
        0
    ].pos == map.hit_objects[0].pos
    assert any(a.pos != b.pos for a, b in zip(out.hit_objects, map.hit_objects))


def test_a_new_range_is_refined_in_the_reference_map(map, finished):
    span = dict(start_time=2000, end_time=4400)
    new = Beatmap.parse(HEADER + "100,100,2250,5,0\n200,200,2750,1,0\n300,300,3250,1,0\n")
    lines = lambda m: m.to_text().split("[HitObjects]\n")[1].splitlines()[: len(m.hit_objects)]
    out = finished(new, map, add_to_beatmap=True, **span)
    assert lines(out)[:3] == LINES[:3] and lines(out)[-3:] == LINES[-3:] and len(out.hit_objects) == 9
    assert [o.time for o in out.hit_objects[3:6]] == [2250, 2750, 3250] and [
        o.pos for o in out.hit_objects[3:6]
    ] != [(100, 100), (200, 200), (300, 300)]
    other = map.copy()
    other.hit_objects[1].x += 200
    assert lines(finished(new, other, add_to_beatmap=True, **span))[3:6] != lines(out)[3:6], (
        "the neighbours are seen"
    )


def test_catch_for_beginners_needs_no_hyperdash_after_refining(wild, finished):
    fruit = HEADER.replace("Mode: 0", "Mode: 2") + "".join(
        f"{x},192,{1000 + 125 * i},1,0\n" for i, x in enumerate((100, 200, 300, 200, 100, 0, 100, 200))
    )
    catch = Beatmap.parse(fruit)
    ask = dict(gamemode=2, circle_size=4.0)
    hard, easy = (finished(catch, difficulty=stars, **ask) for stars in (5.0, 2.0))
    assert hyperdashes(hard) and not hyperdashes(easy), "a wild denoiser tears fruits apart"
    reference = catch.copy()
    reference.hit_objects = catch.hit_objects[:2] + catch.hit_objects[-2:]
    joined = finished(
        catch, reference, add_to_beatmap=True, start_time=1250, end_time=1750, difficulty=2.0, **ask
    )
    assert [j for _, i, j in hyperdashes(joined) if j < 6] == [] and [
        o.pos for o in joined.hit_objects[:2]
    ] == [(100, 192), (200, 192)]


@pytest.mark.parametrize(
    "preset, settings, when",
    [
        ("v28", {}, "early"),
        ("v31", {}, "early"),
        ("v31", dict(add_to_beatmap=True), "late"),
        ("v32", {}, "late"),
        ("v32", dict(gamemode=3), ""),
        ("v28", dict(refiner=""), ""),
    ],
)
def test_models_that_say_anchors_are_refined_before_there_are_objects(preset, settings, when):
    assert (
        refine_stage(GenerateConfig(**dict(refiner="x") | settings), compose(LanguageConfig, preset=preset))
        == when
    )


def test_assembling_takes_the_settled_places(map, wild, tmp_path):
    save_denoiser(wild, tmp_path)
    v28 = compose(LanguageConfig, preset="v28")
    ask = GenerateConfig(slider_multiplier=1.4, refiner=str(tmp_path), device="cpu", seed=1)
    plain, out = (
        assemble(Parser(v28).map_events(map), Timing.of(map), ask, v28, refine_groups=s)
        for s in (None, partial(refined, c=ask))
    )
    assert [(type(o), o.time) for o in out.hit_objects] == [(type(o), o.time) for o in plain.hit_objects]
    assert (
        sum(a.pos != b.pos for a, b in zip(plain.hit_objects, out.hit_objects)) > 5
        and clean(out).total() == 0
    )
    for s in (o for o in out.hit_objects if isinstance(o, Slider)):
        assert s.path.natural_length * 1.05 > s.length, "the curve is as long as it lasts"
