"""The timing family of `parity.py`: beat lists to red lines, and many passes to one list of beats.

A case is equal when all red lines are (time, length of a beat, meter). Where they differ, one of two fixes must explain it, or nothing does:
'fitted': no more red lines than the reference, and in the mean square at least as close to the beats (lines stand on whole ms: 0.5 ms of grace).
'fewer lines': strictly fewer red lines, and of all beats that lie within its leniency of 20 ms in the reference, as many do in ours."""
from __future__ import annotations
import json

import numpy as np

from mapperatorinator.beats import Beats, distances, fit_beats
from mapperatorinator.events import Event, EventStream, EventType
from mapperatorinator.osu.beatmap import TimingPoint
from mapperatorinator.votes import agree

KINDS = {"T": EventType.TIMING_POINT, "M": EventType.MEASURE, "B": EventType.BEAT}
LENIENCY = .0205 # s: its 20 ms, and half a millisecond because lines stand on whole ones

def stream(markers):
    "A TIMING stream of (kind, ms) pairs."
    return EventStream([Event(KINDS[k]) for k, _ in markers], [t for _, t in markers])

def line(text):
    "A red line as the file has it."
    time, beat, meter = text.split(",")[:3]
    return TimingPoint(float(time), float(beat), int(meter))

def same(ours, theirs):
    "Whether all red lines are equal."
    return len(ours) == len(theirs) and all(a.time == b.time and a.meter == b.meter and abs(a.beat_length - b.beat_length) < 1e-6
                                            for a, b in zip(ours, theirs))

def compare(ours, theirs, times):
    "True, the name of the fix that explains the difference, or False."
    if same(ours, theirs): return True
    our_way, their_way = distances(ours, times), distances(theirs, times)
    rms = lambda d: float(np.sqrt(np.mean(d**2)))
    near = lambda d: int((d <= LENIENCY).sum())
    if len(ours) <= len(theirs) and rms(our_way) <= rms(their_way) + .0005: return "fitted"
    return "fewer lines" if len(ours) < len(theirs) and near(our_way) >= near(their_way) else False

def timing(folder):
    "All cases of the family."
    oracle = json.loads((folder/"postprocess_timing_oracles.json").read_text(encoding="utf-8"))
    for i, case in enumerate(oracle["generate_timing"]):
        ours, times = fit_beats(Beats.of(stream(case["markers"]))), np.array([t for _, t in case["markers"]]) / 1000
        for leniency in ("L20", "L3"):
            yield f"beats {i}", leniency, "red lines of beats", compare(ours, [line(x) for x in case[leniency]], times)
    for i, case in enumerate(oracle["super_timing"]):
        beats = agree([stream(p) for p in case["iterations"]], case["num_ms"], case["threshold"])
        kinds = np.where(beats.starts, "T", np.where(beats.bars, "M", "B"))
        yield f"votes {i}", "-", "beats of votes", [[str(k), round(t * 1000)] for k, t in zip(kinds, beats.times)] == case["out"]
