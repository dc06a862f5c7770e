"""The diffusion family of `tests/parity`: the denoiser, its schedule and the whole position pipeline of a real map.

Where the pipeline differs on purpose, the rule of the reference that a fix replaced is written down here and can be put back. With all of them the
oracle must come out; the names of a difference are the rules that cannot be left out."""

from __future__ import annotations
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from safetensors.torch import load_file

from mapperatorinator.config import DiffusionConfig, RefineConfig, LanguageConfig, compose
from mapperatorinator.groups import event_times, read_groups
from mapperatorinator.model.diffusion import (
    Schedule,
    denoising_loss,
    guided,
    kept_steps,
    noise_betas,
    reverse,
)
from mapperatorinator.events import Event, EventStream, EventType
from mapperatorinator.model.dit import Classes, new_denoiser, out_of_reach, point_features
from mapperatorinator.osu.beatmap import TimingPoint
from mapperatorinator.osu.timing import Timing
from mapperatorinator.refine import Refiner, group_points, guide_ends, spans, to_field, to_pixels
from parity import guarded, read_json
from parity.checkpoints import filled

TABLES = {
    "betas": "betas",
    "alphas_cumprod": "left",
    "posterior_variance": "variance",
    "posterior_log_variance_clipped": "log_variance",
    "posterior_mean_coef1": "clean_share",
    "posterior_mean_coef2": "noisy_share",
    "timestep_map": "steps",
}
KEPT = {"100": [100] + [0] * 9, "10": [10] + [0] * 99, "full": [1000]}


def sines(x, k):
    "The oracle's noise of call k for the half of the batch that counts."
    i = np.arange(x.numel(), dtype=np.float64)
    return torch.from_numpy((np.sqrt(2) * np.sin(12.9898 * i + 78.233 * k)).astype(np.float32)).reshape(
        x.shape
    )


class Noise:
    "The oracle's noise, call by call."

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return sines(x, self.calls)


def oracle_classes():  # 55 in all
    return Classes(
        mappers={7: 0, 9: 1}, mapper_count=3, descriptors={"a": 0, "b": 1, "c": 2}, descriptor_count=4
    )


def oracle_denoiser(folder, reach=128):
    "The oracle's small network; where its weights are missing, they follow the rule of `filled`."
    out = new_denoiser(
        DiffusionConfig(width=32, depth=2, heads=4, reach=reach, neighbours=0), oracle_classes()
    )
    shapes = out.model.state_dict()
    path = folder / "dit.safetensors"
    made = lambda: {
        k: filled(v.shape, n, 0.25 if v.dim() > 1 else 0.1) for n, (k, v) in enumerate(shapes.items())
    }
    weights = {k: v.float() for k, v in load_file(path).items()} if path.is_file() else made()
    out.model.load_state_dict(weights)
    out.model.eval()
    return out


def near(a, b, tolerance):
    return bool(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).max() <= tolerance)


def features(z):
    "What the network is told of each point."
    times, distances, kinds = (torch.from_numpy(z[k]) for k in ("times", "distances", "one_hot"))
    return point_features(times, distances, kinds.argmax(0))


def given(z):
    "Places, features and wishes."
    return (
        torch.from_numpy(z["x"]),
        torch.from_numpy(z["context"]) if "context" in z else features(z),
        torch.from_numpy(z["y"]),
    )


def network(z, net):
    "Forward passes, guided and not."
    x, c, y = given(z)
    if "context" in z:
        yield "v2", "context", near(features(z), z["context"], 5e-5)  # cosines of up to a thousand radians
    hidden = out_of_reach(48, 8)
    yield "v2", "band mask", bool((hidden.numpy() == z["band_mask_forbidden"]).all())
    ask = lambda t, mask, x=x: net(x, torch.from_numpy(t), c.expand(len(x), -1, -1), y, mask)
    yield "v2", "forward", near(ask(z["t"], None), z["out_nomask"], 2e-5)
    yield "v2", "forward in a band", near(ask(z["t"], hidden), z["out_mask"], 2e-5)
    both = ask(z["t_cfg"], hidden, x[:1].repeat(2, 1, 1))
    for scale in (1.0, 2.5):
        eps = guided(both[0, :2], both[1, :2], scale)
        yield "v2", "guided forward", near(torch.cat([eps, both[0, 2:]]), z[f"out_cfg_{scale}"][0], 2e-5)


def trace(z, net):
    "The whole way back: places and guesses of each step, and how often noise was drawn."
    x, c, y = given(z)
    hidden = out_of_reach(48, 8)
    scale = float(z["trace_cfg"])

    def predict(x, t):
        both = net(x.repeat(2, 1, 1), torch.tensor([t, t]), c.expand(2, -1, -1), y, hidden)
        return torch.cat([guided(both[:1, :2], both[1:, :2], scale), both[:1, 2:]], 1)

    noise = Noise()
    schedule = Schedule(noise_betas(), kept_steps(1000, KEPT["100"]))
    samples, guesses = zip(
        *((sample[0], x0[0]) for _, sample, x0 in reverse(schedule, predict, x[:1], noise))
    )
    return torch.stack(samples), torch.stack(guesses), noise.calls


def sampling(z, net):
    "The trace of the whole way back."
    samples, guesses, calls = trace(z, net)
    stored = z["trace_steps"] if "trace_steps" in z else np.arange(100)
    for part in np.array_split(np.arange(len(stored)), 10):  # a tenth of the steps a case
        yield "v2", "trace sample", near(samples[stored[part]], z["trace_sample"][part, 0], 2e-4)
        yield "v2", "trace guess", near(guesses[stored[part]], z["trace_pred_x0"][part, 0], 2e-4)
    yield "v2", "noise calls", calls == int(z["trace_noise_calls"])


def losses(z, net):
    "Both parts of the training loss."
    x0, context, y = given(z)
    schedule = Schedule(noise_betas())
    i = torch.tensor([5, 60])
    noise = sines(x0, 5)
    x = schedule.noised(x0, i, noise)
    out = net(x, i, context.expand(2, -1, -1), y)
    return denoising_loss(schedule, out, x0, x, noise, i)


def training(z, net):
    "Both losses."
    error, bits = losses(z, net)
    yield "v2", "squared error", near(error, z["train_mse"], 2e-5)
    yield "v2", "bits", near(bits, z["train_vb"], 2e-5)
    yield "v2", "loss", near(error + bits, z["train_loss"], 2e-5)


# --- the whole pipeline --------------------------------------------------------------------------------------------------

E = EventType

RULES = (
    "a zero is a coordinate",
    "noise as the first step expects it",
    "mappers found by their id",
    "a place is said once",
    "kept points stay, slider ends too",
    "padding takes no part in attention",
    "short maps are refined",
    "objects stay on the playfield",
    "stacks stay stacks",
)


class Ruled(Refiner):
    "Our refiner with rules of the reference put back, each of which a fix of ours replaced."

    def __init__(self, denoiser, conf, rules, pad):
        back = "noise as the first step expects it" in rules
        super().__init__(denoiser, replace(conf, renoise=not back))
        self.rules = rules
        self.pad = pad if "padding takes no part in attention" in rules else 0

    def __call__(self, points, noise, progress=None):
        if "short maps are refined" in self.rules and len(points) <= 2 * self.conf.overlap:
            return points.places
        places = super().__call__(points, noise, progress)
        if "kept points stay, slider ends too" not in self.rules:
            return places
        free = self.free(points)
        pieces = spans(len(points), self.conf.max_length, self.conf.overlap)
        walked = [
            (a, b) for k, (a, b) in enumerate(pieces) if free[a + self.conf.overlap * bool(k) : b].any()
        ]
        guides = [
            g
            for g in points.guides
            if any(a <= min(g.control) and max(*g.control, g.end) < b for a, b in walked)
        ]
        return to_pixels(guide_ends(to_field(places), guides))

    def free(self, points):  # point by point
        if "kept points stay, slider ends too" not in self.rules:
            return super().free(points)
        start = self.conf.start_time or -np.inf
        end = self.conf.end_time or np.inf
        return (points.times >= start) & (points.times <= end)

    def hold(self, x0, piece):
        if "objects stay on the playfield" in self.rules:
            piece = replace(piece, rigid=torch.zeros_like(piece.rigid))
        if "stacks stay stacks" in self.rules:
            piece = replace(piece, stacks=torch.arange(len(piece.stacks)))
        settled = super().hold(x0, piece)
        return (
            guide_ends(settled, piece.guides)
            if "kept points stay, slider ends too" in self.rules
            else settled
        )

    def walk(self, piece, noise):  # padding walks along
        self.n = piece.start.shape[-1]
        more = max(self.pad - self.n, 0)
        wide = lambda v, value=0: torch.nn.functional.pad(v, (0, more), value=value)
        padded = replace(
            piece,
            start=wide(piece.start),
            free=wide(piece.free, True),
            context=wide(piece.context),
            rigid=wide(piece.rigid, False),
            stacks=torch.cat([piece.stacks, torch.arange(self.n, self.n + more)]),
        )
        for x in super().walk(padded, noise):
            yield x[..., : self.n]

    def predict(self, x, step, context, hidden):  # padding sees all and is seen by all
        hidden[self.n :], hidden[:, self.n :] = False, False
        return super().predict(x, step, context, hidden)


@cache
def spoken(types_first, has_sv):
    return compose(LanguageConfig, preset="v31", types_first=types_first, position_precision=1, add_sv=has_sv)


def language_of(run):
    "Positions in pixels, a word per axis."
    return spoken(run["types_first"], run["has_sv"])


def stream_of(types, run, key):
    "Events with their times."
    events = [Event(E(types[t]), v) for t, v in zip(run[key]["type"], run[key]["value"], strict=True)]
    return EventStream(events, event_times(events, run["types_first"]))


def centred(stream):
    "What the reference reads: a place with a zero in it is the centre."
    out = EventStream()
    events = stream.events
    for i, (e, t) in enumerate(stream):
        pair = (e, events[i + 1]) if e.type is E.POS_X and i + 1 < len(events) else (events[i - 1], e)
        zero = e.type in (E.POS_X, E.POS_Y) and any(p.value == 0 for p in pair)
        out.append(Event(e.type, {E.POS_X: 256, E.POS_Y: 192}[e.type]) if zero else e, t)
    return out


def move_stream(stream, found, places, twice):
    "The events with x and y in pixels where a place or a distance was said: once, or once for each."
    where = {
        i: (g, p)
        for g, p in zip(found, np.round(places).astype(int).tolist())
        for i in range(g.first, g.last + 1)
    }
    out = EventStream()
    said = set()
    for i, (e, t) in enumerate(stream):
        if e.type not in (E.DISTANCE, E.POS_X, E.POS_Y) or i not in where:
            out.append(e, t)
            continue
        g, (x, y) = where[i]
        axes = (
            [axis for axis in (E.POS_X, E.POS_Y) if e.type in (axis, E.DISTANCE)]
            if twice
            else [E.POS_X, E.POS_Y]
            if g.first not in said
            else []
        )
        for axis in axes:
            out.append(Event(axis, x if axis is E.POS_X else y), t)
        said.add(g.first)
    return out


def place_words(stream):
    return np.array(
        [e.value for e in stream.events if e.type in (E.POS_X, E.POS_Y)]
    )  # a cut stream has an x without its y


def other_words(stream):
    return [e.type if e.type in (E.POS_X, E.POS_Y) else e for e in stream.events]


def close(got, want):
    "Everything equal but positions, which may round otherwise by a pixel in one of a hundred."
    if other_words(got) != other_words(want):
        return False
    off = np.abs(place_words(got) - place_words(want))
    return bool(
        not off.size or off.max() <= 1 and (off != 0).sum() <= max(0.01 * off.size, 2)
    )  # two words of a short stream


def points_of_events(found, n):
    "The point each event belongs to; what belongs to none falls to the next."
    return np.minimum(np.searchsorted([g.last for g in found], np.arange(n)), len(found) - 1).tolist()


class Case:
    "One run of the whole pipeline, with rules of the reference put back or not."

    def __init__(self, folder, d, run):
        self.folder = folder
        self.run = run
        self.seen = {}
        self.stream, self.want = (stream_of(d["types"], run, key) for key in ("events_in", "events_out"))
        self.timing = (
            Timing([TimingPoint(t, mpb, int(meter)) for t, mpb, meter in d["timing"]])
            if run["has_sv"]
            else None
        )
        self.sm = d["generation_config"]["slider_multiplier"]

    def points(self, rules):
        stream = centred(self.stream) if "a zero is a coordinate" in rules else self.stream
        return group_points(read_groups(stream, language_of(self.run)), self.timing, self.sm)

    def refiner(self, rules):
        run = self.run
        mapper = None if "mappers found by their id" in rules else 9
        conf = RefineConfig(
            timesteps=run["timesteps"],
            guidance=run["diff_cfg_scale"],
            max_length=run["max_seq_len"],
            overlap=run["overlap_buffer"],
            start_time=run["start_time"],
            end_time=run["end_time"],
            difficulty=5.3,
            circle_size=4.2,
            mapper_id=mapper,
            descriptors=["c"],
            negative_descriptors=["a"],
        )
        return Ruled(
            oracle_denoiser(self.folder, run["training_seq_len"]),
            conf,
            rules,
            run["max_seq_len"] if run["pad_sequence"] else 0,
        )

    def places(self, rules):  # walked once for rules that differ only in words
        rules = rules - {"a place is said once"}
        if rules not in self.seen:
            self.seen[rules] = self.refiner(rules)(self.points(rules)[0], noise := Noise()), noise.calls
        return self.seen[rules]

    def out(self, rules):
        return move_stream(
            self.stream, self.points(rules)[1], self.places(rules)[0], "a place is said once" in rules
        )

    def explain(self):
        "True, the rules that cannot be left out joined by ' + ', or False."
        needed = frozenset(RULES)
        if not close(self.out(needed), self.want):
            return False
        if close(self.out(frozenset()), self.want):
            return True
        for rule in RULES:
            if close(self.out(needed - {rule}), self.want):
                needed -= {rule}
        return " + ".join(sorted(needed))


def parts_of(case):
    "The parts of a run as the reference has them, by the names of the oracle."
    points, found = case.points(frozenset(RULES))
    return {
        "points": len(points),
        "seq_x": to_field(points.places)[0],
        "seq_times": points.times,
        "point_of_event": points_of_events(found, len(case.stream)),
        "sliders": [(g.control, g.end, round(g.length, 6)) for g in points.guides],
        "noise_calls": case.places(frozenset(RULES))[1],
        "class_vector": case.refiner(frozenset(RULES)).class_vectors[0].nonzero().flatten().tolist(),
    }


def reference_run(folder, d, run):
    "What the reference makes of a run, by its rules: for oracles of our own."
    case = Case(folder, d, run)
    parts = parts_of(case)
    out = case.out(frozenset(RULES))
    types = {t: i for i, t in enumerate(d["types"])}
    parts["sliders"] = [
        {"indices": [int(i) for i in control], "end": int(end), "length": length}
        for control, end, length in parts["sliders"]
    ]
    parts["events_out"] = {
        "type": [types[e.type.value] for e in out.events],
        "value": [int(e.value) for e in out.events],
    }
    return parts | {
        "seq_x": np.asarray(parts["seq_x"]).round(6).tolist(),
        "seq_times": np.asarray(parts["seq_times"]).tolist(),
    }


def pipeline_run(folder, d, run):
    "(version, what, result) of one run of the whole pipeline: its parts as the reference has them, then what ours makes of it."
    case = Case(folder, d, run)
    parts = parts_of(case)
    yield "pipeline", "points", parts["points"] == run["points"]
    yield "pipeline", "positions read", near(parts["seq_x"], run["seq_x"], 1e-6)
    yield "pipeline", "times", near(parts["seq_times"], run["seq_times"], 1e-9)
    yield "pipeline", "point of each event", parts["point_of_event"] == run["point_of_event"]
    yield (
        "pipeline",
        "guided sliders",
        parts["sliders"] == [(s["indices"], s["end"], round(s["length"], 6)) for s in run["sliders"]],
    )
    yield "pipeline", "noise calls", parts["noise_calls"] == run["noise_calls"]
    yield "pipeline", "wish", parts["class_vector"] == run["class_vector"]
    yield "pipeline", "positions", case.explain()


def pipeline(folder):
    "All runs."
    d = read_json(folder / "pipeline.json.gz")
    for run in d["runs"]:
        yield from guarded(run["name"], pipeline_run(folder, d, run))


def networks(folder):
    "Rows of the network, its schedule and its sampling."
    z = np.load(folder / "dit_io.npz")
    net = oracle_denoiser(folder).model
    for name, counts in KEPT.items():
        yield from guarded(f"sched_{name}", schedules(z, name, counts))
    with torch.no_grad():
        for part in (network, sampling, training):
            yield from guarded(part.__name__, part(z, net))


def schedules(z, name, counts):
    "The tables of a schedule."
    schedule = Schedule(noise_betas(), kept_steps(1000, counts))
    for key, ours in TABLES.items():
        if (stored := f"sched_{name}_{key}") in z:
            yield (
                "v2",
                f"schedule {ours}",
                bool(np.allclose(getattr(schedule, ours), z[stored], rtol=1e-9, atol=1e-12)),
            )


def diffusion(folder):
    "All cases of the diffusion family: (name, version, what, result)."
    folder = folder / "oracles" / "diffusion"
    if (folder / "dit_io.npz").is_file():
        yield from networks(folder)
    if (folder / "pipeline.json.gz").is_file():
        yield from pipeline(folder)
