"""The small oracles in tests/data/parity, made anew: `python tests/parity carry FIXTURES` (the folder ../shared/fixtures, whose numbers on random inputs are
carried over, cut short).

The rest is what our own code says of toy maps and of networks whose weights follow a rule: to be made anew only when `python tests/parity FAMILY
../shared/fixtures` explains everything, so that what our code says is what the reference says."""

from __future__ import annotations
import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import torch

from mapperatorinator.model.diffusion import guided
from mapperatorinator.events import ContextType, EventStream
from mapperatorinator.osu.beatmap import Beatmap
from mapperatorinator.parse import Parser
from corpus.toys import toy_maps
from parity import DATA, checkpoints as models, diffusion as places, language as texts, read_json

VERSIONS = "v28", "v29", "v30", "v31", "v32", "v32-mini"


def write(path, d):
    "A small JSON file; packed without a date, so that the same content is the same file."
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(d, separators=(",", ":")).encode()
    path.write_bytes(gzip.compress(data, 9, mtime=0) if path.suffix == ".gz" else data)


# --- parse -----------------------------------------------------------------------------------------------------------------


def told(s):
    "A stream as the oracles have it."
    return {
        "type": [texts.TYPES.index(e.type.value) for e in s.events],
        "value": [e.value for e in s.events],
        "time": list(s.times),
    }


def in_windows(folder, version, s):
    "Token ids of whole windows, and how many of each."
    c = texts.language(version)
    tok = texts.tokenizer(folder, version)
    if not all(e.type in tok for e in s.events):
        return {}
    count = int(max(s.times, default=0) // c.window_ms) + 1
    ids = [texts.windowed(tok, c, s, k) for k in range(count + 1)]
    return {"ids": ids[-1], "per_window": [len(b) - len(a) for a, b in zip(ids, ids[1:])]}


def spoken(folder, version, b):
    "What a version says of a map."
    c = texts.language(version)
    p = Parser(texts.language(version))
    if b.mode not in c.gamemodes:
        return None
    found = {what: s for what, f in texts.methods(p).items() if len(s := f(b))}
    return {what: told(s) | in_windows(folder, version, s) for what, s in found.items()}


def parse(folder):
    "Toy maps, and what is said of them in all versions; a version that says what another says names it."
    for name, text in toy_maps().items():
        b = Beatmap.parse(text)
        (path := folder / "oracles" / "parse" / "osu" / f"{name}.osu.gz").parent.mkdir(
            parents=True, exist_ok=True
        )
        path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        said = {v: found for v in VERSIONS if (found := spoken(folder, v, b))}
        p = Parser(texts.language("v32"))
        configs = {v: next((w for w in said if w < v and said[w] == said[v]), said[v]) for v in said}
        faster = [
            dict(
                speed=speed,
                flip=flip,
                map=told(p.map_events(b, flip, speed=speed)),
                timing=told(p.timing_events(b, speed=speed)),
            )
            for speed, flip in ((1.25, (False, True)), (0.8, (True, False)))
        ]
        d = {"configs": configs, "augmented_v32": faster, "scalars": texts.measured(p, b)}
        if "v28" in said:
            d["no_hs_v28"] = told(Parser(texts.language("v28")).context(ContextType.NO_HS, b))
        write(folder / "oracles" / "parse" / f"{name}.json.gz", d)


# --- windows -----------------------------------------------------------------------------------------------------------------

PAIRS = {
    "standard": ("standard_everything", "standard_lazer_fractions"),
    "taiko": ("taiko_hits_and_rolls", "taiko_plain"),
    "catch": ("catch_fruits", "catch_fruits"),
    "mania": ("mania_7_keys", "mania_4_keys"),
}  # map, and the other difficulty


def request(mode):
    "What is asked for, with a tag that is unknown on purpose."
    return dict(
        gamemode=mode,
        difficulty=5.3,
        mapper_id=103,
        year=2020,
        hitsounded=True,
        slider_multiplier=1.7,
        circle_size=4.2,
        keycount=4,
        hold_note_ratio=0.35 if mode == 3 else None,
        scroll_speed_ratio=0.0 if mode in (1, 3) else None,
        descriptors=["tag/1", "tag/3", "tag/nope"],
        negative_descriptors=["tag/0"],
    )


def templates(version, mode):
    "Inputs and outputs that a version knows."
    c = texts.language(version)
    if mode not in c.gamemodes:
        return
    for t in c.context_types:
        yield (
            list(t.inputs) if c.add_out_context_types else [],
            [o for o in t.outputs if o != "sv" or mode == 3],
        )


def windows(folder):
    "Training examples and prompts of toy maps: every version and template, the first window and one further on."
    for mode, (name, other) in enumerate(PAIRS.values()):
        d = {
            "map": name,
            "gd_map": other,
            "mode": mode,
            "audio_samples_16k": 16000 * 30,
            "beatmap_id": 1,
            "gd_beatmap_id": 2,
            "settings": {
                "star_ratings_at_speeds_0.5_to_2.0": [1.1, 2.2, 4.3, 5.4, 6.5, 7.6, 8.7],
                "gd_star_ratings": [0.5, 1, 1.9, 2.4, 3, 3.5, 4],
                "year": 2016,
                "gd_year": 2019,
                "user_id": 103,
                "gd_user_id": 104,
                "tokenizer_descriptors_of_beatmap": {"1": [1, 3], "2": [2]},
            },
            "generation_config": request(mode),
            "training": [],
            "inference": [],
        }
        for version in VERSIONS:
            for k, (given, wanted) in enumerate(templates(version, mode)):
                base = {"version": version, "in": given, "out": wanted}
                for window, lookback, speed, flip in (
                    (0, 0.0, 1.0, (False, False)),
                    (1, 0.2 * (version > "v31"), 1.25, (True, False)),
                )[: 1 + (k < 2)]:
                    x = base | dict(window=window, lookback=lookback, speed=speed, flip=flip)
                    x["input_ids"], x["labels"] = texts.training_ids(folder, d, x)
                    d["training"].append(x)
                x = base | dict(frame_time_ms=4000.0 * (k % 2), song_length_ms=30_000.0)
                x["prompt_ids"], x["negative_prompt_ids"] = (
                    texts.inference_ids(folder, d, x, negative) for negative in (False, True)
                )
                d["inference"].append(x)
        write(folder / "oracles" / "windows" / f"{PAIRS[list(PAIRS)[mode]][0]}.json.gz", d)


# --- checkpoints -------------------------------------------------------------------------------------------------------------

EVERY = 97  # of the numbers of a large array, one in so many is carried


@torch.inference_mode()
def checkpoint(source, folder):
    "What a model with weights by the rule computes and writes; sizes and vocabulary are those of the fixtures."
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "generation_config.json"):
        shutil.copy(source / name, folder / name)
    bundle = models.filled_bundle(folder)
    given = np.load(source / "io.npz")
    io = {
        k: torch.from_numpy(given[k])
        for k in given
        if k in ("ids", "mask", "labels", "neg") or k.startswith("cond_")
    }
    io["dice"] = models.filled((60,), 7).double().abs()
    mel, encoded, logits, loss = models.computed(bundle, io)
    out = io | {
        "every": torch.tensor(EVERY),
        "mel": mel.flatten()[::EVERY],
        "enc": encoded.states.flatten()[::EVERY],
        "logits": logits.flatten()[::EVERY],
        "loss": loss,
    }
    for way, draw in models.ways(bundle, io, encoded, lambda key: 48).items():
        out[models.WAYS[way]] = draw()
    np.savez_compressed(folder / "io.npz", **{k: v.numpy() for k, v in out.items()})


def checkpoints(folder, fixtures):
    for path in sorted((fixtures / "checkpoints").glob("*/io.npz")):
        checkpoint(path.parent, folder / "checkpoints" / path.parent.name)


# --- generate, timing, postprocess: measured on the reference, cut short --------------------------------------------------------

RUNS = (
    "v28_mania v28_std v28_std_in_nohs v28_std_in_timing v28_std_temps v30_std v30_std_parallel v31_mania v31_taiko v32_std v32_taiko v32_catch v32_mania "
    "v32_std_add v32_std_add_start v32_std_default_look v32_std_cfg_swapped v32_std_cfg_unequal_reference v32_std_parallel v32_std_in_timing"
).split()
NEEDED = (
    "run",
    "version",
    "checkpoint",
    "clip",
    "reference_beatmap",
    "guidance_sign",
    "settings",
    "generation_config",
    "src_seq_len",
    "tgt_seq_len",
    "calls",
    "processor_generate",
    "generated_timing",
)
ASKED = (
    "do_sample cfg_scale temperature timing_temperature mania_column_temperature taiko_hit_temperature top_p top_k lookback lookahead num_beams parallel "
    "start_time end_time add_to_beatmap timeshift_bias"
).split()  # of the settings


def run(path, target):
    "One run of the reference: what it was told and what it said, call by call."
    d = read_json(path)
    out = {k: d[k] for k in NEEDED} | {"settings": {k: v for k, v in d["settings"].items() if k in ASKED}}
    keep = lambda call: {k: call[k] for k in ("prompt", "negative_prompt", "generated", "min_top2_gap")}
    out["calls"] = [keep(c) for c in d["calls"]]
    write(target, out)


def generate(folder, *homes):
    "Runs on synthetic clips and the synthetic maps they need; neither sound nor weights, so that what was said then is said again."
    target = folder / "oracles" / "generate"
    for home in homes:
        home = home / "oracles" / "generate"
        for path in sorted((home / "runs").glob("*.json.gz")):
            d = read_json(path)
            another = home.parents[1].name == "parity_no_hs"
            if d["run"] not in RUNS:
                continue
            run(path, target / "runs" / (f"clip2_{path.name}" if another else path.name))
            for name in ["tokenizer.json"]:
                (target / "ckpt" / d["checkpoint"]).mkdir(parents=True, exist_ok=True)
                shutil.copy(home / "ckpt" / d["checkpoint"] / name, target / "ckpt" / d["checkpoint"] / name)
            if d["reference_beatmap"]:
                shutil.copy(home / d["reference_beatmap"], target / d["reference_beatmap"])


SHARES = {
    "resnap": 2,
    "timing_change": 2,
    "generate_timing": 4,
    "slider_path": 3,
    "convert": 3,
    "super_timing": 4,
}  # one case in so many


def numbers(folder, fixtures):
    "Every so-manieth case of the oracles on random inputs."
    d = json.loads((fixtures / "postprocess_timing_oracles.json").read_text(encoding="utf-8"))
    write(folder / "postprocess_timing_oracles.json.gz", {k: d[k][::n] for k, n in SHARES.items()})


# --- diffusion -----------------------------------------------------------------------------------------------------------------

STEPS = np.array([0, 1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 99])  # of the trace


@torch.inference_mode()
def network(folder, fixtures):
    "What the network with weights by the rule makes of random points; the tables of the schedules are the reference's."
    z = np.load(fixtures / "oracles" / "diffusion" / "dit_io.npz")
    f = places
    out = {
        k: z[k]
        for k in (
            "x",
            "t",
            "y",
            "times",
            "distances",
            "one_hot",
            "band_mask_forbidden",
            "t_cfg",
            "trace_cfg",
            "trace_noise_calls",
        )
    }
    out |= {k: z[k] for k in z if k.startswith("sched_") and "full" not in k}
    net = f.oracle_denoiser(folder).model
    x, c, y = f.given(out)
    hidden = torch.from_numpy(z["band_mask_forbidden"])
    ask = lambda t, mask, x=x: net(x, torch.from_numpy(t), c.expand(len(x), -1, -1), y, mask)
    both = ask(z["t_cfg"], hidden, x[:1].repeat(2, 1, 1))
    out |= {"out_nomask": ask(z["t"], None).numpy(), "out_mask": ask(z["t"], hidden).numpy()}
    for scale in (1.0, 2.5):
        out[f"out_cfg_{scale}"] = torch.cat([guided(both[0, :2], both[1, :2], scale), both[0, 2:]])[
            None
        ].numpy()
    samples, guesses = f.trace(out, net)[:2]
    out |= {
        "trace_steps": STEPS,
        "trace_sample": samples[STEPS][:, None].numpy(),
        "trace_pred_x0": guesses[STEPS][:, None].numpy(),
    }
    error, bits = f.losses(out, net)
    out |= {"train_mse": error.numpy(), "train_vb": bits.numpy(), "train_loss": (error + bits).numpy()}
    np.savez_compressed(folder / "dit_io.npz", **out)


KINDS = [
    ("plain", {}),
    ("guided_slider_ends", dict(has_sv=True)),
    ("types_last", dict(types_first=False, diff_cfg_scale=2.0)),
    ("in_a_range", dict(has_sv=True, start_time=2500, end_time=6000)),
    ("padded", dict(pad_sequence=True)),
    ("too_short", dict(short=True)),
    ("cut_through_a_place", dict(cut=True)),
]


def cut_at_an_x(s):
    "The stream up to its last x, whose y is lost."
    n = max(i for i, e in enumerate(s.events) if e.type is places.E.POS_X) + 1
    return EventStream(s.events[:n], s.times[:n])


def pipeline(folder):
    "The whole way of positions of a toy map, by the rules of the reference."
    b = Beatmap.parse(toy_maps()["standard_everything"])
    f = places
    d = {
        "types": texts.TYPES,
        "timing": [[p.time, p.beat_length, p.meter] for p in b.timing_points if p.uninherited],
        "generation_config": {"slider_multiplier": b.slider_multiplier},
        "runs": [],
    }
    for name, given in KINDS:
        run = dict(
            name=name,
            types_first=True,
            has_sv=False,
            max_seq_len=48,
            overlap_buffer=6,
            training_seq_len=10,
            timesteps=[4] + [0] * 9,
            diff_cfg_scale=1.0,
            pad_sequence=False,
            start_time=None,
            end_time=None,
        ) | {k: v for k, v in given.items() if k not in ("short", "cut")}
        s = Parser(f.language_of(run)).map_events(b)
        if not run["has_sv"]:
            s = s.drop([f.E.POS_X, f.E.POS_Y])
        s = s.between(0, 2000 if given.get("short") else 8000)
        if given.get("cut"):
            s = cut_at_an_x(Parser(f.language_of(run)).map_events(b).between(0, 5000))
        run["events_in"] = run["events_out"] = told(s)
        d["runs"].append(run | f.reference_run(folder, d, run))
    write(folder / "pipeline.json.gz", d)


def diffusion(folder, fixtures):
    folder = folder / "oracles" / "diffusion"
    folder.mkdir(parents=True, exist_ok=True)
    network(folder, fixtures)
    pipeline(folder)


def maimod(folder, fixtures):
    "What the reference said of one map; its weights and its sound stay where they are, so here it is only read."
    name = Path("oracles/maimod/clip1_taiko_v31_trained_closed_last_context.json.gz")
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(fixtures / name, folder / name)


def main(fixtures):
    "Make them all."
    fixtures = Path(fixtures)
    if DATA.exists():
        shutil.rmtree(DATA)
    parse(DATA)
    windows(DATA)
    checkpoints(DATA, fixtures)
    generate(DATA, fixtures, fixtures.parent / "cases" / "parity_no_hs")
    numbers(DATA, fixtures)
    diffusion(DATA, fixtures)
    maimod(DATA, fixtures)
    sizes = {
        p.name: sum(f.stat().st_size for f in p.rglob("*") if f.is_file())
        for p in [*DATA.iterdir(), *(DATA / "oracles").iterdir()]
        if p.is_dir()
    }
    print(json.dumps(sizes | {"all": sum(f.stat().st_size for f in DATA.rglob("*") if f.is_file())}))
