"The form in JupyterLab, as somebody who works in a notebook meets it. A minute: `pytest -m slow tests/test_lab.py`."

import os
import subprocess
import sys
import time

import nbformat
import pytest

import browser
from test_app import free_port

pytest.importorskip("jupyterlab")
pytestmark = pytest.mark.slow

CELLS = (
    "from mapperatorinator.ui import generate_app\napp = generate_app(difficulty=2.0, end_time=9000, star_tries=0, seed=1)\napp",
    "from mapperatorinator.ui import example_set, mod_app\nmods = mod_app(example_set('maps'))\nmods",
)


@pytest.fixture
def lab(tmp_path):
    "The address of a notebook in a JupyterLab that is up, with settings and history of its own."
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "form.ipynb")
    port = free_port()
    words = ["--no-browser", "--allow-root", f"--port={port}", "--ServerApp.token=secret"]
    words += [f"--ServerApp.root_dir={tmp_path}", "--LabApp.expose_app_in_browser=True", "--LabApp.news_url="]
    own = {"MAPPERATORINATOR_STATE": str(tmp_path / "state"), "JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "jupyter", "lab", *words]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | own)
        end = time.monotonic() + 90
        while "is running at" not in (tmp_path / "log").read_text():
            assert process.poll() is None and time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/lab/tree/form.ipynb?token=secret&reset"
        process.terminate()
        process.wait(30)


def test_the_forms_are_drawn_and_hear_clicks(lab):
    with browser.browser() as page:
        page.size(1200, 1500)
        page.open(lab)
        page.until("window.jupyterapp?.commands.isEnabled('notebook:run-all-cells')", 120)
        kernels = (
            "[...window.jupyterapp.serviceManager.sessions.running()].map((s) => s.kernel?.execution_state)"
        )
        page.until(f"{kernels}.includes('idle')", 120)
        page.run("window.jupyterapp.commands.execute('notebook:run-all-cells'), 1")
        page.until("document.querySelector('.mp-facts')?.textContent.includes('128 BPM')", 120)
        for mode in (1, 0):
            page.run(f"document.querySelector('.mp-mode[data-mode=\"{mode}\"]').click()")
            page.until(f"document.querySelector('.mp-mode[data-mode=\"{mode}\"]').ariaChecked === 'true'")
        page.run("document.querySelector('.mp-go').click()")
        page.until("!!document.querySelector('.mp-run.done')", 240)
        page.run(
            "[...document.querySelectorAll('.mp-run button')].find((b) => b.textContent === 'Show').click()"
        )
        page.until("document.querySelector('.mp-page')?.naturalWidth > 100", 60)
        page.until(
            "[...document.querySelectorAll('*')].some((e) => e.shadowRoot?.querySelector('canvas'))", 60
        )
        page.until(
            "[...document.querySelectorAll('.mp-go')].some((b) => b.textContent === 'Look it over')", 60
        )
        assert "example.osz" in page.run("document.querySelector('.jp-Notebook').textContent")
