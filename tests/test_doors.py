"The small doors: timing, doctor, wizard and completion, called as a user calls them."

import io
import json
import os
import shlex
import shutil
import subprocess
from contextlib import redirect_stderr, redirect_stdout

import pytest

from mapperatorinator import doctor, pipeline
from mapperatorinator.cli import COMMANDS, main
from mapperatorinator.completion import SHELLS, script
from mapperatorinator.config import GenerateConfig, WizardConfig, compose
from mapperatorinator.core import demo_song
from mapperatorinator.osu.beatmap import Beatmap, Circle, TimingPoint
from mapperatorinator.wizard import SETTINGS, Plain, Wizard, command_line, wizard

CONFIGS = {name: command.config for name, command in COMMANDS.items()}


def shell(*words):
    "Exit code, stdout, stderr."
    out = io.StringIO()
    err = io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(list(words))
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def songs(tmp_path):
    "A song with a map of it."
    shutil.copy(demo_song(), tmp_path / "song.ogg")
    made = Beatmap.new(title="T", artist="A", version="Hard", audio_filename="song.ogg")
    made.timing_points = [TimingPoint(1000, 500), TimingPoint(9000, 400, 3)]
    made.hit_objects = [Circle(100, 100, 1000)]
    made.write(tmp_path / "map.osu")
    return tmp_path


def test_timing_hears_what_generate_would(songs):
    code, out, _ = shell("timing", str(songs / "song.ogg"), "--json")
    (found,) = json.loads(out)["results"]
    assert code == 0 and found["bpm"] == pytest.approx(128, abs=0.1) and found["confidence"] > 0.5
    assert len(found["red_lines"]) == 1


def test_timing_of_a_map_is_its_own_where_asked(songs):
    before = (songs / "map.osu").read_bytes()
    given = [str(songs / "map.osu"), "provider=reference", f"output={songs / 'lines.osu'}"]
    assert shell("timing", *given)[0] == 0
    written = Beatmap.read(songs / "lines.osu")
    assert [p.time for p in written.timing_points] == [1000, 9000] and not written.hit_objects
    (songs / "lines.osu").write_text("mine")
    code, out, _ = shell("timing", *given)
    assert code == 0 and "lines.osu.undo1" in out
    assert (songs / "lines.osu.undo1").read_text() == "mine"
    assert (songs / "map.osu").read_bytes() == before


def test_timing_refuses_in_one_sentence(songs):
    for words in ([], ["x.mp3", "provider=none"], [str(songs / "map.osu"), f"output={songs / 'map.osu'}"]):
        code, out, err = shell("timing", *words)
        assert code == 2 and err.startswith("mapperatorinator: ") and err.count("\n") == 1


def test_timing_says_what_it_could_not_read(songs, monkeypatch):
    (songs / "bad.osu").write_text("no map")
    monkeypatch.setattr(
        pipeline, "ears", lambda config: lambda audio, beatmap: pytest.fail("nothing to hear")
    )
    code, out, _ = shell("timing", str(songs / "bad.osu"), str(songs / "gone.osz"), "--json")
    assert code == 2 and all(r["unreadable"] for r in json.loads(out)["results"])


@pytest.mark.parametrize("confidence, code", [(0.9, 0), (0.2, 1)])
def test_timing_in_doubt_has_a_code(songs, monkeypatch, confidence, code):
    from mapperatorinator.timing.offset import ChartOffset
    from mapperatorinator.timing.providers import Estimate

    found = Estimate([TimingPoint(0, 500)], "grid", confidence), ChartOffset(0.0)
    monkeypatch.setattr(pipeline, "ears", lambda config: lambda audio, beatmap: found)
    assert shell("timing", str(songs / "song.ogg"))[0] == code


def test_doctor_as_json():
    code, out, _ = shell("doctor", "--json")
    said = json.loads(out)
    grades = {s["name"]: s["grade"] for s in said["signs"]}
    assert len(grades) == 10 and set(grades.values()) <= {"ok", "warning", "problem"}
    assert grades["embedded"] == grades["codecs"] == "ok"
    assert code == said["exit_code"] == int("problem" in grades.values())
    assert all(s["advice"] for s in said["signs"] if s["grade"] != "ok")


def test_doctor_finds_a_damaged_model(tmp_path, monkeypatch):
    folder = tmp_path / "embedded"
    shutil.copytree(doctor.asset("embedded"), folder)
    (weights,) = folder.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    monkeypatch.setattr(doctor, "asset", lambda name: folder)
    monkeypatch.setattr(doctor, "looks", lambda config: {"embedded": doctor.look_at_embedded})
    code, out, _ = shell("doctor")
    assert code == 1 and out.startswith("problem") and "-> Install" in out


def test_doctor_compares_the_hash_of_the_wheel(monkeypatch):
    monkeypatch.setattr(doctor, "recorded_hash", lambda path: "0" * 64)
    sign = doctor.look_at_embedded()
    assert sign.grade == "problem" and "000000000000 was installed" in sign.seen


def test_doctor_asks_no_network(monkeypatch):
    import socket

    def refuse(*args, **kwargs):
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert len(list(doctor.examine())) == 10


def test_doctor_reads_the_ranges_of_a_clone():
    python, requirements = doctor._wanted_in_clone(doctor.settings_file())
    assert python == ">=3.11" and any(r.startswith("torch") for r in requirements)
    assert doctor.unmet(requirements) == []


class Typed:
    "What somebody types, line by line."

    def __init__(self, *lines):
        self.lines = list(lines)
        self.prompts = []

    def __call__(self, prompt):
        self.prompts.append(prompt)
        if not self.lines:
            raise EOFError
        return self.lines.pop(0)


def test_wizard_makes_what_its_command_makes(songs, capsys):
    typed = Typed(f"'{songs / 'song.ogg'}' ", "", "4", "7", "3.5", "", "", "0:20", "1", "", "y")
    made = []
    assert wizard(WizardConfig(), made.append, Plain(typed)) == 0
    assert typed.lines == []
    (config,) = made
    assert (config.gamemode, config.keycount, config.difficulty, config.end_time) == (3, 7, 3.5, 20_000)
    assert config.export_osz
    said = capsys.readouterr().err
    command = said.partition("mapperatorinator generate ")[2].splitlines()[0]
    assert compose(GenerateConfig, shlex.split(command)) == config


def test_wizard_from_a_pipe_to_a_map(excerpt, tmp_path, monkeypatch):
    "The whole way, with the embedded model: answers come from a pipe, and an archive lies where they say."
    import sys
    import zipfile

    song = excerpt(6)
    answers = [str(song), "embedded", "standard", "1", "", "", "0:05", "1", str(tmp_path / "out"), "y"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(answers) + "\n"))
    code, said, asked = shell("wizard")
    assert code == 0 and "Make it now" in said + asked
    (archive,) = (tmp_path / "out").glob("*.osz")
    names = zipfile.ZipFile(archive).namelist()
    made = Beatmap.parse(zipfile.ZipFile(archive).read(next(n for n in names if n.endswith(".osu"))).decode())
    assert len(names) == 2 and made.hit_objects and max(o.time for o in made.hit_objects) <= 5_000
    assert sys.stdin.read() == "", "no answer was left over"


def test_wizard_says_the_bounds_and_asks_again(songs, capsys):
    song = str(songs / "song.ogg")
    typed = Typed(
        "gone.mp3", song, "v99", "v32", "osu", "40", "5", "1999", "2012", "1", "soon", "", "", "", "", "n"
    )
    assert wizard(WizardConfig(), pytest.fail, Plain(typed)) == 0 and typed.lines == []
    said = capsys.readouterr().err
    assert (
        "There is no file" in said
        and "No model 'v99'" in said
        and "above 12" in said
        and "2007" in said
        and "is no time" in said
    )


def test_wizard_leaves_politely(songs, capsys):
    assert wizard(WizardConfig(audio_path=str(songs / "song.ogg")), pytest.fail, Plain(Typed(""))) == 130
    assert "nothing was made" in capsys.readouterr().err
    assert not list(songs.glob("*.osz"))


def test_every_question_shows_its_default():
    w = Wizard(None)
    for name in ("gamemode", "keycount", "year", "start_time", "export_osz", "output_path"):
        assert w.question(name).text
    assert w.question("export_osz").default == "false" and "2007" in w.question("year").text
    assert w.question("keycount").text.startswith(SETTINGS["keycount"].help[:1].upper())


def test_commands_for_windows_survive():
    assert command_line(["title=a b"], windows=True) == 'mapperatorinator generate "title=a b"'


LINES = {
    "ge": {"generate"},
    "generate export": {"export_osz="},
    "generate gamemode=ta": {"taiko"},
    "data ": {"build"},
    "timing provider=s": {"super"},
    "completion ": None,  # the shells are bare words: keys are offered, and nothing breaks
}


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_bash_completes():
    calls = [script("bash", CONFIGS)]
    for line in LINES:
        whole = f"mapperatorinator {line}"
        calls.append(f"COMP_LINE={shlex.quote(whole)} COMP_POINT={len(whole)}; _mapperatorinator")
        calls.append('echo "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", "\n".join(calls)], capture_output=True, text=True, check=True)
    answers = done.stdout.splitlines()
    for (line, wanted), answer in zip(LINES.items(), answers, strict=True):
        assert wanted is None or set(answer.split()) == wanted, line
    assert not done.stderr


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish here")
def test_fish_completes(tmp_path):
    (tmp_path / "c.fish").write_text(script("fish", CONFIGS))
    ask = "source c.fish; complete -C 'mapperatorinator ge'; complete -C 'mapperatorinator generate gamemode=ta'"
    ask += "; complete -C 'mapperatorinator data b'"
    env = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(["fish", "-c", ask], capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.stdout.split() == ["generate", "gamemode=taiko", "build"], done.stderr


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_zsh_reads_its_script(tmp_path):
    (tmp_path / "c.zsh").write_text(script("zsh", CONFIGS))
    code = "autoload -U compinit; compinit -u -D; source ./c.zsh; print $_comps[mapperatorinator]"
    done = subprocess.run(["zsh", "-fc", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "_mapperatorinator" and not done.stderr


def test_every_setting_is_offered_in_every_shell():
    for shell_name in SHELLS:
        text = script(shell_name, CONFIGS)
        assert all(f"{f}=" in text for f in GenerateConfig.__dataclass_fields__)
    assert shell("completion", "pwsh")[1].startswith("$mapperatorinatorOffers")
    assert shell("completion", "tcsh")[0] == 2
