"The parse and windows families of `parity.py`: events, token ids, prompts and training examples of real maps."
from __future__ import annotations
import gzip
import json
import re
from functools import cache

import numpy as np

from mapperatorinator.config import LanguageConfig, compose
from mapperatorinator.events import ContextType, EventStream, EventType
from mapperatorinator.osu.beatmap import Beatmap
from mapperatorinator.parse import Parser, hitsounded, hold_note_ratio, median_beat_length, Scribe
from mapperatorinator.prompt import Context, Metadata, Span, build, training_example
from mapperatorinator.tokenizer import Tokenizer

def read(path): return json.loads(gzip.open(path).read())

@cache
def language(version): return compose(LanguageConfig, preset=version)

@cache
def tokenizer(folder, version): return Tokenizer.load(folder/"oracles"/"parse"/"tokenizers"/version)

@cache
def beatmap(folder, name, own_clock=True):
    "A map of the oracles; without its own clock old ones are read as the reference reads them, 24 ms early."
    data = gzip.open(folder/"oracles"/"parse"/"osu"/f"{name}.osu.gz").read()
    return Beatmap.parse(data if own_clock else re.sub(rb"(osu file format v)[34]\b", rb"\g<1>5", data, count=1))

def stream(types, d): return [(types[i], v, t) for i, v, t in zip(d["type"], d["value"], d["time"])]
def ours(s): return [(e.type.value, e.value, t) for e, t in s]

# --- parse ---------------------------------------------------------------------------------------------------------------

def windowed(tok, c, s:EventStream, windows:int):
    "Token ids of whole windows back to back, as the oracle has them."
    out, size = [], c.src_seq_len - 1
    for k in range(windows):
        start = k * size * c.hop_length * 1000 / c.sample_rate
        end = (k + 1) * size * c.hop_length * 1000 / c.sample_rate
        out += tok.encode_stream(s.between(start, end), start)
    return out

def parse_case(folder, types, name, own_clock=True):
    "(version, stream) -> equal, for one file."
    d, b = read(folder/"oracles"/"parse"/f"{name}.json.gz"), beatmap(folder, name, own_clock)
    for version, contexts in d["configs"].items():
        c, p, tok = language(version), Parser(language(version)), tokenizer(folder, version)
        methods = {"map": p.map_events, "timing": p.timing_events, "kiai": p.kiai_events, "sv": p.scroll_speed_events}
        for what, want in contexts.items():
            got = methods[what](b)
            yield version, what, ours(got) == stream(types, want)
            if all(e.type in tok for e in got.events): yield version, f"{what} ids", windowed(tok, c, got, len(want["per_window"])) == want["ids"]
    p = Parser(language("v32"))
    for a in d.get("augmented_v32", []):
        k = dict(speed=a["speed"])
        yield "v32", "map faster or flipped", ours(p.map_events(b, tuple(a["flip"]), **k)) == stream(types, a["map"])
        if "timing" in a: yield "v32", "timing faster", ours(p.timing_events(b, **k)) == stream(types, a["timing"])
    if "no_hs_v28" in d:
        yield "v28", "no_hs", ours(Parser(language("v28")).context(ContextType.NO_HS, b)) == stream(types, d["no_hs_v28"])
    yield from scalars(p, b, d["scalars"])

def scalars(p, b, want):
    "Ratios and the median beat length."
    near = lambda a, w: a == w if a is None or w is None else abs(a - w) <= 1e-9 * max(abs(w), 1)
    yield "-", "hold_note_ratio", near(hold_note_ratio(b), want["hold_note_ratio"])
    yield "-", "hitsounded", hitsounded(b) == want["hitsounded"]
    yield "-", "median", near(median_beat_length(Scribe(p.language, b)), want["median_ms_per_beat"])
    key = "scroll_speed_ratio_normalized" if b.mode == 3 else "scroll_speed_ratio_raw"
    yield "-", "scroll_speed_ratio", near(p.scroll_speed_ratio(b), want[key])

def parse(folder):
    "All cases of the parse family: (file, version, what, equal)."
    index = json.loads((folder/"oracles"/"parse"/"index.json").read_text(encoding="utf-8"))
    for f in index["files"]:
        cases = parse_case(folder, index["types"], f["name"])
        if beatmap(folder, f["name"]).format_version >= 5: yield from ((f["name"], *case) for case in cases)
        else: yield from old_cases(f["name"], cases, parse_case(folder, index["types"], f["name"], own_clock=False))

def old_cases(name, ours, early):
    "The cases of a map of format 3 or 4: what equals the oracle only when read without the 24 ms differs by that fix."
    for (version, what, equal), (_, _, equal_early) in zip(ours, early, strict=True):
        yield name, version, what, "old maps are 24 ms late" if equal_early and not equal else equal

# --- windows -------------------------------------------------------------------------------------------------------------

@cache
def spoken(folder, version, name, kind, flip=(False, False), speed=1.):
    "A context of a map."
    return Parser(language(version)).context(ContextType(kind), beatmap(folder, name), flip, speed)

def contexts(folder, version, d, names, meta, **k):
    return [Context(ContextType(n), spoken(folder, version, d["gd_map" if n == "gd" else "map"], n, **k), True, meta if n == "gd" else None)
            for n in names]

def training_case(folder, d, x):
    "Whether a training example equals the oracle's."
    version, st = x["version"], d["settings"]
    c, b, g = language(version), beatmap(folder, d["map"]), beatmap(folder, d["gd_map"])
    n, start = d["audio_samples_16k"]//c.hop_length + 1, x["window"] * (c.src_seq_len - 1)
    span = Span.at_frame(c, start, n - 1, x["lookback"], since=0) # events of the last frame are lost in the oracle
    stars = lambda key: float(np.interp(x["speed"], np.arange(.5, 2.01, .25), st[key]))
    tags = lambda key: st["tokenizer_descriptors_of_beatmap"][str(d[key])]
    length = d["audio_samples_16k"] / 16
    m = Metadata.of(b, c, length, difficulty=stars("star_ratings_at_speeds_0.5_to_2.0"), mapper_id=st["user_id"], year=st["year"],
                    descriptors=tags("beatmap_id"))
    gm = Metadata.of(g, c, length, difficulty=stars("gd_star_ratings"), mapper_id=st["gd_user_id"], year=st["gd_year"],
                     descriptors=tags("gd_beatmap_id"))
    k = dict(flip=tuple(x["flip"]), speed=x["speed"])
    e = training_example(tokenizer(folder, version), c, m, contexts(folder, version, d, x["in"], gm, **k),
                         contexts(folder, version, d, x["out"], None, **k), span, learn_cuts=True)
    return e.ids.tolist() == x["input_ids"] and e.labels.tolist() == x["labels"]

def inference_case(folder, d, x, negative):
    "Whether a generation prompt equals the oracle's."
    version, g = x["version"], d["generation_config"]
    c, p, b = language(version), Parser(language(version)), beatmap(folder, d["map"])
    m = Metadata(g["gamemode"], x["song_length_ms"], g["difficulty"], g["mapper_id"], g["year"], g["hitsounded"], g["slider_multiplier"],
                 g["circle_size"], g["keycount"], g["hold_note_ratio"], g["scroll_speed_ratio"], g["negative_descriptors" if negative else "descriptors"])
    outs = contexts(folder, version, d, x["out"], None)
    for o in outs:
        if o.type is ContextType.SV: o.stream = p.scroll_speed_events(b) # given in all modes there
    prompt = build(tokenizer(folder, version), c, m, contexts(folder, version, d, x["in"], None), outs, x["frame_time_ms"])
    return prompt.ids == x["negative_prompt_ids" if negative else "prompt_ids"]

def windows(folder):
    "All cases of the windows family."
    for path in sorted((folder/"oracles"/"windows").glob("*.json.gz")):
        d = read(path)
        for x in d["training"]: yield path.stem, x["version"], "training", training_case(folder, d, x)
        for x in d["inference"]:
            yield path.stem, x["version"], "inference", inference_case(folder, d, x, False)
            yield path.stem, x["version"], "negative", inference_case(folder, d, x, True)
