"The diffusion family of `parity.py`: the denoiser, its schedule and the whole position pipeline of a real map."
from __future__ import annotations
import gzip
import json
from dataclasses import replace

import numpy as np
import torch
from safetensors.torch import load_file

from mapperatorinator.config import DiffusionConfig, RefineConfig, LanguageConfig, compose
from mapperatorinator.diffusion import Schedule, denoising_loss, guided, kept_steps, noise_betas, reverse
from mapperatorinator.events import Event, EventStream, EventType
from mapperatorinator.model.dit import Classes, class_vector, new_denoiser, out_of_reach, point_features
from mapperatorinator.osu.beatmap import TimingPoint
from mapperatorinator.osu.timing import Timing
from mapperatorinator.refine import Refiner, group_points, guide_ends, spans, to_field
from mapperatorinator.unparse import event_times, groups

TABLES = {"betas": "betas", "alphas_cumprod": "left", "posterior_variance": "variance", "posterior_log_variance_clipped": "log_variance",
          "posterior_mean_coef1": "clean_share", "posterior_mean_coef2": "noisy_share", "timestep_map": "steps"}
KEPT = {"100": [100] + [0]*9, "10": [10] + [0]*99, "full": [1000]}

def sines(x, k):
    "The oracle's noise of call k for the half of the batch that counts."
    i = np.arange(x.numel(), dtype=np.float64)
    return torch.from_numpy((np.sqrt(2) * np.sin(12.9898*i + 78.233*k)).astype(np.float32)).reshape(x.shape)

class Noise:
    "The oracle's noise, call by call."
    def __init__(self): self.calls = 0
    def __call__(self, x): self.calls += 1; return sines(x, self.calls)

def oracle_classes(): # 55 in all
    return Classes(mappers={7: 0, 9: 1}, mapper_count=3, descriptors={"a": 0, "b": 1, "c": 2}, descriptor_count=4)

def oracle_denoiser(folder, reach=128):
    "The oracle's small network."
    weights = {k: v.float() for k, v in load_file(folder/"dit.safetensors").items()}
    out = new_denoiser(DiffusionConfig(width=32, depth=2, heads=4, reach=reach, neighbours=0), oracle_classes())
    out.model.load_state_dict(weights); out.model.eval()
    return out

def near(a, b, tolerance): return bool(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).max() <= tolerance)

def network(z, net):
    "Forward passes, guided and not."
    x, c, y = (torch.from_numpy(z[k]) for k in ("x", "context", "y"))
    times, distances, kinds = (torch.from_numpy(z[k]) for k in ("times", "distances", "one_hot"))
    yield "context", near(point_features(times, distances, kinds.argmax(0)), z["context"], 5e-5) # cosines of up to a thousand radians
    hidden = out_of_reach(48, 8)
    yield "band mask", bool((hidden.numpy() == z["band_mask_forbidden"]).all())
    ask = lambda t, mask, x=x: net(x, torch.from_numpy(t), c.expand(len(x), -1, -1), y, mask)
    yield "forward", near(ask(z["t"], None), z["out_nomask"], 2e-5)
    yield "forward in a band", near(ask(z["t"], hidden), z["out_mask"], 2e-5)
    both = ask(z["t_cfg"], hidden, x[:1].repeat(2, 1, 1))
    for scale in (1.0, 2.5):
        eps = guided(both[0, :2], both[1, :2], scale)
        yield "guided forward", near(torch.cat([eps, both[0, 2:]]), z[f"out_cfg_{scale}"][0], 2e-5)

def sampling(z, net):
    "The trace of the whole way back."
    x, c, y = (torch.from_numpy(z[k]) for k in ("x", "context", "y"))
    hidden, scale = out_of_reach(48, 8), float(z["trace_cfg"])
    def predict(x, t):
        both = net(x.repeat(2, 1, 1), torch.tensor([t, t]), c.expand(2, -1, -1), y, hidden)
        return torch.cat([guided(both[:1, :2], both[1:, :2], scale), both[:1, 2:]], 1)
    noise, schedule = Noise(), Schedule(noise_betas(), kept_steps(1000, KEPT["100"]))
    samples, guesses = zip(*((sample[0], x0[0]) for _, sample, x0 in reverse(schedule, predict, x[:1], noise)))
    for k in range(0, 100, 10): # ten steps a case
        yield "trace sample", near(torch.stack(samples[k:k+10]), z["trace_sample"][k:k+10, 0], 2e-4)
        yield "trace guess", near(torch.stack(guesses[k:k+10]), z["trace_pred_x0"][k:k+10, 0], 2e-4)
    yield "noise calls", noise.calls == int(z["trace_noise_calls"])

def training(z, net):
    "Both losses."
    schedule, x0, i = Schedule(noise_betas()), torch.from_numpy(z["x"]), torch.tensor([5, 60])
    noise = sines(x0, 5)
    x = schedule.noised(x0, i, noise)
    out = net(x, i, torch.from_numpy(z["context"]).expand(2, -1, -1), torch.from_numpy(z["y"]))
    error, bits = denoising_loss(schedule, out, x0, x, noise, i)
    yield "squared error", near(error, z["train_mse"], 2e-5)
    yield "bits", near(bits, z["train_vb"], 2e-5)
    yield "loss", near(error + bits, z["train_loss"], 2e-5)

# --- the whole pipeline --------------------------------------------------------------------------------------------------

E = EventType

class Reference(Refiner):
    "Our refiner with what the reference does otherwise; each of it is a fix of ours, named below."
    pad = 0
    def free(self, points):
        start, end = self.conf.start_time or -np.inf, self.conf.end_time or np.inf
        return (points.times >= start) & (points.times <= end)

    def settle(self, x0, piece): return guide_ends(torch.where(piece.free, x0, piece.start), piece.guides)

    def walk(self, piece, noise): # padding walks along
        self.n = piece.start.shape[-1]
        wide = lambda v, value=0: torch.nn.functional.pad(v, (0, max(self.pad - self.n, 0)), value=value)
        for x in super().walk(replace(piece, start=wide(piece.start), free=wide(piece.free, True), context=wide(piece.context)), noise):
            yield x[..., :self.n]

    def predict(self, x, step, context, hidden): # padding sees all and is seen by all
        hidden[self.n:], hidden[:, self.n:] = False, False
        return super().predict(x, step, context, hidden)

def language_of(run):
    "Positions in pixels, a word per axis."
    return compose(LanguageConfig, preset="v31", types_first=run["types_first"], position_precision=1, add_sv=run["has_sv"])

def stream_of(types, run, key):
    "Events with their times."
    events = [Event(E(types[t]), v) for t, v in zip(run[key]["type"], run[key]["value"])]
    return EventStream(events, event_times(events, run["types_first"]))

def centred(stream):
    "What the reference reads: a place with a zero in it is the centre."
    out, events = EventStream(), stream.events
    for i, (e, t) in enumerate(stream):
        pair = (e, events[i + 1]) if e.type is E.POS_X and i + 1 < len(events) else (events[i - 1], e)
        zero = e.type in (E.POS_X, E.POS_Y) and any(p.value == 0 for p in pair)
        out.append(Event(e.type, {E.POS_X: 256, E.POS_Y: 192}[e.type]) if zero else e, t)
    return out

def move_stream(stream, found, places):
    "The events with x and y in pixels, once, where a place or a distance was said."
    where = {i: (g, p) for g, p in zip(found, np.round(places).astype(int).tolist()) for i in range(g.first, g.last + 1)}
    out, said = EventStream(), set()
    for i, (e, t) in enumerate(stream):
        if e.type not in (E.DISTANCE, E.POS_X, E.POS_Y) or i not in where: out.append(e, t); continue
        g, (x, y) = where[i]
        if g.first not in said: out.append(Event(E.POS_X, x), t); out.append(Event(E.POS_Y, y), t)
        said.add(g.first)
    return out

def said_once(stream):
    "Without the second of two equal places in one group, which the reference writes where a distance and a place were given."
    events = stream.events
    again = lambda i: i > 1 and events[i].type in (E.POS_X, E.POS_Y) and events[i] == events[i - 2] and {events[i-1].type, events[i].type} == {E.POS_X, E.POS_Y}
    keep = [i for i in range(len(events)) if not again(i)]
    return EventStream([events[i] for i in keep], [stream.times[i] for i in keep])

def place_words(stream): return np.array([e.value for e in stream.events if e.type in (E.POS_X, E.POS_Y)]).reshape(-1, 2)
def other_words(stream): return [e.type if e.type in (E.POS_X, E.POS_Y) else e for e in stream.events]

def close(got, want, kept):
    "Everything equal but positions, which may round otherwise by a pixel in one of a hundred; kept ones stay with us."
    if other_words(got) != other_words(want): return False
    off = np.abs(place_words(got) - place_words(want))
    moved = off.any(1) & kept
    if off[~moved].max() > 1 or np.mean(off[~moved] == 0) < .99: return False
    return "kept points stay, slider ends too" if moved.any() else True

def points_of_events(found, n):
    "The point each event belongs to; what belongs to none falls to the next."
    return np.minimum(np.searchsorted([g.last for g in found], np.arange(n)), len(found) - 1).tolist()

def emulated(folder, d, run, stream, timing):
    "Points and events as the reference makes them."
    points, found = group_points(groups(centred(stream), language_of(run)), timing if run["has_sv"] else None, d["generation_config"]["slider_multiplier"])
    conf = RefineConfig(timesteps=run["timesteps"], guidance=run["diff_cfg_scale"], renoise=False, max_length=run["max_seq_len"],
                        overlap=run["overlap_buffer"], start_time=run["start_time"], end_time=run["end_time"], difficulty=5.3, circle_size=4.2,
                        descriptors=["c"], negative_descriptors=["a"])
    refiner = Reference(oracle_denoiser(folder, run["training_seq_len"]), conf)
    if run["pad_sequence"]: refiner.pad = run["max_seq_len"]
    noise = Noise()
    places = refiner(points, noise) if len(points) > 2 * conf.overlap else points.places
    return points, found, move_stream(stream, found, places), noise.calls, refiner

def pipeline_run(folder, d, run):
    "(what, result) of one run of the whole pipeline."
    stream, want = stream_of(d["types"], run, "events_in"), stream_of(d["types"], run, "events_out")
    timing = Timing([TimingPoint(t, mpb, int(meter)) for t, mpb, meter in d["timing"]])
    points, found, out, calls, refiner = emulated(folder, d, run, stream, timing)
    yield "points", len(points) == run["points"]
    yield "positions read", near(to_field(points.places)[0], run["seq_x"], 1e-6)
    yield "times", near(points.times, run["seq_times"], 1e-9)
    yield "point of each event", points_of_events(found, len(stream)) == run["point_of_event"]
    yield "guided sliders", [(g.control, g.end, round(g.length, 6)) for g in points.guides] == [(s["indices"], s["end"], round(s["length"], 6)) for s in run["sliders"]]
    yield "noise calls", calls == run["noise_calls"]
    yield "wish", refiner.wishes[0].nonzero().flatten().tolist() == run["class_vector"]
    placed = [k for k, g in enumerate(found) if g.distance is not None or g.x is not None]
    yield "positions", close(out, said_once(want), ~refiner.free(points)[placed])
    yield from pipeline_fixes(d, run, stream, points, timing, want)

def pipeline_fixes(d, run, stream, points, timing, want):
    "Where we go another way than the reference did above, with the fix that is the reason."
    ours, _ = group_points(groups(stream, language_of(run)), timing if run["has_sv"] else None, d["generation_config"]["slider_multiplier"])
    zero = (ours.places == 0).any(1)
    other = (ours.places != points.places).any(1)
    if other.any(): yield "zero coordinates", "a zero is a coordinate" if (zero == other).all() else False
    yield "start", "noise as the first step expects it"
    wish = class_vector(oracle_classes(), 5.3, 9, ["c"], 4.2).nonzero().flatten().tolist()
    yield "mapper", "mappers found by their id" if wish == [10, 27, 31, 41] != run["class_vector"] else wish == run["class_vector"]
    if not run["noise_calls"]: yield "short map", "short maps are refined" if spans(len(ours), run["max_seq_len"], run["overlap_buffer"]) else False
    if run["pad_sequence"]: yield "padding", "padding takes no part in attention"
    if len(said_once(want)) != len(want): yield "events", "a place is said once"

def pipeline(folder):
    "All runs."
    d = json.loads(gzip.open(folder/"pipeline.json.gz").read())
    for run in d["runs"]:
        for what, result in pipeline_run(folder, d, run): yield run["name"], what, result

def diffusion(folder):
    "All cases of the diffusion family: (name, version, what, result)."
    folder = folder/"oracles"/"diffusion"
    z, net = np.load(folder/"dit_io.npz"), oracle_denoiser(folder).model
    for name, counts in KEPT.items():
        schedule = Schedule(noise_betas(), kept_steps(1000, counts))
        for key, ours in TABLES.items():
            yield f"sched_{name}", "v2", f"schedule {ours}", bool(np.allclose(getattr(schedule, ours), z[f"sched_{name}_{key}"], rtol=1e-9, atol=1e-12))
    with torch.no_grad():
        for part in (network, sampling, training):
            for what, result in part(z, net): yield part.__name__, "v2", what, result
    for name, what, result in pipeline(folder): yield name, "pipeline", what, result
