"Every notebook is built the same way, holds no accidents, is clean, and the package is what it exports."

import ast
import re
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


def test_clean_and_in_sync(repo):
    pytest.importorskip("nbdev")
    done = subprocess.run([sys.executable, repo / "tools/check.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("change, complaint", [("package", "Not in sync"), ("notebook", "Not clean")])
def test_check_notices(repo, tmp_path, change, complaint):
    "The check itself: it sees a module edited by hand, and a notebook that was run and not cleaned."
    pytest.importorskip("nbdev")
    import shutil

    for name in ("mapperatorinator", "tools"):
        shutil.copytree(repo / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "assets"))
    shutil.copy(repo / "settings.ini", tmp_path)
    (tmp_path / "nbs").mkdir()
    for path in house.room_paths():
        shutil.copy(path, tmp_path / "nbs")
    if change == "package":
        with (tmp_path / "mapperatorinator/core.py").open("a") as f:
            f.write("edited = True\n")
    else:
        text = (tmp_path / "nbs/000_core.ipynb").read_text(encoding="utf-8")
        (tmp_path / "nbs/000_core.ipynb").write_text(
            text.replace('"execution_count": null', '"execution_count": 7', 1), encoding="utf-8"
        )
    done = subprocess.run([sys.executable, tmp_path / "tools/check.py"], capture_output=True, text=True)
    assert done.returncode == 1 and complaint in done.stdout, done.stdout + done.stderr


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
