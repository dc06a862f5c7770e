"""What people, scripts and accidents do to files: only the typed error may leave, in little time and memory.

The same 200 inputs for every door, on every machine; `make fuzz minutes=20` (tests/fuzz.py) tries new ones for as long as it is told, and `pytest -m slow` 10,000."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fuzz
import fuzz_maps
from mapperatorinator.core import UserError


def survives(data):
    "A sentence, or a beatmap that can be used in every way."
    try:
        fuzz_maps.walk(data)
    except UserError as e:
        fuzz.one_sentence(e)


def made_up(count, seed, folder):
    """What the program tells of so many inputs of a seed. It runs in a process of its own: hypothesis takes constants from
    the modules that are loaded, so beside other tests the same seed would make other inputs."""
    words = [sys.executable, "tests/fuzz.py", "--inputs", count, "--seed", seed, "--keep", folder]
    root = Path(__file__).resolve().parents[1]
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [str(w) for w in words],
        cwd=root,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_inputs(tmp_path):
    told = made_up(200, 281101, tmp_path)
    assert told["faults"] == {} and {*told["tried"]} == {door.name for door in fuzz.DOORS}
    assert min(told["tried"].values()) >= 150


@pytest.mark.slow
def test_ten_thousand_inputs(tmp_path):
    told = made_up(10_000, time.time_ns() % 10**9, tmp_path)
    assert told["faults"] == {} and min(told["tried"].values()) >= 9_000


@pytest.mark.parametrize("number", range(60))
def test_mutations_of_our_maps(number):
    "`tests/fuzz.py --mutations 5000 ../shared/data/beatmaps` does the same to real ones."
    rng = random.Random(number)
    survives(fuzz_maps.mutated(rng.choice(fuzz_maps.MAPS).encode(), rng))


FOUND = {  # what luck has found so far; each input was small enough to keep
    "a red line at a huge time, and a preview": "osu file format v14\n[TimingPoints]\n2147483647,1e-300\n[HitObjects]\n9,9,5,1,0\n",
    "a green line of 0 before any red one": "osu file format v14\n[TimingPoints]\n0,0,4,1,0,60,0,0\n[HitObjects]\n9,9,5,1,0\n256,192,9,8,0,5000\n",
    "a green line of nearly nothing": "osu file format v14\n[TimingPoints]\n0,-5e-324,4,1,0,60,0,0\n[HitObjects]\n9,9,5,1,0\n",
    "an old red line at the end of time": "osu file format v4\n[TimingPoints]\n1245,5.999\n2147483647,500,2147483647\n[HitObjects]\n45,256,60000,2,0,B|64:256,1,9\n",
    "a slider whose head is far away": "[HitObjects]\n131072,131072,5,2,0,L|-1:0|0:31072,9000\n",
    "a straightened slider that moves": "[HitObjects]\n5,5,1,2,0,L|-1:0|0:31072,1",
    "a spinner of catch to the end of time": "osu file format v14\n[General]\nMode: 2\n[HitObjects]\n256,192,329,12,0,2147483647\n",
    "a slider at the end of time": "[TimingPoints]\n65489,304.5,4,1,4,50,1,0\n75235,-66.6,4,1,4,70,0,1\n[HitObjects]\n385,171,2147483647,2,0,P|383:151|379:132,1,40,0|0,1:0|0:0,0:0:0:0:\n",
    "a bar of two thousand million beats": "[TimingPoints]\n900,500,2147483647\n[HitObjects]\n9,9,5,1,0\n",
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once_is_found_no_more(name):
    survives(FOUND[name].encode())


HEAD = "osu file format v14\n\n[TimingPoints]\n0,500,4,1,0,50,1,0\n"
ABSURD = {
    "beats of no length": "0,1e-300,4,1,0,50,1,0\n[HitObjects]\n9,9,0,12,0,2147483647\n",
    "slides and lengths": "[HitObjects]\n" + "9,9,0,2,0,B|99:9|131072:-131072|0:0,9000,131072\n" * 8,
    "a billion slides": "[HitObjects]\n9,9,0,2,0,B|99:9,1000000000,1e18\n",
    "many points": "0,500,4,1,0,50,1,0\n" * 200 + "[HitObjects]\n9,9,0,2,0,L|99:9,1,90\n",
    "one long curve": "[HitObjects]\n9,9,0,2,0,B"
    + "".join(f"|{i * 7919 % 512}:{i * 104729 % 384}" for i in range(1000))
    + ",1,900\n",
    "an endless hold": "[HitObjects]\n" + "9,9,-2147483648,128,0,2147483647:0:0:0:0:\n" * 20,
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_numbers_cost_little(name):
    before = fuzz.peak_memory() or 0
    survives((HEAD + ABSURD[name]).encode())
    assert (fuzz.peak_memory() or 0) - before < 300  # MB


def test_the_program_tells_what_it_finds_and_keeps_the_input(tmp_path, monkeypatch, capsys):
    "Doors that fall over a word: the input is made smaller and written where it is told."

    def fall(data):
        if b"red" in data:
            raise ZeroDivisionError("red")
        if b"slow" in data:
            raise UserError("Too slow.")
        if b"sentence" in data:
            raise ValueError("two\nlines")

    doors = [
        fuzz.Door(data.decode(), ".txt", fuzz.st.just(data), fall)
        for data in (b"green", b"a red line", b"slow", b"a sentence")
    ]
    monkeypatch.setattr(fuzz, "DOORS", doors)
    assert fuzz.main(["--minutes", "0", "--seed", "1", "--keep", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    found = json.loads(told.splitlines()[-1])
    assert {*found["tried"]} == {d.name for d in doors} and found["peak_memory_mb"] != 0
    assert {f.split()[0] for f in found["faults"]} == {"ZeroDivisionError", "ValueError"}
    kept = {p.read_bytes(): p for p in tmp_path.iterdir()}
    assert {*kept} == {b"red", b"sentence"} and all(str(p) in told for p in kept.values())


def test_an_input_without_end_is_given_up_and_an_idle_machine_is_no_fault(monkeypatch):
    "Processor time counts: who sleeps is not slow."

    def work(data):
        while data == b"work":
            pass
        time.sleep(1.5)

    monkeypatch.setattr(fuzz, "HANGS", 0.2)
    door = fuzz.Door("words", ".txt", fuzz.st.nothing(), work)
    assert (
        fuzz.attempt(door, b"work")[0].what == "over 0.2 s in test_fuzz.py:work"
        and fuzz.attempt(door, b"sleep")[0] is None
    )


def test_mutations_are_the_same_for_the_same_seed(tmp_path, capsys):
    (tmp_path / "a.osu").write_bytes(fuzz_maps.MAPS[0].encode())
    assert (
        fuzz.main(["--mutations", "3", str(tmp_path), "--seed", "5", "--keep", str(tmp_path / "kept")]) == 0
    )
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["tried"] == {"maps": 3}
    data = fuzz_maps.MAPS[0].encode()
    assert fuzz_maps.mutated(data, random.Random(4)) == fuzz_maps.mutated(data, random.Random(4)) != data
