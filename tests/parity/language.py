"The parse and windows families of `tests/parity`: events, token ids, prompts and training examples of maps."

from __future__ import annotations
import gzip
import math
import re
from contextlib import contextmanager
from functools import cache
from itertools import product
from unittest.mock import patch

import numpy as np

from mapperatorinator.config import LanguageConfig, compose
from mapperatorinator.events import ContextType, EventStream
from mapperatorinator.osu.beatmap import Beatmap, Slider
from mapperatorinator.osu.curves import end_point
from mapperatorinator.parse import Parser, hitsounded, hold_note_ratio, median_beat_length, Scribe
from mapperatorinator.prompt import Context, Metadata, Span, build, training_example
from mapperatorinator.tokenizer import Tokenizer
from parity import ROUNDED, either, guarded, read_json as read

TYPES = (
    "t snap dist new_combo hitsound volume circle spinner spinner_end slider_head bezier_anchor perfect_anchor catmull_anchor red_anchor last_anchor "
    "slider_end beat measure timing_point gamemode style difficulty mapper cs year hitsounded song_length song_position global_sv keycount "
    "hold_note_ratio scroll_speed_ratio descriptor pos_x pos_y pos kiai column hold_note hold_note_end scroll_speed_change scroll_speed drumroll "
    "drumroll_end denden denden_end control slider_sustain slider_repeat_sustain spinner_sustain hold_note_sustain drumroll_sustain denden_sustain "
    "pos_refine"
).split()  # as the oracles number the types, unless their index says otherwise
MAPPERS = list(range(101, 108))  # of the stub tables with which the oracles were measured
TAGS = [f"tag/{i}" for i in range(5)]


@cache
def language(version):
    return compose(LanguageConfig, preset=version)


@cache
def tokenizer(folder, version):
    "The stored tokenizer, or the one of the stub tables."
    path = folder / "oracles" / "parse" / "tokenizers" / version
    c = language(version)
    if (path / "tokenizer.json").is_file():
        return Tokenizer.load(path)
    return Tokenizer.from_config(
        c, MAPPERS if c.add_mapper_token else None, TAGS if c.add_descriptors else None
    )


@cache
def types_of(folder):
    "The names of the types by their numbers."
    path = folder / "oracles" / "parse" / "index.json"
    index = read(path) if path.is_file() else {}
    return index.get("types", TYPES) if isinstance(index, dict) else TYPES


def map_of(folder, name):
    "Where a map lies, or None."
    home = folder / "oracles" / "parse" / "osu"
    return either(home / f"{name}.osu.gz", home / f"{name}.osu")


@cache
def beatmap(folder, name, own_clock=True):
    "A map of the oracles; without its own clock old ones are read as the reference reads them, 24 ms early."
    path = map_of(folder, name)
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return Beatmap.parse(
        data if own_clock else re.sub(rb"(osu file format v)[34]\b", rb"\g<1>5", data, count=1)
    )


def stream(types, d):
    return [(types[i], v, t) for i, v, t in zip(d["type"], d["value"], d["time"], strict=True)]


def ours(s):
    return [(e.type.value, e.value, t) for e, t in s]


# --- ends on the border of two cells ---------------------------------------------------------------------------------------

BORDER = 1e-11  # px; an end so near to a whole pixel lies on either side of it, as the last bit of arctan2 will have it (6e-14 was met)


def on_a_border(v):
    return abs(v - round(v)) <= BORDER


def sides(end):
    "The ends that are the same but for the last bits: on the border that an end lies on, and one bit to either side of it."
    near = lambda v: (round(v), math.nextafter(round(v), -math.inf), math.nextafter(round(v), math.inf))
    return [*product(*((v, *near(v)) if on_a_border(v) else (v,) for v in end))]


@contextmanager
def ends_at(chosen):
    "Slider ends where they were chosen to be: (kind, points, length) -> (x, y)."
    with patch("mapperatorinator.parse.end_point", lambda *shape: chosen.get(shape) or end_point(*shape)):
        yield


def ends_near(beatmap, language, time):
    "Shapes of sliders that end on a border at this time (ms) or shortly before, the last first."
    scribe = Scribe(language, beatmap)
    found = []
    for o in beatmap.hit_objects:
        if not isinstance(o, Slider):
            continue
        end = o.time + scribe.slider_span(o)[0] / 1000
        if not -5 <= time - end <= 10_000:
            continue
        kind, points = scribe.shape(o)
        shape = kind, tuple(points), o.length
        if any(map(on_a_border, end_point(*shape))):
            found.append((end, shape))
    return [shape for _, shape in sorted(found, reverse=True)[:6]]


def first_difference(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def moved_ends(speak, want, at, shapes, chosen):
    "Ends on a border chosen so that what is spoken is the oracle's as far beyond a place as can be; None when there are none."

    def reached(more):
        with ends_at(more):
            return first_difference(ours(speak()), want)

    for shape in shapes:
        best = max(({**chosen, shape: end} for end in sides(end_point(*shape))), key=reached)
        if reached(best) > at:
            return best


def equal_ends(speak, want, beatmap, language, speed=1.0):
    """The stream that is spoken when ends on a border fall to the side that the oracle has, and whether it is the oracle's: true, ROUNDED or false.
    Nothing but such ends is moved, and all else must be equal then."""
    said = speak()
    chosen = {}
    while ours(said) != want:
        at = first_difference(ours(said), want)
        if at >= len(want):
            return said, False
        shapes = [s for s in ends_near(beatmap, language, want[at][2] * speed) if s not in chosen]
        if (chosen := moved_ends(speak, want, at, shapes, chosen)) is None:
            return said, False
        with ends_at(chosen):
            said = speak()
    return said, ROUNDED if chosen else True


# --- parse ---------------------------------------------------------------------------------------------------------------


def windowed(tok, c, s: EventStream, windows: int):
    "Token ids of whole windows back to back, as the oracle has them."
    out = []
    size = c.src_seq_len - 1
    for k in range(windows):
        start = k * size * c.hop_length * 1000 / c.sample_rate
        end = (k + 1) * size * c.hop_length * 1000 / c.sample_rate
        out += tok.encode_stream(s.between(start, end), start)
    return out


def methods(p):
    return {
        "map": p.map_events,
        "timing": p.timing_events,
        "kiai": p.kiai_events,
        "sv": p.scroll_speed_events,
    }


def parse_case(folder, name, own_clock=True):
    "(version, stream, equal) of one file."
    d = read(folder / "oracles" / "parse" / f"{name}.json.gz")
    b = beatmap(folder, name, own_clock)
    types = types_of(folder)
    told = lambda p, speak, want, speed=1.0: equal_ends(speak, stream(types, want), b, p.language, speed)
    for version, contexts in d.get("configs", {}).items():
        if isinstance(contexts, str):
            contexts = d["configs"][contexts]  # says the same
        c = language(version)
        p = Parser(language(version))
        tok = tokenizer(folder, version)
        for what, want in contexts.items():
            got, same = told(p, lambda: methods(p)[what](b), want)
            yield version, what, same
            if "ids" in want and all(e.type in tok for e in got.events):
                ids = windowed(tok, c, got, len(want["per_window"])) == want["ids"]
                yield version, f"{what} ids", same if ids else False
    p = Parser(language("v32"))
    for a in d.get("augmented_v32", []):
        flip = tuple(a["flip"])
        speed = a["speed"]
        yield (
            "v32",
            "map faster or flipped",
            told(p, lambda: p.map_events(b, flip, speed=speed), a["map"], speed)[1],
        )
        if "timing" in a:
            yield "v32", "timing faster", ours(p.timing_events(b, speed=speed)) == stream(types, a["timing"])
    if "no_hs_v28" in d:
        p28 = Parser(language("v28"))
        yield "v28", "no_hs", told(p28, lambda: p28.context(ContextType.NO_HS, b), d["no_hs_v28"])[1]
    if "scalars" in d:
        yield from scalars(p, b, d["scalars"])


def measured(p, b):
    "Ratios and the median beat length of a map."
    speeds = "scroll_speed_ratio_normalized" if b.mode == 3 else "scroll_speed_ratio_raw"
    return {
        "hold_note_ratio": hold_note_ratio(b),
        "hitsounded": hitsounded(b),
        "median_ms_per_beat": median_beat_length(Scribe(p.language, b)),
        speeds: p.scroll_speed_ratio(b),
    }


def scalars(p, b, want):
    "Whether they are the oracle's."
    near = lambda a, w: a == w if a is None or w is None else abs(a - w) <= 1e-9 * max(abs(w), 1)
    short = {
        "median_ms_per_beat": "median",
        "scroll_speed_ratio_normalized": "scroll_speed_ratio",
        "scroll_speed_ratio_raw": "scroll_speed_ratio",
    }
    for key, v in measured(p, b).items():
        if key in want:
            yield "-", short.get(key, key), near(v, want[key])


def parse(folder):
    "All cases of the parse family: (file, version, what, equal)."
    for path in sorted((folder / "oracles" / "parse").glob("*.json.gz")):
        name = path.name.removesuffix(".json.gz")
        if map_of(folder, name) is None:
            yield name, "-", "the map of an oracle", None
        else:
            yield from guarded(name, clocked(folder, name))


def clocked(folder, name):
    "The cases of a map; of a map of format 3 or 4, what equals the oracle only when it is read without the 24 ms differs by that fix."
    if beatmap(folder, name).format_version >= 5:
        return parse_case(folder, name)
    return old_cases(parse_case(folder, name), parse_case(folder, name, own_clock=False))


def old_cases(ours, early):
    for (version, what, equal), (_, _, equal_early) in zip(ours, early, strict=True):
        yield version, what, "old maps are 24 ms late" if equal_early and not equal else equal


# --- windows -------------------------------------------------------------------------------------------------------------


@cache
def spoken(folder, version, name, kind, flip=(False, False), speed=1.0):
    "A context of a map."
    return Parser(language(version)).context(ContextType(kind), beatmap(folder, name), flip, speed)


def contexts(folder, version, d, names, meta, **k):
    return [
        Context(
            ContextType(n),
            spoken(folder, version, d["gd_map" if n == "gd" else "map"], n, **k),
            True,
            meta if n == "gd" else None,
        )
        for n in names
    ]


def training_ids(folder, d, x):
    "Ids and labels of a training example."
    version = x["version"]
    st = d["settings"]
    c = language(version)
    b = beatmap(folder, d["map"])
    g = beatmap(folder, d["gd_map"])
    n = d["audio_samples_16k"] // c.hop_length + 1
    start = x["window"] * (c.src_seq_len - 1)
    span = Span.at_frame(
        c, start, n - 1, x["lookback"], since=0
    )  # events of the last frame are lost in the oracle
    stars = lambda key: float(np.interp(x["speed"], np.arange(0.5, 2.01, 0.25), st[key]))
    tags = lambda key: st["tokenizer_descriptors_of_beatmap"][str(d[key])]
    length = d["audio_samples_16k"] / 16
    m = Metadata.of(
        b,
        c,
        length,
        difficulty=stars("star_ratings_at_speeds_0.5_to_2.0"),
        mapper_id=st["user_id"],
        year=st["year"],
        descriptors=tags("beatmap_id"),
    )
    gm = Metadata.of(
        g,
        c,
        length,
        difficulty=stars("gd_star_ratings"),
        mapper_id=st["gd_user_id"],
        year=st["gd_year"],
        descriptors=tags("gd_beatmap_id"),
    )
    k = dict(flip=tuple(x["flip"]), speed=x["speed"])
    e = training_example(
        tokenizer(folder, version),
        c,
        m,
        contexts(folder, version, d, x["in"], gm, **k),
        contexts(folder, version, d, x["out"], None, **k),
        span,
        learn_cuts=True,
    )
    return e.ids.tolist(), e.labels.tolist()


def request_of(g, song_length, negative=False):
    "What a recorded generation config asks of a model, or what it leads away from."
    return Metadata(
        g["gamemode"],
        song_length,
        g["difficulty"],
        g["mapper_id"],
        g["year"],
        g["hitsounded"],
        g["slider_multiplier"],
        g["circle_size"],
        g["keycount"],
        g["hold_note_ratio"],
        g["scroll_speed_ratio"],
        g["negative_descriptors" if negative else "descriptors"],
    )


def inference_ids(folder, d, x, negative):
    "The generation prompt."
    version = x["version"]
    g = d["generation_config"]
    c = language(version)
    p = Parser(language(version))
    b = beatmap(folder, d["map"])
    m = request_of(g, x["song_length_ms"], negative)
    outs = contexts(folder, version, d, x["out"], None)
    for o in outs:
        if o.type is ContextType.SV:
            o.stream = p.scroll_speed_events(b)  # given in all modes there
    return build(
        tokenizer(folder, version),
        c,
        m,
        contexts(folder, version, d, x["in"], None),
        outs,
        x["frame_time_ms"],
    ).ids


def window_rows(folder, d):
    "(version, what, equal) of the windows of one map."
    for x in d.get("training", []):
        yield x["version"], "training", training_ids(folder, d, x) == (x["input_ids"], x["labels"])
    for x in d.get("inference", []):
        yield x["version"], "inference", inference_ids(folder, d, x, False) == x["prompt_ids"]
        yield x["version"], "negative", inference_ids(folder, d, x, True) == x["negative_prompt_ids"]


def windows(folder):
    "All cases of the windows family."
    for path in sorted((folder / "oracles" / "windows").glob("*.json.gz")):
        yield from guarded(path.name.removesuffix(".json.gz"), window_file(folder, path))


def window_file(folder, path):
    "The rows of a file; None where its maps are not in the folder."
    d = read(path)
    lacking = [n for n in {d["map"], d.get("gd_map", d["map"])} if map_of(folder, n) is None]
    if lacking:
        yield "-", "the maps of windows", None
    else:
        yield from window_rows(folder, d)
