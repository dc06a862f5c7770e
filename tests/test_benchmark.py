"What is measured in public: the page repeats itself, what is kept is not measured again, other maps are paired, a blind pack does not tell, and votes count."

import json
import re

import pytest
import yaml

import browser
import house
from mapperatorinator.benchmark import TASKS, benchmark, steady
from mapperatorinator.blind import Label, empty_file, gives_away, leaks, rewritten
from mapperatorinator.cli import main
from mapperatorinator.config import BENCHMARK_TASKS, BenchmarkConfig
from mapperatorinator.contest import mirex
from mapperatorinator.core import UserError
from mapperatorinator.osu.beatmap import Beatmap, Circle, Hold, Slider, TimingPoint
from mapperatorinator.osu.timing import Timing
from mapperatorinator.provenance import read_record
from mapperatorinator.sweep import STATES, sweep
from mapperatorinator.synth.songs import compose_song, write_song

quiet = lambda line: None


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    "Two songs with two maps each, and what a system answered to one map of each."
    root = tmp_path_factory.mktemp("corpus")
    for seed in (5, 6):
        song = compose_song(seed, 25, bpm=150)
        folder = root / "songs" / "validation" / f"composed-{seed}"
        folder.mkdir(parents=True)
        write_song(folder / "audio.ogg", song.samples, f"Song {seed}", "Synth")
        for stars in (3, 4):
            b = song.map(stars)
            b.title = f"Song {seed}"
            b.artist = "Synth"
            b.creator = "A Person"
            b.write(folder / f"level-{stars}.osu")
        answers = root / "made" / "robot" / folder.name
        answers.mkdir(parents=True)
        song.map(2).write(answers / "level-3.osu")
    return root


def asked(corpus, output, **more):
    "A small benchmark."
    few = dict(mode="standard", seconds=12, songs=1, timings=[], parts=["maps"])
    return BenchmarkConfig(dataset=str(corpus), output=str(output), **few | more)


# --- the page


def test_a_second_run_says_the_same(corpus, tmp_path):
    pages = [benchmark(asked(corpus, tmp_path / name), quiet).read_text() for name in ("one", "two")]
    assert steady(pages[0]) == steady(pages[1]) and len(steady(pages[0])) > 3000
    assert "took" in pages[0] and "took" not in steady(pages[0])
    pictures = [(tmp_path / name / "benchmark" / "maps.png").read_bytes() for name in ("one", "two")]
    assert pictures[0] == pictures[1]
    kept = [tmp_path / name / "maps" / "standard.json" for name in ("one", "two")]
    before = kept[0].stat().st_mtime_ns
    kept[1].unlink()
    again = [benchmark(asked(corpus, tmp_path / name), quiet).read_text() for name in ("one", "two")]
    assert again[0] == pages[0] and kept[0].stat().st_mtime_ns == before, "nothing is measured twice"
    assert steady(again[1]) == steady(pages[0]), "and what was lost is measured again"
    with pytest.raises(UserError, match="other settings"):
        benchmark(asked(corpus, tmp_path / "one", seed=1), quiet)


def test_every_task_is_there():
    assert set(TASKS) == set(BENCHMARK_TASKS.choices)


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "dataset=FOLDER"),
        (["task=dance"], "task"),
        (["dataset=nowhere"], "nowhere"),
        (["parts=[songs]", "dataset=x"], "part"),
        (["task=others", "dataset=x", "others=nowhere"], "others=FOLDER"),
        (["task=blind", "dataset=x"], "others=FOLDER"),
        (["task=votes"], "key"),
    ],
)
def test_one_sentence(words, said, tmp_path, capsys):
    assert main(["benchmark", *words, f"output={tmp_path}"]) == 2
    assert said in capsys.readouterr().err


# --- the model is asked


def test_contest(corpus, tmp_path):
    request = tmp_path / "requests" / "one"
    request.mkdir(parents=True)
    song = compose_song(5, 10, bpm=150)
    write_song(request / "audio.ogg", song.samples, "One", "Synth")
    (request / "lines.txt").write_text("120,400,4\n6520,500,3\n")
    (request / "asked.json").write_text('{"stars": 3.0}')
    said = []
    conf = BenchmarkConfig(task="mirex", dataset=str(request.parent), output=str(tmp_path / "out"))
    mirex(conf, said.append)
    made = Beatmap.read(tmp_path / "out" / "mirex" / "one" / "one.osu")
    reds = Timing.of(made).red
    assert made.mode == 1 and [(p.beat_length, p.meter) for p in reds] == [(400, 4), (500, 3)]
    assert (120 - reds[0].time) % 1600 == 0 and reds[1].time == 6520, "the first may begin whole bars earlier"
    assert read_record(made) and len(made.hit_objects) > 5
    assert any("| one | 3.0 |" in line for line in said)


def test_sweep(tmp_path):
    few = dict(mode="taiko", songs=1, seconds=10, stars=[3.0], grid=[])
    conf = BenchmarkConfig(task="sweep", dataset="planted", output=str(tmp_path), **few)
    code = sweep(conf, quiet)
    (row,) = json.loads((tmp_path / "sweep.json").read_text())
    assert row["objects"] > 5 and all(isinstance(row[state], list) for state in STATES)
    assert code == bool(row["mended"])
    assert "| taiko | 1 |" in (tmp_path / "sweep.md").read_text()


def test_the_nightly_target_is_a_command(capsys):
    steps = yaml.safe_load((house.repo / ".github/workflows/nightly.yml").read_text())["jobs"]["sweep"][
        "steps"
    ]
    (line,) = [s["run"] for s in steps if "task=sweep" in s.get("run", "")]
    assert main(["config", *line.replace("$NIGHT", "7").split()[1:]]) == 0
    assert "dataset: planted" in capsys.readouterr().out


# --- a blind pack


def everything(mode):
    "A map with all that tells who wrote it."
    b = Beatmap.new(
        mode=mode,
        cs=4,
        title="夜",
        artist="Us",
        creator="A Person",
        tags="collab",
        source="Game",
        beatmap_id=77,
    )
    b.format_version = 128
    b.editor["Bookmarks"] = "1000,2000"
    b.colours["Combo1"] = "1,2,3"
    b.events.insert(0, '0,0,"bg.png",0,0')
    b.timing_points = [TimingPoint(1000.4, 333.333333333333, 3, 1, 2, 70, effects=1)]
    b.timing_points.append(TimingPoint(3001, -117.64705882352941, 4, 2, 5, 60, False, 8))
    curve = [(101, 101), (151, 133), (201, 101)]
    b.hit_objects = [
        Circle(101, 101, 1001.4, 21, 3, "1:2:4:70:clap.wav"),
        Circle(333, 7, 1668, hitsound=8, sample=""),
    ]
    if mode == 3:
        b.hit_objects.append(Hold(300, 192, 2000, hitsound=2, end_time=2501.2))
    else:
        b.hit_objects.append(Slider(*curve[0], 2333.7, curve="B", points=curve, slides=2, length=70.0000026))
    b.hit_objects.append(Circle(12, 300, 4001))
    return b


@pytest.mark.parametrize("mode", range(4))
def test_one_form(mode):
    b = everything(mode)
    out = rewritten(b, b, Label("01", "A"))
    assert leaks(out.to_text(), empty_file(out)) == []
    assert leaks(b.to_text(), empty_file(out)), "as it was, it tells"
    assert Beatmap.parse(out.to_text()) == out
    assert len(out.hit_objects) == len(b.hit_objects)
    for new, old in zip(out.hit_objects, b.hit_objects):
        assert abs(new.time - old.time) <= 3.5 and abs(out.end_time(new) - b.end_time(old)) < 12
    for word in ("A Person", "夜", "collab", "Game", "77", "clap.wav", "bg.png", "Bookmarks"):
        assert word not in out.to_text()


LEAKS = {
    "a tool's tags": lambda t: t.replace("Tags:", "Tags:mapperatorinator ai-generated"),
    "a creator": lambda t: t.replace("Creator:Unknown", "Creator:A Person"),
    "a record": lambda t: t.replace("//Background", "//Mapperatorinator {}\n//Background"),
    "an id": lambda t: t.replace("BeatmapID:0", "BeatmapID:12345"),
    "bookmarks": lambda t: t.replace("[Editor]\n", "[Editor]\nBookmarks: 1000\n"),
    "colours": lambda t: t.replace("Combo1 : 255", "Combo1 : 250"),
    "no editor": lambda t: t.replace("[Editor]", "").replace("GridSize: 8\n", ""),
    "another order": lambda t: t.replace("Creator:Unknown\nVersion:A", "Version:A\nCreator:Unknown"),
    "a format": lambda t: t.replace("v14", "v12"),
    "a line end": lambda t: t.replace("\n", "\r\n"),
    "white space": lambda t: t.replace("Mode: 0", "Mode:0"),
    "a trailing blank": lambda t: t.replace("Countdown: 0", "Countdown: 0 "),
    "an event": lambda t: t.replace("//Break Periods\n", '//Break Periods\n0,0,"bg.jpg",0,0\n'),
    "kiai": lambda t: t.replace(",1,0\n", ",1,1\n", 1),
    "a sample bank": lambda t: t.replace("[TimingPoints]\n", "[TimingPoints]\n10,-100,4,2,3,70,0,0\n"),
    "decimals of a velocity": lambda t: t.replace(
        "[TimingPoints]\n", "[TimingPoints]\n10,-73.26,4,2,0,70,0,0\n"
    ),
    "decimals of a length": lambda t: re.sub(r"(\|\d+:\d+,\d+,\d+)(?:\.\d+)?,", r"\1.00001,", t, count=1),
    "decimals of a time": lambda t: t.replace("[HitObjects]\n", "[HitObjects]\n4,4,7.5,1,0,0:0:0:0:\n"),
    "a short line": lambda t: t.replace("[HitObjects]\n", "[HitObjects]\n4,4,7,1,0\n"),
    "a skipped colour": lambda t: t.replace("[HitObjects]\n", "[HitObjects]\n4,4,7,21,0,0:0:0:0:\n"),
    "a sample file": lambda t: t.replace("[HitObjects]\n", "[HitObjects]\n4,4,7,1,0,0:0:0:0:hit.wav\n"),
}


@pytest.mark.parametrize("change", LEAKS.values(), ids=LEAKS)
def test_a_planted_leak_is_found(change):
    b = compose_song(5, 12, bpm=150).map(4)
    out = rewritten(b, b, Label("01", "A"))
    text = out.to_text()
    assert change(text) != text and leaks(change(text), empty_file(out))


def test_what_only_one_side_has_is_told():
    b = compose_song(5, 12, bpm=150).map(4)
    text = rewritten(b, b, Label("01", "A")).to_text()
    odd = text + "256,192,90000,12,0,95000,0:0:0:0:\n"
    assert any("12" in line or "9,9,9,9" in line for line in gives_away([(odd, text)] * 12))
    assert gives_away([(odd, text), (text, odd)] * 6) == [], "and what both have now and then is not"


@pytest.fixture(scope="module")
def pack(corpus, tmp_path_factory):
    "A pack as the command writes it: its folder."
    home = tmp_path_factory.mktemp("blind")
    words = [
        f"dataset={corpus}",
        f"others={corpus / 'made'}",
        f"output={home}",
        "mode=standard",
        "seconds=12",
    ]
    assert main(["benchmark", "task=blind", *words]) == 0
    return home


def test_the_pack_does_not_tell(pack):
    names = sorted(p.name for p in (pack / "pack").iterdir())
    assert names == ["Song 01.osz", "Song 02.osz", "ballot.html"]
    data = b"".join(p.read_bytes() for p in (pack / "pack").iterdir())
    for word in (b"robot", b"composed-", b"level-", b"A Person", b"mapperatorinator ai"):
        assert word not in data
    key = json.loads((pack / "key.json").read_text())
    assert {s[letter] for s in key["songs"].values() for letter in "AB"} == {"human", "robot"}


def test_a_vote_on_the_ballot_counts(pack, corpus, capsys):
    key = json.loads((pack / "key.json").read_text())
    human = "A" if key["songs"]["01"]["A"] == "human" else "B"
    with browser.browser() as page:
        page.size(1000, 900)
        page.open(pack / "pack" / "ballot.html")
        page.run("document.querySelector('details').open = true")
        page.until(
            "document.querySelector('iframe').contentDocument?.querySelector('main')?.shadowRoot?.querySelector('canvas')"
        )
        page.run(f"document.querySelector('[name=\"01/human\"][value={human}]').click()")
        page.run('document.querySelector(\'[name="01/better"][value="-"]\').click()')
        page.run("document.querySelector('[name=rater]').value = 'Me'")
        page.run("URL.createObjectURL = file => (window.saved = file, 'blob:none')")
        page.run("document.querySelector('button').click()")
        page.until("window.saved")
        text = page.run("saved.text()")
        assert "1 songs have no answer" in page.run("document.getElementById('told').textContent")
        assert all(url.startswith("file:") for url in page.requests)
        assert not [e for e in page.errors if "Security" in e or "Refused" in e]
    (pack / "me.json").write_text(text)
    assert main(["benchmark", "task=votes", f"output={pack}", f"ballots=[{pack / 'me.json'}]"]) == 0
    said = capsys.readouterr().out
    assert "| robot | find the human | 1 | 1.00 (one song) |" in said
    assert "| robot | prefer the machine | 1 | 0.500 (one song) |" in said
