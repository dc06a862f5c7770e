"""The checkpoints family of `tests/parity`: published models (tiny, random weights) against what the reference computes with them.

`frames`, `ids` and conditioning go in; mel, encoder states, logits, loss and four ways of writing come out. The loop below is an oracle: it
follows transformers' `generate` and the reference's processors step by step, on top of our `prefill` and `step`. A folder may leave away much: what is
not in io.npz is not compared; `every` says that of large arrays every so-manieth number is stored; sounds and weights that are missing are made by the
rule of `filled`; and `dice` are the numbers that a sampled line was drawn with (else torch's generator draws)."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from mapperatorinator.engine import Engine, Job
from mapperatorinator.events import ContextType, EventType
from mapperatorinator.model.hub import Bundle, load_bundle, save_bundle
from mapperatorinator.model.mapper import Conditioning, Mapper
from mapperatorinator.model.published import family_of, published_language, published_model, to_published
from mapperatorinator.rules import Rule
from mapperatorinator.tokenizer import EOS, SOS, Tokenizer
from parity import guarded

TOLERANCE = 1e-4
BACK_MS = 1020  # of the stored runs
AHEAD_MS = 816
TEMPERATURE = 0.9
TOP_P = 0.9
COOLER = {
    "timing": 0.1,
    "column": 0.8,
    "scroll": 0.8,
}  # its temperatures after some tokens (types first only)
TIMED = [
    EventType(t)
    for t in (
        "circle",
        "spinner",
        "spinner_end",
        "slider_head",
        "last_anchor",
        "slider_end",
        "beat",
        "measure",
        "timing_point",
        "kiai",
        "hold_note",
        "hold_note_end",
        "drumroll",
        "drumroll_end",
        "denden",
        "denden_end",
        "scroll_speed_change",
    )
]  # type tokens of timed groups


class Processors:
    "The reference's changes to the scores of one call, in its order."

    def __init__(self, bundle, prompts, sample=False, top_p_keep=1):
        tok = bundle.tokenizer
        self.sample = sample
        self.keep = top_p_keep
        self.first = bundle.language.types_first
        self.start, self.end = tok.range(EventType.TIME_SHIFT)
        size = tok.vocab_out
        back = int(BACK_MS / 10)
        ahead = int(AHEAD_MS / 10)
        closing = [i for c, i in tok.context_eos.items() if c is ContextType.MAP]
        self.stops = {
            EOS,
            *closing,
            *range(self.start, self.start + back),
            *range(self.end - ahead, self.end),
        }
        self.opening = torch.tensor([SOS, *tok.context_sos.values()])
        self.behind, self.over = torch.zeros(2, size, dtype=torch.bool)
        self.behind[self.start : self.start + back] = True
        self.over[[EOS, *tok.context_eos.values()]] = True
        self.timed = torch.from_numpy(tok.mask([t for t in TIMED if t in tok], tok.vocab_in))
        kinds = {
            "timing": ("beat", "measure", "timing_point"),
            "column": ("circle", "hold_note", "hold_note_end"),
            "scroll": ("scroll_speed",),
        }
        self.after = {
            k: torch.from_numpy(tok.mask([EventType(t) for t in v], tok.vocab_in)) for k, v in kinds.items()
        }
        if EventType.HOLD_NOTE_END not in tok:
            del self.after["column"]
        self.before = None

    def temperature(self, ids):
        "The temperature of this step, as the first row says."
        if self.first:
            for kind, mask in self.after.items():
                if mask[ids[0, -3 if kind == "column" else -1]]:
                    return COOLER[kind]
        return TEMPERATURE

    def monotonic(self, ids, scores):
        "No time before the last one since the last opening token."
        for row, line in enumerate(ids):
            begun = torch.isin(line, self.opening).nonzero().max()
            times = [t for t in line[begun:].tolist() if self.start <= t < self.end]
            if times:
                scores[row, self.start : times[-1]] = -torch.inf
        return scores

    def look_back(self, ids, scores):
        "Times in the look-back cannot be written (types last), or count as an end (types first)."
        if not self.first:
            return scores.masked_fill(self.behind, -torch.inf)
        before, self.before = self.before, scores
        if before is None:
            return scores
        out = scores.clone()
        for row in self.timed[ids[:, -1]].nonzero()[:, 0].tolist():
            old = before[row].softmax(-1)
            p = scores[row].softmax(-1)
            q = old[self.over].sum()
            r = 1 - q
            o = p[~self.behind].sum()
            f = 1 / (o * r + q)
            p = torch.where(self.behind, 0, p * f)
            p[self.start] = ((f - 1) * q / r).clamp(0, 1)
            out[row] = p.log()
        return out

    def nucleus(self, scores):
        "The best tokens that hold the share TOP_P."
        ordered, at = scores.sort(descending=False)
        out = ordered.softmax(-1).cumsum(-1) <= 1 - TOP_P
        out[:, -self.keep :] = False
        return scores.masked_fill(out.scatter(1, at, out), -torch.inf)

    def __call__(self, ids, scores):
        scores = self.look_back(ids, self.monotonic(ids, scores.float().clone()) / self.temperature(ids))
        return self.nucleus(scores) if self.sample else scores


def multinomial(p):
    return torch.multinomial(p, 1)[:, 0]


def thrown(dice):
    "A draw by given numbers: the first token at which the sum of the chances is above the next number."
    numbers = iter(dice)
    return lambda p: (p.double().cumsum(-1) <= next(numbers)).sum(-1).clamp(max=p.shape[-1] - 1)


def write(bundle, prompts, encoded, longest, draw=None, against=None):
    "Rows written token by token: greedy, or drawn by `draw`; `against`: a prompt to lead away from, with the reference's sign."
    model = bundle.model
    rows = len(prompts)
    process = Processors(bundle, prompts, draw is not None)
    done = torch.zeros(rows, dtype=torch.bool)
    read = prompts if against is None else torch.cat([prompts, against])
    cache = model.new_cache(len(read), longest)
    ids = prompts
    scores = model.prefill(read, encoded, cache)
    while True:
        if against is not None:
            scores = scores[:1] + 2 * (scores[1:] - scores[:1])
        processed = process(ids, scores)
        new = draw(processed.softmax(-1)) if draw else processed.argmax(-1)
        new = new.masked_fill(done, 0)
        ids = torch.cat([ids, new[:, None]], 1)
        done = done | torch.tensor([t in process.stops for t in new.tolist()])
        if done.all() or ids.shape[1] == longest:
            return ids
        scores = model.step(new if against is None else new.repeat(2), cache)


class Told(Rule):
    "The reference's changes as a rule. What they remember stays in its place when lines change theirs, as there."

    def __init__(self, bundle):
        self.bundle = bundle

    def reset(self, prompts):
        self.lines, self.process = prompts, Processors(self.bundle, prompts)

    def reorder(self, index):
        self.lines = self.lines[index]

    def update(self, ids):
        self.lines = torch.cat([self.lines, ids[:, None]], 1)

    def __call__(self, scores):
        return self.process(self.lines, scores)


def beams(bundle, prompt, encoded, longest, n=2):
    "The line that our engine's beam search finds."
    job = Job(
        prompt.tolist(),
        encoded,
        [Told(bundle)],
        sorted(Processors(bundle, prompt).stops),
        max_new=longest - prompt.shape[1],
        beams=n,
    )
    (written,) = Engine(bundle, "cpu").generate(job)
    return torch.cat([prompt, torch.tensor([written.ids])], 1)


def count(path):
    "Tensors in a safetensors file."
    with safe_open(path, "pt") as f:
        return len(f.keys())


# --- what a rule makes -----------------------------------------------------------------------------------------------------


def filled(shape, number, size=1.0):
    "Numbers between -size and size that are the same on every machine; `number`: which tensor."
    rng = np.random.Generator(np.random.PCG64(number))
    return torch.from_numpy(((rng.random(math.prod(shape)) * 2 - 1) * size).astype(np.float32)).reshape(shape)


def sounds(model, rows):
    "Windows of noise."
    c = model.c
    return filled((rows, (c.max_frames - 1) * c.spectrogram.hop_length), 99, 0.3)


def filled_bundle(folder):
    "The model of a folder that has no weights: its config and vocabulary, and weights by the rule."
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tok = Tokenizer.load(folder)
    conf = published_model(config, tok)
    model = Mapper(conf).eval()
    state = {}
    for n, (name, v) in enumerate(model.state_dict().items()):
        fixed = (
            v.dim() < 2 and name.endswith("weight") or "centers" in name or "widths" in name
        )  # norms and places stay
        state[name] = v if fixed else filled(v.shape, n, 3 / math.sqrt(v.shape[-1]) if v.dim() > 1 else 0.1)
        if family_of(config) != "varwhisper" and name.endswith("attn.qkv.bias"):
            state[name][conf.d_model : 2 * conf.d_model] = 0  # keys have no bias there
        if family_of(config) != "varwhisper" and name.endswith("cross.kv.bias"):
            state[name][: conf.d_model] = 0
    model.load_state_dict(state)
    preset = folder.name.split("_")[0]
    return Bundle(model, tok, published_language(conf, tok, preset), folder, None, config)


def complete(folder, target):
    "A loadable copy of a folder that has no weights."
    save_bundle(filled_bundle(folder), target)
    return target


def whole(folder):
    "The model of a folder, read from files as anybody's; missing weights are made first."
    if (folder / "model.safetensors").is_file():
        return load_bundle(folder), folder
    made = complete(folder, Path(tempfile.mkdtemp()) / folder.name)
    return load_bundle(made), made


# --- the cases -------------------------------------------------------------------------------------------------------------


class Given(dict):
    "The arrays of an io.npz as tensors; what is not there cannot be compared."

    def __init__(self, path):
        super().__init__({k: torch.from_numpy(v) for k, v in np.load(path).items()})

    def near(self, key, got, keep=...):
        "Whether a tensor is the stored one within TOLERANCE."
        if key not in self:
            return None, "not stored"
        step = int(self.get("every", 1))
        want = self[key]
        if want.dim() < got.dim():
            got = got.flatten()[::step]  # thinned out
            want = want
        else:
            got = got[keep]
            want = want[keep]
        return (d := (got - want).abs().max().item()) <= TOLERANCE, f"max |difference| {d:.1e}"


def computed(bundle, io):
    "What a model computes: mel, encoder states, logits and loss."
    model = bundle.model
    rows = len(io["ids"])
    frames = io["frames"] if "frames" in io else sounds(model, rows)
    wishes = (
        Conditioning(io["cond_difficulty"], io["cond_mapper_idx"], io["cond_song_position"])
        if model.c.conditions
        else None
    )
    encoded = model.encode(frames, wishes)
    logits = model.decode(io["ids"], encoded, io["mask"])
    loss = (
        model.cross_entropy(
            logits, io["labels"], bundle.published["rhythm_weight"], torch.tensor([1, 0.5])[:rows]
        )
        / (io["labels"] >= 0).sum()
    )
    return model.mel(frames), encoded, logits, loss


def drawing(io):
    "How a sampled line is drawn: by the stored numbers, or with torch's generator."
    if "dice" in io:
        return thrown(io["dice"].tolist())
    torch.manual_seed(123)
    return multinomial


WAYS = {
    "greedy": "greedy",
    "sampled, seed 123": "sample_seed123",
    "beam search, 2 beams": "beam2",
    "guidance, their sign": "cfg2_reference_sign",
}  # way -> key


def ways(bundle, io, encoded, longest):
    "The ways of writing: name -> what is written. `longest`: tokens of a key."
    first = encoded.rows(slice(0, 1))
    one = io["ids"][:1]
    return {
        "greedy": lambda: write(bundle, io["ids"], encoded, longest("greedy")),
        "sampled, seed 123": lambda: write(bundle, one, first, longest("sample_seed123"), drawing(io)),
        "beam search, 2 beams": lambda: beams(bundle, one, first, longest("beam2")),
        "guidance, their sign": lambda: write(
            bundle, one, first, longest("cfg2_reference_sign"), against=io["neg"]
        ),
    }


@torch.inference_mode()
def checkpoint(folder):
    "(version, what, result, detail) for one checkpoint: tensors within TOLERANCE, tokens equal."
    name = folder.name
    if not (folder / "config.json").is_file() or not (folder / "tokenizer.json").is_file():
        yield name, "the config.json and tokenizer.json of io.npz", None
        return
    bundle, made = whole(folder)
    io = Given(folder / "io.npz")
    model = bundle.model
    held = count(made / "model.safetensors")
    written = len(to_published(model.state_dict(), model.c, bundle.published))
    yield name, "tensor count", held == written, f"{written} written, {held} in the file"
    mel, encoded, logits, loss = computed(bundle, io)
    yield name, "mel", *io.near("mel", mel)
    yield name, "encoder", *io.near("enc", encoded.states)
    yield name, "logits", *io.near("logits", logits, io["mask"])
    yield name, "loss", *io.near("loss", loss)
    longest = lambda key: 96 if key == "sample_seed123" and "dice" not in io else io[key].shape[1]
    for way, draw in ways(bundle, io, encoded, longest).items():
        if (key := WAYS[way]) not in io:
            yield name, way, None, "not stored"
        else:
            yield name, way, torch.equal(draw(), io[key]), f"{io[key].numel()} tokens"


def checkpoints(folder):
    "Every checkpoint with stored outputs."
    for path in sorted(p.parent for p in (folder / "checkpoints").glob("*/io.npz")):
        yield from guarded(path.name, checkpoint(path))
