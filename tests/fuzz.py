"""What people, scripts and accidents do to files, over and over with new luck.

    python tests/fuzz.py --minutes 20 [--door maps] [--seed 7]     made-up input, new seeds until the time is over (make fuzz minutes=20)
    python tests/fuzz.py --inputs 200 [--door maps] --seed 7       so many made-up inputs of one seed: the same ones every time
    python tests/fuzz.py --mutations 5000 FOLDER [--seed 7]        real maps below a folder, with lines swapped, numbers gone wild, bytes flipped …

An input goes through a *door* (an entry of `DOORS`): everything the package does with a file of that kind. Only `UserError` may leave, within two
seconds of processor time (and one more for every 10 kB of input). Whatever else happens is printed once and its input, made smaller, written into
`runs/fuzz` under a name that is told. The last line is one JSON object. A new door is one `Door(...)` in the list."""

from __future__ import annotations
import _thread
import argparse
import json
import random
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed as seeded, settings, strategies as st

import fuzz_archives
import fuzz_foreign
import fuzz_maps
import fuzz_sounds
import fuzz_words
from mapperatorinator.core import UserError

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 2.0  # of processor time for an input, and more for a large one
PER_BYTE = 1 / 10_000
HANGS = (
    60  # s of processor time after which an input is given up; the clock says nothing where others work too
)


@dataclass(frozen=True)
class Door:
    "A way into the package for files of strangers."

    name: str
    suffix: str  # of a file with such input
    inputs: st.SearchStrategy  # of bytes
    walk: Callable[[bytes], object]  # all that is done with it; may raise UserError


DOORS = [
    Door("maps", ".osu", fuzz_maps.inputs, fuzz_maps.walk),
    Door("sounds", ".sound", fuzz_sounds.inputs, fuzz_sounds.walk),
    Door("archives", ".osz", fuzz_archives.inputs, fuzz_archives.walk),
    Door("models", ".model", fuzz_foreign.inputs, fuzz_foreign.walk),
    Door("words", ".txt", fuzz_words.inputs, fuzz_words.walk),
]

# --- one input


@dataclass(frozen=True)
class Fault:
    "What should not have happened."

    what: str  # the exception or slowness, and where
    told: str  # traceback


def place(error):
    "File and line of the package (or the walk) in which an error arose."
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "mapperatorinator" in f.filename or "fuzz" in f.filename]
    return f"{Path(own[-1].filename).name}:{own[-1].name}" if own else "elsewhere"


def one_sentence(error):
    "A user gets lines that can be shown."
    assert all(map(str.isprintable, error.args)), f"a message of ours with control characters: {str(error)!r}"


def watch(start, done):
    "Interrupt the main thread when it works on for too long."
    while not done.wait(1):
        if time.process_time() - start > HANGS:
            return _thread.interrupt_main()


def attempt(door, data):
    "The fault that an input shows, if any, and the seconds it took."
    done = threading.Event()
    start = time.process_time()
    threading.Thread(target=watch, args=(start, done), daemon=True).start()
    try:
        try:
            door.walk(data)
        except UserError as e:
            one_sentence(e)
        fault = None
    except KeyboardInterrupt as e:
        if time.process_time() - start <= HANGS:
            raise  # the user's
        fault = Fault(f"over {HANGS} s in {place(e)}", traceback.format_exc())
    except BaseException as e:  # a panic of rosu's is no Exception
        fault = Fault(f"{type(e).__name__} in {place(e)}", traceback.format_exc())
    finally:
        done.set()
    took = time.process_time() - start
    if fault is None and took > SECONDS + PER_BYTE * len(data):
        fault = Fault("too slow", f"{took:.1f} s for {len(data)} bytes")
    return fault, took


def smaller(door, data, what, seconds=10.0):
    "The input without the parts that the fault does not need, as far as the time goes."
    over = time.monotonic() + seconds
    size = len(data) // 2
    while size and time.monotonic() < over:
        for start in range(0, len(data), size):
            less = data[:start] + data[start + size :]
            found, _ = attempt(door, less) if time.monotonic() < over else (None, 0)
            if found and found.what == what:
                data = less
                break
        else:
            size //= 2
    return data


# --- many inputs


@dataclass
class Tally:
    "What was tried and what happened."

    folder: Path
    tried: Counter = field(default_factory=Counter)  # door -> inputs
    faults: Counter = field(default_factory=Counter)
    slowest: float = 0.0  # s

    def add(self, door, data, origin):
        "Try an input; tell and keep it when it shows a new fault."
        fault, took = attempt(door, data)
        self.tried[door.name] += 1
        self.slowest = max(self.slowest, took)
        if fault is None:
            return
        self.faults[fault.what] += 1
        if self.faults[fault.what] > 1:
            return
        if not fault.what.startswith(("over", "too slow")):
            data = smaller(door, data, fault.what)
        path = self.folder / f"{door.name}_{len(self.faults)}{door.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        print(f"{fault.told}\n{fault.what} ({origin}): {path}\n", flush=True)

    def summary(self):
        "The figures."
        return {
            "tried": dict(self.tried),
            "faults": dict(self.faults),
            "slowest_s": round(self.slowest, 2),
            "peak_memory_mb": peak_memory(),
        }


def peak_memory():
    "Most MB that this process has held; None where the system does not say."
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (2**20 if sys.platform == "darwin" else 2**10))


def explore(door, number, tally, examples=50):
    "Inputs of one seed."

    @seeded(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(door.inputs)
    def these(data):
        tally.add(door, data, f"door {door.name}, seed {number}")

    these()


def for_minutes(minutes, doors, first, tally):
    "New seeds until the time is over, the doors in turn; one seed at least."
    over = time.monotonic() + 60 * minutes
    number = first
    while number == first or time.monotonic() < over:
        for door in doors:
            explore(door, number, tally)
        number += 1


def so_many(count, doors, number, tally):
    "Inputs of one seed, for each door."
    for door in doors:
        explore(door, number, tally, count)


def over_maps(folder, count, first, tally):
    "So many mutations of the maps below a folder."
    files = sorted(Path(folder).rglob("*.osu"))
    if not files:
        sys.exit(f"No .osu file lies below {folder}; give a folder of beatmaps.")
    door = next(d for d in DOORS if d.name == "maps")
    for number in range(first, first + count):
        rng = random.Random(number)
        path = rng.choice(files)
        tally.add(door, fuzz_maps.mutated(path.read_bytes(), rng), f"{path.name}, mutation {number}")


def main(argv=None):
    "1 when there was a fault."
    wanted = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    wanted.add_argument("folder", nargs="?", type=Path, help="maps to mutate")
    wanted.add_argument("--minutes", type=float, default=1.0)
    wanted.add_argument("--inputs", type=int, default=0)
    wanted.add_argument("--mutations", type=int, default=0)
    wanted.add_argument("--door", choices=[d.name for d in DOORS], help="only this one")
    wanted.add_argument(
        "--seed",
        type=int,
        default=time.time_ns() % 10**9,
        help="the first; new ones every time when it is not given",
    )
    wanted.add_argument(
        "--keep", type=Path, default=ROOT / "runs" / "fuzz", help="folder for inputs that show a fault"
    )
    c = wanted.parse_args(argv)
    doors = [d for d in DOORS if c.door in (None, d.name)]
    warnings.simplefilter("ignore")
    tally = Tally(c.keep)
    print(f"seed {c.seed}", flush=True)
    try:
        if c.mutations:
            over_maps(c.folder or ROOT / "tests" / "maps", c.mutations, c.seed, tally)
        elif c.inputs:
            so_many(c.inputs, doors, c.seed, tally)
        else:
            for_minutes(c.minutes, doors, c.seed, tally)
    finally:
        print(json.dumps(tally.summary()))
    return int(bool(tally.faults))


if __name__ == "__main__":
    sys.exit(main())
