"Corpora: built from what people have, read back as they were, the same however often it was stopped and whoever helped."

import json
from pathlib import Path
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from mapperatorinator.audio import load_audio
from mapperatorinator.build import build, jobs_of, objects_hash, opus_bytes, report
from mapperatorinator.cli import main
from mapperatorinator.config import DataConfig, LanguageConfig, TrainConfig
from mapperatorinator.consent import VARIABLE
from mapperatorinator.core import Cancelled, UserError
from mapperatorinator.corpus import (
    Listing,
    find_sets,
    hub_samples,
    layout,
    mmrs_samples,
    read_corpus,
    split_of,
    title_key,
)
from mapperatorinator.data import load_corpus
from mapperatorinator.events import ContextType
from mapperatorinator.osu.beatmap import Beatmap, Circle, TimingPoint
from mapperatorinator.osu.files import osz_bytes
from mapperatorinator.parse import Parser
from mapperatorinator.train import check_run
from sounds import bursts, encoded
from mapperatorinator.model.mapper import tiny_model

CONF = TrainConfig(model=tiny_model())
ALL = dict(validation=0, test=0)


def beatmap(n=0, **settings):
    "A map whose objects depend on a number."
    spots = [Circle(100 + 40 * (i % 5), 100 + 10 * n, 26 + 250 * i) for i in range(14)]
    told = dict(audio_filename="song.ogg", title=f"Song {n}", artist="A", creator="Host", version=f"V{n}")
    return Beatmap.new(timing_points=[TimingPoint(26, 500)], hit_objects=spots, **told | settings)


@pytest.fixture(scope="module")
def songs():
    "Two different songs of four seconds."
    return encoded("ogg", bursts(4)), encoded("ogg", bursts(4)[::-1].copy())


def packed(path, maps, **files):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(osz_bytes(maps, {name.replace("__", "."): data for name, data in files.items()}))
    return path


def spread(folder, maps, **files):
    folder.mkdir(parents=True)
    for i, b in enumerate(maps):
        b.write(folder / f"{i}.osu")
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)


@pytest.fixture
def library(tmp_path, songs):
    "What lies in a Songs folder: archives, folders, the same song twice, a broken download, people who do not want to be in it."
    one, two = songs
    root = tmp_path / "Songs"
    packed(
        root / "a.osz",
        [beatmap(0, beatmap_id=11, set_id=1), beatmap(1, title="Song 0 (TV Size)")],
        song__ogg=one,
    )
    packed(root / "exports" / "b.olz", [beatmap(2)], song__ogg=two, clap__wav=b"RIFF")
    spread(root / "c", [beatmap(3), beatmap(4, audio_filename="gone.mp3"), beatmap(0)], Song__OGG=one)
    packed(
        root / "d.osz",
        [beatmap(5, creator="Shy One"), beatmap(6, tags="x robots: disallow y")],
        song__ogg=two,
    )
    packed(root / "e.osz", [beatmap(7)], song__ogg=b"no song")
    (root / "f.osz").write_bytes((root / "a.osz").read_bytes()[:700])
    (root / "shy.txt").write_text("99 shy_one\n")
    return root


def wanted(library, **settings):
    base = dict(paths=[str(library)], output=str(library.parent / "corpus"), workers=1)
    return DataConfig(**base | ALL | dict(opt_out=str(library / "shy.txt")) | settings)


def contents(c):
    "All bytes of a corpus, by name."
    root = Path(c.output)
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*.tar"))}


def test_a_library_becomes_a_corpus(library):
    made = build(wanted(library))
    assert made["splits"]["train"]["songs"] == 2 and made["splits"]["train"]["maps"] == 4
    reasons = {name: why for name, why in made["left_out"].items()}
    assert "song 'gone.mp3' is not in the folder" in reasons.pop("c/1.osu")
    assert "is not an .osz archive" in reasons.pop("f.osz")
    assert reasons.pop("e.osz/song.ogg")
    told = sorted(reasons.values())
    assert told == [
        "it has the objects of a.osz/V0.osu.",
        "its mapper has opted out.",
        "its tags say robots: disallow.",
    ]
    assert report(made)[-1].startswith("test ") and any("Left out: 1 song" in line for line in report(made))
    assert not (library.parent / "corpus" / "work").exists()


def test_songs_and_maps_come_back_as_they_were(library, tmp_path, songs):
    c = wanted(library)
    build(c)
    read = {s.records[0]["title"]: s for s in read_corpus(c.output, "train", Listing())}
    parser = Parser(LanguageConfig())
    for n, sound in ((0, songs[0]), (2, songs[1])):
        sample = read[f"Song {n}"]
        ((said, b), *_) = sample.maps(Listing())
        assert parser.context(ContextType.MAP, b).events == parser.context(ContextType.MAP, beatmap(n)).events
        assert len(said["star_ratings"]) == 7 and said["objects_hash"] == objects_hash(beatmap(n))
        (tmp_path / "was.ogg").write_bytes(sound)
        was = load_audio(tmp_path / "was.ogg")
        with sample.file() as path:
            now = load_audio(path)
        assert abs(len(was) - len(now)) <= 1
        k = min(len(was), len(now))
        assert np.corrcoef(was[:k], now[:k])[0, 1] > 0.9
        assert sample.info["audio_length"] == pytest.approx(len(was) / 16000, abs=0.01)


def test_a_title_is_on_one_side(library):
    halves = wanted(library, validation=0.5, test=0.5, output=str(library.parent / "halves"))
    build(halves)
    sides = {}
    for split in ("train", "validation", "test"):
        for sample in read_corpus(halves.output, split, Listing()):
            for said in sample.records:
                sides.setdefault(title_key(said["title"]), set()).add(split)
    assert sides.keys() == {"song0", "song2", "song3"} and all(len(some) == 1 for some in sides.values())
    assert sides["song0"] == sides["song3"]  # the same sound


def test_two_processes_make_what_one_makes(library):
    alone = wanted(library)
    helped = wanted(library, workers=2, output=str(library.parent / "two"))
    build(alone)
    build(helped)
    assert contents(alone) and contents(alone) == contents(helped)


@pytest.mark.parametrize("stage", ["reading", "writing"])
def test_a_build_that_is_stopped_goes_on(library, stage):
    whole = wanted(library)
    build(whole)
    stopped = wanted(library, output=str(library.parent / "stopped"))
    with pytest.raises(Cancelled):
        build(stopped, lambda p: p.stage == stage and p.done)
    heard = []
    build(stopped, heard.append)
    assert heard[0].done >= 1 and contents(stopped) == contents(whole)


def test_a_build_that_is_killed_goes_on(library):
    whole = wanted(library)
    build(whole)
    killed = wanted(library, output=str(library.parent / "killed"))
    code = "import os, sys\nfrom mapperatorinator.build import build\nfrom mapperatorinator.config import DataConfig\nimport json\n"
    code += "build(DataConfig(**json.loads(sys.argv[1])), lambda p: os._exit(9) if p.done == 2 else None)"
    arguments = json.dumps({k: v for k, v in vars(killed).items()})
    assert subprocess.run([sys.executable, "-c", code, arguments]).returncode == 9
    assert len(list((library.parent / "killed" / "work" / "sets").iterdir())) == 2
    build(killed)
    assert contents(killed) == contents(whole)


def test_tables_of_others_are_joined(library, monkeypatch):
    facts = library / "facts.csv"
    facts.write_text("beatmap_id,creator_id,submit_date,approved\n11,77,2016-05-06 10:00:00,1\n")
    votes = library / "tags.csv"
    votes.write_text("beatmap_id,streams,tech\n11,5,1\n")
    c = wanted(library, metadata=str(facts), tags=str(votes))
    build(c)
    (item,) = [m for s in load_corpus(c.output, "train", CONF) for m in s.maps if m.beatmap.beatmap_id == 11]
    told = item.metadata(4000)
    assert (told.mapper_id, told.year, told.descriptors) == (77, 2016, ["streams"])
    away = library / "away.txt"
    away.write_text("77\n")
    monkeypatch.setenv(VARIABLE, str(away))
    assert 11 not in [m.beatmap.beatmap_id for s in load_corpus(c.output, "train", CONF) for m in s.maps]


def test_tars_and_folders_teach_the_same(library, tmp_path):
    c = wanted(library, tags="")
    build(c)
    tars = load_corpus(c.output, "train", CONF, listing=(listing := Listing()))
    assert sorted(len(s.maps) for s in tars) == [1, 3] and not listing.left_out
    folders = load_corpus(library, split_of("song2"), CONF)
    assert any(m.beatmap.title == "Song 2" for s in folders for m in s.maps)
    few = load_corpus(c.output, "train", TrainConfig(model=tiny_model(), max_hours=1e-6))
    assert len(few) == 1


def test_the_hub_is_read_like_tars(library):
    pytest.importorskip("datasets")
    c = wanted(library)
    build(c)
    streamed = list(hub_samples(c.output, Listing(), subset="train"))
    local = list(read_corpus(c.output, "train", Listing()))
    assert [(s.hash, s.audio, s.records) for s in streamed] == [(s.hash, s.audio, s.records) for s in local]


def test_without_datasets_the_hub_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert layout("project-riz/osu-beatmaps") == "hub"
    with pytest.raises(UserError, match="pip install datasets"):
        next(read_corpus("project-riz/osu-beatmaps", "train", Listing()))


def test_mmrs_is_read(library, songs):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    root = library.parent / "mmrs"
    spread(root / "data" / "1 set", [beatmap(0), beatmap(1)], song__ogg=songs[0])
    rows = [
        dict(
            BeatmapSetId=1,
            Id=20 + i,
            UserId=5,
            BeatmapSetFolder="1 set",
            BeatmapFile=f"{i}.osu",
            AudioFile="Song.ogg",
        )
        for i in range(3)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), root / "metadata.parquet")
    assert layout(str(root)) == "mmrs"
    (sample,) = mmrs_samples(root, listing := Listing())
    assert [said["beatmap_id"] for said, _ in sample.maps(listing)] == [20, 21]
    assert list(listing.left_out) == ["1 set/2.osu"]
    (root / "metadata.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(UserError, match="cannot be read"):
        list(mmrs_samples(root, listing))


def test_foreign_tars_are_read_as_far_as_they_go(library, tmp_path):
    c = wanted(library)
    build(c)
    (tar,) = (tmp_path / "corpus" / "train").glob("*.tar")
    size = tar.stat().st_size
    tar.write_bytes(tar.read_bytes()[: size * 2 // 3])
    (tar.parent / "data-000001.tar").write_bytes(b"nothing")
    with tarfile.open(tar.parent / "data-000002.tar", "w") as odd:
        odd.add(library / "shy.txt", "a/b/000000.json")
        odd.add(library / "shy.txt", "../../x.opus")
    found = list(read_corpus(c.output, "train", listing := Listing()))
    assert len(found) == 1
    assert {"data-000000.tar", "data-000001.tar"} < set(listing.left_out) and len(listing.left_out) >= 4


def test_what_cannot_be_is_said_before_a_song_is_read(library, tmp_path):
    c = wanted(library)
    build(c)
    assert build(c)["splits"]
    with pytest.raises(UserError, match="other sources or settings"):
        build(wanted(library, bitrate=96))
    with pytest.raises(UserError, match="holds other things"):
        build(wanted(library / "c", opt_out="", output=str(library / "exports")))
    with pytest.raises(UserError, match="lies in output"):
        jobs_of(wanted(library, output=str(tmp_path)))
    with pytest.raises(UserError, match="has no column beatmap_id"):
        build(wanted(library, output=str(tmp_path / "x"), tags=str(library / "shy.txt")))
    with pytest.raises(UserError, match="cannot be read"):
        build(wanted(library, output=str(tmp_path / "x"), opt_out=str(tmp_path / "gone.txt")))
    with pytest.raises(UserError, match="No maps below"):
        find_sets(tmp_path / "corpus")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "f.osz").write_bytes(b"PK")
    with pytest.raises(UserError, match="Nothing in these folders can be used"):
        build(wanted(tmp_path / "bad", opt_out="", output=str(tmp_path / "y")))


def test_the_command_builds_and_tells(library, capsys):
    words = [
        "data",
        "build",
        str(library),
        f"output={library.parent / 'corpus'}",
        "workers=1",
        "validation=0",
        "test=0",
    ]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "f.osz is left out" in said and "train            2 songs        5 maps (standard 5)" in said
    assert main(["data", "build"]) == 2 and main(["data"]) == 2
    assert "did you mean 'data build'" in capsys.readouterr().err


def test_opus_keeps_time(tmp_path):
    x = np.zeros(48_000, np.float32)
    x[24_000:24_100] = 0.9
    data = opus_bytes(x)
    assert data == opus_bytes(x) and data[:4] == b"OggS"
    (tmp_path / "x.opus").write_bytes(data)
    y = load_audio(tmp_path / "x.opus", 48_000)
    loud = np.flatnonzero(np.abs(y) > 0.5)
    assert len(y) == len(x) and abs(loud.mean() - 24_050) < 24  # half a ms


def test_a_run_may_learn_from_any_corpus(library):
    c = wanted(library)
    build(c)
    check_run(TrainConfig(model=tiny_model(), data=c.output, run=str(library.parent / "run")))
    check_run(
        TrainConfig(model=tiny_model(), data="project-riz/osu-beatmaps", run=str(library.parent / "run"))
    )
    with pytest.raises(UserError, match="No songs at"):
        check_run(
            TrainConfig(model=tiny_model(), data=str(library / "gone"), run=str(library.parent / "run"))
        )
