"""The door of foreign files: models, vocabularies, adapters, denoisers and checkpoints as strangers, accidents and other programs make them.

An input is the name of one file of a complete folder, a line end, and what the file shall hold instead. `walk` puts it there and loads the folder."""

from __future__ import annotations
import io
import json
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path

import torch
from hypothesis import strategies as st
from safetensors.torch import load_file, save as tensors_to_bytes
from torch import nn

from mapperatorinator.config import (
    DiffusionConfig,
    LanguageConfig,
    LoraConfig,
    ModelConfig,
    SpectrogramConfig,
    TrainConfig,
)
from mapperatorinator.model.dit import Classes, load_denoiser, new_denoiser, save_denoiser
from mapperatorinator.model.hub import Bundle, load_bundle, new_bundle, save_bundle
from mapperatorinator.model.lora import add_lora, load_lora, merge, save_lora
from mapperatorinator.model.published import published_config, to_published
from mapperatorinator.prompt import Metadata
from mapperatorinator.tokenizer import Tokenizer
from mapperatorinator.train import Resumable

LANGUAGE = LanguageConfig(src_seq_len=64, tgt_seq_len=48)
TINY = ModelConfig(
    d_model=16,
    n_heads=2,
    d_ff=16,
    encoder_layers=1,
    decoder_layers=1,
    local_attention=16,
    spectrogram=SpectrogramConfig(n_mels=8),
)
HEARD = dict(
    time_pointer=False,
    frame_heads=0,
    global_attn_every_n_layers=1,
    condition_width=128,
    conditions=["difficulty", "mapper", "song_position"],
    num_mappers=3,
)

# --- what is whole


def published() -> Bundle:
    "A tiny model in the layout of v30 and v31."
    b = new_bundle(
        ModelConfig(**vars(TINY) | HEARD), LANGUAGE, Tokenizer.from_config(LANGUAGE, 3, ["a", "b"])
    )
    for name, p in b.model.named_parameters():  # keys have no bias there
        if name.endswith("attn.qkv.bias"):
            p.data[16:32] = 0
        if name.endswith("cross.kv.bias"):
            p.data[:16] = 0
    sizes = {
        f"{stack}_{k}": v
        for stack in ("encoder", "decoder")
        for k, v in (("attention_heads", 2), ("ffn_dim", 16), ("layers", 1))
    }
    b.published = {
        "model_type": "mapperatorinator",
        "backbone_model_name": "Tiger14n/ropewhisper-tiny",
        "backbone_config": sizes | {"d_model": 16},
        "project_encoder_input": False,
        "cond_dim": 128,
        "n_mels": 8,
        "f_min": 20,
        "pad_mode": "reflect",
        "spectrogram_log_scale": True,
        "rhythm_weight": 1.0,
        "spectrogram_implementation": "torchaudio",
        **{f"do_{k}_embed": True for k in HEARD["conditions"]},
    }
    b.published = published_config(b.model.c, b.published)[0]
    return b


class Toy(Resumable):
    "As little as a training run can be."

    def __init__(self, folder):
        torch.manual_seed(0)
        self.conf = TrainConfig(run=str(folder))
        self.model = nn.Linear(3, 3)
        self.step = 1
        self.minutes = 0.5
        self.log = [{"step": 1}]
        self.recent = {"loss": 2.5, "steps": 1}
        self.notes = []
        self.optimizers = [torch.optim.AdamW(self.model.parameters())]
        self.optimizers[0].param_groups[0]["peak"] = 1e-3
        self.model(torch.ones(1, 3)).sum().backward()
        self.optimizers[0].step()

    @property
    def modules(self):
        return {"model": self.model}


@cache
def whole() -> Path:
    "A folder with one of each."
    root = Path(tempfile.mkdtemp(prefix="foreign-"))
    torch.manual_seed(0)
    ours = new_bundle(TINY, LANGUAGE)
    theirs = published()
    save_bundle(ours, root / "ours")
    save_bundle(theirs, root / "published")
    weights = load_file(root / "ours" / "model.safetensors")
    shutil.copytree(root / "ours", root / "parts", ignore=shutil.ignore_patterns("model.safetensors"))
    (root / "parts" / "model-1.safetensors").write_bytes(tensors_to_bytes(weights))
    (root / "parts" / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": dict.fromkeys(weights, "model-1.safetensors")})
    )
    (root / "trainer").mkdir()
    torch.save(
        to_published(theirs.model.state_dict(), theirs.model.c, theirs.published),
        root / "trainer" / "pytorch_model.bin",
    )
    torch.save(theirs.tokenizer.to_dict(), root / "trainer" / "custom_checkpoint_0.pkl")
    add_lora(ours.model, LoraConfig(rank=2, alpha=4))
    save_lora(ours, root / "lora", ["", "gamemode=0"])
    denoiser = new_denoiser(
        DiffusionConfig(width=16, depth=1, heads=2),
        Classes(mappers={7: 0}, mapper_count=2, descriptors={"a": 0}, descriptor_count=2),
    )
    save_denoiser(denoiser, root / "denoiser")
    state = {
        "beatmap_idx": {},
        "num_classes": 0,
        "num_diff_classes": 26,
        "max_difficulty": 12,
        "mapper_idx": {7: 0},
        "num_mapper_classes": 2,
        "num_cs_classes": 22,
    }
    plain = new_denoiser(DiffusionConfig(width=16, depth=1, heads=1, neighbours=0), Classes(mapper_count=2))
    (root / "osu-diffusion").mkdir()
    torch.save(plain.model.state_dict(), root / "osu-diffusion" / "model_ema.pkl")
    torch.save(state, root / "osu-diffusion" / "tokenizer.pkl")
    Toy(root / "run").save()
    return root


FILES = [
    "ours/config.json",
    "ours/config.json",
    "ours/tokenizer.json",
    "ours/model.safetensors",
    "parts/model.safetensors.index.json",
    "published/config.json",
    "published/tokenizer.json",
    "published/model.safetensors",
    "trainer/pytorch_model.bin",
    "trainer/custom_checkpoint_0.pkl",
    "lora/adapter_config.json",
    "lora/adapter_model.safetensors",
    "lora/mapperatorinator_lora_base.json",
    "lora/mapperatorinator_lora_metadata.json",
    "denoiser/config.json",
    "denoiser/model.safetensors",
    "osu-diffusion/model_ema.pkl",
    "osu-diffusion/tokenizer.pkl",
    "run/checkpoint.pt",
]

# --- what happens to it

ODD = [
    0,
    -1,
    1,
    2,
    3,
    7,
    1.5,
    1e30,
    -1e308,
    10**9,
    10**18,
    2**63,
    10**25,
    True,
    False,
    None,
    "",
    "x",
    "5",
    "../x",
    "/etc/passwd",
    "${oc.env:HOME}",
    "${oc.decode:1}",
    "${a}",
    "\x1b[2J\n",
    "\ud800",
    "é",
    [],
    {},
    [[]],
    [1],
    ["x"],
    [None],
    {"x": 1},
    {"": []},
    float("nan"),
    float("inf"),
    [0] * 99,
    [[[[[[[[[[]]]]]]]]]],
]


class Trap:
    "Runs something when it is unpickled."

    def __reduce__(self):
        return print, ("trapped",)


class Long:
    "Takes memory when it is unpickled."

    def __reduce__(self):
        return bytearray, (10**6,)


def places(value, path=()):
    "Paths of all values in a table."
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, v in items:
        yield (*path, key)
        yield from places(v, (*path, key))


def spoil(value, rng, odd=ODD):
    "Another table: one entry odd, gone, renamed or doubled."
    found = list(places(value))
    if not found or rng.random() < 0.03:
        return rng.choice(odd)
    *path, key = rng.choice(found)
    inside = value
    for k in path:
        inside = inside[k]
    match rng.randrange(8):
        case 0:
            inside.pop(key)
        case 1 if isinstance(inside, dict):
            inside[rng.choice(["x", "", 5, key if isinstance(key, str) else "y"])] = inside.pop(key)
        case 2 if isinstance(inside, list):
            inside.append(inside[key])
        case 3 if isinstance(inside[key], (int, float)):
            inside[key] *= rng.choice([-1, 0, 2, 10, 10**6, 0.5])
        case _:
            inside[key] = rng.choice(odd)
    return value


def spoil_tensors(tensors, rng):
    "Other tensors: one with other numbers, of another kind or shape, under another name, or gone."
    name = rng.choice(sorted(tensors))
    t = tensors[name]
    if not isinstance(t, torch.Tensor):
        return tensors
    match rng.randrange(9):
        case 0:
            tensors.pop(name)
        case 1:
            tensors[rng.choice(["x", "", name + ".1", "encoder.layers.9.norm1.weight", "\n"])] = tensors.pop(
                name
            )
        case 2 if t.numel():
            t.view(-1)[rng.randrange(t.numel())] = rng.choice(
                [float("nan"), float("inf"), -float("inf"), 3e38]
            )
        case 3:
            tensors[name] = t.to(
                rng.choice(
                    [
                        torch.bool,
                        torch.int8,
                        torch.int64,
                        torch.complex64,
                        torch.float64,
                        torch.float16,
                        torch.bfloat16,
                        torch.float8_e4m3fn,
                    ]
                )
            )
        case 4:
            tensors[name] = t.flatten() if t.dim() != 1 else t[None]
        case 5:
            tensors[name] = t[: rng.randrange(2)].clone()
        case 6 if t.dim() == 2:
            tensors[name] = t.T.contiguous()
        case 7:
            tensors[name] = torch.cat([t, t]) if t.dim() else t[None, None]
        case _:
            tensors[name] = t * rng.choice([0, 1e38, -1])
    return tensors


def flipped(data, rng):
    "Other bytes."
    at = rng.randrange(len(data) + 1)
    match rng.randrange(5):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        case 2:
            return data[:at] + data[at : at + 9] * rng.choice([2, 99]) + data[at:]
        case 3:
            return rng.choice(
                [
                    b"",
                    b"{}",
                    b"[]",
                    b"null",
                    b"[" * 5000,
                    b'{"a":' * 5000,
                    b"\xef\xbb\xbf",
                    b"PK\x05\x06" + b"\0" * 18,
                    b"\x80\x02N.",
                    bytes(64),
                ]
            )
        case _:
            return (
                data[:at]
                + rng.choice([b"\0", b",", b'"', b"}", b"NaN", b"1e999", b"\xff", b"9" * 50])
                + data[at:]
            )


def saved(value):
    "Bytes of `torch.save`."
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def spoil_pickle(value, rng):
    "Another pickle: other tensors, other tables, other things."
    if rng.random() < 0.15:
        return rng.choice(
            [
                None,
                5,
                "x",
                [value],
                {"a": Trap()},
                {"a": Long()},
                {5: torch.ones(1)},
                torch.ones(2),
                {"a": torch.zeros(1).expand(10**5, 10**5)},
            ]
        )
    tensors = value if any(isinstance(v, torch.Tensor) for v in value.values()) else value.get("model", {})
    if tensors and rng.random() < 0.5:
        spoil_tensors(tensors, rng)
    else:
        value = spoil(
            value, rng, [*ODD, Trap(), torch.ones(2), torch.ones(1).bool(), (1, 2), {1: 2}, b"x", {3}]
        )
    return value


def foreign_inputs(rng: random.Random) -> bytes:
    "One file of one folder, as no program of ours would write it."
    name = rng.choice(FILES)
    path = whole() / name
    data = path.read_bytes()
    kind = path.suffix
    if rng.random() < 0.2:
        data = flipped(data, rng)
    elif kind == ".json":
        table = json.loads(data)
        for _ in range(rng.choice([1, 1, 2])):
            table = spoil(table, rng)
        data = json.dumps(table).encode()
    elif kind == ".safetensors":
        data = tensors_to_bytes(spoil_tensors(load_file(path), rng))
    else:
        data = saved(spoil_pickle(torch.load(path, weights_only=True), rng))
    return f"{name}\n".encode() + data


inputs = st.integers(0, 2**60).map(lambda n: foreign_inputs(random.Random(n)))

METADATA = Metadata(song_length=9000, difficulty=3.0)

# --- what is done with it


def use(bundle: Bundle):
    "A model that was loaded writes, and what is saved of it is what was loaded."
    ids = torch.tensor([[1, bundle.tokenizer.offset]])
    with torch.no_grad():
        frames = torch.zeros(1, bundle.model.c.max_frames, bundle.model.c.spectrogram.n_mels)
        bundle.model.decode(ids, bundle.model.encode_mel(frames, bundle.condition(METADATA, [0])))
    with tempfile.TemporaryDirectory() as folder:
        save_bundle(bundle, folder)
        again = load_bundle(folder)
    assert (
        again.model.c == bundle.model.c
        and again.tokenizer == bundle.tokenizer
        and again.published == (bundle.published and published_config(bundle.model.c, bundle.published)[0])
    )


def load(folder: Path):
    "All that is in one of the folders of `whole`."
    match folder.name:
        case "ours" | "parts" | "published" | "trainer":
            use(load_bundle(folder))
        case "lora":
            bundle = load_bundle(whole() / "ours")
            load_lora(bundle, folder)
            assert all(torch.isfinite(p).all() for p in bundle.model.parameters()) and merge(bundle.model)
        case "run":
            Toy(folder).resume()
        case _:
            load_denoiser(folder)


def walk(data: bytes):
    "Put the file where it belongs, beside whole ones, and load the folder."
    name, _, content = data.partition(b"\n")
    name = name.decode("utf-8", "replace")
    if name not in FILES:
        return
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(shutil.copytree((whole() / name).parent, Path(tmp) / Path(name).parent))
        (folder / Path(name).name).write_bytes(content)
        load(folder)
