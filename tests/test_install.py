"The ways in: start files, containers and environments say the same as settings.ini, and fail with a sentence."

import ast
import json
import os
import re
import stat
import subprocess
from configparser import ConfigParser

import pytest
import yaml

import house
from mapperatorinator.cli import COMMANDS

repo = house.repo
posix = pytest.mark.skipif(os.name == "nt", reason="start.bat is for Windows")


@pytest.fixture(scope="module")
def settings():
    config = ConfigParser(delimiters=["="])
    config.read(repo / "settings.ini", encoding="utf-8")
    return config["DEFAULT"]


def extras():
    "Names that may stand in brackets behind the package."
    setup = ast.parse((repo / "setup.py").read_text(encoding="utf-8"))
    given = next(
        word.value
        for call in ast.walk(setup)
        if isinstance(call, ast.Call)
        for word in call.keywords
        if word.arg == "extras_require"
    )
    return {key.value for key in given.keys}


def is_supported(version, settings):
    number = lambda text: tuple(map(int, text.split(".")[:2]))
    return number(settings["min_python"]) <= number(version) <= number(settings["max_python"])


# --- start files ---------------------------------------------------------------------------------------------------------


def program(path, *lines):
    "A small program of the shell."
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def copy(tmp_path):
    "A folder with what start.sh needs, and a PATH on which lie the tools of the shell and no Python."
    for name in ("start.sh", "start.command", "constraints.txt"):
        (tmp_path / name).write_bytes((repo / name).read_bytes())
        (tmp_path / name).chmod(0o755)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "sed", "dirname", "touch", "mkdir", "cat", "chmod"):
        found = next(p for p in ("/bin", "/usr/bin") if os.path.exists(f"{p}/{name}"))
        (tools / name).symlink_to(f"{found}/{name}")
    return tmp_path


def start(copy, *words, name="start.sh"):
    return subprocess.run(
        [copy / name, *words], cwd="/", env={"PATH": str(copy / "tools")}, capture_output=True, text=True
    )


def with_python(copy, version, pip="exit 0"):
    "A Python that says its version, makes environments of this pip, and writes down what it was asked."
    env = copy / ".venv" / "bin"
    program(
        copy / "tools" / "python3.12",
        'echo "$@" >> asked.txt 2>/dev/null || true',
        f'case "$1" in -c) exit {int(version not in ("3.11", "3.12", "3.13"))} ;; --version) echo "Python {version}" ;; -m)',
        f'mkdir -p "{env}"',
        f'printf \'#!/bin/sh\\necho "$@" >> asked.txt\\n{pip}\\n\' > "{env}/python"',
        f'printf \'#!/bin/sh\\necho app "$@" >> asked.txt\\n\' > "{env}/mapperatorinator"',
        f'chmod +x "{env}/python" "{env}/mapperatorinator" ;; esac',
    )


@posix
def test_the_first_start_installs_and_the_next_only_starts(copy):
    with_python(copy, "3.12")
    first = start(copy, "port=9000")
    assert first.returncode == 0, first.stderr
    pip = [line for line in (copy / "asked.txt").read_text().splitlines() if line.startswith("-m pip")]
    assert re.search(r"torch==[\d.]+$", pip[0]) and pip[1].endswith("--constraint constraints.txt .[app]")
    (copy / "asked.txt").unlink()
    again = start(copy, "port=9001", name="start.command")
    assert again.returncode == 0, again.stderr
    assert (copy / "asked.txt").read_text() == "app app port=9001\n"


@posix
def test_an_installation_that_failed_is_tried_again(copy):
    with_python(copy, "3.12", pip="exit 3")
    assert start(copy).returncode == 3
    assert not (copy / ".venv" / "started").exists()


@posix
def test_no_python_is_a_sentence(copy):
    with_python(copy, "3.9")
    run = start(copy)
    assert run.returncode == 1 and not (copy / ".venv").exists()
    assert run.stderr.startswith("No Python from 3.11 to 3.13 was found; get one from https://")


def test_every_system_installs_the_same(settings):
    unix = (repo / "start.sh").read_text(encoding="utf-8")
    windows = (repo / "start.bat").read_bytes().decode("ascii").replace("\r\n", "\n")
    lines = lambda text: [
        re.sub(r"[\"'$%]|\|\| goto failed", "", words).strip() for words in re.findall(r"-m pip (.+)", text)
    ]
    assert len(lines(unix)) == 2
    assert lines(unix)[1] == lines(windows)[1]
    assert lines(unix)[0].replace("torch", "X") == lines(windows)[0].replace("torch", "X")
    for text in (unix, windows):
        named = set(re.findall(r"\b3\.1\d\b", text))
        assert {settings["min_python"], settings["max_python"]} <= named
        assert all(is_supported(version, settings) for version in named)
    labels = set(re.findall(r"^:(\w+)", windows, re.MULTILINE))
    assert set(re.findall(r"goto (\w+)", windows)) <= labels
    assert "*.bat text eol=crlf" in (repo / ".gitattributes").read_text()


# --- containers and environments -----------------------------------------------------------------------------------------


def test_compose_runs_commands_that_exist():
    compose = yaml.safe_load((repo / "compose.yaml").read_text(encoding="utf-8"))
    dockerfile = (repo / "Dockerfile").read_text(encoding="utf-8")
    arguments = set(re.findall(r"^ARG (\w+)", dockerfile, re.MULTILINE))
    app, train = compose["services"]["app"], compose["services"]["train"]
    assert all(port.startswith("127.0.0.1:") for port in app["ports"])
    assert set(train["build"]["args"]) <= arguments and train["entrypoint"][1] in COMMANDS
    device = train["deploy"]["resources"]["reservations"]["devices"][0]
    assert device["driver"] == "nvidia" and "gpu" in device["capabilities"]
    volumes = [v.split(":")[0] for s in (app, train) for v in s["volumes"]]
    assert {v for v in volumes if not v.startswith(".")} == set(compose["volumes"])
    entry = json.loads(re.search(r"^ENTRYPOINT (.+)$", dockerfile, re.MULTILINE)[1])
    assert entry[:2] == ["mapperatorinator", "app"]


def test_conda_lines(settings):
    conda = yaml.safe_load((repo / "environment.yml").read_text(encoding="utf-8"))
    plain = [d for d in conda["dependencies"] if isinstance(d, str)]
    python = next(d.partition("=")[2] for d in plain if d.startswith("python="))
    assert is_supported(python, settings) and "pip" in plain
    lines = next(d["pip"] for d in conda["dependencies"] if isinstance(d, dict))
    assert "-c constraints.txt" in lines and (repo / "constraints.txt").exists()
    assert set(re.findall(r"\[(\w+)\]", " ".join(lines))) <= extras()


def test_the_container_of_an_editor(settings):
    box = json.loads((repo / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert is_supported(re.search(r"python:([\d.]+)", box["image"])[1], settings)
    targets = set(re.findall(r"^([a-z]+):", (repo / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake (\w+)", box["postCreateCommand"])) <= targets


def test_lines_of_the_readme_name_extras_that_exist():
    text = (repo / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^.*\bpip install .*$", text, re.MULTILINE)
    assert len(lines) >= 3  # pip, uv, Windows
    assert set(re.findall(r"\.\[(\w+)\]", " ".join(lines))) <= extras()
