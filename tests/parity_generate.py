"The generate family of `parity.py`: whole greedy generations of small published-layout models, call by call."
from __future__ import annotations
import gzip
import json
from functools import cache

import numpy as np

from mapperatorinator.audio import load_audio
from mapperatorinator.config import LanguageConfig, compose
from mapperatorinator.engine import Engine, Speed, Written
from mapperatorinator.events import ContextType, EventType
from mapperatorinator.generate import Sampling, contexts_of, generate as write, rejoin
from mapperatorinator.osu.beatmap import Beatmap, TimingPoint
from mapperatorinator.parse import Parser
from mapperatorinator.prompt import Context, Metadata
from mapperatorinator.tokenizer import PAD, Tokenizer

C, E = ContextType, EventType
TIE = 1e-4 # two best scores so near may change places

def read(path): return json.loads(gzip.open(path).read())

class Script(Engine):
    "Says what the reference said, so that prompts and stitching can be compared without a model."
    def __init__(self, tokenizer, language, calls):
        self.tokenizer, self.language, self.calls, self.speed, self.max_batch_size = tokenizer, language, iter(calls), Speed(), 1000
        self.jobs = []

    def encode(self, windows, *args, **kwargs): return None

    def generate(self, job, cancel=None):
        self.jobs.append(job)
        stop, call = set(job.stop), next(self.calls, {"generated": job.prompts})
        rows = [[i for i in ids if i != PAD] for ids in call["generated"]]
        return [Written(ids, bool(ids) and ids[-1] in stop) for ids in rows]
