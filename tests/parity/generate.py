"""The generate family of `tests/parity`: whole greedy generations of small published-layout models, call by call.

Where the weights of a run (or its clip) are not in the folder, the model says what it said then: prompts, windows and stitching are compared all the same."""

from __future__ import annotations
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import soundfile
import torch

from mapperatorinator.audio import load_audio
from mapperatorinator.config import LanguageConfig, compose
from mapperatorinator.engine import Engine, Output, Speed
from mapperatorinator.events import ContextType, Event, EventStream, EventType
from mapperatorinator.generate import (
    Generated,
    RowRequest,
    Sampling,
    SongPlan,
    SongRun,
    listen,
)
from mapperatorinator.model.hub import load_bundle
from mapperatorinator.model.mapper import Encoded
from mapperatorinator.osu.beatmap import Beatmap, TimingPoint
from mapperatorinator.parse import Parser
from mapperatorinator.prompt import Context
from mapperatorinator.request import contexts_of
from mapperatorinator.rules import ConditionalTemperature, Rule, Temperature, temperature_rules
from mapperatorinator.tokenizer import EOS, PAD, SOS, Tokenizer
from mapperatorinator.groups import column_place, event_times, place_of
from parity import either, guarded, read_json as read
from parity.language import request_of, types_of

C, E = ContextType, EventType
TIE = 1e-4  # two best scores so near may change places
SOUNDS = ".wav", ".ogg", ".flac", ".mp3"


class Witness(Engine):
    "An engine that remembers what it was told and what it wrote."

    def __init__(self, bundle):
        super().__init__(bundle, "cpu")
        self.calls = []

    def generate(self, job, cancel=None):
        out = super().generate(job, cancel)
        self.calls.append((job, out))
        return out


class Script(Witness):
    "Writes what the reference wrote, so that prompts and stitching can be compared without a model."

    def __init__(self, tokenizer, language, calls):
        self.tokenizer = tokenizer
        self.language = language
        self.said = iter(calls)
        self.speed = Speed()
        self.max_batch_size = 1000
        self.model = SimpleNamespace(c=SimpleNamespace(conditions=[]), frame_head=None)
        self.device = "cpu"
        self.calls = []

    def encode(self, windows, *args, **kwargs):
        return Encoded(torch.zeros(len(windows), 1, 1))

    def generate(self, job, cancel=None):
        rows = next(self.said)["generated"]
        stop = set(job.stop)
        ends = [next((n for n, i in enumerate(ids, 1) if i in stop), None) for ids in rows]
        out = [Output([i for i in ids[:n] if i != PAD], n is not None) for ids, n in zip(rows, ends)]
        self.calls.append((job, out))
        return out


# --- a run by the reference's rules ---------------------------------------------------------------------------------------


def keep_as_reference(
    ids: list[int],
    tokenizer: Tokenizer,
    start: float,  # ms: start of the window
    types_first: bool,
    back: float = 0,  # ms of look-back, 0 in the first window
    ahead_from: float = np.inf,  # ms in the window: the look-ahead, none in the last window
) -> list[Event]:
    "What the reference keeps of a window: parts of groups too, without a last time that lies in the look-back or the look-ahead."
    ends = {EOS, *tokenizer.context_eos.values()}
    while ids and ids[-1] in ends:
        ids = ids[:-1]
    zero = tokenizer.id(E.TIME_SHIFT)
    stop = tokenizer.range(E.TIME_SHIFT)[1]
    if ids and (zero <= ids[-1] < zero + int(back / 10) or zero + ahead_from // 10 <= ids[-1] < stop):
        ids = ids[: -2 if types_first else -1]
    return tokenizer.decode_ids(ids, start)


def trim_events(stream: EventStream, start: float = -np.inf, end: float = np.inf, slack: float = 10):
    "The events in a range (ms) as the reference trims them, through the middle of objects."
    kept = [(e, t) for e, t in stream if t >= start - slack]
    while kept and kept[-1][1] > end + slack:
        kept.pop()
    return EventStream([e for e, _ in kept], [t for _, t in kept])


class ReferenceRun(SongRun):
    "Stitches, scales and trims as the reference does, and draws nothing twice."

    free_share = 0.0

    def lag(self) -> float:
        return np.inf

    def grammar(self, context):
        return None

    def problem(self, *_) -> str:
        return ""

    def rules(self, places, k, sampling) -> list[Rule]:
        "Temperatures in all modes, and only where types come first."
        mine = super().rules(places, k, sampling)
        scaled = self.reference_temperature(places[0].row.contexts[k].type, sampling)
        return [scaled if isinstance(r, (Temperature, ConditionalTemperature)) else r for r in mine]

    def reference_temperature(self, context, s: Sampling) -> Rule:
        own = lambda t: s.temperature if t is None else t
        return temperature_rules(
            self.engine.tokenizer,
            self.engine.language,
            context,
            self.gamemode,
            temperature=s.temperature,
            timing=s.timing_temperature,
            column=own(s.mania_column_temperature),
            drum=own(s.taiko_hit_temperature),
            everywhere=True,
        )

    def window_limit(self, window) -> float:  # ms in the window
        return np.inf if window.last else self.engine.language.window_ms - self.plan.margins(window)[1]

    def kept(self, p, k, written) -> list[Event]:
        back, _ = self.plan.margins(p.window)
        limit = self.window_limit(p.window)
        tokenizer = self.engine.tokenizer
        return keep_as_reference(written.ids, tokenizer, p.window.time_ms, self.types_first, back, limit)

    def append(self, p, k, written):
        "There a time stays as first reckoned; anchors reach out to what is yet to come."
        stream = p.row.contexts[k].stream
        stream.events += self.kept(p, k, written)
        end = p.window.time_ms + self.engine.language.window_ms
        stream.times = event_times(stream.events, self.types_first, stream.times, end)
        limit = p.window.time_ms + self.window_limit(p.window)
        while stream.times and stream.times[-1] > limit:
            stream.events.pop()
            stream.times.pop()

    def in_range(self, context: Context) -> EventStream:
        if context.finished:
            return context.stream
        end = np.inf if self.plan.end > self.song.ms else self.plan.end
        return trim_events(context.stream, self.plan.start or -np.inf, end)


# --- our run of a stored request -----------------------------------------------------------------------------------------


def clip_of(home, clip):
    "The sound of a run: the file of that name, else the only one that is as long; None when there is none."
    if named := either(home / clip["name"]):
        return named
    found = [p for p in sorted(home.iterdir()) if p.suffix.lower() in SOUNDS]
    fits = [p for p in found if abs(soundfile.info(p).duration - clip["secs"]) < 0.05]
    return fits[0] if len(fits) == 1 else None


class Case:
    "A stored run, and what our side needs to repeat it."

    def __init__(self, folder, path):
        self.home = folder / "oracles" / "generate"
        self.run = read(path)
        r = self.run
        self.name = r["run"]
        self.version = r["version"]
        self.settings = r["settings"]
        self.language = compose(
            LanguageConfig, preset=self.version, src_seq_len=r["src_seq_len"], tgt_seq_len=r["tgt_seq_len"]
        )
        self.folder = self.home / "ckpt" / r["checkpoint"]
        self.tokenizer = Tokenizer.load(self.folder)
        self.clip = clip_of(self.home, r["clip"])
        rate = self.language.sample_rate
        self.samples = (
            np.zeros(round(r["clip"]["secs"] * rate), np.float32)
            if self.clip is None
            else load_audio(self.clip, rate)
        )
        self.length = len(self.samples) * 1000 / rate
        self.beatmap = Beatmap.read(self.home / r["reference_beatmap"]) if r["reference_beatmap"] else None

    def engine(self):
        "The model of the run; or its own words where there is no model or nothing to hear."
        if self.clip and (self.folder / "model.safetensors").is_file():
            return Witness(load_bundle(self.folder))
        return Script(self.tokenizer, self.language, self.run["calls"])

    @property
    def adds(self):
        return bool(self.settings.get("add_to_beatmap"))

    def metadata(self, negative=False):
        g = self.run["generation_config"]
        keep = not negative or g["descriptors"] or g["negative_descriptors"]
        request = request_of(g, self.length, negative)
        return request if keep else replace(request, mapper_id=None)

    def given(self, step):
        "Contexts at hand in a pass: views of the reference map, the timing that was written before, the beginning of a map to be continued."
        names = [C(n) for n in step["in_context"] if n != "none"]
        parser = Parser(self.language)
        out = contexts_of(self.beatmap, self.language, names, self.length) if names else []
        for c in out:
            if c.type is C.TIMING:
                c.stream = parser.timing_events(
                    self.beatmap
                )  # ends with the map there, with the song in ours
        if self.run["generated_timing"] and step is not self.run["processor_generate"][0]:
            points = [TimingPoint(*p) for p in self.run["generated_timing"][0]]
            out.append(Context(C.TIMING, parser.timing_events(points, self.length), True))
        if self.adds:  # events up to the start, cut through objects; ours gives whole objects
            kinds = [
                C(o)
                for t in self.language.context_types
                for o in t.outputs
                if C(o) not in {c.type for c in out}
            ]
            out += [
                Context(k, parser.context(k, self.beatmap).between(-1e9, self.settings["start_time"]))
                for k in kinds
            ]
        return out

    def sampling(self):
        s = self.settings
        guidance = s["cfg_scale"]
        if guidance > 1 and (self.run["guidance_sign"] or "").startswith("reference"):
            guidance = 1 - guidance  # away from the request, as the reference
        return Sampling(
            s["temperature"],
            s["timing_temperature"],
            s["mania_column_temperature"],
            s["taiko_hit_temperature"],
            s["top_p"],
            s["top_k"],
            s["do_sample"],
            s["num_beams"],
            s.get("timeshift_bias", 0.0),
            guidance,
        )

    def plan(self) -> SongPlan:
        s = self.settings
        return SongPlan.of(
            len(self.samples),
            self.language,
            lookback=s["lookback"],
            lookahead=s["lookahead"],
            start_time=s.get("start_time"),
            end_time=s.get("end_time"),
            parallel=s["parallel"],
        )

    def windows(self):
        "Our windows of each pass."
        return [[w.time_ms for w in self.plan().windows]] * len(self.run["processor_generate"])

    def write(self, engine, step) -> Generated:
        "What we write in a pass."
        negative = self.metadata(True) if self.settings["cfg_scale"] > 1 else None
        run = ReferenceRun.start(
            engine,
            listen(engine, self.samples, self.plan()),
            [RowRequest(self.metadata(), 0, negative)],
            outputs=[C(o) for o in step["out_context"]],
            inputs=self.given(step),
            sampling=self.sampling(),
        )
        run.write_song()
        return run.results()[0]

    def passes(self, engine):
        "What we write in each pass."
        for step in self.run["processor_generate"]:
            yield step, self.write(engine, step)


# --- comparison ----------------------------------------------------------------------------------------------------------


def whole(rows):
    return [[i for i in ids if i != PAD] for ids in rows or []]


def until(ids, stop):  # up to the first stop token
    return ids[: next((n for n, i in enumerate(ids, 1) if i in stop), len(ids))]


def prompts_equal(case, call, job):
    "Whether a call was told the same, or why not."
    theirs = whole(call["prompt"])
    tok = case.tokenizer
    if theirs == job.prompts and whole(call["negative_prompt"]) == (job.negatives or []):
        return True
    speed = range(*tok.range(E.SCROLL_SPEED))
    masked = lambda rows: [
        [-1 if i in speed and n < ids.index(SOS) else i for n, i in enumerate(ids)] for ids in rows
    ]
    if masked(theirs) == masked(job.prompts):
        return "an empty scroll-speed context leaves the map's last speed"
    if case.settings["parallel"] and all(ours[: len(ids)] == ids for ids, ours in zip(theirs, job.prompts)):
        return "parallel closes what is given"
    return False


def tokens_equal(case, call, job, out, told):
    "Whether a call wrote the same, or why not."
    theirs = whole(call["generated"])
    ours = [w.ids for w in out]
    if case.settings["parallel"]:  # one context after another there, each in a pass of its own here
        theirs = [
            until([*p, *ids][len(q) :], set(job.stop))
            for p, ids, q in zip(whole(call["prompt"]), theirs, job.prompts)
        ]
    if theirs == ours:
        return True
    if any(gap <= TIE for gap in call["min_top2_gap"] or []):
        return "near tie"
    if "unequal" in case.name:
        return "a negative prompt of another length has its own padding"
    return told if isinstance(told, str) else False


def pixels(case, events):
    "Objects with positions as the reference returns them: in pixels, one axis after the other."
    c = case.language
    out = []
    g = case.run["generation_config"]
    for e, after in zip(events, [*events[1:], None]):
        if e.type is E.POS:
            places = place_of(c, e.value, after.value if after and after.type is E.POS_REFINE else None)
        elif e.type is E.MANIA_COLUMN and g["gamemode"] == 3:
            places = column_place(e.value, g["keycount"])
        else:
            places = ()
            out = [
                *out,
                (e.type.value, e.value * (c.position_precision if e.type in (E.POS_X, E.POS_Y) else 1)),
            ]
        out += zip(("pos_x", "pos_y"), map(int, places))
    return out


def around(case):
    "Objects of the map that is added to, before and after the range."
    exact = replace(case.language, position_precision=1, position_split_axes=True, position_refinement=None)
    old = Parser(exact).map_events(case.beatmap)
    start = case.settings["start_time"]
    end = case.settings.get("end_time")
    said = lambda s: [(e.type.value, e.value) for e in s.events]
    return said(old.between(-1e9, start)), said(old.between(end + 1, 1e9)) if end else []


def events_equal(case, types, step, made):
    "(context, equal) for what a pass returns."
    for name, theirs in zip(step["out_context"], step["results"]):
        events = made.streams[C(name)].events
        is_map = name == "map"
        ours = pixels(case, events) if is_map else [(e.type.value, e.value) for e in events]
        before, after = around(case) if case.adds and is_map else ([], [])
        yield name, [(types[t], v) for t, v in zip(theirs["type"], theirs["value"])] == before + ours + after


def compare(case, types, engine):
    "All comparisons of a stored run with ours; what follows on a difference that has a name is not told apart from it."
    steps = list(case.passes(engine))
    calls = case.run["calls"]
    reason = True
    heard = type(engine) is Witness
    yield "windows", [w["sequence_times"] for w in case.run["processor_generate"]] == case.windows()
    yield "calls", len(calls) == len(engine.calls)
    for call, (job, out) in zip(calls, engine.calls):
        told = prompts_equal(case, call, job)
        if told is not True and isinstance(reason, str):
            told = reason
        yield "prompt", told
        wrote = tokens_equal(case, call, job, out, told) if heard else None
        yield "tokens", wrote
        reason = next((r for r in (told, wrote) if isinstance(r, str)), reason)
    for step, made in steps:
        for name, same in events_equal(case, types, step, made):
            yield f"{name} events", same or (reason if isinstance(reason, str) else False)


def run_rows(folder, path):
    "(version, what, result) of a stored run."
    run = read(path)
    lacking = either(folder / "oracles" / "generate" / "ckpt" / run["checkpoint"] / "tokenizer.json") is None
    if lacking:
        yield run["version"], "the tokenizer of a run", None
        return
    if (
        run["reference_beatmap"]
        and not (folder / "oracles" / "generate" / run["reference_beatmap"]).is_file()
    ):
        yield run["version"], "the map of a run", None
        return
    case = Case(folder, path)
    for what, result in compare(case, types_of(folder), case.engine()):
        yield case.version, what, result


def generate(folder):
    "All cases of the generate family."
    for path in sorted((folder / "oracles" / "generate" / "runs").glob("*.json.gz")):
        yield from guarded(path.name.removesuffix(".json.gz"), run_rows(folder, path))
