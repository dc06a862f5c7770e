"Models by name and folder: the hub is a folder here, and what does not fit is refused in a sentence."

import collections
import enum
import json
import shutil
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors
from safetensors.torch import load_file, save_file

from mapperatorinator.config import GenerateConfig, LanguageConfig, ModelConfig
from mapperatorinator.core import UserError
from mapperatorinator.model import hub
from mapperatorinator.model.hub import Address, SHORT, load_bundle, new_bundle, save_bundle
from mapperatorinator.model.mapper import Mapper
from mapperatorinator.model.published import from_published, published_config, to_published
from mapperatorinator.prompt import Metadata
from mapperatorinator.request import MapRequest
from mapperatorinator.spectrogram import MelSpectrogram
from mapperatorinator.config import SpectrogramConfig
from mapperatorinator.model.mapper import tiny_model

LANGUAGE = LanguageConfig(src_seq_len=64, tgt_seq_len=48)
SMALL = tiny_model()
PLAIN = dict(
    time_pointer=False, frame_heads=0, global_attn_every_n_layers=1, local_attention=64, condition_width=16
)
FAMILIES = {
    "whisper": ModelConfig(
        **vars(SMALL)
        | PLAIN
        | dict(
            norm="layer",
            positions="table",
            project_input=True,
            spectrogram=SpectrogramConfig(
                n_mels=96, f_min=0, mel_scale="slaney", pad_mode="constant", log=False
            ),
        )
    ),
    "ropewhisper": ModelConfig(
        **vars(SMALL) | PLAIN | dict(conditions=["difficulty", "mapper", "song_position"], num_mappers=3)
    ),
    "varwhisper": ModelConfig(**vars(SMALL) | PLAIN),
}
BACKBONES = {
    "whisper": "openai/whisper-tiny",
    "ropewhisper": "Tiger14n/ropewhisper-tiny",
    "varwhisper": "OliBomby/varwhisper-tiny",
}


def made_published(family):
    "A fresh bundle that says it came in the published layout."
    torch.manual_seed(0)
    b = new_bundle(FAMILIES[family], LANGUAGE)
    for name, p in b.model.named_parameters():  # keys of the older families have no bias
        if family != "varwhisper" and name.endswith("attn.qkv.bias"):
            p.data[32:64] = 0
        if family != "varwhisper" and name.endswith("cross.kv.bias"):
            p.data[:32] = 0
    c = b.model.c
    s = b.model.c.spectrogram
    sizes = {
        f"{stack}_{k}": v
        for stack in ("encoder", "decoder")
        for k, v in (("attention_heads", 2), ("ffn_dim", 64), ("layers", 1))
    }
    b.published = {
        "model_type": "mapperatorinator",
        "backbone_model_name": BACKBONES[family],
        "backbone_config": sizes | {"d_model": 32},
        "project_encoder_input": c.project_input,
        "cond_dim": 16,
        "num_mappers": c.num_mappers,
        "n_mels": s.n_mels,
        "f_min": s.f_min,
        "pad_mode": s.pad_mode,
        "spectrogram_log_scale": s.log,
        "rhythm_weight": 1.0,
        "spectrogram_implementation": "nnAudio" if family == "whisper" else "torchaudio",
        **{f"do_{k}_embed": k in c.conditions for k in ("difficulty", "mapper", "song_position")},
    }
    b.published = published_config(c, b.published)[0]
    return b


@pytest.fixture
def model(tmp_path):
    "A complete folder of a small model of ours."
    torch.manual_seed(0)
    save_bundle(new_bundle(SMALL, LANGUAGE), tmp_path / "tiny")
    return tmp_path / "tiny"


# --- the published layout ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_published_round_trip(family, tmp_path):
    "Out under published names and in again: the same numbers."
    b = made_published(family)
    save_bundle(b, tmp_path)
    back = load_bundle(tmp_path)
    assert back.model.c == b.model.c and back.published == b.published
    assert all(torch.equal(back.model.state_dict()[k], v) for k, v in b.model.state_dict().items())
    names = set(load_file(tmp_path / "model.safetensors"))
    assert ("transformer.model.decoder.layers.0.self_attn.Wqkv.weight" in names) == (family == "varwhisper")
    assert not any(n.endswith("k_proj.bias") for n in names)


def test_loading_wakes_no_compiler():
    "Filling layers that have no numbers yet made every start a second or two longer."
    code = "import sys; from mapperatorinator.model.hub import load_bundle; load_bundle(); print({'sympy', 'torch._dynamo'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "set()\n", run.stdout + run.stderr


def test_a_published_model_is_told_the_stars_of_then(tmp_path):
    save_bundle(made_published("varwhisper"), tmp_path)
    scale = load_bundle(tmp_path).language.star_scale
    request = MapRequest.of(GenerateConfig(difficulty=2.5, guidance=2))
    assert scale == 3 and load_bundle("embedded").language.star_scale == 4
    assert request.metadata(1000, scale).difficulty == pytest.approx(2.385)
    assert request.metadata(1000).difficulty == 2.5 and request.prompted_stars == 2.5


@pytest.mark.parametrize("family", FAMILIES)
def test_missing_surplus_and_odd_tensors(family):
    b = made_published(family)
    weights = to_published(b.model.state_dict(), b.model.c, b.published)
    wanted = b.model.state_dict()
    with pytest.raises(UserError, match="lack transformer.proj_out.weight"):
        from_published({k: v for k, v in weights.items() if "proj_out" not in k}, wanted, family)
    with pytest.raises(UserError, match=r"no place for \(extra\)"):
        from_published(weights | {"extra": torch.ones(1)}, wanted, family)
    with pytest.raises(UserError, match="where config.json says"):
        from_published(weights | {"transformer.proj_out.weight": torch.ones(3, 32)}, wanted, family)


def test_a_key_bias_does_not_fit_the_older_layout():
    b = made_published("ropewhisper")
    b.model.decoder.layers[0].attn.qkv.bias.data += 1
    with pytest.raises(UserError, match="k_proj.bias"):
        to_published(b.model.state_dict(), b.model.c, b.published)


@pytest.mark.parametrize("version", ["v28", "v30", "v31", "v32"])
def test_published_files_written_anew(published, version, tmp_path):
    "Every tensor of a published file comes out again, the unused embedding aside."
    source = published(version)
    save_bundle(load_bundle(source), tmp_path)
    was, now = (load_file(p / "model.safetensors") for p in (source, tmp_path))
    assert was.keys() == now.keys()
    for k, v in was.items():
        if "embed_tokens" not in k:
            torch.testing.assert_close(now[k], v, atol=5e-4 if "stft" in k else 1e-6, rtol=0, msg=k)
    assert json.loads((tmp_path / "config.json").read_text()) == json.loads(
        (source / "config.json").read_text()
    )


SIZES = {
    "v28": (512, 8, 6, 254, 55.1),
    "v29": (768, 12, 12, 488, 216.2),
    "v30": (768, 12, 12, 443, 212.4),
    "v31": (768, 12, 12, 443, 215.2),
    "v32": (768, 12, 12, 336, 213.4),
    "v32-mini": (512, 8, 6, 174, 53.7),
}  # width, heads, layers, tensors, million parameters


@pytest.mark.parametrize("version", SIZES)
def test_full_size(version):
    "Tensor and parameter counts of the real models, without spending memory on them."
    from mapperatorinator.config import compose
    from mapperatorinator.tokenizer import Tokenizer

    width, heads, layers, tensors, millions = SIZES[version]
    language = compose(LanguageConfig, preset=version)
    family = (
        "whisper"
        if version in ("v28", "v29")
        else "ropewhisper"
        if version in ("v30", "v31")
        else "varwhisper"
    )
    tags = None if version == "v30" else 100
    tok = Tokenizer.from_config(language, 3731 if language.add_mapper_token else None, tags)
    mels = (
        SpectrogramConfig(n_mels=388, mel_scale="slaney")
        if family == "whisper"
        else SpectrogramConfig(n_mels=80 if family == "ropewhisper" else 128)
    )
    c = ModelConfig(
        **vars(FAMILIES[family])
        | dict(
            d_model=width,
            n_heads=heads,
            d_ff=4 * width,
            encoder_layers=layers,
            decoder_layers=layers,
            spectrogram=mels,
            condition_width=128,
            num_mappers=3731,
            vocab_in=tok.vocab_in,
            vocab_out=tok.vocab_out,
            max_frames=language.src_seq_len,
            max_tokens=language.tgt_seq_len,
        )
    )
    with torch.device("meta"):
        m = Mapper(c)
    published = to_published(
        {k: torch.zeros(1).expand(v.shape) for k, v in m.state_dict().items()},
        c,
        {"backbone_model_name": BACKBONES[family]},
    )
    assert len(published) == tensors
    learnt = sum(v.numel() for k, v in published.items() if not k.startswith(("spectrogram", "loss_fn")))
    assert abs(learnt / 1e6 - millions) < 0.02 * millions


def test_conditioning():
    "Unknown mappers share a row, unknown stars are five, and the place in the song may end beyond it."
    b = made_published("ropewhisper")
    b.tokenizer.mapper_idx[77] = 1
    c = b.condition(Metadata(song_length=1000, difficulty=None, mapper_id=77), [0, 800])
    assert c.difficulty.tolist() == [5, 5] and c.mapper.tolist() == [1, 1]
    assert c.song_position[1].tolist() == pytest.approx([0.8, 0.8 + LANGUAGE.window_ms / 1000])
    assert b.condition(Metadata(mapper_id=5), [0]).mapper.tolist() == [3]
    assert made_published("varwhisper").condition(Metadata(), [0]) is None
    with pytest.raises(UserError, match="hears difficulty, mapper, song_position"):
        b.model.encode(torch.zeros(1, 63 * 128))


def test_other_settings_are_refused(tmp_path):
    b = made_published("varwhisper")
    for change, words in [
        ({"backbone_model_name": "google/t5-small"}, "does not run"),
        ({"do_style_embed": True}, "do_style_embed"),
    ]:
        b2 = made_published("varwhisper")
        save_bundle(b2, tmp_path)
        (tmp_path / "config.json").write_text(json.dumps(b.published | change))
        with pytest.raises(UserError, match=words):
            load_bundle(tmp_path)


def test_the_mel_stays_exact(model):
    b = load_bundle(model, dtype=torch.bfloat16)
    assert b.model.head.weight.dtype is torch.bfloat16
    samples = torch.randn(1, 63 * 128)
    assert torch.equal(b.model.mel(samples), MelSpectrogram(b.model.c.spectrogram)(samples))


# --- folders -------------------------------------------------------------------------------------------------------------


def test_embedded_is_as_stored():
    "The shipped weights: every matrix its integers times their scales, to the last bit, the rest as it is; all four modes; no heavier than promised."
    b = load_bundle()
    stored = load_file(b.path / "model.int8.safetensors")
    scales = {name: value for name, value in stored.items() if name.endswith(".scale")}
    assert len(scales) == 59 and b.gamemodes == [0, 1, 2, 3]
    for name, value in b.model.state_dict().items():
        exact = stored[name].float()
        if (scale := scales.get(f"{name}.scale")) is not None:
            exact = exact * scale.view(-1, *[1] * (exact.dim() - 1))
        assert torch.equal(value, exact), name
    assert sum(f.stat().st_size for f in b.path.iterdir()) < 24e6


@pytest.fixture
def small(tmp_path):
    "A complete folder of a small model of ours, stored in eight bits."
    torch.manual_seed(0)
    wide = ModelConfig(**vars(SMALL) | dict(d_model=64, d_ff=128))
    save_bundle(new_bundle(wide, LANGUAGE), tmp_path / "small", dtype=torch.int8)
    return tmp_path / "small"


def test_eight_bits_come_back(small, tmp_path):
    "Integers times scales, to the last bit; what is saved again is the same file; a quarter of the size."
    stored = load_file(small / "model.safetensors")
    b = load_bundle(small)
    whole = {name for name, value in stored.items() if value.dtype is torch.int8}
    assert {"decoder.embed.weight", "head.weight", "encoder.conv1.weight"} <= whole
    for name, value in b.model.state_dict().items():
        exact = stored[name].float()
        if name in whole:
            exact = exact * stored[f"{name}.scale"].view(-1, *[1] * (value.dim() - 1))
        assert torch.equal(value, exact), name
    save_bundle(b, tmp_path / "again", dtype=torch.int8)
    save_bundle(b, tmp_path / "full")
    size = lambda name: (tmp_path / name / "model.safetensors").stat().st_size
    assert (small / "model.safetensors").read_bytes() == (
        tmp_path / "again/model.safetensors"
    ).read_bytes() and size("small") < 0.3 * size("full")
    half = load_bundle(small, dtype=torch.bfloat16)
    assert torch.equal(half.model.head.weight, b.model.head.weight.bfloat16())


def test_a_name_may_say_eight_bits(small):
    "As the weights are handed on: model.int8.safetensors; an exact file beside it is preferred."
    (small / "model.safetensors").rename(small / "model.int8.safetensors")
    assert load_bundle(small).model.n_params() > 100_000
    (small / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="model.safetensors' is damaged"):
        load_bundle(small)


@pytest.mark.parametrize(
    "name, change, words",
    [
        (
            "head.weight.scale",
            lambda t: None,
            "head.weight is stored in int8 and head.weight.scale is missing",
        ),
        ("head.weight.scale", lambda t: t.half(), "scale holds float16, expected float32"),
        ("head.weight.scale", lambda t: t[1:].clone(), "head.weight.scale is .*, one a row"),
        ("head.weight.scale", lambda t: t[:, None].clone(), "head.weight.scale is .*, one a row"),
        ("head.weight.scale", lambda t: t * 0, "head.weight.scale has 0 among its factors"),
        ("head.weight.scale", lambda t: -t, "head.weight.scale has -.* among its factors"),
        ("head.weight.scale", lambda t: t + 3e38, "head.weight.scale has .* among its factors"),
        ("head.weight.scale", lambda t: t + torch.nan, "head.weight.scale holds NaN"),
        ("head.weight.scale", lambda t: t.to(torch.int8), "is stored in int8 and head.weight.scale"),
        ("head.weight", lambda t: t.float(), r"no place for \(head.weight.scale\)"),
        ("head.weight", lambda t: t.to(torch.uint8), "head.weight holds uint8"),
        ("head.weight", lambda t: t.to(torch.int32), "head.weight holds int32"),
        ("head.weight", lambda t: t.T.contiguous(), "head.weight.scale is .*, one a row"),
        ("head.weight", lambda t: t[:, 1:].contiguous(), "head.weight is .* where config.json says"),
        ("other.scale", lambda t: torch.ones(3), r"no place for \(other.scale\)"),
    ],
)
def test_eight_bits_that_do_not_fit(small, name, change, words):
    weights = load_file(small / "model.safetensors")
    changed = change(weights.pop(name, None))
    save_file(weights if changed is None else weights | {name: changed}, small / "model.safetensors")
    with pytest.raises(UserError, match=words):
        load_bundle(small)


def test_a_config_of_many_layers_is_refused_before_anything_is_widened(small, monkeypatch):
    config = json.loads((small / "config.json").read_text())
    config["model"]["decoder_layers"] = 60
    (small / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(hub, "widen", lambda *a: pytest.fail("the weights were widened"))
    with pytest.raises(UserError, match="60 layers of decoder.layers and the weights hold 1"):
        load_bundle(small)


def test_the_published_layout_knows_no_eight_bits(tmp_path):
    b = made_published("varwhisper")
    with pytest.raises(UserError, match="knows no int8"):
        save_bundle(b, tmp_path / "new", dtype=torch.int8)
    assert not (tmp_path / "new").exists()
    save_bundle(b, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = "transformer.proj_out.weight"
    save_file(weights | {name: weights[name].to(torch.int8)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="holds int8"):
        load_bundle(tmp_path)


def test_stars_that_are_told_above_those_wanted(model, tmp_path):
    "A model may say by how many stars it misses; it travels with it, and nonsense is refused."
    b = load_bundle(model)
    assert b.star_shift == [0, 0, 0, 0] and load_bundle().star_shift == [0.5, 0, 0, 0]
    b.star_shift = [0.5, 0, -1.0, 0]
    save_bundle(b, tmp_path / "shifted")
    assert load_bundle(tmp_path / "shifted").star_shift == [0.5, 0, -1.0, 0]
    config = json.loads((model / "config.json").read_text())
    for bad in ([0.5], [0, 0, 0, 99], [0, 0, 0, float("nan")], "high"):
        (model / "config.json").write_text(json.dumps(config | {"star_shift": bad}))
        with pytest.raises(UserError, match="star_shift|NaN|damaged"):
            load_bundle(model)


def test_shards(model):
    weights = load_file(model / "model.safetensors")
    names = sorted(weights)
    whole = load_bundle(model)
    (model / "model.safetensors").unlink()
    index = {}
    for i, part in enumerate((names[::2], names[1::2]), 1):
        save_file({k: weights[k] for k in part}, model / (shard := f"model-0000{i}-of-00002.safetensors"))
        index |= dict.fromkeys(part, shard)
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    assert all(
        torch.equal(v, load_bundle(model).model.state_dict()[k]) for k, v in whole.model.state_dict().items()
    )
    (model / shard).unlink()
    with pytest.raises(UserError, match=f"{shard} missing"):
        load_bundle(model)


@pytest.mark.parametrize(
    "file, content, words",
    [
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1", "damaged"),
        ("config.json", b"{", "config.json' is damaged"),
        ("config.json", b'{"layout": 9}', "newer version"),
        ("config.json", b'{"model_type": "bert"}', "is a bert model"),
        ("tokenizer.json", b"[]", "tokenizer"),
        ("config.json", b"[1]", "damaged"),
        ("config.json", b'{"layout": 1}', "model is missing"),
    ],
)
def test_damaged_files(model, file, content, words):
    (model / file).write_bytes(content)
    with pytest.raises(UserError, match=words):
        load_bundle(model)


def test_weights_of_another_size(model):
    config = json.loads((model / "config.json").read_text())
    config["model"]["d_ff"] = 96
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UserError, match=r"encoder.layers.0.ff.up.weight is \(64, 32\) where config.json says \(96, 32\)"
    ):
        load_bundle(model)


def test_a_model_for_each_mode(model):
    shutil.copytree(model, model / "gamemode=1")
    assert load_bundle(model).root is None
    mania = load_bundle(model, gamemode=3)
    taiko = load_bundle(model, gamemode=1)
    assert (
        mania.path == model
        and taiko.path == model / "gamemode=1"
        and taiko.gamemodes == [1]
        and taiko.root == str(model)
    )
    assert load_bundle(model / "gamemode=1").root == str(model)


# --- pickles of the reference's trainer ----------------------------------------------------------------------------------


def old_classes():
    "The classes of an old vocabulary file, under the module they had."
    module = types.ModuleType("osuT5.tokenizer.event")

    class EventType(enum.Enum):
        TIME_SHIFT, CIRCLE = "t", "circle"

    class ContextType(enum.Enum):
        MAP = "map"

    @dataclass
    class EventRange:
        type: object
        min_value: int
        max_value: int

    for c in (EventType, ContextType, EventRange):
        c.__module__ = module.__name__
        c.__qualname__ = c.__name__
        setattr(module, c.__name__, c)
    return module


@pytest.mark.parametrize(
    "family", ["whisper", "varwhisper"]
)  # a ropewhisper has conditions of 128 channels, the fixtures have one
def test_trainer_checkpoint(family, tmp_path):
    "Pickled weights and vocabulary load, their sizes read off the weights."
    b = made_published(family)
    torch.save(to_published(b.model.state_dict(), b.model.c, b.published), tmp_path / "pytorch_model.bin")
    torch.save(b.tokenizer.to_dict(), tmp_path / "custom_checkpoint_0.pkl")
    back = load_bundle(tmp_path)
    assert (back.model.c.d_model, back.model.c.encoder_layers, back.model.c.max_frames) == (32, 1, 64)
    assert torch.equal(back.model.head.weight, b.model.head.weight)


@pytest.mark.parametrize("version", ["v28", "v30", "v31", "v32"])
def test_sizes_read_off_the_weights(published, version):
    "Without a config.json, all but the number of heads (64 channels each in real models) and tokens comes out the same."
    from dataclasses import replace
    from mapperatorinator.model.hub import read_weights
    from mapperatorinator.model.published import infer_published, published_model

    b = load_bundle(folder := published(version))
    c = published_model(infer_published(read_weights(folder), b.tokenizer), b.tokenizer)
    assert replace(c, n_heads=4, max_tokens=96, num_mappers=7) == replace(b.model.c, num_mappers=7)


def test_old_vocabulary_classes(tmp_path, monkeypatch):
    module = old_classes()
    names = {
        "osuT5": types.ModuleType("osuT5"),
        "osuT5.tokenizer": types.ModuleType("osuT5.tokenizer"),
        module.__name__: module,
    }
    for name, m in names.items():
        monkeypatch.setitem(sys.modules, name, m)
    ranges = [
        module.EventRange(module.EventType.TIME_SHIFT, 0, 9),
        module.EventRange(module.EventType.CIRCLE, 0, 0),
    ]
    d = {
        "offset": 5,
        "context_sos": {module.ContextType.MAP: 3},
        "context_eos": {module.ContextType.MAP: 4},
        "event_ranges": ranges,
        "input_event_ranges": [],
        "event_start": {module.EventType.TIME_SHIFT: 5},
        "vocab_size_out": 16,
        "vocab_size_in": 16,
    }
    torch.save(d, tmp_path / "old.pkl")
    for name in names:
        monkeypatch.delitem(sys.modules, name)
    tok = hub.read_pickled_tokenizer(tmp_path / "old.pkl")
    assert tok.vocab_out == 16 and tok.offset == 5 and [c.value for c in tok.context_sos] == ["map"]


class Trap:
    "Runs something when it is unpickled."

    def __reduce__(self):
        return (Path.touch, (Path("trapped"),))


@pytest.mark.parametrize("file", ["pytorch_model.bin", "custom_checkpoint_0.pkl"])
def test_pickles_cannot_run_code(tmp_path, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    for name in ("pytorch_model.bin", "custom_checkpoint_0.pkl"):
        torch.save(collections.OrderedDict(a=torch.ones(1)), tmp_path / name)
    torch.save({"a": Trap()}, tmp_path / file)
    with pytest.raises(UserError, match="holds more than weights: it asks for .* which could run code"):
        load_bundle(tmp_path)
    assert not (tmp_path / "trapped").exists()


# --- the hub -------------------------------------------------------------------------------------------------------------

COMMIT = "0123456789abcdef" * 2 + "01234567"


class FakeHub:
    "snapshot_download over a local folder, one repository, file by file into a cache."

    def __init__(self, repo, source, cache):
        self.repo = repo
        self.source = source
        self.cache = cache
        self.asked = []
        self.fail = None
        self.cached = False

    def __call__(self, repo, *, revision=None, allow_patterns, local_files_only=False):
        from huggingface_hub.utils import filter_repo_objects

        self.asked.append((repo, revision))
        if self.fail and not (self.cached and local_files_only):
            raise self.fail
        assert repo == self.repo
        files = [str(p.relative_to(self.source)) for p in self.source.rglob("*") if p.is_file()]
        for name in filter_repo_objects(files, allow_patterns=allow_patterns):
            (self.cache / COMMIT / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.source / name, self.cache / COMMIT / name)
        return str(self.cache / COMMIT)


@pytest.fixture
def fake(model, tmp_path, monkeypatch):
    "A hub that has v32, with a model for taiko."
    shutil.copytree(model, model / "gamemode=1")
    fake = FakeHub(SHORT["v32"], model, tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake)
    return fake


def test_by_name(fake):
    b = load_bundle("v32")
    files = {str(p.relative_to(fake.cache / COMMIT)) for p in fake.cache.rglob("*.safetensors")}
    assert (
        files == {"model.safetensors"} and b.root is None and b.name == "v32"
    )  # nothing for other modes is fetched
    assert fake.asked == [
        (SHORT["v32"], None),
        (SHORT["v32"], COMMIT),
    ]  # weights of the same commit as their config


def test_by_name_and_mode(fake):
    b = load_bundle("v32@main", gamemode=1)
    assert b.gamemodes == [1] and b.root == "v32@main" and fake.asked[0] == (SHORT["v32"], "main")
    assert {str(p.relative_to(fake.cache / COMMIT)) for p in fake.cache.rglob("*.safetensors")} == {
        "gamemode=1/model.safetensors"
    }
    assert load_bundle("v32", gamemode=2).path == fake.cache / COMMIT
    explicit = load_bundle(SHORT["v32"] + "/gamemode=1@main")
    assert explicit.gamemodes == [1] and explicit.root == SHORT["v32"] + "@main"
    with pytest.raises(UserError, match="has no gamemode=3"):
        load_bundle(SHORT["v32"] + "/gamemode=3")


def test_partial_cache(fake):
    (fake.source / "model.safetensors").unlink()
    with pytest.raises(UserError, match="model.safetensors missing"):
        load_bundle("v32")


class Answer:
    "As much of an HTTP response as the errors of huggingface_hub look at."

    headers = {}
    request = None
    status_code = 403
    text = ""
    url = ""


@pytest.mark.parametrize(
    "kind, words",
    [
        (errors.GatedRepoError, "is gated"),
        (errors.RepositoryNotFoundError, "is not on the hub"),
        (errors.RevisionNotFoundError, "no such revision"),
        (errors.LocalEntryNotFoundError, "not in the cache"),
        (errors.HfHubHTTPError, "try again"),
        (errors.OfflineModeIsEnabled, "may not be asked"),
        (errors.HTTPError, "try again"),
        (errors.HFValidationError, "no name that the hub allows"),
        (errors.LocalTokenNotFoundError, "log in"),
        (errors.CacheNotFound, "try again"),
        (OSError, "try again"),
    ],
)
def test_refusals(fake, kind, words):
    answered = issubclass(kind, errors.HfHubHTTPError) and kind is not errors.LocalEntryNotFoundError
    fake.fail = (
        kind("no", response=Answer())
        if answered
        else kind("no", "cache")
        if kind is errors.CacheNotFound
        else kind("no")
    )
    with pytest.raises(UserError, match=words) as e:
        load_bundle("v32@main")
    assert str(e.value).count(". ") == 0 and SHORT["v32"] in str(e.value)


def test_offline_without_a_cache(tmp_path, monkeypatch):
    "The real huggingface_hub, told to stay offline with an empty cache."
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="not in the cache"):
        load_bundle("someone/no-such-model")


def test_offline_cache(model, tmp_path, monkeypatch):
    "The real huggingface_hub finds a model in its cache, with no network."
    root = tmp_path / "hf" / "models--someone--tiny"
    shutil.copytree(model, root / "snapshots" / COMMIT)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    real = huggingface_hub.snapshot_download
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda *a, **k: real(*a, cache_dir=str(tmp_path / "hf"), **k)
    )
    assert load_bundle("someone/tiny").path == root / "snapshots" / COMMIT


@pytest.mark.parametrize("kind", [errors.OfflineModeIsEnabled, errors.HTTPError])
def test_what_is_in_the_cache_needs_no_hub(fake, kind):
    "huggingface_hub 1 asks the hub about a fixed commit, cached or not: told to stay offline it raises, and without a network as well."
    fake.fail = kind("Cannot reach the hub: offline mode is enabled.")
    fake.cached = True
    assert load_bundle("v32").path == fake.cache / COMMIT


NONE = [
    "v99",
    "a/b/c",
    "nothing here",
    "",
    "v32@",
    "../x/y",
    "-x/y",
    "x/-y",
    "x/..",
    "x/.y",
    "x/y.",
    "x--y/z",
    "x/y..z",
    "x/y.git",
    "x/y@../../z",
    "x/y@-z",
    "é/x",
    "x/y\n",
    f"x/{'y' * 97}",
    "x/y/gamemode=7",
    "x/y/gamemode=10",
    "~nobody_at_all/x",
    "a" * 5000,
    "a\0b",
    "https://huggingface.co/x/y",
]


@pytest.mark.parametrize("name", NONE, ids=[ascii(n)[:20] for n in NONE])
def test_names_that_are_none(name, monkeypatch):
    "They are refused here; the hub is not asked."
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    with pytest.raises(UserError, match="No model") as e:
        Address.of(name)
    assert len(str(e.value)) < 400
    if name:  # the empty one is the folder where we are
        with pytest.raises(UserError, match="No model"):
            hub.find_model(name)
