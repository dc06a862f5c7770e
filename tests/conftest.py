"What all tests share: where the repository is, and the corpus beside it when there is one."
import os
from pathlib import Path

import pytest

import mapperatorinator # first: it lets torchaudio be imported, which some tests compare with

os.environ.setdefault("MPLBACKEND", "agg")

@pytest.fixture(scope="session")
def repo():
    "Root of the repository."
    return Path(__file__).resolve().parent.parent

@pytest.fixture(scope="session")
def shared(repo):
    "The corpus and measured fixtures beside the repository; tests that need it are skipped where it is absent."
    if not (repo.parent/"shared"/"README.md").is_file(): pytest.skip("no ../shared beside this clone")
    return repo.parent/"shared"
