"The command line from outside: help without torch, one-sentence errors, exit codes, Ctrl-C, encodings."

import os
import signal
import subprocess
import sys
import time
import pytest
from mapperatorinator.config import GenerateConfig, TrainConfig, settings_table

FAKE = """
import sys, types, time
from pathlib import Path
from types import SimpleNamespace as NS
from mapperatorinator.core import UserError, atomic_path, write_atomic
def generate_map(config, progress=None):
    if not config.audio_path: raise UserError("audio_path is empty; give the path of a song.")
    for i in range(config.top_k or 3):
        if progress(NS(stage="map", done=i + 1, total=config.top_k or 3, tokens_per_second=100.)): raise KeyboardInterrupt
        if config.top_k: time.sleep(.05)
    if config.tags == "slow": # a file is being written when the signal comes
        with atomic_path(Path(config.output_path)/"song.osu") as tmp:
            sys.stderr.write("writing\\n"); sys.stderr.flush(); time.sleep(30)
    path = write_atomic(Path(config.output_path)/"song.osu", "osu file format v14\\n")
    return NS(path=path, beatmap=None, mel=None, png=None, report=dict(bpm=180., seed=7, objects=3, title="夜 – ω", path=str(path)))
m = types.ModuleType("mapperatorinator.pipeline"); m.generate_map = generate_map
sys.modules["mapperatorinator.pipeline"] = m
from mapperatorinator.cli import main
sys.exit(main())
"""


def cli(*args, fake=False, **env):
    "Run the command line in a process of its own."
    code = FAKE if fake else "import sys; from mapperatorinator.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, **env},
        timeout=600,
    )


@pytest.mark.parametrize(
    "args", [["--help"], ["generate", "--help"], ["train", "--help"], ["generate", "difculty=3"], ["config"]]
)
def test_help_and_refusals_load_nothing_heavy(args):
    heavy = ("torch", "transformers", "matplotlib", "numpy", "librosa", "ipywidgets")
    code = (
        f"import sys; from mapperatorinator.cli import main; main({args!r}); loaded = [m for m in {heavy} if m in sys.modules]; "
        "sys.exit(', '.join(loaded) if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no account of a child's processor time there")
def test_help_is_quick():
    import resource

    used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    before = used()
    cli("generate", "--help")
    assert used() - before < 0.6, "processor seconds: a second on the clock wherever a core is free"


@pytest.mark.parametrize("command, cls", [("generate", GenerateConfig), ("train", TrainConfig)])
def test_help_names_every_setting_with_default_and_help(command, cls):
    done = cli(command, "--help", COLUMNS="200")
    assert done.returncode == 0 and not done.stderr
    for s in settings_table(cls):
        assert f"  {s.name}" in done.stdout and s.help in done.stdout, s.name


@pytest.mark.parametrize(
    "args, says",
    [
        (["generat"], "did you mean 'generate'?"),
        (["difficulty=5"], "mapperatorinator generate difficulty=5"),
        (
            ["xyzzy"],
            "generate, app, wizard, check, provenance, mod, preview, timing, plan, doctor, data build, train",
        ),
        (["generate", "dificulty=5"], "did you mean 'difficulty'?"),
        (["generate", "seed=abc"], "seed=abc"),
        (["generate", "song.mp3"], "key=value"),
        (["generate", "preset=none_such"], "Unknown preset"),
        (["train", "model.dmodel=3"], "model.d_model"),
        (["generate", "seed={a"], "seed={a"),
        (["generate", "bpm=[120,fast]"], "bpm=[120,fast]"),
        (["config", "train", "stepz=3"], "'steps'"),
    ],
)
def test_mistakes_are_one_sentence_and_code_2(args, says):
    done = cli(*args)
    assert (
        (done.returncode, done.stdout) == (2, "") and says in done.stderr and done.stderr.count("\n") == 1
    ), done.stderr


def test_several_mistakes_are_a_line_each():
    done = cli("generate", "dificulty=5", "seed=x\ny", "temperature=inf", "timing=waltz", "bpm=120")
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (2, "", 5) and all(
        line.startswith("mapperatorinator: ") for line in lines
    )
    assert "seed=x\\ny is no number" in done.stderr and "bpm and offset go together" in lines[-1]


SAID = {  # how it may be typed, and what it means
    "generate": [
        (["--difficulty", "5.5"], "difficulty: 5.5"),
        (["--difficulty=5.5"], "difficulty: 5.5"),
        (["-difficulty=5.5"], "difficulty: 5.5"),
        (["difficulty", "=", "5.5"], "difficulty: 5.5"),
        (["difficulty=", "5.5"], "difficulty: 5.5"),
        (["difficulty", "=5.5"], "difficulty: 5.5"),
        (["--export-osz"], "export_osz: true"),
        (["--export_osz", "seed=3"], "export_osz: true"),
        (["--no-hitsounded"], "hitsounded: false"),
        (["--hitsounded", "no"], "hitsounded: false"),
        (["export-osz=true"], "export_osz: true"),
        (["title='My", "Song'"], "title: My Song"),
        (["bpm=[120,", "180]", "offset=0"], "bpm:\n- 120.0\n- 180.0"),
        (['output_path=C:\\maps" seed=3'], "seed: 3"),
        (["preset='v32'"], "model: v32"),
        (["-cn", "v32"], "model: v32"),
        (["--config-name=V32"], "model: v32"),
        (["cfg_scale=2"], "guidance: 2.0"),
        (["start_time=00:12:345 (3,4) -"], "start_time: 12345"),
        (["descriptors=['jump aim','clean']"], "- jump aim\n- clean"),
    ]
}


@pytest.mark.parametrize(
    "words, says", SAID["generate"], ids=[" ".join(words) for words, _ in SAID["generate"]]
)
def test_words_as_shells_and_hands_have_them(words, says, capsys):
    from mapperatorinator.cli import main

    assert main(["config", "generate", *words]) == 0
    out = capsys.readouterr()
    assert says in out.out and not out.err


@pytest.mark.parametrize(
    "words, says",
    [
        (["--seed"], "--seed"),
        (["title=My", "Song"], "quotes"),
        (["song.mp3"], "audio_path=song.mp3"),
        (["export_osz"], "export_osz=true"),
        (["--nonsense", "3"], "nonsense"),
        (["title='80s", "Mix"], "'Mix'"),
        (["x.osu"], "beatmap_path=x.osu"),
        (["="], "key=value"),
        (["--"], "key=value"),
        (["bpm=[120,"], "bpm="),
    ],
)
def test_words_that_are_left_over_are_refused(words, says, capsys):
    from mapperatorinator.cli import main

    assert main(["config", "generate", *words]) == 2
    out = capsys.readouterr()
    assert says in out.err and out.err.count("\n") == 1 and not out.out


def test_notes_go_beside_the_result(capsys):
    from mapperatorinator.cli import main

    assert main(["config", "generate", "use_server=true"]) == 0
    out = capsys.readouterr()
    assert (
        out.err.startswith("mapperatorinator: use_server changes nothing here")
        and out.err.count("\n") == 1
        and "use_server" not in out.out
    )


@pytest.mark.parametrize("word", ["-h", "--help", "/?", "help"])
def test_help_is_asked_for_in_many_ways(word, capsys):
    from mapperatorinator.cli import main

    assert main(["generate", word]) == 0 and "(0 to 12 stars)" in capsys.readouterr().out
    assert main([word]) == 0 and main(["Train-Refine", word]) == 0


def test_error_of_the_pipeline_is_code_2():
    done = cli("generate", fake=True)
    assert (
        done.returncode == 2
        and done.stderr.strip().endswith("give the path of a song.")
        and "Traceback" not in done.stderr
    )


def test_report_to_stdout_and_progress_to_stderr(tmp_path):
    done = cli("generate", "audio_path=song.mp3", f"output_path={tmp_path}", fake=True)
    assert done.returncode == 0, done.stderr
    assert "180" in done.stdout and str(tmp_path) in done.stdout.splitlines()[-1] and "%" not in done.stdout
    assert "100%" in done.stderr and "tokens/s" in done.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_letters_survive_a_console_that_lacks_them(tmp_path, encoding):
    done = cli(
        "generate", "audio_path=夜.mp3", f"output_path={tmp_path}", fake=True, PYTHONIOENCODING=encoding
    )
    assert done.returncode == 0 and "夜 – ω" in done.stdout, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another signal there")
def test_ctrl_c_is_130_and_leaves_nothing(tmp_path, heard):
    run = subprocess.Popen(
        [sys.executable, "-c", FAKE, "generate", "audio_path=a.mp3", f"output_path={tmp_path}", "top_k=400"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    time.sleep(1.5)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=20)
    assert run.returncode == 130 and not out and b"interrupted" in err and b"Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("name, code", [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_signal_to_end_leaves_nothing(tmp_path, heard, name, code):
    "As docker stop, a cluster whose time is up or a closed terminal send it, in the middle of a write."
    run = subprocess.Popen(
        [sys.executable, "-c", FAKE, "generate", "audio_path=a.mp3", f"output_path={tmp_path}", "tags=slow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while b"writing" not in run.stderr.readline():
        pass
    assert len(list(tmp_path.iterdir())) == 1
    run.send_signal(getattr(signal, name))
    out, err = run.communicate(timeout=20)
    assert run.returncode == code and not out and b"no half-written file" in err and b"Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no nohup there")
def test_nohup_is_left_alone():
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\nfrom mapperatorinator.cli import stoppable\n"
        "with stoppable(): inside = signal.getsignal(signal.SIGHUP), signal.getsignal(signal.SIGTERM)\n"
        "assert inside[0] is signal.SIG_IGN and callable(inside[1]) and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


def shell(line, fake=False):
    "A command line through a shell; MAP stands for the program."
    program = (
        f"import sys; sys.argv[0] = 'x'; exec({FAKE!r})"
        if fake
        else "import sys; from mapperatorinator.cli import main; sys.exit(main())"
    )
    return subprocess.run(
        line.replace("MAP", '"$PROGRAM" -c "$CODE"'),
        shell=True,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PROGRAM": sys.executable, "CODE": program},
    )


@full
@pytest.mark.parametrize("where", ["> /dev/full", ">&-"])
def test_a_stdout_that_takes_nothing_is_one_sentence(where):
    for command in ("MAP --help", "MAP generate --help", "MAP config"):
        done = shell(f"{command} {where}")
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and "standard output" in done.stderr, (
            done.stderr
        )


@full
@pytest.mark.parametrize(
    "where, code",
    [
        ("> /dev/full", 2),
        (">&-", 2),
        ("2> /dev/full", 0),
        ("2>&-", 0),
        ("2>&1 > /dev/full", 2),
        ("> /dev/full 2>&1", 2),
        ("2>&- >&-", 2),
    ],
)
def test_the_map_is_written_though_nobody_can_be_told(tmp_path, where, code):
    done = shell(f"MAP generate audio_path=a.mp3 output_path={tmp_path} {where}", fake=True)
    assert done.returncode == code and "Traceback" not in done.stderr and (tmp_path / "song.osu").exists(), (
        done.stderr
    )
    if where in ("> /dev/full", ">&-"):
        assert str(tmp_path / "song.osu") in done.stderr.splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="a working folder cannot be deleted there")
def test_a_working_folder_that_is_gone_is_one_sentence(tmp_path):
    done = shell(
        f"mkdir {tmp_path}/gone && cd {tmp_path}/gone && rmdir {tmp_path}/gone && MAP generate audio_path=song.mp3"
    )
    assert (
        done.returncode == 2
        and "The working folder no longer exists" in done.stderr
        and "Traceback" not in done.stderr
    )


@pytest.mark.parametrize(
    "args",
    [
        ["gene\nrate"],
        ["generate", "x\ny=1"],
        ["generate", "audio_path=a\n\x1b[2Jb.mp3"],
        ["generate", "beatmap_path=a\nb.osu"],
        ["generate", "seed=\n"],
        ["generate", "preset=a\nb"],
        ["y" * 5000],
        ["generate", f"audio_path={'y' * 5000}"],
        ["generate", f"output_path={'y' * 5000}", "audio_path=a.mp3"],
    ],
)
def test_whatever_is_typed_the_answer_is_one_line_without_codes(args, capsys):
    from mapperatorinator.cli import main

    code = main(args)
    said = capsys.readouterr()
    assert (code, said.out) == (2, "") and said.err.count("\n") == 1 and "\x1b" not in said.err, said.err


def test_settings_with_signs_that_cannot_be_seen_come_back():
    import yaml

    done = cli("config", "title=left\u200e\u202eright\x1b\u2028", "artist=夜")
    assert (
        "\u202e" not in done.stdout
        and yaml.safe_load(done.stdout)["title"] == "left\u200e\u202eright\x1b\u2028"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell pipe")
def test_a_reader_that_leaves_is_no_error():
    done = subprocess.run(
        f"\"{sys.executable}\" -c \"from mapperatorinator.cli import main; main(['generate', '--help'])\" | head -1",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("mapperatorinator generate") and not done.stderr


def test_config_dump_is_yaml_that_comes_back():
    import yaml
    from mapperatorinator.config import compose, from_dict

    said = ["difficulty=5.5", "descriptors=[a,b]", "title=Re: [1] #2", "bpm=[120,180]", "offset=1000"]
    done = cli("config", "generate", *said)
    assert from_dict(GenerateConfig, yaml.safe_load(done.stdout)) == compose(GenerateConfig, said)
    assert from_dict(TrainConfig, yaml.safe_load(cli("config", "train").stdout)) == TrainConfig()


def test_python_runs_the_package():
    run = lambda *args: subprocess.run(
        [sys.executable, "-m", "mapperatorinator", *args], capture_output=True, text=True, timeout=600
    )
    for args in (["--help"], ["config", "difficulty=5.5"], ["generate", "dificulty=5"]):
        same = cli(*args)
        done = run(*args)
        assert (done.returncode, done.stdout, done.stderr) == (same.returncode, same.stdout, same.stderr)


def test_console_script_points_here():
    from importlib.metadata import entry_points

    found = [e for e in entry_points(group="console_scripts") if e.name == "mapperatorinator"]
    if not found:
        pytest.skip("not installed with its scripts")
    assert found[0].value == "mapperatorinator.cli:main"


def test_a_map_of_the_demo_song(excerpt, tmp_path):
    "The whole way, with tries for the stars: the same seed gives the same bytes, and the map parses."
    pytest.importorskip("mapperatorinator.pipeline")
    from mapperatorinator.osu.beatmap import Beatmap

    song = excerpt(6)
    maps = []
    for name in "ab":
        done = cli(
            "generate",
            f"audio_path={song}",
            f"output_path={tmp_path / name}",
            "seed=3",
            "difficulty=3",
            "plot=true",
        )
        assert done.returncode == 0, done.stderr
        maps.append(next((tmp_path / name).glob("*.osu")))
        assert [p.suffix for p in sorted((tmp_path / name).iterdir()) if p.suffix == ".png"] == [".png"]
    assert maps[0].read_bytes() == maps[1].read_bytes() and Beatmap.read(maps[0]).hit_objects
