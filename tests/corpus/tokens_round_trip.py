"""Map to events to tokens and back: `python tests/corpus/tokens_round_trip.py FOLDER [PRESET]` over every `.osu` below a folder (PRESET: a published language).

Prints per mode the objects that came back and the median and 95th percentile of their errors, as tokens have them and after resnapping: start (ms),
start of those that lie on a tick of the grid (ms), end (ms), place of circles and heads (px), points along sliders (px); then why objects were lost, and
how fast maps become events and events become tokens.
The last line is one JSON object. A map is told in windows of the language's length, as the model reads it."""

from __future__ import annotations
import gzip
import json
import sys
import time
import warnings
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from mapperatorinator.config import LanguageConfig, compose
from mapperatorinator.events import EventStream
from mapperatorinator.groups import event_times, read_groups
from mapperatorinator.osu.beatmap import Beatmap, BeatmapError, Circle, Hold, Slider, Spinner
from mapperatorinator.osu.curves import SliderPath
from mapperatorinator.osu.timing import Timing, TimingBuilder
from mapperatorinator.parse import MAX_POINTS, Parser, Scribe, end_time
from mapperatorinator.tokenizer import STEP, Tokenizer
from mapperatorinator.unparse import to_hit_objects

MODES = "standard", "taiko", "catch", "mania"
NEAR = 30  # ms within which an object is the same one
MEASURES = "start", "snapped", "end", "place", "path"


def beatmaps(folder):
    "Every map that can be read and has objects and a tempo; copies of a file are met once."
    seen = set()
    for path in sorted(p for p in Path(folder).rglob("*") if p.name.endswith((".osu", ".osu.gz"))):
        data = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
        if data in seen:
            continue
        seen.add(data)
        try:
            b = Beatmap.parse(data)
        except BeatmapError:
            continue
        if (
            b.mode in range(4)
            and b.hit_objects
            and any(p.uninherited and p.beat_length > 0 for p in b.timing_points)
        ):
            yield b


def through_tokens(stream, tokenizer, language, clock):
    "The stream after a trip through token ids, window by window; seconds of encoding are added to `clock`."
    if not len(stream):
        return stream
    out = []
    size = (language.src_seq_len - 1) * language.hop_length * 1000 / language.sample_rate
    for k in range(int(min(stream.times[-1] // size, 10_000)) + 1):
        seen = stream.between(k * size, (k + 1) * size)
        begin = time.perf_counter()
        ids = tokenizer.encode_stream(seen, k * size)
        clock["seconds"] += time.perf_counter() - begin
        clock["tokens"] += len(ids)
        out += tokenizer.decode_ids(ids, k * size)
    return EventStream(out, event_times(out, language.types_first))


def ends(beatmap, objects, language):
    "End of each object, in ms."
    scribe = Scribe(language, beatmap)
    return [end_time(scribe, o) / 1000 for o in objects]


def lane(o, mode, keys):
    "What tells objects of one moment apart: the kind, and in mania the column."
    return type(o).__name__, o.column(keys) if mode == 3 else 0


def pairs(before, after, mode, keys):
    "Objects of a map and those that came back, matched by kind, column and nearest time; None where nothing came back."
    waiting = defaultdict(list)
    for o, end in sorted(after, key=lambda oe: -oe[0].time):
        waiting[lane(o, mode, keys)].append((o, end))
    for o, end in sorted(before, key=lambda oe: oe[0].time):
        found = waiting[lane(o, mode, keys)]
        while found and found[-1][0].time < o.time - NEAR:
            found.pop()
        yield (o, end), found.pop() if found and found[-1][0].time <= o.time + NEAR else None


def overlaps(o, beatmap):
    "Whether another spinner, or hold of the column, is there at once; events name no pairs, so the latest start gets the end."
    same = lambda p: (
        p is not o
        and type(p) is type(o)
        and (beatmap.mode != 3 or p.column(int(beatmap.cs)) == o.column(int(beatmap.cs)))
    )
    return any(same(p) and o.time <= p.end_time and p.time <= o.end_time for p in beatmap.hit_objects)


def why_lost(o, end, beatmap):
    "Reason in the map itself why an object cannot be told, or an empty string."
    if o.time < 0:
        return "before the song begins"
    if isinstance(o, Slider) and len(o.control_points) >= MAX_POINTS:
        return f"slider of {MAX_POINTS} points or more"
    if isinstance(o, Hold) and beatmap.mode != 3:
        return "hold outside mania"
    if isinstance(o, Slider) and beatmap.mode == 3:
        return "slider in a mania map"
    if isinstance(o, Slider) and SliderPath(o.curve, o.control_points, None, o.segments).natural_length < 4:
        return "slider that goes nowhere: a circle"
    if not isinstance(o, Circle) and end <= o.time + STEP:
        return f"lasts no longer than a step of {STEP} ms"
    if isinstance(o, (Hold, Spinner)) and overlaps(o, beatmap):
        return "spinner or hold of a column while another is held"
    return ""


def errors(a, b, beatmap, timing):
    "Errors of one object: start and end in ms, place and path in px."
    (o, end), (p, end2), mode = a, b, beatmap.mode
    out = {"start": abs(p.time - o.time)}
    if timing.snap_divisor(o.time):
        out["snapped"] = out["start"]
    if not isinstance(o, Circle):
        out["end"] = abs(end2 - end)
    if mode in (0, 2) and isinstance(o, (Circle, Slider)):
        out["place"] = max(abs(p.x - o.x), abs(p.y - o.y))
    if mode in (0, 2) and isinstance(o, Slider):
        u = np.linspace(0, 1, 9)
        out["path"] = float(np.abs(o.path.at(u) - p.path.at(u)).max())
    return out


def trip(beatmap, language, tokenizer, clock):
    "Groups of a map after the trip, and the timing they lean on."
    begin = time.perf_counter()
    said = Parser(language).map_events(beatmap)
    clock["parse_seconds"] += time.perf_counter() - begin
    stream = through_tokens(said, tokenizer, language, clock)
    return read_groups(stream, language, int(beatmap.cs)), Timing.of(beatmap)


def written(beatmap, got, timing):
    "A map of the objects that came back, with the green lines they ask for."
    b = Beatmap.new(mode=beatmap.mode, cs=beatmap.cs, slider_multiplier=beatmap.slider_multiplier)
    b.timing_points = got.apply(TimingBuilder(list(timing.red))).points()
    b.hit_objects = got.objects
    return b


class Tally:
    "Errors, losses and reasons of many maps."

    def __init__(self):
        self.errors = defaultdict(list)
        self.lost = Counter()
        self.objects = 0

    def add(self, beatmap, gs, timing, language):
        "Rebuild a map from its groups and compare."
        b = written(
            beatmap, to_hit_objects(gs, timing, beatmap.slider_multiplier, language, beatmap.mode), timing
        )
        before, after = (list(zip(m.hit_objects, ends(m, m.hit_objects, language))) for m in (beatmap, b))
        for a, match in pairs(before, after, beatmap.mode, int(beatmap.cs)):
            self.objects += 1
            if match is None:
                self.lost[why_lost(*a, beatmap) or "unexplained"] += 1
            else:
                self.note(errors(a, match, beatmap, timing))

    def note(self, found):
        "Keep the errors of one object."
        for k, v in found.items():
            self.errors[k].append(v)

    def row(self):
        "The tally in numbers: median and 95th percentile of each error."
        return {
            "objects": self.objects,
            "lost": dict(self.lost),
            **{
                k: [round(float(np.quantile(self.errors[k], q)), 3) for q in (0.5, 0.95)]
                for k in MEASURES
                if self.errors[k]
            },
        }


def resnap(gs, timing):
    "Every group that says its divisor, on the nearest tick of it."
    for g in gs:
        if g.snap:
            g.time = timing.resnap(g.time, g.snap)


def measure(folder, language):
    "Tallies per mode, raw and resnapped, and the clock of the encoder."
    tokenizer = Tokenizer.from_config(language)
    clock = Counter()
    tallies = {(m, r): Tally() for m in MODES for r in ("raw", "resnapped")}
    maps = Counter()
    for b in beatmaps(folder):
        gs, timing = trip(b, language, tokenizer, clock)
        maps[MODES[b.mode]] += 1
        tallies[MODES[b.mode], "raw"].add(b, gs, timing, language)
        resnap(gs, timing)
        tallies[MODES[b.mode], "resnapped"].add(b, gs, timing, language)
    return maps, tallies, clock


def main(folder, preset=None):
    "Print the table and the summary."
    warnings.simplefilter("ignore")
    language = compose(LanguageConfig, preset=preset)
    maps, tallies, clock = measure(folder, language)
    rows = {f"{m} {r}": t.row() for (m, r), t in tallies.items() if t.objects}
    print(f"{'':20} {'objects':>8} {'lost':>6} " + " ".join(f"{k + ' median, 95 %':>20}" for k in MEASURES))
    for name, row in rows.items():
        print(
            f"{name:20} {row['objects']:8} {sum(row['lost'].values()):6} "
            + " ".join(f"{'{:.3g}, {:.3g}'.format(*row[k]) if k in row else '':>20}" for k in MEASURES)
        )
    for reason, n in sum(
        (Counter(r["lost"]) for k, r in rows.items() if k.endswith("raw")), Counter()
    ).most_common():
        print(f"lost: {reason}: {n}")
    speed = round(clock["tokens"] / max(clock["seconds"], 1e-9))
    events = round(clock["tokens"] / max(clock["parse_seconds"], 1e-9))
    print(
        json.dumps(
            {
                "maps": dict(maps),
                **rows,
                "tokens": clock["tokens"],
                "tokens_per_second": speed,
                "events_per_second": events,
            }
        )
    )


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
