"The generate family of `parity.py`: whole greedy generations of small published-layout models, call by call."
from __future__ import annotations
import gzip
import json
from types import SimpleNamespace

import torch

from mapperatorinator.audio import load_audio
from mapperatorinator.config import LanguageConfig, compose
from mapperatorinator.engine import Engine, Speed, Written
from mapperatorinator.events import ContextType, EventType
from mapperatorinator.generate import Sampling, contexts_of, generate as write, rejoin
from mapperatorinator.model.mapper import Encoded
from mapperatorinator.osu.beatmap import Beatmap, TimingPoint
from mapperatorinator.parse import Parser
from mapperatorinator.prompt import Context, Metadata
from mapperatorinator.tokenizer import PAD, Tokenizer

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

    def passes(self, engine):
        "What we write in each pass."
        s = self.settings
        negatives = [self.metadata(True)] if s["cfg_scale"] > 1 else None
        for step in self.run["processor_generate"]:
            yield step, write(engine, self.samples, [self.metadata()], [0], [C(o) for o in step["out_context"]], self.given(step), self.sampling(),
                              s["lookback"], s["lookahead"], s.get("start_time"), s.get("end_time"), negatives=negatives, parallel=s["parallel"])[0]

