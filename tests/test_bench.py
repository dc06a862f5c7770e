"The bench: what it prints can be read by machines, it measures what it says, and the sizes are those of the published models."

import json
import time

import numpy as np
import pytest

from mapperatorinator.bench import TASKS, bench, report_lines, run_bench
from mapperatorinator.config import BENCH_TASKS, BenchConfig, LanguageConfig, compose, settings_table
from mapperatorinator.core import Progress, UserError
from mapperatorinator.engine import Engine, Job
from mapperatorinator.events import ContextType
from mapperatorinator.measure import CLOCKS, clock_in_use, fastest, interleave, seconds_of, table_lines
from mapperatorinator.speed.growth import GROWS, exponent, grow_apart, growth_lines
from mapperatorinator.speed.ladder import compiled, engines, rungs
from mapperatorinator.speed.loop import plain_loop, write_song
from mapperatorinator.speed.neighbours import PLAIN, Round, bandwidth, in_short
from mapperatorinator.speed.songs import Stages, both_counts, requests
from mapperatorinator.workload import SIZES, map_text, random_prompts, sized_model, song_windows
from tiny import tiny_bundle

small = dict(seconds=20, windows=2, prompt=30, tokens=4, batches=[1, 2], threads=1, repeats=1)


def printed(capsys, **settings) -> dict:  # the last line
    "Run a task as the command does."
    report = run_bench(compose(BenchConfig, **small | settings))
    lines = capsys.readouterr().out.strip().splitlines()
    assert json.loads(lines[-1]) == json.loads(json.dumps(report)) and len(lines) == len(report_lines(report))
    return report


def test_last_line_is_json(capsys):
    report = printed(capsys, precisions=["fp32", "bf16"], plain=True)
    assert (
        set(report["song"]) == {"plain loop", "fp32", "bf16"}
        and 0 <= report["song"]["bf16"]["agreement"] <= 1
    )
    assert (
        report["windows"] == 2
        and set(report["sweep"]["fp32"]["batch"]) == {"1", "2"}
        and report["peak_mb"] > report["weights_mb"]
    )


def test_both_ways_write_as_much():
    "Token counts are forced to be equal: two contexts a window."
    bundle = sized_model("embedded")
    windows = song_windows(bundle, 30, 7)
    written, seconds = write_song(Engine(bundle, "cpu", speculate=0), windows, 30, 3)
    assert len(written) == 14 and all(len(ids) == 3 for ids in written) and seconds > 0
    assert plain_loop(bundle, windows[:1], 30, 3) > 0


def test_prompts_repeat_with_the_seed():
    bundle = sized_model("embedded")
    assert random_prompts(bundle, 2, 9, 1) == random_prompts(bundle, 2, 9, 1) != random_prompts(
        bundle, 2, 9, 2
    ) and {len(p) for p in random_prompts(bundle, 2, 9)} == {9}


def test_sizes(monkeypatch):
    "The mini size has the 54 M parameters of its namesake, up to the mappers in the vocabulary."
    n = sized_model("v32-mini-size").model.n_params()
    assert 48e6 < n < 56e6 and set(SIZES) == {"v32-size", "v32-mini-size"}
    with pytest.raises(UserError):
        sized_model("v99-size")


# the task, and the settings that belong to one


def test_tasks():
    "Every task of the settings is measured, and named in the help; another is answered with their names."
    help = next(s.help for s in settings_table(BenchConfig) if s.name == "task")
    assert (
        list(TASKS) == list(BENCH_TASKS)
        and all(name in help for name in TASKS)
        and BenchConfig().task == "speed"
    )
    with pytest.raises(UserError, match="'sing'; expected one of speed, ladder, song, pipelining"):
        bench(BenchConfig(task="sing"))


@pytest.mark.parametrize("counts", ["20", "20-80", "1/80", "a/b", "20/80/30"])
def test_counts_are_pairs(counts):
    with pytest.raises(UserError, match="such as 20/80"):
        both_counts(counts)


def test_clocks():
    "The clock is known by name, and that of the processor stands still while this process sleeps."
    with pytest.raises(UserError, match="one of wall, cpu"):
        bench(BenchConfig(clock="moon"))
    token = clock_in_use.set(CLOCKS["cpu"])
    assert seconds_of(lambda: time.sleep(0.2)) < 0.1
    clock_in_use.reset(token)
    assert seconds_of(lambda: time.sleep(0.2)) >= 0.2


def test_precisions_asked_for_must_exist():
    "What was named is measured or refused; what a task would compare is left out where the machine lacks it."
    bundle = sized_model("embedded")
    with pytest.raises(UserError, match="fp99"):
        list(engines(bundle, BenchConfig(precisions=["fp99"])))
    assert "fp32" in dict(engines(bundle, BenchConfig(task="pipelining", device="cpu")))


def test_song_settings_are_requests():
    conf = BenchConfig(difficulty=3.0, difficulties=[5.0, 2.0], candidates=3, star_tries=1, seed=7)
    one, spread, drafts = requests(conf).values()
    assert (
        [c.difficulty for c in spread] == [2.0, 5.0]
        and one[0].difficulty == drafts[0].difficulty == 3.0
        and drafts[0].candidates == 3
    )
    assert {(c.seed, c.star_tries) for c in one + spread + drafts} == {(7, 1)}


# ladder


def test_ladder(capsys, monkeypatch):
    "The exact rungs write the same tokens, and a machine without a compiler hears why a rung is missing."
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr("shutil.which", lambda name: None)
    report = printed(capsys, task="ladder", precisions=["bf16"])
    rungs = {r["rung"]: r for r in report["rungs"]}
    assert (
        list(rungs)
        == ["naive", "cached", "static", "batched", "packed", "bf16", "packed alone", "speculative"]
        and "C++ compiler" in report["missing"][0]
    )
    assert (
        all(
            rungs[name]["same_tokens"]
            for name in ("naive", "cached", "static", "batched", "packed", "packed alone")
        )
        and rungs["batched"]["rows"] == 2
    )
    assert all(
        abs(r["times_naive"] * rungs["naive"]["tokens_per_s"] / r["tokens_per_s"] - 1) < 1e-6
        for r in rungs.values()
    )


@pytest.fixture(scope="module")
def tiny():
    "The smallest model."
    return tiny_bundle(LanguageConfig(src_seq_len=64, tgt_seq_len=128))


@pytest.mark.slow
def test_compiled_writes_the_same(tiny):
    "Greedy tokens of the compiled step are those of the plain one, over prompts and shapes; the model given is not touched."
    try:
        engine = compiled(Engine(tiny, "cpu", static=True, packed=False))
    except UserError as e:
        pytest.skip(str(e))
    plain = Engine(tiny, "cpu", speculate=0)
    heard = plain.encode(
        np.random.default_rng(0).standard_normal((1, tiny.language.window_samples)).astype(np.float32) / 10
    )
    for prompts in (random_prompts(tiny, 2, 9), random_prompts(tiny, 2, 20, 1), random_prompts(tiny, 1, 9)):
        job = lambda: Job(prompts, heard, stop=(), max_new=20)
        assert engine.generate(job()) == plain.generate(job())
    assert engine.model.static_step is not plain.model.static_step and "static_step" not in vars(tiny.model)


def test_speculative_rung_writes_the_given_text():
    bundle = sized_model("embedded")
    found, _ = rungs(bundle, BenchConfig(task="ladder", **small | dict(tokens=12)), quick=True)
    assert found["speculative"].write() == map_text(bundle, ContextType.MAP, 12)[0][1]


# clocks


def test_rounds_are_interleaved():
    "Every other round goes backwards, and the fastest counts."
    order = []
    given = interleave({name: lambda name=name: order.append(name) or len(order) for name in "ab"}, 2)
    assert order == ["a", "b", "b", "a"] and given == {"a": [1, 4], "b": [2, 3]}
    assert set(fastest({"a": lambda: None})) == {"a"}


def test_stages():
    "All the time belongs to some stage; what follows the last token of a context is finishing."
    stages = Stages()
    names = []
    for p in (
        Progress("listening", 0, 2),
        Progress("timing", 1, 1),
        Progress("map", 0, 2),
        Progress("map", 2, 2),
    ):
        stages(p)
        names.append(stages.stage)
    stages.turn("")
    assert names == ["hearing", "timing", "writing", "finishing"] and set(stages.seconds) == {
        "hearing",
        "timing",
        "writing",
        "finishing",
    }


def test_table():
    lines = table_lines([{"a": 1, "bee": "x"}, {"a": 200, "bee": ""}])
    assert lines == ["| a   | bee |", "|-----|-----|", "| 1   | x   |", "| 200 |     |"]


# song and pipelining


def test_song(capsys):
    runs = printed(
        capsys, task="song", seconds=6, difficulties=[2.0, 4.0], candidates=2, precisions=["fp32"]
    )["runs"]["fp32"]
    assert [(name, r["maps"]) for name, r in runs.items()] == [
        ("one difficulty", 1),
        ("a spread of 2", 2),
        ("2 candidates", 2),
    ]
    for r in runs.values():
        assert r["tokens"] > 0 and abs(sum(r["stages_s"].values()) - r["wall_s"]) < 1e-6 and r["peak_mb"] >= 0
    assert runs["one difficulty"]["times_one"] == 1


def test_pipelining(capsys):
    "Without drafts a pass writes a token in each row that is at work."
    report = printed(capsys, task="pipelining", counts=["5/9", "6/6"], precisions=["fp32"])
    pairs = {(r["drafts"], r["beats"], r["objects"]): r for r in report["pairs"]}
    assert set(pairs) == {(g, *n) for g in ("off", "on") for n in ((5, 9), (6, 6))}
    assert (pairs["off", 5, 9]["apart_passes"], pairs["off", 5, 9]["beside_passes"]) == (12, 8)
    assert all(pairs["on", *n]["apart_passes"] <= pairs["off", *n]["apart_passes"] for n in ((5, 9), (6, 6)))


def test_dictated_texts_are_in_the_language():
    "A prompt that fits the model, and as many tokens as were asked for, the end last."
    bundle = sized_model("embedded")
    for kind in (ContextType.TIMING, ContextType.MAP):
        for prompt, text in map_text(bundle, kind, 70, 3):
            assert (
                len(text) == 70
                and text[-1] == 2
                and bundle.tokenizer.decode_ids(text[:-1], 0)
                and len(prompt) < bundle.language.tgt_seq_len - 70
            )


# against and growth


def test_a_ratio_is_taken_within_its_round():
    "The machine became twice as slow between two rounds: the ratios do not see it."
    quick = Round(20.0, {PLAIN: 2.0, "fp32": 1.0})
    slow = Round(10.0, {"fp32": 2.0, PLAIN: 4.0})
    found = in_short([quick, slow])
    assert found["times_plain"] == {"fp32": [2.0, 2.0, 2.0]}
    assert found["seconds"]["fp32"] == [1.5, 1.0, 2.0] and found["bandwidth_gb_s"] == [15.0, 10.0, 20.0]
    assert bandwidth() > 0


def test_against(capsys, monkeypatch):
    "Every way takes its turn in every round, beside as many programs as there are cores, and beside none."
    from mapperatorinator.speed import neighbours

    turns = []
    real = neighbours.one_round
    noted = lambda ways, busy, backwards: turns.append((busy, backwards)) or real(ways, busy, backwards)
    monkeypatch.setattr(neighbours, "one_round", noted)
    monkeypatch.setattr(neighbours.os, "cpu_count", lambda: 1)
    report = printed(capsys, task="against", precisions=["fp32"], windows=1, tokens=2, repeats=2)
    assert turns == [(0, False), (1, False), (0, True), (1, True)]
    assert {busy: set(f["times_plain"]) for busy, f in report["against"].items()} == {
        "0": {"fp32"},
        "1": {"fp32"},
    }


def test_growth(monkeypatch):
    "A size is measured in a process of its own, whose peak is not that of this one."
    conf = BenchConfig(task="growth", precisions=["fp32"], **small)
    held = np.ones(40_000_000)  # 320 MB that the other one does not hold
    row = grow_apart(conf, "songs written together", 2)
    assert row["size"] == 2 and row["seconds"] > 0 and 0 < row["peak_mb"] and held.any()
    larger = row | {"size": 8, "seconds": 4 * row["seconds"]}
    assert exponent(row, larger) == pytest.approx(1)
    lines = growth_lines({"growth": {"songs written together": [row, larger]}})
    assert "1.00" in lines[-1] and len(lines) == 4 and set(GROWS) >= {"difficulties", "minutes of song"}
