"""Human maps through events and back: `python tests/corpus/assemble_round_trip.py FOLDER [MAPS]` (a folder laid out as ../shared/data; default 200 maps).

A map is parsed to events, its times are cut to the 10 ms that tokens keep, and post-processing makes a map of them again. Reports objects that
moved by more than 5 ms, lost or of another kind (in taiko also don, kat and finisher), ends that moved, scroll speeds, whether rosu-pp reads all
objects, and problems and warnings of `osu.check` that the map did not have before. Prints a line for each map that is not as it was; the last line is one JSON
object. Ends and kinds change where a human map holds two things at once in one hand, which post-processing repairs."""

from __future__ import annotations
import json
import sys
from collections import Counter
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
import rosu_pp_py as rosu

from mapperatorinator.config import GenerateConfig, LanguageConfig
from mapperatorinator.events import Event, EventStream, EventType
from mapperatorinator.osu.beatmap import Beatmap, Circle
from mapperatorinator.osu.check import check_map
from mapperatorinator.osu.timing import Timing
from mapperatorinator.parse import Parser
from mapperatorinator.postprocess import assemble

MODES = ("standard", "taiko", "catch", "mania")


def sample(folder, count):
    "Paths, the modes in turn, each spread over its songs."
    files = [sorted(Path(folder).glob(f"songs/*/*/{mode}-*.osu")) for mode in MODES]
    spread = [
        [f[i] for i in np.linspace(0, len(f) - 1, min(len(f), count), dtype=int)] if f else [] for f in files
    ]
    order = [[f[i] for i in sorted(range(len(f)), key=lambda i: i * 0.618034 % 1)] for f in spread]
    return [p for p in chain.from_iterable(zip_longest(*order)) if p][:count]


def coarse(stream):
    "The stream with times as tokens have them."
    cut = lambda t: t // 10 * 10 + 5
    return EventStream(
        [Event(e.type, cut(e.value)) if e.type is EventType.TIME_SHIFT else e for e in stream.events],
        [cut(t) for t in stream.times],
    )


def there_and_back(human, report=None):
    "The map that comes back."
    parser = Parser(LanguageConfig())
    streams = [
        parser.map_events(human),
        parser.kiai_events(human),
        *([parser.scroll_speed_events(human)] if human.mode in (1, 3) else []),
    ]
    config = GenerateConfig(
        gamemode=human.mode,
        slider_multiplier=human.slider_multiplier,
        circle_size=human.cs,
        approach_rate=human.ar,
        overall_difficulty=human.od,
        hp_drain_rate=human.hp,
        slider_tick_rate=human.tick_rate,
    )
    return assemble(
        [coarse(s) for s in streams], Timing.of(human), config, parser.language, human.keys, report
    )


def unpaired(human, back, at, by):
    "How many objects of the human map have no counterpart within 5 ms: `at` is the time compared, `by` what must be the same."
    old, new = {}, {}
    for m, objects, out in ((human, human.hit_objects, old), (back, back.hit_objects, new)):
        for o in objects:
            out.setdefault(by(m, o), []).append(at(m, o))
    near = lambda v, w: len(v) == len(w) and np.abs(np.sort(v) - np.sort(w)).max() <= 5
    return sum(
        0 if near(v, w := new.get(k, [])) else sum(all(abs(t - n) > 5 for n in w) for t in v)
        for k, v in old.items()
    )


def lane(m, o):
    return o.column(m.keys) if m.mode == 3 else 0


def start(m, o):
    return o.time


def look(m, o):
    return (
        lane(m, o),
        type(o).__name__,
        m.mode == 1 and isinstance(o, Circle) and (bool(o.hitsound & 10), bool(o.hitsound & 4)),
    )


def speeds(human, back):
    "How many objects have another scroll speed than before, by more than 2 % (taiko and mania)."
    if human.mode in (0, 2):
        return 0
    speed = lambda m, t: min(max(m.point_at(t).sv, 0.01), 10) / m.redline_at(t).beat_length
    return sum(
        abs(speed(back, b.time) / speed(human, a.time) - 1) > 0.02
        for a, b in zip(human.hit_objects, back.hit_objects)
        if human.redline_at(a.time).beat_length > 0
    )


def findings(map):
    "Findings of osu.check by kind."
    return Counter(f.kind for f in check_map(map).findings if f.severity != "note")


def examine(path):
    "What became of a map."
    human = Beatmap.read(path)
    report = Counter()
    back = there_and_back(human, report)
    counted = {
        "lost": len(human.hit_objects) - len(back.hit_objects),
        "moved": unpaired(human, back, start, lane),
        "looks": unpaired(human, back, start, look),
        "ends": unpaired(human, back, Beatmap.end_time, lane),
        "speeds": speeds(human, back),
    }
    before = findings(human)
    after = findings(back)
    return {
        "map": f"{path.parent.name}/{path.name}",
        "mode": MODES[human.mode],
        "objects": len(human.hit_objects),
        **counted,
        "plays": rosu.Beatmap(content=back.to_text()).n_objects == len(back.hit_objects),
        "findings_before": before.total(),
        "findings_after": after.total(),
        "new": dict(after - before),
    }


SUMS = ("objects", "lost", "moved", "looks", "ends", "speeds", "plays", "findings_before", "findings_after")


def main(folder, count=200):
    "Examine the maps; 1 when an object moved or a finding is new."
    rows = [examine(p) for p in sample(folder, int(count))]
    found = Counter()
    for row in rows:
        found.update(row["new"])
        if any(row[k] for k in ("lost", "moved", "looks", "ends", "speeds", "new")) or not row["plays"]:
            print(*(f"{k}={v}" for k, v in row.items()))
    print(
        json.dumps(
            {
                "maps": len(rows),
                "modes": Counter(r["mode"] for r in rows),
                **{k: sum(r[k] for r in rows) for k in SUMS},
                "new_findings": found,
            }
        )
    )
    return int(any(r["moved"] or r["lost"] or r["new"] or not r["plays"] for r in rows))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
