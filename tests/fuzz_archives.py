"""The door of archives: an .osz as strangers pack it. Names that lead elsewhere, sizes that lie, members twice, damaged bytes."""

from __future__ import annotations
import io
import random
import zipfile

from hypothesis import strategies as st

import fuzz_maps
from fuzz_foreign import flipped
from mapperatorinator.core import UserError
from mapperatorinator.osu.check import check_map
from mapperatorinator.osu.files import osz_bytes, read_osz, safe_member

NAMES = [
    "a.osu",
    "A.OSU",
    "b.osu",
    "audio.mp3",
    "AUDIO.mp3",
    "sb/bg.png",
    "sb\\bg.png",
    "../x.osu",
    "/etc/passwd",
    "C:\\x.osu",
    "C:x.osu",
    "con.osu",
    "aux",
    "a" * 300 + ".osu",
    "é.osu",
    "e\u0301.osu",
    "\u202euso.osu",
    ".osu",
    "a.osu ",
    "a.osu.",
    "a\nb.osu",
    "a:b.osu",
    "",
    ".",
    "..",
    "folder/",
    "deep/" * 60 + "a.osu",
]
PACKED = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def content(name, rng):
    "What a member holds."
    if name.lower().strip(". ").endswith("osu"):
        data = rng.choice(fuzz_maps.MAPS).encode()
        return fuzz_maps.mutated(data, rng) if rng.random() < 0.5 else data
    return rng.choice([b"", b"sound", bytes(10**6), rng.randbytes(2000)])


def packed(rng):
    "An archive of a few members."
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for _ in range(rng.randrange(1, 6)):
            name = rng.choice(NAMES)
            info = zipfile.ZipInfo(name or "x")
            info.compress_type = rng.choice([*PACKED[:2] * 4, *PACKED])
            if rng.random() < 0.1:
                info.external_attr = 0o120777 << 16  # a link
            archive.writestr(info, content(name, rng))
    return out.getvalue()


def lying(data, rng):
    "One number in the directory of the archive says something else."
    signs = [b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"]
    sign = rng.choice([s for s in signs if s in data] or [b""])
    at = data.index(sign) + 4 + rng.randrange(36)
    size = rng.choice([1, 2, 4])
    number = rng.choice([0, 1, 2**31, 2**32 - 1, rng.getrandbits(32)]) % 256**size
    return data[:at] + number.to_bytes(size, "little") + data[at + size :]


def archive_inputs(rng: random.Random) -> bytes:
    "An archive that may be damaged."
    data = packed(rng)
    match rng.randrange(4):
        case 0:
            return flipped(data, rng)
        case 1:
            return lying(data, rng)
    return data


inputs = st.integers(0, 2**60).map(lambda n: archive_inputs(random.Random(n)))


def walk(data: bytes):
    "Read it, look at its maps, and pack it again."
    archive = read_osz(data)
    members = [*archive.beatmaps, *archive.files]
    assert all(safe_member(name) == name for name in members)
    for map in archive.beatmaps.values():
        check_map(map)
        archive.find(map.audio_filename or "")
    try:
        again = read_osz(osz_bytes(archive.beatmaps.values(), archive.files))
    except UserError:
        return
    assert len(again.beatmaps) == len(archive.beatmaps) and again.files == archive.files
