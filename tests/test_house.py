"The rules of the house, measured. `pytest tests/test_house.py -s` prints the figures."

import ast
import re
import subprocess
import sys
from collections import Counter
from configparser import ConfigParser
from statistics import median

import pytest

import house


def test_functions_are_small(capsys):
    sizes = house.functions()
    lines = [n for n, *_ in sizes]
    with capsys.disabled():
        print(
            f"\n  {len(lines)} functions: median {median(lines):g}, p90 {house.share(lines, 0.9)}, max {lines[0]} lines ({'.'.join(sizes[0][1:])})"
        )
    assert median(lines) <= 7
    assert house.share(lines, 0.9) <= 25
    assert lines[0] <= 60, f"over 60 lines: {[f'{m}:{f}' for n, m, f in sizes if n > 60]}"


def test_functions_hold_one_idea(capsys):
    found = house.density()
    tokens = [n for n, _ in found.functions]
    with capsys.disabled():
        print(
            f"\n  tokens a function: median {median(tokens):g}, p90 {house.share(tokens, 0.9)}, max {tokens[0]}"
        )
    assert median(tokens) <= 69  # aim: 55
    assert house.share(tokens, 0.9) <= 150
    assert not (large := [f"{name}: {n}" for n, name in found.functions if n > 350]), (
        f"over 350 tokens: {large}"
    )


def test_lines_hold_one_thing(capsys):
    found = house.density()
    with capsys.disabled():
        print(f"\n  {found.per_line:.1f} tokens a line, {found.wide:.1%} of lines over 120 columns")
        print(
            f"  {found.packed:.0f} packed assignments in 100 functions, {found.positional} long calls without names"
        )
    assert found.per_line <= 12
    assert found.wide <= 0.015
    assert found.packed <= 12
    assert found.positional <= 10


def test_layout_is_that_of_the_formatter():
    ruff = pytest.importorskip("ruff")
    paths = [house.repo / name for name in ("nbs", "colab", "tests", "tools", "setup.py")]
    run = subprocess.run(
        [ruff.find_ruff_bin(), "format", "--check", *paths], cwd=house.repo, capture_output=True, text=True
    )
    assert run.returncode == 0, f"run make format\n{run.stdout}{run.stderr}"


def test_numbers_are_unique():
    numbers = Counter(path.name[:3] for path in house.room_paths())
    assert not (twice := [n for n, times in numbers.items() if times > 1]), (
        f"several rooms have the numbers {twice}"
    )


def test_export_cells_are_small(capsys):
    cells = sorted(
        (
            (len(house.lines_of(c)), p.stem, c)
            for p in house.room_paths()
            for c in house.exported(house.read(p))
        ),
        key=lambda x: -x[0],
    )
    lines = [n for n, *_ in cells]
    with capsys.disabled():
        print(
            f"\n  {len(lines)} export cells: median {median(lines):g}, p90 {house.share(lines, 0.9)}, max {lines[0]} lines ({cells[0][1]})"
        )
    long = [
        f"{name} ({n} lines): {cell.source.splitlines()[1]}"
        for n, name, cell in cells
        if n > 60 and not house.is_table(cell)
    ]
    assert not long, "export cells over 60 lines:\n" + "\n".join(long)
    assert house.share(lines, 0.9) <= 41  # aim: 40


def test_notebooks_are_prose_with_code(capsys):
    figures = []
    for path in house.room_paths():
        nb = house.read(path)
        words = sum(len(c.source.split()) for c in nb.cells if c.cell_type == "markdown")
        figures.append(
            (
                path.stem,
                len(nb.cells),
                len(house.exported(nb)) / len(nb.cells),
                words,
                path.stat().st_size // 1000,
            )
        )
    with capsys.disabled():
        print("\n  notebook                   cells  export  words    kB")
        for name, cells, part, words, kb in figures:
            print(f"  {name:26} {cells:5}   {part:4.0%}  {words:6} {kb:5}")
    assert not (many := [f"{n}: {p:.0%}" for n, _, p, *_ in figures if p > 0.35]), (
        f"more than 35 % export cells: {many}"
    )
    assert not (big := [f"{n}: {kb} kB" for n, *_, kb in figures if kb > 400]), f"over 400 kB: {big}"


def test_imports_go_down():
    rooms = {house.module_of(house.read(p)): p for p in house.room_paths() if house.module_of(house.read(p))}
    upward = []
    for path in house.room_paths():
        for cell in house.code(house.read(path)):
            for name in house.our_imports(house.python(cell)):
                below = rooms.get(name)
                if below and below != path and int(below.name[:3]) >= int(path.name[:3]):
                    upward.append(f"{path.stem} imports {name} of {below.stem}")
    assert not upward, "\n".join(sorted(set(upward)))


def test_every_room_has_its_own_module():
    names = [house.module_of(house.read(p)) for p in house.room_paths()]
    assert [p.stem.partition("_")[2] for p in house.room_paths()] == names


def test_no_bare_except_and_no_print():
    found = []
    for module, tree in house.modules().items():
        for n in ast.walk(tree):
            if isinstance(n, ast.ExceptHandler) and n.type is None:
                found.append(f"{module}:{n.lineno} bare except")
            if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "print":
                found.append(f"{module}:{n.lineno} print")
    assert not found, "\n".join(found)


def test_lines_fit_the_screen(capsys):
    lines = [
        (len(line), p.stem, line)
        for p in house.room_paths()
        for c in house.exported(house.read(p))
        for line in c.source.splitlines()
    ]
    with capsys.disabled():
        print(
            f"\n  {sum(n > 130 for n, *_ in lines)} of {len(lines)} exported lines over 130 columns, longest {max(lines)[0]}"
        )
    assert not (long := [f"{name}: {line.strip()[:90]}…" for n, name, line in lines if n > 160]), (
        "over 160 columns (aim for 130):\n" + "\n".join(long)
    )


def settings():
    "settings.ini."
    config = ConfigParser(delimiters=["="])
    config.read(house.repo / "settings.ini", encoding="utf-8")
    return config["DEFAULT"]


def required(key):
    "Import names of the requirements under `key`."
    imports = {"pyyaml": "yaml", "rosu-pp-py": "rosu_pp_py", "pillow": "PIL"}
    names = [re.split(r"[<>=!~\[; ]", r)[0] for r in settings().get(key, "").split()]
    return {imports.get(n.lower(), n.replace("-", "_")) for n in names}


def imported(nodes):
    "Top-level names imported by some syntax nodes."
    for n in nodes:
        if isinstance(n, ast.Import):
            yield from (a.name.partition(".")[0] for a in n.names)
        elif isinstance(n, ast.ImportFrom) and n.level == 0:
            yield n.module.partition(".")[0]


def test_what_is_imported_is_declared():
    declared = required("requirements") | required("pip_requirements")
    optional = required("test_requirements") | required("dev_requirements")
    for module, tree in house.modules().items():
        known = set(sys.stdlib_module_names) | declared | {"mapperatorinator"}
        top = set(imported(tree.body)) - known
        assert not top, f"{module} imports {top}, which settings.ini does not require"
        inner = set(imported(ast.walk(tree))) - known - optional - {"google", "IPython"}
        assert not inner, f"{module} imports {inner} somewhere, which settings.ini does not name"


@pytest.mark.skipif(not (house.package / "pipeline.py").exists(), reason="the rooms are not all there yet")
def test_what_is_declared_is_imported():
    used = {name for tree in house.modules().values() for name in imported(ast.walk(tree))}
    assert not (idle := (required("requirements") | required("pip_requirements")) - used), (
        f"settings.ini requires {idle}, which nothing imports"
    )


def test_every_requirement_is_pinned():
    pinned = {
        re.split("==", line)[0].lower().replace("_", "-")
        for line in (house.repo / "constraints.txt").read_text().splitlines()
    }
    asked = {
        re.split(r"[<>=!~\[; ]", r)[0].lower().replace("_", "-")
        for key in ("requirements", "pip_requirements", "test_requirements", "dev_requirements")
        for r in settings()[key].split()
    }
    assert not asked - pinned, "run make pin"


def test_ci_runs_the_test_command():
    lines = [
        line
        for line in (house.repo / ".ci/run").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert lines[-1] == "exec make test" and all(
        line.startswith(("set ", "cd ", ".ci/prepare")) for line in lines[:-1]
    )
