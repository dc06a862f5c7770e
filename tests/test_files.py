"Names, places and archives: what strangers and unlucky users make of them, and that no file of anybody is lost."

import errno
import io
import os
import random
import struct
import subprocess
import sys
import textwrap
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from mapperatorinator import core
from mapperatorinator.config import GenerateConfig
from mapperatorinator.core import (
    TEMPORARY,
    UserError,
    one_line,
    quoted,
    rewrite,
    shown,
    undo_copies,
    unseen,
    user_path,
    write_new,
)
from mapperatorinator.osu import files
from mapperatorinator.osu.beatmap import Beatmap, BeatmapError, Circle, TimingPoint
from mapperatorinator.osu.files import (
    NAME_BYTES,
    distinct,
    file_name,
    find_file,
    map_name,
    name_key,
    osz_bytes,
    read_osz,
    romanised,
    safe_member,
    safe_name,
)
from mapperatorinator.remap import remap_file
from mapperatorinator.request import prepare, spread

SONG = """osu file format v14

[General]
AudioFilename: song.mp3

[Metadata]
Title:Small Steps
Artist:Nobody
Creator:The Notebook
Version:Normal

[TimingPoints]
0,500,4,1,0,60,1,0

[HitObjects]
64,64,500,5,0,0:0:0:0:
"""

fixed = settings(max_examples=120, deadline=None, derandomize=True)

# ---- sentences


@given(st.text(max_size=40))
@fixed
def test_what_is_shown_is_one_line_that_moves_no_cursor(text):
    assert not any(unseen(c) for c in shown(text)) and not any(
        unseen(c) for c in str(UserError(f"'{text}' is wrong"))
    )
    assert quoted(text).startswith("'") and len(quoted(text * 99)) < 260


def test_any_script_stays_as_it_is():
    for text in ("夜の港", "Björk – Jóga", "سلام", "👨‍👩‍👧", "می‌خواهم", "C:\\maps\\a.osu"):
        assert shown(text) == text


@given(st.text(max_size=40))
@fixed
def test_a_field_of_one_line_is_read_back_as_it_was_written(text):
    b = Beatmap.new(
        title=text, creator=text, version=text, audio_filename="song.mp3", timing_points=[TimingPoint(0, 500)]
    )
    again = Beatmap.parse(b.to_bytes())
    assert (again.title, again.creator, again.version) == (one_line(text),) * 3
    assert len(again.timing_points) == 1 and not again.hit_objects and not again.warnings


@pytest.mark.parametrize(
    "field", ["title", "artist", "creator", "version", "source", "tags", "audio_filename", "title_unicode"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x0b", "\x85", "\u2028"])
def test_no_field_brings_a_line_of_its_own(field, end):
    b = Beatmap.new(**{field: f"a{end}[TimingPoints]{end}0,1,4,2,0,100,1,0{end}[HitObjects]{end}1,1,1,1,0"})
    again = Beatmap.parse(b.to_text())
    assert (
        not again.timing_points
        and not again.hit_objects
        and getattr(again, field).startswith("a [TimingPoints] 0,1")
    )


def test_no_line_put_in_by_hand_becomes_two():
    b = Beatmap.new(hit_objects=[Circle(1, 1, 1, sample="0:0:0:0:x\n[Events]\nSprite")])
    b.metadata["Source"], b.colours["Combo1"] = "a\n[Events]\nSprite", "1,2,3\r\n[Events]"
    b.events.append("Sample,0,0\n[TimingPoints]\n0,1")
    again = Beatmap.parse(b.to_text())
    assert not again.timing_points and len(again.events) == len(b.events) and len(again.hit_objects) == 1


@pytest.mark.parametrize(
    "text",
    [
        '"><script>alert(1)</script>',
        "<img src=x onerror=alert(1)>",
        "![x](http://x)",
        "`a`",
        "*a* _b_",
        "$x$",
        "a|b",
        "\\(x\\)",
        "a\n| b |",
    ],
)
def test_a_title_is_text_in_a_notebook_and_nothing_else(text):
    table = Beatmap.new(title=text, artist=text, creator=text, version=text)._repr_markdown_().splitlines()
    assert len(table) == 9 and all(line.count("|") == 3 for line in table)
    assert not any(set('<>[]`*_$\\"') & set(line) for line in table[2:])


# ---- paths


@pytest.mark.parametrize(
    "typed",
    [
        "~nobody_is_called_so/x.mp3",
        "y" * 5000,
        "y" * 300 + ".osu",
        "a\0b",
        "lone\ud800.mp3",
        "a/" * 4000 + "x",
    ],
)
def test_what_is_no_path_is_one_sentence(typed):
    for read in (
        user_path,
        Beatmap.read,
        read_osz,
        lambda p: core.write_atomic(p, "x"),
        lambda p: write_new(p, "x"),
        lambda p: rewrite(p, lambda: "x"),
        lambda p: prepare(GenerateConfig(audio_path=p)),
        lambda p: prepare(GenerateConfig(beatmap_path=f"{p}.osu")),
    ):
        with pytest.raises(UserError) as e:
            read(typed)
        assert len(str(e.value)) < 400


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_that_lead_to_themselves_are_one_sentence(tmp_path):
    (tmp_path / "loop.osu").symlink_to("loop.osu")
    for path in (tmp_path / "loop.osu", tmp_path / "loop.osu" / "x.osu"):
        for read in (
            user_path,
            Beatmap.read,
            lambda p: core.write_atomic(p, "x"),
            lambda p: write_new(p, "x"),
        ):
            with pytest.raises(UserError, match="is no path"):
                read(path)


def test_a_file_called_like_a_home_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("~draft.osu").write_text(SONG)
    assert Beatmap.read("~draft.osu").title == "Small Steps"


# ---- names

NASTY = st.text(st.sampled_from('aB. \\/:*?"<>|\n\t\x00\x1b,éß夜𝓵😀\u0301\u202e\udce9()[]~'), max_size=90)


@given(NASTY | st.text(max_size=300))
@fixed
def test_every_name_is_one_that_every_system_takes(text):
    name = safe_name(text)
    assert 0 < len(name.encode("utf-8")) <= NAME_BYTES and safe_name(name) == name
    assert not set(name) & set('<>:"/\\|?*') and not any(unseen(c) for c in name) and name == name.strip(" .")
    assert name.split(".")[0].strip().upper() not in {
        "CON",
        "PRN",
        "AUX",
        "NUL",
        *(f"{d}{i}" for d in ("COM", "LPT") for i in range(10)),
    }


@pytest.mark.parametrize(
    "name",
    ["CON", "con.osu", "Aux.mp3", "nul", "PRN.txt.osu", "com1", "LPT9.png", "COM¹.ogg", "CONIN$", "con .osu"],
)
def test_devices_of_windows_are_no_names(name):
    assert safe_name(name) == "_" + name


@given(
    NASTY,
    NASTY,
    NASTY,
    st.lists(
        st.sampled_from(["Easy", "Hard", "4K Lv.1", "夜", "x" * 120]), min_size=2, max_size=4, unique=True
    ),
)
@fixed
def test_difficulties_are_told_apart_however_long_the_title(artist, title, creator, versions):
    names = [map_name(artist * 9, title * 9, creator * 3, v) for v in versions]
    assert len({name_key(n) for n in names}) == len(names)
    assert all(
        n.endswith(f"[{v}].osu") and len(n.encode("utf-8")) <= NAME_BYTES for n, v in zip(names, versions)
    )


def test_a_difficulty_too_long_for_a_name_is_refused_before_anything_is_made(song):
    for version in ("x" * 300, "😀" * 80):
        with pytest.raises(UserError, match="too long for the name of a file"):
            prepare(replace(song, version=version, difficulties=[1.0, 2.0]))


@fixed
@given(
    st.lists(
        st.sampled_from(
            ["a.osu", "A.OSU", "e\u0301.mp3", "é.mp3", "É.mp3", "b/a.osu", "a (2).osu", "ß", "SS"]
        ),
        max_size=30,
    )
)
def test_names_side_by_side_are_names_apart(names):
    out = distinct(names)
    assert len(out) == len(names) == len({name_key(n) for n in out})


@pytest.mark.parametrize(
    "text, said",
    [
        ("𝓵𝓸𝓵", "lol"),
        ("Sigur Rós", "Sigur Ros"),
        ("Łódź", "Lodz"),
        ("Đen Vâu", "Den Vau"),
        ("ŒUVRE", "OEUVRE"),
        ("Ｒｅ：", "Re:"),
        ("…", "..."),
        ("‘it’s’", "'it's'"),
        ("夜の港で", ""),
        ("夜 remix", "remix"),
        ("!!!", "!!!"),
        ("Мумий", ""),
        ("🎵", ""),
        ("東京 (Tokyo)", "(Tokyo)"),
    ],
)
def test_titles_in_latin_letters(text, said):
    assert romanised(text) == said


@given(st.text(max_size=60))
@fixed
def test_what_is_romanised_is_ascii_in_one_line(text):
    assert romanised(text).isascii() and one_line(romanised(text)) == romanised(text)


# ---- the files that a map names


@pytest.fixture
def mapset(tmp_path):
    (tmp_path / "maps" / "Music").mkdir(parents=True)
    for name in ("Avalon no Oka.ogg", "Music/Song.MP3", "e\u0301.png", "a,b.jpg"):
        (tmp_path / "maps" / name).write_bytes(name.encode())
    (tmp_path / "secret.mp3").write_bytes(b"no business of the map")
    return tmp_path / "maps"


@pytest.mark.parametrize(
    "name, found",
    [
        ("avalon no oka.OGG", "Avalon no Oka.ogg"),
        ("music\\song.mp3", "Music/Song.MP3"),
        ("MUSIC/./SONG.mp3", "Music/Song.MP3"),
        (".\\Music\\\\Song.MP3", "Music/Song.MP3"),
        ("É.PNG", "e\u0301.png"),
        ("a,b.jpg", "a,b.jpg"),
    ],
)
def test_files_are_found_as_the_game_finds_them(mapset, name, found):
    assert find_file(mapset, name) == mapset / found


@pytest.mark.parametrize(
    "name",
    [
        "../secret.mp3",
        "..\\secret.mp3",
        "Music/../../secret.mp3",
        "/etc/passwd",
        "\\\\server\\x.mp3",
        "C:\\x.mp3",
        "C:x.mp3",
        "~/x.mp3",
        "",
        ".",
        "Music",
        "a\0b",
        "x" * 5000,
        "none.mp3",
        "Avalon no Oka.ogg/x",
    ],
)
def test_nothing_outside_the_folder_is_found(mapset, name):
    assert find_file(mapset, name) is None


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_not_utf8_is_found_by_the_letter_that_is_missing(mapset):
    (mapset / "caf\udce9.wav").write_bytes(b"")
    assert (
        find_file(
            mapset,
            Beatmap.parse(b"osu file format v14\n[General]\nAudioFilename: caf\xe9.wav\n").audio_filename,
        )
        == mapset / "caf\udce9.wav"
    )


# ---- archives


def packed(*members, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with (
        pytest.warns() if len({n for n, _ in members}) < len(members) else open(os.devnull),
        zipfile.ZipFile(out, "w", method) as z,
    ):
        for name, data in members:
            z.writestr(name, data)
    return out.getvalue()


def test_archives_have_limits():
    with pytest.raises(BeatmapError, match="files; the limit"):
        read_osz(packed(*((f"{i}", "") for i in range(11))), max_files=10)
    with pytest.raises(BeatmapError, match="unpacks to"):
        read_osz(packed(("bomb.osu", bytes(10**7))), max_bytes=10**6)
    with pytest.raises(BeatmapError, match="not an .osz"):
        read_osz(b"not a zip")
    broken = bytearray(packed(("a.osu", SONG)))
    broken[40:60] = b"\xff" * 20
    assert not read_osz(bytes(broken)).beatmaps and read_osz(bytes(broken)).refused


@fixed
@given(st.text(max_size=30))
def test_member_names_stay_inside(name):
    safe = safe_member(name)
    if safe is not None:
        assert Path(os.path.normpath(Path("/root/folder") / safe)).is_relative_to("/root/folder")


def test_members_of_one_name_are_all_there():
    read = read_osz(
        packed(
            ("a/b.mp3", "1"),
            (r"a\b.mp3", "2"),
            ("./a/b.mp3", "3"),
            ("A/B.MP3", "4"),
            ("a/b.mp3", "5"),
            ("x.osu", SONG),
            ("X.osu", SONG),
        )
    )
    assert (
        sorted(read.files.values()) == [b"1", b"2", b"3", b"4", b"5"]
        and len(read.beatmaps) == 2
        and not read.refused
    )
    assert len({name_key(n) for n in [*read.files, *read.beatmaps]}) == 7 and read.find(r"A\b.mp3") == b"1"


@pytest.mark.parametrize(
    "name", ["CON.osu", "aux", "a\nb.osu", "x" * 60_000, "a?.mp3", "b. ", "Re: song.mp3"]
)
def test_members_get_names_that_every_system_takes(name):
    safe = safe_member(name)
    assert safe != name and all(safe_name(part) == part for part in safe.split("/"))
    read = read_osz(packed((name, SONG)))
    assert [*read.files, *read.beatmaps] == [safe]


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/../../x",
        "/x",
        "\\x",
        "\\\\s\\x",
        "C:/x",
        "c:x",
        "~/x",
        "~root/x",
        "...",
        "",
        "a/" * 3000 + "x",
        "a/.../b",
    ],
)
def test_members_that_lead_out_are_refused(name):
    assert safe_member(name) is None
    if name:
        assert list(read_osz(packed((name, SONG))).refused) == [name]


def lying(size, says, name=b"x.mp3"):
    "An archive whose member says that it is smaller than it is."
    import zlib

    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b"".join(pack.compress(bytes(1 << 20)) for _ in range(size >> 20)) + pack.flush()
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 0, 0, len(data), says, len(name), 0) + name
    entry = (
        struct.pack(
            "<IHHHHHHIIIHHHHHII",
            0x02014B50,
            20,
            20,
            0,
            8,
            0,
            0,
            0,
            len(data),
            says,
            len(name),
            0,
            0,
            0,
            0,
            0,
            0,
        )
        + name
    )
    return (
        local
        + data
        + entry
        + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(entry), len(local) + len(data), 0)
    )


def test_an_archive_that_lies_about_its_size_is_left_in_time():
    import tracemalloc

    bomb = lying(100 << 20, 1000)
    tracemalloc.start()
    read = read_osz(bomb)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(read.refused) == ["x.mp3"] and most < 8 << 20


def test_an_archive_may_grow_by_its_own_size_only(monkeypatch):
    monkeypatch.setattr(files, "SLACK", 2**20)
    with pytest.raises(BeatmapError, match="unpacks to"):
        read_osz(packed(("zeros.wav", bytes(2 << 20))))
    with pytest.raises(BeatmapError, match="unpacks to"):
        read_osz(packed(*((f"{i}.osu", bytes(1 << 18)) for i in range(8))))
    assert len(read_osz(packed(("zeros.wav", bytes(1 << 20)))).files["zeros.wav"]) == 1 << 20
    assert (
        len(
            read_osz(
                packed(("zeros.wav", bytes(2 << 20)), ("song.mp3", random.Random(0).randbytes(1 << 18)))
            ).files
        )
        == 2
    )


def test_one_budget_for_all_maps(monkeypatch):
    monkeypatch.setattr(files, "MAPS_LIMIT", 2 * len(SONG) + 10)
    read = read_osz(packed(("1.osu", SONG), ("2.osu", SONG), ("3.osu", SONG), ("art.png", bytes(5000))))
    assert (list(read.beatmaps), list(read.refused), list(read.files)) == (
        ["1.osu", "2.osu"],
        ["3.osu"],
        ["art.png"],
    )


def damage(archive, rng):
    "The archive with a few bytes changed, lost or doubled."
    data = bytearray(archive)
    for _ in range(rng.choice((1, 2, 4, 16))):
        i = rng.randrange(len(data))
        kind = rng.randrange(4)
        if kind == 0:
            data[i] = rng.choice((0, 255, rng.randrange(256)))
        elif kind == 1:
            data[i : i + 4] = struct.pack(
                "<I", rng.choice((0, 2**31 - 1, 2**31, 2**32 - 1, rng.randrange(2**32)))
            )
        elif kind == 2 and len(data) > 60:
            del data[i : i + rng.randrange(1, 30)]
        else:
            data[i : i + 2] = struct.pack("<H", rng.choice((0, 1, 8, 12, 14, 0x800, 0xFFFF)))
    return bytes(data)


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_damaged_archives_are_refused_and_raise_nothing_else(method):
    rng = random.Random(method)
    whole = packed(("a.osu", SONG), ("é/b.mp3", "la" * 200), ("c/", ""), method=method)
    ends = set()
    for _ in range(700):
        try:
            ends.add("read" if not read_osz(damage(whole, rng)).refused else "refused")
        except BeatmapError:
            ends.add("no archive")
    assert ends >= {"refused", "no archive"}


ODD = {
    "an offset beyond the archive": lambda z: z[:-6] + struct.pack("<I", 2**31) + z[-2:],
    "a version of the future": lambda z: z.replace(b"PK\1\2\x14\3\x14", b"PK\1\2\x14\3\xff"),
    "an empty name": lambda z: z.replace(struct.pack("<H", 5) + b"\0\0\0\0", b"\0\0\0\0\0\0"),
    "encrypted": lambda z: z.replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1"),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_archives_are_sentences(kind):
    odd = ODD[kind](whole := packed(("a.osu", SONG)))
    assert odd != whole and read_osz(whole).beatmaps
    try:
        assert not read_osz(odd).beatmaps
    except BeatmapError as e:
        assert "\n" not in str(e)


def test_archives_that_are_no_files_are_sentences(tmp_path):
    for path in (tmp_path, tmp_path / "none.osz", "y" * 5000):
        with pytest.raises(UserError):
            read_osz(path)
    (tmp_path / "big.osz").write_bytes(bytes(2000))
    with pytest.raises(BeatmapError, match="larger than"):
        read_osz(tmp_path / "big.osz", max_bytes=1000)


def test_what_would_be_lost_in_an_archive_is_refused():
    b = Beatmap.parse(SONG)
    other = Beatmap.parse(SONG.replace("Normal", "normal"))
    for maps, names in (
        ([b, b], ["a.mp3"]),
        ([b, other], []),
        ([b], ["a.mp3", "A.mp3"]),
        ([b], [file_name(b)]),
        ([b], ["Re: a.mp3"]),
        ([b], ["../a.mp3"]),
    ):
        with pytest.raises(UserError):
            osz_bytes(maps, {n: b"" for n in names})


def test_bytes_that_are_not_utf8_go_into_an_archive_as_they_are():
    text = SONG.encode().replace(b"Small", b"Sm\xe9ll")
    read = zipfile.ZipFile(io.BytesIO(osz_bytes([Beatmap.parse(text)], {})))
    assert read.read(read.namelist()[0]) == text


def test_no_temporary_folder_is_needed(monkeypatch, tmp_path):
    import tempfile

    monkeypatch.setattr(tempfile, "mkdtemp", lambda *a, **k: pytest.fail("no room there"))
    files.write_osz(tmp_path / "a.osz", [Beatmap.parse(SONG)], {"song.mp3": b"la"})
    assert read_osz(tmp_path / "a.osz").files == {"song.mp3": b"la"}


# ---- nobody's file is lost


def at_once(*writers):
    "Run functions in threads that begin together."
    gate = threading.Barrier(len(writers))
    failed = []

    def begin(write):
        gate.wait()
        try:
            write()
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=begin, args=(w,)) for w in writers]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed, failed


@pytest.fixture(params=["links", "no links"])
def links(request, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no hard links here")

    if request.param == "no links":
        monkeypatch.setattr(os, "link", refuse)


def test_writers_at_once_lose_nothing(tmp_path, links):
    for n in range(20):
        at_once(*(lambda i=i: write_new(tmp_path / f"{n}" / "map.osu", f"map {i}") for i in range(4)))
        assert sorted(p.read_text() for p in (tmp_path / f"{n}").iterdir()) == [f"map {i}" for i in range(4)]


def test_the_same_map_twice_is_one_file(tmp_path):
    first = write_new(tmp_path / "map.osu", "one")
    second = write_new(tmp_path / "map.osu", "two")
    assert [write_new(tmp_path / "map.osu", text) for text in ("one", "two")] == [
        first,
        second,
    ] and second.name == "map (2).osu"


def test_replacing_keeps_every_step_of_everybody(tmp_path, links):
    path = tmp_path / "count [a].osu"
    path.write_text("0")
    at_once(*[lambda: [rewrite(path, lambda: str(int(path.read_text()) + 1)) for _ in range(4)]] * 4)
    assert path.read_text() == "16" and [p.read_text() for p in undo_copies(path)] == [
        str(i) for i in range(16)
    ]
    assert len(list(tmp_path.iterdir())) == 17


def test_processes_at_once_lose_nothing(tmp_path):
    code = """
        import sys, time, pathlib
        from mapperatorinator.core import rewrite, write_new
        folder, me = pathlib.Path(sys.argv[1]), sys.argv[2]
        (folder/f"ready {me}").touch()
        while len(list(folder.glob("ready *"))) < 2: time.sleep(.001)
        for i in range(15):
            write_new(folder/"maps"/"map.osu", f"{me} {i}")
            rewrite(folder/"maps"/"log.osu", lambda: ((folder/"maps"/"log.osu").read_text() if (folder/"maps"/"log.osu").exists() else "") + f"{me} {i}\\n")"""
    (tmp_path / "maps").mkdir()
    for p in [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(tmp_path), me]) for me in "ab"
    ]:
        assert p.wait(timeout=600) == 0
    everything = sorted(f"{me} {i}" for me in "ab" for i in range(15))
    assert sorted(p.read_text() for p in (tmp_path / "maps").glob("map*.osu")) == everything
    assert (
        sorted((tmp_path / "maps" / "log.osu").read_text().splitlines()) == everything
        and len(undo_copies(tmp_path / "maps" / "log.osu")) == 29
    )


def test_two_remaps_at_once_are_both_in_the_file_and_both_can_be_undone(tmp_path):
    path = tmp_path / "m.osu"
    original = SONG + "".join(f"64,64,{t},1,0,0:0:0:0:\n" for t in range(1000, 9000, 500))
    path.write_text(original)
    new = lambda x: Beatmap.new(
        timing_points=[TimingPoint(0, 500)], hit_objects=[Circle(x, 100, t) for t in range(1000, 9000, 250)]
    )
    at_once(lambda: remap_file(path, new(111), 1000, 3000), lambda: remap_file(path, new(222), 5000, 7000))
    xs = {o.x for o in Beatmap.read(path).hit_objects}
    copies = [p.read_text() for p in undo_copies(path)]
    assert xs >= {64, 111, 222} and len(set(copies)) == 2 and original in copies


def test_a_system_without_locks_still_writes(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for text in "ab":
        rewrite(tmp_path / "a.osu", lambda: text)
    assert [p.read_text() for p in undo_copies(tmp_path / "a.osu")] == ["a"]


def test_what_is_unfinished_says_whose_it_is(tmp_path):
    with pytest.raises(KeyboardInterrupt), core.atomic_path(tmp_path / "a.osu") as tmp:
        assert tmp.name.startswith(TEMPORARY) and tmp.exists()
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


# ---- what is settled before the model runs


@pytest.fixture
def song(tmp_path):
    import numpy as np, soundfile

    soundfile.write(tmp_path / "song.wav", np.zeros(16000), 16000)
    return GenerateConfig(audio_path=str(tmp_path / "song.wav"))


@pytest.fixture
def reference(tmp_path):
    path = tmp_path / "ref.osu"
    path.write_text(
        SONG.replace("song.mp3", "SONG.WAV").replace(
            "[TimingPoints]", '[Events]\n0,0,"BG\\Art.png",0,0\n\n[TimingPoints]'
        )
    )
    return GenerateConfig(beatmap_path=str(path), add_to_beatmap=True)


def ways_to(path):
    "Other names for the same file."
    link = path.with_name(f"link{path.suffix}")
    hard = path.with_name(f"hard{path.suffix}")
    os.link(path, hard)
    if os.name != "nt":
        link.symlink_to(path)
    return [p for p in (path, hard, link, path.parent / "." / path.name) if p.exists()]


@pytest.mark.parametrize(
    "setting", ["audio_path", "beatmap_path", "background", "model", "lora_path", "refiner"]
)
def test_what_a_map_is_made_from_is_never_the_output(tmp_path, song, reference, setting):
    given = tmp_path / "given.osu"
    given.write_bytes(
        Path(song.audio_path).read_bytes()
        if setting == "audio_path"
        else Path(reference.beatmap_path).read_bytes()
    )
    if setting == "background":
        pytest.importorskip("PIL.Image").new("RGB", (200, 200)).save(given, "PNG")
    for way in ways_to(given):
        with pytest.raises(UserError, match=f"the file of {setting}"):
            prepare(replace(song, **{setting: str(given)}, output_path=str(way)))


def test_the_way_to_change_the_reference_map_itself_is_told(song, reference):
    with pytest.raises(UserError, match="overwrite_reference_beatmap=true"):
        prepare(replace(reference, output_path=reference.beatmap_path))


REFUSED = {
    "a folder": lambda p: p.mkdir(),
    "protected": lambda p: (p.write_text("mine"), p.chmod(0o400)),
    "a pipe": lambda p: os.mkfifo(p),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_place_that_cannot_be_written_is_refused_first(tmp_path, song, kind, monkeypatch):
    if kind == "a pipe" and os.name == "nt":
        pytest.skip("no such files")
    if kind == "protected":
        monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write everywhere
    REFUSED[kind](tmp_path / "out.osu")
    with pytest.raises(UserError):
        prepare(replace(song, output_path=str(tmp_path / "out.osu")))


def test_the_song_of_a_reference_is_found_in_any_case_and_its_picture_comes_along(tmp_path, reference, song):
    (tmp_path / "bg").mkdir()
    (tmp_path / "bg" / "art.PNG").write_bytes(b"art")
    job = prepare(replace(reference, export_osz=True, output_path=str(tmp_path / "out")))
    assert job.audio == tmp_path / "song.wav" and list(job.files) == ["song.ogg", "BG/Art.png"]
    assert job.files["BG/Art.png"] == tmp_path / "bg" / "art.PNG" and job.files["song.ogg"].path == job.audio
    assert (
        job.destination.path.name == "Nobody - Small Steps (The Notebook) [Normal].osz"
        and not job.destination.named
    )


def test_the_spelling_of_a_reference_is_kept(tmp_path, reference, song):
    Path(reference.beatmap_path).write_text(
        SONG.replace("song.mp3", "song.wav").replace(
            "Artist:", "TitleUnicode:小さな歩み\nArtistUnicode:誰か\nArtist:"
        )
    )
    said = prepare(replace(reference, add_to_beatmap=False)).metadata
    assert [said[k] for k in ("title", "title_unicode", "artist", "artist_unicode")] == [
        "Small Steps",
        "小さな歩み",
        "Nobody",
        "誰か",
    ]


@pytest.mark.parametrize("name", ["so\nng.wav", "caf\udce9.wav", " song.wav", "a\\b.wav"])
def test_a_song_whose_name_no_map_can_hold_is_refused_or_packed_under_another(tmp_path, song, name):
    if sys.platform != "linux":
        pytest.skip("no such names")
    path = tmp_path / name
    path.write_bytes(Path(song.audio_path).read_bytes())
    with pytest.raises(UserError, match="export_osz=true"):
        prepare(replace(song, audio_path=str(path)))
    job = prepare(replace(song, audio_path=str(path), export_osz=True))
    assert list(job.files) == [job.metadata["audio_filename"]] == [safe_name(name.replace(".wav", ".ogg"))]


def test_a_picture_is_called_after_what_it_is(tmp_path, song):
    image = pytest.importorskip("PIL.Image").new("RGB", (200, 200), "red")
    image.save(tmp_path / "SONG.wav", "PNG")
    job = prepare(replace(song, background=str(tmp_path / "SONG.wav"), export_osz=True))
    assert (
        list(job.files)
        == [job.metadata["audio_filename"], job.metadata["background"]]
        == ["song.ogg", "SONG.png"]
    )


@pytest.mark.parametrize("difficulties", [[2.0, 2.0000001], [2.0, 2.1], [1.11111, 1.11112, 1.11113]])
def test_difficulties_of_a_spread_have_names_of_their_own(difficulties):
    for version in (None, "Mine", "a/b"):
        names = [c.version for c in spread(GenerateConfig(difficulties=difficulties, version=version))]
        assert len({map_name("a", "b", "c", n) for n in names}) == len(names)
