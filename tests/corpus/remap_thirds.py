"""Remap the middle third of human maps: `python tests/corpus/remap_thirds.py FOLDER [MAPS]` (a folder laid out as ../shared/data).

The new content is another difficulty of the same song. Checks that the bytes outside are the same, that what lies outside lasts and sounds as it
did, that new objects keep their duration, and that rosu-pp reads every object. Prints a line per map; the last line is one JSON object."""

from __future__ import annotations
import json
import math
import sys
from itertools import islice, zip_longest
from pathlib import Path

import rosu_pp_py as rosu

from mapperatorinator.osu.beatmap import Beatmap
from mapperatorinator.osu.timing import Timing
from mapperatorinator.remap import splice


def pairs_of(folder, mode):
    "(path, original, made): two difficulties of one song and key count; one pair per song."
    for song in sorted(Path(folder).glob("songs/*/*")):
        maps = [(p, Beatmap.read(p)) for p in sorted(song.glob(f"{mode}-*.osu"))[:3]]
        same = (
            (p, a, b)
            for p, a in maps
            for _, b in maps
            if a is not b and (a.mode, a.mode == 3 and a.keys) == (b.mode, b.mode == 3 and b.keys)
        )
        yield from list(same)[:1]


def pairs(folder):
    "Pairs of all modes in turn."
    for row in zip_longest(*(pairs_of(folder, mode) for mode in ("standard", "taiko", "catch", "mania"))):
        yield from (p for p in row if p)


def middle(original):
    "Start and end of the middle third, on downbeats where there are some."
    times = [o.time for o in original.hit_objects]
    low = min(times)
    high = max(times)
    bars = [b.time for b in Timing.of(original).beats(low, high) if b.downbeat] or [low, high]
    nearest = lambda t: round(min(bars, key=lambda b: abs(b - t)))
    start = nearest(low + (high - low) / 3)
    end = nearest(low + (high - low) * 2 / 3)
    return (start, end) if start < end else (round(low + (high - low) / 3), round(low + (high - low) * 2 / 3))


def time_of(line, section):
    "The time of an object's or timing point's line; None for other lines."
    fields = line.split(",")
    if section not in ("HitObjects", "TimingPoints") or len(fields) < 2 or line.startswith("//"):
        return None
    return float(fields[2 if section == "HitObjects" else 0])


def outside(map, start, end, at_end=()):
    "The lines of a file that a remap must not touch; of those exactly at the end only `at_end`."
    section, lines = "", []
    for line in map.to_bytes().decode("utf-8", "replace").splitlines():
        section = line.strip()[1:-1] if line.startswith("[") else section
        t = time_of(line, section)
        if section == "Events" and line.startswith(("2,", "Break,")):
            continue
        if t is None or not start <= t <= end or line in at_end:
            lines.append(line)
    return lines


def kept(original, result, start, end):
    "Whether objects outside last and sound as before."
    says = lambda m, o: (m.end_time(o), m.point_at(o.time).volume, m.point_at(o.time).kiai)
    pairs = zip(*([o for o in m.hit_objects if not start <= o.time < end] for m in (original, result)))
    return all(
        abs(says(original, a)[0] - says(result, b)[0]) < 1e-6 and says(original, a)[1:] == says(result, b)[1:]
        for a, b in pairs
    )


def lasting(original, made, result, start, end):
    "How many new objects lost their duration (those cut at the end seam do so by right)."
    wanted = {(o.time, o.x, o.y, type(o)): made.duration(o) for o in made.hit_objects}
    after = min((o.time for o in original.hit_objects if o.time >= end), default=math.inf)
    new = [o for o in result.hit_objects if start <= o.time < end]
    return sum(
        abs(wanted.get((o.time, o.x, o.y, type(o)), 0) - result.duration(o)) > 1
        for o in new
        if o.time + wanted.get((o.time, o.x, o.y, type(o)), math.inf) < after - 25
    )


def plays(result):
    "Whether rosu-pp reads all objects and finds a finite difficulty."
    map = rosu.Beatmap(bytes=result.to_bytes())
    return map.n_objects == len(result.hit_objects) and math.isfinite(rosu.Difficulty().calculate(map).stars)


def examine(path, original, made):
    "The findings of one remap."
    start, end = middle(original)
    result = splice(original, made, start, end)
    at_end = {x.raw.rstrip("\r\n") for x in [*original.hit_objects, *original.timing_points] if x.time == end}
    return {
        "map": path.name,
        "mode": original.mode,
        "range": [start, end],
        "new": sum(start <= o.time < end for o in result.hit_objects),
        "identical": outside(original, start, end, at_end) == outside(result, start, end, at_end),
        "kept": kept(original, result, start, end),
        "durations_lost": lasting(original, made, result, start, end),
        "plays": plays(result),
    }


def main(folder, count=10):
    "Examine the first maps; 1 when one is not as it should be."
    rows = [examine(*pair) for pair in islice(pairs(folder), int(count))]
    for row in rows:
        print(*(f"{k}={v}" for k, v in row.items()))
    good = [r["identical"] and r["kept"] and r["plays"] and not r["durations_lost"] for r in rows]
    print(
        json.dumps(
            {
                "maps": len(rows),
                "good": sum(good),
                **{
                    k: sum(r[k] for r in rows)
                    for k in ("identical", "kept", "plays", "durations_lost", "new")
                },
            }
        )
    )
    return int(not all(good) or not rows)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
