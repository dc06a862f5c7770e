"Parse, tokenizer and prompt against lists measured once on the published language (inline); more of them in test_parity.py."

import json
import math
import subprocess
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parity import oracles_language as O
from mapperatorinator.config import CompatConfig, LanguageConfig, compose, preset_names
from mapperatorinator.core import UserError
from mapperatorinator.events import ContextType as C, EventStream, EventType as E, read_events
from mapperatorinator.groups import event_times, read_groups
from mapperatorinator.osu.beatmap import Beatmap, Slider
from mapperatorinator.osu.curves import end_point
from mapperatorinator.osu.timing import Timing, TimingBuilder
from mapperatorinator.parse import Parser, hold_note_ratio
from mapperatorinator.prompt import IGNORE, Context, Metadata, Span, build, training_example
from mapperatorinator.tokenizer import OPEN, SOS, Tokenizer, known_descriptors
from mapperatorinator.unparse import to_hit_objects
from corpus.toys import toy_corpus

BODY = {"std": (0, O.STD, "4.2", "1.6"), "taiko": (1, O.TAIKO, "5", "1.4"), "mania": (3, O.MANIA, "4", "1.4")}


def osu(mode, body, cs="4", sm="1.4"):
    "A map with the usual header."
    return Beatmap.parse(
        f"osu file format v14\n\n[General]\nAudioFilename: a.mp3\nMode: {mode}\n\n[Metadata]\nTitle:T\nArtist:A\nCreator:C\n"
        f"Version:V\nBeatmapID:123\nBeatmapSetID:45\n\n[Difficulty]\nHPDrainRate:5\nCircleSize:{cs}\nOverallDifficulty:8\n"
        f"ApproachRate:9\nSliderMultiplier:{sm}\nSliderTickRate:1\n\n{body}\n"
    )


def toy(name):
    return osu(*BODY[name])


def there(m, c):
    "Events of a map, and its objects after the trip through tokens, resnapped."
    tok = Tokenizer.from_config(c)
    timing = Timing.of(m)
    said = Parser(c).map_events(m)
    back = tok.decode_ids(tok.encode_stream(said))
    gs = read_groups(EventStream(back, event_times(back, c.types_first)), c, int(m.cs))
    for g in gs:
        g.time = timing.resnap(g.time, g.snap) if g.snap else g.time
    return said, to_hit_objects(gs, timing, m.slider_multiplier, c, m.mode).objects


def small(objects, points="0,500,4,2,0,70,1,0", mode=0, cs="4"):
    return osu(mode, f"[TimingPoints]\n{points}\n\n[HitObjects]\n{objects}", cs)


@cache
def lang(version):
    return compose(LanguageConfig, preset=version)


@cache
def tokens(version):
    return Tokenizer.from_config(lang(version), descriptors=146 if "v32" in version else 0)


def ints(text):
    return [int(i) for i in text.replace(",", " ").split()]


def events(version, m, **k):
    return Parser(lang(version)).map_events(m, **k)


def v32(objects, points="0,500,4,2,0,70,1,0", **k):
    return str(events("v32", small(objects, points, **k)))


# --- events and ids of the three maps ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "version,name",
    [("v32", "std"), ("v28", "std"), ("v28", "taiko"), ("v28", "mania"), ("v32", "taiko"), ("v32", "mania")],
)
def test_events_and_ids(version, name):
    s = events(version, toy(name))
    key = f"{version}_{name}".upper()
    assert str(s) == getattr(O, key)
    assert tokens(version).encode_stream(s) == ints(getattr(O, f"{key}_IDS"))


def test_event_times():
    assert events("v28", toy("std")).times == ints(O.V28_STD_TIMES)


def test_a_known_time_stays():
    "Anchors at the end reach out to what is to come; what is added later does not move them again."
    first = read_events("slider_head t1000 bezier_anchor bezier_anchor")
    known = event_times(first, True, end=4000)
    assert known == [1000, 1000, 2000, 3000]
    more = first + read_events("bezier_anchor last_anchor t6000")
    assert event_times(more, True, known, 9000) == [*known, 4500, 6000, 6000] and event_times(more, True) == [
        1000,
        1000,
        2250,
        3500,
        4750,
        6000,
        6000,
    ]
    first = read_events("t1000 slider_head bezier_anchor bezier_anchor")
    known = event_times(first, False, end=4000)
    assert (
        known == [1000, 1000, 2000, 3000]
        and event_times(first + read_events("t6000 last_anchor"), False, known)[:4] == known
    )


def test_v30_events():
    assert str(events("v30", toy("std"))) == O.V30_STD


def test_v31_events():
    s = str(events("v31", toy("std")))
    assert len(s.split()) == 160
    assert s.startswith(
        "circle t500 snap1 dist0 pos_x64 pos_y48 new_combo hitsound32 volume70 circle t700 snap2 dist181 pos_x25 pos_y25 hitsound29 "
        "volume33 slider_head t900 snap1 dist120 pos_x2 pos_y5 scroll_speed100"
    )


def test_other_streams():
    p28 = Parser(lang("v28"))
    p32 = Parser(lang("v32"))
    s = p28.timing_events(toy("std"))
    assert (
        str(s).startswith("timing_point t500 beat t900 beat t1300 beat t1700 measure t2100 beat t2500")
        and len(s) == 34
    )
    assert str(s).endswith("timing_point t6900")
    taiko = p28.timing_events(toy("taiko"))
    mania = p28.timing_events(toy("mania"))
    assert len(taiko) == 18 and str(taiko).endswith("measure t5000") and len(mania) == 82
    assert str(p28.kiai_events(toy("std"))) == "kiai1 t2100 snap1 kiai0 t4500 snap1"
    assert str(p32.kiai_events(toy("std"))) == "t2100 snap1 kiai1 t4500 snap1 kiai0"
    assert (
        str(p28.scroll_speed_events(toy("mania")))
        == "scroll_speed_change t0 snap1 scroll_speed50 scroll_speed_change t3000 snap1 scroll_speed100"
    )


def test_flip_and_speed():
    s = str(events("v32", toy("std"), flip=(True, True)))
    assert s.startswith(
        "t500 snap1 pos478 pos_refine0 new_combo hitsound32 volume70 circle t700 snap2 pos548 pos_refine238 hitsound29 volume33 circle "
        "t900 snap1 pos650 pos_refine107 scroll_speed100 hitsound33 volume70 slider_head pos647 pos_refine105 last_anchor"
    )
    assert s.endswith("t7013 snap8 pos237 pos_refine228 hitsound32 volume100 circle")
    fast = events("v32", toy("std"), speed=1.25)
    assert [e.value for e in fast.events if e.type is E.TIME_SHIFT] == [
        400,
        560,
        720,
        880,
        880,
        1040,
        1200,
        1360,
        1680,
        1840,
        1840,
        2320,
        2480,
        2480,
        3600,
        5200,
        5520,
        5610,
    ]
    assert str(fast.drop([E.TIME_SHIFT])) == str(events("v32", toy("std")).drop([E.TIME_SHIFT]))


# --- windows ----------------------------------------------------------------------------------------------------------


def example(version, name, seconds, window=0, inputs=(), **k):
    c = lang(version)
    m = toy(name)
    p = Parser(lang(version))
    n = seconds * 16000 // 128 + 1
    template = c.context_types[0]
    meta = Metadata.of(m, c, seconds * 1000, difficulty=5.25, year=2015, hitsounded=True)
    outs = [Context(C(t), p.context(C(t), m)) for t in template.outputs]
    return training_example(
        tokens(version),
        c,
        meta,
        [Context(C(t)) for t in inputs],
        outs,
        Span.at_frame(c, window * (c.src_seq_len - 1), n - 1, **k),
    )


@pytest.mark.parametrize(
    "version,name,seconds,window,inputs,key",
    [
        ("v32", "std", 20, 0, [], "WIN_V32_STD"),
        ("v28", "std", 12, 0, ["none"], "WIN_V28_STD"),
        ("v32", "mania", 20, 0, [], "WIN_V32_MANIA"),
        ("v32", "mania", 20, 1, [], "WIN_V32_MANIA_1"),
    ],
)
def test_window_sequences(version, name, seconds, window, inputs, key):
    x = example(version, name, seconds, window, inputs)
    assert x.ids.tolist() == ints(getattr(O, key))
    i = x.ids.tolist().index(1)
    assert (x.labels[:i] == -100).all() and x.labels[i:].tolist() == x.ids[i + 1 :].tolist() + [2]


def test_v30_window():
    x = example("v30", "std", 12)
    assert len(x.ids) == 191 and x.ids[0] == 1 and x.labels.tolist() == x.ids[1:].tolist() + [2]
    assert x.ids[1:].tolist() == tokens("v30").encode_stream(events("v30", toy("std")))


def test_look_back():
    x = example("v32", "std", 20, lookback=0.2)
    assert [p.given for p in x.parts[-3:]] == [14, 122, 0]
    assert (x.labels == -100).sum() == x.ids.tolist().index(1) + 14 + 122


# --- small facts ------------------------------------------------------------------------------------------------------


def test_negative_times():
    s = v32("0,0,-250,1,0,0:0:0:0:\n0,0,-5,1,0,0:0:0:0:", "-500,500,4,2,0,70,1,0")
    assert "t-249 snap2" in s and "t-4 snap0" in s
    ours = str(
        Parser(LanguageConfig()).map_events(
            small("0,0,-250,1,0,0:0:0:0:\n0,0,-5,1,0,0:0:0:0:", "-500,500,4,2,0,70,1,0")
        )
    )
    assert "t-250 snap2" in ours and "t-5 snap0" in ours


@pytest.mark.parametrize("version", ["v28", "v30", "v32"])
def test_a_time_is_the_middle_of_its_step(version):
    "Decoded times lie 5 ms into their step, so that they are early as often as late; in the same window they are the same token again."
    tok = tokens(version)
    start, end = tok.range(E.TIME_SHIFT)
    said = tok.decode_ids(range(start, end), 700)
    assert [e.value for e in said] == [700 + 10 * step + 5 for step in range(end - start)]
    assert tok.encode_stream(EventStream(said, [e.value for e in said]), 700) == [*range(start, end)]
    assert tok.times(np.arange(start, end), 700).tolist() == [e.value for e in said]
    early = Tokenizer()  # a layout that has times before its window
    before = [early.id(E.TIME_SHIFT, step) for step in (-3, -1, 0)]
    assert [e.value for e in early.decode_ids(before, 700)] == [670, 690, 705]


def test_short_line():
    assert "hitsound32 volume1 circle" in v32("0,0,0,1,0,0:0:0:0:", "0,500")
    assert "hitsound0 volume100 circle" in str(
        Parser(LanguageConfig()).map_events(small("0,0,0,1,0,0:0:0:0:", "0,500"))
    )


def test_snaps_before_the_first_point():
    s = Parser(lang("v32")).map_events(
        small("\n".join(f"0,0,{t},1,0,0:0:0:0:" for t in (250, 251, 437)), "1000,500,4,2,0,70,1,0")
    )
    assert [e.value for e in s.events if e.type is E.SNAPPING] == [2, 2, 8]


def test_beats():
    p = Parser(lang("v28"))
    s = p.timing_events(
        small("0,0,2500,1,0,0:0:0:0:", "0,500,4,2,0,70,1,0\n1005,500,4,2,0,70,1,0\n1012,400,3,2,0,70,1,0")
    )
    assert str(s) == "timing_point t0 beat t500 timing_point t1012 beat t1412 beat t1812 measure t2212"
    s = p.timing_events(small("0,0,2010,1,0,0:0:0:0:", "10.6,333.33,4,2,0,70,1,0"))
    assert str(s) == "timing_point t10 beat t343 beat t677 beat t1010 measure t1343 beat t1677 beat t2010"


def test_kiai_bits():
    m = small(
        "0,0,0,1,0,0:0:0:0:",
        "0,500,4,2,0,70,1,0\n1000,-100,4,2,0,70,0,8\n2000,-100,4,2,0,70,0,1\n3000,-100,4,2,0,70,0,0",
    )
    assert str(Parser(lang("v28")).kiai_events(m)).replace(" snap1", "") == "kiai1 t1000 kiai0 t3000"
    assert (
        str(Parser(LanguageConfig(types_first=True)).kiai_events(m)).replace(" snap1", "")
        == "kiai1 t2000 kiai0 t3000"
    )


def test_slider_shapes():
    s = v32("0,0,0,2,0,B|0:0|50:50|50:50|50:50|100:0|100:0,1,100")
    assert [w for w in s.split() if "anchor" in w] == ["red_anchor"] * 3 + [
        "last_anchor"
    ] * 2 and "t357 snap7" in s
    s = v32("0,0,0,2,0,P|50:0|100:0,1,100")
    assert "bezier_anchor" in s and "pos275 pos_refine2 last_anchor" in s and "pos275 pos_refine1 " in s
    s = v32("0,0,0,2,0,P|50:0|100:50|100:100,1,150")
    assert s.count("bezier_anchor") == 2 and "t535 snap14 pos341 pos_refine241" in s
    s = v32("0,0,0,2,0,L|50:0|50:50|100:50,2,120,0|0|2,0:0|0:0|3:0")
    assert (
        s.count("red_anchor") == 2 and "t428 snap7 hitsound32 volume70 hitsound32 volume70 last_anchor" in s
    )
    assert s.endswith("t857 snap7 pos307 pos_refine147 hitsound65 volume70 slider_end")
    assert v32("0,0,0,2,0,B|" + "|".join(f"{i}:{i}" for i in range(99)) + ",1,100") == ""


def test_overlapping_objects():
    s = events("v32", small("0,0,0,2,0,L|140:0,1,140\n0,0,250,1,0,0:0:0:0:\n0,0,500,1,0,0:0:0:0:"))
    kinds = [
        (e.type.value, t) for e, t in s if e.type in (E.CIRCLE, E.SLIDER_HEAD, E.LAST_ANCHOR, E.SLIDER_END)
    ]
    assert kinds == [
        ("slider_head", 0),
        ("last_anchor", 0),
        ("circle", 250),
        ("last_anchor", 500),
        ("slider_end", 500),
        ("circle", 500),
    ]


def test_sustain():
    s = events("v32", small("0,0,0,2,0,L|5600:0,3,5600"))
    marks = [
        (e.type.value, t) for e, t in s if e.type in (E.SLIDER_SUSTAIN, E.SLIDER_REPEAT_SUSTAIN, E.SLIDER_END)
    ]
    assert marks == [
        ("slider_sustain", 8000),
        ("slider_sustain", 16000),
        *[("slider_repeat_sustain", t) for t in (28000, 36000, 44000, 52000)],
        ("slider_end", 60000),
    ]
    assert "t20000 snap1 hitsound32 volume70 hitsound32 volume70 hitsound32 volume70 last_anchor" in str(s)
    s = events("v32", small("256,192,0,12,0,16015,0:0:0:0:"))
    assert [t for e, t in s if e.type is E.SPINNER_SUSTAIN] == [
        8000,
        16000,
    ] and "t16015 snap0 hitsound" in str(s)


@pytest.mark.parametrize(
    "bits,sample,want",
    [
        (15, "0:0:0:0:", "hitsound39 volume70"),
        (0, "4:5:0:120:", "hitsound0 volume100"),
        (4, "3:0:9:1:f.wav", "hitsound66 volume1"),
        (4, ":2", "hitsound34 volume70"),
    ],
)
def test_hitsounds(bits, sample, want):
    assert want in v32(f"0,0,0,1,{bits},{sample}", "0,500,4,0,0,70,1,0")


def test_leniency():
    s = v32("0,0,98,1,0,0:0:0:0:\n0,0,99,1,0,0:0:0:0:", "0,500,4,1,0,70,1,0\n104,-100,4,3,0,33,0,0")
    assert "hitsound0 volume70" in s and "hitsound64 volume33" in s


def test_ratios():
    p = Parser(lang("v32"))
    assert (
        hold_note_ratio(toy("mania")) == 0.4
        and p.scroll_speed_ratio(toy("mania")) == 0.5
        and p.scroll_speed_ratio(toy("taiko")) == 0.2
    )


@pytest.mark.parametrize(
    "kind,points,length,end",
    [
        ("B", [(0, 0), (100, 0)], 150, (149.99999999999997, 0)),
        ("B", [(0, 0), (50, 100), (100, 0)], 100, (67.621542333784, 43.789624915573164)),
        ("B", [(0, 0), (50, 100), (100, 0)], 200, (135.243084667568, -95.32766967284334)),
        ("L", [(0, 0), (100, 0), (100, 100)], 250, (100, 149.99999999999997)),
        ("L", [(0, 0), (100, 0), (100, 100)], 50, (100, 0)),
        ("P", [(0, 0), (50, 50), (100, 0)], 100, (70.80734182735712, 45.46487134128409)),
        ("C", [(0, 0), (50, 50), (100, 0)], 60, (100, 0)),
    ],
)
def test_slider_ends_to_the_last_bit(kind, points, length, end):
    assert end_point(kind, tuple(points), length) == end


def test_snaps():
    s = v32(
        "\n".join(f"0,0,{480 + d},1,0,0:0:0:0:" for d in (0, 1, 2, 3, 17, 32, 60, 160, 240)),
        "0,480,4,2,0,70,1,0",
    )
    assert [int(w[4:]) for w in s.split() if w.startswith("snap")] == [1, 1, 1, 0, 0, 15, 8, 3, 2]


def test_mania_flip():
    m = small("64,192,0,1,0\n128,192,0,1,0\n448,192,0,1,0", mode=3)
    columns = lambda c: [
        e.value for e in Parser(c).map_events(m, (True, False)).events if e.type is E.MANIA_COLUMN
    ]
    assert columns(lang("v32")) == [3, 3, 0] and columns(LanguageConfig()) == [3, 2, 0]


def test_every_published_version_has_the_quirks_of_its_data():
    for v in preset_names("language"):
        on = {f.name for f in fields(CompatConfig) if getattr(lang(v).compat, f.name)}
        assert on == (
            set()
            if v == "embedded"
            else {f.name for f in fields(CompatConfig)} - {"required_kiai"}
            | ({"required_kiai"} if v == "v29" else set())
        ), v


def test_sample_set_of_the_map():
    m = Beatmap.parse(
        "osu file format v14\n\n[General]\nSampleSet: Drum\n\n[TimingPoints]\n0,500,4,0,0,70,1,0\n\n[HitObjects]\n0,0,0,1,0,0:0:0:0:\n"
    )
    assert "hitsound64" in str(Parser(LanguageConfig()).map_events(m)) and "hitsound32" in str(
        events("v32", m)
    )


def test_mixed_and_endless_sliders():
    mixed = small(
        "0,100,0,2,0,L|100:100|P|100:100|150:50|200:100,1,250\n"
        + "300,300,4000,2,0,B|"
        + "|".join(f"{300 + i % 9}:{300 - i}" for i in range(120))
        + ",1,100"
    )
    ours, back = there(mixed, LanguageConfig())
    assert [type(o) for o in back] == [Slider, Slider]
    for a, b in zip(mixed.hit_objects, back):
        assert (
            max(math.dist(a.path.at(u), b.path.at(u)) for u in np.linspace(0, 1, 20)) < 4
            and abs(a.length - b.length) < 3
        )
    assert str(events("v32", mixed)).count("slider_head") == 1  # published models never saw the drawing


def test_overlapping_sliders_come_back():
    "Two nested, one across, and one that repeats, all open at once."
    m = small(
        "0,0,0,2,0,L|280:0,1,280\n0,100,250,2,0,L|70:100,1,70\n0,200,750,2,0,L|140:200,2,140\n0,300,1000,2,0,L|140:300,1,140"
    )
    for c in (LanguageConfig(), lang("v32")):
        _, back = there(m, c)
        assert [(o.time, o.slides, o.points[-1]) for o in back] == [
            (o.time, o.slides, o.points[-1]) for o in m.hit_objects
        ]


def test_a_slider_that_has_just_begun_does_not_end():
    "Its head lies in the time step in which a longer one ends, and nearer to that end than any other."
    m = small("385,347,500,2,0,L|300:347,1,141.2\n245,340,1003,2,0,L|385:340,1,140", "500,500,4,2,0,70,1,0")
    _, back = there(m, LanguageConfig())
    assert [(o.x, o.time) for o in back] == [(384, 500), (244, 1005)]


def test_sliders_are_as_long_as_their_ticks_are_apart():
    lines = "\n".join(f"0,0,{int(236 + 60_000 / 145 * k)},2,0,L|140:0,1,140" for k in range(0, 12, 2))
    m = small(lines, f"236,{60_000 / 145},4,2,0,70,1,0")
    _, back = there(m, LanguageConfig())
    assert len(back) == 6 and all(abs(o.length - 140) < 1e-6 for o in back)


# --- tokenizer --------------------------------------------------------------------------------------------------------


def test_presets_are_shipped():
    assert {"v28", "v29", "v30", "v31", "v32", "v32-mini", "embedded"} <= set(preset_names("language"))


@pytest.mark.parametrize(
    "version,out,both,m,d",
    [
        ("v28", 3667, 4324, 5, 7),
        ("v29", 3667, 4324, 5, 7),
        ("v30", 4607, 4607, 0, 0),
        ("v31", 5650, 6117, 0, 7),
        ("v32", 4097, 4754, 5, 146),
    ],
)
def test_vocabulary(version, out, both, m, d):
    t = Tokenizer.from_config(lang(version), mappers=m, descriptors=d)
    assert (t.vocab_out, t.vocab_in) == (out, both + m + d)
    assert all(t.encode(t.decode(i)) == i for i in range(t.offset, t.vocab_in))
    assert Tokenizer.from_dict(t.to_dict()) == t


def test_layout():
    t = tokens("v32")
    starts = {
        E.TIME_SHIFT: 9,
        E.SNAPPING: 1647,
        E.POS: 1664,
        E.POS_REFINE: 2621,
        E.MANIA_COLUMN: 2877,
        E.SCROLL_SPEED: 2895,
        E.NEW_COMBO: 3896,
        E.HITSOUND: 3897,
        E.VOLUME: 3970,
        E.CIRCLE: 4071,
        E.TIMING_POINT: 4083,
        E.SLIDER_SUSTAIN: 4084,
        E.HOLD_NOTE_SUSTAIN: 4090,
        E.DENDEN_SUSTAIN: 4096,
        E.GAMEMODE: 4097,
        E.DIFFICULTY: 4101,
        E.MAPPER: 4126,
        E.CS: 4127,
        E.YEAR: 4149,
        E.SONG_POSITION: 4283,
        E.DESCRIPTOR: 4386,
        E.MANIA_KEYCOUNT: 4533,
        E.HOLD_NOTE_RATIO: 4551,
        E.SCROLL_SPEED_RATIO: 4565,
        E.GLOBAL_SV: 4579,
    }
    assert {k: t.range(k)[0] for k in starts} == starts
    assert [
        t.unknown(k)
        for k in (E.DIFFICULTY, E.MAPPER, E.CS, E.YEAR, E.DESCRIPTOR, E.HOLD_NOTE_RATIO, E.SCROLL_SPEED_RATIO)
    ] == [4125, 4126, 4148, 4219, 4532, 4564, 4578]
    t = Tokenizer.from_config(compose(LanguageConfig, ["add_pre_tokens=true"], preset="v28"))
    assert t.spans[E.TIME_SHIFT][1:] == (-818, 818) and t.vocab_in == 5142
    for bad in (2, t.vocab_in):
        with pytest.raises(ValueError):
            t.decode(bad)


def layout_of_2024():
    "The file of v28 as it was published: `global_sv` among what can be written."
    d = Tokenizer.from_config(lang("v28"), mappers=5, descriptors=7).to_dict()
    sv = d["input_event_ranges"].pop()
    d["event_ranges"].insert([r["type"] for r in d["event_ranges"]].index("new_combo"), sv)
    return {k: v for k, v in d.items() if k not in ("event_start", "event_end", "event_range")} | {
        "vocab_size_out": 3988
    }


def layout_of_may_2025():
    "v31 by the code of May 2025: `global_sv` likewise, and a range of mappers that no prompt uses."
    d = Tokenizer.from_config(lang("v31"), descriptors=7).to_dict()
    sv = d["input_event_ranges"].pop()
    d["event_ranges"].insert([r["type"] for r in d["event_ranges"]].index("new_combo"), sv)
    d["input_event_ranges"].insert(1, {"type": "mapper", "min_value": 0, "max_value": 5})
    return {k: v for k, v in d.items() if k not in ("event_start", "event_end", "event_range")} | {
        "vocab_size_out": 5971,
        "vocab_size_in": 6118 + 5 + 7,
    }


def test_older_layouts():
    old = Tokenizer.from_dict(json.loads(json.dumps(layout_of_2024())))
    new = Tokenizer.from_config(lang("v28"), mappers=5, descriptors=7)
    first = lambda t, *kinds: [t.range(k)[0] for k in kinds]
    assert first(
        old,
        E.SCROLL_SPEED,
        E.GLOBAL_SV,
        E.NEW_COMBO,
        E.HITSOUND,
        E.VOLUME,
        E.CIRCLE,
        E.SLIDER_END,
        E.TIMING_POINT,
        E.KIAI,
        E.HOLD_NOTE,
        E.DENDEN_END,
    ) == [2469, 3470, 3791, 3792, 3865, 3966, 3975, 3978, 3979, 3981, 3987]
    assert (old.vocab_out, old.vocab_in) == (3988, new.vocab_in) and first(
        old, E.GAMEMODE, E.DIFFICULTY, E.MAPPER
    ) == [3988, 3992, 4017]
    for i in range(new.offset, new.vocab_in):  # the conversion as documented
        e = new.decode(i)
        assert old.encode(e) == (
            i if i <= 3469 else 3470 + e.value - 40 if e.type is E.GLOBAL_SV else i + 321
        )
    may = Tokenizer.from_dict(layout_of_may_2025())
    assert first(
        may,
        E.SCROLL_SPEED,
        E.GLOBAL_SV,
        E.NEW_COMBO,
        E.CIRCLE,
        E.TIMING_POINT,
        E.HOLD_NOTE,
        E.DENDEN_END,
        E.GAMEMODE,
        E.MAPPER,
        E.CS,
    ) == [4452, 5453, 5774, 5949, 5961, 5964, 5970, 5971, 5975, 5981]
    tok = Tokenizer.from_dict(layout_of_2024())  # and it can be prompted with
    assert (
        len(build(tok, lang("v28"), Metadata(0, 60_000, 4.0), [Context(C.NONE)], [Context(C.TIMING)], 0).ids)
        == 2 + 12 + 2
    )


def test_sparse_and_broken_files(tmp_path):
    least = {
        "num_classes": 0,
        "num_diff_classes": 24,
        "max_difficulty": 12,
        "vocab_size_out": 1873,
        "vocab_size_in": 1873,
        "beatmap_idx": {"7": 0},
    }
    t = Tokenizer.from_dict(least)
    assert [
        t.range(k)[0] for k in (E.TIME_SHIFT, E.SNAPPING, E.DISTANCE, E.NEW_COMBO, E.HITSOUND, E.VOLUME)
    ] == [3, 1028, 1045, 1686, 1687, 1760] and t.beatmap_idx == {7: 0}
    for bad in (
        "",
        "[]",
        "{}",
        '{"vocab_size_out": 1, "vocab_size_in": 1}',
        json.dumps(least | {"event_ranges": [{"type": "nonsense", "min_value": 0, "max_value": 1}]}),
        json.dumps(least | {"event_ranges": [{}]}),
        json.dumps(least | {"context_sos": {"map": 3}, "context_eos": {"what": 4}}),
    ):
        (tmp_path / "tokenizer.json").write_text(bad)
        with pytest.raises(UserError):
            Tokenizer.load(tmp_path)


def test_requests():
    "Every encoding with its unknown and its ends (section 7.4)."
    t = tokens("v32")
    said = lambda kind, *values, n=None: [t.decode(t.metadata_id(kind, v, n)).value for v in values]
    assert said(E.DIFFICULTY, 0, 0.49, 0.5, 5.25, 5.999, 11.49, 11.5, 13, -3, None) == [
        0,
        0,
        1,
        10,
        11,
        22,
        23,
        23,
        0,
        24,
    ]
    assert said(E.CS, 0.49, 0.5, 4, 4.2, 4.49, 7, 10, 12, -1, None) == [0, 1, 8, 8, 8, 14, 20, 20, 0, 21]
    assert said(E.SONG_LENGTH, 9999, 10000, 599999, 600000, 900000) == [0, 1, 59, 60, 60]
    assert said(E.SONG_POSITION, -5, 0, 1, 1000, 1001, 3000, 199001, 200000, n=200_000) == [
        -1,
        -1,
        0,
        0,
        1,
        2,
        100,
        101,
    ]
    assert said(
        E.HOLD_NOTE_RATIO, 0, 0.001, 0.05, 0.0500001, 0.15, 0.25, 0.35, 0.949, 0.95, 0.999, 1, None
    ) == [-1, 0, 0, 1, 2, 2, 4, 9, 10, 10, 11, 12]
    assert said(E.GLOBAL_SV, 0.3, 1.005, 1.4, 2.345, 4) == [40, 100, 140, 235, 360] and said(
        E.YEAR, 2007, 2015, None
    ) == [2007, 2015, 2077]
    assert said(E.MAPPER, 5, None) == [0, 0] and said(E.MANIA_KEYCOUNT, 1, 18) == [1, 18]
    for kind, v in [
        (E.YEAR, 2006),
        (E.YEAR, 2078),
        (E.MANIA_KEYCOUNT, 0),
        (E.MANIA_KEYCOUNT, 19),
        (E.CS, math.nan),
        (E.DIFFICULTY, math.inf),
        (E.STYLE, 3),
    ]:
        with pytest.raises(UserError):
            t.metadata_id(kind, v)
    for kind in set(t.spans) - OPEN - {E.KIAI}:
        with pytest.raises(UserError):
            t.metadata_id(kind, None)


def test_removed_mappers_stay_removed(tmp_path):
    t = Tokenizer.from_config(lang("v32"), mappers=[101, 102, 103], beatmap_mapper={9: 102})
    del t.mapper_idx[102]
    t.save(tmp_path / "tokenizer.json")
    back = Tokenizer.load(tmp_path)
    assert (
        back.num_mapper_classes == 3
        and back.metadata_id(E.MAPPER, 102) == back.unknown(E.MAPPER)
        and back.find_mapper("103") == 103
    )
    assert back.decode(back.metadata_id(E.MAPPER, 103)).value == 2
    with pytest.raises(UserError):
        back.find_mapper(102)


def test_tags_by_name():
    names = list(
        dict.fromkeys(
            d.name for m in ("standard", "taiko", "catch", "mania") for d in known_descriptors(mode=m)
        )
    )
    t = Tokenizer.from_config(lang("v32"), descriptors=names)
    assert len(names) == 122 and [t.find_descriptor(n) for n in names] == list(range(122))
    assert names[t.find_descriptor(" Grid Snap ")] == "style/grid snap"
    for bad in ("stamina", "grid snip", ""):
        with pytest.raises(UserError):
            t.find_descriptor(bad)
    assert len(known_descriptors("omdb")) == 72


# --- MaiMod reads what training reads ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "version,name",
    [("v28", "std"), ("v30", "std"), ("v31", "mania"), ("v32", "std"), ("v32", "mania"), ("embedded", "std")],
)
def test_teacher_forced_prompt(version, name):
    "Every event of every given context once, each scored by the position before it, in a zone that tiles the song; the request as in generation."
    c = lang(version)
    m = toy(name)
    p = Parser(lang(version))
    tok = tokens(version)
    template = c.context_types[0]
    meta = Metadata.of(m, c, 20_000, difficulty=5.25)
    given_ = [Context(C(t)) for t in template.inputs]
    outs = [Context(C(t), p.context(C(t), m)) for t in template.outputs]
    scored = {o.type: [] for o in outs}
    step = c.window_ms / 2
    start = 0.0
    while start < 20_000:
        span = Span(
            start,
            start + c.window_ms,
            learn_from=start + c.window_ms * 0.25 if start else -math.inf,
            write_to=start + c.window_ms * 0.75 if start + step < 20_000 else math.inf,
        )
        x = training_example(tok, c, meta, given_, outs, span, scoring=True)
        prompt = build(tok, c, meta, given_, outs, start)
        until = prompt.ids.index(SOS) + 1
        assert x.cut == 0 and (x.ids[:until] == prompt.ids[:until]).all()
        at = until
        for part in x.parts[-len(outs) :]:
            at += len(part.head)
            for k, i in enumerate(part.body):
                label = x.labels[at + k - 1]
                assert label == (IGNORE if k < part.given else i)
                if k >= part.given:
                    scored[C(part.name)].append(tok.decode(i).type)
            at += len(part.body) + len(part.tail)
        start += step
    assert scored == {o.type: [e.type for e, t in o.stream if 0 <= t] for o in outs}


# --- any text at all --------------------------------------------------------------------------------------------------

VERSIONS = preset_names("language")


def legal(draw_ids, tok, c, m):
    "Token ids: runs of a real map's tokens in any order, with any other tokens between."
    said = Parser(c).map_events(m)
    real = tok.encode_stream(said.keep(set(tok.spans)))  # v30 speaks standard only
    return [
        i
        for kind, a, n in draw_ids
        for i in (real[a % max(len(real), 1) :][:n] if kind else [a % tok.vocab_in])
    ]


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(VERSIONS),
    st.sampled_from(["std", "taiko", "mania"]),
    st.integers(0, 3),
    st.integers(0, 3_000),
    st.lists(st.tuples(st.booleans(), st.integers(0, 7_000), st.integers(1, 40)), max_size=60),
)
def test_token_salad(version, name, mode, start, ids):
    "Random legal and illegal tokens of every language always give writable objects, whatever the mode."
    c = lang(version)
    tok = tokens(version)
    said = tok.decode_ids(legal(ids, tok, c, toy(name)), start)
    gs = read_groups(EventStream(said, event_times(said, c.types_first)), c)
    out = to_hit_objects(gs, Timing.of(toy(name)), 1.4, c, mode)
    b = Beatmap.new(mode=mode, cs=4, slider_multiplier=1.4)
    b.timing_points = out.apply(TimingBuilder(list(Timing.of(toy(name)).red))).points()
    b.hit_objects = out.objects
    again = Beatmap.parse(b.to_text())
    assert not again.warnings and len(again.hit_objects) == len(out.objects) and len(out.objects) <= len(gs)
    for o in again.hit_objects:
        assert all(map(math.isfinite, (o.x, o.y, o.time))) and getattr(o, "end_time", o.time + 1) > o.time
        if isinstance(o, Slider):
            assert o.length > 0 and o.slides >= 1 and len(o.points) >= 2


# --- on the oracles' maps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder",
    [
        "checkpoints/v28",
        "checkpoints/v30",
        "checkpoints/v31",
        "checkpoints/v32",
        "oracles/generate/ckpt/v31_trained",
    ],
)
def test_published_files(fixtures, folder):
    t = Tokenizer.load(fixtures / folder)
    assert (
        all(t.encode(t.decode(i)) == i for i in range(t.offset, t.vocab_in))
        and Tokenizer.from_dict(t.to_dict()) == t
    )


@pytest.fixture(scope="module")
def round_trip(fixtures, tmp_path_factory):
    "The summary of the script over the maps of the oracles, or over toy maps without a fault."
    carried = "shared" not in fixtures.parts
    folder = toy_corpus(tmp_path_factory.mktemp("round_trip")) if carried else fixtures
    done = subprocess.run(
        [sys.executable, Path(__file__).parent / "corpus" / "tokens_round_trip.py", folder],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("mode", ["standard", "taiko", "catch", "mania"])
def test_round_trip(round_trip, mode):
    "No object is lost; errors stay within the quantisation step, and within 1 ms once resnapped."
    raw = round_trip[f"{mode} raw"]
    snapped = round_trip[f"{mode} resnapped"]
    assert not raw["lost"] and not snapped["lost"] and raw["objects"] > 500
    assert raw["start"][1] <= 5 and snapped["snapped"][1] <= 1 and snapped["end"][1] <= 1
    if mode in ("standard", "catch"):
        assert snapped["place"][1] <= 2 and snapped["path"][1] <= 2
