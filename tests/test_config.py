"What a setting may be: one sentence for what it may not, from wherever it comes, and all of them at once."

import math
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from mapperatorinator.config import (
    BenchConfig,
    Choice,
    CompatConfig,
    ContextTemplate,
    DiffusionConfig,
    EvalConfig,
    Flag,
    GenerateConfig,
    LanguageConfig,
    LoraConfig,
    ModelConfig,
    RefineConfig,
    SpectrogramConfig,
    Text,
    Time,
    TrainConfig,
    TrainRefineConfig,
    check_settings,
    compose,
    known_settings,
    preset_names,
    problem_of,
    problems,
    settings_of,
    settings_table,
)
from mapperatorinator.core import UserError

CONFIGS = [
    SpectrogramConfig,
    ContextTemplate,
    CompatConfig,
    LanguageConfig,
    ModelConfig,
    LoraConfig,
    GenerateConfig,
    TrainConfig,
    EvalConfig,
    DiffusionConfig,
    RefineConfig,
    TrainRefineConfig,
    BenchConfig,
]


def sentences(cls, words):
    "What the command line says of some words."
    try:
        compose(cls, words)
    except UserError as e:
        return list(e.args)
    return []


# bounds live in the fields


@pytest.mark.parametrize("cls", CONFIGS, ids=lambda c: c.__name__)
def test_every_number_text_and_list_has_bounds_and_a_default_within(cls):
    for f, s in zip(fields(cls), settings_of(cls)):
        if s.base is bool or is_dataclass(s.item):
            continue
        assert "bounds" in f.metadata, f"{cls.__name__}.{f.name} may be anything"
        assert problem_of(s, s.default) is None
        of = getattr(s.bounds, "of", s.bounds)
        if s.item in (int, float) and not isinstance(of, Choice):
            assert math.isfinite(of.low) and math.isfinite(of.high), f.name
    assert problems(cls()) == []


def test_the_metadata_of_a_field_judges_a_value_by_itself():
    "Readers of foreign files use no more than this."
    bounds = {f.name: f.metadata["bounds"] for f in fields(ModelConfig) if "bounds" in f.metadata}
    assert (bounds["d_model"].low, bounds["norm"].choices) == (4, ("rms", "layer"))
    odd = (-1, 0, math.nan, math.inf, 10**400, "x", None, [], {}, True)
    assert (
        all(isinstance(bounds["d_model"].problem(x), str) for x in odd)
        and bounds["d_model"].problem(512) is None
    )
    assert (
        bounds["norm"].problem("batch")
        and bounds["conditions"].problem(["mapper"]) is None
        and bounds["conditions"].problem("mapper")
    )


def test_choices_are_those_of_the_rooms():
    import mapperatorinator.maimod.planted  # noqa: F401, which adds its tasks
    from mapperatorinator.data import MODES
    from mapperatorinator.model.diffusion import noise_betas
    from mapperatorinator.evaluate import TASKS
    from mapperatorinator.evaluation.timing import PEERS
    from mapperatorinator.events import ContextType
    from mapperatorinator.timing.providers import PROVIDERS

    choices = lambda cls, name: list(known_settings(cls)[name].bounds.choices)
    assert choices(GenerateConfig, "in_context") == [t.value for t in ContextType]
    assert set(choices(GenerateConfig, "timing")) == set(PROVIDERS) and set(
        choices(EvalConfig, "task")
    ) == set(TASKS)
    assert set(choices(EvalConfig, "providers")) == {*PROVIDERS, *PEERS} - {"manual", "reference"}
    assert choices(TrainConfig, "modes") == list(MODES) and choices(EvalConfig, "mode") == [*MODES, "all"]
    assert all(len(noise_betas(name, 10)) == 10 for name in choices(DiffusionConfig, "noise"))


def test_published_models_and_presets_are_within():
    for name in preset_names("language"):
        assert problems(compose(LanguageConfig, preset=name)) == []
    for name in preset_names("generate"):
        check_settings(compose(GenerateConfig, preset=name))
    from mapperatorinator.model.hub import load_bundle

    assert problems(load_bundle("embedded").model.c) == []


# the same sentence from the command line and from Python

NUMBERS = [s for s in settings_of(GenerateConfig) if s.item in (int, float)]
ODD = ["inf", "-inf", "nan", "1e308", "-1e23", "many", "1e999", "9" * 400, "5,5", "[", "true?", "½"]


@pytest.mark.parametrize("setting", NUMBERS, ids=lambda s: s.name)
def test_no_number_may_be_anything(setting):
    for text in ODD:
        if text == "5,5" and setting.base is not setting.item:
            continue  # two values
        said = sentences(GenerateConfig, [f"{setting.name}={text}"])
        assert (
            len(said) == 1
            and said[0].startswith(f"{setting.name}=")
            and "\n" not in said[0]
            and len(said[0]) < 400
        ), (text, said)
        assert problems(GenerateConfig(**{setting.name: text})) == said
        try:
            number = float(text)
        except ValueError:
            continue
        assert len(problems(GenerateConfig(**{setting.name: number}))) == 1


@pytest.mark.parametrize(
    "value",
    [
        10**5000,
        -(10**5000),
        float("nan"),
        b"x",
        {},
        {1: 2},
        [[1]],
        object(),
        1j,
        [float("inf")],
        range(3),
        lambda: 1,
    ],
    ids=lambda v: type(v).__name__,
)
def test_nothing_from_python_ends_in_a_trace(value):
    for s in settings_of(GenerateConfig):
        found = problems(GenerateConfig(**{s.name: value}))
        assert all(len(sentence) < 500 and "\n" not in sentence for sentence in found)


TOO_MUCH = [
    "candidates=1000",
    "star_tries=1e23",
    "num_beams=1000",
    "max_batch_size=100000",
    "seed=1e23",
    "difficulties=[" + ",".join(f"{i / 100}" for i in range(1099)) + "]",
    "bpm=[" + "120," * 2000 + "120]",
    "title=" + "x" * 2000,
    "tags=" + "x" * 6000,
    "descriptors=[" + "a," * 200 + "a]",
    "in_context=[" + "kiai," * 150 + "map]",
    "circle_size=1e308",
    "top_k=1e9",
    "timing_budget=1e9",
    "end_time=2000:00",
]


@pytest.mark.parametrize("word", TOO_MUCH, ids=[w.partition("=")[0] for w in TOO_MUCH])
def test_what_takes_memory_or_time_has_an_upper_bound(word):
    said = sentences(GenerateConfig, [word])
    assert len(said) == 1 and "give" in said[0] and len(said[0]) < 400


def test_networks_have_an_upper_bound():
    big = ModelConfig(d_model=16384, d_ff=65536, encoder_layers=200, decoder_layers=200)
    assert "billion" in problems(big)[0] and "billion" in problems(DiffusionConfig(width=16384, depth=200))[0]
    assert sentences(TrainConfig, ["model.encoder_layers=1000000"]) == [
        "model.encoder_layers=1000000 is above 200; give 1 to 200."
    ]


def test_human_maps_are_within():
    "What the editor allows is allowed: the ends of its dials."
    ends = [
        dict(
            hp_drain_rate=0,
            overall_difficulty=10,
            approach_rate=10,
            circle_size=10,
            slider_multiplier=0.4,
            slider_tick_rate=0.5,
        ),
        dict(
            hp_drain_rate=10,
            overall_difficulty=0,
            approach_rate=0,
            circle_size=0,
            slider_multiplier=3.6,
            slider_tick_rate=8,
        ),
        dict(gamemode=3, keycount=18),
        dict(gamemode=3, keycount=1),
        dict(difficulty=0),
        dict(difficulty=12),
        dict(difficulty=None),
    ]
    for settings in ends:
        assert problems(GenerateConfig(**settings)) == []


# all at once


def test_all_that_is_wrong_is_said_at_once():
    said = sentences(
        GenerateConfig,
        [
            "dificulty=5",
            "seed=x",
            "temperature=inf",
            "timing=waltz",
            "bpm=120",
            "start_time=9000",
            "end_time=1:00",
            "add_to_beatmap=true",
        ],
    )
    assert [s.split("=")[0].split(";")[0] for s in said] == [
        "Unknown setting 'dificulty'",
        "timing",
        "seed",
        "temperature",
        "bpm and offset go together",
        "add_to_beatmap changes a map",
    ]
    assert "end_time" not in "".join(said)
    assert (
        len(
            sentences(
                TrainConfig,
                [
                    "lr=nan",
                    "save_every=0",
                    "model.n_heads=3",
                    "language.src_seq_len=0",
                    "modes=[x]",
                    "speed_range=[9,9]",
                ],
            )
        )
        == 6
    )


def test_a_setting_that_is_wrong_is_said_once():
    "A tempo of 5 is too slow, and not also without a match."
    assert problems(GenerateConfig(bpm=[5, 6], offset=[0])) == [
        "bpm=[5,6]: 5 is below 10; give 10 to 1000 BPM, or null."
    ]
    assert len(problems(GenerateConfig(start_time="soon", end_time=5))) == 1


TOGETHER = [
    (dict(bpm=120), "go together"),
    (dict(offset=5), "go together"),
    (dict(meter=3), "without bpm"),
    (dict(bpm=1e2, offset=0, timing="grid"), "timing=manual"),
    (dict(bpm=[1e2, 2e2], offset=[5, 5]), "in order of time"),
    (dict(bpm=[1e2, 2e2], offset=5), "do not match"),
    (dict(lookback=0.6, lookahead=0.5), "below 1"),
    (dict(start_time="0:10", end_time=9_000), "not after"),
    (dict(negative_descriptors="a", guidance=0.5), "above 1"),
    (dict(circle_size=11), "above 10"),
    (dict(gamemode="mania", circle_size=7), "keycount=7"),
    (dict(in_context=["none", "kiai"]), "beatmap_path"),
    (dict(difficulties=[2, 2.0]), "twice"),
    (dict(timing="reference"), "beatmap_path"),
    (dict(add_to_beatmap=True, beatmap_path="x.osu", difficulties=[1]), "one map"),
]


@pytest.mark.parametrize("settings, says", TOGETHER, ids=[says for _, says in TOGETHER])
def test_what_cannot_be_together(settings, says):
    found = problems(GenerateConfig(**settings))
    assert len(found) == 1 and says in found[0]


# times

TIMES = {
    "90000": 90_000,
    "1:30": 90_000,
    "01:30": 90_000,
    "1:30.5": 90_500,
    "01:30:500": 90_500,
    "00:12:345 (3,4) -": 12_345,
    "00:12:345 (1|2,5|0) - too early (I think)": 12_345,
    "osu://edit/00:12:345": 12_345,
    "62.345s": 62_345,
    "62.345 s": 62_345,
    "90 sec": 90_000,
    "1m30s": 90_000,
    "1m 30s": 90_000,
    "1.5 min": 90_000,
    "1500ms": 1500,
    "1500 ms": 1500,
    "59:59:999": 3_599_999,
    "'1:30'": 90_000,
    " 1:30 ": 90_000,
    "1：30": 90_000,
    "1e3": 1000,
    "0": 0,
    "62.3454s": 62_345,
}
NO_TIMES = [
    "0:01:30",
    "1:2:3",
    "1:75",
    "soon",
    "1:30:5000",
    ":30",
    "1:",
    "1:30;5",
    "-",
    "(3,4)",
    "1::30",
    "30 (bars)",
    "1h",
    "nan",
    "1:30 1:40",
    "00:00:00:000",
    "--1:30",
]


@pytest.mark.parametrize("text", TIMES)
def test_times_as_the_editor_and_people_have_them(text):
    for name in ("start_time", "end_time", "preview_time"):
        assert (
            getattr(compose(GenerateConfig, [f"{name}={text}"]), name)
            == getattr(GenerateConfig(**{name: text}), name)
            == TIMES[text]
        )
    assert compose(GenerateConfig, [f"offset=[{text},{text}]"]).offset == pytest.approx(
        [TIMES[text]] * 2, abs=0.5
    )


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_refused(text):
    said = sentences(GenerateConfig, [f"start_time={text}"])
    assert len(said) == 1 and "01:02:345" in said[0]
    assert sentences(GenerateConfig, [f"offset=[{text}]", "bpm=120"])


def test_times_before_the_song_only_where_they_make_sense():
    assert compose(GenerateConfig, ["offset=-0:00:100", "bpm=180"]).offset == [-100.0]
    assert "start_time=-60000 is below 0" in sentences(GenerateConfig, ["start_time=-1:00"])[0]
    assert (
        RefineConfig(start_time="1:00").start_time == 60_000.0
        and TrainRefineConfig(latest="2:00").latest == 120_000.0
    )


# words of elsewhere

SPELLINGS = {
    "cfg_scale=2": dict(guidance=2.0),
    "CFG_SCALE=2": dict(guidance=2.0),
    "cfg-scale=2": dict(guidance=2.0),
    "super_timing=true": dict(timing="super"),
    "super_timing=False": {},
    "timeshift_bias=1": dict(time_bias=1.0),
    "model_path=v31": dict(model="v31"),
    "gamemode=std": {},
    "gamemode=osu!mania": dict(gamemode=3),
    "gamemode=CTB": dict(gamemode=2),
    "gamemode=fruits": dict(gamemode=2),
    "gamemode=catch the beat": dict(gamemode=2),
    "gamemode='taiko'": dict(gamemode=1),
    "timing=GRID": dict(timing="grid"),
    "in_context=[TIMING,KIAI]": dict(in_context=["timing", "kiai"]),
    "in_context=NO-HS": dict(in_context=["no_hs"]),
    "in_context=[NONE]": dict(in_context=["none"]),
    "output_type=[MAP]": dict(output_type=["map"]),
    "precision=FP32": dict(precision="fp32"),
    "precision=amp": dict(precision="bf16"),
    "device=CPU": dict(device="cpu"),
    "difficulty=None": dict(difficulty=None),
    "difficulty=null": dict(difficulty=None),
    "difficulty=": dict(difficulty=None),
    "lora_path=null": {},
    "seed=None": {},
    "gamemode=": {},
    "model=": {},
    "hitsounded=False": dict(hitsounded=False),
    "export_osz=yes": dict(export_osz=True),
    "audio_path='\"x y.mp3\"'": dict(audio_path="x y.mp3"),
    "audio_path=“x.mp3”": dict(audio_path="x.mp3"),
    'audio_path="C:\\x\\y.mp3"': dict(audio_path="C:\\x\\y.mp3"),
    "descriptors=['jump aim','clean']": dict(descriptors=["jump aim", "clean"]),
    'descriptors=["a, b",c]': dict(descriptors=["a, b", "c"]),
    "descriptors=jump aim, clean": dict(descriptors=["jump aim", "clean"]),
    "+difficulty=5": dict(difficulty=5.0),
    "DIFFICULTY=5": dict(difficulty=5.0),
    "hp=3": dict(hp_drain_rate=3.0),
    "title='quoted'": dict(title="quoted"),
    "title='None'": dict(title="None"),
    "title=rock 'n' roll": dict(title="rock 'n' roll"),
    "title=${artist}": dict(title="${artist}"),
    "descriptors=[${oc.env:HOME}]": dict(descriptors=["${oc.env:HOME}"]),
    "generate_positions=true": dict(refiner="osu-diffusion-v2"),
    "seed=7.0": dict(seed=7),
    "preview_time=-1": dict(preview_time=-1),
    "enable_bf16=true": dict(precision="bf16"),
}


@pytest.mark.parametrize("word", SPELLINGS)
def test_spellings_of_elsewhere_are_understood(word):
    assert compose(GenerateConfig, [word]) == GenerateConfig(**SPELLINGS[word])


IDLE = [
    "use_server=true",
    "fast_decoder_loop=true",
    "timer_iterations=20",
    "attn_implementation=sdpa",
    "compile=false",
    "timing_leniency=20",
    "beatmap_id=5",
    "hydra.run.dir=x",
]


@pytest.mark.parametrize("word", IDLE)
def test_words_that_change_nothing_are_accepted_and_named(word):
    notes = []
    assert compose(GenerateConfig, [word], tell=notes.append) == GenerateConfig()
    assert len(notes) == 1 and notes[0].startswith(word.partition("=")[0]) and "changes nothing" in notes[0]


def test_what_is_said_outright_counts_more_than_what_a_foreign_word_means():
    for words in (["timing=grid", "super_timing=true"], ["super_timing=true", "timing=grid"]):
        assert compose(GenerateConfig, words).timing == "grid"
    assert compose(GenerateConfig, ["super_timing=false"], preset="v28").timing == "auto"
    both = compose(GenerateConfig, ["title_unicode=夜", "title=Yoru"])
    assert (both.title, both.title_unicode) == ("Yoru", "夜")


def test_a_setting_given_twice_is_noted():
    notes = []
    assert compose(GenerateConfig, ["cfg_scale=2", "guidance=3"], tell=notes.append).guidance == 3.0
    assert notes == ["guidance is given twice; the last one counts, 3."]


UNKNOWN = {
    "dificulty=5": "difficulty",
    "cfg_scal=2": "guidance",
    "gamemod=3": "gamemode",
    "overal_difficulty=3": "overall_difficulty",
    "tempratur=1": "temperature",
    "supertiming=true": "timing",
    "modle=v32": "model",
}


@pytest.mark.parametrize("word", UNKNOWN)
def test_an_unknown_setting_is_answered_with_the_nearest(word):
    assert sentences(GenerateConfig, [word]) == [
        f"Unknown setting '{word.partition('=')[0]}'; did you mean '{UNKNOWN[word]}'?"
    ]


@pytest.mark.parametrize(
    "word, near",
    [
        ("timing=gird", "grid"),
        ("in_context=[timming]", "timing"),
        ("gamemode=maina", "mania"),
        ("precision=b16", "bf16"),
        ("timing=automatic", "auto"),
    ],
)
def test_an_unknown_word_is_answered_with_the_nearest(word, near):
    assert f"did you mean '{near}'?" in sentences(GenerateConfig, [word])[0]


@pytest.mark.parametrize(
    "word", ["foo=1", "=1", "model.d_model=3", "x" * 5000 + "=1", "a\nb=1", "difficulty"]
)
def test_what_nobody_knows_is_refused_in_one_short_line(word):
    said = sentences(GenerateConfig, [word])
    assert len(said) == 1 and "\n" not in said[0] and len(said[0]) < 400


def test_words_for_a_training_run():
    c = compose(
        TrainConfig,
        [
            "optim.base_lr_2=1e-3",
            "optim.total_steps=5",
            "modes=[std,Mania]",
            "mixed_precision=no",
            "language.context_types=[{inputs: [none], outputs: [map]}]",
        ],
    )
    assert (c.lr, c.steps, c.modes, c.precision) == (1e-3, 5, ["standard", "mania"], "fp32")
    assert c.language.context_types == [ContextTemplate(["none"], ["map"])]
    assert (compose(EvalConfig, ["mode=ctb"]).mode, compose(TrainConfig, ["run=null"]).run) == (
        "catch",
        "runs/default",
    )
    for word in (
        "language.context_types=[{a: 1}]",
        "language.context_types=[[[",
        "model=x",
        "language.compat=true",
        "language.compat.flip_places=perhaps",
    ):
        assert len(sentences(TrainConfig, [word])) == 1


# types and help


def test_values_have_the_type_of_their_field():
    import numpy as np

    c = GenerateConfig(
        difficulty=4,
        seed=np.int64(7),
        bpm=np.array([120, 180]),
        offset=(0, np.float32(5)),
        audio_path=Path("x.mp3"),
        hitsounded=np.True_,
    )
    assert [type(v) for v in (c.difficulty, c.seed, c.bpm, c.bpm[0], c.offset[1], c.audio_path)] == [
        float,
        int,
        list,
        float,
        float,
        str,
    ]
    assert problems(GenerateConfig(seed=True)) and problems(GenerateConfig(candidates=2.5)) == [
        "candidates=2.5 is no whole number; give 1 to 64 maps."
    ]


def test_a_config_is_not_shared_by_its_defaults():
    a = GenerateConfig()
    b = GenerateConfig()
    a.meter.append(3)
    GenerateConfig(meter=None).meter.append(5)
    settings_table(GenerateConfig)[0]
    assert (
        b.meter == [4]
        and GenerateConfig().meter == [4]
        and {s.name: s for s in settings_table(GenerateConfig)}["meter"].default == [4]
    )


def test_help_shows_the_range():
    table = {s.name: s for s in settings_table(GenerateConfig)}
    assert (table["difficulty"].range, table["timing"].range, table["title"].range) == (
        "0 to 12 stars",
        "auto, grid, super, model, reference, manual",
        "",
    )
    assert all(s.help for s in settings_table(GenerateConfig) + settings_table(TrainConfig))
    assert (
        isinstance(table["start_time"].bounds, Time)
        and isinstance(table["hitsounded"].bounds, Flag)
        and isinstance(table["title"].bounds, Text)
    )
