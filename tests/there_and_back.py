"""Human maps through events and back: `python tests/there_and_back.py FOLDER [MAPS]` (a folder laid out as ../shared/data; default 200 maps).

A map is parsed to events, its times are cut to the 10 ms that tokens keep, and post-processing makes a map of them again. Reports objects that
moved by more than 5 ms, objects lost, whether rosu-pp reads all, and findings of `osu.check` that the map did not have before. Prints a line for
each map that is not as it was; the last line is one JSON object."""
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
from mapperatorinator.osu.beatmap import Beatmap
from mapperatorinator.osu.check import check_map
from mapperatorinator.osu.timing import Timing
from mapperatorinator.parse import Parser
from mapperatorinator.postprocess import assemble

MODES = ("standard", "taiko", "catch", "mania")

def sample(folder, count):
    "Paths, the modes in turn, each spread over its songs."
    files = [sorted(Path(folder).glob(f"songs/*/*/{mode}-*.osu")) for mode in MODES]
    spread = [[f[i] for i in np.linspace(0, len(f) - 1, min(len(f), count), dtype=int)] if f else [] for f in files]
    order = [[f[i] for i in sorted(range(len(f)), key=lambda i: i * .618034 % 1)] for f in spread]
    return [p for p in chain.from_iterable(zip_longest(*order)) if p][:count]

def coarse(stream):
    "The stream with times as tokens have them."
    cut = lambda t: t // 10 * 10 + 5
    return EventStream([Event(e.type, cut(e.value)) if e.type is EventType.TIME_SHIFT else e for e in stream.events], [cut(t) for t in stream.times])

def there_and_back(human, report=None):
    "The map that comes back."
    parser = Parser(LanguageConfig())
    streams = [parser.map_events(human), parser.kiai_events(human), *([parser.scroll_speed_events(human)] if human.mode in (1, 3) else [])]
    config = GenerateConfig(gamemode=human.mode, slider_multiplier=human.slider_multiplier, circle_size=human.cs, approach_rate=human.ar,
                            overall_difficulty=human.od, hp_drain_rate=human.hp, slider_tick_rate=human.tick_rate)
    return assemble([coarse(s) for s in streams], Timing.of(human), config, parser.language, human.keys, report)

def moved(human, back):
    "How many objects have no counterpart within 5 ms, of the same kind and in mania in the same column; and how many ends have none."
    def times(m, at):
        out = {}
        for o in m.hit_objects: out.setdefault((type(o).__name__, o.column(m.keys) if m.mode == 3 else 0), []).append(at(m, o))
        return {k: np.sort(v) for k, v in out.items()}
    def far(at):
        old, new = times(human, at), times(back, at)
        return sum(int((np.abs(new[k] - v) > 5).sum()) if k in new and len(new[k]) == len(v) else unpaired(v, new.get(k, [])) for k, v in old.items())
    return far(lambda m, o: o.time), far(lambda m, o: m.end_time(o))

def unpaired(old, new):
    "How many old times have no new one within 5 ms."
    return sum(not any(abs(t - n) <= 5 for n in new) for t in old)

def findings(map):
    "Findings of osu.check by kind."
    return check_map(map).counts()

def examine(path):
    "What became of a map."
    human, report = Beatmap.read(path), Counter()
    back = there_and_back(human, report)
    starts, ends = moved(human, back)
    new = findings(back) - findings(human)
    return {"map": f"{path.parent.name}/{path.name}", "mode": MODES[human.mode], "objects": len(human.hit_objects), "lost": len(human.hit_objects) - len(back.hit_objects),
            "moved": starts, "ends": ends, "plays": rosu.Beatmap(content=back.to_text()).n_objects == len(back.hit_objects), "new": dict(new)}

def main(folder, count=200):
    "Examine the maps; 1 when an object moved or a finding is new."
    rows, found = [examine(p) for p in sample(folder, int(count))], Counter()
    for row in rows:
        found.update(row["new"])
        if row["lost"] or row["moved"] or row["ends"] or row["new"] or not row["plays"]: print(*(f"{k}={v}" for k, v in row.items()))
    print(json.dumps({"maps": len(rows), "modes": Counter(r["mode"] for r in rows), **{k: sum(r[k] for r in rows) for k in ("objects", "lost", "moved", "ends", "plays")}, "new_findings": found}))
    return int(any(r["moved"] or r["lost"] or r["new"] or not r["plays"] for r in rows))

if __name__ == "__main__":
    if len(sys.argv) < 2: sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
