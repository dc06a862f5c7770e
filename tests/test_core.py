"What the ground floor promises across processes: quick imports, a torchaudio that loads, and nothing half-written."

import os
import signal
import subprocess
import sys
import textwrap
import time
from importlib.util import find_spec

import pytest


def python(code, **kwargs):
    "Output of a Python program."
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, **kwargs
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_is_light():
    code = "import sys, mapperatorinator.config, mapperatorinator.core; print(sorted({'torch', 'numpy', 'matplotlib'} & set(sys.modules)))"
    assert python(code) == "[]"


def test_torchaudio_and_transformers_load():
    if find_spec("torchaudio") is None:
        pytest.skip("no torchaudio here")
    assert (
        python("""
        import mapperatorinator, torch, torchaudio
        mel = torchaudio.transforms.MelSpectrogram(16000, n_fft=1024, hop_length=128, n_mels=80)(torch.ones(1, 16000))
        from transformers import WhisperModel
        print(tuple(mel.shape), WhisperModel.__name__)""")
        == "(1, 80, 126) WhisperModel"
    )


@pytest.mark.parametrize(
    "audio, torch, mended",
    [
        ("2.11.0+cu130", "'13.0'", False),
        ("2.11.0+cu130", "None", True),
        ("2.11.0+cu130", "'12.8'", True),
        ("2.11.0+cpu", "None", False),
        ("2.11.0", "None", False),
        (None, "None", False),
    ],
)
def test_torchaudio_is_mended_only_where_it_is_broken(tmp_path, audio, torch, mended):
    def fake(name, text):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "version.py").write_text(text)

    fake(
        "torch",
        f"from typing import Optional\n__version__ = '2.13.0'\ncuda: Optional[str] = {torch}\nhip: Optional[str] = None\n",
    )
    fake("torchaudio", f"__version__ = '{audio}'\n")
    if audio is None:
        (tmp_path / "torchaudio/version.py").unlink()
    code = (
        "import sys, mapperatorinator; print('torchaudio._extension' in sys.modules, 'torch' in sys.modules)"
    )
    assert python(code, env=os.environ | {"PYTHONPATH": str(tmp_path)}) == f"{mended} False"


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_interrupt_leaves_nothing(tmp_path):
    code = """
        import sys, time
        from mapperatorinator.core import atomic_path
        with atomic_path(sys.argv[1]) as tmp:
            tmp.write_text("half a map")
            print("writing", flush=True)
            time.sleep(30)"""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "map.osu")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout.readline() == b"writing\n"
    assert len(list(tmp_path.iterdir())) == 1
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=10)
    assert child.returncode != 0 and list(tmp_path.iterdir()) == []


def test_readers_never_see_half_a_file(tmp_path):
    from mapperatorinator.core import write_atomic

    path = tmp_path / "map.osu"
    old = b"a" * 200_000
    new = b"b" * 300_000
    write_atomic(path, old)
    code = f"""
        import itertools, pathlib
        from mapperatorinator.core import write_atomic
        for i, data in zip(range(40), itertools.cycle([{new[:1]!r}*300_000, {old[:1]!r}*200_000])): write_atomic({str(path)!r}, data)"""
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    seen = set()
    while child.poll() is None:
        seen.add(path.read_bytes())
        time.sleep(0.001)
    assert child.returncode == 0 and seen <= {old, new} and len(list(tmp_path.iterdir())) == 1


def test_replaced_files_keep_their_mode_and_links(tmp_path):
    from mapperatorinator.core import write_atomic

    (tmp_path / "map.osu").write_text("old")
    (tmp_path / "map.osu").chmod(0o640)
    if os.name != "nt":
        (tmp_path / "link.osu").symlink_to("map.osu")
        write_atomic(tmp_path / "link.osu", "new")
        assert (tmp_path / "link.osu").is_symlink() and (tmp_path / "map.osu").stat().st_mode & 0o777 == 0o640
    else:
        write_atomic(tmp_path / "map.osu", "new")
    assert (tmp_path / "map.osu").read_text() == "new"


@pytest.mark.skipif(os.name == "nt", reason="no device files")
def test_devices_are_not_overwritten():
    from mapperatorinator.core import UserError, write_atomic

    with pytest.raises(UserError, match="not a file"):
        write_atomic(os.devnull, "x")
