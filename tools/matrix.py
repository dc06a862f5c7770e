"""The wheel's main job and the suite with the versions that users have: `make matrix`.

Every Python that is here (3.11 to 3.13) is tried with three sets of versions: the `oldest` that settings.ini allows (of those that have a
wheel for this Python), the `newest` that the registry serves, and `colab`, what Google Colab has (tools/colab.txt, or --colab FILE: its
pip-freeze). Each gets an environment of its own in .matrix/. The table is printed, and kept as .matrix/table.md and .matrix/table.json;
the exit code is 1 when anything failed. An environment that passed is removed; what the others printed lies beside them."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import venv
import xml.etree.ElementTree as xml
from configparser import ConfigParser
from pathlib import Path

repo = Path(__file__).resolve().parent.parent
home = repo / ".matrix"
SETS = ("oldest", "newest", "colab")
PYTHONS = ("3.11", "3.12", "3.13")
SHOWN = (
    "torch",
    "numpy",
    "av",
    "transformers",
    "huggingface-hub",
    "ipywidgets",
    "fastcore",
)  # columns of the table
CUDA = (
    "nvidia-",
    "cuda-",
    "triton",
)  # belong to the CUDA that Colab's own PyTorch was built for; the registry's has others
bin = "Scripts" if os.name == "nt" else "bin"


def run(*args, **kwargs):
    "Output of a command that must succeed."
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kwargs)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, args))}\n{done.stdout}{done.stderr}")
    return done.stdout


def uv():
    "The program uv, in an environment of its own."
    if not (found := home / "tool" / bin / "uv").exists():
        venv.create(home / "tool", with_pip=True)
        run(home / "tool" / bin / "python", "-m", "pip", "install", "-qq", "uv")
    return found


def interpreters(wanted):
    "Version -> interpreter, of those that are here."
    folders = [Path.home() / ".pyenv/versions", Path("/opt/hostedtoolcache/Python")]
    found = {}
    for version in wanted:
        names = [shutil.which(f"python{version}") if os.name != "nt" else None, sys.executable]
        names += [
            str(p)
            for folder in folders
            for p in sorted(folder.glob(f"{version}.*/bin/python"))
            + sorted(folder.glob(f"{version}.*/x64/bin/python"))
        ]
        for name in filter(None, names):
            told = subprocess.run(
                [name, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
                capture_output=True,
                text=True,
            )
            if told.stdout.strip() == version:
                found[version] = name
    return found


def requirements():
    "What a user's environment needs, and what the tests need."
    config = ConfigParser(delimiters=["="])
    config.read(repo / "settings.ini", encoding="utf-8")
    return [
        r
        for key in ("requirements", "pip_requirements", "test_requirements")
        for r in config["DEFAULT"][key].split()
    ]


def without_local(line):
    "A pin without the local part of its version: torch==2.11.0+cu128 is torch==2.11.0 in the registry."
    return re.sub(r"\+[\w.]+$", "", line.strip())


def pins(version, kind, colab):
    "The versions of one environment, name -> version."
    resolution = "lowest-direct" if kind == "oldest" else "highest"
    listed = [
        line for line in colab.read_text(encoding="utf-8").splitlines() if re.match(r"^[\w.-]+==", line)
    ]
    known = [without_local(line) for line in listed if not line.startswith(CUDA)]
    given = home / f"{version}-{kind}.in"
    given.write_text("\n".join(requirements()) + "\n", encoding="utf-8")
    limits = home / f"{version}-{kind}.limits"
    limits.write_text("\n".join(known if kind == "colab" else []) + "\n", encoding="utf-8")
    text = run(
        uv(),
        "pip",
        "compile",
        "-q",
        given,
        "-c",
        limits,
        "--python-version",
        version,
        "--resolution",
        resolution,
        "--only-binary",
        ":all:",
        "--no-annotate",
        "--no-header",
    )
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


def make(version, interpreter, kind, wheel, colab):
    "A fresh environment with the wheel: its Python, and the versions in it."
    versions = pins(version, kind, colab)
    folder = home / f"{version}-{kind}"
    shutil.rmtree(folder, ignore_errors=True)
    run(uv(), "venv", "-q", "--seed", "--python", interpreter, folder)
    python = folder / bin / "python"
    exact = home / f"{version}-{kind}.txt"
    exact.write_text("\n".join(f"{name}=={v}" for name, v in versions.items()) + "\n", encoding="utf-8")
    run(uv(), "pip", "install", "-q", "--python", python, "-r", exact)
    run(
        uv(), "pip", "install", "-q", "--python", python, "--no-deps", wheel, "setuptools", "wheel"
    )  # the last two build it again, in test_wheel
    return python, versions


def main_job(python, log):
    "Whether the installed command makes a map of the bundled song, far from the clone, that rosu-pp reads."
    work = python.parents[1] / "work"
    work.mkdir()
    song = run(
        python, "-c", "from mapperatorinator.core import demo_song; print(demo_song())", cwd=work
    ).strip()
    words = [
        "generate",
        f"audio_path={song}",
        "output_path=map.osu",
        "difficulty=3",
        "seed=1",
        "end_time=16000",
    ]
    done = subprocess.run(
        [python.parent / "mapperatorinator", *words], cwd=work, capture_output=True, text=True
    )
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        return False
    code = "import rosu_pp_py as r; b = r.Beatmap(path='map.osu'); assert b.n_objects > 5; print(r.Difficulty().calculate(b).stars)"
    return subprocess.run([python, "-c", code], cwd=work, capture_output=True).returncode == 0


def suite(python, log, workers):
    "How many tests passed, failed (errors among them) and were skipped."
    report = log.with_suffix(".xml")
    environment = os.environ | {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-n", str(workers), f"--junitxml={report}", "-p", "no:cacheprovider"],
        cwd=repo,
        capture_output=True,
        text=True,
        env=environment,
    )
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if not report.exists():
        return 0, 1, 0
    counts = xml.parse(report).getroot().find("testsuite").attrib
    failed = int(counts["failures"]) + int(counts["errors"])
    return (
        int(counts["tests"]) - failed - int(counts["skipped"]),
        failed or int(done.returncode != 0),
        int(counts["skipped"]),
    )


def cell(version, interpreter, kind, wheel, options):
    "One environment from nothing to its row of the table."
    begun = time.time()
    name = f"{version}-{kind}"
    row = {"python": version, "versions": kind}
    try:
        python, versions = make(version, interpreter, kind, wheel, options.colab)
    except RuntimeError as e:
        (home / f"{name}.install.log").write_text(str(e), encoding="utf-8")
        return row | {
            "main job": "no environment",
            "passed": 0,
            "failed": 1,
            "skipped": 0,
            "minutes": (time.time() - begun) / 60,
        }
    row |= {shown: versions.get(shown, "") for shown in SHOWN}
    row["main job"] = "made a map" if main_job(python, home / f"{name}.job.log") else "failed"
    row["passed"], row["failed"], row["skipped"] = suite(python, home / f"{name}.suite.log", options.workers)
    row["minutes"] = (time.time() - begun) / 60
    if fine(row) and not options.keep:
        shutil.rmtree(home / name)
    return row


def fine(row):
    return row["main job"] == "made a map" and not row["failed"]


def table(rows):
    "The rows as Markdown."
    columns = ["python", "versions", *SHOWN, "main job", "passed", "failed", "skipped", "minutes"]
    text = lambda row, column: f"{row[column]:.0f}" if column == "minutes" else str(row.get(column, ""))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(text(row, c) for c in columns) + " |" for row in rows])


def options_of(args):
    "The words behind `make matrix`."
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pythons", default=",".join(PYTHONS), help="versions, such as 3.11,3.13")
    parser.add_argument("--sets", default=",".join(SETS), help="oldest, newest, colab")
    parser.add_argument("--colab", type=Path, default=repo / "tools" / "colab.txt", help="Colab's pip-freeze")
    parser.add_argument("--workers", type=int, default=2, help="tests at once")
    parser.add_argument("--keep", action="store_true", help="keep environments that passed")
    return parser.parse_args(args)


def main(args=None):
    options = options_of(args)
    home.mkdir(exist_ok=True)
    found = interpreters(options.pythons.split(","))
    if absent := set(options.pythons.split(",")) - set(found):
        print(f"not on this machine: Python {', '.join(sorted(absent))}", flush=True)
    shutil.rmtree(home / "dist", ignore_errors=True)
    run(uv(), "build", "-q", "--wheel", "--out-dir", home / "dist", repo)
    wheel = next((home / "dist").glob("*.whl"))
    rows = []
    for version, interpreter in found.items():
        for kind in options.sets.split(","):
            rows.append(cell(version, interpreter, kind, wheel, options))
            print(json.dumps(rows[-1]), flush=True)
            (home / "table.md").write_text(table(rows) + "\n", encoding="utf-8")
            (home / "table.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(table(rows))
    return int(not rows or not all(map(fine, rows)))


if __name__ == "__main__":
    sys.exit(main())
