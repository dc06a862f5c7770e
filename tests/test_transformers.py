"The pair for transformers: what its users do with a model, on transformers 4.57 and 5."

import json
import subprocess
import sys

import pytest
import torch

from mapperatorinator.core import UserError
from mapperatorinator.config import LanguageConfig
from mapperatorinator.model.hub import load_bundle, new_bundle, save_bundle
from mapperatorinator.model.mapper import tiny_model

transformers = pytest.importorskip("transformers")
from mapperatorinator.model.transformers import MapperConfig, PreTrainedMapper  # noqa: E402

LANGUAGE = LanguageConfig(src_seq_len=64, tgt_seq_len=48)
SMALL = tiny_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    "A small model of ours on disk."
    torch.manual_seed(0)
    save_bundle(new_bundle(SMALL, LANGUAGE), path := tmp_path_factory.mktemp("tiny"))
    return path


@pytest.fixture
def inputs():
    "Half a second of sound and a line of tokens."
    torch.manual_seed(1)
    return (
        torch.randn(2, 63 * 128) * 0.1,
        torch.tensor([[1, 12, 40, 90], [0, 1, 30, 50]]),
        torch.tensor([[1, 1, 1, 1], [0, 1, 1, 1]]),
    )


@torch.no_grad()
def test_auto_classes(folder, inputs):
    model = transformers.AutoModel.from_pretrained(folder)
    ours = load_bundle(folder).model
    frames, ids, mask = inputs
    assert type(model) is PreTrainedMapper and not model.training
    torch.testing.assert_close(model(frames, ids, mask).logits, ours.decode(ids, ours.encode(frames), mask))
    again = model(None, ids, mask, encoder_outputs=(model(frames, ids, mask).encoder_last_hidden_state,))
    torch.testing.assert_close(again.logits, model(frames, ids, mask).logits)


def test_round_trip(folder, tmp_path, inputs):
    model = PreTrainedMapper.from_pretrained(folder)
    model.save_pretrained(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "README.md",
    }
    back = PreTrainedMapper.from_pretrained(tmp_path, dtype="bfloat16")
    assert back.dtype is torch.bfloat16 and back.mapper.mel.filters.dtype is torch.float32
    assert all(
        torch.equal(a.bfloat16(), b) for a, b in zip(model.state_dict().values(), back.state_dict().values())
    )


def test_config_alone(folder):
    config = transformers.AutoConfig.from_pretrained(folder)
    fresh = transformers.AutoModel.from_config(config)
    assert fresh.mapper.c == load_bundle(folder).model.c
    with pytest.raises(UserError, match="no vocabulary"):
        fresh.bundle
    assert MapperConfig.from_dict(config.to_dict()).mapper_config() == fresh.mapper.c


def test_it_learns_with_accelerate(folder, inputs):
    accelerate = pytest.importorskip("accelerate")
    frames, ids, mask = inputs
    model = PreTrainedMapper.from_pretrained(folder).train()
    boss = accelerate.Accelerator(cpu=True)
    model, opt = boss.prepare(model, torch.optim.AdamW(model.parameters(), 3e-3))
    losses = []
    for _ in range(12):
        loss = model(frames, ids, mask, labels=ids.masked_fill(ids == 0, -100)).loss
        boss.backward(loss)
        opt.step()
        opt.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] * 0.7
    assert boss.unwrap_model(model).num_parameters() == load_bundle(folder).model.n_params()


@torch.no_grad()
def test_published_layout(published, tmp_path):
    source = published("v30")
    model = transformers.AutoModel.from_pretrained(source)
    model.save_pretrained(tmp_path)
    wishes = dict(
        difficulty=torch.tensor([5.3]), mapper_idx=torch.tensor([2]), song_position=torch.tensor([[0, 0.1]])
    )
    frames = torch.randn(1, model.bundle.language.window_samples) * 0.1
    ids = torch.tensor([[1, 40, 1523]])
    torch.testing.assert_close(
        PreTrainedMapper.from_pretrained(tmp_path)(frames, ids, **wishes).logits,
        model(frames, ids, **wishes).logits,
    )
    was, now = (json.loads((p / "config.json").read_text()) for p in (source, tmp_path))
    assert now == was
    with pytest.raises(UserError, match="hears difficulty"):
        model(frames, ids)


def test_push_to_hub(folder, monkeypatch):
    "Uploading writes the whole folder; the network is a list here."
    import huggingface_hub

    sent = []

    class Hub:
        def __init__(self, **kwargs):
            pass

        def create_repo(self, repo, **kwargs):
            return repo

        def upload_folder(self, *, repo_id, folder_path, **kwargs):
            sent.append((repo_id, sorted(p.name for p in __import__("pathlib").Path(folder_path).iterdir())))

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    PreTrainedMapper.from_pretrained(folder).push_to_hub("someone/tiny")
    assert sent == [("someone/tiny", ["README.md", "config.json", "model.safetensors", "tokenizer.json"])]


def test_the_fast_path_does_without(repo):
    "Making a map imports neither transformers nor peft."
    code = "import sys, mapperatorinator.model.mapper, mapperatorinator.model.hub, mapperatorinator.pipeline; print({'transformers', 'peft', 'accelerate'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=repo).stdout.strip()
        == "set()"
    )
