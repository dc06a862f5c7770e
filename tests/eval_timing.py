"""How good is the timing? Figures for the notebook, on songs with human red lines (not collected by pytest).

    python tests/eval_timing.py [train|validation ...] [--mode standard] [--providers grid librosa] [--each] [--fit-octave]

A table per split: constant and variable tempo apart. Error is |estimated beat - nearest human beat| over the songs whose BPM is right.
The last line is JSON. Curves are cached in the folder for temporary files."""
from __future__ import annotations
import argparse, csv, json, pathlib, sys, tempfile, time
from collections import defaultdict
import numpy as np
from mapperatorinator.audio import OSU_OFFSET_MS, load_audio
from mapperatorinator.osu.beatmap import Beatmap, TimingPoint
from mapperatorinator.osu.timing import Beat, Timing
from mapperatorinator import rhythm as R, timing as T

DATA = pathlib.Path(__file__).resolve().parents[2] / "shared/data"
CACHE = pathlib.Path(tempfile.gettempdir()) / "mapperatorinator-ears"

def songs(split, mode="standard"):
    "One human map with the most objects per song: (id, audio, beatmap, constant)."
    best = {}
    with open(DATA / "index.tsv", encoding="utf-8", newline="") as f:
        for r in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE):
            if r["split"] != split or r["converted_from"] or (mode != "all" and r["mode"] != mode): continue
            if r["song_id"] not in best or int(r["objects"]) > int(best[r["song_id"]]["objects"]): best[r["song_id"]] = r
    for k, r in sorted(best.items()):
        yield k, DATA / "songs" / split / k / "audio.ogg", Beatmap.read(DATA / r["file"]), r["tempo"] == "constant"

def ear_of(path):
    "The curves of a song and how long they took; cached."
    CACHE.mkdir(exist_ok=True)
    file = CACHE / f"{path.parent.name}.npz"
    if not file.exists():
        t = time.perf_counter(); ear = R.Ear.of(load_audio(path), 16000)
        np.savez(file, strength=ear.strength.astype(np.float32), sound=ear.sound.astype(np.float32), took=time.perf_counter() - t)
    z = np.load(file)
    o = z["strength"].astype(float)
    return R.Ear(o, o, z["sound"].astype(float)), float(z["took"])

def by_grid(path):
    ear, took = ear_of(path)
    t = time.perf_counter()
    found = T.grid_of(ear)
    return found, (took + time.perf_counter() - t) * 60 / ear.seconds

def by_librosa(path):
    import librosa
    x = load_audio(path)
    t = time.perf_counter()
    _, beats = librosa.beat.beat_track(y=x, sr=16000, hop_length=160, units="time")
    took = (time.perf_counter() - t) * 60 * 16000 / len(x)
    if len(beats) < 2: return T.manual(bpm=120, offset=0), took
    class Beats(Timing): # its beats as they are, its tempo by least squares
        def beats(self, a, b, divisor=1): return [Beat(x, 0, 1, False) for x in beats * 1000 - OSU_OFFSET_MS if a <= x < b]
    return Beats([TimingPoint(0, float(np.polyfit(np.arange(len(beats)), beats, 1)[0]) * 1000)]), took

def by_network(path):
    "The ear led by what the embedded model's encoder hears."
    from mapperatorinator.config import GenerateConfig
    from mapperatorinator.pipeline import Audio2Events
    by_network.maker = maker = getattr(by_network, "maker", None) or Audio2Events("embedded")
    x = load_audio(path)
    t = time.perf_counter()
    found = maker.find_grid(maker.hear(x, GenerateConfig()), GenerateConfig())
    return found, (time.perf_counter() - t) * 60 * 16000 / len(x)

PROVIDERS = {"grid": by_grid, "network": by_network, "librosa": by_librosa}

def evaluate(split, mode, provider, each=False):
    rows = defaultdict(list)
    for k, path, human, constant in songs(split, mode):
        found, took = provider(path)
        times = [o.time for o in human.hit_objects]
        s = T.score_timing(found, Timing.of(human), min(times), max(times))
        rows["constant" if constant else "variable"].append((s, took, len(found.red)))
        if each: print(f"{k[:36]:36} {'C' if constant else 'V'} {'ok ' if s.right else 'BAD'} ratio {s.ratio:.4f} median {s.median:6.1f} p95 {s.p95:6.1f} "
                       f"bars {s.downbeats:.2f} lines {len(found.red)}/{len([p for p in human.timing_points if p.uninherited])} conf {getattr(found, 'confidence', 0):.2f}")
    out = {}
    for kind, r in sorted(rows.items()):
        good = [s for s, *_ in r if s.right]
        errors = np.abs(np.concatenate([s.errors for s in good])) if good else np.array([])
        out[kind] = dict(songs=len(r), bpm_right=round(np.mean([s.right for s, *_ in r]), 3), octave=round(np.mean([s.octave for s, *_ in r]), 3),
                         median_ms=round(float(np.median([s.median for s in good])), 1) if good else None,
                         **{f"beats_{n}_ms": round(float(np.quantile(errors, q)), 1) if good else None for n, q in (("median", .5), ("p90", .9), ("p95", .95))},
                         downbeats=round(float(np.mean([s.downbeats for s in good])) if good else 0, 3), one_line=round(np.mean([n == 1 for *_, n in r]), 2),
                         s_per_min=round(float(np.mean([t for _, t, _ in r])), 2))
    return out

def fit_octave(l2=6.):
    "Log-linear weights of the octave model, on constant songs of the train split, all modes."
    from scipy.optimize import minimize
    data = []
    for _, path, human, constant in songs("train", "all"):
        if not constant: continue
        spectrum = R.Spectrum(ear_of(path)[0].strength)
        bpm, _ = R.tempo_candidates(spectrum)
        human_bpm = T.score_timing(Timing.of(human), Timing([TimingPoint(0, 1000.)]), 0, max(o.time for o in human.hit_objects)).ratio * 60
        if len(y := np.flatnonzero(np.abs(bpm / human_bpm - 1) < .002)): data.append((np.array([R.octave_features(spectrum, b) for b in bpm]), y[0]))
    sd = np.concatenate([x for x, _ in data]).std(0)
    def loss(w):
        total, g = l2 * w @ w, 2 * l2 * w
        for x, y in data:
            x = x / sd; z = x @ w; p = np.exp(z - z.max()); p /= p.sum()
            total, g = total - np.log(p[y] + 1e-12), g + x.T @ p - x[y]
        return total, g
    return np.round(minimize(loss, np.zeros(len(sd)), jac=True).x / sd, 2), len(data)

def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("splits", nargs="*", default=["train", "validation"]); p.add_argument("--mode", default="standard")
    p.add_argument("--providers", nargs="+", default=["grid"], choices=list(PROVIDERS)); p.add_argument("--each", action="store_true"); p.add_argument("--fit-octave", action="store_true")
    a = p.parse_args(argv)
    if not DATA.is_dir(): sys.exit(f"There are no songs in {DATA}.")
    if a.fit_octave: w, n = fit_octave(); print(n, "songs:", *w); return
    result = {}
    for name, provider in PROVIDERS.items():
        if name not in a.providers: continue
        for split in a.splits:
            result[f"{name} {split}"] = r = evaluate(split, a.mode, provider, a.each)
            for kind, row in r.items(): print(f"{name:8} {split:10} {kind:8}", *(f"{k} {v}" for k, v in row.items()), sep="  ", flush=True)
    print(json.dumps(result))

if __name__ == "__main__": main()
