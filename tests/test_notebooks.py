"Every notebook is built the same way, holds no accidents, is clean, and the package is what it exports."

import ast
import re
import shutil
import subprocess
import sys

import pytest

import house

ids = lambda path: path.stem


@pytest.mark.parametrize("path", house.room_paths(), ids=ids)
def test_room(path):
    nb = house.read(path)
    first = nb.cells[0]
    second = nb.cells[1]
    last = nb.cells[-1]
    assert house.module_of(nb) and first.cell_type == "code", "begins with `#| default_exp`"
    assert second.cell_type == "markdown" and re.match(r"# \S.*\n+> \S", second.source), (
        "then an H1 and a one-line promise"
    )
    assert (
        len(house.exported(nb)) >= 2 and "from __future__ import annotations" in house.exported(nb)[0].source
    ), "then imports"
    assert any(c.source.startswith("## What we have") for c in nb.cells), "ends with what we now have"
    assert "#| hide" in last.source and "nbdev_export()" in last.source, "and with the hidden export"
    assert len(nb.cells) <= 120, f"{len(nb.cells)} cells: split the room"


@pytest.mark.parametrize("path", house.all_paths(), ids=ids)
def test_outputs(path):
    nb = house.read(path)
    assert any(c.cell_type == "markdown" and c.source.startswith("# ") for c in nb.cells), "has a title"
    for cell in house.code(nb):
        assert cell.execution_count is None
        for out in cell.outputs:
            assert out.output_type != "error", f"stored error in: {cell.source}"
            assert out.get("name") != "stderr", f"stored stderr in: {cell.source}"
            text = str(out.get("text") or out.get("data", {}).get("text/plain", ""))
            assert not re.search(r"\bat 0x[0-9a-f]{6,}", text), (
                f"an address changes with every run: {text[:200]}"
            )
            assert str(house.repo) not in text, f"a path of this machine: {text[:200]}"


@pytest.mark.parametrize("path", house.room_paths(), ids=ids)
def test_no_cell_ends_on_print(path):
    for cell in house.code(house.read(path)):
        body = ast.parse(house.python(cell)).body
        call = body[-1].value if body and isinstance(body[-1], ast.Expr) else None
        assert not (isinstance(call, ast.Call) and getattr(call.func, "id", "") == "print"), (
            f"ends on print: {cell.source}"
        )


def test_every_room_ran():
    "A stored value, figure or text somewhere: notebooks are read before they are run."
    silent = [p.stem for p in house.room_paths() if not any(c.outputs for c in house.code(house.read(p)))]
    assert not silent, f"no outputs stored in {silent}"


def test_cell_ids_are_stable():
    for path in house.all_paths():
        ids = [c.get("id") for c in house.read(path).cells]
        assert all(ids) and len(set(ids)) == len(ids), (
            f"{path.stem}: cells need ids of their own, for the exported files to stay the same"
        )


KIT = (
    "nbs/000_core.ipynb",
    "nbs/010_bounds.ipynb",
    "mapperatorinator/__init__.py",
    "tools/check.py",
    "settings.ini",
)


@pytest.fixture(scope="module")
def kit(repo, tmp_path_factory):
    "A house of two rooms with the check in it, clean and in sync."
    pytest.importorskip("nbdev")
    folder = tmp_path_factory.mktemp("kit")
    for name in KIT:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(repo / name, folder / name)
    export = "from nbdev.doclinks import nbdev_export; nbdev_export()"
    subprocess.run([sys.executable, "-c", export], cwd=folder, check=True, capture_output=True)
    return folder


def forget(folder):
    "Nothing."


def edit(folder):
    "A module, by hand."
    with (folder / "mapperatorinator/core.py").open("a") as f:
        f.write("edited = True\n")


def run(folder):
    "A notebook, and forget to clean it."
    path = folder / "nbs/000_core.ipynb"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"execution_count": null', '"execution_count": 7', 1), encoding="utf-8")


@pytest.mark.parametrize("change, says", [(forget, "in sync"), (edit, "Not in sync"), (run, "Not clean")])
def test_the_check_notices(kit, tmp_path, change, says):
    "The check itself, with which `make test` begins; here in a small house, so that it takes seconds."
    folder = shutil.copytree(kit, tmp_path / "house")
    change(folder)
    done = subprocess.run([sys.executable, folder / "tools/check.py"], capture_output=True, text=True)
    assert done.returncode == (change is not forget) and says in done.stdout, done.stdout + done.stderr


def test_make_test_begins_with_the_check(repo):
    "Of all notebooks and the whole package."
    recipe = re.search(r"^test: \.venv.*\n((?:\t.*\n)+)", (repo / "Makefile").read_text(), re.MULTILINE)
    assert recipe[1].splitlines()[0] == "\t$(PY) tools/check.py"


def test_links_between_notebooks_lead_somewhere():
    lost = []
    for path in house.all_paths():
        for cell in house.read(path).cells:
            if cell.cell_type != "markdown":
                continue
            for link in re.findall(r"\]\(([^)#\s]+)", cell.source):
                if not re.match(r"[a-z]+:", link) and not (path.parent / link).exists():
                    lost.append(f"{path.name}: {link}")
    assert not lost, "links to nothing: " + ", ".join(lost)


def test_no_room_is_announced_that_does_not_exist():
    "A linked name in backticks is a room, and a room's number goes with its name."
    stems = {path.stem for path in house.room_paths()}
    modules = {stem.partition("_")[2] for stem in stems}
    wrong = []
    for path in house.all_paths():
        for cell in house.read(path).cells:
            if cell.cell_type == "markdown":
                for name, stem in re.findall(
                    r"\[`?([\w.]+)`?\]\((?:\.\./)?(\d{3}_[\w.]+)\.ipynb", cell.source
                ):
                    if name not in (stem, stem.partition("_")[2]) and name in modules:
                        wrong.append(f"{path.name}: {name} leads to {stem}")
                wrong += [f"{path.name}: room {n}" for n in re.findall(r"\brooms? (\d{2,3})\b", cell.source)]
    assert not wrong, "; ".join(wrong)
