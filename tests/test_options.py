"Every setting of a request does something that can be seen, with the embedded model or without any."

from dataclasses import replace

import numpy as np
import pytest

from mapperatorinator.audio2events import rows_at_once
from mapperatorinator.config import GenerateConfig, LanguageConfig, compose, preset_names
from mapperatorinator.core import UserError, demo_song
from mapperatorinator.events import EventType
from mapperatorinator.generate import Sampling
from mapperatorinator.osu.beatmap import Beatmap
from mapperatorinator.osu.check import compare_maps
from mapperatorinator.osu.files import read_osz
from mapperatorinator.pipeline import generate_map
from mapperatorinator.prompt import request_ids
from mapperatorinator.request import MapRequest, advice, check_request, inherited, unheard
from mapperatorinator.tokenizer import Tokenizer

BASE = dict(difficulty=3, seed=1, device="cpu", timing="manual", bpm=128, offset=377, star_tries=0)


@pytest.fixture(scope="module")
def clip(excerpt):
    return excerpt(5)


@pytest.fixture
def run(make, clip, tmp_path):
    "The map for some settings."

    def run(**settings):
        return make(GenerateConfig(**BASE | dict(audio_path=str(clip), output_path=str(tmp_path)) | settings))

    return run


@pytest.fixture(scope="module")
def usual(make, clip):
    return make(GenerateConfig(**BASE | dict(audio_path=str(clip))))


WRITTEN = [  # settings that are written down as they were given, and what they are seen in
    (dict(hp_drain_rate=3.3), lambda b: b.hp == 3.3),
    (dict(circle_size=5.5), lambda b: b.cs == 5.5),
    (dict(overall_difficulty=6.6), lambda b: b.od == 6.6),
    (dict(approach_rate=7.7), lambda b: b.ar == 7.7),
    (dict(slider_multiplier=1.9), lambda b: b.slider_multiplier == 1.9),
    (dict(slider_tick_rate=2.0), lambda b: b.tick_rate == 2),
    (dict(title="A: B"), lambda b: b.title == "A: B"),
    (dict(artist="Some One"), lambda b: b.artist == "Some One"),
    (dict(creator="Me"), lambda b: b.creator == "Me"),
    (dict(version="Mine"), lambda b: b.version == "Mine"),
    (dict(source="A game"), lambda b: b.source == "A game"),
    (dict(tags="one two"), lambda b: b.metadata["Tags"].startswith("one two ")),
    (dict(preview_time=1234), lambda b: b.preview_time == 1234),
]
HEARD = [  # settings that change what is made
    (dict(bpm=150.0), lambda b: abs(b.timing_points[0].bpm - 150) < 1e-6),
    (
        dict(bpm=[128, 150], offset=[377, 2377], meter=[4, 3]),
        lambda b: (
            [(p.time, round(p.bpm), p.meter) for p in b.timing_points if p.uninherited]
            == [(377, 128, 4), (2377, 150, 3)]
        ),
    ),
    (dict(meter=7), lambda b: b.timing_points[0].meter == 7),
    (dict(offset=400.0), lambda b: (b.timing_points[0].time - 400) % (60000 / 128) < 1),
    (dict(start_time=2000), lambda b: b.hit_objects[0].time >= 1985),
    (dict(end_time=2500), lambda b: b.hit_objects[-1].time <= 2515),
    (dict(output_type=["timing"]), lambda b: not b.hit_objects and b.timing_points),
]


@pytest.fixture(scope="module")
def all_written(make, clip):
    "A map for which everything that is only written down was asked at once."
    asked = {name: value for settings, _ in WRITTEN for name, value in settings.items()}
    return make(GenerateConfig(**BASE | dict(audio_path=str(clip)) | asked)).beatmap


@pytest.mark.parametrize("settings, seen", WRITTEN, ids=[next(iter(s)) for s, _ in WRITTEN])
def test_written_in_the_map(all_written, usual, settings, seen):
    assert seen(all_written) and not seen(usual.beatmap)


@pytest.mark.parametrize("settings, seen", HEARD, ids=[next(iter(s)) for s, _ in HEARD])
def test_seen_in_the_map(run, settings, seen):
    assert seen(run(**settings).beatmap)


OTHER = [
    dict(seed=2),
    dict(temperature=1.4),
    dict(top_p=0.3),
    dict(top_k=3),
    dict(difficulty=6),
    dict(hitsounded=False),
    dict(guidance=2.0),
    dict(num_beams=2),
    dict(lookback=0.2),
    dict(lookahead=0.3),
    dict(resnap_events=False),
    dict(year=2012),
]


@pytest.mark.parametrize("settings", OTHER, ids=[next(iter(s)) for s in OTHER])
def test_makes_another_map(run, usual, settings):
    if "lookback" in settings or "lookahead" in settings:
        settings = settings | dict(temperature=0.0, seed=3)
    made = run(**settings).beatmap
    text = lambda b: [(o.time, o.x, o.y, o.hitsound) for o in b.hit_objects]
    if "lookback" in settings or "lookahead" in settings:
        assert made.hit_objects  # five seconds are one window
    else:
        assert text(made) != text(usual.beatmap)


@pytest.fixture
def begin(make, tmp_path):
    "The times of a map of the first fourteen seconds of the demo song."
    ask = GenerateConfig(
        **BASE | dict(audio_path=str(demo_song()), output_path=str(tmp_path), end_time=14_000, offset=877)
    )
    return lambda **settings: [o.time for o in make(replace(ask, **settings)).beatmap.hit_objects]


def test_time_bias_makes_sparser_maps(begin):
    assert len(begin(time_bias=-5.0, seed=2)) < len(begin(seed=2))  # the end of a window comes sooner


def test_greedy_is_without_chance(begin):
    assert begin(do_sample=False) == begin(temperature=0.0) != begin()


def test_parallel(make, tmp_path):
    "Windows side by side give another map than one after the other, where there is more than one."
    ask = GenerateConfig(
        **BASE
        | dict(audio_path=str(demo_song()), output_path=str(tmp_path), start_time=8000, end_time=22_000)
    )
    maps = [make(replace(ask, parallel=p)).beatmap for p in (False, True)]
    times = [[o.time for o in b.hit_objects] for b in maps]
    assert (
        times[0] != times[1]
        and min(map(len, times)) > 5
        and all(7985 <= t <= 22_015 for ts in times for t in ts)
    )


def test_spread_and_candidates(run):
    made = run(difficulties=[1.5, 4.0], candidates=2)
    maps = read_osz(made.path).beatmaps.values()
    assert [r.report["requested_stars"] for r in [*made.others, made]] == [1.5, 4.0] and len(
        {b.version for b in maps}
    ) == 2
    among_them = {finding.kind for finding in compare_maps(list(maps))}
    assert not among_them & {
        "metadata_differs",
        "timing_differs",
        "preview_differs",
        "settings_differ",
        "several_songs",
    }
    assert all(
        "seed 1" in r.report["drafts"] and "seed 2" in r.report["drafts"] for r in [*made.others, made]
    )


def test_a_row_of_a_spread_is_the_map_alone(run):
    both = run(difficulties=[1.5, 3.0])
    alone = run(difficulty=3.0)
    objects = lambda r: [(o.time, o.x, o.y) for o in r.beatmap.hit_objects]
    assert objects(both) == objects(alone)


def test_many_maps_are_written_in_parts(run):
    "As many at once as the batch size allows; what is written does not depend on it."
    both = run(difficulties=[1.5, 3.0])
    parts = run(difficulties=[1.5, 3.0], max_batch_size=1)
    objects = lambda r: [[(o.time, o.x, o.y) for o in one.beatmap.hit_objects] for one in (*r.others, r)]
    assert objects(both) == objects(parts)
    sizes = [
        dict(),
        dict(num_beams=4),
        dict(guidance=2.0),
        dict(num_beams=16, guidance=2.0),
        dict(max_batch_size=512),
    ]
    assert [rows_at_once(GenerateConfig(**settings)) for settings in sizes] == [16, 4, 8, 1, 512]


def test_tries_until_the_stars_are_right(run):
    first = run(difficulty=1.5, seed=4)
    again = run(difficulty=1.5, seed=4, star_tries=3, star_tolerance=max(0.1, first.miss / 2))
    assert again.miss <= first.miss and "told" in again.report["drafts"]


def test_osz_plot_and_background(run, tmp_path):
    import matplotlib.pyplot as plt

    plt.imsave(tmp_path / "b.png", np.zeros((160, 200)))
    made = run(export_osz=True, plot=True, background=str(tmp_path / "b.png"))
    assert (
        made.png.exists()
        and made.path.suffix == ".osz"
        and "b.png" in __import__("zipfile").ZipFile(made.path).namelist()
    )


def test_reference_map(run, usual, tmp_path):
    "Song, settings and beats come from the map; a range is written anew and the rest stays."
    again = run(
        beatmap_path=str(usual.path),
        audio_path="",
        timing="reference",
        bpm=None,
        offset=None,
        circle_size=6.0,
    )
    assert (again.beatmap.cs, again.beatmap.od) == (6.0, usual.beatmap.od)
    assert again.report["bpm"] == usual.report["bpm"]
    anew = run(
        beatmap_path=str(usual.path),
        add_to_beatmap=True,
        start_time=2000,
        end_time=3500,
        seed=9,
        bpm=None,
        offset=None,
        timing="auto",
    )
    out = lambda b: [o for o in map(str, b.hit_objects)]
    assert out(Beatmap.read(usual.path)) == out(usual.beatmap) and anew.path != usual.path
    keep = lambda b: [(o.time, o.x, o.y) for o in b.hit_objects if not 2000 <= o.time < 3500]
    assert keep(anew.beatmap) == keep(usual.beatmap)


def test_into_the_reference_map_itself(run, usual, tmp_path):
    path = tmp_path / "mine.osu"
    path.write_bytes(usual.path.read_bytes())
    made = run(
        beatmap_path=str(path),
        add_to_beatmap=True,
        overwrite_reference_beatmap=True,
        start_time=2000,
        end_time=3500,
        seed=9,
        bpm=None,
        offset=None,
        timing="auto",
    )
    assert made.path == path and path.read_bytes() != usual.path.read_bytes()
    assert (tmp_path / "mine.osu.undo1").read_bytes() == usual.path.read_bytes()


WORDS = [
    (dict(gamemode=1), EventType.GAMEMODE, 0),
    (dict(difficulty=6.0), EventType.DIFFICULTY, 0),
    (dict(mapper_id=2), EventType.MAPPER, 0),
    (dict(year=2015), EventType.YEAR, 0),
    (dict(hitsounded=False), EventType.HITSOUNDED, 0),
    (dict(circle_size=6.0), EventType.CS, 0),
    (dict(slider_multiplier=2.2), EventType.GLOBAL_SV, 0),
    (dict(keycount=7), EventType.MANIA_KEYCOUNT, 3),
    (dict(hold_note_ratio=0.5), EventType.HOLD_NOTE_RATIO, 3),
    (dict(scroll_speed_ratio=0.5), EventType.SCROLL_SPEED_RATIO, 3),
]


@pytest.mark.parametrize("settings, word, mode", WORDS, ids=[next(iter(s)) for s, *_ in WORDS])
def test_said_to_the_model(settings, word, mode):
    "Wishes are words of the prompt, in languages that have them."
    c = LanguageConfig()
    tok = Tokenizer.from_config(LanguageConfig())
    said = lambda **k: [
        tok.decode(i)
        for i in request_ids(
            tok, c, MapRequest.of(GenerateConfig(**dict(gamemode=mode) | k)).metadata(60_000)
        )
    ]
    value = lambda events: [e.value for e in events if e.type is word]
    if word is EventType.MAPPER:
        assert value(said(**settings))  # unknown to a table without mappers
    else:
        assert value(said(**settings)) != value(said())


def test_sampling_takes_the_dials():
    s = Sampling.of(
        GenerateConfig(
            temperature=0.5,
            timing_temperature=0.2,
            mania_column_temperature=0.3,
            taiko_hit_temperature=0.4,
            top_p=0.7,
            top_k=9,
            do_sample=False,
            time_bias=1.0,
            guidance=1.5,
        )
    )
    assert (
        s.temperature,
        s.timing_temperature,
        s.mania_column_temperature,
        s.taiko_hit_temperature,
        s.top_p,
        s.top_k,
        s.do_sample,
        s.time_bias,
        s.guidance,
    ) == (0.5, 0.2, 0.3, 0.4, 0.7, 9, False, 1.0, 1.5)


def test_wishes_without_words_are_named(run):
    assert run(mapper_id=2, keycount=7).report["unheard"] == "mapper_id, keycount"


@pytest.mark.parametrize("name", preset_names("generate"))
def test_presets_compose(name):
    c = compose(GenerateConfig, preset=name)
    check_request(c, [0])
    assert c.model == name and unheard(c, LanguageConfig()) == []


BAD = [
    (dict(candidates=0), "candidates"),
    (dict(in_context=["map"]), "beatmap_path"),
    (dict(in_context=["x"]), "no context 'x'"),
    (dict(output_type=["y"]), "no context 'y'"),
    (dict(add_to_beatmap=True), "beatmap_path"),
    (dict(overwrite_reference_beatmap=True), "add_to_beatmap"),
    (dict(negative_descriptors=["a"]), "guidance"),
    (dict(num_beams=0), "num_beams"),
    (dict(timing="reference"), "beatmap_path"),
    (dict(difficulties=[2.0, 2.0]), "twice"),
    (dict(star_tolerance=0.0), "star_tolerance"),
    (dict(beatmap_path="none.osu"), "none.osu"),
    (dict(refiner="nowhere"), "nowhere"),
    (dict(timing="waltz"), "waltz"),
    (dict(bpm=[120, 180]), "do not match"),
    (dict(bpm=[120, 180], offset=[1000, 500]), "in order of time"),
    (dict(bpm=5000), "10 to 1000"),
    (dict(meter=0), "1 to 32 beats"),
    (dict(meter=[4, 3, 4]), "do not match"),
    (dict(bpm=None), "go together"),
    (dict(offset=None), "go together"),
    (dict(bpm=None, offset=None, timing="auto", meter=3), "without bpm"),
    (dict(timing="manual"), "takes your word"),
]


@pytest.mark.parametrize("settings, word", BAD, ids=[next(iter(s)) for s, _ in BAD])
def test_contradictions_are_one_sentence(run, settings, word):
    given = dict(bpm=None, offset=None) if "timing" in settings else {}
    with pytest.raises(UserError, match=word) as e:
        run(**given | settings)
    assert "\n" not in str(e.value)


NUMBERS = [
    "hp_drain_rate",
    "overall_difficulty",
    "approach_rate",
    "slider_tick_rate",
    "circle_size",
    "slider_multiplier",
    "hold_note_ratio",
    "scroll_speed_ratio",
    "timing_budget",
    "star_tolerance",
    "temperature",
    "timing_temperature",
    "mania_column_temperature",
    "taiko_hit_temperature",
    "guidance",
    "time_bias",
    "top_p",
]


def test_what_cannot_be_is_said_before_a_model_is_looked_for():
    "All of it at once, and no advice to try another seed."
    asked = {
        name: value
        for name, value in zip(NUMBERS, [float("inf"), float("nan"), -float("inf"), 1e308, -1, 1e23] * 3)
    }
    with pytest.raises(UserError) as e:
        generate_map(
            GenerateConfig(
                model="no such model", audio_path="nowhere.mp3", candidates=1000, seed=1e23, bpm=120, **asked
            )
        )
    said = str(e.value).splitlines()
    assert len(said) == len(NUMBERS) + 4 and all(
        any(line.startswith(f"{name}=") for line in said) for name in NUMBERS
    )
    assert (
        "another seed" not in str(e.value)
        and said[-2].startswith("bpm and offset go together")
        and "nowhere.mp3" in said[-1]
    )


def test_advice_is_one_that_can_help():
    assert advice(GenerateConfig(difficulty=3)) == "try another seed or a higher difficulty"
    assert "seed" not in advice(GenerateConfig(do_sample=False)) and "seed" not in advice(
        GenerateConfig(temperature=0)
    )
    assert "higher difficulty" not in advice(GenerateConfig(difficulty=12)) + advice(
        GenerateConfig(difficulty=None)
    )
    assert "longer range" in advice(GenerateConfig(end_time=500)) and "time_bias" in advice(
        GenerateConfig(time_bias=-9)
    )


def test_what_a_reference_map_says_is_brought_within_bounds(tmp_path):
    for line, name, value in [
        ("CircleSize:1000", "circle_size", 10.0),
        ("OverallDifficulty:-3", "overall_difficulty", 0.0),
        ("SliderMultiplier:0", "slider_multiplier", 0.4),
        ("SliderTickRate:1000000", "slider_tick_rate", 8.0),
        ("HPDrainRate:2000000", "hp_drain_rate", 10.0),
    ]:
        c = inherited(
            GenerateConfig(beatmap_path="x.osu"),
            Beatmap.parse(f"osu file format v14\n[Difficulty]\n{line}\n"),
            tmp_path,
        )
        assert getattr(c, name) == value
        check_request(c)
    mania = inherited(
        GenerateConfig(beatmap_path="x.osu"),
        Beatmap.parse("osu file format v14\n[General]\nMode:3\n[Difficulty]\nCircleSize:1000\n"),
        tmp_path,
    )
    assert (mania.keycount, mania.circle_size) == (18, 18.0)
    check_request(mania)
