"The form and its queue without a browser: every setting goes in and comes out, runs end as they should, and what goes wrong is said."

import html
import json
import os
import sys
import threading
import time
from dataclasses import dataclass
from types import SimpleNamespace as NS
from typing import Optional

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

pytest.importorskip("anywidget")
from mapperatorinator import form as forms, runs as queues, ui
from mapperatorinator.bounds import is_list
from mapperatorinator.config import GenerateConfig, TrainConfig, check_settings, compose, settings_table
from mapperatorinator.core import Cancelled, Progress, UserError, demo_song
from mapperatorinator.osu.beatmap import Beatmap
from mapperatorinator.runs import Runs, Worker, new_owner

STEP = Progress("map", 1, 2)


class Page:
    "What a browser would do and see."

    def __init__(self, app):
        self.app = app
        self.got = []
        app.view.send = lambda content, buffers=None: self.got.append((content, buffers))

    def press(self, kind, buffers=(), **told):
        self.app.hear(None, {"kind": kind, **told}, list(buffers))
        return self.said

    def upload(self, name, content=b"123", what="audio_path"):
        for at in range(0, len(content), ui.PIECE):
            piece = content[at : at + ui.PIECE]
            self.press("chunk", [piece], key="k", what=what, name=name, size=len(content), at=at)
        return self.app.form.said.get(what)

    @property
    def said(self):
        return self.app.view.notice["text"]

    @property
    def runs(self):
        self.app.show_runs()
        return self.app.view.runs

    def end(self, seconds=30):
        "Wait until all is made; the newest run."
        until = time.monotonic() + seconds
        while any(run["state"] in ("waiting", "running") for run in self.runs):
            assert time.monotonic() < until
            time.sleep(0.01)
        return self.runs[0]

    def sent(self, what):
        "The bytes that came for something."
        parts = [(c["part"], b[0]) for c, b in self.got if c.get("what") == what]
        return b"".join(data for _, data in sorted(parts))


@pytest.fixture
def page(tmp_path):
    "An app with a queue and uploads of its own, and whatever makes its maps."

    def page(make=lambda config, progress: None, keep=lambda folder, result: {}, visitor="", **said):
        runs = Runs(tmp_path / "state")
        worker = Worker(runs, new_owner(), make, keep)
        app = ui.App(runs=runs, worker=worker, uploads=tmp_path / "up", visitor=visitor)
        app.form.set(**{"audio_path": str(demo_song())} | said)
        return Page(app)

    return page


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    "No song is listened to for its beat, which takes seconds."
    monkeypatch.setattr(ui.Desk, "show_song", lambda desk: None)


# What is wished


def values(setting):
    "Values a setting may take, its bounds and choices respected."
    low = setting.bounds.low
    high = setting.bounds.high
    above = getattr(setting.bounds, "above", False)
    if setting.base is bool:
        base = st.booleans()
    elif setting.bounds.choices:
        base = st.sampled_from(setting.bounds.choices)
    elif setting.item is int:
        base = st.integers(int(np.ceil(low)), int(min(high, 2**31 - 1)))
    elif setting.item is float:
        base = st.floats(low, high, exclude_min=above)
    elif setting.name == "device":
        base = st.sampled_from(["auto", "cpu", "cuda", "cuda:1", "mps"])
    elif setting.name == "combo_colours":
        base = st.from_regex("#[0-9a-f]{6}", fullmatch=True)
    elif setting.base is str:
        base = st.text(min_size=1)
    else:
        base = st.text("abc ()/é,", min_size=1).map(str.strip).filter(lambda text: text.strip(","))
    if is_list(setting.base):
        base = st.lists(base, min_size=max(setting.bounds.fewest, 1), max_size=5)
    return st.none() | base if setting.optional else base


REQUESTS = st.fixed_dictionaries({s.name: values(s) for s in settings_table(GenerateConfig)})


@settings(max_examples=10, deadline=None)
@given(REQUESTS)
def test_any_request_round_trips_and_is_plain_data(asked):
    config = GenerateConfig(**asked)
    form = forms.Form()
    form.value = config
    assert json.loads(json.dumps(form.said)) == form.said
    again = forms.Form(**json.loads(json.dumps(form.said)))
    assert again.said == form.said


@settings(max_examples=10, deadline=None)
@given(
    st.floats(0, 12),
    st.text("ab '\"\\$c", max_size=9),
    st.lists(st.sampled_from(["tech", "jump aim"]), max_size=2),
)
def test_any_wish_is_a_command_line_that_does_the_same(stars, title, tags):
    said = {"difficulty": stars, "title": title or None, "descriptors": tags or None}
    text = forms.command_of({n: v for n, v in said.items() if v})
    back = compose(GenerateConfig, **forms.read_command(text))
    assert back == compose(GenerateConfig, **{n: v for n, v in said.items() if v})


def test_a_form_for_a_class_of_your_own_and_for_training():
    @dataclass
    class Mine:
        speed: float = 1.5  # how fast
        tags: Optional[list[int]] = None  # numbers

    form = forms.Form(Mine, speed=2.0, tags=[1, 2])
    assert form.value == Mine(2.0, [1, 2])
    assert forms.Form(TrainConfig).value == TrainConfig() and len(forms.lines_of(TrainConfig)) > 40


TYPED = {
    "bpm": ("120, 180", [120.0, 180.0]),
    "offset": ("0:01, 1:00.5", [1000.0, 60_500.0]),
    "start_time": ("01:02:345 (1,2) -", 62_345),
    "end_time": ("1:30", 90_000),
    "gamemode": ("taiko", 1),
    "descriptors": ("streams, tech ", ["streams", "tech"]),
    "hitsounded": ("false", False),
    "in_context": (["timing"], ["timing"]),
    "difficulties": ([1.5, 4], [1.5, 4.0]),
}


@pytest.mark.parametrize("name", TYPED)
def test_what_is_typed_is_understood_and_can_be_left_open_again(page, name):
    typed, meant = TYPED[name]
    p = page()
    p.press("type", name=name, value=typed)
    assert p.app.form.said[name] == meant and getattr(p.app.form.value, name) == meant
    p.press("type", name=name, value="")
    assert name not in p.app.form.said


ODD = dict(
    difficulty=99.0,
    hp_drain_rate=-1.0,
    guidance=1e9,
    temperature=6.0,
    candidates=1000,
    star_tries=-1,
    num_beams=0,
    seed=-1,
    year=1999,
    keycount=19,
    max_batch_size=0,
    circle_size=40.0,
    start_time="soon",
    end_time="0:01:30",
    offset="x",
    bpm="5",
    device="tpu",
    descriptors="a" * 200,
)


@pytest.mark.parametrize("name", ODD)
def test_the_form_says_what_the_command_line_says_beside_the_field(page, name):
    p = page(bpm=120, offset=0)
    p.press("type", name=name, value=ODD[name])
    said = p.press("go")
    with pytest.raises(UserError) as wanted:
        check_settings(compose(GenerateConfig, ["bpm=120", "offset=0", f"{name}={ODD[name]}"]))
    assert said == str(wanted.value) and p.app.view.notice["style"] == "danger" and not p.runs
    assert p.app.view.wishes["wrong"][name] in str(wanted.value)


def test_all_that_is_wrong_is_said_at_once_the_files_too(page):
    p = page(audio_path="no.mp3")
    for name, value in (("background", "no.png"), ("beatmap_path", "no.osu")):
        p.press("type", name=name, value=value)
    said = p.press("go").splitlines()
    assert len(said) == 3 and all(
        any(name in line for line in said) for name in ("no.mp3", "no.png", "no.osu")
    )


def test_settings_that_cannot_be_are_refused_all_at_once_and_none_is_taken():
    form = forms.Form()
    with pytest.raises(UserError) as said:
        form.set(seed=3, difficulty=99, dificulty=4, bpm=5, timing="waltz")
    assert len(said.value.args) == 4 and "did you mean 'difficulty'" in str(said.value) and not form.said
    with pytest.raises(UserError) as said:
        ui.generate_app(dificulty=4, seed=-1, guidance=99)
    assert len(said.value.args) == 3


def test_every_setting_has_a_line_in_a_mappers_words():
    for line, s in zip(forms.lines_of(), settings_table(GenerateConfig)):
        assert line["name"] == s.name and line["help"] and line["label"], s.name
        assert "null" not in line["help"] and "_" not in line["label"] and line["rank"] in (0, 1, 2)
    assert {line["name"] for line in forms.lines_of() if line["rank"] == 0} == {
        "audio_path",
        "gamemode",
        "difficulty",
        "difficulties",
        "mapper_id",
        "year",
        "descriptors",
        "negative_descriptors",
    }
    for name, options in forms.HINTS.items():
        assert getattr(GenerateConfig, name) in options


# A reference map


@pytest.fixture
def reference(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "song.wav", 0.1 * np.random.default_rng(0).standard_normal(32000), 16000)
    objects = [
        f"{60 + 40 * (i % 9)},{80 + 70 * (i % 4)},{250 * i},{5 if i % 8 == 0 else 1},0" for i in range(40)
    ]
    head = [
        "osu file format v14",
        "[General]",
        "AudioFilename:song.wav",
        "[Metadata]",
        "Title:Its own",
        "[Difficulty]",
    ]
    head += ["CircleSize:3.3", "ApproachRate:7.7", "[TimingPoints]", "0,500,4,2,0,60,1,0", "[HitObjects]"]
    (tmp_path / "m.osu").write_text("\n".join([*head, *objects, ""]))
    return tmp_path / "m.osu"


def test_values_of_a_reference_map_are_shown_and_used_unless_changed(page, reference):
    p = page(beatmap_path=str(reference))
    p.press("forget", names=["audio_path"])
    used = p.app.view.wishes["used"]
    assert used["circle_size"] == ["3.3", "of the reference map"] and used["title"][0] == "Its own"
    stars = float(used["difficulty"][0])
    assert stars != 4.0 and p.app.view.wishes["off"].get("add_to_beatmap") is None
    from mapperatorinator.request import prepare

    assert prepare(p.app.form.value).config.difficulty == pytest.approx(stars, abs=0.01)
    p.press("type", name="difficulty", value=4)  # the default, and their word all the same
    assert (
        "difficulty" not in p.app.view.wishes["used"] and prepare(p.app.form.value).config.difficulty == 4.0
    )
    assert prepare(p.app.form.value).config.circle_size == 3.3


def test_a_reference_that_cannot_be_read_is_said_beside_it(page, tmp_path):
    (tmp_path / "bad.osu").write_text("no map")
    p = page()
    p.press("type", name="beatmap_path", value=str(tmp_path / "bad.osu"))
    assert "osu file format" in p.app.view.wishes["wrong"]["beatmap_path"]


def test_a_marked_part_of_a_finished_map_is_written_anew(page, reference, tmp_path):
    def keep(folder, result):
        (folder / "maps").mkdir(parents=True)
        (folder / "maps" / "m.osu").write_bytes(reference.read_bytes())
        return {"maps": ["m.osu"], "audio": str(tmp_path / "song.wav"), "seed": 5}

    p = page(keep=keep, difficulty=3.0)
    p.press("go")
    run = p.end()
    assert "Mark a part first" in p.press("remap", id=run["id"])
    p.press("range", start=1000, end=3000)
    p.press("remap", id=run["id"])
    config = p.app.form.value
    assert (config.add_to_beatmap, config.start_time, config.end_time, config.difficulty) == (
        True,
        1000,
        3000,
        3.0,
    )
    assert (
        config.beatmap_path.endswith("m.osu")
        and config.audio_path.endswith("song.wav")
        and config.seed is None
    )


# Uploads

HOSTILE = {
    "..": "song",
    "": "song",
    "/": "song",
    "\\": "song",
    "\ud83d": "song",
    ".mp3": "mp3",
    "a\0b.mp3": "a b.mp3",
    "trail.mp3. ": "trail.mp3",
    "../../etc/passwd": "passwd",
    "..\\..\\x.mp3": "x.mp3",
    "C:x.mp3": "Cx.mp3",
    "a\nb.mp3": "a b.mp3",
    "\x1b[31m.mp3": "[31m.mp3",
    "con.mp3": "_con.mp3",
    ".mapperatorinator-lock": "mapperatorinator-lock",
    "l" * 300 + ".mp3": "l" * 236 + ".mp3",
    "~/x.mp3": "x.mp3",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_made_safe_and_the_path_is_what_was_stored(page, tmp_path, name):
    path = page().upload(name)
    assert os.listdir(tmp_path / "up") == [HOSTILE[name]] and path == str(tmp_path / "up" / HOSTILE[name])
    assert open(path, "rb").read() == b"123"


def test_a_large_file_comes_in_pieces_and_each_is_answered(page):
    content = os.urandom(2_300_000)
    p = page()
    path = p.upload("big.wav", content)
    assert open(path, "rb").read() == content
    answers = [c for c, _ in p.got]
    assert [a["kind"] for a in answers] == ["got"] * 4 + ["kept"] and answers[3]["at"] == 4 * ui.PIECE


def test_an_upload_replaces_nothing_and_the_same_song_is_kept_once(page):
    p = page()
    sent = [("a.mp3", b"1"), ("a.mp3", b"2"), ("x/a.mp3", b"1"), ("a.mp3", b"3")]
    paths = [p.upload(name, content) for name, content in sent]
    assert [os.path.basename(path) for path in paths] == ["a.mp3", "a (2).mp3", "a.mp3", "a (3).mp3"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_an_upload_follows_no_link(page, tmp_path):
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "a.mp3").symlink_to(tmp_path / "victim")
    assert (
        page().upload("a.mp3", b"theirs").endswith("a (2).mp3")
        and (tmp_path / "victim").read_bytes() == b"mine"
    )


def test_an_upload_that_cannot_be_kept_is_said_and_the_song_stays(page, tmp_path):
    (tmp_path / "up").write_bytes(b"a file")
    p = page()
    assert p.upload("a.mp3") == str(demo_song())
    answer = p.got[-1][0]
    assert answer["kind"] == "refused" and answer["sentence"].startswith(
        "The upload is not kept. Cannot write"
    )


def test_too_large_or_out_of_order_is_refused(page):
    p = page()
    p.app.inbox.limit = 10
    p.upload("a.mp3", b"12345678901")
    p.press("chunk", [b"123"], key="z", what="audio_path", name="b.mp3", size=5, at=2)
    assert [c["kind"] for c, _ in p.got] == ["refused", "refused"] and "at most" in p.got[0][0]["sentence"]


# Runs


def finished(tmp_path, stars=4.2):
    "A result, as the pipeline gives it."
    b = Beatmap.parse(
        "osu file format v14\n\n[Metadata]\nTitle:<T>\nVersion:V\n[TimingPoints]\n0,500,4,2,0,60,1,0\n\n[HitObjects]\n100,100,500,5,0\n200,100,900,1,0\n"
    )
    path = tmp_path / "<map>.osu"
    b.write(path)
    report = dict(bpm=120.0, achieved_stars=stars, seed=7, path="x<y", longest_gap_s=None)
    return NS(beatmap=b, mel=np.zeros((80, 200)), report=report, path=path, audio=demo_song())


def test_a_map_is_made_shown_heard_and_taken_home(page, tmp_path):
    seen = []

    def make(config, progress):
        seen.append(config)
        progress(STEP)
        return finished(tmp_path)

    p = page(make, queues.keep_result, difficulty=5.5)
    p.press("go")
    run = p.end()
    assert seen == [GenerateConfig(audio_path=str(demo_song()), difficulty=5.5)]
    assert (run["state"], run["stars"], run["sentence"]) == ("done", 4.2, "") and ["seed", "7"] in run[
        "figures"
    ]
    for kind in ("show", "listen", "download"):
        p.press(kind, id=run["id"])
    assert p.sent("picture")[:4] == b"\x89PNG" and p.sent("sound")[:4] == b"RIFF"
    assert p.sent("file") == (tmp_path / "<map>.osu").read_bytes() and p.said == ""
    assert "map" in run["log"]


def test_a_page_that_is_opened_again_shows_what_was_made(page):
    page().press("go")
    later = page()
    assert later.end()["state"] == "done"
    later.press("use", id=later.runs[0]["id"])
    assert later.app.form.said["audio_path"] == str(demo_song())
    later.press("drop", id=later.runs[0]["id"])
    assert not later.runs


def test_versions_have_seeds_that_count_up_and_stand_together(page):
    seeds = []
    p = page(lambda config, progress: seeds.append(config.seed), seed=5)
    p.press("go", takes=3)
    p.end()
    assert seeds == [5, 6, 7] and len({run["batch"] for run in p.runs}) == 1


class Held:
    "A run that waits within until it is let go, and asks whether to stop before and after."

    def __init__(self):
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.seen = []

    def __call__(self, config, progress):
        self.seen.append(config)
        if progress(STEP):
            raise Cancelled
        self.begun.set()
        assert self.go_on.wait(30)
        if progress(STEP):
            raise Cancelled


def test_cancel_is_heard_by_what_runs_and_by_what_waits(page):
    held = Held()
    p = page(held)
    p.press("go", takes=2)
    assert held.begun.wait(30)
    second, first = p.runs
    assert (first["state"], second["state"], second["ahead"]) == ("running", "waiting", 1)
    p.press("cancel", id=second["id"])
    assert p.runs[0]["sentence"] == "cancelled before it began"
    p.press("cancel", id=first["id"])
    assert p.runs[1]["stopping"]
    held.go_on.set()
    p.end()
    assert [run["state"] for run in p.runs] == ["cancelled"] * 2 and len(held.seen) == 1


def test_a_cancel_while_the_pipeline_is_imported_is_heard(page, monkeypatch):
    made = []
    p = page(None)

    def pipeline():
        p.press("cancel", id=p.runs[0]["id"])
        return lambda config, progress: made.append(config)

    monkeypatch.setattr(queues, "pipeline", pipeline)
    p.press("go")
    assert p.end()["state"] == "cancelled" and not made


@pytest.mark.parametrize("moment", range(3))
def test_a_cancel_at_any_look_is_heard(page, moment):
    def make(config, progress):
        for i in range(3):
            if i == moment:
                p.press("cancel", id=p.runs[0]["id"])
            if progress(Progress("map", i + 1, 3)):
                raise Cancelled

    p = page(make)
    p.press("go")
    assert p.end()["state"] == "cancelled"


def test_a_cancel_after_the_last_look_is_said_and_the_map_is_not_hidden(page, tmp_path):
    def make(config, progress):
        p.press("cancel", id=p.runs[0]["id"])
        return finished(tmp_path)

    p = page(make)
    p.press("go")
    run = p.end()
    assert run["state"] == "done" and run["sentence"].startswith("cancelled too late. The map is written as")


def test_many_presses_at_one_moment_are_made_one_after_the_other(page):
    at_once = []
    most = []

    def make(config, progress):
        at_once.append(1)
        most.append(len(at_once))
        time.sleep(0.01)
        at_once.pop()

    p = page(make)
    threads = [threading.Thread(target=p.app.start) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    p.end()
    assert len(p.runs) == 6 and most == [1] * 6


def test_two_forms_of_a_kernel_use_the_pipeline_in_turn(page, monkeypatch):
    "It keeps one model ready, with one cache."
    held = Held()
    monkeypatch.setitem(sys.modules, "mapperatorinator.pipeline", NS(generate_map=held))
    one, two = page(None), page(None, visitor="b")
    one.press("go")
    assert held.begun.wait(30)
    two.press("go")
    until = time.monotonic() + 30
    while two.runs[0]["stage"] != "waiting for another map to be finished":
        assert time.monotonic() < until
    two.press("cancel", id=two.runs[0]["id"])
    assert two.end()["state"] == "cancelled" and len(held.seen) == 1
    held.go_on.set()
    assert one.end()["state"] == "done" and not queues.TURN.locked()


def test_who_has_too_many_waiting_is_told(page):
    held = Held()
    p = page(held)
    p.app.waiting_limit = 2
    p.press("go", takes=2)
    assert "waiting already" in p.press("go", takes=2)
    held.go_on.set()
    p.end()


# What goes wrong


class Unsayable(Exception):
    def __str__(self):
        raise RuntimeError


RAISED = [
    (UserError("no <song>.", "no map."), "no <song>.\nno map.", ""),
    (ValueError("<b>\nx\ud83d\x1b[31m"), "ValueError: <b> x", "ValueError"),
    (SystemExit(3), "SystemExit: 3", "SystemExit"),
    (GeneratorExit(), "GeneratorExit", "GeneratorExit"),
    (RecursionError(), "RecursionError", "RecursionError"),
    (Unsayable(), "Unsayable", "Unsayable"),
    (OSError(28, "No space left on device"), "No space left", "OSError"),
    (KeyboardInterrupt(), "cancelled", ""),
]


@pytest.mark.parametrize("e, words, trace", RAISED, ids=lambda x: type(x).__name__)
def test_whatever_a_run_raises_is_said_and_the_next_one_begins(page, e, words, trace):
    def make(config, progress):
        if config.seed == 1:
            raise e

    p = page(make, seed=1)
    p.press("go")
    run = p.end()
    assert (
        words in run["sentence"] and bool(trace) == bool(run["trace"]) and "Traceback" not in run["sentence"]
    )
    json.dumps(run).encode("utf-8")  # goes to the browser
    p.press("type", name="seed", value="2")
    p.press("go")
    assert p.end()["state"] == "done"
    p.app.meter.fail(e)
    assert html.escape(words.split("\n")[0]) in p.app.meter.text.value


def test_what_cannot_be_kept_is_said_and_the_map_is_there(page, tmp_path):
    def keep(folder, result):
        raise OSError(28, "No space left on device")

    p = page(lambda config, progress: finished(tmp_path), keep)
    p.press("go")
    run = p.end()
    assert (
        run["state"] == "done"
        and "The map is written as" in run["sentence"]
        and "No space left" in run["sentence"]
    )
    p.press("download", id=run["id"])
    assert p.sent("file").startswith(b"osu file format")


def test_a_file_that_has_gone_is_said(page, tmp_path):
    p = page(lambda config, progress: finished(tmp_path), queues.keep_result)
    p.press("go")
    run = p.end()
    (tmp_path / "<map>.osu").unlink()
    assert "cannot be read any more" in p.press("download", id=run["id"])
    assert "There is no run 999" in p.press("show", id=999)


def test_a_message_that_makes_no_sense_is_said_and_changes_nothing(page):
    p = page()
    before = dict(p.app.form.said)
    for kind, told in (
        ("type", {}),
        ("go", {"takes": "x"}),
        ("chunk", {}),
        ("cancel", {"id": "1; drop table runs"}),
    ):
        p.press(kind, **told)
        assert "This is a fault of ours" in p.said and p.app.view.notice["trace"]
    p.press("_look", path="/etc/passwd")
    p.press("permit", said={})
    p.app.hear(None, "text", [])
    assert p.app.form.said == before and not p.runs


def test_a_cell_that_generates_hears_and_raises(page, tmp_path):
    p = page(lambda config, progress: finished(tmp_path), queues.keep_result)
    assert p.app.generate().report["seed"] == 7 and p.app.meter.text.value == "done"
    p.app.form.type("bpm", "fast")
    with pytest.raises(UserError, match="fast is no number"):
        p.app.generate()
    assert p.app.meter.style == "danger"


# Others on the same machine


def test_a_visitor_sees_own_runs_only_and_names_no_path(page, tmp_path):
    mine, other = page(visitor="a"), page(visitor="b")
    mine.press("go")
    run = mine.end()
    assert not other.runs
    for kind in ("show", "listen", "download", "like", "remap", "use", "drop", "cancel"):
        assert f"There is no run {run['id']} any more" in other.press(kind, id=run["id"])
    other.app.shut = True
    (tmp_path / "up").mkdir(exist_ok=True)
    (tmp_path / "up" / "link.wav").symlink_to("/etc/passwd")
    for path in (
        "/etc/passwd",
        str(tmp_path / "up" / ".." / "state" / "runs.sqlite"),
        str(tmp_path / "up" / "link.wav"),
        "a\0b",
    ):
        assert "upload the file" in other.press("type", name="beatmap_path", value=path)
        assert "upload the file" in other.press("paste", text=f"beatmap_path='{path}'") or "\0" in path
    for name, value in (("output_path", "/tmp"), ("lora_path", "x"), ("model", "../x"), ("refiner", "y")):
        assert "cannot be set in the web app" in other.press("type", name=name, value=value)
    other.app.runs.save_preset("b", "bad", {"background": "/etc/passwd"})
    assert "upload the file" in other.press("load_preset", name="bad")
    assert set(other.app.form.said) == {"audio_path"}


def test_runs_of_a_kernel_that_died_are_told_from_the_others(page):
    p = page()
    lost = p.app.runs.add({}, owner="999999999.1")
    again = page()
    assert again.app.runs[lost.id].state == "lost" and "generate it again" in again.runs[0]["sentence"]


def test_a_real_map_from_the_queue(tmp_path, excerpt):
    "The embedded model, by the kernel's own worker."
    pytest.importorskip("mapperatorinator.pipeline")
    app = ui.App(runs=Runs(tmp_path / "state"), uploads=tmp_path / "up")
    wishes = dict(
        audio_path=str(excerpt(6)), output_path=str(tmp_path / "out"), device="cpu", star_tries=0, seed=1
    )
    app.form.set(**wishes, export_osz=True, timing="grid")
    p = Page(app)
    p.press("go")
    run = p.end(120)
    assert run["state"] == "done", run["trace"] or run["sentence"]
    p.press("download", id=run["id"])
    assert p.sent("file")[:2] == b"PK" and len(p.app.maps_of(p.app.runs[run["id"]])) == 1


def test_a_history_of_an_earlier_version_goes_on(tmp_path):
    import sqlite3

    with sqlite3.connect(tmp_path / "runs.sqlite") as db:
        db.execute(
            "create table runs (id integer primary key autoincrement, visitor, owner, title, said text, state)"
        )
        db.execute(
            "insert into runs (visitor, owner, title, said, state) values ('', 'x', 'old', '{}', 'done')"
        )
    runs = Runs(tmp_path)
    (old,) = runs.where("kind=?", "")
    assert (old.title, old.report, old.stop) == ("old", {}, 0)
    assert runs.add({"difficulty": 3.0}, title="new").id == 2 and len(Runs(tmp_path).where("1")) == 2


def test_a_history_that_is_none_is_one_sentence(tmp_path):
    (tmp_path / "runs.sqlite").write_bytes(b"a shopping list" * 100)
    with pytest.raises(UserError, match="MAPPERATORINATOR_STATE"):
        Runs(tmp_path)


def test_the_dialogue_of_colab_brings_songs_and_maps(tmp_path, monkeypatch):
    desk = ui.mod_app(runs=Runs(tmp_path), uploads=tmp_path / "up")
    with pytest.raises(UserError, match="choose the file in the form"):
        desk.upload()
    sent = {"a.ogg": b"OggS", "b.osu": b"osu file format v14", "c.OSZ": b"PK"}
    colab = NS(files=NS(upload=lambda: sent))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    desk.upload()
    assert desk.view.wishes["maps"] == ["b.osu", "c.OSZ"]
    assert desk.form.said == {"audio_path": str(tmp_path / "up" / "a.ogg")}
    song = {"audio_path": desk.form.said["audio_path"]}
    assert desk.asked() == [{"beatmap_path": str(path)} | song for path in desk.maps]
