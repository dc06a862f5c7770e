"Rhythm figures against mir_eval."
import numpy as np, pytest
from hypothesis import given, strategies as st
from mapperatorinator.metrics import rhythm

mir_eval = pytest.importorskip("mir_eval")
times = st.lists(st.integers(0, 20_000), min_size=1, max_size=60, unique=True).map(lambda x: np.array(sorted(x), float))

@given(times, times)
def test_rhythm_equals_mir_eval(found, truth):
    f, p, r = mir_eval.onset.f_measure(truth / 1000, found / 1000, window=.0200001)
    ours = rhythm(found, truth)
    assert np.allclose([ours.f1, ours.precision, ours.recall], [f, p, r])
