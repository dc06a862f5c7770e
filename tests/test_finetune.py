"A style: its maps are found, it is learnt and resumed, it comes back as it was, and several count together."

import json
import shutil

import pytest
import torch

from mapperatorinator.cli import COMMANDS, config_of
from mapperatorinator.config import FinetuneConfig, LanguageConfig, LoraConfig
from mapperatorinator.core import UserError
from mapperatorinator.finish import styled
from mapperatorinator.finetune import finetune, is_by, sets_by_name, split_songs, without_adapters
from mapperatorinator.generate import load_engine
from mapperatorinator.model.hub import load_bundle, save_bundle
from mapperatorinator.model.lora import adapters, lay_over, made_for, merge, load_lora, weights_hash
from mapperatorinator.osu.beatmap import Beatmap
from mapperatorinator.config import GenerateConfig
from tiny import tiny_bundle, tiny_song

LANGUAGE = LanguageConfig(src_seq_len=256, tgt_seq_len=256)
QUIET = dict(report=lambda row: None, tell=lambda text: None)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    "Two songs with maps of one mapper and a guest, and a model."
    root = tmp_path_factory.mktemp("place")
    for seed in (1, 2):
        folder = root / "maps" / f"{seed}"
        song = tiny_song(folder, seed)
        for stars, version in ((2, "Normal"), (3, "Nevo's Hard")):
            b = song.map(stars)
            b.audio_filename = "audio.ogg"
            b.creator = "me"
            b.version = version
            b.write(folder / f"{stars}.osu")
    save_bundle(tiny_bundle(LANGUAGE), root / "base")
    return root


def asked(place, run, **changes) -> FinetuneConfig:
    return FinetuneConfig(
        **dict(
            maps=str(place / "maps"),
            model=str(place / "base"),
            run=str(run),
            steps=6,
            batch_size=2,
            lr=2e-2,
            eval_every=3,
            threads=1,
            device="cpu",
            logger="none",
            lora=LoraConfig(rank=4, alpha=8.0),
        )
        | changes
    )


@pytest.fixture(scope="module")
def style(place, tmp_path_factory):
    return finetune(asked(place, tmp_path_factory.mktemp("style"), mapper="me"), **QUIET)


@torch.no_grad()
def scores(bundle):
    heard = bundle.model.encode(torch.zeros(1, 255 * 128))
    return bundle.model.decode(torch.tensor([[1, 12, 40, 90]]), heard)


def test_it_learns_and_leaves_the_model_alone(place, style):
    assert style.report["maps_learnt"] == style.report["maps_held"] == 1, "the guest's maps are left out"
    assert style.report["perplexity_after"] < style.report["perplexity_before"]
    base = load_bundle(place / "base").model.state_dict()
    with without_adapters(style.run.bundle.model) as model:
        assert all(torch.equal(v, model.state_dict()[k]) for k, v in base.items())
    assert adapters(style.run.bundle.model)


def test_the_folder_says_what_it_is_for(place, style):
    its = made_for(style.folder)
    base = load_bundle(place / "base")
    assert its.base_model == str(place / "base") and its.weights == weights_hash(base)
    assert its.rank and set(its.targets) == {"attn.qkv", "attn.out", "cross.q", "cross.kv", "cross.out"}
    card = (style.folder / "README.md").read_text()
    assert "1 maps of me" in card and "before," in card


def test_merged_is_unmerged_and_what_learnt(place, style):
    learnt = style.run.bundle
    learnt.model.eval()
    apart = load_bundle(place / "base")
    load_lora(apart, style.folder)
    merged = load_bundle(place / "base")
    load_lora(merged, style.folder)
    merge(merged.model)
    laid = load_bundle(place / "base")
    assert "applied to" in lay_over(laid, [style.folder])[0]
    for other in (apart, merged, laid):
        torch.testing.assert_close(scores(other), scores(learnt), atol=1e-4, rtol=1e-3)


def test_peft_reads_it(place, style):
    peft = pytest.importorskip("peft")
    bundle = load_bundle(place / "base")
    bundle.model = peft.PeftModel.from_pretrained(bundle.model, style.folder).base_model.model.eval()
    style.run.bundle.model.eval()
    torch.testing.assert_close(scores(bundle), scores(style.run.bundle), atol=1e-4, rtol=1e-3)


def test_weights_count(place, style):
    plain = load_bundle(place / "base")
    half = load_bundle(place / "base")
    lay_over(half, [style.folder, style.folder], [0.75, -0.75])
    torch.testing.assert_close(scores(half), scores(plain), atol=1e-5, rtol=1e-4)


def test_one_that_does_not_fit_changes_nothing(place, style, tmp_path):
    shutil.copytree(style.folder, tmp_path / "odd")
    file = tmp_path / "odd" / "mapperatorinator_lora_base.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"vocabulary": "0" * 16}))
    bundle = load_bundle(place / "base")
    before = scores(bundle)
    with pytest.raises(UserError, match="another vocabulary"):
        lay_over(bundle, [style.folder, tmp_path / "odd"])
    assert torch.equal(scores(bundle), before) and not adapters(bundle.model)


def test_other_weights_of_the_same_model_are_said(place, style):
    other = tiny_bundle(LANGUAGE, seed=1)
    assert "other weights" in lay_over(other, [style.folder])[0]


def test_a_map_says_which_parts_have_the_style(place, style):
    engine, _ = load_engine(str(place / "base"), "cpu", "fp32", lora_path=[str(style.folder)])
    said = styled(engine.styles, GenerateConfig(refiner="x"))
    assert "layers of the model" in said and "timing: not applied" in said and "refiner: not applied" in said
    assert "timing: applied" in styled(engine.styles, GenerateConfig(timing="model"))
    assert styled([], GenerateConfig()) is None


def test_a_style_that_was_stopped_goes_on(place, tmp_path):
    plain = dict(held=0, lora=LoraConfig(rank=4, alpha=8.0, init="zero"))
    with pytest.raises(KeyboardInterrupt):
        finetune(asked(place, tmp_path / "a", **plain), **QUIET, progress=lambda p: p.done == 2)
    again = finetune(asked(place, tmp_path / "a", **plain), **QUIET)
    once = finetune(asked(place, tmp_path / "b", **plain), **QUIET)
    pairs = zip(again.run.narrow.parameters(), once.run.narrow.parameters())
    assert again.run.step == 6 and all(torch.equal(a, b) for a, b in pairs)
    assert (tmp_path / "a" / "checkpoint.pt").stat().st_size < 0.5 * (
        place / "base" / "model.safetensors"
    ).stat().st_size * 2


@pytest.mark.parametrize(
    "changes, words",
    [
        (dict(maps=""), "Nothing to learn from"),
        (dict(maps="nowhere"), "is no folder"),
        (dict(mapper="nobody"), "maps by 'nobody'"),
        (dict(modes=["mania"]), "No mania maps"),
        (dict(held=2), "leaves none of 2 songs"),
        (dict(steps=0), "steps"),
        (dict(lora=LoraConfig(rank=0)), "lora.rank"),
        (dict(model="no/such folder"), "No model"),
    ],
)
def test_what_cannot_be_is_said(place, tmp_path, changes, words):
    with pytest.raises(UserError, match=words):
        finetune(asked(place, tmp_path, **changes), **QUIET)


def test_guests_are_of_another_hand():
    b = Beatmap.new(hit_objects=[], timing_points=[])
    b.creator = "Me"
    for version, own in (
        ("Hard", True),
        ("Nevo's Extra", False),
        ("Me's Insane", True),
        ("James' Hard", False),
    ):
        b.version = version
        assert is_by(b, "me") == own and is_by(b, ""), version


def test_the_order_of_songs_does_not_depend_on_where_they_lie(place, tmp_path):
    names = [f.name for f in sets_by_name(place / "maps")]
    assert names == ["1", "2"] and split_songs([1, 2], 1)[1] == [2]


def test_the_command_has_bounds_and_help():
    command = COMMANDS["finetune"]
    conf = config_of(command, ["maps=x", "modes=osu", "lora.rank=8", "--minutes", "5"])
    assert (conf.modes, conf.lora.rank, conf.minutes) == (["standard"], 8, 5.0)
    with pytest.raises(UserError, match="batch_size"):
        config_of(command, ["batch_sise=3"])
    assert "taught" in command.help("finetune") or "teach" in command.help("finetune")
