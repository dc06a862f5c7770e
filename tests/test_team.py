"Training in several parts and processes: the same curve and weights as in one; published layouts learn too; what is found out while it learns."

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch
import yaml

from mapperatorinator.config import LanguageConfig, SpectrogramConfig, TrainConfig, from_dict, load_preset
from mapperatorinator.core import Cancelled, UserError
from mapperatorinator.data import load_corpus
from mapperatorinator.model.hub import load_bundle
from mapperatorinator.team import Team, pick_logger
from mapperatorinator.train import Lesson, Sampler, check_team, parts_of, start_run, train, train_step
from mapperatorinator.model.mapper import tiny_model
from tiny import tiny_song


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    "A composed song with maps of two modes, to learn from and to measure by."
    root = tmp_path_factory.mktemp("songs")
    for split in ("train", "validation"):
        folder = root / "songs" / split / "a"
        song = tiny_song(folder, seed=5)
        song.map(3).write(folder / "3.osu")
        drums = song.map(2)
        drums.mode = 1
        drums.write(folder / "taiko.osu")
    return root


def conf_of(songs, run, **changes) -> TrainConfig:
    return TrainConfig(
        **dict(
            run=str(run),
            data=str(songs),
            modes=["standard", "taiko"],
            steps=6,
            batch_size=4,
            warmup=2,
            decay=2,
            threads=1,
            lr=1e-3,
            muon_lr=0,
            eval_every=3,
            save_every=3,
            precision="fp32",
            logger="none",
            device="cpu",
            language=LanguageConfig(src_seq_len=256, tgt_seq_len=256),
            model=tiny_model(),
        )
        | changes
    )


def go(conf, **heard):
    return train(conf, **dict(report=lambda row: None, tell=lambda text: None) | heard)


def curve(run, keys=("token_loss", "frame_loss", "val_token_loss")):
    return torch.tensor([[row[key] for key in keys] for row in run.log])


def weights(run):
    return torch.cat([p.detach().flatten() for p in run.finished.model.parameters()])


@pytest.fixture(scope="module")
def whole(songs, tmp_path_factory):
    return go(conf_of(songs, tmp_path_factory.mktemp("whole")))


def test_parts_hold_every_line_once(songs, tmp_path):
    run = start_run(conf_of(songs, tmp_path))
    batch = Sampler(load_corpus(songs, "train", run.conf), run.bundle.tokenizer, run.conf)(0)
    parts = parts_of(batch, 4)
    assert torch.equal(torch.cat([p.mel for p in parts]), batch.mel)
    assert sum(p.n_labels for p in parts) == batch.n_labels
    lines = lambda some: sorted(
        tuple(row[row > 0].tolist()) for b in some for ids, *_ in b.groups for row in ids
    )
    assert lines(parts) == lines([batch])


def test_gradients_of_parts_are_those_of_the_whole(songs, tmp_path):
    grads = []
    for accumulate in (1, 2, 4):
        run = start_run(conf_of(songs, tmp_path / str(accumulate), accumulate=accumulate, grad_clip=1e6))
        batch = Sampler(load_corpus(songs, "train", run.conf), run.bundle.tokenizer, run.conf)(0)
        seen = {}
        for optimizer in run.optimizers:
            optimizer.step = lambda: seen.update(
                {n: p.grad.clone() for n, p in run.bundle.model.named_parameters() if p.grad is not None}
            )
        run.lesson = Lesson(run.bundle.model, run.conf)
        train_step(run, batch)
        grads.append(seen)
    for other in grads[1:]:
        assert other.keys() == grads[0].keys()
        for name, grad in grads[0].items():
            torch.testing.assert_close(other[name], grad, atol=1e-5, rtol=1e-3)


LAUNCH = "accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no --main_process_port 0"
PROGRAM = """
import json, sys, yaml
import torch
from mapperatorinator.config import TrainConfig, from_dict
from mapperatorinator.train import train

conf = from_dict(TrainConfig, yaml.safe_load(open(sys.argv[1])))
run = train(conf, report=lambda row: None, tell=lambda text: None)
assert run.team.size == 2
torch.save(run.bundle.model.state_dict(), f"{conf.run}/rank{run.team.rank}.pt")
run.team.accelerator.end_training()
"""


@pytest.mark.skipif(os.name == "nt", reason="gloo and the launcher are tried on Linux and macOS")
def test_two_processes_are_one(songs, whole, tmp_path):
    "The same loss curve and weights, in both processes, with one writer."
    conf = conf_of(songs, tmp_path / "run")
    (tmp_path / "conf.yaml").write_text(yaml.safe_dump(asdict(conf)))
    (tmp_path / "go.py").write_text(PROGRAM)
    command = [sys.executable, "-m", *LAUNCH.split(), str(tmp_path / "go.py"), str(tmp_path / "conf.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    keys = ("token_loss", "frame_loss", "val_token_loss")
    torch.testing.assert_close(
        torch.tensor([[row[k] for k in keys] for row in rows]), curve(whole), atol=1e-3, rtol=1e-4
    )
    ranks = [torch.load(tmp_path / "run" / f"rank{k}.pt", weights_only=True) for k in (0, 1)]
    for name, weight in whole.bundle.model.state_dict().items():
        assert torch.equal(ranks[0][name], ranks[1][name]), name
        torch.testing.assert_close(ranks[0][name], weight, atol=2e-4, rtol=1e-3, msg=name)


def test_windows_that_cannot_be_shared_are_refused(songs, tmp_path):
    class Three(Team):
        size = 3

    with pytest.raises(UserError, match="divided by 3"):
        check_team(conf_of(songs, tmp_path), Three())


HABITS = dict(
    average=0.9,
    smoothing=0.1,
    encoder_dropout=0.1,
    decoder_dropout=0.3,
    accumulate=2,
    steps=4,
    eval_every=2,
    stop_on="val_token_loss",
)


def test_a_run_with_every_habit_resumes_to_the_bit(songs, tmp_path):
    through = go(conf_of(songs, tmp_path / "through", **HABITS))
    part = go(conf_of(songs, tmp_path / "broken", **HABITS, max_minutes=1e-9))
    again = go(conf_of(songs, tmp_path / "broken", **HABITS))
    assert (
        part.step == 1
        and torch.equal(curve(again), curve(through))
        and torch.equal(weights(again), weights(through))
    )


def test_dropout_does_not_depend_on_where_a_run_was_stopped_and_does_something(songs, whole, tmp_path):
    dropped = go(conf_of(songs, tmp_path, decoder_dropout=0.5))
    assert not torch.equal(weights(dropped), weights(whole))
    assert dropped.bundle.model.eval() and load_keys(dropped) == load_keys(whole)


def load_keys(run):
    return list(run.bundle.model.state_dict())


def test_config_lies_beside_the_checkpoint(whole):
    told = yaml.safe_load((whole.folder / "config.yaml").read_text())
    assert from_dict(TrainConfig, told) == whole.conf


def test_measured_by_mode_and_type(whole):
    last = whole.log[-1]
    for name in ("standard", "taiko", "time_shift", "kind", "hitsound", "snapping"):
        assert last[f"val_{name}_loss"] > 0, name
    tokens = {"val_standard_time_20ms", "val_taiko_time_20ms", "val_ear_f1"}
    assert tokens <= last.keys() and "val_mania_loss" not in last


def test_stops_when_nothing_gets_better_and_ships_the_best(songs, tmp_path):
    worse = iter([0.5, 0.9, 0.1, 0.1, 0.1])
    conf = conf_of(
        songs,
        tmp_path / "run",
        steps=20,
        eval_every=1,
        stop_on="maps_good",
        patience=2,
        clips_every=1,
        ship=str(tmp_path / "ship"),
    )
    seen = []

    def judge(bundle):
        seen.append(torch.cat([p.flatten() for p in bundle.model.parameters()]))
        return {"good": next(worse)}

    run = go(replace(conf, stop_on="val_maps_good"), judge=judge)
    assert run.step == 4 and [row["val_maps_good"] for row in run.log] == [0.5, 0.9, 0.1, 0.1]
    assert torch.equal(weights(run), seen[1])
    shipped = torch.cat([p.flatten() for p in load_bundle(tmp_path / "ship").model.parameters()])
    torch.testing.assert_close(shipped, seen[1], atol=1e-2, rtol=1e-2)
    assert "| steps | 2 of" in (tmp_path / "ship" / "README.md").read_text()
    assert go(replace(conf, stop_on="val_maps_good"), judge=judge).step == 4, (
        "it is over when it is taken up again"
    )


def test_judging_maps_changes_nothing(songs, whole, tmp_path):
    run = go(conf_of(songs, tmp_path, clips_every=3), judge=lambda bundle: {"x": torch.rand(3).sum().item()})
    assert torch.equal(weights(run), weights(whole)) and "val_maps_x" in run.log[0]


def test_a_listener_stops_a_run_and_it_goes_on(songs, whole, tmp_path):
    conf = conf_of(songs, tmp_path)
    heard = []
    with pytest.raises(Cancelled):
        go(conf, progress=lambda p: heard.append(p) or p.done == 4)
    assert [p.done for p in heard] == [1, 2, 3, 4] and all(p.memory > 1e7 for p in heard)
    again = go(conf)
    assert torch.equal(weights(again), weights(whole)) and torch.equal(curve(again), curve(whole))


def test_curves_for_tensorboard(songs, tmp_path):
    pytest.importorskip("tensorboard")
    go(conf_of(songs, tmp_path, steps=2, logger="tensorboard"))
    assert list(tmp_path.rglob("events.out.tfevents*"))


def test_without_tensorboard_a_sentence(monkeypatch):
    monkeypatch.setattr("mapperatorinator.team.find_spec", lambda name: None)
    assert pick_logger("auto")[0] == "" and "log.jsonl" in pick_logger("auto")[1]
    with pytest.raises(UserError, match="pip install wandb"):
        pick_logger("wandb")


def test_published_layouts_learn_from_scratch(songs, tmp_path):
    "The language and architecture of v32-mini, in small; what is shipped loads again."
    preset = load_preset("v32-mini", "train")
    language = replace(
        from_dict(TrainConfig, preset).language, src_seq_len=256, tgt_seq_len=256, num_classes=0
    )
    model = replace(
        from_dict(TrainConfig, preset).model,
        d_model=32,
        n_heads=2,
        d_ff=64,
        encoder_layers=1,
        decoder_layers=1,
    )
    conf = conf_of(
        songs, tmp_path / "run", language=language, model=model, steps=15, warmup=2, lr=5e-3, eval_every=5
    )
    run = go(replace(conf, ship=str(tmp_path / "ship")))
    assert run.bundle.model.frame_head is None and not run.bundle.model.c.time_pointer
    assert run.log[-1]["token_loss"] < 0.8 * run.log[0]["token_loss"]
    assert load_bundle(tmp_path / "ship").language == language


@pytest.mark.parametrize(
    "changes", [dict(conditions=["difficulty"]), dict(spectrogram=SpectrogramConfig(n_mels=32, log=False))]
)
def test_models_that_want_more_are_refused(songs, tmp_path, changes):
    with pytest.raises(UserError, match="choose v32"):
        start_run(conf_of(songs, tmp_path, model=tiny_model(**changes)))
