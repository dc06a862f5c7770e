"What all tests share: where the repository is, and the corpus beside it when there is one."
import os
from pathlib import Path

import pytest

import mapperatorinator # first: it lets torchaudio be imported, which some tests compare with
from hypothesis import settings

settings.register_profile("the same everywhere", derandomize=True) # new luck is for `make fuzz`
settings.load_profile("the same everywhere")

os.environ.setdefault("MPLBACKEND", "agg")

@pytest.fixture(scope="session")
def repo():
    "Root of the repository."
    return Path(__file__).resolve().parent.parent

@pytest.fixture(scope="session")
def make():
    "The pipeline with the embedded model."
    from mapperatorinator.pipeline import File2File
    return File2File("embedded", device="cpu")

@pytest.fixture(scope="session")
def excerpt(tmp_path_factory):
    "Writes some seconds of the demo song, from where the drums come in."
    import soundfile
    from mapperatorinator.audio import load_audio
    from mapperatorinator.core import demo_song
    def excerpt(seconds, name="clip.wav"):
        path = tmp_path_factory.mktemp("excerpt")/name
        soundfile.write(path, load_audio(demo_song())[8*16000:(8 + seconds)*16000], 16000)
        return path
    return excerpt

@pytest.fixture(scope="session")
def shared(repo):
    "The corpus and measured fixtures beside the repository; tests that need it are skipped where it is absent."
    if not (repo.parent/"shared"/"README.md").is_file(): pytest.skip("no ../shared beside this clone")
    return repo.parent/"shared"
