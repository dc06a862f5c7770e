"The form and the app without a browser: every setting goes in and comes out, jobs end as they should."

import html
import os
import sys
import threading
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from types import SimpleNamespace as NS
from typing import Optional
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

W = pytest.importorskip("ipywidgets")
from mapperatorinator.bounds import is_list
from mapperatorinator.config import (
    GenerateConfig,
    LanguageConfig,
    ModelConfig,
    TrainConfig,
    check_settings,
    compose,
    settings_table,
)
from mapperatorinator.core import UserError
from mapperatorinator import ui


@pytest.mark.parametrize("cls", [GenerateConfig, TrainConfig, ModelConfig, LanguageConfig])
def test_defaults_round_trip(cls):
    form = ui.Form(cls)
    assert form.value == cls()
    form.value = cls()
    assert form.value == cls() and set(form.fields) | set(form.forms) | set(form.kept) == {
        f.name for f in fields(cls)
    }


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
    elif setting.base is str:
        base = st.text(min_size=1)
    else:
        base = st.text("abc ()/é,", min_size=1).map(str.strip).filter(lambda text: text.strip(","))
    if is_list(setting.base):
        base = st.lists(base, min_size=max(setting.bounds.fewest, 1), max_size=5)
    return st.none() | base if setting.optional else base


@settings(max_examples=10, deadline=None)
@given(st.fixed_dictionaries({s.name: values(s) for s in settings_table(GenerateConfig)}))
def test_any_request_round_trips(asked):
    config = GenerateConfig(**asked)
    form = ui.Form(GenerateConfig)
    form.value = config
    assert form.value == config


def test_one_number_or_several_and_a_word_where_numbers_belong():
    form = ui.Form(GenerateConfig)
    form["bpm"].inner.value = "120, 180"
    form["offset"].inner.value = "1000"
    form["meter"].inner.value = ""
    assert (form.value.bpm, form.value.offset, form.value.meter) == ([120.0, 180.0], [1000.0], [])
    app = ui.App()
    app.form["bpm"].inner.value = "fast"
    app.go.click()
    assert (
        "bpm=[fast]: fast is no number" in app.job.meter.text.value
        and not app.go.disabled
        and app.job.thread is None
    )


def test_times_are_typed_as_the_editor_has_them():
    form = ui.Form(GenerateConfig)
    form["start_time"].inner.value = "01:02:345 (1,2) -"
    form["end_time"].inner.value = "1:30"
    form["offset"].inner.value = "0:01, 1:00.5"
    assert (form.value.start_time, form.value.end_time, form.value.offset) == (
        62_345,
        90_000,
        [1000.0, 60_500.0],
    )
    form["start_time"].inner.value = ""
    assert form.value.start_time is None


ODD = dict(
    difficulty=99.0,
    hp_drain_rate=-1.0,
    guidance=float("inf"),
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
def test_the_form_says_what_the_command_line_says(name):
    app = ui.App(GenerateConfig(bpm=120, offset=0))
    field = app.form[name]
    if field.known is not None:
        field.known.value = True
    field.inner.value = ODD[name]
    app.go.click()
    with pytest.raises(UserError) as said:
        check_settings(compose(GenerateConfig, ["bpm=120", "offset=0", f"{name}={ODD[name]}"]))
    assert (
        app.job.meter.text.value == html.escape(str(said.value)).replace("\n", "<br>")
        and app.job.thread is None
        and app.job.meter.bar.bar_style == "danger"
    )


def test_a_value_put_into_the_form_is_judged_too():
    form = ui.Form(GenerateConfig)
    with pytest.raises(UserError, match="difficulty=99 is above 12"):
        form.set(difficulty=99)
    with pytest.raises(UserError, match="no timing 'waltz'"):
        form.value = GenerateConfig(timing="waltz")
    with pytest.raises(UserError, match="above 12"):
        form["difficulty"].value = 99
    form.set(difficulty="5,5".replace(",", "."), start_time="1:30", gamemode="taiko")
    assert (form.value.difficulty, form.value.start_time, form.value.gamemode) == (5.5, 90_000, 1)


def test_values_put_into_the_form_are_refused_all_at_once_and_none_is_taken():
    form = ui.Form(GenerateConfig)
    with pytest.raises(UserError) as said:
        form.set(seed=3, difficulty=99, dificulty=4, bpm=5, timing="waltz")
    assert (
        len(said.value.args) == 4
        and "did you mean 'difficulty'" in str(said.value)
        and form.value == GenerateConfig()
    )


def test_an_app_for_settings_that_cannot_be_says_all_of_them():
    with pytest.raises(UserError) as said:
        ui.generate_app(dificulty=4, seed=-1, guidance=99)
    assert len(said.value.args) == 3 and "did you mean 'difficulty'" in str(said.value)


def test_all_that_is_wrong_is_said_at_once_the_song_too():
    app = ui.App()
    app.song.text.value = "x" * 5000
    app.form["difficulty"].inner.value, app.form["guidance"].inner.value = 99.0, 99.0
    app.form["difficulty"].known.value = True
    app.form["start_time"].inner.value = "soon"
    app.go.click()
    said = app.meter.text.value.split("<br>")
    assert len(said) == 4 and [line.split("=")[0] for line in said] == [
        "audio_path",
        "difficulty",
        "guidance",
        "start_time",
    ], said


def test_help_bounds_and_choices_are_shown():
    form = ui.Form(GenerateConfig)
    for s in settings_table(GenerateConfig):
        assert any(
            isinstance(w, W.HTML) and s.help.split("'")[0].split("…")[0] in w.value
            for w in form[s.name].box.children
        ), s.name
    assert "(0 to 12 stars)" in form["difficulty"].box.children[-1].value
    assert isinstance(form["gamemode"].inner, W.Dropdown) and isinstance(form["plot"].inner, W.Checkbox)
    assert form["gamemode"].inner.options[3] == ("osu!mania", 3) and [
        label for label, _ in form["timing"].inner.options
    ][:2] == ["auto", "grid"]


def test_every_name_and_hint_is_of_a_setting():
    known = {s.name: s for s in settings_table(GenerateConfig)}
    for name, names in ui.NAMES.items():
        assert tuple(names) == known[name].bounds.choices
    for name, options in ui.HINTS.items():
        assert known[name].default in options


def test_groups_follow_the_comments_or_the_caller():
    form = ui.Form(GenerateConfig)
    titles = [form.widget.get_title(i) for i in range(len(form.widget.children))]
    assert titles[0] == "the map" and "timing" in titles and "the machine" in titles
    two = ui.Form(GenerateConfig, groups={"song": ["audio_path"], "rest": ["difficulty"]})
    assert len(two.widget.children) == 2 and two.value == GenerateConfig()


def test_a_form_for_a_class_of_your_own():
    @dataclass
    class Mine:
        speed: float = 1.5  # how fast
        tags: Optional[list[int]] = None  # numbers
        model: ModelConfig = field(default_factory=ModelConfig)

    form = ui.Form(Mine, groups={"all": ["speed", "tags"]})
    form.set(speed=2.0, tags=[1, 2])
    form.forms["model"].set(d_model=64)
    assert form.value == Mine(2.0, [1, 2], ModelConfig(d_model=64))


def upload(picker, name, content=b"123"):
    "As the browser does it, for ipywidgets 7 or 8."
    old = ui.W.__version__.startswith("7")
    about = dict(name=name, type="audio/mpeg", size=len(content))
    if old:
        value = {name: dict(content=content, metadata=about | {"lastModified": 0})}
    else:
        value = (about | dict(content=memoryview(content), last_modified=datetime.now(timezone.utc)),)
    picker.upload.set_trait("value", value)
    return picker.path


@pytest.mark.parametrize(
    "value", [({"name": "../a b.mp3", "content": memoryview(b"123")},), {"../a b.mp3": {"content": b"123"}}]
)
def test_uploads_of_both_widget_generations_stay_in_their_folder(tmp_path, value):
    picker = ui.SongPicker(folder=tmp_path / "up")
    picker.keep(value)
    assert (tmp_path / "up" / "a b.mp3").read_bytes() == b"123" and picker.path == str(
        tmp_path / "up" / "a b.mp3"
    )
    picker.text.value = '"C:/x.mp3" '
    assert picker.path == "C:/x.mp3"


HOSTILE = {
    "..": "song",
    ".": "song",
    "": "song",
    "/": "song",
    "\\": "song",
    " ": "song",
    "\ud83d": "song",
    ".mp3": "mp3",
    "a\0b.mp3": "a b.mp3",
    "trail.mp3 ": "trail.mp3",
    "trail.mp3.": "trail.mp3",
    "../../etc/passwd": "passwd",
    "..\\..\\x.mp3": "x.mp3",
    "C:x.mp3": "Cx.mp3",
    "a\nb.mp3": "a b.mp3",
    "caf\udce9.mp3": "caf.mp3",
    "\x1b[31m.mp3": "[31m.mp3",
    "con.mp3": "_con.mp3",
    "x\u202e3pm.exe": "x3pm.exe",
    ".mapperatorinator-lock": "mapperatorinator-lock",
    "l" * 300 + ".mp3": "l" * 236 + ".mp3",
    "😀" * 300 + ".mp3": "😀" * 59 + ".mp3",
    "~/x.mp3": "x.mp3",
    "~x.mp3": "~x.mp3",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_made_safe_and_the_path_is_what_was_stored(tmp_path, name):
    picker = ui.SongPicker(folder=tmp_path / "up")
    path = upload(picker, name)
    assert os.listdir(tmp_path) == ["up"] and os.listdir(tmp_path / "up") == [HOSTILE[name]], (
        picker.notice.text.value
    )
    assert (
        path == str(tmp_path / "up" / HOSTILE[name])
        and open(path, "rb").read() == b"123"
        and picker.notice.text.value == ""
    )


def test_an_upload_replaces_nothing_and_the_same_song_is_kept_once(tmp_path):
    picker = ui.SongPicker(folder=tmp_path)
    paths = [
        upload(picker, name, content)
        for name, content in (
            ("a.mp3", b"1"),
            ("a.mp3", b"2"),
            ("x/a.mp3", b"1"),
            ("a.mp3 ", b"2"),
            ("a.mp3", b"3"),
        )
    ]
    assert [os.path.basename(p) for p in paths] == ["a.mp3", "a (2).mp3", "a.mp3", "a (2).mp3", "a (3).mp3"]
    assert [open(p, "rb").read() for p in paths] == [b"1", b"2", b"1", b"2", b"3"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("kind", ["file", "dangling", "folder", "fifo"])
def test_an_upload_follows_no_link(tmp_path, kind):
    victim = tmp_path / "victim"
    folder = tmp_path / "up"
    folder.mkdir()
    if kind == "file":
        victim.write_bytes(b"mine")
    if kind == "folder":
        victim.mkdir()
    if kind == "fifo":
        os.mkfifo(folder / "a.mp3")
    else:
        (folder / "a.mp3").symlink_to(victim)
    path = upload(ui.SongPicker(folder=folder), "a.mp3", b"theirs")
    assert path == str(folder / "a (2).mp3") and open(path, "rb").read() == b"theirs"
    if kind == "file":
        assert victim.read_bytes() == b"mine"
    if kind == "dangling":
        assert not victim.exists()
    if kind == "folder":
        assert not list(victim.iterdir())


@pytest.mark.parametrize("where", ["file", "below a file", "no path", "long"])
def test_an_upload_that_cannot_be_kept_is_said_and_the_song_stays(tmp_path, where):
    (tmp_path / "f").write_bytes(b"mine")
    folder = {
        "file": tmp_path / "f",
        "below a file": tmp_path / "f" / "g",
        "no path": tmp_path / "a\0b",
        "long": tmp_path / ("x" * 300),
    }[where]
    app = ui.App(GenerateConfig(audio_path="mine.mp3"))
    app.song.folder = folder
    upload(app.song, "a.mp3")
    assert (
        app.song.notice.text.value.startswith("The upload is not kept. ")
        and app.song.path == "mine.mp3"
        and app.song.notice.style == "danger"
    )
    assert (tmp_path / "f").read_bytes() == b"mine" and not app.song.notice.trace.value
    app.song.folder = tmp_path
    assert upload(app.song, "b.mp3") == str(tmp_path / "b.mp3") and app.song.notice.text.value == ""


def test_an_upload_that_nobody_foresaw_is_said_with_its_trace():
    picker = ui.SongPicker("mine.mp3")
    picker.keep({"a.mp3": {"no": "content"}})
    assert (
        "KeyError" in picker.notice.text.value
        and "Traceback" in picker.notice.trace.value
        and picker.path == "mine.mp3"
    )


def result(tmp_path):
    from mapperatorinator.osu.beatmap import Beatmap

    beatmap = Beatmap.parse(
        "osu file format v14\n\n[TimingPoints]\n0,500,4,2,0,60,1,0\n\n[HitObjects]\n100,100,500,5,0\n200,100,900,1,0\n"
    )
    beatmap.write(tmp_path / "<map>.osu")
    return NS(
        beatmap=beatmap,
        mel=np.zeros((80, 200)),
        report=dict(bpm=120.0, path="x<y", longest_gap_s=None),
        path=tmp_path / "<map>.osu",
    )


@pytest.fixture
def song(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "song.wav", 0.1 * np.random.default_rng(0).standard_normal(32000), 16000)
    return tmp_path / "song.wav"


def test_button_makes_a_map_and_shows_it(tmp_path, song):
    seen = []

    def make(config, progress):
        seen.append(config)
        progress(NS(stage="map", done=1, total=2, tokens_per_second=10.0))
        return result(tmp_path)

    app = ui.App(compose(GenerateConfig, ["difficulty=5.5", f"audio_path={song}"]), make)
    app.go.click()
    app.job.thread.join(30)
    assert seen == [GenerateConfig(audio_path=str(song), difficulty=5.5)]
    assert [type(w).__name__ for w in app.view.children] == ["HTML", "Image", "HTML", "Audio", "HTML"], (
        app.log.outputs
    )
    table, image, _, audio, link = app.view.children
    assert (
        "x&lt;y" in table.value
        and "longest" not in table.value
        and bytes(image.value[:4]) == b"\x89PNG"
        and bytes(audio.value[:4]) == b"RIFF"
    )
    assert "&lt;map&gt;.osu" in link.value and (
        app.job.meter.bar.bar_style,
        app.go.disabled,
        app.cancel.disabled,
    ) == ("success", False, True)


def test_cancel_stops_a_running_job():
    started = threading.Event()

    def make(config, progress):
        while not progress(NS(stage="map", done=0, total=0)):
            started.set()
        raise KeyboardInterrupt

    app = ui.App(make=make)
    app.go.click()
    assert started.wait(10) and app.go.disabled and not app.cancel.disabled
    app.cancel.click()
    app.job.thread.join(10)
    assert app.job.meter.text.value.startswith("cancelled") and app.job.result is None and not app.go.disabled


def test_errors_are_said_where_the_user_looks():
    def refuse(config, progress):
        raise UserError("audio_path is empty; give the path of a <song>.")

    app = ui.App(make=refuse)
    app.go.click()
    app.job.thread.join(10)
    assert (
        "&lt;song&gt;" in app.meter.text.value
        and app.meter.bar.bar_style == "danger"
        and not app.meter.trace.value
    )
    with pytest.raises(UserError):
        app.generate()


def test_faults_of_ours_leave_a_trace():
    app = ui.App(make=lambda config, progress: 1 / 0)
    app.go.click()
    app.job.thread.join(10)
    assert (
        "ZeroDivisionError: division by zero." in app.meter.text.value
        and "Traceback" not in app.meter.text.value
    )
    assert (
        app.meter.trace.value.startswith("<details>")
        and "1 / 0" in app.meter.trace.value
        and app.meter.bar.bar_style == "danger"
        and not app.go.disabled
    )


def press(app):
    "Generate, to the end."
    app.go.click()
    app.job.thread.join(30)
    assert (
        not app.job.thread.is_alive()
        and not app.busy.locked()
        and (app.go.disabled, app.cancel.disabled) == (False, True)
    )
    return app.meter.text.value


STEP = NS(stage="map", done=1, total=2)


@pytest.fixture
def unseen(monkeypatch):
    "For results that are no maps."
    monkeypatch.setattr(ui, "pictures", lambda result, song: [])


class Held:
    "A run that waits within until it is let go, and asks whether to stop before and after."

    def __init__(self, result=None):
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.seen = []
        self.result = result

    def __call__(self, config, progress):
        self.seen.append(config)
        if progress(STEP):
            raise KeyboardInterrupt
        self.begun.set()
        assert self.go_on.wait(30)
        if progress(STEP):
            raise KeyboardInterrupt
        return self.result or NS(path=None)


def finish(app, held):
    held.go_on.set()
    app.job.thread.join(30)
    return app.meter.text.value


# Cancel


def test_a_cancel_while_the_pipeline_is_imported_is_heard(monkeypatch):
    importing = threading.Event()
    imported = threading.Event()
    made = []

    def pipeline():
        importing.set()
        assert imported.wait(30)
        return lambda config, progress: made.append(config)

    monkeypatch.setattr(ui, "pipeline", pipeline)
    app = ui.App()
    app.go.click()
    assert importing.wait(30)
    app.cancel.click()
    imported.set()
    app.job.thread.join(30)
    assert (
        app.meter.text.value.startswith("cancelled;")
        and not made
        and app.job.result is None
        and not app.go.disabled
    )


def test_a_cancel_while_the_form_is_judged_is_heard(monkeypatch):
    "Judging device=cuda imports PyTorch."
    app = ui.App(make=lambda config, progress: made.append(config))
    made = []
    monkeypatch.setattr(ui, "check_settings", lambda config: app.cancel.click())
    assert press(app).startswith("cancelled;") and not made
    with pytest.raises(KeyboardInterrupt):
        app.generate()


@pytest.mark.parametrize("moment", range(5))
def test_a_cancel_at_any_look_of_the_pipeline_is_heard(moment):
    def make(config, progress):
        for i in range(5):
            if i == moment:
                app.cancel.click()
            if progress(NS(stage="map", done=i + 1, total=5)):
                raise KeyboardInterrupt

    app = ui.App(make=make)
    assert press(app).startswith("cancelled;") and app.job.result is None and app.meter.style == "warning"


def test_a_cancel_after_the_last_look_is_said_and_the_map_is_not_hidden(tmp_path, song):
    def make(config, progress):
        app.cancel.click()
        return result(tmp_path)

    app = ui.App(GenerateConfig(audio_path=str(song)), make)
    said = press(app)
    assert (
        said.startswith("cancelled too late. The map is written as")
        and "&lt;map&gt;.osu" in said
        and len(app.view.children) == 5
    )


def test_a_cancel_while_the_map_is_shown_is_said(tmp_path, song, monkeypatch):
    app = ui.App(GenerateConfig(audio_path=str(song)), lambda config, progress: result(tmp_path))
    monkeypatch.setattr(ui, "pictures", lambda result, song: [app.cancel.click() or W.HTML()])
    assert press(app).startswith("cancelled too late.") and len(app.view.children) == 1


def test_a_cancel_is_of_its_own_run_only(unseen):
    app = ui.App(make=lambda config, progress: progress(STEP) and 1 / 0 or NS(path=None))
    app.cancel.click()
    assert press(app) == "done"
    app.cancel.click()
    app.cancel.click()
    assert app.meter.text.value == "done" and press(app) == "done"


def test_a_job_that_was_stopped_before_it_began_does_nothing():
    made = []
    job = ui.Job(lambda config, progress: made.append(config))
    job.stop.set()
    with pytest.raises(KeyboardInterrupt):
        job.run(GenerateConfig())
    assert not made and job.meter.text.value.startswith("cancelled")


def test_nothing_clears_a_stop():
    job = ui.Job(lambda config, progress: [progress(STEP), progress(STEP)])
    job.stop.set()
    assert job.progress(STEP) and job.progress(STEP)
    job.meter.start()
    assert job.progress(STEP)


# One at a time


def test_a_second_click_while_a_map_is_made_starts_nothing(unseen):
    held = Held()
    app = ui.App(make=held)
    app.go.click()
    assert held.begun.wait(30)
    first = app.job
    for _ in range(3):
        app.go.click()
    assert (
        app.job is first
        and app.notice.text.value == "A map is being made already; wait for it, or press Cancel."
        and app.meter.text.value == "map 1/2"
    )
    with pytest.raises(UserError, match="being made already"):
        app.generate()
    assert app.go.disabled and not app.cancel.disabled
    assert (
        finish(app, held) == "done"
        and len(held.seen) == 1
        and app.notice.text.value == ""
        and press(app) == "done"
    )


def test_a_click_while_a_cell_makes_a_map_starts_nothing():
    def make(config, progress):
        seen.append((app.go.disabled, app.cancel.disabled))
        app.go.click()
        seen.append(app.notice.text.value)
        return NS(path=None)

    app = ui.App(make=make)
    seen = []
    app.generate()
    assert (
        seen == [(True, False), "A map is being made already; wait for it, or press Cancel."]
        and app.job.thread is None
        and not app.go.disabled
    )


def test_many_starts_at_one_moment_start_one(unseen):
    held = Held()
    gate = threading.Barrier(12)
    app = ui.App(make=held)

    def click():
        gate.wait()
        app.start()

    threads = [threading.Thread(target=click) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert held.begun.wait(30) and finish(app, held) == "done" and len(held.seen) == 1


def test_a_job_begins_once():
    held = Held()
    job = ui.Job(held)
    job.start(GenerateConfig())
    assert held.begun.wait(30)
    for again in (job.start, job.run):
        with pytest.raises(UserError, match="begun already"):
            again(GenerateConfig())
    assert job.meter.text.value == "map 1/2"
    held.go_on.set()
    job.thread.join(30)
    assert len(held.seen) == 1 and job.meter.text.value == "done"


def test_after_every_kind_of_end_the_next_one_begins(monkeypatch):
    def make(config, progress):
        raise next(ends)

    app = ui.App(make=make)
    ends = iter(
        [
            UserError("no."),
            KeyboardInterrupt(),
            SystemExit(1),
            MemoryError(),
            GeneratorExit(),
            RecursionError(),
        ]
    )
    said = [press(app) for _ in range(6)]
    assert [s.split(":")[0].split(";")[0] for s in said] == [
        "no.",
        "cancelled",
        "SystemExit",
        "MemoryError. This is a fault of ours",
        "GeneratorExit. This is a fault of ours",
        "RecursionError. This is a fault of ours",
    ]
    app.form["bpm"].inner.value = "fast"
    app.go.click()
    assert "fast is no number" in app.meter.text.value and not app.busy.locked()
    with pytest.raises(UserError):
        app.generate()
    assert not app.busy.locked() and not app.go.disabled


def test_two_forms_of_a_kernel_use_the_pipeline_in_turn(monkeypatch, unseen):
    "It keeps one model ready, with one cache."
    held = Held()
    monkeypatch.setitem(sys.modules, "mapperatorinator.pipeline", NS(generate_map=held))
    one = ui.App()
    two = ui.App()
    three = ui.App()
    one.go.click()
    assert held.begun.wait(30)
    waits = threading.Event()
    monkeypatch.setattr(
        ui.Meter,
        "__call__",
        lambda meter, progress: waits.set() if progress.stage.startswith("waiting") else None,
    )
    two.go.click()
    assert waits.wait(30)
    three.go.click()
    three.cancel.click()
    three.job.thread.join(30)
    assert three.meter.text.value.startswith("cancelled;") and len(held.seen) == 1
    assert (
        finish(one, held) == "done"
        and finish(two, held) == "done"
        and len(held.seen) == 2
        and not ui.TURN.locked()
    )


# What is shown


@pytest.fixture
def heard(monkeypatch):
    "Songs that players were made for."
    paths = []
    monkeypatch.setattr(ui, "listen", lambda path, *args, **kwargs: paths.append(str(path)) or W.HTML())
    return paths


EDITS = dict(
    path=lambda app: setattr(app.song.text, "value", "other.mp3"),
    nothing=lambda app: setattr(app.song.text, "value", ""),
    form=lambda app: app.form.set(beatmap_path="x.osu", audio_path="y.mp3"),
    all=lambda app: setattr(app.form, "value", GenerateConfig(audio_path="z.mp3")),
    upload=lambda app: upload(app.song, "new.mp3"),
    make=lambda app: setattr(app, "make", None),
)


@pytest.mark.parametrize("edit", EDITS)
def test_the_player_has_the_song_of_the_job_whatever_the_form_says_by_now(tmp_path, heard, edit):
    held = Held(result(tmp_path))
    app = ui.App(GenerateConfig(audio_path="mine.mp3"), held)
    app.song.folder = tmp_path
    app.go.click()
    assert held.begun.wait(30)
    EDITS[edit](app)
    assert (
        finish(app, held) == "done"
        and heard == ["mine.mp3"]
        and held.seen[0] == GenerateConfig(audio_path="mine.mp3")
    )


def test_the_song_that_was_heard_counts_more_than_the_one_asked_for(tmp_path, heard):
    made = result(tmp_path)
    made.audio = tmp_path / "of the map.mp3"
    app = ui.App(GenerateConfig(audio_path=""), lambda config, progress: made)
    assert press(app) == "done" and heard == [str(made.audio)] and len(app.view.children) == 5


def test_a_real_map_of_a_reference_without_a_song_given_is_shown(tmp_path, song, monkeypatch):
    "The embedded model; the folder is left while it works."
    pytest.importorskip("mapperatorinator.pipeline")
    lines = [
        "osu file format v14",
        "[General]",
        "AudioFilename:song.wav",
        "Mode:0",
        "[Metadata]",
        "Title:t",
        "[Difficulty]",
        "CircleSize:4",
        "[TimingPoints]",
        "0,500,4,2,0,60,1,0",
        "[HitObjects]",
    ]
    (tmp_path / "m.osu").write_text("\n".join([*lines, "100,100,500,5,0", "200,100,900,1,0", ""]))
    away = tmp_path / "away"
    away.mkdir()
    monkeypatch.chdir(tmp_path)
    app = ui.App(
        GenerateConfig(
            beatmap_path="m.osu",
            output_path=str(tmp_path / "out"),
            device="cpu",
            star_tries=0,
            seed=1,
            difficulty=5,
            timing="reference",
        )
    )
    meter = ui.Meter.__call__
    monkeypatch.setattr(ui.Meter, "__call__", lambda self, progress: os.chdir(away) or meter(self, progress))
    app.go.click()
    app.job.thread.join(300)
    assert app.meter.text.value == "done", app.meter.trace.value
    assert app.job.result.audio == song and [type(w).__name__ for w in app.view.children] == [
        "HTML",
        "Image",
        "HTML",
        "Audio",
        "HTML",
    ]


# What cannot be shown


def moved(tmp_path, song, monkeypatch):
    song.rename(tmp_path / "moved.wav")


def no_song(tmp_path, song, monkeypatch):
    song.write_bytes(b"not a song")


def map_gone(tmp_path, song, monkeypatch):
    (tmp_path / "<map>.osu").unlink()


def bad_page(tmp_path, song, monkeypatch):
    monkeypatch.setattr(ui, "picture", lambda fig: 1 / 0)


def bad_table(tmp_path, song, monkeypatch):
    monkeypatch.setattr(ui, "figures_of", lambda report: 1 / 0)


def bad_player(tmp_path, song, monkeypatch):
    monkeypatch.setattr(ui, "listen", lambda *args: [][0])


BROKEN = {
    moved: ("There is no file", "HTML Image HTML HTML"),
    no_song: ("song.wav", "HTML Image HTML HTML"),
    map_gone: ("cannot be read any more", "HTML Image HTML Audio"),
    bad_page: ("ZeroDivisionError", "HTML HTML Audio HTML"),
    bad_table: ("ZeroDivisionError", "Image HTML Audio HTML"),
    bad_player: ("IndexError", "HTML Image HTML HTML"),
}


@pytest.mark.parametrize("spoil", BROKEN)
def test_what_cannot_be_shown_is_said_and_the_rest_is_shown(tmp_path, song, monkeypatch, spoil):
    def make(config, progress):
        made = result(tmp_path)
        spoil(tmp_path, song, monkeypatch)
        return made

    app = ui.App(GenerateConfig(audio_path=str(song)), make)
    said, (words, there) = press(app), BROKEN[spoil]
    assert (
        said.startswith("The map is written as &#x27;")
        and words in said
        and app.meter.bar.bar_style == "danger"
    )
    assert bool(app.meter.trace.value) == ("Error" in words) and "Traceback" not in said
    assert " ".join(type(w).__name__ for w in app.view.children) == there


class Unsayable(Exception):
    def __str__(self):
        raise RuntimeError


RAISED = [
    (UserError("no <song>.", "no map."), "no &lt;song&gt;.<br>no map.", ""),
    (ValueError("<b>\nx\ud83d\x1b[31m"), "ValueError: &lt;b&gt; x", "ValueError"),
    (SystemExit(3), "SystemExit: 3", "SystemExit"),
    (Unsayable(), "Unsayable", "Unsayable"),
    (OSError(28, "No space left on device"), "No space left", "OSError"),
    (AssertionError(), "AssertionError", "AssertionError"),
    (KeyboardInterrupt(), "cancelled", ""),
]


@pytest.mark.parametrize("e, words, trace", RAISED, ids=lambda x: type(x).__name__)
def test_whatever_pictures_raises_is_said(tmp_path, monkeypatch, e, words, trace):
    def pictures(*args):
        raise e

    monkeypatch.setattr(ui, "pictures", pictures)
    app = ui.App(make=lambda config, progress: result(tmp_path))
    said = press(app)
    assert (
        words in said
        and "done" not in said
        and app.meter.style != "success"
        and trace in app.meter.trace.value
        and bool(trace) == bool(app.meter.trace.value)
    )
    (said + app.meter.trace.value).encode("utf-8")  # goes to the browser


@pytest.mark.parametrize("name", ["check_settings", "Job", "pipeline"])
def test_a_fault_anywhere_behind_the_button_is_said(monkeypatch, unseen, name):
    def broken(*args):
        raise ImportError("no torch")

    app = ui.App()
    with monkeypatch.context() as m:
        m.setattr(ui, name, broken)
        app.go.click()
        if app.job.thread:
            app.job.thread.join(30)
    assert "ImportError: no torch" in app.meter.text.value + app.notice.text.value
    app.make = lambda config, progress: NS(path=None)
    assert press(app) == "done"


def test_a_thread_that_cannot_begin_is_said(monkeypatch, unseen):
    def start(self):
        raise RuntimeError("can't start new thread")

    app = ui.App(make=lambda config, progress: NS(path=None))
    with monkeypatch.context() as m:
        m.setattr(threading.Thread, "start", start)
        app.go.click()
    assert "start new thread" in app.meter.text.value and app.meter.style == "danger" and press(app) == "done"


def test_ticks_lie_on_the_objects():
    out = ui.ticked(np.zeros(16000, np.float32), 16000, [-5, 250, 999.9, 4000])
    loud = np.flatnonzero(np.abs(out) > 0.05)
    assert (
        len(out) == 16000
        and 4000 <= loud[0] <= 4010
        and loud[loud < 8000].max() < 4000 + 0.03 * 16000
        and loud.max() >= 15998
    )
