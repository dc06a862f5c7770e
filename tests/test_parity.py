"""Every family of oracles is explained, here and beside this clone, and a changed number is noticed; any part of a folder is read, and odd files become rows."""

import gzip
import json
import pathlib
import shutil

import nbformat
import numpy as np
import pytest

import parity

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "nbs/explanations/parity_with_the_reference.ipynb"
DATA = ROOT / "tests/data/parity"
CARRIED = {  # family -> (cases, equal, differ by a fix, left out) of tests/data/parity
    "parse": (516, 516, 0, 0),
    "windows": (168, 168, 0, 0),
    "checkpoints": (36, 36, 0, 0),
    "generate": (553, 546, 7, 468),
    "timing": (42, 8, 34, 0),
    "postprocess": (532, 269, 263, 0),
    "diffusion": (99, 92, 7, 0),
    "maimod": (0, 0, 0, 4),
}


def told(name):
    "A table of the notebook."
    cell = next(c for c in nbformat.read(NOTEBOOK, 4).cells if f"{name} = {{" in c.source)
    exec(cell.source, space := {})
    return space[name]


def test_every_family_is_told():
    assert {*told("FAMILIES")} == {*CARRIED} == {*parity.FAMILIES} >= {f[0] for f in told("FIXES").values()}


LONG = {
    "parse",
    "generate",
    "diffusion",
}  # families whose whole oracles take minutes; the carried ones are always run


@pytest.mark.parametrize("family", parity.FAMILIES)
def test_every_case_is_equal_or_differs_by_a_fix_that_is_told(fixtures, family, capsys):
    if family in LONG and fixtures != DATA:
        pytest.skip("minutes of work; run it with -m slow")
    compare(fixtures, family, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(LONG))
def test_every_long_case_is_equal_or_differs_by_a_fix_that_is_told(fixtures, family, capsys):
    compare(fixtures, family, capsys)


def compare(fixtures, family, capsys):
    "All cases of a family against what is told of them."
    total, equal, named, wrong, _ = parity.report(family, fixtures)
    assert not wrong, wrong[:5]
    counts = total.total(), equal.total(), total.total() - equal.total() - len(wrong)
    lacking = parity.left_out(family, fixtures).total()
    fixes = told("FIXES")
    assert parity.rounded(family, fixtures) <= 31
    if fixtures == DATA:
        assert (*counts, lacking) == CARRIED[family] and {fixes[name][0] for name in named} <= {family}
    else:
        assert (
            counts == told("FAMILIES")[family]
            and not lacking
            and {k: f[-1] for k, f in fixes.items() if f[0] == family and f[-1]} == named
        )
    with capsys.disabled():
        print(
            f"\n  {family}: {counts[0]} cases, {counts[1]} equal, {counts[2]} by a fix, {len(wrong)} unexplained"
        )


# --- the oracles bite ----------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path):
    "A copy of the carried oracles that may be changed; of these parts only."

    def copy(*parts):
        for part in parts:
            source = DATA / part
            if source.is_dir():
                shutil.copytree(source, tmp_path / part, dirs_exist_ok=True)
            else:
                (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, tmp_path / part)
        return tmp_path

    return copy


def change(path, how):
    "Change what a JSON file holds."
    d = parity.read_json(path)
    how(d)
    path.write_bytes(gzip.compress(json.dumps(d).encode()))


def change_arrays(path, **how):
    "Change arrays of an npz."
    z = dict(np.load(path))
    np.savez(path, **z | {k: f(z[k]) for k, f in how.items()})


def add_to(values, at=-1):
    values[at] += 1


TOY = "oracles/parse/standard_everything.json.gz", "oracles/parse/osu/standard_everything.osu.gz"
CHANGES = {
    "parse": (
        TOY,
        lambda f: change(f / TOY[0], lambda d: add_to(d["configs"]["v31"]["map"]["value"], 40)),
        {("v31", "map"), ("v31", "map ids")},
    ),
    "parse ids": (
        TOY,
        lambda f: change(f / TOY[0], lambda d: add_to(d["configs"]["v31"]["timing"]["ids"])),
        {("v31", "timing ids")},
    ),
    "windows": (
        ["oracles/windows/taiko_hits_and_rolls.json.gz", "oracles/parse/osu"],
        lambda f: change(
            f / "oracles/windows/taiko_hits_and_rolls.json.gz",
            lambda d: add_to(d["inference"][0]["prompt_ids"]),
        ),
        {("v28", "inference")},
    ),
    "checkpoints": (
        ["checkpoints/v30"],
        lambda f: change_arrays(
            f / "checkpoints/v30/io.npz", logits=lambda x: x + 2e-4 * (np.arange(len(x)) == 5)
        ),
        {("v30", "logits")},
    ),
    "checkpoints tokens": (
        ["checkpoints/v32"],
        lambda f: change_arrays(
            f / "checkpoints/v32/io.npz", beam2=lambda x: x + (np.arange(x.shape[1]) == 22)
        ),
        {("v32", "beam search, 2 beams")},
    ),
    "generate": (
        ["oracles/generate"],
        lambda f: change(
            f / "oracles/generate/runs/v30_std.json.gz", lambda d: add_to(d["calls"][3]["prompt"][0])
        ),
        {("v30", "prompt")},
    ),
    "timing": (
        ["postprocess_timing_oracles.json.gz"],
        lambda f: change(
            f / "postprocess_timing_oracles.json.gz", lambda d: add_to(d["super_timing"][0]["out"][5], 1)
        ),
        {("-", "beats of votes")},
    ),
    "postprocess": (
        ["postprocess_timing_oracles.json.gz"],
        lambda f: change(
            f / "postprocess_timing_oracles.json.gz",
            lambda d: d["resnap"][0].update(out=d["resnap"][0]["out"] + 7),
        ),
        {("-", "resnap")},
    ),
    "diffusion": (
        ["oracles/diffusion/dit_io.npz"],
        lambda f: change_arrays(
            f / "oracles/diffusion/dit_io.npz", trace_sample=lambda x: x + 4e-4 * (np.arange(48) == 3)
        ),
        {("v2", "trace sample")},
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_one_changed_number_is_noticed(copy, what):
    parts, alter, want = CHANGES[what]
    alter(folder := copy(*parts))
    *_, wrong, _ = parity.report(what.split()[0], folder)
    assert {row[1:] for row in wrong} == want


def test_what_an_old_map_says_24_ms_later_is_explained_by_that_alone(copy):
    "A toy map that calls itself format 4; with one note moved by a millisecond more it is wrong."
    oracle, toy = (
        "oracles/parse/standard_old_short_lines.json.gz",
        "oracles/parse/osu/standard_old_short_lines.osu.gz",
    )
    path = (folder := copy(oracle, toy)) / toy
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"format v6", b"format v4")))
    total, equal, named, wrong, _ = parity.report("parse", folder)
    assert (
        named == {"old maps are 24 ms late": total.total() - equal.total()}
        and named.total() > 20
        and not wrong
    )
    change(folder / oracle, lambda d: add_to(d["configs"]["v28"]["map"]["time"], 40))
    rows = [row[1:] for row in parity.cases("parse", folder)]
    assert ("v28", "map", False) in rows and ("v28", "timing", "old maps are 24 ms late") in rows


# --- any folder ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", parity.FAMILIES)
def test_a_family_that_is_not_there_says_so(tmp_path, family, capsys):
    assert parity.main(family, tmp_path) == 0
    said = capsys.readouterr().out
    assert f"holds nothing of the {family} family" in said and json.loads(said.splitlines()[-1])["cases"] == 0


def test_no_folder_is_a_sentence(tmp_path):
    with pytest.raises(SystemExit, match="There is no folder"):
        parity.main("parse", tmp_path / "none")
    with pytest.raises(SystemExit, match="No family 'pars'"):
        parity.main("pars", tmp_path)


def test_an_oracle_without_its_map_is_left_out_and_said(copy, capsys):
    folder = copy(*TOY, "oracles/parse/taiko_plain.json.gz", "oracles/windows/catch_fruits.json.gz")
    assert parity.main("parse", folder) == 0 and "1 × the map of an oracle" in capsys.readouterr().out
    assert parity.main("windows", folder) == 0 and "1 × the maps of windows" in capsys.readouterr().out


def test_a_renamed_clip_is_found_by_its_length(copy, tmp_path):
    import soundfile
    from parity.generate import clip_of

    home = tmp_path
    clip = {"name": "clip7.wav", "secs": 2.5}
    assert clip_of(home, clip) is None
    for name, seconds in (("short.wav", 1.0), ("other.flac", 2.5)):
        soundfile.write(home / name, np.zeros(int(seconds * 16000)), 16000)
    assert clip_of(home, clip).name == "other.flac"
    soundfile.write(home / "clip7.wav", np.zeros(16000), 16000)
    assert clip_of(home, clip).name == "clip7.wav"


ODD = [
    ("parse", TOY[0], lambda d: d.update(configs={"v99": {}})),
    ("parse", TOY[0], lambda d: d["configs"]["v28"]["map"].pop("time")),
    ("parse", TOY[0], lambda d: d["configs"]["v28"]["map"]["value"].pop()),
    ("parse", TOY[0], lambda d: d.update(configs=[])),
    ("windows", "oracles/windows/mania_7_keys.json.gz", lambda d: d.pop("settings")),
    ("windows", "oracles/windows/mania_7_keys.json.gz", lambda d: d.update(map=3)),
    ("generate", "oracles/generate/runs/v30_std.json.gz", lambda d: d["calls"].clear()),
    ("generate", "oracles/generate/runs/v30_std.json.gz", lambda d: d.pop("clip")),
    (
        "generate",
        "oracles/generate/runs/v30_std.json.gz",
        lambda d: d["processor_generate"][0].update(out_context=["nonsense"]),
    ),
    (
        "timing",
        "postprocess_timing_oracles.json.gz",
        lambda d: d["generate_timing"][0].update(markers=[["Q", 0]]),
    ),
    (
        "postprocess",
        "postprocess_timing_oracles.json.gz",
        lambda d: d["convert"][0]["events"].append(["NOTHING", 0]),
    ),
    ("postprocess", "postprocess_timing_oracles.json.gz", lambda d: d["slider_path"][0].update(points=[])),
    ("diffusion", "oracles/diffusion/pipeline.json.gz", lambda d: d["runs"][0].pop("seq_x")),
    (
        "diffusion",
        "oracles/diffusion/pipeline.json.gz",
        lambda d: d["runs"][0]["events_in"]["value"].append(1),
    ),
]


@pytest.mark.parametrize("family,file,how", ODD)
def test_an_odd_file_is_a_row_and_no_traceback(copy, family, file, how, capsys):
    folder = copy(
        file, *([] if family in ("timing", "postprocess") else ["oracles/parse/osu", "oracles/generate"])
    )
    if family in ("timing", "postprocess"):
        change(folder / file, lambda d: d.update({k: v[:2] for k, v in d.items()}))
    if family == "diffusion":
        change(folder / file, lambda d: d.update(runs=d["runs"][:1]))
    if family == "generate":
        change(
            folder / file,
            lambda d: [p.unlink() for p in (folder / file).parent.iterdir() if p != folder / file],
        )
    change(folder / file, how)
    parity.main(family, folder)
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["unexplained"] + said["left_out"] >= 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no gzip",
        gzip.compress(b"{", mtime=0),
        gzip.compress(b"[1]", mtime=0),
        gzip.compress(b"{}", mtime=0)[:-9],
    ],
)
@pytest.mark.parametrize(
    "family,file",
    [
        ("parse", TOY[0]),
        ("windows", "oracles/windows/x.json.gz"),
        ("generate", "oracles/generate/runs/x.json.gz"),
    ],
)
def test_a_damaged_file_is_a_row(copy, family, file, data):
    folder = copy(TOY[1])
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(data)
    rows = parity.rows(family, folder)
    assert len(rows) == 1 and rows[0][2].startswith("unreadable") and rows[0][3] is False


def test_a_stream_whose_places_are_no_pairs_is_compared(copy):
    "The stream was cut between an x and its y: every place word is compared, and a wrong one is found."
    folder = copy("oracles/diffusion/pipeline.json.gz")
    path = "oracles/diffusion/pipeline.json.gz"
    change(
        folder / path, lambda d: d.update(runs=[r for r in d["runs"] if r["name"] == "cut_through_a_place"])
    )
    (run,) = parity.read_json(folder / path)["runs"]
    types = parity.read_json(folder / path)["types"]
    words = [types[t] for t in run["events_in"]["type"]]
    assert words.count("pos_x") == words.count("pos_y") + 1
    assert not parity.report("diffusion", folder)[3]
    change(
        folder / path,
        lambda d: (
            add_to(
                d["runs"][0]["events_out"]["value"],
                [types[t] for t in run["events_out"]["type"]].index("pos_x"),
            )
            or add_to(
                d["runs"][0]["events_out"]["value"],
                [types[t] for t in run["events_out"]["type"]].index("pos_x"),
            )
        ),
    )
    parity.rows.cache_clear()
    parity.report.cache_clear()
    assert [row[2] for row in parity.report("diffusion", folder)[3]] == ["positions"]


# --- ends on the border of two cells -----------------------------------------------------------------------------------------

ARC = "P", ((48, 68), (80, 60), (116, 64)), 70.0  # ends at (116, 64) but for the last bits
MAP = "osu file format v14\n\n[General]\nMode: 0\n\n[TimingPoints]\n0,500,4,2,0,70,1,0\n\n[HitObjects]\n48,68,1000,2,0,P|80:60|116:64,1,70\n300,200,3000,1,0,0:0:0:0:\n"


@pytest.mark.parametrize("version", ["v28", "v30", "v31", "v32"])
def test_an_end_on_a_border_may_fall_to_either_side_and_nothing_else_may(version):
    from mapperatorinator.osu.beatmap import Beatmap
    from mapperatorinator.parse import Parser
    from parity import language as L

    b = Beatmap.parse(MAP)
    c = L.language(version)
    speak = lambda: Parser(c).map_events(b)

    def oracle(end):
        with L.ends_at({ARC: end}):
            return L.ours(speak())

    found = lambda want: L.equal_ends(speak, want, b, c)[1]
    assert found(oracle((116.0, 64.0))) in (True, parity.ROUNDED) and {
        found(want)
        for x in (-1, 1)
        for y in (-1, 1)
        if (want := oracle((np.nextafter(116, x * np.inf), np.nextafter(64, y * np.inf)))) != L.ours(speak())
    } <= {parity.ROUNDED}
    beyond = oracle((115.9, 63.9))
    assert found(beyond) == (
        True if beyond == L.ours(speak()) else parity.ROUNDED
    )  # the same cells as a last bit below
    assert found(oracle((111.0, 64.0))) is False or version == "v28"
    kind, value, time = beyond[-2]
    assert found([*beyond[:-2], (kind, value + 1, time), beyond[-1]]) is False
