"LoRA: PEFT is the oracle, on our names and on published ones."

import json
import shutil
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mapperatorinator.config import LanguageConfig, LoraConfig
from mapperatorinator.core import UserError
from mapperatorinator.model.hub import load_bundle, new_bundle
from mapperatorinator.model.lora import add_lora, adapters, lay_over, load_lora, merge, save_lora, unmerge
from mapperatorinator.model.published import published_modules, to_published
from mapperatorinator.model.mapper import tiny_model

LANGUAGE = LanguageConfig(src_seq_len=64, tgt_seq_len=48)
SMALL = tiny_model(decoder_layers=2)
SPLIT = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.out_proj",
    "encoder_attn.q_proj",
    "encoder_attn.k_proj",
    "encoder_attn.v_proj",
    "encoder_attn.out_proj",
]
PACKED = ["Wqkv", "Wq", "Wkv", "Wo"]


@pytest.fixture
def bundle():
    "A small model of ours."
    torch.manual_seed(0)
    b = new_bundle(SMALL, LANGUAGE)
    b.model.eval()
    return b


@torch.no_grad()
def scores(b):
    "Scores of a fixed input."
    g = torch.Generator().manual_seed(0)
    samples = torch.randn(1, 63 * 128, generator=g) * 0.1
    ids = torch.tensor([[1, 12, 40, 90]])
    return b.model.decode(ids, b.model.encode(samples))


def stir(model, seed=2):
    "Adapters as if they had learnt something."
    torch.manual_seed(seed)
    for name, p in model.named_parameters():
        if p.requires_grad:
            p.data += torch.randn_like(p) * 0.05


def layers_of(weights):
    "Linear layers under the names of a published state dict, for PEFT to find."
    root = nn.Module()
    for key in [k for k in weights if k.endswith(".weight") and weights[k].dim() == 2 and ".layers." in k]:
        module = root
        *path, leaf = key.removesuffix(".weight").split(".")
        for name in path:
            if not hasattr(module, name):
                module.add_module(name, nn.Module())
            module = getattr(module, name)
        layer = nn.Linear(*reversed(weights[key].shape), bias=f"{key.removesuffix('weight')}bias" in weights)
        layer.weight.data = weights[key].clone()
        module.add_module(leaf, layer)
    return root


# --- alone ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["pissa", "zero"])
def test_a_fresh_adapter_changes_nothing(bundle, init):
    before = scores(bundle)
    add_lora(bundle.model, LoraConfig(rank=4, alpha=8, init=init))
    torch.testing.assert_close(scores(bundle), before, atol=1e-5, rtol=1e-4)
    kept = merge(bundle.model)
    torch.testing.assert_close(scores(bundle), before, atol=1e-5, rtol=1e-4)
    assert not adapters(bundle.model) and len(kept) == 12


@pytest.mark.parametrize("init", ["pissa", "zero"])
def test_merged_equals_unmerged(bundle, init):
    before = scores(bundle)
    weights = deepcopy(bundle.model.state_dict())
    add_lora(bundle.model, LoraConfig(rank=4, alpha=8, init=init))
    stir(bundle.model)
    apart = scores(bundle)
    assert (apart - before).abs().max() > 1e-3
    kept = merge(bundle.model)
    torch.testing.assert_close(scores(bundle), apart, atol=1e-5, rtol=1e-4)
    unmerge(bundle.model, kept)
    assert all(torch.equal(v, weights[k]) for k, v in bundle.model.state_dict().items())


def test_only_adapters_learn(bundle):
    add_lora(bundle.model, LoraConfig(rank=4, targets=["attn.qkv", "ff.up"]))
    frozen = {
        k: v.clone() for k, v in bundle.model.state_dict().items() if k.rpartition(".")[2] not in ("a", "b")
    }
    opt = torch.optim.SGD([p for p in bundle.model.parameters() if p.requires_grad], 1e-2)
    ids = torch.tensor([[1, 12, 40, 90]])
    loss = bundle.model.cross_entropy(
        bundle.model.decode(ids, bundle.model.encode(torch.randn(1, 63 * 128))), ids
    )
    loss.backward()
    opt.step()
    assert all(torch.equal(bundle.model.state_dict()[k], v) for k, v in frozen.items())
    assert all(
        p.grad is not None and p.grad.any() for n, p in bundle.model.named_parameters() if n.endswith(".b")
    )


@torch.no_grad()
def test_cached_steps_equal_the_full_pass(bundle):
    add_lora(bundle.model, LoraConfig(rank=4, alpha=8))
    stir(bundle.model)
    m = bundle.model
    ids = torch.tensor([[1, 12, 40, 90, 7]])
    encoded = m.encode(torch.randn(1, 63 * 128))
    cache = m.new_cache(1)
    steps = [m.prefill(ids[:, :3], encoded, cache), m.step(ids[:, 3], cache), m.step(ids[:, 4], cache)]
    torch.testing.assert_close(torch.stack(steps, 1), m.decode(ids, encoded)[:, 2:], atol=1e-5, rtol=1e-4)


# --- files ---------------------------------------------------------------------------------------------------------------


def saved(bundle, folder, seed=2, **how):
    "A folder with adapters that do something, and the scores they give."
    b = deepcopy(bundle)
    add_lora(b.model, LoraConfig(rank=4, alpha=8))
    stir(b.model, seed)
    save_lora(b, folder, **how)
    return scores(b)


def test_round_trip(bundle, tmp_path):
    want = saved(bundle, tmp_path)
    load_lora(bundle, tmp_path)
    torch.testing.assert_close(scores(bundle), want, atol=1e-5, rtol=1e-4)
    merge(bundle.model)
    torch.testing.assert_close(scores(bundle), want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"use_dora": True}, "use_dora"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"bias": "all"}, "bias"),
        ({"init_lora_weights": "olora"}, "olora"),
    ],
)
def test_other_kinds_are_refused(bundle, tmp_path, change, words):
    saved(bundle, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(UserError, match=words):
        load_lora(bundle, tmp_path)


def test_what_does_not_fit_is_refused(bundle, tmp_path):
    saved(bundle, tmp_path, subfolders=["/gamemode=0/"])
    assert json.loads((tmp_path / "mapperatorinator_lora_metadata.json").read_text()) == {
        "ckpt_subfolders": ["gamemode=0"],
        "format_version": 1,
    }
    with pytest.raises(UserError, match="for gamemode=0 of its model and this is the one for all modes"):
        load_lora(bundle, tmp_path)
    saved(bundle, tmp_path)
    other = new_bundle(SMALL, LanguageConfig(src_seq_len=64, tgt_seq_len=48, add_distances=True))
    with pytest.raises(UserError, match="another vocabulary"):
        load_lora(other, tmp_path)
    (tmp_path / "mapperatorinator_lora_base.json").write_text(
        json.dumps({"base_model": "OliBomby/Mapperatorinator-v30"})
    )
    bundle.name = "v32"
    with pytest.raises(UserError, match="not for 'v32'"):
        load_lora(bundle, tmp_path)


def test_damaged_folders(bundle, tmp_path):
    saved(bundle, tmp_path)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    save_file(
        {k.replace("decoder", "nowhere"): v for k, v in tensors.items()},
        tmp_path / "adapter_model.safetensors",
    )
    with pytest.raises(UserError, match="does not have"):
        load_lora(bundle, tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"no")
    with pytest.raises(UserError, match="damaged"):
        load_lora(bundle, tmp_path)
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(UserError, match="adapter_model.safetensors missing"):
        load_lora(bundle, tmp_path)


ODD = [
    ("r", 0),
    ("r", -4),
    ("r", None),
    ("r", "4"),
    ("r", True),
    ("r", 2.5),
    ("r", 10**9),
    ("r", 7),
    ("lora_alpha", None),
    ("lora_alpha", "8"),
    ("lora_alpha", 1e30),
    ("lora_alpha", []),
    ("rank_pattern", []),
    ("rank_pattern", {"attn.out": 0}),
    ("rank_pattern", {"attn.out": "x"}),
    ("rank_pattern", {"attn.out": 2}),
    ("rank_pattern", {"(a+)+$": 4}),
    ("alpha_pattern", {".*attn.*": 99}),
    ("alpha_pattern", "x"),
    ("alpha_pattern", {"attn.out": None}),
    ("use_rslora", "yes"),
    ("use_rslora", 1),
    ("init_lora_weights", []),
    ("init_lora_weights", None),
    ("peft_type", None),
    ("peft_type", ["LORA"]),
    ("bias", None),
    ("modules_to_save", ["head"]),
]


@pytest.mark.parametrize("key, value", ODD, ids=[f"{k}={v}" for k, v in ODD])
def test_settings_that_no_adapter_has(bundle, tmp_path, key, value):
    saved(bundle, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(UserError, match="LoRA|adapter_"):
        load_lora(bundle, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "[1]",
        "5",
        "null",
        "{",
        "",
        "[" * 9000,
        '{"peft_type": "LORA"}',
        '{"peft_type": "LORA", "r": 4}',
        '{"r": NaN}',
        '{"a": 1, "a": 2}',
    ],
)
@pytest.mark.parametrize("name", ["adapter_config.json", "mapperatorinator_lora_base.json"])
def test_files_that_no_adapter_has(bundle, tmp_path, name, content):
    saved(bundle, tmp_path)
    (tmp_path / name).write_text(content)
    if name.startswith("adapter") or not content.startswith('{"peft'):
        with pytest.raises(UserError, match=name):
            load_lora(bundle, tmp_path)
    else:
        load_lora(bundle, tmp_path)  # other words say nothing of the base


@pytest.mark.parametrize(
    "table",
    [
        {"base_model": 5},
        {"vocabulary": ["x"]},
        {"ckpt_subfolders": "gamemode=0"},
        {"ckpt_subfolders": [5]},
        {"ckpt_subfolders": {}},
    ],
)
def test_what_an_adapter_was_made_for_is_text(bundle, tmp_path, table):
    saved(bundle, tmp_path)
    (tmp_path / "mapperatorinator_lora_metadata.json").write_text(json.dumps(table))
    with pytest.raises(UserError, match=f"lora_metadata.json': {next(iter(table))}"):
        load_lora(bundle, tmp_path)


A, B = (f"base_model.model.decoder.layers.0.attn.qkv.lora_{k}.weight" for k in "AB")
SPOILT = {
    "NaN": (lambda t: t | {A: t[A] * torch.nan}, "holds NaN"),
    "infinity": (lambda t: t | {B: t[B] / 0}, "lora_B.weight holds"),
    "whole numbers": (lambda t: t | {A: t[A].long()}, "holds int64"),
    "one row": (lambda t: t | {A: t[A][0]}, "something else than two matrices"),
    "a block": (lambda t: t | {B: t[B][None]}, "something else"),
    "nothing": (lambda t: t | {A: t[A][:0], B: t[B][:, :0]}, "something else"),
    "no A": (lambda t: {k: v for k, v in t.items() if k != A}, "only one of its two"),
    "no B": (lambda t: {k: v for k, v in t.items() if k != B}, "only one of its two"),
    "another rank": (lambda t: t | {A: t[A][:2]}, "ranks 2 and 8 where"),
    "turned": (lambda t: t | {A: t[A].T.contiguous()}, "ranks 32 and 8"),
    "another width": (lambda t: t | {A: t[A][:, :9].contiguous()}, "layers of another size"),
    "too large": (lambda t: t | {A: t[A] * 1e38, B: t[B] * 1e38}, "out of all proportion"),
    "twice": (lambda t: t | {A.removeprefix("base_model.model."): t[A]}, "stands twice"),
    "another name": (lambda t: t | {"x": t[A]}, "x is no matrix of a LoRA"),
    "an embedding": (lambda t: t | {"decoder.embed.lora_embedding_A": t[A]}, "no matrix of a LoRA"),
    "empty": (lambda t: {}, "adapts nothing"),
    "another layer": (
        lambda t: t | {A.replace("0", "7"): t[A], B.replace("0", "7"): t[B]},
        "decoder.layers.7.attn.qkv, which this model",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_matrices_that_no_adapter_has(bundle, tmp_path, name):
    "They are refused by name, and the model stays as it was."
    saved(bundle, tmp_path)
    spoil, words = SPOILT[name]
    spoilt = {k: v.clone() for k, v in spoil(load_file(tmp_path / "adapter_model.safetensors")).items()}
    save_file(spoilt, tmp_path / "adapter_model.safetensors")
    before = scores(bundle)
    with pytest.raises(UserError, match=words):
        load_lora(bundle, tmp_path)
    assert not adapters(bundle.model) and torch.equal(scores(bundle), before)


# --- PEFT ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(init_lora_weights="pissa"),
        dict(use_rslora=True),
        dict(rank_pattern={"attn.out": 2}, alpha_pattern={"attn.qkv": 3}),
    ],
)
def test_peft_to_us(bundle, tmp_path, options):
    "What PEFT trained on our model gives the same scores here."
    peft = pytest.importorskip("peft")
    theirs = deepcopy(bundle)
    theirs.model = peft.get_peft_model(
        theirs.model,
        peft.LoraConfig(r=4, lora_alpha=8, target_modules=["attn.qkv", "attn.out", "cross.kv"], **options),
    )
    stir(theirs.model)
    theirs.model.save_pretrained(tmp_path)
    theirs.model = theirs.model.base_model.model.eval()
    load_lora(bundle, tmp_path)
    torch.testing.assert_close(scores(bundle), scores(theirs), atol=1e-5, rtol=1e-4)


def test_us_to_peft(bundle, tmp_path):
    peft = pytest.importorskip("peft")
    want = saved(bundle, tmp_path)
    bundle.model = peft.PeftModel.from_pretrained(bundle.model, tmp_path).base_model.model.eval()
    torch.testing.assert_close(scores(bundle), want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("version", ["v28", "v31", "v32"])
@pytest.mark.parametrize("init", [True, "pissa"])
def test_published_adapters(published, tmp_path, version, init):
    "An adapter that PEFT made on published layers, merged by PEFT and by us: the same weights; and saved by us, PEFT reads it back."
    peft = pytest.importorskip("peft")
    b = load_bundle(published(version))
    weights = {k: v.clone() for k, v in to_published(b.model.state_dict(), b.model.c, b.published).items()}
    theirs = peft.get_peft_model(
        layers_of(weights),
        peft.LoraConfig(
            r=4, lora_alpha=8, target_modules=PACKED if version == "v32" else SPLIT, init_lora_weights=init
        ),
    )
    stir(theirs)
    theirs.save_pretrained(tmp_path / "theirs")
    done = load_lora(b, tmp_path / "theirs")
    save_lora(b, tmp_path / "ours")
    merge(b.model)
    ours = to_published(b.model.state_dict(), b.model.c, b.published)
    merged = theirs.merge_and_unload().state_dict()
    again = (
        peft.PeftModel.from_pretrained(layers_of(weights), tmp_path / "ours").merge_and_unload().state_dict()
    )
    changed = [
        f"{name}.weight"
        for layer in done
        for name in published_modules(layer, "varwhisper" if version == "v32" else "whisper")
    ]
    assert len(changed) == {"v28": 24, "v31": 24, "v32": 14}[version]
    for key in changed:
        assert (ours[key] - weights[key]).abs().max() > 1e-3
        torch.testing.assert_close(ours[key], merged[key], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(again[key], merged[key], atol=1e-5, rtol=1e-4)


# --- layouts of strangers: the table of room 640 ------------------------------------------------------------------------


def relabelled(folder, rename, config={}):
    "The matrices of a folder under other names, and other settings."
    path = folder / "adapter_model.safetensors"
    save_file({rename(k): v.clone() for k, v in load_file(path).items()}, path)
    changed(folder, **config)


def changed(folder, **config):
    "A folder with other settings."
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))


def pickled(folder, extra={}):
    "Weights as PEFT wrote them before safetensors."
    path = folder / "adapter_model.safetensors"
    torch.save(load_file(path) | extra, folder / "adapter_model.bin")
    path.unlink()


def without_notes(folder):
    "What PEFT alone would have written, from a trainer's own disk."
    for path in folder.glob("mapperatorinator_*.json"):
        path.unlink()
    changed(folder, base_model_name_or_path="/workspace/runs/base")


def below(folder, name="lora"):
    "A trainer's checkpoint with the adapter in a folder of it."
    (folder / name).mkdir()
    for path in [p for p in folder.iterdir() if p.is_file()]:
        path.rename(folder / name / path.name)


def halved(folder):
    path = folder / "adapter_model.safetensors"
    save_file({k: v.bfloat16() for k, v in load_file(path).items()}, path)


END = ".weight"
LAYOUTS = {
    "as PEFT writes it": without_notes,
    "with the name of the adapter": lambda f: relabelled(f, lambda k: k.replace(END, ".default.weight")),
    "with another name of it": lambda f: relabelled(f, lambda k: k.replace(END, ".style.weight")),
    "without base_model.model": lambda f: relabelled(f, lambda k: k.removeprefix("base_model.model.")),
    "compiled": lambda f: relabelled(f, lambda k: f"_orig_mod.{k}"),
    "compiled within": lambda f: relabelled(
        f, lambda k: k.replace("model.model.", "model.model._orig_mod.", 1)
    ),
    "on several cards": lambda f: relabelled(f, lambda k: f"module.{k}"),
    "a pickle": pickled,
    "in lora/": below,
    "in a folder of a folder": lambda f: (below(f, "lora"), below_again(f)),
    "in 16 bits": halved,
    "targets as an expression": lambda f: changed(f, target_modules=r".*\.(attn|cross|ff)\..*"),
    "all linear layers": lambda f: changed(f, target_modules="all-linear"),
    "ranks by whole names": lambda f: changed(
        f, r=3, rank_pattern={f"^{k}": 8 for k in layer_names(f)}, alpha_pattern={}
    ),
    "a start from the data": lambda f: changed(f, init_lora_weights="eva"),
    "newer settings that are off": lambda f: changed(
        f, use_dora=False, modules_to_save=None, lora_bias=False, corda_config=None
    ),
}


def below_again(folder):
    (folder / "checkpoint_1000").mkdir()
    (folder / "lora").rename(folder / "checkpoint_1000" / "lora")


def layer_names(folder):
    keys = load_file(folder / "adapter_model.safetensors")
    return {k.removeprefix("base_model.model.").partition(".lora_")[0] for k in keys}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_of_adapters(bundle, tmp_path, name):
    "Whoever wrote it, and however it lies: the same style comes out."
    want = saved(bundle, tmp_path)
    LAYOUTS[name](tmp_path)
    assert len(lay_over(bundle, [tmp_path])) == 1
    loose = name == "in 16 bits"
    torch.testing.assert_close(
        scores(bundle), want, atol=2e-2 if loose else 1e-5, rtol=1e-1 if loose else 1e-4
    )


def two_adapters(folder):
    below(folder, "a")
    shutil.copytree(folder / "a", folder / "b")


MISFITS = {
    "two in one folder": (two_adapters, "holds 2 adapters, a, b; name one"),
    "no plain pickle": (lambda f: pickled(f, {"x": Path("x")}), "adapter_model.bin"),
    "modules_to_save": (lambda f: changed(f, modules_to_save=["proj_out"]), "uses modules_to_save"),
    "another base": (
        lambda f: (without_notes(f), changed(f, base_model_name_or_path="OliBomby/Mapperatorinator-v30")),
        r"was made for .OliBomby/Mapperatorinator-v30., not for 'v32'",
    ),
    "another rank": (lambda f: changed(f, r=5), "where adapter_config.json says 5"),
    "patterns that are expressions": (
        lambda f: changed(f, rank_pattern={".*attn.*": 8}),
        "write the names out",
    ),
    "a start that bends the base": (lambda f: changed(f, init_lora_weights="olora"), "init_lora_weights"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_why_an_adapter_was_not_applied(bundle, tmp_path, name):
    "The reason is named, and the model stays as it was."
    saved(bundle, tmp_path)
    bundle.name = "v32"
    do, words = MISFITS[name]
    do(tmp_path)
    before = scores(bundle)
    with pytest.raises(UserError, match=words):
        lay_over(bundle, [tmp_path])
    assert torch.equal(scores(bundle), before)


# --- on the hub ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(bundle, tmp_path, monkeypatch):
    "A hub with one repository of two adapters, below it and beside each other, as safetensors and as a pickle."
    from test_hub import FakeHub

    source = tmp_path / "source"
    wants = {}
    for name, seed in (("first/lora", 2), ("second", 3)):
        wants[name] = saved(bundle, source / name, seed=seed)
    pickled(source / "second")
    fake = FakeHub("someone/styles", source, tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.snapshot_download", fake)
    return SimpleNamespace(fake=fake, source=source, wants=wants)


@pytest.mark.parametrize(
    "asked, name", [("first", "first/lora"), ("first/lora", "first/lora"), ("second", "second")]
)
def test_an_adapter_of_the_hub_by_folder_and_revision(hub, bundle, asked, name):
    "Only its own files are fetched, the weights from the commit of the settings."
    from test_hub import COMMIT

    (said,) = lay_over(bundle, [f"someone/styles/{asked}@main"])
    torch.testing.assert_close(scores(bundle), hub.wants[name], atol=1e-5, rtol=1e-4)
    assert (
        said
        == f"someone/styles/{asked}@main: applied to 12 layers of the model (10 of the decoder, 2 of the encoder)"
    )
    fetched = {
        p.relative_to(hub.fake.cache / COMMIT).parts[0] for p in hub.fake.cache.rglob("adapter_model.*")
    }
    assert fetched == {name.partition("/")[0]}
    assert {revision for _, revision in hub.fake.asked} == {"main", COMMIT}


def test_several_adapters_of_the_hub_with_weights(hub, bundle):
    "They add up by their weights; a repository of several wants a name."
    plain = {k: v.clone() for k, v in bundle.model.state_dict().items()}
    both = ["someone/styles/first", "someone/styles/second"]
    said = lay_over(bundle, both, [1.0, 0.5])
    assert [" counted 0.5 times" in text for text in said] == [False, True]
    mixed = {k: v.clone() for k, v in bundle.model.state_dict().items()}
    for name, weight in zip(both, (1.0, 0.5)):
        bundle.model.load_state_dict(plain)
        lay_over(bundle, [name])
        for key in mixed:
            mixed[key] -= weight * (bundle.model.state_dict()[key] - plain[key])
    assert all(torch.allclose(mixed[k], plain[k], atol=1e-5) for k in plain)
    with pytest.raises(UserError, match="first/lora, second; name one, as in 'someone/styles/first/lora'"):
        lay_over(bundle, ["someone/styles"])
    with pytest.raises(UserError, match="someone/styles/third' is incomplete: adapter_config.json"):
        lay_over(bundle, ["someone/styles/third"])
