"""Compare with measured oracles: `python tests/parity.py FAMILY FOLDER` (a family below; a folder laid out as ../shared/fixtures).

Prints a table and, as its last line, one JSON object {family, cases, equal, named, unexplained}. Exit code 1 when something is unexplained.
A family is a generator `FAMILY(folder)` in its module. It yields (name, version, what, result): true when equal, false when not, or the name
of the fix of ours that explains the difference, several joined by " + " (told in nbs/explanations/parity_with_the_reference.ipynb). A fifth
item, when there is one, is a remark for the table, such as the largest difference."""
from __future__ import annotations
import json
import sys
from collections import Counter
from functools import lru_cache
from importlib import import_module
from pathlib import Path

FAMILIES = {
    "parse": "parity_language",
    "windows": "parity_language",
    "checkpoints": "parity_checkpoints",
    "generate": "parity_generate",
    "timing": "parity_timing",
    "postprocess": "parity_postprocess",
    "diffusion": "parity_diffusion"} # family -> module that holds it

def cases(family, folder):
    "All cases of a family."
    return getattr(import_module(FAMILIES[family]), family)(Path(folder))

@lru_cache # several tests ask
def report(family, folder):
    "Per (version, what): how many cases, how many equal; then how often each named fix explains a difference, and the rows nothing explains."
    total, equal, named, wrong, remarks = Counter(), Counter(), Counter(), [], {}
    for name, version, what, result, *remark in cases(family, folder):
        total[version, what] += 1
        if remark: remarks[version, what] = remark[0]
        if isinstance(result, str): named.update(result.split(" + "))
        elif result: equal[version, what] += 1
        else: wrong.append((name, version, what))
    return total, equal, named, wrong, remarks

def main(family, folder):
    "Print the table and the summary; 1 when something differs."
    if family not in FAMILIES: sys.exit(f"No family '{family}'; choose one of {', '.join(FAMILIES)}.")
    total, equal, named, wrong, remarks = report(family, folder)
    for (version, what), n in sorted(total.items()): print(f"{version:4} {what:24} {equal[version, what]:5} of {n:5} equal  {remarks.get((version, what), '')}".rstrip())
    for fix, n in sorted(named.items()): print(f"differs by '{fix}': {n}")
    for row in wrong: print("differs:", *row)
    print(json.dumps({"family": family, "cases": sum(total.values()), "equal": sum(equal.values()), "differ_by_a_fix": sum(total.values()) - sum(equal.values()) - len(wrong),
                      "named": dict(named), "unexplained": len(wrong)}))
    return int(bool(wrong))

if __name__ == "__main__":
    if len(sys.argv) != 3: sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
