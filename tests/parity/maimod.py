"""The maimod family of `tests/parity`: how surprised a published layout is by every word of a map, and what it expected.

Scroll speeds are given in all modes there, in ours in mania only; here they are given as there. Maps on which the reference stopped are left aside, since
there is nothing to compare with: with its last context closed, as it was meant, the same maps are there too."""

from __future__ import annotations
import gzip
from dataclasses import replace

import numpy as np

from mapperatorinator.audio import load_audio
from mapperatorinator.config import ModConfig
from mapperatorinator.engine import Engine
from mapperatorinator.events import ContextType
from mapperatorinator.maimod.suggest import as_event
from mapperatorinator.maimod.surprise import Heard, MapText, score_map
from mapperatorinator.model.hub import load_bundle
from mapperatorinator.osu.beatmap import Beatmap
from mapperatorinator.parse import Parser
from parity import either, guarded, read_json
from parity.language import request_of


def map_of(home, d):
    "The map of an oracle, or None."
    name = d["map_file"] or f"{d['map']}.osu"
    path = either(home / "maimod" / name, home / "generate" / name, home / "parse" / "osu" / f"{name}.gz")
    if path is None:
        return None
    data = path.read_bytes()
    return Beatmap.parse(gzip.decompress(data) if path.suffix == ".gz" else data)


def scored(home, d):
    "Our scores of a map, or None where the folder has no weights, no sound or no map."
    folder = home / d["checkpoint"]
    audio = either(home / "maimod" / d["audio"], home / "generate" / d["audio"])
    beatmap = map_of(home, d)
    if not (folder / "model.safetensors").is_file() or audio is None or beatmap is None:
        return None
    engine = Engine(load_bundle(folder))
    metadata = request_of(d["generation_config"], d["song_length"])
    config = ModConfig(lookback=d["lookback"], lookahead=d["lookahead"])
    heard = Heard.of(engine, load_audio(audio, 16000), config, metadata)
    text = MapText.of(engine, beatmap, heard.ms, metadata)
    speeds = Parser(engine.language).scroll_speed_events(beatmap)
    given = [replace(c, stream=speeds) if c.type is ContextType.SV else c for c in text.outputs]
    text = replace(text, outputs=given)
    return engine, heard, score_map(engine, text, heard)


def told(d, k):
    "Scores of a context and what was expected there, as they were recorded."
    context = d["contexts"][k]
    expected = context["expected"]
    names = [d["types"][i] for i in expected["type"]]
    return np.array(context["surprisal"]), list(zip(names, expected["value"]))


def ours(found, d, k, n):
    "The same from us; an expected word counts where something was judged."
    engine, heard, scores = found
    rows = np.flatnonzero((scores.context == k) & (scores.event < n))
    ratio = np.zeros(n)
    ratio[scores.event[rows]] = scores.ratio[rows]
    words = {}
    for row in rows:
        start = heard.windows[scores.window[row]].time_ms
        words[int(scores.event[row])] = as_event(int(scores.top[row, 0]), engine.tokenizer, start)
    return ratio, words


def is_tie(scores, k, event):
    "Whether two words were as good as equal."
    row = np.flatnonzero((scores.context == k) & (scores.event == event))[0]
    first, second = scores.chance[row, :2]
    return first - second < 1e-4


def oracle(home, path):
    "The rows of an oracle."
    d = read_json(path)
    if d["error"]:
        return
    found = scored(home, d)
    for k, context in enumerate(d["contexts"]):
        if found is None:
            yield d["version"], "weights or sound of maimod", None
            continue
        ratio, expected = told(d, k)
        mine, words = ours(found, d, k, len(ratio))
        yield (
            d["version"],
            f"scores of {context['context']}",
            bool(np.allclose(mine, ratio, rtol=1e-3, atol=1e-4)),
        )
        same = all(
            (w.type.value, w.value) == expected[i]
            or w.type.value == "control" == expected[i][0]
            or is_tie(found[2], k, i)
            for i, w in words.items()
        )
        yield d["version"], f"expected in {context['context']}", same


def maimod(folder):
    "All cases of the maimod family."
    home = folder / "oracles"
    for path in sorted((home / "maimod").glob("*.json.gz")):
        yield from guarded(path.name.removesuffix(".json.gz"), oracle(home, path))
