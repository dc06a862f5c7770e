"The diffusion family of `parity.py`: the denoiser, its schedule and the whole position pipeline of a real map."
from __future__ import annotations
import gzip
import json

import numpy as np
import torch
from safetensors.torch import load_file

from mapperatorinator.config import DiffusionConfig
from mapperatorinator.diffusion import Schedule, denoising_loss, guided, kept_steps, noise_betas, reverse
from mapperatorinator.model.dit import Classes, Denoiser, new_denoiser, out_of_reach, point_features

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

def oracle_denoiser(folder, reach=128):
    "The oracle's small network."
    weights = {k: v.float() for k, v in load_file(folder/"dit.safetensors").items()}
    classes = Classes(mappers={7: 0, 9: 1}, mapper_count=3, descriptors={"a": 0, "b": 1, "c": 2}, descriptor_count=4)
    out = new_denoiser(DiffusionConfig(width=32, depth=2, heads=4, reach=reach), classes)
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
