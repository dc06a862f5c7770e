"""Read and write every .osu file below a folder: `python tests/corpus/corpus.py FOLDER [--every N]` (N: only each N-th file; default 1, all).

Each file is read, written, and read again; other readers get the same bytes in the same process: `slider` (PyPI) for speed, rosu-pp as the
judge of what the game would refuse. Prints what was refused, by whom and why, then the shares; the last line is one JSON object.
`clean` is the share of maps in which `osu.check` finds no problem, `check_ms` what it takes.
`agreeing` counts the refused files that rosu refuses too, or in which it finds no objects; speed is slider's time over ours, per file both read."""

from __future__ import annotations
import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import rosu_pp_py
import slider

from mapperatorinator.osu.beatmap import Beatmap, BeatmapError
from mapperatorinator.osu.check import check_map


def anew(map):
    "The same map, with no line as it was read: every object and timing point is formatted."
    strip = lambda items: [replace(item, raw=None) for item in items]
    return replace(map, timing_points=strip(map.timing_points), hit_objects=strip(map.hit_objects))


def timed(read, data):
    "What `read` makes of the data, or the error as text; then the CPU seconds it took."
    start = time.process_time()
    try:
        found = read(data)
    except Exception as e:
        found = f"{type(e).__name__}: {e}"  # other libraries raise anything at all
    return found, time.process_time() - start


def ours(data):
    "A beatmap, or the reason why it is none; any other error is a fault of ours and leaves."
    try:
        return Beatmap.parse(data)
    except BeatmapError as e:
        return str(e)


def with_rosu(data):
    "How many objects rosu-pp sees."
    return rosu_pp_py.Beatmap(content=data).n_objects


def with_slider(data):
    "How many objects slider sees."
    return len(slider.Beatmap.parse(data.decode("utf-8-sig")).hit_objects(stacking=False))


def examine(path):
    "All we want to know of one file."
    data = path.read_bytes()
    (rosu, _), (slow, slow_time), (map, fast_time) = (
        timed(with_rosu, data),
        timed(with_slider, data),
        timed(ours, data),
    )
    row = {
        "path": path,
        "rosu": rosu,
        "slider": slow,
        "refused": map if isinstance(map, str) else None,
        "skipped": 0,
    }
    if isinstance(slow, int):
        row |= {"times": (slow_time, fast_time)}
    if isinstance(map, str):
        return row
    out = map.to_bytes()
    fresh = anew(map)
    again = Beatmap.parse(fresh.to_bytes())
    same = Beatmap.parse(out) == map and (again.hit_objects, again.timing_points) == (
        fresh.hit_objects,
        fresh.timing_points,
    )
    checked, check_time = timed(check_map, map)
    return row | {
        "same": out == data,
        "identity": same,
        "objects": len(map.hit_objects),
        "skipped": len(map.warnings),
        "findings": set(checked.counts()),
        "clean": checked.clean,
        "check_time": check_time,
    }


def report(rows):
    "Print what was refused; the figures as a dictionary."
    read = [r for r in rows if not r["refused"]]
    refused = [r for r in rows if r["refused"]]
    agreeing = [r for r in refused if not isinstance(r["rosu"], int) or not r["rosu"]]
    for r in refused:
        print(f"refused: {r['path'].name}: {r['refused']} (rosu: {r['rosu']} objects, slider: {r['slider']})")
    for r in read:
        if isinstance(r["rosu"], str):
            print(f"read, but refused by rosu: {r['path'].name}: {r['rosu']}")
        elif r["rosu"] != r["objects"]:
            print(f"read, but {r['objects']} objects, and {r['rosu']} by rosu: {r['path'].name}")
    for reason, n in Counter(
        r["slider"].split(":")[0] for r in rows if isinstance(r["slider"], str)
    ).most_common():
        print(f"refused by slider: {n} with {reason}")
    for kind, n in Counter(k for r in read for k in r["findings"]).most_common():
        print(f"osu.check finds {kind} in {n} files")
    slow, fast = (sum(r["times"][i] for r in rows if "times" in r) for i in (0, 1))
    share = lambda n, of: round(n / max(of, 1), 5)
    return {
        "files": len(rows),
        "refused": len(refused),
        "agreeing": len(agreeing),
        "read": share(len(read) + len(agreeing), len(rows)),
        "identity": share(sum(r["identity"] for r in read), len(read)),
        "byte_identical": share(sum(r["same"] for r in read), len(read)),
        "objects": sum(r["objects"] for r in read),
        "lines_skipped": sum(r["skipped"] for r in read),
        "read_by_rosu": share(sum(isinstance(r["rosu"], int) for r in rows), len(rows)),
        "read_by_slider": share(sum(isinstance(r["slider"], int) for r in rows), len(rows)),
        "clean": share(sum(r["clean"] for r in read), len(read)),
        "check_ms": round(1000 * sum(r["check_time"] for r in read) / max(len(read), 1), 1),
        "times_as_fast_as_slider": round(slow / fast, 2) if fast else None,
    }


if __name__ == "__main__":
    wanted = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    wanted.add_argument("folder", type=Path)
    wanted.add_argument("--every", type=int, default=1)
    wanted = wanted.parse_args()
    files = sorted(wanted.folder.rglob("*.osu"))[:: wanted.every]
    if not files:
        sys.exit(f"No .osu file lies below {wanted.folder}; give a folder of beatmaps.")
    print(json.dumps(report([examine(p) for p in files])))
