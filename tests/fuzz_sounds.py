"""The door of songs: every container and codec, damaged as downloads, disks, tools and strangers damage them.

An input is the suffix of a file name, a line end, and what the file holds. `walk` writes the file and listens to it."""

from __future__ import annotations
import random
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

import sounds
from fuzz_foreign import flipped
from mapperatorinator.audio import load_audio, read_tags

KINDS = ["wav", "flac", "ogg", "mp3", "opus", "m4a", "aac", "wma", "mkv", "mp2"]
DAMAGE = ["overwritten", "zeroed", "inserted", "removed", "cut", "junk before", "single bits"]
RATES = [8000, 22050, 44100, 48000]
LONGEST = 60  # s; the songs here last 2 s, and no damage makes hours of them
SAID = [0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]  # numbers in a header


@cache
def song(kind, rate, stereo):
    "A short song as bytes."
    rate = 44100 if kind in ("wma", "mkv", "m4a", "aac", "mp2") else rate
    samples = sounds.bursts(2.0, rate)
    if stereo:
        samples = np.stack([samples, -0.8 * samples], axis=1)
    return sounds.encoded(kind, samples, rate)


def misled(data, rng):
    "A header that says something else: one of its numbers, in the first bytes."
    at = rng.randrange(min(len(data), 400))
    size = rng.choice([1, 2, 4])
    number = rng.choice([*SAID, rng.getrandbits(32)]) % 256**size
    return data[:at] + number.to_bytes(size, rng.choice(["little", "big"])) + data[at + size :]


def shuffled(data, rng):
    "Pieces in another order, or twice: what a broken download makes of a file."
    size = rng.choice([512, 2048, 8192])
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    i = rng.randrange(len(pieces))
    j = rng.randrange(len(pieces))
    pieces[i] = pieces[j] * rng.choice([1, 1, 3])
    return b"".join(pieces)


def spoilt(data, rng):
    "The file after one accident."
    match rng.randrange(6):
        case 0 | 1:
            kind = rng.choice(DAMAGE)
            size = rng.choice([10, 300, 3000])
            return sounds.damage(data, kind, size, rng.random(), rng.randrange(2**31))
        case 2:
            return flipped(data, rng)
        case 3:
            return shuffled(data, rng)
        case _:
            return misled(data, rng)


def sound_inputs(rng: random.Random) -> bytes:
    "A song that something happened to, once or more; now and then under the name of another kind."
    kind = rng.choice(KINDS)
    data = song(kind, rng.choice(RATES), rng.random() < 0.5)
    for _ in range(rng.choice([1, 1, 2, 4])):
        data = spoilt(data, rng) or b"\0"
    if rng.random() < 0.1:
        data += song(rng.choice(KINDS), 44100, False)
    name = rng.choice(KINDS) if rng.random() < 0.1 else kind
    return f"{name}\n".encode() + data


inputs = st.integers(0, 2**60).map(lambda n: sound_inputs(random.Random(n)))


def walk(data: bytes):
    "Listen to it, and read its tags."
    suffix, _, content = data.partition(b"\n")
    name = suffix.decode("ascii", "replace")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"song.{name if name in KINDS else 'mp3'}"
        path.write_bytes(content)
        tags = read_tags(path)
        assert tags["title"].isprintable() and tags["artist"].isprintable()
        notes = []
        samples = load_audio(path, notes=notes)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert np.isfinite(samples).all() and np.abs(samples).max() <= 1
    assert len(samples) <= LONGEST * 16000, f"{len(samples) / 16000:.0f} s were made of 2 s"
    assert all(note.isprintable() for note in notes)
