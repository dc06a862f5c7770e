"""Compare with measured oracles: `python tests/parity FAMILY [FOLDER]` (a family below; a folder laid out as ../shared/fixtures, or a part of one;
without a folder the small oracles of tests/data).

Prints a table and, as its last line, one JSON object {family, cases, equal, rounded, differ_by_a_fix, named, unexplained, left_out}. Exit code 1 when
something is unexplained. A family is a generator `FAMILY(folder)` in its module. It yields (name, version, what, result): true when equal, ROUNDED when
only the last bit of the machine's arithmetic differs, false when not, None when the folder lacks what it would be compared with, or the name
of the fix of ours that explains the difference, several joined by " + " (told in nbs/explanations/parity_with_the_reference.ipynb). A fifth
item, when there is one, is a remark for the table, such as the largest difference."""

from __future__ import annotations
import gzip
import json
import sys
import zlib
from collections import Counter
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from mapperatorinator.core import UserError

FAMILIES = {
    "parse": "parity.language",
    "windows": "parity.language",
    "checkpoints": "parity.checkpoints",
    "generate": "parity.generate",
    "timing": "parity.timing",
    "postprocess": "parity.postprocess",
    "diffusion": "parity.diffusion",
    "maimod": "parity.maimod",
}  # family -> module that holds it
PLACES = {
    "parse": "oracles/parse/*.json.gz with their maps in oracles/parse/osu",
    "windows": "oracles/windows/*.json.gz",
    "checkpoints": "checkpoints/*/io.npz",
    "generate": "oracles/generate/runs/*.json.gz",
    "timing": "postprocess_timing_oracles.json",
    "postprocess": "postprocess_timing_oracles.json",
    "diffusion": "oracles/diffusion/dit_io.npz or pipeline.json.gz",
    "maimod": "oracles/maimod/*.json.gz",
}  # family -> where a folder has it
DATA = Path(__file__).resolve().parents[1] / "data" / "parity"  # the oracles that are carried along
ROUNDED = "equal up to rounding"
ODD = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zlib.error,
    UserError,
)  # what reading a strange file raises


def read_json(path):
    "What a file holds, packed or not."
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def either(*paths):
    "The first of some files that is there, or None."
    return next((p for p in paths if p.is_file()), None)


def oracles_of(folder):
    "The numbers of timing and postprocess; none where the file is missing or holds something else."
    path = either(folder / "postprocess_timing_oracles.json", folder / "postprocess_timing_oracles.json.gz")
    found = read_json(path) if path else {}
    return found if isinstance(found, dict) else {}


def guarded(name, rows):
    "The rows (version, what, result, …) of a case with its name; a file that cannot be read is a row too."
    try:
        for row in rows:
            yield name, *row
    except ODD as e:
        yield name, "-", f"unreadable, {type(e).__name__}: {e}".replace("\n", " ")[:200], False


def cases(family, folder):
    "All cases of a family."
    return getattr(import_module(FAMILIES[family]), family)(Path(folder))


@lru_cache  # several tests ask
def rows(family, folder):
    return list(cases(family, folder))


@lru_cache
def report(family, folder):
    "Per (version, what): how many cases, how many equal; then how often each named fix explains a difference, and the rows nothing explains."
    total = Counter()
    equal = Counter()
    named = Counter()
    wrong = []
    remarks = {}
    for name, version, what, result, *remark in rows(family, folder):
        if result is None:
            continue
        total[version, what] += 1
        if remark:
            remarks[version, what] = remark[0]
        if result == ROUNDED or result is True:
            equal[version, what] += 1
        elif isinstance(result, str):
            named.update(result.split(" + "))
        else:
            wrong.append((name, version, what))
    return total, equal, named, wrong, remarks


def rounded(family, folder):
    "How many cases are equal up to rounding only."
    return sum(row[3] == ROUNDED for row in rows(family, folder))


def left_out(family, folder):
    "What the folder lacks, and how many cases could not be compared for it."
    return Counter(
        f"{row[2]}{''.join(f': {r}' for r in row[4:])}" for row in rows(family, folder) if row[3] is None
    )


def main(family, folder):
    "Print the table and the summary; 1 when something differs."
    if family not in FAMILIES:
        sys.exit(f"No family '{family}'; choose one of {', '.join(FAMILIES)}.")
    if not Path(folder).is_dir():
        sys.exit(f"There is no folder '{folder}'; give one that is laid out as ../shared/fixtures.")
    total, equal, named, wrong, remarks = report(family, folder)
    near = rounded(family, folder)
    lacking = left_out(family, folder)
    if not total and not lacking:
        print(f"'{folder}' holds nothing of the {family} family ({PLACES[family]}).")
    for (version, what), n in sorted(total.items()):
        print(
            f"{version:8} {what:24} {equal[version, what]:5} of {n:5} equal  {remarks.get((version, what), '')}".rstrip()
        )
    if near:
        print(f"{ROUNDED}: {near}")
    for what, n in sorted(lacking.items()):
        print(f"left out, the folder lacks what it would be compared with: {n} × {what}")
    for fix, n in sorted(named.items()):
        print(f"differs by '{fix}': {n}")
    for row in wrong:
        print("differs:", *row)
    print(
        json.dumps(
            {
                "family": family,
                "cases": sum(total.values()),
                "equal": sum(equal.values()),
                "rounded": near,
                "differ_by_a_fix": sum(total.values()) - sum(equal.values()) - len(wrong),
                "named": dict(named),
                "unexplained": len(wrong),
                "left_out": sum(lacking.values()),
            }
        )
    )
    return int(bool(wrong))
