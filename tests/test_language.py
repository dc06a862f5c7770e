"Parse, tokenizer and prompt against lists measured once on the published language (inline), and against ../shared where it is."
import numpy as np
import pytest

import oracles_language as O
import parity
import parity_language
from mapperatorinator.config import CompatConfig, LanguageConfig, compose, preset_names
from mapperatorinator.events import ContextType as C, EventType as E
from mapperatorinator.osu.beatmap import Beatmap, Slider
from mapperatorinator.osu.timing import Timing
from mapperatorinator.parse import Parser, hold_note_ratio
from mapperatorinator.prompt import Context, Metadata, Span, training_example
from mapperatorinator.tokenizer import Tokenizer
from mapperatorinator.unparse import groups, to_hit_objects

BODY = {"std": (0, O.STD, "4.2", "1.6"), "taiko": (1, O.TAIKO, "5", "1.4"), "mania": (3, O.MANIA, "4", "1.4")}

def osu(mode, body, cs="4", sm="1.4"):
    "A map with the usual header."
    return Beatmap.parse(f"osu file format v14\n\n[General]\nAudioFilename: a.mp3\nMode: {mode}\n\n[Metadata]\nTitle:T\nArtist:A\nCreator:C\n"
                         f"Version:V\nBeatmapID:123\nBeatmapSetID:45\n\n[Difficulty]\nHPDrainRate:5\nCircleSize:{cs}\nOverallDifficulty:8\n"
                         f"ApproachRate:9\nSliderMultiplier:{sm}\nSliderTickRate:1\n\n{body}\n")

def toy(name): return osu(*BODY[name])
def small(objects, points="0,500,4,2,0,70,1,0", mode=0, cs="4"): return osu(mode, f"[TimingPoints]\n{points}\n\n[HitObjects]\n{objects}", cs)
def lang(version): return compose(LanguageConfig, preset=version)
def tokens(version): return Tokenizer.from_config(lang(version), descriptors=146 if "v32" in version else 0)
def ints(text): return [int(i) for i in text.replace(",", " ").split()]
def events(version, m, **k): return Parser(lang(version)).map_events(m, **k)
def v32(objects, points="0,500,4,2,0,70,1,0", **k): return str(events("v32", small(objects, points, **k)))

# --- events and ids of the three maps ---------------------------------------------------------------------------------

@pytest.mark.parametrize("version,name", [("v32", "std"), ("v28", "std"), ("v28", "taiko"), ("v28", "mania"), ("v32", "taiko"), ("v32", "mania")])
def test_events_and_ids(version, name):
    s, key = events(version, toy(name)), f"{version}_{name}".upper()
    assert str(s) == getattr(O, key)
    assert tokens(version).encode_stream(s) == ints(getattr(O, f"{key}_IDS"))

def test_event_times(): assert events("v28", toy("std")).times == ints(O.V28_STD_TIMES)
def test_v30_events(): assert str(events("v30", toy("std"))) == O.V30_STD

def test_v31_events():
    s = str(events("v31", toy("std")))
    assert len(s.split()) == 160
    assert s.startswith("circle t500 snap1 dist0 pos_x64 pos_y48 new_combo hitsound32 volume70 circle t700 snap2 dist181 pos_x25 pos_y25 hitsound29 "
                        "volume33 slider_head t900 snap1 dist120 pos_x2 pos_y5 scroll_speed100")

def test_other_streams():
    p28, p32 = Parser(lang("v28")), Parser(lang("v32"))
    s = p28.timing_events(toy("std"))
    assert str(s).startswith("timing_point t500 beat t900 beat t1300 beat t1700 measure t2100 beat t2500") and len(s) == 34
    assert str(s).endswith("timing_point t6900")
    taiko, mania = p28.timing_events(toy("taiko")), p28.timing_events(toy("mania"))
    assert len(taiko) == 18 and str(taiko).endswith("measure t5000") and len(mania) == 82
    assert str(p28.kiai_events(toy("std"))) == "kiai1 t2100 snap1 kiai0 t4500 snap1"
    assert str(p32.kiai_events(toy("std"))) == "t2100 snap1 kiai1 t4500 snap1 kiai0"
    assert str(p28.scroll_speed_events(toy("mania"))) == \
        "scroll_speed_change t0 snap1 scroll_speed50 scroll_speed_change t3000 snap1 scroll_speed100"

def test_flip_and_speed():
    s = str(events("v32", toy("std"), flip=(True, True)))
    assert s.startswith("t500 snap1 pos478 pos_refine0 new_combo hitsound32 volume70 circle t700 snap2 pos548 pos_refine238 hitsound29 volume33 circle "
                        "t900 snap1 pos650 pos_refine107 scroll_speed100 hitsound33 volume70 slider_head pos647 pos_refine105 last_anchor")
    assert s.endswith("t7013 snap8 pos237 pos_refine228 hitsound32 volume100 circle")
    fast = events("v32", toy("std"), speed=1.25)
    assert [e.value for e in fast.events if e.type is E.TIME_SHIFT] == \
        [400, 560, 720, 880, 880, 1040, 1200, 1360, 1680, 1840, 1840, 2320, 2480, 2480, 3600, 5200, 5520, 5610]
    assert str(fast.drop([E.TIME_SHIFT])) == str(events("v32", toy("std")).drop([E.TIME_SHIFT]))

# --- windows ----------------------------------------------------------------------------------------------------------

def example(version, name, seconds, window=0, inputs=(), **k):
    c, m, p = lang(version), toy(name), Parser(lang(version))
    n, template = seconds * 16000//128 + 1, c.context_types[0]
    meta = Metadata.of(m, c, seconds * 1000, difficulty=5.25, year=2015, hitsounded=True)
    outs = [Context(C(t), p.context(C(t), m)) for t in template.outputs]
    return training_example(tokens(version), c, meta, [Context(C(t)) for t in inputs], outs, Span.at_frame(c, window * (c.src_seq_len - 1), n - 1, **k))

@pytest.mark.parametrize("version,name,seconds,window,inputs,key", [
    ("v32", "std", 20, 0, [], "WIN_V32_STD"), ("v28", "std", 12, 0, ["none"], "WIN_V28_STD"),
    ("v32", "mania", 20, 0, [], "WIN_V32_MANIA"), ("v32", "mania", 20, 1, [], "WIN_V32_MANIA_1")])
def test_window_sequences(version, name, seconds, window, inputs, key):
    x = example(version, name, seconds, window, inputs)
    assert x.ids.tolist() == ints(getattr(O, key))
    i = x.ids.tolist().index(1)
    assert (x.labels[:i] == -100).all() and x.labels[i:].tolist() == x.ids[i+1:].tolist() + [2]

def test_v30_window():
    x = example("v30", "std", 12)
    assert len(x.ids) == 191 and x.ids[0] == 1 and x.labels.tolist() == x.ids[1:].tolist() + [2]
    assert x.ids[1:].tolist() == tokens("v30").encode_stream(events("v30", toy("std")))

def test_look_back():
    x = example("v32", "std", 20, lookback=.2)
    assert [p.given for p in x.parts[-3:]] == [14, 122, 0]
    assert (x.labels == -100).sum() == x.ids.tolist().index(1) + 14 + 122

# --- small facts ------------------------------------------------------------------------------------------------------

def test_negative_times():
    s = v32("0,0,-250,1,0,0:0:0:0:\n0,0,-5,1,0,0:0:0:0:", "-500,500,4,2,0,70,1,0")
    assert "t-249 snap2" in s and "t-4 snap0" in s
    ours = str(Parser(LanguageConfig()).map_events(small("0,0,-250,1,0,0:0:0:0:\n0,0,-5,1,0,0:0:0:0:", "-500,500,4,2,0,70,1,0")))
    assert "t-250 snap2" in ours and "t-5 snap0" in ours

def test_short_line():
    assert "hitsound32 volume1 circle" in v32("0,0,0,1,0,0:0:0:0:", "0,500")
    assert "hitsound0 volume100 circle" in str(Parser(LanguageConfig()).map_events(small("0,0,0,1,0,0:0:0:0:", "0,500")))

def test_snaps_before_the_first_point():
    s = Parser(lang("v32")).map_events(small("\n".join(f"0,0,{t},1,0,0:0:0:0:" for t in (250, 251, 437)), "1000,500,4,2,0,70,1,0"))
    assert [e.value for e in s.events if e.type is E.SNAPPING] == [2, 2, 8]

def test_beats():
    p = Parser(lang("v28"))
    s = p.timing_events(small("0,0,2500,1,0,0:0:0:0:", "0,500,4,2,0,70,1,0\n1005,500,4,2,0,70,1,0\n1012,400,3,2,0,70,1,0"))
    assert str(s) == "timing_point t0 beat t500 timing_point t1012 beat t1412 beat t1812 measure t2212"
    s = p.timing_events(small("0,0,2010,1,0,0:0:0:0:", "10.6,333.33,4,2,0,70,1,0"))
    assert str(s) == "timing_point t10 beat t343 beat t677 beat t1010 measure t1343 beat t1677 beat t2010"

def test_kiai_bits():
    m = small("0,0,0,1,0,0:0:0:0:", "0,500,4,2,0,70,1,0\n1000,-100,4,2,0,70,0,8\n2000,-100,4,2,0,70,0,1\n3000,-100,4,2,0,70,0,0")
    assert str(Parser(lang("v28")).kiai_events(m)).replace(" snap1", "") == "kiai1 t1000 kiai0 t3000"
    assert str(Parser(LanguageConfig(types_first=True)).kiai_events(m)).replace(" snap1", "") == "kiai1 t2000 kiai0 t3000"

def test_slider_shapes():
    s = v32("0,0,0,2,0,B|0:0|50:50|50:50|50:50|100:0|100:0,1,100")
    assert [w for w in s.split() if "anchor" in w] == ["red_anchor"] * 3 + ["last_anchor"] * 2 and "t357 snap7" in s
    s = v32("0,0,0,2,0,P|50:0|100:0,1,100")
    assert "bezier_anchor" in s and "pos275 pos_refine2 last_anchor" in s and "pos275 pos_refine1 " in s
    s = v32("0,0,0,2,0,P|50:0|100:50|100:100,1,150")
    assert s.count("bezier_anchor") == 2 and "t535 snap14 pos341 pos_refine241" in s
    s = v32("0,0,0,2,0,L|50:0|50:50|100:50,2,120,0|0|2,0:0|0:0|3:0")
    assert s.count("red_anchor") == 2 and "t428 snap7 hitsound32 volume70 hitsound32 volume70 last_anchor" in s
    assert s.endswith("t857 snap7 pos307 pos_refine147 hitsound65 volume70 slider_end")
    assert v32("0,0,0,2,0,B|" + "|".join(f"{i}:{i}" for i in range(99)) + ",1,100") == ""

def test_overlapping_objects():
    s = events("v32", small("0,0,0,2,0,L|140:0,1,140\n0,0,250,1,0,0:0:0:0:\n0,0,500,1,0,0:0:0:0:"))
    kinds = [(e.type.value, t) for e, t in s if e.type in (E.CIRCLE, E.SLIDER_HEAD, E.LAST_ANCHOR, E.SLIDER_END)]
    assert kinds == [("slider_head", 0), ("last_anchor", 0), ("circle", 250), ("last_anchor", 500), ("slider_end", 500), ("circle", 500)]

def test_sustain():
    s = events("v32", small("0,0,0,2,0,L|5600:0,3,5600"))
    marks = [(e.type.value, t) for e, t in s if e.type in (E.SLIDER_SUSTAIN, E.SLIDER_REPEAT_SUSTAIN, E.SLIDER_END)]
    assert marks == [("slider_sustain", 8000), ("slider_sustain", 16000), *[("slider_repeat_sustain", t) for t in (28000, 36000, 44000, 52000)],
                     ("slider_end", 60000)]
    assert "t20000 snap1 hitsound32 volume70 hitsound32 volume70 hitsound32 volume70 last_anchor" in str(s)
    s = events("v32", small("256,192,0,12,0,16015,0:0:0:0:"))
    assert [t for e, t in s if e.type is E.SPINNER_SUSTAIN] == [8000, 16000] and "t16015 snap0 hitsound" in str(s)

@pytest.mark.parametrize("bits,sample,want", [(15, "0:0:0:0:", "hitsound39 volume70"), (0, "4:5:0:120:", "hitsound0 volume100"),
                                              (4, "3:0:9:1:f.wav", "hitsound66 volume1"), (4, ":2", "hitsound34 volume70")])
def test_hitsounds(bits, sample, want): assert want in v32(f"0,0,0,1,{bits},{sample}", "0,500,4,0,0,70,1,0")

def test_leniency():
    s = v32("0,0,98,1,0,0:0:0:0:\n0,0,99,1,0,0:0:0:0:", "0,500,4,1,0,70,1,0\n104,-100,4,3,0,33,0,0")
    assert "hitsound0 volume70" in s and "hitsound64 volume33" in s

def test_ratios():
    p = Parser(lang("v32"))
    assert hold_note_ratio(toy("mania")) == .4 and p.scroll_speed_ratio(toy("mania")) == .5 and p.scroll_speed_ratio(toy("taiko")) == .2

# --- tokenizer --------------------------------------------------------------------------------------------------------

def test_presets_are_shipped(): assert {"v28", "v29", "v30", "v31", "v32", "v32-mini", "embedded"} <= set(preset_names("language"))

@pytest.mark.parametrize("version,out,both,m,d", [("v28", 3667, 4324, 5, 7), ("v29", 3667, 4324, 5, 7), ("v30", 4607, 4607, 0, 0), ("v31", 5650, 6117, 0, 7),
                                                  ("v32", 4097, 4754, 5, 146)])
def test_vocabulary(version, out, both, m, d):
    t = Tokenizer.from_config(lang(version), mappers=m, descriptors=d)
    assert (t.vocab_out, t.vocab_in) == (out, both + m + d)
    assert all(t.encode(t.decode(i)) == i for i in range(t.offset, t.vocab_in))
    assert Tokenizer.from_dict(t.to_dict()) == t

def test_layout():
    t = tokens("v32")
    starts = {E.TIME_SHIFT: 9, E.SNAPPING: 1647, E.POS: 1664, E.POS_REFINE: 2621, E.MANIA_COLUMN: 2877, E.SCROLL_SPEED: 2895, E.NEW_COMBO: 3896,
              E.HITSOUND: 3897, E.VOLUME: 3970, E.CIRCLE: 4071, E.TIMING_POINT: 4083, E.SLIDER_SUSTAIN: 4084, E.HOLD_NOTE_SUSTAIN: 4090, E.DENDEN_SUSTAIN: 4096,
              E.GAMEMODE: 4097, E.DIFFICULTY: 4101, E.MAPPER: 4126, E.CS: 4127, E.YEAR: 4149, E.SONG_POSITION: 4283, E.DESCRIPTOR: 4386,
              E.MANIA_KEYCOUNT: 4533, E.HOLD_NOTE_RATIO: 4551, E.SCROLL_SPEED_RATIO: 4565, E.GLOBAL_SV: 4579}
    assert {k: t.range(k)[0] for k in starts} == starts
    assert [t.unknown(k) for k in (E.DIFFICULTY, E.MAPPER, E.CS, E.YEAR, E.DESCRIPTOR, E.HOLD_NOTE_RATIO, E.SCROLL_SPEED_RATIO)] == \
        [4125, 4126, 4148, 4219, 4532, 4564, 4578]
    t = Tokenizer.from_config(compose(LanguageConfig, ["add_pre_tokens=true"], preset="v28"))
    assert t.spans[E.TIME_SHIFT][1:] == (-818, 818) and t.vocab_in == 5142
    for bad in (2, t.vocab_in):
        with pytest.raises(ValueError): t.decode(bad)

# --- against ../shared ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("family,least", [("parse", 1000), ("windows", 300)])
def test_parity(shared, family, least, capsys):
    total, equal, _, wrong, _ = parity.report(family, shared/"fixtures")
    with capsys.disabled(): print(f"\n{family}: {sum(equal.values())} of {sum(total.values())} equal")
    assert not wrong and sum(total.values()) >= least

@pytest.mark.parametrize("folder", ["checkpoints/v28", "checkpoints/v30", "checkpoints/v31", "checkpoints/v32", "oracles/generate/ckpt/v31_trained"])
def test_published_files(shared, folder):
    t = Tokenizer.load(shared/"fixtures"/folder)
    assert all(t.encode(t.decode(i)) == i for i in range(t.offset, t.vocab_in)) and Tokenizer.from_dict(t.to_dict()) == t

def there_and_back(m, c):
    "Errors of time (ms) and place (px) of the objects of a map after events and tokens, and what was dropped."
    tok, timing = Tokenizer.from_config(c), Timing.of(m)
    s = Parser(c).map_events(m)
    gs = groups(s, c, int(m.cs))
    for g in gs: g.time = timing.resnap(g.time // 10 * 10 + 5, g.snap) if g.snap else g.time // 10 * 10 + 5
    back = to_hit_objects(gs, timing, m.slider_multiplier, c, m.mode)
    assert all(e.type in tok for e in s.events)
    same = len(back.objects) == len(m.hit_objects)
    pairs = list(zip(sorted(m.hit_objects, key=lambda o: o.time), back.objects)) if same else []
    return [abs(a.time - b.time) for a, b in pairs], [max(abs(a.x - b.x), abs(a.y - b.y)) for a, b in pairs if m.mode in (0, 2) and type(a) is type(b)], same

@pytest.mark.parametrize("mode", ["std", "taiko", "catch", "mania"])
def test_round_trip(shared, mode, capsys):
    names = sorted(p.name.removesuffix(".osu.gz") for p in (shared/"fixtures"/"oracles"/"parse"/"osu").glob(f"{mode}_*"))
    times, places, whole = [], [], 0
    for n in names:
        t, p, same = there_and_back(parity_language.beatmap(shared/"fixtures", n), LanguageConfig())
        times += t; places += p; whole += same
    q = lambda v: [float(np.quantile(v, x)) for x in (.5, .95)] if v else []
    with capsys.disabled(): print(f"\n{mode}: {whole} of {len(names)} maps with all objects, time error {q(times)} ms, place error {q(places)} px")
    assert whole >= .8 * len(names) and np.quantile(times, .95) <= 5 and (not places or np.quantile(places, .95) <= 2)
