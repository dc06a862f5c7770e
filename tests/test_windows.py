"Windows over songs of every length."

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mapperatorinator.config import LanguageConfig
from mapperatorinator.core import UserError
from mapperatorinator.windows import cut, plan, stride_of

SIZES = {"v28": 1024, "v30": 4096, "v32": 2048}


def language(name):
    return LanguageConfig(src_seq_len=SIZES[name])


ORACLE = [
    ("v28", 80000, 1, 0),
    ("v30", 80000, 1, 0),
    ("v32", 80000, 1, 0),
    ("v28", 160000, 4, 2455),
    ("v30", 160000, 1, 0),
    ("v32", 160000, 1, 0),
    ("v28", 960000, 65, 52376),
    ("v30", 960000, 10, 29483),
    ("v32", 960000, 28, 44214),
    ("v28", 2880000, 211, 171858),
    ("v30", 2880000, 46, 147417),
    ("v32", 2880000, 101, 163756),
    ("v28", 3201968, 236, 192318),
    ("v30", 3201968, 53, 170348),
    ("v32", 3201968, 114, 185044),
]


@pytest.mark.parametrize("name, samples, count, last", ORACLE)
def test_oracle(name, samples, count, last):
    windows = plan(samples, language(name), 0.5, 0.4)
    assert (len(windows), windows[-1].time_ms) == (count, last)


def test_strides():
    assert [stride_of(language(n).window_samples, 0.5, 0.4) for n in SIZES] == [13094, 52415, 26201]


def test_ranges():
    times = lambda **k: [w.time_ms for w in plan(960000, language("v32"), 0.5, 0.4, **k)]
    late = times(start_time=30000)
    assert (len(late), late[0], late[-1]) == (15, 21288, 44214)
    assert times(start_time=0, end_time=1000) == [0] and times(start_time=59000, end_time=60000) == [44214]
    assert times(start_time=1e9) == [44214] and times(end_time=1) == [0]


lengths = st.integers(1, 3_000_000)
shares = st.floats(0, 0.6)


@settings(max_examples=150, deadline=None)
@given(lengths, shares, st.floats(0, 0.39), st.sampled_from(sorted(SIZES)))
def test_every_moment_is_written_once(n, lookback, lookahead, name):
    lang = language(name)
    windows = plan(n, lang, lookback, lookahead)
    size = lang.window_samples
    stride = stride_of(size, lookback, lookahead)
    assert len(windows) == 1 + -(-max(0, n - size) // stride)
    assert windows[0].keep_from == 0 and windows[-1].keep_to >= n / 16
    assert all(a.keep_to == b.keep_from for a, b in zip(windows, windows[1:]))
    assert [w.first for w in windows] == [True] + [False] * (len(windows) - 1) and windows[-1].last
    for w in windows:
        assert w.start_sample == w.index * stride and 0 <= w.start_sample / 16 - w.time_ms < 1.01
        assert w.start_sample / 16 - 1e-6 <= w.keep_from < w.keep_to <= (w.start_sample + size) / 16 + 1e-6


@settings(max_examples=100, deadline=None)
@given(st.integers(300_000, 2_000_000), st.floats(0, 1), st.floats(0.01, 1))
def test_a_range_is_written_by_its_windows(n, start, length):
    end_of_song = n / 16
    start = start * end_of_song * 0.95
    end = min(start + length * end_of_song, end_of_song)
    windows = plan(n, language("v28"), 0.5, 0.4, start, end)
    assert windows[0].keep_from <= start + 1 and windows[-1].keep_to >= end - 1
    assert (
        windows[0].first
        and windows[-1].last
        and [w.index for w in windows] == list(range(windows[0].index, windows[-1].index + 1))
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 600_000), st.integers(0, 5))
def test_cut(n, skip):
    x = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    windows = plan(n, language("v28"), 0.5, 0.4)
    windows = windows[min(skip, len(windows) - 1) :]
    rows = cut(x, windows)
    assert rows.shape == (len(windows), 130944) and rows.dtype == np.float32
    for w, row in zip(windows, rows):
        inside = x[w.start_sample : w.start_sample + w.n_samples]
        assert np.array_equal(row[: len(inside)], inside) and not row[len(inside) :].any()


def test_rows_go_to_torch():
    import torch

    rows = torch.from_numpy(cut(np.ones(300000, np.float32), plan(300000, language("v28"))))
    assert rows[:2].clone().shape == (2, 130944)


@pytest.mark.parametrize("lookback, lookahead", [(0.5, 0.5), (1, 0), (-0.1, 0.2), (0.2, -0.1), (0.9, 0.3)])
def test_shares_that_leave_nothing(lookback, lookahead):
    with pytest.raises(UserError, match="leave nothing to write"):
        plan(10**6, language("v32"), lookback, lookahead)


def test_times_in_the_wrong_order():
    with pytest.raises(UserError, match="not after"):
        plan(10**6, language("v32"), start_time=2000, end_time=2000)
