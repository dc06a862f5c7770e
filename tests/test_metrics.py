"Rhythm figures against mir_eval."

import numpy as np, pytest
from hypothesis import given, strategies as st
from mapperatorinator.metrics import BeatGrid, Stretch, from_nearest, rhythm, score_grid, score_timing
from mapperatorinator.osu.beatmap import TimingPoint
from mapperatorinator.osu.timing import Timing

mir_eval = pytest.importorskip("mir_eval")
times = st.lists(st.integers(0, 20_000), min_size=1, max_size=60, unique=True).map(
    lambda x: np.array(sorted(x), float)
)


@given(times, times)
def test_rhythm_equals_mir_eval(found, truth):
    f, p, r = mir_eval.onset.f_measure(truth / 1000, found / 1000, window=0.0200001)
    ours = rhythm(found, truth)
    assert np.allclose([ours.f1, ours.precision, ours.recall], [f, p, r])


def test_score_of_the_truth_is_perfect():
    t = Timing([TimingPoint(100, 400, 4), TimingPoint(20100, 500, 3)])
    s = score_timing(t, t, 0, 60000)
    assert s.right and s.ratio == 1 and s.median == 0 and s.p95 == 0 and s.downbeats == 1
    double = Timing([TimingPoint(100, 200, 4), TimingPoint(20100, 250, 3)])
    assert not score_timing(double, t, 0, 60000).right and score_timing(double, t, 0, 60000).octave


@given(times, times)
def test_nearest_is_nearest(found, truth):
    gaps = from_nearest(found, truth)
    assert np.array_equal(np.abs(gaps), np.abs(found[:, None] - truth).min(1))


def test_taps_have_a_tempo():
    rng = np.random.default_rng(0)
    taps = BeatGrid.tapped(1000 + np.arange(80) * 60000 / 173 + rng.normal(0, 6, 80))
    assert score_grid(
        taps, BeatGrid([Stretch(0, 60000, 173.0)], 1000 + np.arange(80) * 60000 / 173, np.zeros(0))
    ).right
    assert len(taps.between(2000, 3000).beats) == 3
