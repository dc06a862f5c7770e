"The form and the app without a browser: every setting goes in and comes out, jobs end as they should."
import html
import threading
from dataclasses import dataclass, field, fields
from types import SimpleNamespace as NS
from typing import Optional
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
W = pytest.importorskip("ipywidgets")
from mapperatorinator.config import GenerateConfig, LanguageConfig, ModelConfig, TrainConfig, check_settings, compose, is_list, settings_table
from mapperatorinator.core import UserError
from mapperatorinator import ui

@pytest.mark.parametrize("cls", [GenerateConfig, TrainConfig, ModelConfig, LanguageConfig])
def test_defaults_round_trip(cls):
    form = ui.Form(cls)
    assert form.value == cls()
    form.value = cls()
    assert form.value == cls() and set(form.fields) | set(form.forms) | set(form.kept) == {f.name for f in fields(cls)}

def values(setting):
    "Values a setting may take, its bounds and choices respected."
    low, high = setting.bounds.low, setting.bounds.high
    above = getattr(setting.bounds, "above", False)
    if setting.base is bool: base = st.booleans()
    elif setting.bounds.choices: base = st.sampled_from(setting.bounds.choices)
    elif setting.item is int: base = st.integers(int(np.ceil(low)), int(min(high, 2**31 - 1)))
    elif setting.item is float: base = st.floats(low, high, exclude_min=above)
    elif setting.name == "device": base = st.sampled_from(["auto", "cpu", "cuda", "cuda:1", "mps"])
    elif setting.base is str: base = st.text(min_size=1)
    else: base = st.text("abc ()/é,", min_size=1).map(str.strip).filter(lambda text: text.strip(","))
    if is_list(setting.base): base = st.lists(base, min_size=max(setting.bounds.fewest, 1), max_size=5)
    return st.none() | base if setting.optional else base

@settings(max_examples=10, deadline=None)
@given(st.fixed_dictionaries({s.name: values(s) for s in settings_table(GenerateConfig)}))
def test_any_request_round_trips(asked):
    config = GenerateConfig(**asked)
    form = ui.Form(GenerateConfig); form.value = config
    assert form.value == config

def test_one_number_or_several_and_a_word_where_numbers_belong():
    form = ui.Form(GenerateConfig)
    form["bpm"].inner.value, form["offset"].inner.value, form["meter"].inner.value = "120, 180", "1000", ""
    assert (form.value.bpm, form.value.offset, form.value.meter) == ([120., 180.], [1000.], [])
    app = ui.App()
    app.form["bpm"].inner.value = "fast"; app.go.click()
    assert "bpm=[fast]: fast is no number" in app.job.meter.text.value and not app.go.disabled and app.job.thread is None

def test_times_are_typed_as_the_editor_has_them():
    form = ui.Form(GenerateConfig)
    form["start_time"].inner.value, form["end_time"].inner.value, form["offset"].inner.value = "01:02:345 (1,2) -", "1:30", "0:01, 1:00.5"
    assert (form.value.start_time, form.value.end_time, form.value.offset) == (62_345, 90_000, [1000., 60_500.])
    form["start_time"].inner.value = ""
    assert form.value.start_time is None

ODD = dict(difficulty=99., hp_drain_rate=-1., guidance=float("inf"), temperature=6., candidates=1000, star_tries=-1, num_beams=0, seed=-1, year=1999, keycount=19, max_batch_size=0,
           circle_size=40., start_time="soon", end_time="0:01:30", offset="x", bpm="5", device="tpu", descriptors="a" * 200)

@pytest.mark.parametrize("name", ODD)
def test_the_form_says_what_the_command_line_says(name):
    app = ui.App(GenerateConfig(bpm=120, offset=0))
    field = app.form[name]
    if field.known is not None: field.known.value = True
    field.inner.value = ODD[name]
    app.go.click()
    with pytest.raises(UserError) as said: check_settings(compose(GenerateConfig, ["bpm=120", "offset=0", f"{name}={ODD[name]}"]))
    assert app.job.meter.text.value == html.escape(str(said.value)) and app.job.thread is None and app.job.meter.bar.bar_style == "danger"

def test_a_value_put_into_the_form_is_judged_too():
    form = ui.Form(GenerateConfig)
    with pytest.raises(UserError, match="difficulty=99 is above 12"): form.set(difficulty=99)
    with pytest.raises(UserError, match="no timing 'waltz'"): form.value = GenerateConfig(timing="waltz")

def test_help_bounds_and_choices_are_shown():
    form = ui.Form(GenerateConfig)
    for s in settings_table(GenerateConfig):
        assert any(isinstance(w, W.HTML) and s.help.split("'")[0].split("…")[0] in w.value for w in form[s.name].box.children), s.name
    assert "(0 to 12 stars)" in form["difficulty"].box.children[-1].value
    assert isinstance(form["gamemode"].inner, W.Dropdown) and isinstance(form["plot"].inner, W.Checkbox)
    assert form["gamemode"].inner.options[3] == ("osu!mania", 3) and [label for label, _ in form["timing"].inner.options][:2] == ["auto", "grid"]

def test_every_name_and_hint_is_of_a_setting():
    known = {s.name: s for s in settings_table(GenerateConfig)}
    for name, names in ui.NAMES.items(): assert tuple(names) == known[name].bounds.choices
    for name, options in ui.HINTS.items(): assert known[name].default in options

def test_groups_follow_the_comments_or_the_caller():
    form = ui.Form(GenerateConfig)
    titles = [form.widget.get_title(i) for i in range(len(form.widget.children))]
    assert titles[0] == "the map" and "timing" in titles and "the machine" in titles
    two = ui.Form(GenerateConfig, groups={"song": ["audio_path"], "rest": ["difficulty"]})
    assert len(two.widget.children) == 2 and two.value == GenerateConfig()

def test_a_form_for_a_class_of_your_own():
    @dataclass
    class Mine:
        speed: float = 1.5              # how fast
        tags: Optional[list[int]] = None # numbers
        model: ModelConfig = field(default_factory=ModelConfig)
    form = ui.Form(Mine, groups={"all": ["speed", "tags"]})
    form.set(speed=2., tags=[1, 2]); form.forms["model"].set(d_model=64)
    assert form.value == Mine(2., [1, 2], ModelConfig(d_model=64))

@pytest.mark.parametrize("value", [({"name": "../a b.mp3", "content": memoryview(b"123")},), {"../a b.mp3": {"content": b"123"}}])
def test_uploads_of_both_widget_generations_stay_in_their_folder(tmp_path, value):
    picker = ui.SongPicker(folder=tmp_path/"up"); picker.keep(value)
    assert (tmp_path/"up"/"a b.mp3").read_bytes() == b"123" and picker.path == str(tmp_path/"up"/"a b.mp3")
    picker.text.value = '"C:/x.mp3" '
    assert picker.path == "C:/x.mp3"

def result(tmp_path):
    from mapperatorinator.osu.beatmap import Beatmap
    beatmap = Beatmap.parse("osu file format v14\n\n[TimingPoints]\n0,500,4,2,0,60,1,0\n\n[HitObjects]\n100,100,500,5,0\n200,100,900,1,0\n")
    beatmap.write(tmp_path/"<map>.osu")
    return NS(beatmap=beatmap, mel=np.zeros((80, 200)), report=dict(bpm=120., path="x<y", longest_gap_s=None), path=tmp_path/"<map>.osu")

@pytest.fixture
def song(tmp_path):
    import soundfile
    soundfile.write(tmp_path/"song.wav", .1*np.random.default_rng(0).standard_normal(32000), 16000)
    return tmp_path/"song.wav"

def test_button_makes_a_map_and_shows_it(tmp_path, song):
    seen = []
    def make(config, progress):
        seen.append(config); progress(NS(stage="map", done=1, total=2, tokens_per_second=10.))
        return result(tmp_path)
    app = ui.App(compose(GenerateConfig, ["difficulty=5.5", f"audio_path={song}"]), make)
    app.go.click(); app.job.thread.join(30)
    assert seen == [GenerateConfig(audio_path=str(song), difficulty=5.5)]
    assert [type(w).__name__ for w in app.view.children] == ["HTML", "Image", "HTML", "Audio", "HTML"], app.log.outputs
    table, image, _, audio, link = app.view.children
    assert "x&lt;y" in table.value and "longest" not in table.value and bytes(image.value[:4]) == b"\x89PNG" and bytes(audio.value[:4]) == b"RIFF"
    assert "&lt;map&gt;.osu" in link.value and (app.job.meter.bar.bar_style, app.go.disabled, app.cancel.disabled) == ("success", False, True)

def test_cancel_stops_a_running_job():
    started = threading.Event()
    def make(config, progress):
        while not progress(NS(stage="map", done=0, total=0)): started.set()
        raise KeyboardInterrupt
    app = ui.App(make=make)
    app.go.click(); assert started.wait(10) and app.go.disabled and not app.cancel.disabled
    app.cancel.click(); app.job.thread.join(10)
    assert app.job.meter.text.value.startswith("cancelled") and app.job.result is None and not app.go.disabled

def test_errors_are_said_where_the_user_looks():
    def refuse(config, progress): raise UserError("audio_path is empty; give the path of a <song>.")
    app = ui.App(make=refuse)
    app.go.click(); app.job.thread.join(10)
    assert "&lt;song&gt;" in app.job.meter.text.value and app.job.meter.bar.bar_style == "danger" and not app.log.outputs
    with pytest.raises(UserError): app.generate()

def test_faults_of_ours_leave_a_trace():
    app = ui.App(make=lambda config, progress: 1/0)
    app.go.click(); app.job.thread.join(10)
    assert "ZeroDivisionError" in app.log.outputs[0]["text"] and app.job.meter.bar.bar_style == "danger" and not app.go.disabled

def test_ticks_lie_on_the_objects():
    out = ui.ticked(np.zeros(16000, np.float32), 16000, [-5, 250, 999.9, 4000])
    loud = np.flatnonzero(np.abs(out) > .05)
    assert len(out) == 16000 and 4000 <= loud[0] <= 4010 and loud[loud < 8000].max() < 4000 + .03*16000 and loud.max() >= 15998
