"""The postprocess family of `parity.py`: resnapping, timing lines, slider paths and whole conversions.

Where ours differs on purpose, the rule of the reference that a fix replaced is written down here and can be put back. A difference counts as
explained when ours with all rules put back is the oracle to the last digit, and with none of them is what the package makes; its names are the
rules that cannot be left out. The names are told in nbs/explanations/parity_with_the_reference.ipynb."""
from __future__ import annotations
import json
import math
from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from mapperatorinator.config import CompatConfig, LanguageConfig
from mapperatorinator.events import GROUP_TYPES, NON_TIMED, Event, EventStream, EventType
from mapperatorinator.osu.beatmap import Slider, Spinner, TimingPoint, format_hit_object, format_timing_point
from mapperatorinator.osu.curves import SliderPath
from mapperatorinator.osu.timing import Timing, TimingBuilder
from mapperatorinator.postprocess import lead_in, snap_overlaps
from mapperatorinator.unparse import Assembler, curve_of, event_times, groups

def explain(ours, model, rules, want):
    "True when equal; the names of the fixes that explain a difference; False when none do. `model(rules)`: ours with rules put back."
    if model(frozenset()) != ours: return False
    if ours == want: return True
    needed = frozenset(rules)
    if model(needed) != want: return False
    for rule in rules:
        if model(needed - {rule}) == want: needed -= {rule}
    return " + ".join(sorted(needed))

# --- resnap --------------------------------------------------------------------------------------------------------------

COARSER = {1: (), 4: (2,), 6: (2, 3), 8: (4,), 9: (3,), 10: (2, 5), 12: (4, 6), 14: (2, 7), 15: (3, 5), 16: (8,)}
SNAP_RULES = ("notes on a coarser tick stay", "no jump beyond 20 ms", "a section ends at the next red line", "ticks are fractions")

def ticks(red, time, d):
    "Ticks around a time, exact."
    step = red.beat_length / d
    rest = (time - red.time) % step
    return [time - rest + k * step for k in (-1, 0, 1, 2)]

def candidates(red, time, d, rules):
    "Ticks of a divisor; by the rules without those of coarser divisors, found by comparing cut numbers."
    cut = int if "ticks are fractions" in rules else lambda t: t
    found = {cut(t) for t in ticks(red, time, d)}
    if "notes on a coarser tick stay" not in rules: return found
    coarse = [cut(t) for g in COARSER.get(d, (1,)) for t in ticks(red, time, g)]
    return found - set(coarse) if cut is int else {t for t in found if all(abs(t - c) > 1e-6 for c in coarse)}

def reach(timing, time, d, rules):
    "Candidates of the section and of its neighbours."
    red, after = timing.redline_at(time), timing.next_redline(time)
    low, high = round(red.time), after.time if after else math.inf
    if "a section ends at the next red line" not in rules:
        floor = low if red is not timing.red[0] else -math.inf
        return {min(max(t, floor), high) for t in candidates(red, time, d, rules)}
    before = timing.redline_at(low - 1)
    out = {t for t in candidates(red, time, d, rules) if low - 20 <= t <= high + 20}
    out |= {t for t in candidates(before, time, d, rules) if t <= low + 20}
    return out | ({t for t in candidates(after, time, d, rules) if t >= high - 20} if after else set())

def snapped(timing, time, d, rules):
    "A resnapped time."
    if not (found := reach(timing, time, d, rules)): return time
    best = min(found, key=lambda t: abs(t - time))
    if "no jump beyond 20 ms" not in rules and abs(best - time) > 20: return time
    return int(best) if "ticks are fractions" in rules else time if abs(best - time) < 1 else math.floor(best + 1e-6)

def resnap_cases(data):
    for i, c in enumerate(data["resnap"]):
        timing = Timing([TimingPoint(*p) for p in c["timing"]])
        ours = timing.resnap(c["time"], c["divisor"])
        yield f"resnap {i}", "resnap", explain(ours, lambda rules: snapped(timing, c["time"], c["divisor"], rules), SNAP_RULES, c["out"])

# --- timing lines --------------------------------------------------------------------------------------------------------

LINE_RULES = ("velocities are exact", "a line only where something changes", "only the same millisecond is the same line",
              "a velocity outlives a red line", "red lines on the nearest millisecond", "words hold until the next word")

@dataclass(eq=False)
class Line:
    "A timing line that can be changed."
    time: float
    beat: float
    red: bool = True
    volume: int = 100
    index: int = -1
    kiai: bool = False
    meter: int = 4

    def says(self): return self.beat, self.meter, self.index, self.volume, self.red, self.kiai
    def state(self): return (1. if self.red else -100 / self.beat), self.volume, self.index, self.kiai
    def text(self): return format_timing_point(TimingPoint(math.floor(self.time), self.beat, self.meter, 2, self.index, self.volume, self.red, int(self.kiai)))

class Engine:
    "The reference's list of lines, changed word by word."
    def __init__(self, reds, rules): self.lines, self.rules = [Line(p.time, p.beat_length, index=p.sample_index) for p in reds], rules

    def same(self, line, time):
        if "only the same millisecond is the same line" not in self.rules: return line.time == time
        return math.isclose(line.time / 1000, time / 1000, abs_tol=.002)

    def at(self, time): # in force
        return next((l for l in reversed(self.lines) if l.time <= time), self.lines[0])

    def first_red(self, time): # moved back by whole bars, so that a line can follow it
        red = next(l for l in self.lines if l.red)
        bar = red.beat * red.meter
        red.time -= math.ceil(max(red.time - time, 0) / bar) * bar
        if "red lines on the nearest millisecond" not in self.rules: red.time = round(red.time)
        return red

    def put(self, time, what):
        "A change from a time on: sv, volume or kiai."
        on = [l for l in self.lines if self.same(l, time)]
        prev, created = on[-1] if on else max(reversed([l for l in self.lines if l.time < time]), key=lambda l: l.time, default=None), None
        if not on or ("sv" in what and all(l.red for l in on)):
            base = prev or self.first_red(time)
            created = replace(base, time=time, red=False, beat=-100. if base.red else base.beat)
            on.append(created)
        bias = 1e-10 if "velocities are exact" in self.rules else 0
        for l in on:
            if "sv" in what and not l.red: l.beat = -100 / what["sv"] + bias
            self.sound(l, what)
        if created and (prev is None or created.says() != prev.says()): self.lines.append(created)
        for l in self.lines:
            if l.time > time: self.sound(l, what)
        self.lines.sort(key=lambda l: (l.time, not l.red))

    def sound(self, line, what):
        if "volume" in what: line.volume = min(max(what["volume"], 0), 100); line.index = -1 if "sound bank of the line" in self.rules else line.index
        if "kiai" in what: line.kiai = what["kiai"]

    def say(self, words):
        "All changes, in the order said."
        if "words hold until the next word" not in self.rules: words = sorted(words, key=lambda w: w[0])
        for time, what in words:
            self.put(time, what)
            later = [l.time for l in self.lines if l.red and l.time > time]
            if "sv" in what and "a velocity outlives a red line" not in self.rules:
                for t in later: self.put(t, {"sv": what["sv"]})

    def texts(self):
        "The lines as written."
        red = next(i for i, l in enumerate(self.lines) if l.red)
        out = self.lines[red:]
        if "a line only where something changes" not in self.rules:
            near = lambda a, b: abs(a.state()[0] - b.state()[0]) < 1e-6 and a.state()[1:] == b.state()[1:]
            kept = []
            for l in out:
                if l.red or not near(l, kept[-1]): kept.append(l)
            out = kept
        return [near_line(l.text()) for l in out]

def near_line(text):
    "A timing line whose beat length is cut to 13 digits; the reference's bias of 1e-10 still shows."
    time, beat, rest = text.split(",", 2)
    return f"{time},{float(beat):.13g},{rest}"

def built(reds, words):
    "The lines that ours writes."
    builder = TimingBuilder(lead_in(reds, min((t for t, _ in words), default=math.inf)))
    for time, what in words: builder.set(time, **what)
    return [near_line(format_timing_point(p)) for p in builder.points()]

def engine_lines(reds, words, rules):
    engine = Engine(reds, rules)
    engine.say(words)
    return engine.texts()

def timing_change_cases(data):
    for i, c in enumerate(data["timing_change"]):
        reds = [TimingPoint(*p, sample_index=-1) for p in c["start"]]
        words = [(t, {kind: v}) for kind, t, v in c["ops"] if (kind, v) != ("sv", 0)]
        want = [near_line(l) for l in c["lines"]]
        yield f"timing_change {i}", "timing_change", explain(built(reds, words), lambda rules: engine_lines(reds, words, rules), LINE_RULES, want)

# --- slider paths --------------------------------------------------------------------------------------------------------

def walked(path, point, start=1.):
    "The reference's search for the progress of a point: it walks by differences and gives up."
    t, off = start, lambda t: math.dist(path.at(t), point)
    for _ in range(100):
        step = off(t) - off(t - 1e-4)
        t -= step
        if step == 0 or not 0 <= t <= 1: break
    return min(max(t, 0.), 1.)

def settles(path, point):
    "Whether the walk goes to the same place when its start is 1e-13 off; where it does not, the last bit decides."
    return close(walked(path, point), walked(path, point, 1 - 1e-13))

def nearest(path, point, theirs):
    "The fix's name when ours is at least as near as theirs, and theirs is where the walk goes."
    nearer = math.dist(path.at(path.progress_of(point)), point) <= math.dist(path.at(theirs), point) + 1e-9
    return nearer and (close(walked(path, point), theirs) or not settles(path, point)) and "nearest point of the path"

def close(a, b, tolerance=5e-7): return bool(np.allclose(a, b, rtol=0, atol=tolerance))

def path_cases(data):
    for i, c in enumerate(data["slider_path"]):
        kind, points, name = c["type"][0], [tuple(p) for p in c["points"]], f"slider_path {i}"
        path, (point, progress) = SliderPath(kind, points), c["progress_of"]
        yield name, "path", close(path.total, c["length"]) and len(path.vertices) == c["vertices"]
        yield name, "path position", all(close(path.at(float(t)), at) for t, *at in c["at"])
        yield name, "path progress", close(path.progress_of(point), progress) or nearest(path, point, progress)
        if "expected" in c:
            wanted, length, *end = c["expected"]
            cut = SliderPath(kind, points, wanted)
            yield name, "path of a length", close(cut.total, length) and close(cut.end, end)
