"The generate family of `parity.py`: whole greedy generations of small published-layout models, call by call."
from __future__ import annotations
import gzip
import json
from types import SimpleNamespace

import torch

from mapperatorinator.audio import load_audio
from mapperatorinator.config import LanguageConfig, compose
from mapperatorinator.engine import Engine, Speed, Written
from mapperatorinator.events import ContextType, EventStream, EventType
from mapperatorinator.generate import Sampling, contexts_of, generate as write
from mapperatorinator.model.hub import load_bundle
from mapperatorinator.model.mapper import Encoded
from mapperatorinator.osu.beatmap import Beatmap, TimingPoint
from mapperatorinator.parse import Parser
from mapperatorinator.prompt import Context, Metadata
from mapperatorinator.tokenizer import PAD, SOS, Tokenizer
from mapperatorinator.refine import pixel_language
from mapperatorinator.unparse import column_place, place_of
from mapperatorinator.windows import plan

C, E = ContextType, EventType
TIE = 1e-4 # two best scores so near may change places

def read(path): return json.loads(gzip.open(path).read())

class Witness(Engine):
    "An engine that remembers what it was told and what it wrote."
    def __init__(self, bundle): super().__init__(bundle, "cpu"); self.calls = []

    def generate(self, job, cancel=None):
        out = super().generate(job, cancel)
        self.calls.append((job, out))
        return out

class Script(Witness):
    "Writes what the reference wrote, so that prompts and stitching can be compared without a model."
    def __init__(self, tokenizer, language, calls):
        self.tokenizer, self.language, self.said, self.speed, self.max_batch_size = tokenizer, language, iter(calls), Speed(), 1000
        self.model, self.device, self.calls = SimpleNamespace(c=SimpleNamespace(conditions=[])), "cpu", []

    def encode(self, windows, *args, **kwargs): return Encoded(torch.zeros(len(windows), 1, 1))

    def generate(self, job, cancel=None):
        rows, stop = next(self.said)["generated"], set(job.stop)
        ends = [next((n for n, i in enumerate(ids, 1) if i in stop), None) for ids in rows]
        out = [Written([i for i in ids[:n] if i != PAD], n is not None) for ids, n in zip(rows, ends)]
        self.calls.append((job, out))
        return out

# --- our run of a stored request -----------------------------------------------------------------------------------------

class Case:
    "A stored run, and what our side needs to repeat it."
    def __init__(self, folder, path):
        self.home, self.run = folder/"oracles"/"generate", read(path)
        r = self.run
        self.name, self.version, self.settings = r["run"], r["version"], r["settings"]
        self.language = compose(LanguageConfig, preset=self.version, src_seq_len=r["src_seq_len"], tgt_seq_len=r["tgt_seq_len"])
        self.tokenizer = Tokenizer.load(self.home/"ckpt"/r["checkpoint"])
        self.samples = load_audio(self.home/"clip1.wav", self.language.sample_rate)
        self.length = len(self.samples) * 1000 / self.language.sample_rate
        self.beatmap = Beatmap.read(self.home/r["reference_beatmap"]) if r["reference_beatmap"] else None

    @property
    def adds(self): return bool(self.settings.get("add_to_beatmap"))

    def metadata(self, negative=False):
        g = self.run["generation_config"]
        keep = not negative or g["descriptors"] or g["negative_descriptors"]
        return Metadata(g["gamemode"], self.length, g["difficulty"], g["mapper_id"] if keep else None, g["year"], g["hitsounded"],
                        g["slider_multiplier"], g["circle_size"], g["keycount"], g["hold_note_ratio"], g["scroll_speed_ratio"],
                        g["negative_descriptors" if negative else "descriptors"])

    def given(self, step):
        "Contexts at hand in a pass: views of the reference map, the timing that was written before, the beginning of a map to be continued."
        names, parser = [C(n) for n in step["in_context"] if n != "none"], Parser(self.language)
        out = contexts_of(self.beatmap, self.language, names, self.length) if names else []
        for c in out:
            if c.type is C.TIMING: c.stream = parser.timing_events(self.beatmap) # ends with the map there, with the song in ours
        if self.run["generated_timing"] and step is not self.run["processor_generate"][0]:
            points = [TimingPoint(*p) for p in self.run["generated_timing"][0]]
            out.append(Context(C.TIMING, parser.timing_events(points, self.length), True))
        if self.adds: # events up to the start, cut through objects; ours gives whole objects
            kinds = [C(o) for t in self.language.context_types for o in t.outputs if C(o) not in {c.type for c in out}]
            out += [Context(k, parser.context(k, self.beatmap).between(-1e9, self.settings["start_time"])) for k in kinds]
        return out

    def sampling(self):
        s = self.settings
        return Sampling(s["temperature"], s["timing_temperature"], s["mania_column_temperature"], s["taiko_hit_temperature"], s["top_p"], s["top_k"],
                        s["do_sample"], time_bias=s.get("timeshift_bias", 0.), guidance=s["cfg_scale"], reference=True,
                        inverted_guidance=(self.run["guidance_sign"] or "").startswith("reference"))

    def windows(self):
        "Our windows of each pass."
        s, back, ahead = self.settings, self.settings["lookback"], self.settings["lookahead"]
        if s["parallel"]: back = ahead = 0.
        ours = plan(len(self.samples), self.language, back, ahead, s.get("start_time"), s.get("end_time"))
        return [[w.time_ms for w in ours]] * len(self.run["processor_generate"])

    def passes(self, engine):
        "What we write in each pass."
        s = self.settings
        negatives = [self.metadata(True)] if s["cfg_scale"] > 1 else None
        for step in self.run["processor_generate"]:
            yield step, write(engine, self.samples, [self.metadata()], [0], [C(o) for o in step["out_context"]], self.given(step), self.sampling(),
                              s["lookback"], s["lookahead"], s.get("start_time"), s.get("end_time"), negatives=negatives, parallel=s["parallel"])[0]

# --- comparison ----------------------------------------------------------------------------------------------------------

def whole(rows): return [[i for i in ids if i != PAD] for ids in rows or []]

def until(ids, stop): # up to the first stop token
    return ids[:next((n for n, i in enumerate(ids, 1) if i in stop), len(ids))]

def prompts_equal(case, call, job):
    "Whether a call was told the same, or why not."
    theirs, tok = whole(call["prompt"]), case.tokenizer
    if theirs == job.prompts and whole(call["negative_prompt"]) == (job.negatives or []): return True
    speed = range(*tok.range(E.SCROLL_SPEED))
    masked = lambda rows: [[-1 if i in speed and n < ids.index(SOS) else i for n, i in enumerate(ids)] for ids in rows]
    if masked(theirs) == masked(job.prompts): return "an empty scroll-speed context leaves the map's last speed"
    if case.settings["parallel"] and all(ours[:len(ids)] == ids for ids, ours in zip(theirs, job.prompts)): return "parallel closes what is given"
    return False

def tokens_equal(case, call, job, out, told):
    "Whether a call wrote the same, or why not."
    theirs, ours = whole(call["generated"]), [w.ids for w in out]
    if case.settings["parallel"]: # one context after another there, each in a pass of its own here
        theirs = [until([*p, *ids][len(q):], set(job.stop)) for p, ids, q in zip(whole(call["prompt"]), theirs, job.prompts)]
    if theirs == ours: return True
    if case.settings["num_beams"] > 1: return "beams are not searched"
    if any(gap <= TIE for gap in call["min_top2_gap"] or []): return "near tie"
    if "unequal" in case.name: return "a negative prompt of another length has its own padding"
    return told if isinstance(told, str) else False

def words(events): return [(e.type.value, e.value) for e in events]

def pixels(case, events):
    "Events with positions as the reference returns them: in pixels, one axis after the other."
    c, out, keys = case.language, [], case.run["generation_config"]["keycount"]
    for e, after in zip(events, [*events[1:], None]):
        if e.type is E.POS: places = place_of(c, e.value, after.value if after and after.type is E.POS_REFINE else None)
        elif e.type is E.MANIA_COLUMN and case.run["generation_config"]["gamemode"] == 3: places = column_place(e.value, keys)
        elif e.type in (E.POS_X, E.POS_Y): out.append((e.type.value, e.value * c.position_precision)); continue
        else:
            out.append((e.type.value, e.value)); continue
        out += zip(("pos_x", "pos_y"), map(int, places))
    return out

def events_equal(case, types, step, made):
    "(context, equal) for what a pass returns."
    for name, theirs in zip(step["out_context"], step["results"]):
        s = made.streams[C(name)]
        ours = pixels(case, s.events) if C(name) is C.MAP else words(s.events)
        if case.adds and C(name) is C.MAP: # put into the map again, by events
            old, start, end = Parser(pixel_language(case.language)).map_events(case.beatmap), case.settings["start_time"], case.settings.get("end_time")
            ours = [*words(old.between(-1e9, start).events), *ours, *words(old.between(end + 1, 1e9).events if end else [])]
        yield name, same_events(case, [(types[t], v) for t, v in zip(theirs["type"], theirs["value"])], ours)

def same_events(case, theirs, ours):
    "Whether what a pass returns is the same, or why not."
    if theirs == ours: return True
    times = [v for t, v in theirs[len(ours):] if t == E.TIME_SHIFT.value]
    return "nothing after the end of the song" if theirs[:len(ours)] == ours and times and min(times) > case.length else False

def compare(case, types, engine):
    "All comparisons of a stored run with ours; what follows on a difference that has a name is not told apart from it."
    steps = list(case.passes(engine))
    calls, reason = case.run["calls"], True
    yield "windows", [w["sequence_times"] for w in case.run["processor_generate"]] == case.windows()
    yield "calls", len(calls) == len(engine.calls)
    for call, (job, out) in zip(calls, engine.calls):
        told = prompts_equal(case, call, job)
        if told is not True and isinstance(reason, str): told = reason
        yield "prompt", told
        wrote = tokens_equal(case, call, job, out, told)
        yield "tokens", wrote
        reason = next((r for r in (told, wrote) if isinstance(r, str)), reason)
    for step, made in steps:
        for name, same in events_equal(case, types, step, made): yield f"{name} events", same or (reason if isinstance(reason, str) else False)

def generate(folder):
    "All cases of the generate family."
    types = json.loads((folder/"oracles"/"parse"/"index.json").read_text(encoding="utf-8"))["types"]
    for path in sorted((folder/"oracles"/"generate"/"runs").glob("*.json.gz")):
        case = Case(folder, path)
        for what, result in compare(case, types, Witness(load_bundle(case.home/"ckpt"/case.run["checkpoint"]))): yield case.name, case.version, what, result
