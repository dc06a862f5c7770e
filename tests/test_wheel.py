"The package as a user gets it: built, installed elsewhere, run far from the clone."

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest


def run(*args, **kwargs):
    "Output of a command that must succeed."
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(repo, tmp_path_factory):
    "A wheel built from a source archive built from a copy of the repository: both lists of package data are tested."
    tmp = tmp_path_factory.mktemp("build")
    skip = shutil.ignore_patterns(
        ".venv", ".git", "runs", "tests", "nbs", "colab", "docs", "__pycache__", "*.egg-info", "build", "dist"
    )
    shutil.copytree(repo, tmp / "copy", ignore=skip)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp / "dist", tmp / "copy")
    return next((tmp / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory):
    "An environment with only the wheel, which borrows all other packages from the one that runs this."
    home = tmp_path_factory.mktemp("elsewhere")
    venv.create(home / "env", with_pip=False)
    python = home / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "-qq", "--no-deps", "--no-index", wheel)
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    with open(os.path.join(site, "borrowed.pth"), "w") as f:
        f.write(sysconfig.get_path("purelib") + "\n")
    return python, home


def test_wheel_has_everything(repo, wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    data = [
        p
        for folder in ("configs", "assets")
        for p in (repo / "mapperatorinator" / folder).rglob("*")
        if p.is_file() and p.name[0] != "."
    ]
    code = [p for p in (repo / "mapperatorinator").rglob("*.py")]
    wanted = {p.relative_to(repo).as_posix() for p in data + code if "__pycache__" not in p.parts}
    assert not wanted - names
    assert {n.partition("/")[0] for n in names if "dist-info" not in n} == {"mapperatorinator"}, (
        "nothing else is installed"
    )


def test_metadata(wheel):
    archive = zipfile.ZipFile(wheel)
    text = {n.rpartition("/")[2]: archive.read(n).decode() for n in archive.namelist() if "dist-info/" in n}
    assert "mapperatorinator = mapperatorinator.cli:main" in text["entry_points.txt"]
    assert "Requires-Python: >=3.11" in text["METADATA"] and "Requires-Dist: torch>=2.9" in text["METADATA"]
    assert "Provides-Extra: dev" in text["METADATA"] and "Keywords: osu" in text["METADATA"]


def test_runs_outside_the_clone(repo, elsewhere):
    python, home = elsewhere
    code = """if True:
        import json, mapperatorinator, sys
        from mapperatorinator.core import asset
        from mapperatorinator.config import preset_names
        groups = {g: preset_names(g) for g in ("generate", "train")}
        print(json.dumps(dict(file=mapperatorinator.__file__, title=asset("README.md").read_text()[:8], presets=groups, torch="torch" in sys.modules)))
    """
    found = json.loads(run(python, "-c", code, cwd=home))
    assert found["file"].startswith(str(home)), "the wheel is what was imported"
    assert found["title"] == "# Assets" and not found["torch"]
    for group, names in found["presets"].items():
        assert names == sorted(p.stem for p in (repo / "mapperatorinator/configs" / group).glob("*.yaml"))


def test_command_outside_the_clone(elsewhere):
    python, home = elsewhere
    command = shutil.which("mapperatorinator", path=str(python.parent))
    assert "generate" in run(command, "--help", cwd=home)
