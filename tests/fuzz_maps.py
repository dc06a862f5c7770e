"The door of maps: what is made up, what is done to real ones, and all that the package does with a map."

from __future__ import annotations
import math
from functools import cache
from pathlib import Path

import numpy as np
import rosu_pp_py as rosu
from hypothesis import strategies as st

from corpus.corpus import anew
from mapperatorinator.config import GenerateConfig, LanguageConfig, compose
from mapperatorinator.core import UserError
from mapperatorinator.data import MapItem, object_times, window_example
from mapperatorinator.events import ContextType, EventStream
from mapperatorinator.request import contexts_of
from mapperatorinator.osu.beatmap import (
    BEAT_MS,
    DIFFICULTY,
    KEYS,
    LIMIT,
    VELOCITY,
    Beatmap,
    Slider,
)
from mapperatorinator.osu.check import check_map
from mapperatorinator.osu.difficulty import star_rating, strains
from mapperatorinator.osu.files import file_name
from mapperatorinator.osu.timing import Timing, counted
from mapperatorinator.parse import MOST_BEATS, MOST_MORE, Parser
from mapperatorinator.postprocess import assemble, clean, ease_jumps, end_with_song, preview_point
from mapperatorinator.prompt import Metadata, request_ids
from mapperatorinator.remap import SOUNDS, splice
from mapperatorinator.tokenizer import Tokenizer
from mapperatorinator.groups import event_times, read_groups
from mapperatorinator.unparse import to_hit_objects

SONG = 60_000  # ms, the song that the maps are said to be for

# --- made-up maps

MAPS = [
    p.read_text(encoding="utf-8") for p in sorted((Path(__file__).parent / "maps").glob("*.osu"))
]  # our own, one of everything
WILD = [
    "nan",
    "inf",
    "-1",
    "0",
    "-0",
    "1e308",
    "1e-300",
    "-1e-300",
    "5e-324",
    "99999999999",
    "2147483647",
    "-2147483648",
    "1e18",
    "1e9",
    "0.5",
    "6",
    "5.999",
    "60000",
    "131072",
    "-131072",
    "131073",
    "9000",
    "9001",
    "18",
    "19",
    "6.5",
    "7.5",
    "1_0",
    "",
    " ",
    "٣",
    "1e",
    ".",
    "2147483647.5",
    "-24",
    "24",
]
CHUNKS = [
    *WILD,
    ",",
    "|",
    ":",
    "\r",
    "\n",
    "\0",
    "[",
    "]",
    "//",
    "B|",
    "[HitObjects]\n",
    "[TimingPoints]\n",
    "é",
    "\ufeff",
    "-",
    "L|0:0|0:0",
    "_",
    "0,0,0,2,0,P|1:1|2:2,1,1\n",
    "\ud800",
    "\udce9",
    "0,1e-300,4,1,0,9,1,0\n",
    "0,NaN,4,1,0,9,1,0\n",
    "0,-1e-9,4,1,0,9,0,0\n",
    "0,0,1\n",
    "9,9,9,2,0,B|9:9|131072:-131072|0:0,9000,131072\n",
    "0,0,0,8,0,2147483647\n",
    "5,5,0,128,0,2147483647:\n",
    "B4|1:1|2:9|3:3|4:0|5:5|9:9",
    "0,0,-2147483648,1,0\n",
    "osu file format v3\n",
    "2,0,2147483647\n",
]

edits = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.integers(0, 12),
        st.sampled_from(CHUNKS) | st.text(max_size=5),
        st.sampled_from([1, 1, 1, 10]),
    ),
    min_size=1,
    max_size=8,
)


def edited(text, changes):  # each: a place, how much is cut there, what comes instead, how often
    for place, cut, chunk, times in changes:
        i = int(place * len(text))
        text = text[:i] + chunk * times + text[i + cut :]
    return text


small = st.integers(-50, 70_000).map(str)
wild = st.sampled_from(WILD)
number = small | small | wild | st.floats(-1e5, 1e5).map(repr)
place = st.integers(-20, 532).map(str) | st.sampled_from(["131072", "-131072", "1e9", "nan", "256.5"])
seven = st.lists(number, min_size=1, max_size=7)
red = st.tuples(
    number,
    st.sampled_from(["500", "333.333", "400"]) | wild,
    st.sampled_from(["4", "3", "0", "2147483647", "-1"]),
).map(lambda f: f"{f[0]},{f[1]},{f[2]},2,0,60,1,0")
green = st.tuples(number, st.sampled_from(["-100", "-50", "-1e-300", "NaN", "-2147483647"]) | wild).map(
    lambda f: f"{f[0]},{f[1]},4,1,0,60,0,1"
)
points = (
    st.lists(st.tuples(place, place).map(":".join), min_size=1, max_size=6)
    .flatmap(lambda p: st.sampled_from([p, [*p, p[-1]], [p[0], *p]]))
    .map("|".join)
)
curve = st.tuples(st.sampled_from(["B", "P", "L", "C", "B3", "Q", "P|50:50|L"]), points).map("|".join)
slides = st.sampled_from(["1", "2", "9000", "9001", "-1", "1e9", "0"])
length = st.sampled_from(["100", "0", "", "131072", "1e300", "nan", "-5", "0.001"]) | number
circle = st.tuples(place, place, number, st.sampled_from(["1", "5", "69"])).map(
    lambda f: f"{','.join(f)},0,0:0:0:0:"
)
slider = st.tuples(place, place, number, curve, slides, length).map(
    lambda f: f"{f[0]},{f[1]},{f[2]},2,0,{f[3]},{f[4]},{f[5]}"
)
spinner = st.tuples(number, number).map(lambda f: f"256,192,{f[0]},12,0,{f[1]}")
hold = st.tuples(place, number, number).map(lambda f: f"{f[0]},192,{f[1]},128,0,{f[2]}:0:0:0:0:")
setting = st.tuples(
    st.sampled_from(
        [
            "CircleSize",
            "OverallDifficulty",
            "ApproachRate",
            "HPDrainRate",
            "SliderMultiplier",
            "SliderTickRate",
        ]
    ),
    number | wild,
).map(":".join)


@st.composite
def invented(draw):
    "A map of lines that are nearly right."
    version = draw(st.sampled_from([3, 4, 5, 9, 14, 14, 14, 128]))
    mode = draw(st.sampled_from([0, 0, 1, 2, 3, 3, 9]))
    lines = lambda what, most: "\n".join(draw(st.lists(what, max_size=most)))
    return (
        f"osu file format v{version}\n\n[General]\nMode: {mode}\nPreviewTime: {draw(number)}\n\n[Difficulty]\n{lines(setting, 4)}\n\n[Events]\n"
        f"{lines(st.tuples(number, number).map(lambda f: f'2,{f[0]},{f[1]}'), 3)}\n\n[TimingPoints]\n{lines(red, 4)}\n{lines(green, 4)}\n\n[HitObjects]\n"
        f"{lines(circle | slider | slider | spinner | hold, 12)}\n"
    )


def encoded(text):
    return text.encode(
        "utf-8",
        "surrogateescape"
        if all(not "\ud800" <= c <= "\udfff" or "\udc80" <= c <= "\udcff" for c in text)
        else "replace",
    )


texts = (
    st.builds(edited, st.sampled_from(MAPS), edits)
    | invented()
    | invented()
    | st.builds(edited, invented(), edits)
    | st.text(max_size=300)
)
random_bytes = st.binary(max_size=300) | st.binary(max_size=200).map(
    lambda b: b"osu file format v14\n[HitObjects]\n" + b
)
inputs = (
    texts.map(encoded)
    | texts.map(encoded)
    | random_bytes
    | texts.map(lambda t: b"\xff\xfe" + t.encode("utf-16-le", "replace"))
)

# --- real maps, changed


def swapped(lines, rng):
    i = rng.randrange(len(lines))
    j = rng.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]


def renumbered(lines, rng):  # a field of a line says something else
    i = rng.randrange(len(lines))
    fields = lines[i].split(b",")
    fields[rng.randrange(len(fields))] = rng.choice(WILD).encode()
    lines[i] = b",".join(fields)


def revalued(lines, rng):  # a key does
    keyed = [i for i, l in enumerate(lines) if b":" in l and b"," not in l]
    if keyed:
        lines[i] = lines[i := rng.choice(keyed)].split(b":")[0] + b":" + rng.choice(WILD).encode()


def flipped(lines, rng):
    i = rng.randrange(len(lines))
    if lines[i]:
        lines[i] = bytes(b ^ (1 << rng.randrange(8)) if rng.random() < 0.1 else b for b in lines[i])


def dropped(lines, rng):
    i = rng.randrange(len(lines))
    del lines[i : i + rng.choice([1, 1, 5, 100])]


def doubled(lines, rng):
    i = rng.randrange(len(lines))
    lines[i:i] = lines[i : i + rng.choice([1, 5, 100])] * rng.choice([1, 1, 20])


def section_gone(lines, rng):  # or twice, or somewhere else
    heads = [i for i, l in enumerate(lines) if l.startswith(b"[")]
    if not heads:
        return
    i = rng.choice(heads)
    end = next((j for j in heads if j > i), len(lines))
    section = lines[i:end]
    del lines[i:end]
    at = rng.randrange(len(lines) + 1)
    lines[at:at] = section * rng.choice([0, 1, 2])


def reversioned(lines, rng):
    lines[:1] = [f"osu file format v{rng.choice([3, 4, 14, 128, 999])}".encode()]


def remoded(lines, rng):
    lines[:] = [f"Mode: {rng.randrange(4)}".encode() if l.startswith(b"Mode") else l for l in lines]


CHANGES = (
    swapped,
    renumbered,
    renumbered,
    renumbered,
    revalued,
    flipped,
    dropped,
    doubled,
    section_gone,
    reversioned,
    remoded,
)


def shortened(lines, rng, most=300):  # a stretch of its objects: most faults need no more, and it is quick
    i = next((i for i, l in enumerate(lines) if l.startswith(b"[HitObjects]")), len(lines)) + 1
    start = rng.randrange(max(len(lines) - i - most, 1))
    return lines[:i] + lines[i + start : i + start + most]


def mutated(data, rng):
    "A map with something done to it, once to six times."
    lines = data.split(b"\n")
    if rng.random() < 0.9:
        lines = shortened(lines, rng)
    for _ in range(rng.randint(1, 6)):
        if lines:
            rng.choice(CHANGES)(lines, rng)
    return b"\n".join(lines)


# --- what is done with a map

OURS = LanguageConfig(add_mania_sv=True, add_kiai=True, add_timing=True)


@cache
def tongues():
    return [
        (c, Tokenizer.from_config(c))
        for c in (OURS, compose(LanguageConfig, preset="v28"), compose(LanguageConfig, preset="v32"))
    ]


def walk(data):
    "Everything; a step that refuses the map in a sentence does not keep it from the others."
    map = Beatmap.parse(data)
    for step in (written, looked_at, measured, told, learnt, mended, come_back, remapped):
        try:
            step(map.copy(), data)
        except UserError as e:
            if not all(str(a).isprintable() for a in e.args):
                raise AssertionError(f"control characters in {str(e)!r}") from e


def written(map, data):
    "Bytes stay; what is written anew says the same."
    out = map.to_bytes()
    assert Beatmap.parse(out).to_bytes() == out
    if map.encoding == "utf-8":
        assert out == data or out == data + map.eol.encode()
    fresh = anew(map)
    again = Beatmap.parse(fresh.to_bytes())
    assert (again.hit_objects, again.timing_points) == (fresh.hit_objects, fresh.timing_points)


def between(v, limits):
    return limits[0] <= v <= limits[1]


def looked_at(map, _):
    "What a file says is worth what the game takes it for."
    assert all(between(v, DIFFICULTY) for v in (map.hp, map.od, map.ar)) and between(map.keys, KEYS)
    assert between(map.slider_multiplier, (0.4, 3.6)) and between(map.tick_rate, (0.5, 8))
    for p in map.timing_points:
        assert between(p.beat_ms, BEAT_MS) and between(p.velocity, VELOCITY) and math.isfinite(p.sv)
    for o in map.hit_objects:
        assert (
            0 <= map.duration(o) <= LIMIT and map.end_time(o) >= o.time and 0 <= o.column(map.keys) < map.keys
        )
        if isinstance(o, Slider):
            assert np.isfinite(o.path.vertices).all() and len(o.path.points_along(9)) == 9
    assert (
        map._repr_markdown_()
        and file_name(map)
        and map.ar is not None
        and map.breaks is not None
        and map.background != ""
    )
    assert len(object_times(map)) >= len(map.hit_objects) and isinstance(preview_point(map), int)


def measured(map, _):
    "Timing, findings, stars."
    timing = Timing.of(map)
    for o in map.hit_objects[:50] if timing.red else ():
        assert 0 <= timing.snap_divisor(o.time) <= 16 and abs(timing.resnap(o.time, 4) - o.time) <= 21
        assert math.isfinite(timing.beats_since_redline(o.time))
    assert timing.median_beat_length(SONG) > 0 or not timing.red
    assert len(timing.beats(0, SONG, 4)) <= 4 * SONG / BEAT_MS[0] + len(timing.red)
    report = check_map(map, length=SONG)
    assert report.summary() and report._repr_html_()
    assert math.isfinite(star_rating(map)) and strains(map)
    assert counted(map, SONG).timing_points


def told(map, data):
    "In words of our language and of a published one, as tokens and back."
    ours, *published = tongues()
    for language, tokenizer in (ours, published[len(data) % len(published)]):
        parser = Parser(language)
        streams = [parser.context(kind, map) for kind in (ContextType.MAP, ContextType.KIAI, ContextType.SV)]
        assert sum(len(s) for s in streams) <= 60 * len(data) + 4 * MOST_MORE + 2 * MOST_BEATS
        assert request_ids(tokenizer, language, Metadata.of(map, language, SONG))
        back = through_tokens(streams[0], tokenizer, language)
        found = to_hit_objects(
            read_groups(back, language, map.keys), Timing.of(map), map.slider_multiplier, language, map.mode
        )
        assert all(math.isfinite(o.time) for o in found.objects)
        assert len(contexts_of(map, language, [ContextType.TIMING], SONG)[0].stream) <= 2 * MOST_BEATS


def through_tokens(stream, tokenizer, language, windows=20):
    "The first windows of a stream as ids and back."
    out = []
    size = int(language.window_ms)
    for k in range(windows):
        ids = tokenizer.encode_stream(stream.between(k * size, (k + 1) * size), k * size)
        out += tokenizer.decode_ids(ids, k * size)
    return EventStream(out, event_times(out, language.types_first))


def learnt(map, _):
    "As training reads it."
    language, tokenizer = tongues()[-1]
    item = MapItem(map, Parser(language))
    for start in (0, SONG // 2):
        assert len(window_example(item, tokenizer, language, start, SONG).ids)


def reads_back(map, skipped=0):
    "Nothing that we write is refused by our reader."
    back = Beatmap.parse(map.to_bytes())
    assert len(back.hit_objects) == len(map.hit_objects) and len(back.warnings) <= skipped


def mended(map, _):
    "Cleaned, whole."
    skipped = len(map.warnings)
    clean(map)
    assert sum(clean(map).values()) == 0
    reads_back(map, skipped)
    if map.mode == 2:
        ease_jumps(map)
    end_with_song(map, SONG)
    assert all(map.end_time(o) <= SONG for o in map.hit_objects)


def made_again(map):
    "The map, told in events and made of them anew."
    parser = Parser(LanguageConfig())
    streams = [parser.context(kind, map) for kind in (ContextType.MAP, ContextType.KIAI, ContextType.SV)]
    config = GenerateConfig(gamemode=map.mode, slider_multiplier=map.slider_multiplier, circle_size=map.cs)
    return assemble(streams, Timing.of(counted(map)), config, parser.language, map.keys)


def come_back(map, _):
    "Assembled of its events."
    back = made_again(map)
    reads_back(back)
    assert rosu.Beatmap(bytes=back.to_bytes()).n_objects == len(back.hit_objects)  # nor by the game's
    assert sum(clean(back).values()) == 0


def remapped(map, _):
    "A range of it exchanged for the same, and for one that was made again."
    times = sorted(o.time for o in map.hit_objects) or [0, 1]
    ranges = [(times[len(times) // 3], times[len(times) * 2 // 3] + 1), (0, SONG)]
    made = made_again(map)
    for start, end in ranges:
        for asked in ((), ["kiai", *SOUNDS]):
            result = splice(map, made, start, end, asked)
            kept = [o for o in map.hit_objects if not round(start) <= o.time < round(end)]
            assert [o for o in result.hit_objects if not round(start) <= o.time < round(end)] == kept
            reads_back(result, len(map.warnings))
