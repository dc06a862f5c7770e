"What all tests share: where the repository is, oracles and maps that are carried here, and those beside the repository when there are any."

import os
import signal
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from parity.checkpoints import complete
from corpus.toys import toy_corpus

settings.register_profile("the same everywhere", derandomize=True)  # new luck is for `make fuzz`
settings.load_profile("the same everywhere")

os.environ.setdefault("MPLBACKEND", "agg")
os.environ["MAPPERATORINATOR_STATE"] = tempfile.mkdtemp(
    prefix="state-"
)  # the history of whoever runs the tests is theirs


LONGEST = """app colab pipeline bulk options cli fuzz parity ui preview check doors train team hub lora bench language
    song benchmark engine maimod generate docs""".split()  # files that take longest, in this order


def pytest_collection_modifyitems(items):
    "What takes longest comes first: two workers that take a file at a time then end together."
    places = {f"test_{name}": i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="session")
def repo():
    "Root of the repository."
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def make():
    "The pipeline with the embedded model, in exact numbers, so that it is the same on every machine."
    from mapperatorinator.pipeline import File2File

    return File2File("embedded", device="cpu", precision="fp32")


@pytest.fixture
def heard():
    "Ctrl-C is heard by what is started, also where the tests run in the background of a shell, which ignores it there."
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def excerpt(tmp_path_factory):
    "Writes some seconds of the demo song, from where the drums come in."
    import soundfile
    from mapperatorinator.audio import load_audio
    from mapperatorinator.core import demo_song

    def excerpt(seconds, name="clip.wav"):
        path = tmp_path_factory.mktemp("excerpt") / name
        soundfile.write(path, load_audio(demo_song())[8 * 16000 : (8 + seconds) * 16000], 16000)
        return path

    return excerpt


SHARED = Path(__file__).resolve().parents[2] / "shared"
beside = lambda what: [
    "carried",
    *(["shared"] if (SHARED / what).is_dir() else []),
]  # what is carried here, and what lies beside this clone


@pytest.fixture(scope="session", params=beside("fixtures"))
def fixtures(request):
    "A folder of oracles: the small ones of tests/data, and all of them where ../shared is."
    return Path(__file__).parent / "data" / "parity" if request.param == "carried" else SHARED / "fixtures"


@pytest.fixture(scope="session", params=beside("data"))
def corpus(request, tmp_path_factory):
    "A folder of maps: toy maps, and those of people where ../shared is."
    return toy_corpus(tmp_path_factory.mktemp("corpus")) if request.param == "carried" else SHARED / "data"


@pytest.fixture(scope="session")
def published(fixtures, tmp_path_factory):
    "The folder of a small published model: weights that are not carried are made by their rule."

    def folder(version):
        source = fixtures / "checkpoints" / version
        return (
            source
            if (source / "model.safetensors").is_file()
            else complete(source, tmp_path_factory.mktemp("published") / version)
        )

    return cache(folder)


@pytest.fixture(scope="session")
def shared():
    "The corpus and measured fixtures beside the repository; tests that need it are skipped where it is absent."
    if not (SHARED / "README.md").is_file():
        pytest.skip("no ../shared beside this clone")
    return SHARED
