"MaiMod: the sums behind a score, what a map's words become, and what is done with the list."

import csv
import html.parser
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from tiny import tiny_bundle

from mapperatorinator.cli import main
from mapperatorinator.config import LanguageConfig, ModConfig, check_settings, compose
from mapperatorinator.core import UserError, asset
from mapperatorinator.engine import Engine
from mapperatorinator.events import EventType as E
from mapperatorinator.events import read_events
from mapperatorinator.maimod.planted import (
    KINDS,
    Outcome,
    bins_of,
    by_ratio,
    plant_fault,
    recall,
)
from mapperatorinator.maimod.report import Looked, SetModder, as_csv, as_document, as_html, exit_code, mod
from mapperatorinator.maimod.suggest import (
    SIGNS,
    Doubt,
    Judge,
    Modded,
    Reader,
    Sheet,
    Suggestion,
    explain,
    folded,
    link_numbers,
    link_of,
    shortlist,
    value_text,
    worth_saying,
)
from mapperatorinator.maimod.surprise import (
    Decider,
    Heard,
    Line,
    MapText,
    lines_of,
    ratio,
    read_line,
    score_map,
)
from mapperatorinator.model.hub import load_bundle
from mapperatorinator.osu.beatmap import Beatmap, Circle, Hold, Spinner
from mapperatorinator.osu.findings import clock
from mapperatorinator.synth.damage import moved, with_objects
from mapperatorinator.synth.songs import compose_song

ENGINES = {}


def language(name="embedded", **changes):
    return compose(LanguageConfig, preset=name, **changes)


def made_song(seconds=14):
    "A song with its map by rule."
    song = compose_song(33, seconds, bpm=150)
    beatmap = song.map(3.0)
    beatmap.audio_filename = "song.wav"
    return song, beatmap


@pytest.fixture(scope="module")
def engine():
    return Engine(load_bundle())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    "A set of two difficulties; one note of the first is half a beat off, and the name of the other is hostile."
    place = tmp_path_factory.mktemp("set")
    song, first = made_song()
    soundfile.write(place / "song.wav", song.samples, song.sample_rate)
    first.version = "First"
    slip = next(o for o in first.hit_objects if isinstance(o, Circle) and o.time > 7000 and room(first, o))
    first = with_objects(first, [moved(o, o.time + 100) if o is slip else o for o in first.hit_objects])
    first.write(place / "first.osu")
    second = Beatmap.parse(first.to_bytes())
    second.version = "</td><script>alert(1)</script>"
    second.metadata["Title"] = "=cmd|' /C calc'!A0<img src=x onerror=alert(1)>"
    second.hit_objects = second.hit_objects[:12]
    second.write(place / "second.osu")
    return SimpleNamespace(place=place, slip=slip.time + 100)


def room(beatmap, o):
    "Whether nothing stands near an object."
    others = [x for x in beatmap.hit_objects if x is not o]
    return all(abs(x.time - o.time) > 190 and not x.time < o.time < beatmap.end_time(x) + 50 for x in others)


@pytest.fixture(scope="module")
def looked(folder):
    "What is said of the set."
    return SetModder(ModConfig())(folder.place)


# --- sums


def stub(rows, ids, name="embedded", mode=0):
    "Scores of fixed logits."
    decide = Decider(tiny_bundle(language(name)).tokenizer, language(name), mode)
    n = len(ids)
    line = Line(0, np.array(ids), np.arange(n), np.zeros(n, int), np.arange(n), np.arange(n))
    return read_line(line, torch.as_tensor(rows), decide), decide


def test_a_ratio_is_surprisal_over_entropy():
    tokenizer = tiny_bundle(language()).tokenizer
    ids = [tokenizer.id(E.SNAPPING, 4), tokenizer.id(E.CIRCLE)]
    logits = torch.randn(2, tokenizer.vocab_out, generator=torch.Generator().manual_seed(0))
    scores, _ = stub(logits, ids)
    p = logits.double().softmax(-1).numpy()
    surprisal = -np.log2(p[[0, 1], ids] + 1e-10)
    entropy = -(p * np.log2(p + 1e-10)).sum(-1)
    assert np.allclose(scores.ratio, surprisal / entropy, atol=1e-5)
    flat, _ = stub(torch.zeros(1, tokenizer.vocab_out), ids[:1])
    assert np.isclose(flat.ratio[0], 1, atol=1e-5)
    sure = torch.full((1, tokenizer.vocab_out), -1000.0)
    sure[0, ids[1]] = 0
    certain, _ = stub(sure, ids[:1])
    assert np.isclose(certain.surprisal[0], -np.log2(1e-10), atol=1e-3)
    assert ratio(np.array([3.0]), np.array([0.0]))[0] == 0


def test_neighbours_are_one_decision():
    tokenizer = tiny_bundle(language()).tokenizer
    time = lambda v: tokenizer.id(E.TIME_SHIFT, v)
    row = torch.full((1, tokenizer.vocab_out), -50.0)
    row[0, time(100)] = row[0, time(101)] = 0.0
    row[0, time(140)] = 0.5
    beside, _ = stub(row, [time(99)])
    assert beside.best[0] == time(101) or beside.near[0] < 2.5  # 10 ms beside half of the chance
    far, _ = stub(row, [time(140)])
    assert far.best[0] in (time(100), time(101)) and far.gain[0] > 0  # two halves beat one whole
    drum = lambda bits: tokenizer.id(E.HITSOUND, bits)
    row = torch.full((1, tokenizer.vocab_out), -50.0)
    row[0, drum(1)], row[0, drum(4)] = 0.0, -0.1
    same, _ = stub(row, [drum(5)], mode=1)  # kat with other bits is the same kat
    assert same.near[0] < 0.01


@pytest.mark.parametrize("name", ["embedded", "v28", "v30", "v31", "v32"])
def test_every_event_is_judged_once(name):
    "In every layout, and when a window holds more words than fit."
    song, beatmap = made_song(12)
    for changes in ({}, {"src_seq_len": 256, "tgt_seq_len": 80}):
        small = language(name, **({"src_seq_len": 256, "tgt_seq_len": 640} | changes))
        bundle = tiny_bundle(small)
        e = Engine(bundle)
        heard = Heard.of(e, song.samples, ModConfig())
        text = MapText.of(e, beatmap, heard.ms, difficulty=3.0)
        lines = lines_of(text, e, heard)
        judged = sorted((int(k), int(i)) for x in lines for k, i in zip(x.context, x.event))
        every = [
            (k, i)
            for k, c in enumerate(text.outputs)
            for i, t in enumerate(c.stream.times)
            if 0 <= t < heard.windows[-1].keep_to
        ]
        assert judged == every
        assert all(len(x.ids) <= small.tgt_seq_len for x in lines)
        assert len(score_map(e, text, heard)) == len(every)


def test_zones_meet():
    e = Engine(tiny_bundle(language(src_seq_len=256, tgt_seq_len=640)))
    heard = Heard.of(e, np.zeros(16000 * 9, np.float32), ModConfig())
    ranges = [(w.keep_from, w.keep_to) for w in heard.windows]
    assert all(a == b for (_, a), (b, _) in zip(ranges, ranges[1:]))
    assert ranges[0][0] == 0 and ranges[-1][1] >= heard.ms


# --- words

ROWS = [  # real, expected, group, more, category
    ("t1000", "t1200", E.CIRCLE, dict(next_beat=1205.0), "Rhythm"),
    ("last_anchor", "red_anchor", E.LAST_ANCHOR, {}, "Sliders"),
    ("red_anchor", "last_anchor", E.RED_ANCHOR, {}, "Sliders"),
    ("red_anchor", "bezier_anchor", E.RED_ANCHOR, {}, "Sliders"),
    ("circle", "slider_head", E.CIRCLE, {}, "Rhythm"),
    ("t1000", "t1200", E.CIRCLE, {}, "Rhythm"),
    ("snap4", "snap3", E.CIRCLE, {}, "Rhythm"),
    ("t1000", "t1200", E.SCROLL_SPEED_CHANGE, {}, "Scroll Speeds"),
    ("t1000", "t1200", E.KIAI, {}, "Kiai"),
    ("t1000", "t1200", E.MEASURE, {}, "Timing"),
    ("scroll_speed100", "scroll_speed150", E.SLIDER_HEAD, {}, "Sliders"),
    ("scroll_speed100", "scroll_speed150", E.CIRCLE, dict(mode=1), "Scroll Speeds"),
    ("kiai1", "control2", E.KIAI, {}, "Kiai"),
    ("t1000", "control2", E.CIRCLE, {}, "Timing"),
    ("dist90", "dist10", E.CIRCLE, {}, "Compose"),
    ("pos_x9", "pos_x1", E.CIRCLE, {}, "Compose"),
    ("pos_y9", "pos_y1", E.CIRCLE, {}, "Compose"),
    ("pos9", "pos1", E.CIRCLE, {}, "Compose"),
    ("column1", "column3", E.CIRCLE, dict(mode=3), "Compose"),
    ("hitsound0", "hitsound2", E.CIRCLE, {}, "Hit Sounds"),
    ("volume20", "volume70", E.CIRCLE, {}, "Hit Sounds"),
    ("hitsound0", "new_combo", E.CIRCLE, {}, "New Combos"),
    ("new_combo", "hitsound0", E.CIRCLE, {}, "New Combos"),
    ("hitsound0", "last_anchor", E.LAST_ANCHOR, {}, "Rhythm"),
    ("hitsound0", "slider_end", E.LAST_ANCHOR, {}, "Rhythm"),
    ("snap1", "beat", E.CIRCLE, {}, "Timing"),
    ("snap1", "measure", E.CIRCLE, {}, "Timing"),
    ("snap1", "timing_point", E.CIRCLE, {}, "Timing"),
    ("t1000", "dist40", E.LAST_ANCHOR, {}, "Sliders"),
    ("dist40", "t1000", E.RED_ANCHOR, {}, "Sliders"),
    ("beat", "snap1", E.BEAT, {}, "Timing"),
    ("beat", "measure", E.BEAT, {}, "Timing"),
    ("beat", "timing_point", E.BEAT, {}, "Timing"),
    ("measure", "snap1", E.MEASURE, {}, "Timing"),
    ("measure", "beat", E.MEASURE, {}, "Timing"),
    ("measure", "timing_point", E.MEASURE, {}, "Timing"),
    ("timing_point", "snap1", E.TIMING_POINT, {}, "Timing"),
    ("timing_point", "beat", E.TIMING_POINT, {}, "Timing"),
    ("timing_point", "measure", E.TIMING_POINT, {}, "Timing"),
    ("spinner_end", "column2", E.SPINNER_END, {}, "Misc"),
]


def doubt(real, expected, group=E.CIRCLE, **more):
    return Doubt(*read_events(f"{real} {expected}"), group, **more)


@pytest.mark.parametrize("real, expected, group, more, category", ROWS)
def test_a_pair_of_words_has_a_category(real, expected, group, more, category):
    found, text = explain(doubt(real, expected, group, **more))
    assert found == category and text


def test_a_jump_to_the_next_beat_is_no_object():
    assert "no object" in explain(doubt("t1000", "t1200", next_beat=1205.0))[1]
    assert "no object" not in explain(doubt("t1000", "t1200", next_beat=1305.0))[1]


@pytest.mark.parametrize(
    "passes, fails",
    [
        (doubt("pos9", "pos1"), doubt("pos9", "pos1", E.SLIDER_END)),
        (doubt("dist9", "dist90"), doubt("dist9", "dist90", E.SLIDER_END)),
        (doubt("t1000", "t1015"), doubt("t1000", "t1010")),
        (doubt("snap1", "beat", next_gap=3), doubt("snap1", "beat", next_gap=1)),
        (
            doubt("measure", "snap1", E.MEASURE, next_gap=2),
            doubt("measure", "snap1", E.MEASURE, next_gap=1.9),
        ),
    ],
)
def test_some_doubts_are_not_worth_saying(passes, fails):
    assert worth_saying(passes) and not worth_saying(fails)


def test_the_published_threshold():
    remarks = [SimpleNamespace(ratio=r) for r in (19.9, 20.0, 55.0)]
    assert [[r.ratio for r in group] for group in by_ratio(remarks)] == [[55.0], [20.0]]


def test_values_are_in_the_units_of_the_editor():
    said = lambda word, mode=0: value_text(read_events(word)[0], language(), mode)
    assert said("t61005") == "01:01:005"
    assert said("snap0") == "no snap" and said("snap6") == "1/6"
    assert said("column0") == "column 1"
    assert said("scroll_speed75") == "x0.75"
    assert said("volume45") == "45%"
    assert said("hitsound25") == "normal:soft whistle"
    assert said("hitsound1", 1) == "kat" and said("hitsound2", 1) == "large don"


# --- places


def test_links_count_combos_as_the_editor_does():
    objects = [
        Circle(0, 0, 0, 5),
        Circle(0, 0, 500),
        Circle(0, 0, 1000, 5),
        Spinner(256, 192, 1500, end_time=2000),
        Circle(0, 0, 2500),
        Circle(0, 0, 3000),
        Circle(0, 0, 13_001),
        Circle(0, 0, 14_000),
    ]
    assert link_numbers(objects) == [1, 2, 1, 1, 1, 2, 1, 2]
    assert link_of(f"{clock(3_723_004)} (2)") == "osu://edit/62:03:004%20(2)"


def test_mania_links_name_time_and_column(engine):
    b = Beatmap.new(mode=3, cs=4)
    b.timing_points = made_song()[1].timing_points
    b.hit_objects = [Circle(64, 192, 1000), Circle(448, 192, 1000), Hold(192, 192, 1500, end_time=2000)]
    sheet = Sheet(MapText.of(engine, b, 8000.0), engine)
    assert [sheet.stamp(o.time, i) for i, o in enumerate(sheet.objects)] == [
        "00:01:000 (1000|0)",
        "00:01:000 (1000|3)",
        "00:01:500 (1500|1)",
    ]
    heads = [p for p in sheet.pieces[1] if p.mark in (E.CIRCLE, E.HOLD_NOTE)]
    assert [p.object for p in heads] == [0, 1, 2]
    end = next(p for p in sheet.pieces[1] if p.mark is E.HOLD_NOTE_END)
    assert end.object == 2


# --- a map


def test_a_part_of_a_changed_map_reads_as_the_whole_does(engine):
    song, b = made_song()
    heard = Heard.of(engine, song.samples, ModConfig())
    text = MapText.of(engine, b, heard.ms, difficulty=3.0)
    reader = Reader(engine, heard, 0)
    for window in range(len(heard.windows)):
        whole, _ = reader.line(text, window)
        near, _ = reader.line(reader.changed(text, text.beatmap, window), window)
        assert whole.ids.tolist() == near.ids.tolist()


def test_a_planted_slip_is_found(looked, folder):
    first = next(m for m in looked.maps if m.beatmap.version == "First")
    doubts = [s for s in first.suggestions if s.word != "certain"]
    assert doubts[0].category == "Rhythm" and abs(doubts[0].time - folder.slip) <= 30
    assert doubts[0].change and doubts[0].helps > 0
    assert doubts[0].link.startswith("osu://edit/00:0")


def test_findings_stand_in_the_same_list(looked):
    for m in looked.maps:
        words = [s.word for s in m.suggestions]
        assert "certain" in words
        assert all(s.category == "Check" for s in m.suggestions if s.word == "certain")


def test_nothing_is_changed(folder, capsys):
    before = {p.name: p.read_bytes() for p in folder.place.iterdir()}
    out = folder.place.parent / "out.html"
    code = mod(ModConfig(beatmap_path=str(folder.place / "second.osu"), tries=0, html=str(out)), print)
    assert code in (0, 1)
    assert {p.name: p.read_bytes() for p in folder.place.iterdir()} == before
    assert "Nothing in your map was changed" in capsys.readouterr().out
    assert "Nothing in your map was changed" in out.read_text()


class Tags(html.parser.HTMLParser):
    "Counts what could run."

    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def test_a_page_escapes_what_comes_from_strangers(looked):
    page = as_html([looked])
    found = Tags()
    found.feed(page)
    names = [tag for tag, _ in found.tags]
    assert names.count("script") == 1
    assert [a["src"][:22] for tag, a in found.tags if tag == "img"] == ["data:image/png;base64,"] * 2
    assert not [k for _, a in found.tags for k in a if k.startswith("on")]
    links = [a["href"] for tag, a in found.tags if tag == "a"]
    assert links and all(x.startswith(("osu://edit/", "#s")) for x in links)
    assert names.count("p") >= 2 and names.count("iframe") == 1
    frame = next(a for tag, a in found.tags if tag == "iframe")
    assert frame["sandbox"] == "allow-scripts" and "default-src 'none'" in frame["srcdoc"]
    table = as_html([looked], preview=False)
    assert "https://" not in table and "http://" not in table and len(table) < len(page)


def test_a_table_holds_no_formulas(looked):
    rows = list(csv.DictReader(io.StringIO(as_csv([looked]))))
    assert len(rows) == sum(len(m.suggestions) for m in looked.maps) + len(looked.findings)
    hostile = replace(looked.maps[0].suggestions[0], difficulty="=1+1")
    row = next(csv.DictReader(io.StringIO(as_csv([Looked(looked.path, [Modded(Beatmap.new(), [hostile])])]))))
    assert row["difficulty"] == "'=1+1"


def test_a_document_can_be_read_back(looked):
    d = json.loads(json.dumps(as_document([looked])))
    assert d["changed"] is False and len(d["results"][0]["maps"]) == 2
    first = d["results"][0]["maps"][0]["suggestions"][0]
    assert {"score", "link", "alternatives", "category", "word", "helps"} <= set(first)


def test_scores_of_another_model_are_told_and_can_be_given(folder, tmp_path, capsys):
    map_path = str(folder.place / "second.osu")
    shipped = json.loads(asset("maimod.json").read_text())
    given = tmp_path / "scores.json"
    sure = {str(m): {c: row | {"bias": 40.0} for c, row in r.items()} for m, r in shipped["judges"].items()}
    given.write_text(json.dumps(shipped | {"model": "another", "judges": sure}))
    config = ModConfig(beatmap_path=map_path, tries=0, check=False, json=True, scores=str(given))
    mod(config, print)
    document = json.loads(capsys.readouterr().out)
    found = document["results"][0]["maps"][0]["suggestions"]
    assert found and {s["word"] for s in found} <= {"likely", "possible", "taste"}
    assert max(s["score"] for s in found) > 0.99
    assert "measured with another model (another)" in document["advice"]


@pytest.mark.parametrize(
    "change",
    [{"signs": []}, {"judges": {"0": {"Rhythm": {}}}}, {"judges": {"0": 1}}, {"judges": None}],
)
def test_scores_that_are_none(change, folder, tmp_path):
    given = tmp_path / "scores.json"
    given.write_text(json.dumps(json.loads(asset("maimod.json").read_text()) | change))
    with pytest.raises(UserError, match="is damaged: .*; make it with eval task=maimod_fit"):
        SetModder(ModConfig(beatmap_path=str(folder.place), scores=str(given)))


def said(word, severity=""):
    return Suggestion("Rhythm", 0.0, "00:00:000", "circle", "x", 0.5, word, severity=severity)


def test_exit_codes():
    of = lambda *some, **k: [Looked(None, [Modded(Beatmap.new(), list(some))], **k)]
    assert exit_code(of(said("taste"), said("possible"), said("certain", "note"))) == 0
    assert exit_code(of(said("likely"))) == 1
    assert exit_code(of(said("certain", "problem"))) == 1
    assert exit_code(of(said("likely"), refused={"a.osu": "broken"})) == 2


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert main(["mod"]) == 2
    assert main(["mod", f"beatmap_path={tmp_path / 'none.osu'}"]) == 2
    assert main(["mod", "beatmap_path=x.osu", "show=7"]) == 2
    assert main(["mod", "--help"]) == 0
    out = capsys.readouterr()
    assert "show=7" in out.err and "lookback" in out.out


def test_a_map_without_a_song_is_not_looked_at(tmp_path):
    _, b = made_song()
    b.audio_filename = "lost.mp3"
    b.write(tmp_path / "a.osu")
    found = SetModder(ModConfig(check=False))(tmp_path)
    assert "lost.mp3" in found.refused["a.osu"]
    assert exit_code([found]) == 2


def test_options():
    for bad in (dict(show=2), dict(alternatives=0), dict(order="size"), dict(lookback=-1), dict(tries=-1)):
        with pytest.raises(UserError):
            check_settings(ModConfig(**bad))
    with pytest.raises(UserError):
        mod(ModConfig(), print)


# --- slips


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name.replace(" ", "_"))
def test_a_slip_changes_what_it_says_and_no_more(kind):
    "The untouched map stays as it was; outside of the slip all objects are the same."
    _, b = made_song()
    if kind.modes == (3,):
        b = Beatmap.parse(b.to_bytes())
        b.mode, b.cs = 3, 4
        b.hit_objects = [
            Hold(64 + 128 * (i % 4), 192, 500 * i + 500, end_time=500 * i + 750) for i in range(24)
        ]
    if kind.modes == (1,):
        b.mode = 1
        b.hit_objects = [Circle(256, 192, o.time, 1, o.hitsound) for o in b.hit_objects]
    before = b.to_bytes()
    faults = [f for level in range(3) if (f := plant_fault(b, kind, level)) is not None]
    assert b.to_bytes() == before
    for fault in faults:
        assert fault.beatmap.to_bytes() != before
        low, high = fault.span
        old = {
            (o.time, o.x, o.y, o.type, o.hitsound)
            for o in b.hit_objects
            if not low - 3000 <= o.time <= high + 3000
        }
        new = {(o.time, o.x, o.y, o.type, o.hitsound) for o in fault.beatmap.hit_objects}
        assert old <= new
        assert plant_fault(b, kind, fault.level).beatmap.to_bytes() == fault.beatmap.to_bytes()


def test_precision_counts_a_slip_once():
    slips = [Outcome("a", "moved note", i, {"maimod": 0}, 0.8, 1 / 3) for i in range(3)]
    wrong = [0.75, 0.15, 0.15]
    found = {b.low: b for b in bins_of(slips, wrong)}
    assert np.isclose(found[0.7].precision, 0.5)
    assert found[0.1].precision == 0 and found[0.1].wrong == 2
    assert recall(slips, 1) == 1 and recall([replace(slips[0], ranks={"maimod": None})], 10) == 0


def test_remarks_that_follow_are_folded():
    judge = Judge(tuple([0.0] * len(SIGNS)), tuple([1.0] * len(SIGNS)), tuple([0.1] * len(SIGNS)), 0.0)
    signs = dict.fromkeys(SIGNS, 1.0)
    assert 0.5 < judge(signs) < judge(signs | {"gain": 3.0})
    remark = lambda time, score, category="Rhythm": SimpleNamespace(
        time=time, score=score, category=category, gain=score
    )
    groups = folded([remark(1000, 0.9), remark(1300, 0.5), remark(1300, 0.4, "Compose"), remark(2500, 0.3)])
    assert [len(g) for g in groups] == [2, 1, 1]
    assert len(shortlist([remark(t, t) for t in range(50)], 25)) == 8
