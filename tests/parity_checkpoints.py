"""The checkpoints family of `parity.py`: published models (tiny, random weights) against what the reference computes with them.

`frames`, `ids` and conditioning go in; mel, encoder states, logits, loss and four ways of writing come out. The loop below is an oracle: it
follows transformers' `generate` and the reference's processors step by step, on top of our `prefill` and `step`."""
from __future__ import annotations

import numpy as np
import torch
from safetensors import safe_open

from mapperatorinator.engine import Engine, Job
from mapperatorinator.events import ContextType, EventType
from mapperatorinator.model.hub import load_bundle
from mapperatorinator.model.mapper import Conditioning
from mapperatorinator.model.published import to_published
from mapperatorinator.rules import Rule
from mapperatorinator.tokenizer import EOS, SOS

TOLERANCE = 1e-4
BACK_MS, AHEAD_MS, TEMPERATURE, TOP_P = 1020, 816, .9, .9 # of the stored runs
COOLER = {"timing": .1, "column": .8, "scroll": .8} # its temperatures after some tokens (types first only)
TIMED = [EventType(t) for t in ("circle", "spinner", "spinner_end", "slider_head", "last_anchor", "slider_end", "beat", "measure", "timing_point",
         "kiai", "hold_note", "hold_note_end", "drumroll", "drumroll_end", "denden", "denden_end", "scroll_speed_change")] # type tokens of timed groups

class Processors:
    "The reference's changes to the scores of one call, in its order."
    def __init__(self, bundle, prompts, sample=False, top_p_keep=1):
        tok, self.sample, self.keep, self.first = bundle.tokenizer, sample, top_p_keep, bundle.language.types_first
        self.start, self.end = tok.range(EventType.TIME_SHIFT)
        size, back, ahead = tok.vocab_out, int(BACK_MS / 10), int(AHEAD_MS / 10)
        closing = [i for c, i in tok.context_eos.items() if c is ContextType.MAP]
        self.stops = {EOS, *closing, *range(self.start, self.start + back), *range(self.end - ahead, self.end)}
        self.opening = torch.tensor([SOS, *tok.context_sos.values()])
        self.behind, self.over = torch.zeros(2, size, dtype=torch.bool)
        self.behind[self.start:self.start + back] = True
        self.over[[EOS, *tok.context_eos.values()]] = True
        self.timed = torch.from_numpy(tok.mask([t for t in TIMED if t in tok], tok.vocab_in))
        kinds = {"timing": ("beat", "measure", "timing_point"), "column": ("circle", "hold_note", "hold_note_end"), "scroll": ("scroll_speed",)}
        self.after = {k: torch.from_numpy(tok.mask([EventType(t) for t in v], tok.vocab_in)) for k, v in kinds.items()}
        if EventType.HOLD_NOTE_END not in tok: del self.after["column"]
        self.before = None

    def temperature(self, ids):
        "The temperature of this step, as the first row says."
        if self.first:
            for kind, mask in self.after.items():
                if mask[ids[0, -3 if kind == "column" else -1]]: return COOLER[kind]
        return TEMPERATURE

    def monotonic(self, ids, scores):
        "No time before the last one since the last opening token."
        for row, line in enumerate(ids):
            begun = torch.isin(line, self.opening).nonzero().max()
            times = [t for t in line[begun:].tolist() if self.start <= t < self.end]
            if times: scores[row, self.start:times[-1]] = -torch.inf
        return scores

    def look_back(self, ids, scores):
        "Times in the look-back cannot be written (types last), or count as an end (types first)."
        if not self.first: return scores.masked_fill(self.behind, -torch.inf)
        before, self.before = self.before, scores
        if before is None: return scores
        out = scores.clone()
        for row in self.timed[ids[:, -1]].nonzero()[:, 0].tolist():
            old, p = before[row].softmax(-1), scores[row].softmax(-1)
            q = old[self.over].sum()
            r, o = 1 - q, p[~self.behind].sum()
            f = 1 / (o * r + q)
            p = torch.where(self.behind, 0, p * f)
            p[self.start] = ((f - 1) * q / r).clamp(0, 1)
            out[row] = p.log()
        return out

    def nucleus(self, scores):
        "The best tokens that hold the share TOP_P."
        ordered, at = scores.sort(descending=False)
        out = ordered.softmax(-1).cumsum(-1) <= 1 - TOP_P
        out[:, -self.keep:] = False
        return scores.masked_fill(out.scatter(1, at, out), -torch.inf)

    def __call__(self, ids, scores):
        scores = self.look_back(ids, self.monotonic(ids, scores.float().clone()) / self.temperature(ids))
        return self.nucleus(scores) if self.sample else scores

def write(bundle, prompts, encoded, longest, sample=False, against=None):
    "Rows written token by token: greedy, or drawn with torch's generator; `against`: a prompt to lead away from, with the reference's sign."
    model, rows = bundle.model, len(prompts)
    process, done = Processors(bundle, prompts, sample), torch.zeros(rows, dtype=torch.bool)
    read = prompts if against is None else torch.cat([prompts, against])
    cache, ids = model.new_cache(len(read), longest), prompts
    scores = model.prefill(read, encoded, cache)
    while True:
        if against is not None: scores = scores[:1] + 2 * (scores[1:] - scores[:1])
        processed = process(ids, scores)
        new = torch.multinomial(processed.softmax(-1), 1)[:, 0] if sample else processed.argmax(-1)
        new = new.masked_fill(done, 0)
        ids, done = torch.cat([ids, new[:, None]], 1), done | torch.tensor([t in process.stops for t in new.tolist()])
        if done.all() or ids.shape[1] == longest: return ids
        scores = model.step(new if against is None else new.repeat(2), cache)

class Told(Rule):
    "The reference's changes as a rule. What they remember stays in its place when lines change theirs, as there."
    def __init__(self, bundle): self.bundle = bundle
    def reset(self, prompts): self.lines, self.process = prompts, Processors(self.bundle, prompts)
    def reorder(self, index): self.lines = self.lines[index]
    def update(self, ids): self.lines = torch.cat([self.lines, ids[:, None]], 1)
    def __call__(self, scores): return self.process(self.lines, scores)

def beams(bundle, prompt, encoded, longest, n=2):
    "The line that our engine's beam search finds."
    job = Job(prompt.tolist(), encoded, [Told(bundle)], sorted(Processors(bundle, prompt).stops), max_new=longest - prompt.shape[1], beams=n)
    written, = Engine(bundle, "cpu").generate(job)
    return torch.cat([prompt, torch.tensor([written.ids])], 1)

def count(path):
    "Tensors in a safetensors file."
    with safe_open(path, "pt") as f: return len(f.keys())

@torch.inference_mode()
def checkpoint(folder):
    "(what, result, detail) for one checkpoint: tensors within TOLERANCE, tokens equal."
    bundle, io = load_bundle(folder), {k: torch.from_numpy(v) for k, v in np.load(folder/"io.npz").items()}
    model, within = bundle.model, lambda got, want: ((d := (got - want).abs().max().item()) <= TOLERANCE, f"max |difference| {d:.1e}")
    held, written = count(folder/"model.safetensors"), len(to_published(model.state_dict(), model.c, bundle.published))
    yield "tensor count", held == written, f"{written} written, {held} in the file"
    wishes = Conditioning(io["cond_difficulty"], io["cond_mapper_idx"], io["cond_song_position"]) if model.c.conditions else None
    mel, encoded = model.mel(io["frames"]), model.encode(io["frames"], wishes)
    logits = model.decode(io["ids"], encoded, io["mask"])
    loss = model.cross_entropy(logits, io["labels"], bundle.published["rhythm_weight"], torch.tensor([1, .5])) / (io["labels"] >= 0).sum()
    yield "mel", *within(mel, io["mel"])
    yield "encoder", *within(encoded.states, io["enc"])
    yield "logits", *within(logits[io["mask"]], io["logits"][io["mask"]])
    yield "loss", *within(loss, io["loss"])
    first, one, same = encoded.rows(slice(0, 1)), io["ids"][:1], lambda got, want: (torch.equal(got, want), f"{want.numel()} tokens")
    yield "greedy", *same(write(bundle, io["ids"], encoded, io["greedy"].shape[1]), io["greedy"])
    torch.manual_seed(123)
    yield "sampled, seed 123", *same(write(bundle, one, first, 96, True), io["sample_seed123"])
    yield "beam search, 2 beams", *same(beams(bundle, one, first, io["beam2"].shape[1]), io["beam2"])
    yield "guidance, their sign", *same(write(bundle, one, first, io["cfg2_reference_sign"].shape[1], against=io["neg"]), io["cfg2_reference_sign"])

def checkpoints(folder):
    "Every checkpoint with stored outputs."
    for path in sorted(p.parent for p in (folder/"checkpoints").glob("*/io.npz")):
        for what, result, detail in checkpoint(path): yield path.name, path.name, what, result, detail
