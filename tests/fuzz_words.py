"""The door of settings: what people type behind a command, one word a line, the command first."""

from __future__ import annotations
import contextlib
import io
import random

from hypothesis import strategies as st

from mapperatorinator.cli import COMMANDS, config_of
from mapperatorinator.config import check_settings, known_settings, preset_names

VALUES = [
    "0", "-1", "1", "2.5", "1e400", "-1e400", "nan", "inf", "1e308", "9" * 400, "1_000", "٣", "0x10", "true", "null", "None", "",
    " ", "'", '"', "'5'", '"5.5"', "[]", "[1,2]", "[[", "{}", "{a: 1}", "{a: [1, {b: 2}]}", "1:30", "01:02:345", "-1:00",
    "99999999:00", "standard", "std", "taiko", "3", "5", "cpu", "cuda:9", "embedded", "v32", "../x", "/dev/null", "http://x/y.mp3",
    "${oc.env:HOME}", "${a}", "!!python/object:os.system x", "&a [*a]", "a=b", "a,b", "é", "\x1b[2J", "\ud800", "~", "-", "--", "x" * 5000,
    "2026-11-28", "1:2:3:4", "@", "%", "#", "# x", "!", "a: b", "- a",
]  # fmt: skip
FORMS = [
    "{key}={value}",
    "--{key}={value}",
    "--{key} {value}",
    "{key} = {value}",
    "+{key}={value}",
    "{key}:{value}",
    "{key}",
    "{value}",
]


def misspelt(key, rng):
    "The name of a setting, as fingers slip."
    at = rng.randrange(len(key) + 1)
    letter = rng.choice(["", "x", "_", "-", " ", key[:1].upper(), "."])
    return key[:at] + letter + key[at + rng.choice([0, 1]) :]


def word_inputs(rng: random.Random) -> bytes:
    "A command and its words."
    name = rng.choice(sorted(COMMANDS))
    settings = known_settings(COMMANDS[name].config)
    words = []
    for _ in range(rng.randrange(1, 5)):
        key = rng.choice(sorted(settings))
        key = misspelt(key, rng) if rng.random() < 0.2 else key
        default = str(settings[key].default) if key in settings and rng.random() < 0.2 else None
        words.append(rng.choice(FORMS[:1] * 9 + FORMS).format(key=key, value=default or rng.choice(VALUES)))
    if rng.random() < 0.1:
        words.append(f"preset={rng.choice([*preset_names(), *VALUES])}")
    return "\n".join([name, *words]).encode("utf-8", "surrogatepass")


inputs = st.integers(0, 2**60).map(lambda n: word_inputs(random.Random(n)))


def walk(data: bytes):
    "Understand the words as the command line does; what is wrong is said before anything runs."
    name, *words = data.decode("utf-8", "surrogatepass").split("\n")
    if name not in COMMANDS:
        return
    with contextlib.redirect_stderr(io.StringIO()):  # what was corrected is told there
        check_settings(config_of(COMMANDS[name], words))
