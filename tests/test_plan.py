"Plans, patterns, nested spreads and what a song carries: with the smallest model, which knows nothing, so that what is seen is the steering."

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import tiny_bundle

from mapperatorinator import cli
from mapperatorinator.audio2events import SongContext
from mapperatorinator.config import GenerateConfig, LanguageConfig, check_settings, compose
from mapperatorinator.core import UserError, demo_song
from mapperatorinator.engine import Engine
from mapperatorinator.events import ContextType, Event, EventStream, EventType, read_events
from mapperatorinator.generate import EncodedSong, RowRequest, Sampling, SongPlan, generate, listen
from mapperatorinator.osu.beatmap import TimingPoint
from mapperatorinator.osu.timing import Timing
from mapperatorinator.pipeline import generate_map
from mapperatorinator.plan import Guide, PlanRow, as_text, level_ticks, parse_plan, read_plan, written_starts
from mapperatorinator.prompt import Metadata
from mapperatorinator.rules import Columns, Grammar, apply_rules, grammar_lines
from mapperatorinator.song2map import Song2Map
from mapperatorinator.steer import steering_rules
from mapperatorinator.tokenizer import SOS

SECONDS = 3
SAMPLES = np.random.default_rng(0).standard_normal(SECONDS * 16000).astype(np.float32) / 10
TIMING = Timing([TimingPoint(0, 500)])


@pytest.fixture(scope="module")
def engine():
    language = compose(LanguageConfig, preset="embedded", src_seq_len=128, tgt_seq_len=100)
    return Engine(tiny_bundle(language, 3), "cpu")


@pytest.fixture(scope="module")
def song(engine):
    return listen(engine, SAMPLES, SongPlan.of(len(SAMPLES), engine.language, lookback=0.2, lookahead=0))


BUSY = {"density": 9.0}  # such a model writes hardly anything by itself


def starts(engine, song, *guides, mode=1, seed=1):
    "Where objects begin in maps written side by side, one for each guide."
    wish = Metadata(gamemode=mode, song_length=song.ms, difficulty=4.0)
    rows = [RowRequest(wish, seed, None, guide) for guide in guides]
    made = generate(engine, song, rows, sampling=Sampling(temperature=1.0))
    return [written_starts(m.streams[ContextType.MAP]) for m in made]


def within(times, low, high):
    return int(((times >= low) & (times < high)).sum())


def share(times, marks):
    return float(np.mean(np.abs(times[:, None] - marks[None]).min(1) <= 10)) if len(times) else 0.0


def test_a_guide_that_steers_nowhere_changes_nothing_and_no_row_touches_another(engine, song):
    (alone,) = starts(engine, song, None)
    loud = Guide(
        wishes={"density": 3.0, "kats": 2.0, "finishers": -2.0}, harder=np.array([100.0]), nested=5.0
    )
    beside = starts(engine, song, None, Guide(), loud)
    assert alone.tolist() == beside[0].tolist() == beside[1].tolist() != beside[2].tolist()


@pytest.mark.parametrize("mode", [1, 3])
def test_a_silent_section_is_silent(engine, song, mode):
    plan = (PlanRow(0), PlanRow(1000, silence=True), PlanRow(2000))
    free, quiet = starts(engine, song, Guide(wishes=BUSY), Guide(plan, BUSY), mode=mode)
    assert within(free, 1000, 2000) > 0 and within(quiet, 1000, 1990) == 0 and within(quiet, 0, 1000) > 0


def test_curves_of_a_guide():
    "A harder map, a section that comes back, a silent one: what each time gets."
    circle = Event(EventType.CIRCLE)
    plan = (PlanRow(0), PlanRow(1000, silence=True), PlanRow(2000, like=1))
    guide = Guide(plan, repeat=3.0, harder=np.array([200.0, 1400.0]), nested=5.0)
    written = EventStream([circle, circle], [200, 650])
    times = np.arange(5.0, 3000, 10)
    added = dict(zip(times, guide.starts(times, written)))
    assert [added[t] for t in (205, 655, 1405, 2205, 2655, 2705)] == [5, 0, -25, 3, 3, 0]


def test_a_map_nests_in_a_harder_one(engine, song):
    harder = np.arange(55.0, 3000, 200)
    followed = Guide(wishes=BUSY, harder=harder, nested=9.0)
    free, nested = starts(engine, song, Guide(wishes=BUSY), followed)
    assert share(nested, harder) > share(free, harder) + 0.3


def test_a_level_keeps_to_its_ticks(engine, song):
    ticks = level_ticks(1.5, TIMING, song.ms)
    free, easy = starts(engine, song, Guide(wishes=BUSY), Guide(wishes=BUSY, ticks=ticks))
    assert share(easy, ticks) > 0.98 > share(free, ticks)
    assert level_ticks(5.0, TIMING, song.ms) is None


def after(engine, mode, words, **wishes):
    "Scores of nothing at all after some words, as the rules for wishes change them."
    tok = engine.tokenizer
    grammar = Grammar(tok, grammar_lines(engine.language, ContextType.MAP, mode))
    columns = Columns(grammar, [4], [[]]) if mode == 3 else None
    steering = steering_rules([wishes], grammar, engine.language, mode, columns)
    rules = [grammar, *([columns] if columns else []), *steering]
    for rule in rules:
        rule.reset(torch.tensor([[SOS]]))
    for event in read_events(words):
        for rule in rules:
            rule.update(torch.tensor([tok.encode(event)]))
    scores = apply_rules(rules, torch.zeros(1, tok.vocab_out))[0]
    return lambda word: float(scores[tok.encode(read_events(word)[0])])


@pytest.mark.parametrize(
    "mode, wish, words, more, less",
    [
        (0, "sliders", "t50 snap1 pos100 pos_refine0", "scroll_speed100", "hitsound0"),
        (0, "jumps", "t50 snap1 pos136 pos_refine0 hitsound0 volume50 circle t80 snap1", "pos129", "pos136"),
        (0, "streams", "t50 snap1 pos100 pos_refine0 hitsound0 volume50 circle", "t60", "t80"),
        (0, "density", "t50 snap1 pos100 pos_refine0 hitsound0 volume50 circle", "t60", "t80"),
        (1, "kats", "t50 snap1 scroll_speed100", "hitsound1", "hitsound0"),
        (1, "finishers", "t50 snap1 scroll_speed100", "hitsound2", "hitsound1"),
        (3, "long_notes", "t50 snap1 column1 hitsound0 volume50", "hold_note", "circle"),
        (3, "chords", "t50 snap1 column1 hitsound0 volume50 circle", "t50", "t80"),
        (3, "jacks", "t50 snap1 column1 hitsound0 volume50 circle t80 snap1", "column1", "column0"),
    ],
)
def test_each_pattern_is_leaned_on_by_its_strength(engine, mode, wish, words, more, less):
    lead = [after(engine, mode, words, **{wish: v}) for v in (-2.0, 0.0, 2.0)]
    low, none, high = (score(more) - score(less) for score in lead)
    assert low < none == 0 < high and abs(high + low) < 1e-5


@pytest.mark.parametrize(
    "text, said", [("", "0 sections"), ("0:01 1 0 0 0 maybe no - -", "neither true nor false")]
)
def test_a_file_that_is_no_plan_is_one_sentence_before_a_model_is_looked_for(tmp_path, text, said):
    (tmp_path / "my.plan.txt").write_text(text)
    ask = GenerateConfig(
        audio_path=str(demo_song()), model="no such model", plan=str(tmp_path / "my.plan.txt")
    )
    with pytest.raises(UserError, match=said) as e:
        generate_map(ask)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe\x00",
        b"x" * 300_000,
        b"\0" * 50,
        b"0:01 nan 0 0 0 no no - -",
        b"9" * 400 + b" 0 0 0 0 no no - -",
    ],
)
def test_damaged_plans_are_refused(tmp_path, data):
    (tmp_path / "p.txt").write_bytes(data)
    with pytest.raises(UserError):
        read_plan(tmp_path / "p.txt")


def test_the_plan_of_a_song_is_printed_kept_and_read_back(tmp_path, capsys):
    assert cli.main(["plan", str(demo_song()), "timing=grid", f"output={tmp_path / 'p.txt'}"]) == 0
    shown = capsys.readouterr().out
    kept = read_plan(tmp_path / "p.txt")
    assert (
        2 <= len(kept) < 20 and as_text(kept).splitlines()[4] in shown and "a spread that suits it" in shown
    )
    assert parse_plan(as_text(kept)) == kept


class Asked(Song2Map):
    "A pipeline with a model that is never asked."

    def __init__(self):
        self.language = LanguageConfig()


def context(strokes, seconds=30):
    "A song of so many clicks a second."
    x = np.zeros(seconds * 16000, np.float32)
    for at in np.arange(0, seconds - 0.1, 1 / strokes):
        x[int(at * 16000) : int(at * 16000) + 200] = np.random.default_rng(1).standard_normal(200) * 0.5
    return SongContext(EncodedSong(x, 16000, None), TIMING, [])


def test_stars_that_a_song_does_not_carry_are_refused_before_the_model_writes():
    slow = context(1)
    with pytest.raises(UserError, match="does not carry 7 stars.*nearest") as e:
        Asked().settled(slow, GenerateConfig(difficulty=7.0))
    assert "\n" not in str(e.value)
    assert Asked().settled(slow, GenerateConfig(difficulty=7.0, any_stars=True)).difficulty == 7.0
    assert Asked().settled(context(8), GenerateConfig(difficulty=5.0)).difficulty == 5.0


def test_an_open_difficulty_becomes_a_spread_that_the_song_carries():
    ask = compose(GenerateConfig, ["difficulty=auto"])
    few, many = (Asked().settled(context(n), ask).difficulties for n in (1, 10))
    assert ask.auto_spread and len(many) > len(few) and many[-1] > few[-1] + 1
    assert many == sorted(many) and not Asked().settled(context(10), ask).auto_spread


def test_words_that_do_not_go_together_are_said():
    for said in (["difficulty=auto", "difficulties=[2,3]"], ["repeat_rhythm=2"], ["jumps=9"]):
        with pytest.raises(UserError):
            check_settings(compose(GenerateConfig, said))
    assert replace(GenerateConfig(), jumps=1).jumps == 1.0
