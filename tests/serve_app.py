"The web app for tests/test_app.py: a song with seed 1 is made slowly, by nobody; all others by the embedded model."

import sys
import time
from pathlib import Path
from types import SimpleNamespace

from mapperatorinator.app import run_app
from mapperatorinator.config import AppConfig
from mapperatorinator.core import Cancelled, Progress


def make(config, progress):
    "A map; with seed 1 the file `go` in the state's folder ends the waiting."
    from mapperatorinator.pipeline import generate_map

    if config.seed != 1:
        return generate_map(config, progress)
    go = Path(config.output_path).parents[2] / "go"
    for i in range(6000):
        if progress(Progress("map", min(i, 90), 100, 50.0)):
            raise Cancelled
        if go.exists():
            break
        time.sleep(0.02)
    return SimpleNamespace(path=None, report={}, beatmap=None)


if __name__ == "__main__":
    run_app(AppConfig(token="secret", open_browser=False, port=int(sys.argv[1]), state=sys.argv[2]), make)
