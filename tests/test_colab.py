"The notebooks of colab/ run from top to bottom in a kernel of their own, as in JupyterLab, and leave an existing torch alone."

import json
import re
import sys
from pathlib import Path
import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOK = Path(__file__).resolve().parents[1] / "colab" / "generate.ipynb"
STYLE = NOTEBOOK.with_name("finetune.ipynb")
MOD = NOTEBOOK.with_name("maimod.ipynb")

FAKE = """
import sys, types
from types import SimpleNamespace as NS
from pathlib import Path
import numpy as np
from mapperatorinator.osu.beatmap import Beatmap
def generate_map(config, progress=None):
    for i in range(4): progress(NS(stage="map", done=i + 1, total=4, tokens_per_second=50.))
    lines = "".join(f"{100 + 30*(i % 8)},{100 + 20*(i % 5)},{500 + 250*i},{5 if i % 8 == 0 else 1},0\\n" for i in range(60))
    beatmap = Beatmap.parse("osu file format v14\\n\\n[TimingPoints]\\n500,500,4,2,0,60,1,0\\n\\n[HitObjects]\\n" + lines)
    path = Path(config.output_path)/"map.osu"; path.parent.mkdir(parents=True, exist_ok=True); beatmap.write(path)
    return NS(path=path, beatmap=beatmap, mel=np.random.default_rng(0).random((80, 2000)), png=None, report=dict(bpm=120., objects=60, seed=1), audio=Path(config.audio_path))
m = types.ModuleType("mapperatorinator.pipeline"); m.generate_map = generate_map
sys.modules["mapperatorinator.pipeline"] = m
"""


def source():
    return nbformat.read(NOTEBOOK, 4)


def run(nb, folder, before="", after_form=""):
    "Execute with cells put in at the start and behind the form, as a user would change a field."
    for cell in nb.cells:
        cell.source = cell.source.replace("i_accept_the_rules = False", "i_accept_the_rules = True")
    forms = [i for i, c in enumerate(nb.cells) if "generate_app(" in c.source and c.cell_type == "code"]
    if after_form:
        nb.cells.insert(forms[0] + 1, nbformat.v4.new_code_cell(after_form))
    if before:
        nb.cells.insert(0, nbformat.v4.new_code_cell(before))
    nbclient.NotebookClient(
        nb, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return nb


def outputs(nb, mime):
    return [
        o["data"][mime]
        for c in nb.cells
        if c.cell_type == "code"
        for o in c.outputs
        if mime in o.get("data", {})
    ]


def check(nb):
    pictures = outputs(nb, "image/png")
    links = outputs(nb, "application/vnd.jupyter.widget-view+json")
    assert len(pictures) == 3 and all(len(p) > 5_000 for p in pictures), "timeline, strip and page"
    assert len(links) == 4, "form, progress, player and download link"
    state = nb.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    text = json.dumps([s["state"].get("value") for s in state if isinstance(s["state"].get("value"), str)])
    assert re.search(r"download='[^']+\.os[uz]'", text) and "done" in text
    assert any(s["model_name"] == "AudioModel" for s in state) and any(
        s["model_name"] == "AnyModel" for s in state
    )


SAID = {NOTEBOOK: "AI made", STYLE: "people who agree", MOD: "only advises"}


def code_of(path):
    return [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]


@pytest.mark.parametrize("path", SAID, ids=lambda path: path.stem)
def test_they_are_thin_install_alike_and_say_what_must_be_said(path):
    nb = nbformat.read(path, 4)
    text = "\n".join(c.source for c in nb.cells)
    assert code_of(path)[0] == code_of(NOTEBOOK)[0], "one way to install"
    assert len(code_of(path)) <= 10 and f"/blob/main/colab/{path.name})" in text and SAID[path] in text
    assert "look_at_gpu(), look_at_memory()" in code_of(path)[1] and "T4 GPU" in text
    assert not any(c.get("outputs") for c in nb.cells)


def test_where_maps_are_made_the_rules_are_agreed_to_first():
    assert code_of(NOTEBOOK)[1] == code_of(STYLE)[1], "one way to ask"
    from mapperatorinator.core import UserError

    with pytest.raises(UserError, match="tick the box"):
        exec(code_of(NOTEBOOK)[1], {})
    assert "i_accept" not in "".join(code_of(MOD)), "what makes no map asks for nothing"


def test_a_map_is_looked_over_from_top_to_bottom(tmp_path):
    nb = run(nbformat.read(MOD, 4), tmp_path)
    said = "".join(o.text for c in nb.cells if c.cell_type == "code" for o in c.outputs if "text" in o)
    said += re.sub(
        r"\x1b\][^\x1b]*\x1b\\|\x1b\[[\d;]*m", "", "".join(outputs(nb, "text/plain"))
    )  # without its colours
    assert "memory" in said and "MaiMod only advises" in said and re.search(r"\(\s*\d+%\) \d\d:\d\d:", said)
    (frame,) = [page for page in outputs(nb, "text/html") if "<iframe" in page]
    page = (tmp_path / "MaiMod.html").read_text(encoding="utf-8")
    assert frame.count("<iframe") == 1 and page.startswith("<!doctype html>") and len(page) > 100_000
    assert len(outputs(nb, "image/png")) == 1, "the place of the first remark"
    state = nb.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    links = [s["state"]["value"] for s in state if "download=" in str(s["state"].get("value"))]
    assert len(links) == 1 and "MaiMod.html" in links[0]


def test_a_style_from_top_to_bottom(tmp_path):
    nb = nbformat.read(STYLE, 4)
    for cell in nb.cells:
        cell.source = re.sub(r"^steps = 200", "steps = 2", cell.source, flags=re.M)
        cell.source = cell.source.replace("end_time=16_000", "end_time=6_000, star_tries=0").replace(
            "asked = FinetuneConfig(", "asked = FinetuneConfig(batch_size=1, logger='none', "
        )
    run(nb, tmp_path)
    assert len(outputs(nb, "image/png")) == 2, "curve and strip"
    said = json.dumps([o for c in nb.cells if c.cell_type == "code" for o in c.outputs])
    assert "perplexity_after" in said and "timing: not applied" in said
    assert (tmp_path / "runs" / "finetune" / "adapter" / "adapter_model.safetensors").is_file()
    assert (tmp_path / "style.zip").is_file() and list((tmp_path / "maps-made").glob("*.osu"))


def test_install_touches_nothing_outside_colab(monkeypatch):
    import subprocess

    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("installed something"))
    exec(next(c.source for c in source().cells if c.cell_type == "code"), {})


COLAB = {
    line.split("==")[0].lower(): line.split("==")[1].split("+")[0]
    for line in (NOTEBOOK.parents[1] / "tools" / "colab.txt").read_text().splitlines()
    if "==" in line
}


def installed_by(monkeypatch, folder, there: dict, asked: list) -> list:
    "What the install cell asks of pip on a Colab that has these versions; its constraints lie in the folder."
    import importlib.metadata as metadata
    import importlib.util as util
    import subprocess
    import types

    ran, find = [], util.find_spec

    def version(name):
        if name.lower() not in there:
            raise metadata.PackageNotFoundError(name)
        return there[name.lower()]

    monkeypatch.chdir(folder)
    monkeypatch.setattr(subprocess, "run", lambda a, **k: ran.append(a[5:]))
    monkeypatch.setattr(
        util, "find_spec", lambda name, *a: None if name == "mapperatorinator" else find(name, *a)
    )
    monkeypatch.setattr(metadata, "requires", lambda name: asked)
    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(
        metadata,
        "distributions",
        lambda: [types.SimpleNamespace(metadata={"Name": name}, version=v) for name, v in there.items()],
    )
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    exec(next(c.source for c in source().cells if c.cell_type == "code"), {})
    return ran


def test_install_on_colab_adds_only_what_is_missing_or_too_old(monkeypatch, tmp_path):
    asked = [
        "torch>=2.9",
        "numpy>=1.26",
        "nowhere>=3; python_version>'3'",
        "old>=2,<3",
        "never; python_version<'3'",
        "pytest; extra == 'dev'",
    ]
    there = {"torch": "2.11.0+cu128", "numpy": "2.1.3", "old": "1.9", "ipywidgets": "7.7.1"}
    package, rest = installed_by(monkeypatch, tmp_path, there, asked)
    assert package[0] == "--no-deps" and rest == ["--constraint", "kept.txt", "nowhere>=3", "old<3,>=2"]
    kept = (tmp_path / "kept.txt").read_text().splitlines()
    assert kept == ["torch==2.11.0+cu128", "numpy==2.1.3", "ipywidgets==7.7.1"], (
        "what is there stays, but for what is too old"
    )


def test_install_on_colab_leaves_its_own_versions_alone(monkeypatch, tmp_path):
    "With Colab's list, only what Colab lacks is installed: its ipywidgets, its Jupyter and its PyTorch fulfil our ranges."
    import configparser

    config = configparser.ConfigParser(delimiters=["="])
    config.read(NOTEBOOK.parents[1] / "settings.ini", encoding="utf-8")
    asked = [r for key in ("requirements", "pip_requirements") for r in config["DEFAULT"][key].split()]
    ran = installed_by(monkeypatch, tmp_path, COLAB, asked)
    names = {re.match(r"[\w-]+", r)[0] for r in ran[-1][2:]}
    assert names == {"anywidget", "av", "rosu-pp-py"} and not names & set(COLAB)


def test_runs_top_to_bottom_with_a_made_up_pipeline(tmp_path):
    import soundfile, numpy as np

    soundfile.write(tmp_path / "song.wav", 0.1 * np.random.default_rng(0).standard_normal(16000 * 16), 16000)
    check(run(source(), tmp_path, FAKE, "app.form.set(audio_path='song.wav')"))


def test_runs_top_to_bottom_with_the_embedded_model(excerpt, tmp_path):
    pytest.importorskip("mapperatorinator.pipeline")
    asked = f"app.form.set(audio_path={str(excerpt(6))!r}, star_tries=0, seed=1)"
    nb = run(source(), tmp_path, after_form=asked)
    check(nb)
    assert list((tmp_path / "maps").glob("*.osu"))
