"What the notebook tells of parity with the reference is what is measured."
import pathlib

import nbformat
import parity
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
FIXTURES = ROOT.parent/"shared/fixtures"
NOTEBOOK = ROOT/"nbs/explanations/parity_with_the_reference.ipynb"

def told(name):
    "A table of the notebook."
    cell = next(c for c in nbformat.read(NOTEBOOK, 4).cells if f"{name} = {{" in c.source)
    exec(cell.source, space := {})
    return space[name]

def test_every_family_is_told():
    assert {*told("FAMILIES")} == {*parity.FAMILIES} >= {f[0] for f in told("FIXES").values()}

@pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs ../shared/fixtures")
@pytest.mark.parametrize("family", parity.FAMILIES)
def test_counts_are_the_measured_ones(family):
    total, equal, named, wrong, _ = parity.report(family, FIXTURES)
    assert told("FAMILIES")[family] == (total.total(), equal.total(), total.total() - equal.total() - len(wrong))
    assert not wrong
    assert {k: f[-1] for k, f in told("FIXES").items() if f[0] == family and f[-1]} == named
