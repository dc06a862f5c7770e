"Training: what cannot be is said before a song is read, and a run that was stopped anywhere logs what an uninterrupted one logs."

import json
from dataclasses import asdict, dataclass, field, replace

import pytest
import torch
from torch import nn

from mapperatorinator import data, train, train_refine
from mapperatorinator.bench import bench
from mapperatorinator.config import (
    BenchConfig,
    DiffusionConfig,
    EvalConfig,
    ModelConfig,
    RunConfig,
    TrainConfig,
    TrainRefineConfig,
    compose,
    spell,
)
from mapperatorinator.core import UserError
from mapperatorinator.evaluate import evaluate
from mapperatorinator.evaluation import generate, maps, refine, timing
from mapperatorinator.train import Resumable, check_run, train_loop, make_optimizers, lr_schedule

# before a song is read


@pytest.fixture
def corpus(tmp_path):
    "A folder that looks like a corpus, with nothing in it that could be read."
    for split in ("train", "validation"):
        (tmp_path / "corpus" / "songs" / split).mkdir(parents=True)
    return tmp_path / "corpus"


@pytest.fixture
def unread(monkeypatch):
    "Reading a song, or making a model, is a failure."

    def read(*args, **kwargs):
        raise AssertionError("a song was read, or a model made, before the settings were checked")

    for room, names in {
        train: ["load_corpus", "start_run"],
        train_refine: ["traced_maps", "start_refine_run"],
        data: ["load_songs"],
        generate: ["mapped_songs"],
        refine: ["mapped_songs", "load_denoiser"],
        timing: ["timing_cases"],
        maps: ["asked_songs"],
    }.items():
        for name in names:
            monkeypatch.setattr(room, name, read)


BAD = [
    "save_every=0",
    "eval_every=0",
    "batch_size=0",
    "batch_size=1e9",
    "threads=0",
    "modes=[x]",
    "modes=[]",
    "speed_range=[9,9]",
    "speed_range=[1]",
    "speed_range=[1.2,0.9]",
    "lr=nan",
    "lr=inf",
    "lr=0",
    "lr=-1",
    "muon_lr=nan",
    "maps_per_window=0",
    "model.n_heads=3",
    "model.d_model=0",
    "model.d_model=x",
    "model.encoder_layers=1000000",
    "model.spectrogram.f_max=9000",
    "model.spectrogram.n_mels=3",
    "language.src_seq_len=0",
    "language.hop_length=64",
    "language.gamemodes=[7]",
    "precision=x",
    "steps=-1",
    "steps=0",
    "device=tpu",
    "device=cuda:99",
    "seed=-1",
    "max_minutes=inf",
    "metadata_dropout=2",
    "data=nowhere",
    "val_split=nowhere",
    "init=" + "x" * 5000,
]


def said(call) -> list[str]:
    with pytest.raises(UserError) as e:
        call()
    assert all("\n" not in sentence and len(sentence) < 500 for sentence in e.value.args)
    return list(e.value.args)


@pytest.mark.parametrize("word", BAD, ids=[word[:40] for word in BAD])
def test_train_refuses_before_it_reads(word, corpus, unread, tmp_path):
    def run():
        conf = compose(TrainConfig, [f"data={corpus}", f"run={tmp_path / 'run'}", word])
        train.train(conf)

    assert len(said(run)) == 1 and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "settings, name",
    [
        (dict(save_every=0), "save_every"),
        (dict(model=DiffusionConfig(heads=3)), "heads"),
        (dict(average=1.0), "average"),
        (dict(lr=float("nan")), "lr"),
        (dict(latest="later"), "latest"),
        (dict(data=""), "Nothing to learn from"),
        (dict(data="nowhere"), "No songs"),
    ],
)
def test_train_refine_refuses_before_it_reads(settings, name, corpus, unread, tmp_path):
    conf = TrainRefineConfig(**dict(data=str(corpus), run=str(tmp_path / "run")) | settings)
    assert (
        any(name in sentence for sentence in said(lambda: train_refine.train_refine(conf)))
        and not (tmp_path / "run").exists()
    )


@pytest.mark.parametrize(
    "settings, name",
    [
        (dict(task="taste"), "taste"),
        (dict(mode="drums"), "drums"),
        (dict(stars=[1, 99]), "99"),
        (dict(songs=-1), "songs"),
        (dict(providers=["gird"]), "grid"),
        (dict(task="refine"), "refiner=FOLDER"),
        (dict(dataset=""), "Nothing to judge by"),
        (dict(dataset="nowhere"), "No songs"),
        (dict(levels=[0]), "levels"),
        (dict(dataset="planted"), "task=timing"),
        (dict(stars=[float("nan")]), "nan"),
    ],
)
def test_evaluate_refuses_before_it_reads(settings, name, corpus, unread):
    assert name in said(lambda: evaluate(EvalConfig(**dict(dataset=str(corpus)) | settings)))[0]


@pytest.mark.parametrize(
    "settings, name",
    [
        (dict(task="sing"), "'sing'; expected one of speed, ladder"),
        (dict(counts=["20"]), "20/80"),
        (dict(seconds=float("inf")), "seconds"),
        (dict(batches=[0]), "batches"),
        (dict(threads=0), "threads"),
        (dict(clock="sun"), "wall, cpu"),
        (dict(precisions=["fp8"]), "fp8"),
        (dict(difficulty=99), "99"),
        (dict(windows=-1), "windows"),
    ],
)
def test_bench_refuses_before_it_makes_a_model(settings, name):
    assert name in said(lambda: bench(BenchConfig(**dict(model="no such model") | settings)))[0]


def test_a_file_where_a_folder_goes_is_refused(corpus, unread, tmp_path):
    (tmp_path / "file").write_text("x")
    for name, path in (
        ("run", tmp_path / "file"),
        ("ship", tmp_path / "file"),
        ("run", tmp_path / "file" / "below"),
    ):
        found = said(
            lambda: train.train(
                TrainConfig(data=str(corpus), **{"run": str(tmp_path / "run"), name: str(path)})
            )
        )
        assert len(found) == 1 and found[0].startswith(f"{name}=") and "give a folder" in found[0]


def test_everything_is_said_at_once(corpus, unread, tmp_path):
    (tmp_path / "file").write_text("x")
    conf = TrainConfig(
        data="nowhere",
        run=str(tmp_path / "file"),
        lr=0,
        save_every=0,
        modes=["x"],
        device="cuda:99",
        model=ModelConfig(n_heads=3),
    )
    assert len(said(lambda: check_run(conf))) == 7


# resuming


@dataclass
class Toy(Resumable):
    "The smallest thing that learns."

    conf: RunConfig
    model: nn.Module = None
    optimizers: list = None
    step: int = 0
    minutes: float = 0.0
    log: list = field(default_factory=list)
    recent: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)

    def __post_init__(self):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
        self.optimizers = make_optimizers(self.model, self.conf)

    @property
    def modules(self):
        return {"model": self.model}

    def learn(self):
        "A step, drawn from its number."
        for o in self.optimizers:
            for g in o.param_groups:
                g["lr"] = g["peak"] * lr_schedule(self.step, self.conf)
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(self.step))
        loss = (self.model(x) - x.sum(1, keepdim=True)).square().mean()
        loss.backward()
        for o in self.optimizers:
            o.step()
            o.zero_grad(set_to_none=True)
        self.step += 1
        return {"loss": loss.item()}

    def measure(self):
        with torch.no_grad():
            return {"loss": self.model(torch.eye(3)).square().mean().item()}


class Killed(Exception):
    "As SIGKILL: nothing is saved."


def toy(folder, **settings):
    return RunConfig(
        **dict(run=str(folder), steps=13, eval_every=4, save_every=3, warmup=2, decay=5, lr=0.05) | settings
    )


def go(conf, kill=None, rows=None):
    "Train a toy, or go on with it; killed in a step."
    run = Toy(conf).resume()

    def step():
        if run.step + 1 == kill:
            raise Killed
        return run.learn()

    return train_loop(run, step, run.measure, (rows if rows is not None else []).append)


def untimed(log):
    return [{k: v for k, v in row.items() if k != "minutes"} for row in log]


def weights(run):
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return go(toy(tmp_path_factory.mktemp("whole")))


@pytest.mark.parametrize("kill", range(1, 14))
def test_a_run_killed_in_any_step_logs_what_an_uninterrupted_one_logs(kill, whole, tmp_path):
    with pytest.raises(Killed):
        go(toy(tmp_path), kill)
    again = go(toy(tmp_path))
    assert untimed(again.log) == untimed(whole.log) and [row["step"] for row in again.log] == [4, 8, 12, 13]
    assert torch.equal(weights(again), weights(whole))
    on_disk = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert untimed(on_disk) == untimed(whole.log)


@pytest.mark.parametrize("save, measure", [(1, 5), (5, 1), (100, 100), (4, 4)])
def test_whatever_is_saved_and_measured_when(save, measure, tmp_path):
    settings = dict(save_every=save, eval_every=measure)
    once = go(toy(tmp_path / "once", **settings))
    for kill in (3, 7, 11):
        with pytest.raises(Killed):
            go(toy(tmp_path / "often", **settings), kill)
    often = go(toy(tmp_path / "often", **settings))
    assert untimed(often.log) == untimed(once.log) and torch.equal(weights(often), weights(once))


def test_a_run_whose_minutes_are_up_shows_a_row_that_the_log_does_not_keep(whole, tmp_path):
    shown = []
    conf = toy(tmp_path, max_minutes=1e-9)
    for step in range(1, 14):
        part = go(conf, rows=shown)
        assert (
            part.step == step == shown[-1]["step"] == part.log[-1]["step"]
        )  # the card of a stopped run has figures
    assert (
        untimed(part.log) == untimed(whole.log)
        and torch.equal(weights(part), weights(whole))
        and len(shown) == 13
    )


def test_a_run_that_is_made_longer_goes_on_as_if_it_had_always_been(tmp_path):
    plateau = dict(warmup=0, decay=0)
    long = go(toy(tmp_path / "long", **plateau))
    go(toy(tmp_path / "short", steps=6, **plateau))
    longer = go(toy(tmp_path / "short", **plateau))
    assert [row for row in untimed(longer.log) if row["step"] != 6] == untimed(long.log) and torch.equal(
        weights(longer), weights(long)
    )


def test_a_checkpoint_of_before_is_taken_up(whole, tmp_path):
    "Without sums and settings, as older versions wrote them."
    with pytest.raises(Killed):
        go(toy(tmp_path), 8)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save(
        {k: v for k, v in state.items() if k not in ("recent", "settings")}, tmp_path / "checkpoint.pt"
    )
    again = go(toy(tmp_path, lr=0.01))
    assert again.step == 13 and again.notes == []


# what is not as it was


@pytest.fixture
def begun(tmp_path):
    with pytest.raises(Killed):
        go(toy(tmp_path), 8)
    return tmp_path


@pytest.mark.parametrize(
    "name, new",
    [
        ("lr", 0.01),
        ("seed", 7),
        ("batch_size", 4),
        ("weight_decay", 0.5),
        ("muon_lr", 0.01),
        ("grad_clip", 2.0),
        ("eval_every", 5),
        ("warmup", 1),
        ("decay", 3),
        ("precision", "fp32"),
        ("data", "elsewhere"),
    ],
)
def test_a_changed_setting_is_said(begun, name, new):
    old = spell(getattr(toy(begun), name))
    run = Toy(replace(toy(begun), **{name: new})).resume()
    assert run.notes == [
        f"{name} was {old} and is {spell(new)} from now on; give {name}={old} to go on as before."
    ]


@pytest.mark.parametrize(
    "name, new",
    [
        ("threads", 1),
        ("max_minutes", 5.0),
        ("save_every", 7),
        ("device", "cpu"),
        ("ship", "there"),
        ("steps", 20),
    ],
)
def test_what_makes_no_difference_is_not_said(begun, name, new):
    assert Toy(replace(toy(begun), **{name: new})).resume().notes == []


def test_a_changed_rate_is_the_rate_from_then_on(begun):
    run = Toy(toy(begun, lr=0.01, weight_decay=0.5, muon_lr=0.003, warmup=0)).resume()
    run.learn()
    groups = [o.param_groups[0] for o in run.optimizers]
    assert [(g["peak"], g["weight_decay"]) for g in groups] == [(0.01, 0.5), (0.003, 0.5)] and groups[0][
        "lr"
    ] == 0.01
    assert any(run.optimizers[0].state.values()), "the moments are those of the run"


def test_a_changed_rate_changes_the_weights(begun, whole):
    again = go(toy(begun, lr=0.01))
    assert again.step == 13 and not torch.equal(weights(again), weights(whole))


def test_fewer_steps_than_are_done_are_refused(begun):
    assert said(lambda: Toy(toy(begun, steps=4)).resume()) == [
        f"'{begun}' has done 6 steps, which is more than steps=4; give steps=6 or more, or another run=FOLDER."
    ]
    assert go(toy(begun, steps=6)).step == 6


def test_what_cannot_change_is_refused_before_the_weights_are_touched(begun):
    assert "muon_lr=0, but" in said(lambda: Toy(toy(begun, muon_lr=0.0)).resume())[0]
    conf = TrainConfig(run=str(begun))
    notes = lambda **changes: train.resumed_notes(replace(conf, **changes), json.loads(json.dumps(before)), 0)
    before = asdict(conf)
    found = said(
        lambda: notes(model=ModelConfig(d_model=512), language=replace(conf.language, tgt_seq_len=512))
    )
    assert (
        len(found) == 2
        and "language.tgt_seq_len=512" in "".join(found)
        and "model.d_model=512" in "".join(found)
    )
    assert "its own weights count" in notes(init="embedded")[0] and notes(modes=["taiko"])[0].startswith(
        "modes was [standard] and is [taiko]"
    )
