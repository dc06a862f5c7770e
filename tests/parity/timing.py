"""The timing family of `tests/parity`: beat lists to red lines, and many passes to one list of beats.

A case is equal when all red lines are (time, length of a beat, meter). Where they differ, the way of the reference that ours replaces is written
down here: a difference is explained only if that way leads to the oracle, and if one of two fixes says what ours is better at:
'fitted': no more red lines than the reference, and in the mean square at least as close to the beats (lines stand on whole ms: 0.5 ms of grace).
'fewer lines': strictly fewer red lines, and of all beats that lie within its leniency of 20 ms in the reference, as many do in ours."""

from __future__ import annotations
import math
from dataclasses import dataclass, replace

import numpy as np

from mapperatorinator.timing.beats import Beats, distances, fit_beats
from mapperatorinator.events import Event, EventStream, EventType
from mapperatorinator.osu.beatmap import TimingPoint
from mapperatorinator.timing.votes import agree
from parity import guarded, oracles_of

KINDS = {"T": EventType.TIMING_POINT, "M": EventType.MEASURE, "B": EventType.BEAT}
LENIENCY = 0.0205  # s: its 20 ms, and half a millisecond because lines stand on whole ones


def stream(markers):
    "A TIMING stream of (kind, ms) pairs."
    return EventStream([Event(KINDS[k]) for k, _ in markers], [t for _, t in markers])


def line(text):
    "A red line as the file has it."
    time, beat, meter = text.split(",")[:3]
    return TimingPoint(float(time), float(beat), int(meter))


def same(ours, theirs):
    "Whether all red lines are equal."
    return len(ours) == len(theirs) and all(
        a.time == b.time and a.meter == b.meter and abs(a.beat_length - b.beat_length) < 1e-6
        for a, b in zip(ours, theirs)
    )


def better(ours, theirs, times):
    "What our lines are better at than theirs, or False."
    our_way = distances(ours, times)
    their_way = distances(theirs, times)
    rms = lambda d: float(np.sqrt(np.mean(d**2)))
    near = lambda d: int((d <= LENIENCY).sum())
    if len(ours) <= len(theirs) and rms(our_way) <= rms(their_way) + 0.0005:
        return "fitted"
    return "fewer lines" if len(ours) < len(theirs) and near(our_way) >= near(their_way) else False


def compare(ours, theirs, markers, leniency):
    "True, the name of the fix that explains the difference, or False."
    if same(ours, theirs):
        return True
    return same(raw_lines(markers, leniency), theirs) and better(
        ours, theirs, np.array([t for _, t in markers]) / 1000
    )


# --- the reference's own way from beats to lines -----------------------------------------------------------------------


@dataclass
class Marker:
    "A beat, a downbeat or the start of a tempo, and how many beats lie before it."

    time: int  # ms
    bar: bool
    start: bool
    beats: float

    @classmethod
    def of(cls, kind, time):
        return cls(time, kind == "M", kind == "T", float(kind != "T"))


def ladder(beat):  # ms
    "The lengths of a beat that a person would write, coarse first."
    bpm = 60000 / beat
    return [
        60000 / v
        for v in (
            round(bpm),
            round(2 * bpm) / 2,
            round(10 * bpm) / 10,
            round(100 * bpm) / 100,
            round(1000 * bpm) / 1000,
        )
        if v
    ]


def offs(markers, start, beat):
    "ms by which markers miss beats counted from a start."
    return np.array([m.time for m in markers]) - start - beat * np.cumsum([m.beats for m in markers])


def fitted(span, beats, leniency=0):
    "A length of a beat for so many beats in a span."
    if not beats or not span or 60000 * beats / span < 1:
        return 1000.0
    return next((c for c in ladder(span / beats) if abs(span - c * beats) <= leniency), span / beats)


def straight(markers, start):
    return fitted(markers[-1].time - start, sum(m.beats for m in markers))  # through the last marker


@dataclass
class Red:
    "A red line that can be changed."

    time: int  # ms
    beat_length: float  # ms
    meter: int


class RawLines:
    "Red lines on raw beats, a greedy walk."

    def __init__(self, markers, leniency):
        self.markers = sorted(markers, key=lambda m: m.time)
        self.leniency = leniency
        self.lines = []
        for m in self.markers:
            if m.start:
                self.add(m.time)
        if not self.lines and self.markers:
            self.add(self.markers[0].time)

    def add(self, time, **said):
        "A line, or what is said of those within 2 ms."
        on = [p for p in self.lines if math.isclose(p.time / 1000, time / 1000, abs_tol=0.002)]
        if not on:
            before = max(
                (p for p in self.lines if p.time < time),
                key=lambda p: p.time,
                default=Red(time, 1000.0, said.get("meter", 4)),
            )
            self.lines.append(replace(before, time=time))
            on = self.lines[-1:]
        for p in on:  # a meter beside a tempo counts only for a line that has none before it
            p.beat_length = said.get("beat_length", p.beat_length)
            if "beat_length" not in said:
                p.meter = said.get("meter", p.meter)
        self.lines.sort(key=lambda p: p.time)

    def at(self, time):
        return max((p for p in self.lines if p.time <= time), key=lambda p: p.time, default=self.lines[0])

    def human(self, beat, markers, start):  # the first of the ladder with all markers near
        return (
            next((c for c in ladder(beat) if np.abs(offs(markers, start, c)).max() <= self.leniency), beat)
            if 0 < beat <= 60000
            else beat
        )

    def meters(self):
        "A line wherever a bar is longer or shorter than the one before."
        n = 0
        last = self.markers[0].time if self.markers else 0
        for m in self.markers:
            red = self.at(m.time - 1)
            if m.start:
                n, last = 0, m.time
                continue
            if m.time == red.time:
                continue
            n += 1
            if not m.bar:
                continue
            if red.meter != n and last <= red.time:
                red.meter = n
            elif red.meter != n:
                self.add(last, meter=n)
            n, last = 0, m.time

    def split(self, some, red, mark):
        "A second line where both sides are straightest: its beat, and how many beats of a bar are over there."

        def loss(part, start):
            return float(np.mean(offs(part, start, straight(part, start)) ** 2))

        places = [i for i in range(1, len(some)) if i == len(some) - 1 or some[i - 1].bar]
        i = min(places, key=lambda i: loss(some[:i], red.time) + loss(some[i:], some[i - 1].time))
        start = some[i - 1].time
        rest = some[i:]
        if i < len(some) - 1:
            red.beat_length = self.human(straight(some[:i], red.time), some[:i], red.time)
        beat = fitted(mark.time - start, sum(m.beats for m in rest), self.leniency)
        self.add(start, beat_length=beat)
        return beat, next((k for k, m in enumerate(reversed(rest[:-1])) if m.bar), len(rest) - 1)

    def tempos(self):
        "A tempo for every line, and a line wherever one beat is further off than the leniency."
        n, last = 0, 1000.0
        for m in self.markers:
            red = self.at(m.time - 1)
            some = [x for x in self.markers if red.time + 1 <= x.time < m.time] + [m]
            if red.time == m.time or (not m.beats and len(some) > 1):
                n = 0
                continue
            if not m.beats:
                raw = (m.time - red.time) / last
                m.beats = min((round(raw), 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16), key=lambda v: abs(v - raw))
            beat = straight(some, red.time)
            if np.abs(offs(some, red.time, beat)).max() <= self.leniency:
                beat = red.beat_length = self.human(beat, some, red.time)
            elif len(some) > 1:
                beat, n = self.split(some, red, m)
            last = beat
            n = n + 1
            red = self.at(m.time)
            if red.time == m.time:
                n = 0
            if m.bar and n % red.meter:
                self.add(m.time, beat_length=red.beat_length, meter=red.meter)
            if m.bar:
                n = 0


def raw_lines(markers, leniency):  # (kind, ms) pairs
    "Red lines as the reference draws them."
    made = RawLines([Marker.of(*m) for m in markers], leniency)
    made.meters()
    made.tempos()
    return made.lines


# --- the cases ---------------------------------------------------------------------------------------------------------


def beat_rows(case):
    "The red lines of a list of beats, both leniencies."
    ours = fit_beats(Beats.of(stream(case["markers"])))
    for name, leniency in (("L20", 20), ("L3", 3)):
        if name in case:
            yield (
                name,
                "red lines of beats",
                compare(ours, [line(x) for x in case[name]], case["markers"], leniency),
            )


def vote_rows(case):
    "The beats of many passes."
    beats = agree([stream(p) for p in case["iterations"]], case["num_ms"], case["threshold"])
    kinds = np.where(beats.starts, "T", np.where(beats.bars, "M", "B"))
    yield (
        "-",
        "beats of votes",
        [[str(k), round(t * 1000)] for k, t in zip(kinds, beats.times)] == case["out"],
    )


def timing(folder):
    "All cases of the family."
    oracle = oracles_of(folder)
    for i, case in enumerate(oracle.get("generate_timing", [])):
        yield from guarded(f"beats {i}", beat_rows(case))
    for i, case in enumerate(oracle.get("super_timing", [])):
        yield from guarded(f"votes {i}", vote_rows(case))
