"""The postprocess family of `tests/parity`: resnapping, timing lines, slider paths and whole conversions.

Where ours differs on purpose, the rule of the reference that a fix replaced is written down here and can be put back. A difference counts as
explained when ours with all rules put back is the oracle to the last digit, and with none of them is what the package makes; its names are the
rules that cannot be left out. The names are told in nbs/explanations/parity_with_the_reference.ipynb."""

from __future__ import annotations
import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from mapperatorinator.config import LanguageConfig
from mapperatorinator.events import Event, EventStream, EventType
from mapperatorinator.groups import event_times, read_groups
from mapperatorinator.osu.beatmap import (
    Slider,
    TimingPoint,
    format_hit_object,
    format_timing_point,
    parse_hit_object,
)
from mapperatorinator.osu.curves import SliderPath
from mapperatorinator.osu.timing import Timing, TimingBuilder
from mapperatorinator.postprocess import lead_in, snap_overlaps
from mapperatorinator.unparse import SLACK, Assembler, Shape, curve_of, stretched, to_hit_objects, zigzag
from parity import guarded, oracles_of


def spared(model, want, needed, idle):
    "The needed rules that are left when those of `idle` that change nothing are taken out: all at once, else half by half."
    if model(needed - set(idle)) == want:
        return needed - set(idle)
    if len(idle) == 1:
        return needed
    needed = spared(model, want, needed, idle[: len(idle) // 2])
    return spared(model, want, needed, idle[len(idle) // 2 :])


def explain(ours, model, rules, want):
    "True when equal; the names of the fixes that explain a difference; False when none do. `model(rules)`: ours with rules put back."
    if model(frozenset()) != ours:
        return False
    if ours == want:
        return True
    if model(frozenset(rules)) != want:
        return False
    return " + ".join(sorted(spared(model, want, frozenset(rules), rules)))


# --- resnap --------------------------------------------------------------------------------------------------------------

COARSER = {
    1: (),
    4: (2,),
    6: (2, 3),
    8: (4,),
    9: (3,),
    10: (2, 5),
    12: (4, 6),
    14: (2, 7),
    15: (3, 5),
    16: (8,),
}
SNAP_RULES = (
    "notes on a coarser tick stay",
    "no jump beyond 20 ms",
    "a section ends at the next red line",
    "ticks are fractions",
)


def ticks(red, time, d):
    "Ticks around a time, exact."
    step = red.beat_length / d
    rest = (time - red.time) % step
    return [time - rest + k * step for k in (-1, 0, 1, 2)]


def candidates(red, time, d, rules):
    "Ticks of a divisor; by the rules without those of coarser divisors, found by comparing cut numbers."
    cut = int if "ticks are fractions" in rules else lambda t: t
    found = {cut(t) for t in ticks(red, time, d)}
    if "notes on a coarser tick stay" not in rules:
        return found
    coarse = [cut(t) for g in COARSER.get(d, (1,)) for t in ticks(red, time, g)]
    return found - set(coarse) if cut is int else {t for t in found if all(abs(t - c) > 1e-6 for c in coarse)}


def reach(timing, time, d, rules):
    "Candidates of the section and of its neighbours."
    red = timing.redline_at(time)
    after = timing.next_redline(time)
    low = round(red.time)
    high = after.time if after else math.inf
    if "a section ends at the next red line" not in rules:
        floor = low if red is not timing.red[0] else -math.inf
        return {min(max(t, floor), high) for t in candidates(red, time, d, rules)} | (
            {high} if after else set()
        )
    before = timing.redline_at(low - 1)
    out = {t for t in candidates(red, time, d, rules) if low - 20 <= t <= high + 20}
    out |= {t for t in candidates(before, time, d, rules) if t <= low + 20}
    return out | ({t for t in candidates(after, time, d, rules) if t >= high - 20} if after else set())


def snapped(timing, time, d, rules):
    "A resnapped time."
    if not (found := reach(timing, time, d, rules)):
        return time
    best = min(found, key=lambda t: abs(t - time))
    if "no jump beyond 20 ms" not in rules and abs(best - time) > 20:
        return time
    return (
        int(best)
        if "ticks are fractions" in rules
        else time
        if abs(best - time) < 1
        else math.floor(best + 1e-6)
    )


def resnap_rows(c):
    timing = Timing([TimingPoint(*p) for p in c["timing"]])
    ours = timing.resnap(c["time"], c["divisor"])
    yield (
        "-",
        "resnap",
        explain(ours, lambda rules: snapped(timing, c["time"], c["divisor"], rules), SNAP_RULES, c["out"]),
    )


# --- timing lines --------------------------------------------------------------------------------------------------------

LINE_RULES = (
    "velocities are exact",
    "a line only where something changes",
    "only the same millisecond is the same line",
    "a velocity outlives a red line",
    "red lines on the nearest millisecond",
    "words hold until the next word",
)


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

    def says(self):
        return self.beat, self.meter, self.index, self.volume, self.red, self.kiai

    def state(self):
        return (1.0 if self.red else -100 / self.beat), self.volume, self.index, self.kiai

    def text(self):
        return format_timing_point(
            TimingPoint(
                math.floor(self.time),
                self.beat,
                self.meter,
                2,
                self.index,
                self.volume,
                self.red,
                int(self.kiai),
            )
        )


class Engine:
    "The reference's list of lines, changed word by word."

    def __init__(self, reds, rules):
        self.lines = [Line(p.time, p.beat_length, index=p.sample_index) for p in reds]
        self.rules = rules

    def same(self, line, time):
        if "only the same millisecond is the same line" not in self.rules:
            return line.time == time
        return math.isclose(line.time / 1000, time / 1000, abs_tol=0.002)

    def at(self, time):  # in force
        return next((l for l in reversed(self.lines) if l.time <= time), self.lines[0])

    def first_red(self, time):  # moved back by whole bars, so that a line can follow it
        red = next(l for l in self.lines if l.red)
        bar = red.beat * red.meter
        red.time -= math.ceil(max(red.time - time, 0) / bar) * bar
        if "red lines on the nearest millisecond" not in self.rules:
            red.time = round(red.time)
        return red

    def put(self, time, what):
        "A change from a time on: sv, volume or kiai."
        on = [l for l in self.lines if self.same(l, time)]
        prev = (
            on[-1]
            if on
            else max(reversed([l for l in self.lines if l.time < time]), key=lambda l: l.time, default=None)
        )
        created = None
        if not on or ("sv" in what and all(l.red for l in on)):
            base = prev or self.first_red(time)
            created = replace(base, time=time, red=False, beat=-100.0 if base.red else base.beat)
            on.append(created)
        bias = 1e-10 if "velocities are exact" in self.rules else 0
        for l in on:
            if "sv" in what and not l.red:
                l.beat = -100 / what["sv"] + bias
            self.sound(l, what)
        if created and (prev is None or created.says() != prev.says()):
            self.lines.append(created)
        for l in self.lines:
            if l.time > time:
                self.sound(l, what)
        self.lines.sort(key=lambda l: (l.time, not l.red))

    def sound(self, line, what):
        if "volume" in what:
            line.volume = min(max(what["volume"], 0), 100)
            line.index = -1 if "the line decides the sound bank" in self.rules else line.index
        if "kiai" in what:
            line.kiai = what["kiai"]

    def say(self, words):
        "All changes, in the order said."
        if "words hold until the next word" not in self.rules:
            words = sorted(words, key=lambda w: w[0])
        for time, what in words:
            self.put(time, what)
            later = [l.time for l in self.lines if l.red and l.time > time]
            if "sv" in what and "a velocity outlives a red line" not in self.rules:
                for t in later:
                    self.put(t, {"sv": what["sv"]})

    def texts(self):
        "The lines as written."
        red = next(i for i, l in enumerate(self.lines) if l.red)
        out = self.lines[red:]
        if "a line only where something changes" not in self.rules:
            near = lambda a, b: abs(a.state()[0] - b.state()[0]) < 1e-6 and a.state()[1:] == b.state()[1:]
            kept = []
            for l in out:
                if l.red or not near(l, kept[-1]):
                    kept.append(l)
            out = kept
        return [near_line(l.text()) for l in out]


def near_line(text):
    "A timing line whose beat length is cut to 13 digits; the reference's bias of 1e-10 still shows."
    time, beat, rest = text.split(",", 2)
    return f"{time},{float(beat):.13g},{rest}"


def built(reds, words):
    "The lines that ours writes."
    builder = TimingBuilder(lead_in(reds, min((t for t, _ in words), default=math.inf)))
    for time, what in words:
        builder.set(time, **what)
    return [near_line(format_timing_point(p)) for p in builder.points()]


def engine_lines(reds, words, rules):
    engine = Engine(reds, rules)
    engine.say(words)
    return engine.texts()


def timing_change_rows(c):
    reds = [TimingPoint(*p, sample_index=-1) for p in c["start"]]
    words = [(t, {kind: v}) for kind, t, v in c["ops"] if (kind, v) != ("sv", 0)]
    want = [near_line(l) for l in c["lines"]]
    yield (
        "-",
        "timing_change",
        explain(built(reds, words), lambda rules: engine_lines(reds, words, rules), LINE_RULES, want),
    )


# --- slider paths --------------------------------------------------------------------------------------------------------


def walked(path, point, start=1.0):
    "The reference's search for the progress of a point: it walks by differences and gives up."
    t, off = start, lambda t: math.dist(path.at(t), point)
    for _ in range(100):
        step = off(t) - off(t - 1e-4)
        t -= step
        if step == 0 or not 0 <= t <= 1:
            break
    return min(max(t, 0.0), 1.0)


def settles(path, point):
    "Whether the walk goes to the same place when its start is 1e-13 off; where it does not, the last bit decides."
    return close(walked(path, point), walked(path, point, 1 - 1e-13))


def nearest(path, point, theirs):
    "The fix's name when ours is at least as near as theirs, and theirs is where the walk goes."
    nearer = math.dist(path.at(path.progress_of(point)), point) <= math.dist(path.at(theirs), point) + 1e-9
    return (
        nearer
        and (close(walked(path, point), theirs) or not settles(path, point))
        and "nearest point of the path"
    )


def close(a, b, tolerance=5e-7):
    return bool(np.allclose(a, b, rtol=0, atol=tolerance))


def path_rows(c):
    kind = c["type"][0]
    points = [tuple(p) for p in c["points"]]
    path = SliderPath(kind, points)
    yield "-", "path", close(path.total, c["length"]) and len(path.vertices) == c["vertices"]
    yield "-", "path position", all(close(path.at(float(t)), at) for t, *at in c["at"])
    if "progress_of" in c:
        point, progress = c["progress_of"]
        yield "-", "path progress", close(path.progress_of(point), progress) or nearest(path, point, progress)
    if "expected" in c:
        wanted, length, *end = c["expected"]
        cut = SliderPath(kind, points, wanted)
        yield "-", "path of a length", close(cut.total, length) and close(cut.end, end)


# --- conversions ---------------------------------------------------------------------------------------------------------

_E = EventType
OBJECT_RULES = (
    "the line decides the sound bank",
    "holds pair by column",
    "objects in order of time",
    "straight sliders are lines",
    "arcs have three points",
    "velocities the game has",
    "a path a little short is drawn on",
    "nearest point of the path",
    "sounds sized to the slides",
    "no slider without a length",
    "nothing ends before it starts",
    "anchors stand at their time",
    "stacks only where places matter",
    "an end goes to the shape it fits",
    "the median counts milliseconds",
    "bars before the first object",
)
RULES = (*LINE_RULES, *OBJECT_RULES)


class Reference(Assembler):
    "Ours with rules of the reference put back."

    def __init__(self, timing, slider_multiplier, language, mode, rules):
        self.rules = rules
        self.now = 0
        self.live = Engine(timing.red, rules | {"words hold until the next word"})
        self.tracked = 1.0
        super().__init__(timing, slider_multiplier, language, mode)

    @property
    def sv(self):  # in force at the object in hand
        if "a velocity outlives a red line" not in self.rules:
            return self.tracked
        line = self.live.at(self.now)
        return 1.0 if line.red else -100 / line.beat

    @sv.setter
    def sv(self, v):
        self.tracked = -100 / (-100 / v + (1e-10 if "velocities are exact" in self.rules else 0))

    def change(self, time, **what):
        if what.get("sv") == 0:
            return
        super().change(time, **what)
        self.live.put(round(time), what)

    def sample(self, g, volume=False):
        normal, addition, bank, rest = super().sample(g, volume).split(":", 3)
        return f"{normal}:{addition}:{-1 if 'the line decides the sound bank' in self.rules else bank}:{rest}"

    def end(self, g, key):
        unchecked = "nothing ends before it starts" in self.rules and key.split(" ")[0] in (
            "spinner",
            "denden",
            "hold",
        )
        return self.open.pop(key, None) if unchecked else super().end(g, key)

    def allowed(self, sv):
        return sv if "velocities the game has" in self.rules else min(max(sv, 0.1), 10)

    def drumroll(self, g):
        if (s := self.end(g, "drumroll")) is None:
            return
        self.start_of(s)
        self.now = t = round(s.time)
        length = self.allowed(self.sv) * (round(g.time) - t) * self.velocity(t)
        points = [(0, 192), *zigzag(length)]
        self.add(
            Slider(
                0,
                192,
                t,
                hitsound=s.sound()[0],
                sample=self.sample(s),
                curve="L",
                points=points,
                length=length,
                edge_sounds=[0, 0],
                edge_additions=[(0, 0)] * 2,
            )
        )

    def curve(self, head, anchors):
        "Letter and points; the reference goes by the first anchor and knows no lines."
        letter, points = curve_of(head, anchors)
        kinds = [a[0] for a in anchors[:-1]]
        if letter == "L" and "straight sliders are lines" in self.rules:
            return "B", [points[0], *(p for p in points[1:-1] for _ in range(2)), points[-1]]
        if kinds and kinds[0] is _E.PERFECT_ANCHOR and "arcs have three points" in self.rules:
            letter = "P"
        return letter, points

    def slider_head(self, g):
        if "an end goes to the shape it fits" in self.rules:
            self.sliders, self.lasts = [], []
        super().slider_head(g)

    def take_last(self, head, end):
        if "an end goes to the shape it fits" not in self.rules:
            return super().take_last(head, end)
        return self.lasts[-1] if self.lasts and self.lasts[-1].time > head.time else None

    def slider(self, g):
        if (found := self.take_slider(g)) is None:
            return
        head = found.head
        last = self.take_last(found.head, g)
        if not self.sliders:
            self.lasts = []
        if last is None or not found.anchors or round(g.time) <= round(head.time):
            return
        self.now = round(head.time)
        slides = max(round((g.time - head.time) / (last.time - head.time)), 1)
        letter, pts = self.curve(head, found.anchors)
        if SliderPath(letter, pts).natural_length < 1e-3 and "no slider without a length" not in self.rules:
            return self.circle(head)
        shape = self.shape(letter, pts, head, g, (g.time - head.time) / slides)
        if shape is not None:
            self.add_slider(shape, head, last, g, slides)

    def shape(self, letter, points, head, end, span):
        natural = SliderPath(letter, points).natural_length
        unit = self.velocity(round(head.time)) * span
        sv = head.scroll_speed if self.language.add_sv else None
        if not sv:
            sv = self.human(SliderPath(letter, points), unit, head, end)
        if sv is None:
            return None
        sv = self.allowed(sv)
        if sv * unit > 1.5 * natural:
            sv = self.allowed(round(20 * natural / unit) / 20)
        length = sv * unit
        slack = 1 if "a path a little short is drawn on" in self.rules else SLACK
        if length > natural * slack + 1e-4:
            points = stretched(points, length / natural)
        return Shape(letter, points, length, sv)

    def human(self, path, unit, head, end):
        "The velocity of a slider that does not say it; None for one that the reference skips."
        share = (
            walked(path, (end.x, end.y))
            if "nearest point of the path" in self.rules
            else path.progress_of((end.x, end.y))
        )
        natural = path.natural_length
        if "no slider without a length" in self.rules and natural * share < 1e-4:
            return None
        return self.human_velocity(natural * (share or 1) / unit, head.new_combo)

    def edge_sounds(self, head, last, end, slides):
        if "sounds sized to the slides" not in self.rules:
            return super().edge_sounds(head, last, end, slides)
        return [*head.sounds, *last.sounds[1:], *end.sounds]

    def edge_volumes(self, head, last, end, slides):
        if "sounds sized to the slides" not in self.rules:
            return super().edge_volumes(head, last, end, slides)
        volumes = [*head.volumes, *last.volumes[1:], *end.volumes]
        body = last.volumes[0] if last.volumes else None
        span = (end.time - head.time) / slides
        for i, v in enumerate(volumes[: slides + 1]):
            at = round(head.time + i * span)
            self.change(at, volume=v)
            if body is not None and body != v and i < slides and span > 6:
                self.change(at + 6, volume=body)


def spoken(case):
    "Language, events and red lines of a case."
    language = LanguageConfig(
        types_first=case["types_first"],
        add_sv=case["add_sv"],
        add_positions=case["add_positions"],
        position_precision=1,
        mania_bpm_normalized_scroll_speed=case["mania_bpm_normalized_scroll_speed"],
        position_refinement=None,
        slider_version=1,
    )
    events = [Event(_E[kind], value) for kind, value in case["events"]]
    return (
        language,
        EventStream(events, event_times(events, language.types_first)),
        [TimingPoint(*p) for p in case["timing"]],
    )


def parts_of(case, language, stream, rules):
    "Groups with their columns, stacked."
    parts = read_groups(stream, language)
    for g in parts:
        g.column = None if "holds pair by column" in rules or g.x is None else int(g.x)
    if case["snap_overlaps"] and (case["mode"] in (0, 2) or "stacks only where places matter" in rules):
        stack(parts, stream, rules)
    return parts


def stack(parts, stream, rules):
    "Snap overlaps; by the rules with anchors at time 0."
    times = [g.time for g in parts]
    if "anchors stand at their time" in rules:
        for g in parts:
            if all(e.type is not _E.TIME_SHIFT for e in stream.events[g.first : g.last + 1]):
                g.time = 0
    snap_overlaps(parts)
    for g, t in zip(parts, times):
        g.time = t


def converted(case, rules):
    "Lines of objects and of timing with rules of the reference put back."
    language, stream, reds = spoken(case)
    bank = -1 if "the line decides the sound bank" in rules else 0
    timing = Timing([replace(p, sample_index=bank) for p in reds])
    parts = parts_of(case, language, stream, rules)
    a = Reference(timing, case["slider_multiplier"], language, case["mode"], rules)
    end = max((g.time for g in parts), default=0)
    median = (
        timing.median_beat_length(end, "the median counts milliseconds" in rules) if case["mode"] == 3 else 0
    )
    for g in parts:
        a.read(g, median)
    a.say_again(median)
    objects = (
        a.out.objects if "objects in order of time" in rules else sorted(a.out.objects, key=lambda o: o.time)
    )
    engine = Engine(timing.red, rules)
    if "bars before the first object" not in rules and objects:
        engine.first_red(min(o.time for o in objects))
    engine.say(a.out.changes)
    return [near_object(o) for o in objects], engine.texts()


def made(case):
    "The same from the package."
    language, stream, reds = spoken(case)
    found = to_hit_objects(
        parts_of(case, language, stream, frozenset()),
        Timing(reds),
        case["slider_multiplier"],
        language,
        case["mode"],
    )
    first = min([o.time for o in found.objects] + [t for t, _ in found.changes], default=0)
    lines = found.apply(TimingBuilder(lead_in(reds, first))).points()
    return [near_object(o) for o in found.objects], [near_line(format_timing_point(p)) for p in lines]


def near_object(o):
    "An object line whose length is cut to 9 digits."
    return format_hit_object(replace(o, length=float(f"{o.length:.9g}")) if isinstance(o, Slider) else o)


def convert_rows(case):
    wanted = (
        [near_object(parse_hit_object(l)) for l in case["object_lines"]],
        [near_line(l) for l in case["timing_lines"]],
    )
    model = lru_cache(maxsize=None)(lambda rules: converted(case, rules))
    ours = made(case)
    mode = ("standard", "taiko", "catch", "mania")[case["mode"]]
    for j, what in enumerate(("objects", "lines")):
        yield "-", f"{mode} {what}", explain(ours[j], lambda rules: model(rules)[j], RULES, wanted[j])


# --- the family ----------------------------------------------------------------------------------------------------------

KINDS = {
    "resnap": resnap_rows,
    "timing_change": timing_change_rows,
    "slider_path": path_rows,
    "convert": convert_rows,
}  # key of the oracles -> rows of a case


def postprocess(folder):
    "All cases of the family: (name, version, what, result)."
    yield from cases_of(oracles_of(folder))


def cases_of(data):
    "The cases of oracles laid out as in the fixtures."
    for kind, rows in KINDS.items():
        for i, case in enumerate(data.get(kind, [])):
            yield from guarded(f"{kind} {i}", rows(case))
