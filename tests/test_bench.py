"The bench: what it prints can be read by machines, it measures what it says, and the sizes are those of the published models."
import json

import numpy as np
import pytest

from mapperatorinator.bench import SIZES, plain_loop, report_lines, run_bench, sized, song, song_windows, told
from mapperatorinator.config import BenchConfig, compose
from mapperatorinator.core import UserError
from mapperatorinator.engine import Engine

small = dict(seconds=20, windows=2, prompt=30, tokens=4, batches=[1, 2], threads=1)

def test_last_line_is_json(capsys):
    report = run_bench(compose(BenchConfig, precisions=["fp32", "bf16"], plain=True, **small))
    lines = capsys.readouterr().out.strip().splitlines()
    assert json.loads(lines[-1]) == json.loads(json.dumps(report))
    assert set(report["song"]) == {"plain loop", "fp32", "bf16"} and 0 <= report["song"]["bf16"]["agreement"] <= 1
    assert report["windows"] == 2 and set(report["sweep"]["fp32"]["batch"]) == {"1", "2"} and report["peak_mb"] > report["weights_mb"]
    assert len(lines) == len(report_lines(report))

def test_both_ways_write_as_much():
    "Token counts are forced to be equal: two contexts a window."
    bundle = sized("embedded")
    windows = song_windows(bundle, 30, 7)
    written, seconds = song(Engine(bundle, "cpu", guess=0), windows, 30, 3)
    assert len(written) == 14 and all(len(ids) == 3 for ids in written) and seconds > 0
    assert plain_loop(bundle, windows[:1], 30, 3) > 0

def test_prompts_repeat_with_the_seed():
    bundle = sized("embedded")
    assert told(bundle, 2, 9, 1) == told(bundle, 2, 9, 1) != told(bundle, 2, 9, 2) and {len(p) for p in told(bundle, 2, 9)} == {9}

def test_sizes(monkeypatch):
    "The mini size has the 54 M parameters of its namesake, up to the mappers in the vocabulary."
    n = sized("v32-mini-size").model.n_params()
    assert 48e6 < n < 56e6 and set(SIZES) == {"v32-size", "v32-mini-size"}
    with pytest.raises(UserError): sized("v99-size")
