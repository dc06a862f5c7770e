"Threads: what is written does not depend on how many there are, and the count follows the machine."

import json
import os
import subprocess
import sys

import pytest
import torch

from mapperatorinator.config import BENCH_TASKS, BenchConfig
from mapperatorinator.engine import Engine, Job
from mapperatorinator.model.layers import has_packing
from mapperatorinator.rules import TopP
from mapperatorinator.speed import neighbours
from mapperatorinator.speed.loop import plain_loop
from mapperatorinator.speed.neighbours import busy_lines, busy_programs, measure_busy
from mapperatorinator.threads import ThreadCount, threads_kept, timed_step
from mapperatorinator.workload import random_prompts, sized_model, song_windows


@pytest.fixture(scope="module")
def embedded():
    return sized_model("embedded")


def written(bundle, threads: int, speculate: int) -> list[list[int]]:
    "Greedy and drawn rows of one window, with so many threads in a step."
    engine = Engine(bundle, "cpu", speculate=speculate, threads=threads)
    heard = engine.encode(song_windows(bundle, 20, 1))
    prompts = random_prompts(bundle, 3, 150)
    draws = [None, torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)]
    return [
        w.ids
        for w in engine.generate(Job(prompts, heard, [TopP(0.95)], stop=(), generators=draws, max_new=40))
    ]


@pytest.mark.parametrize("speculate", [0, 8])
def test_any_number_of_threads_writes_the_same(embedded, speculate):
    assert (
        written(embedded, 1, speculate) == written(embedded, 2, speculate) == written(embedded, 3, speculate)
    )


@pytest.mark.skipif(not has_packing(), reason="no packed weights here, whose sums do not depend on threads")
def test_scores_are_equal_to_the_last_bit(embedded):
    "Reading a prompt, one step, and a step of several tokens."
    engine = Engine(embedded, "cpu")
    heard = engine.encode(song_windows(embedded, 20, 1))
    prompts = torch.tensor(random_prompts(embedded, 2, 200))

    def scores(threads):
        with threads_kept(), torch.inference_mode():
            torch.set_num_threads(threads)
            model = engine.model
            cache = model.new_cache(2, 256)
            return [
                model.prefill(prompts, heard, cache),
                *(model.steps(prompts[:, :n], cache) for n in (1, 2, 3, 8)),
            ]

    for other in (2, 3):
        assert all(map(torch.equal, scores(1), scores(other)))


def test_a_hopeless_trial_ends_at_once():
    threads = ThreadCount([1, 2])
    for _ in range(threads.SOONEST):
        threads.record("step", 1.0)
    assert threads.count == 1
    threads.record("step", 9.0)
    threads.record("step", 9.0)  # the first wakes the threads, the second tells
    assert threads.count == 2 and threads.left == 2 * threads.SOONEST


def test_a_trial_that_compares_with_nothing_ends():
    threads = ThreadCount([1, 2])
    for _ in range(threads.SOONEST):
        threads.record("one token", 1.0)
    for _ in range(threads.TRIAL + 1):
        threads.record("nine tokens", 1.0)
    assert threads.count == 2


def test_a_neighbour_is_noticed_soon():
    "After a long calm the next trial is far away, unless the steps take much longer at once."
    threads = ThreadCount([1, 2])
    for _ in range(20_000):
        threads.record("step", 1.0)
    assert threads.wait == threads.LATEST
    steps = 0
    while threads.count == 2:
        threads.record("step", 5.0)
        steps += 1
    assert steps < 30


def test_threads_are_given_back_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), threads_kept(), timed_step(ThreadCount([before + 1]), "step"):
        1 / 0
    assert torch.get_num_threads() == before


def environment(**given) -> dict:
    "What a new process has in its environment once the package is imported."
    names = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    code = "import json, os, mapperatorinator; print(json.dumps({k: os.environ.get(k) for k in %r}))" % (
        names,
    )
    clean = {k: v for k, v in os.environ.items() if k not in (*names, "OMP_WAIT_POLICY")}
    return json.loads(
        subprocess.run(
            [sys.executable, "-c", code], env=clean | given, capture_output=True, text=True, check=True
        ).stdout
    )


def test_threads_wait_asleep_unless_the_environment_says_how():
    assert environment() == {"GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
    assert environment(GOMP_SPINCOUNT="7")["GOMP_SPINCOUNT"] == "7"
    assert environment(OMP_WAIT_POLICY="active") == {"GOMP_SPINCOUNT": None, "KMP_BLOCKTIME": None}


# the bench


def test_busy_programs_end(monkeypatch):
    started = []
    real = subprocess.Popen
    monkeypatch.setattr(
        neighbours.subprocess, "Popen", lambda *a, **k: started.append(real(*a, **k)) or started[-1]
    )
    with pytest.raises(ZeroDivisionError), busy_programs(2):
        1 / 0
    assert len(started) == 2 and all(p.poll() is not None for p in started)


def test_a_process_of_its_own_beside_a_busy_one():
    conf = BenchConfig(task="busy", seconds=20, windows=1, prompt=20, tokens=3, threads=1, repeats=1)
    assert neighbours.write_apart(conf, list(neighbours.WAYS)[-1], busy=1) > 0


def test_busy_task(monkeypatch):
    "Both ways, quiet and beside a program for each core; the best of the rounds counts."
    speeds = {way: iter(range(10 * n, 10 * n + 9)) for n, way in enumerate(neighbours.WAYS, 1)}
    beside = []
    monkeypatch.setattr(neighbours.os, "cpu_count", lambda: 3)
    monkeypatch.setattr(
        neighbours, "write_apart", lambda conf, way, busy: beside.append(busy) or next(speeds[way])
    )
    report = measure_busy(None, BenchConfig(task="busy", repeats=2))
    assert "busy" in BENCH_TASKS and sorted(beside) == [0] * 4 + [3] * 4
    assert [*report["ways"]] == [*neighbours.WAYS] and report["cores"] == 3
    for n, rate in enumerate(report["ways"].values(), 1):
        assert sorted(rate) == ["busy", "quiet"] and {*rate.values()} == {10 * n + 2, 10 * n + 3}
    assert len(busy_lines(report)) == 4


def test_the_plain_loop_goes_where_the_model_is(embedded, monkeypatch):
    "Its Whisper, the sound and the prompts are on the device of the model; `meta` stands for an accelerator."
    import transformers

    devices = []

    def generate(model, encoder_outputs, decoder_input_ids, **_):
        devices.extend(
            [model.device.type, encoder_outputs.last_hidden_state.device.type, decoder_input_ids.device.type]
        )
        return torch.zeros(1)

    monkeypatch.setattr(transformers.GenerationMixin, "generate", generate)
    away = sized_model("embedded")
    away.model.to("meta")
    mel = lambda samples: (
        devices.append(samples.device.type)
        or torch.zeros(1, 1024, away.model.c.spectrogram.n_mels, device=samples.device)
    )
    monkeypatch.setattr(type(away.model.mel), "forward", lambda self, samples: mel(samples))
    assert plain_loop(away, song_windows(embedded, 20, 1), 20, 2) > 0
    assert devices == ["meta"] * 8
