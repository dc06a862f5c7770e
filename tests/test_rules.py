"Logit rules: equal to transformers' processors where those exist, and to the words of the specification elsewhere."

import gzip
from functools import cache

import pytest
import torch
from hypothesis import given, settings, strategies as st

from mapperatorinator.config import LanguageConfig, compose
from mapperatorinator.events import ContextType, EventStream, EventType
from mapperatorinator.osu.beatmap import Beatmap
from mapperatorinator.parse import Parser
from mapperatorinator.groups import MARKS, split_groups, still_open
from mapperatorinator.rules import (
    Columns,
    ConditionalTemperature,
    Grammar,
    Guidance,
    LookBack,
    LookBackShare,
    Automaton,
    MonotonicTime,
    Temperature,
    TimeBias,
    TopK,
    TopP,
    temperature_rules,
    grammar_lines,
)
from mapperatorinator.tokenizer import EOS, SOS, Tokenizer
from corpus.toys import sound_map

E, C = EventType, ContextType
language = compose(LanguageConfig, preset="embedded", src_seq_len=128)
tok = Tokenizer.from_config(language)


def scores(rows=3, seed=0):
    return torch.randn(rows, tok.vocab_out, generator=torch.Generator().manual_seed(seed)) * 3


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_transformers(seed):
    from transformers.generation.logits_process import (
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    x = scores(seed=seed)
    for ours, theirs in [
        (Temperature(0.7), TemperatureLogitsWarper(0.7)),
        (TopK(40), TopKLogitsWarper(40)),
        (TopK(1), TopKLogitsWarper(1)),
        (TopP(0.9), TopPLogitsWarper(0.9)),
        (TopP(0.1), TopPLogitsWarper(0.1)),
        (TopP(0.999), TopPLogitsWarper(0.999)),
    ]:
        torch.testing.assert_close(ours(x.clone()), theirs(None, x.clone()), msg=str(type(ours)))


def test_top_p_after_masks():
    x = scores()
    x[:, 100:] = float("-inf")
    y = TopP(0.9)(x.clone())
    assert (
        torch.isfinite(y).any(1).all()
        and not torch.isfinite(y[:, 100:]).any()
        and torch.isfinite(y.softmax(-1)).all()
    )


def test_guidance_moves_toward_the_request():
    wanted = scores()
    unwanted = scores(seed=1)
    both = torch.cat([wanted, unwanted])
    torch.testing.assert_close(Guidance(1.0)(both), wanted)
    torch.testing.assert_close(Guidance(0.0)(both), unwanted)
    torch.testing.assert_close(Guidance(3.0)(both) - wanted, 2 * (wanted - unwanted), atol=1e-4, rtol=1e-4)


def test_time_does_not_go_back():
    t = lambda v: tok.id(E.TIME_SHIFT, v)
    rule = MonotonicTime(tok)
    ids = [
        [0, SOS, tok.context_sos[C.MAP], t(9), tok.id(E.CIRCLE), t(14), tok.id(E.CIRCLE)],
        [
            SOS,
            tok.context_sos[C.TIMING],
            t(90),
            tok.id(E.BEAT),
            tok.context_eos[C.TIMING],
            tok.context_sos[C.MAP],
            tok.id(E.CIRCLE),
        ],
    ]
    rule.reset(torch.tensor(ids))
    masked = rule(scores(2)).isneginf()
    assert masked.sum(1).tolist() == [14, 0] and not masked[0, t(14)]
    rule.update(torch.tensor([t(20), tok.id(E.SNAPPING)]))
    assert rule(scores(2)).isneginf().sum(1).tolist() == [20, 0]


def test_look_back_and_bias():
    start = tok.range(E.TIME_SHIFT)[0]
    assert LookBack(tok, 505)(scores(1)).isneginf()[0].nonzero()[:, 0].tolist() == list(
        range(start, start + 50)
    )
    x = scores(1)
    y = TimeBias(tok, -1.5)(x.clone())
    assert torch.equal((x - y).abs() > 0.1, torch.from_numpy(tok.mask([E.TIME_SHIFT]))[None])


def test_conditional_temperature_is_per_row():
    beat, circle = (torch.from_numpy(tok.mask([t], tok.vocab_in)) for t in (E.BEAT, E.CIRCLE))
    rule = ConditionalTemperature(2.0, [(1, beat, 0.1), (3, circle, 0.5)])
    b = tok.id(E.BEAT)
    c = tok.id(E.CIRCLE)
    s = tok.id(E.SNAPPING)
    rule.reset(torch.tensor([[s, s, b], [c, s, s], [c, s, b], [0, 0, s]]))
    x = scores(4)
    torch.testing.assert_close(rule(x.clone()), x / torch.tensor([0.1, 0.5, 0.1, 2.0])[:, None])
    rule.update(torch.tensor([s, b, s, c]))
    rule.update(torch.tensor([s] * 4))
    rule.update(torch.tensor([s] * 4))
    torch.testing.assert_close(rule(x.clone()), x / torch.tensor([2.0, 2.0, 2.0, 0.5])[:, None])


def legal_line(stream: EventStream, lines, types_first=False):
    "Walks a stream through the machine of a grammar; returns the events it refuses."
    machine = Automaton(lines, types_first)
    refused = []
    at = machine.roots["free"]
    for i, (e, t) in enumerate(stream):
        if e.type not in machine.next[at]:
            refused.append((i, t, e, sorted(x.value for x in machine.next[at])))
            at = machine.roots["free"]
        at = machine.next[at].get(e.type, at)
    return refused


VERSIONS = ["embedded", "v28", "v30", "v31", "v32"]

SPOKEN = [
    (preset, mode)
    for preset in VERSIONS
    for mode in range(4)
    if mode in compose(LanguageConfig, preset=preset).gamemodes
]


@pytest.mark.parametrize("preset,mode", SPOKEN)
def test_human_maps_are_grammatical(fixtures, preset, mode):
    "What `parse` writes of real maps, the machine of the same language reads: types first or last, older and newer sliders, beats among objects."
    c = compose(LanguageConfig, preset=preset)
    seen = 0
    refused = []
    machine = grammar_lines(c, C.MAP, mode)
    for m in human_maps(fixtures, mode):
        stream = Parser(c).map_events(m)
        seen = seen + len(stream)
        refused = refused + legal_line(stream, machine, c.types_first)
    assert seen > 5000 and len(refused) <= 2e-3 * seen, (seen, refused[:5])


@cache
def human_maps(fixtures, mode, most=12):
    "Some maps of a mode: of people where they are, else toy maps without a fault."
    if "shared" not in fixtures.parts:
        return [sound_map(seed, mode, "Toy", busy=seed / most) for seed in range(most)]
    paths = [p for p in sorted((fixtures / "oracles" / "parse" / "osu").glob("*.osu.gz"))]
    maps = [Beatmap.parse(gzip.open(p).read()) for p in paths]
    return [m for m in maps if m.mode == mode and m.hit_objects][:most]


@pytest.mark.parametrize("preset", VERSIONS)
def test_timing_kiai_and_speeds_are_grammatical(fixtures, preset):
    c = compose(LanguageConfig, preset=preset)
    for m in human_maps(fixtures, 3) + human_maps(fixtures, 0):
        p = Parser(c)
        for context, stream in (
            (C.TIMING, p.timing_events(m)),
            (C.KIAI, p.kiai_events(m)),
            (C.SV, p.context(C.SV, m)),
        ):
            assert not legal_line(stream, grammar_lines(c, context, m.mode), c.types_first), (preset, context)


@pytest.mark.parametrize("preset", [*VERSIONS, "v29", "v32-mini"])
@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_every_state_has_a_way_on(preset, mode):
    c = compose(LanguageConfig, preset=preset)
    for context in (C.TIMING, C.MAP, C.SV, C.KIAI):
        assert all(Automaton(grammar_lines(c, context, mode), c.types_first).next), "a state without an exit"


BABEL = [(preset, mode) for preset in VERSIONS for mode in (0, 1, 3) if preset != "v30" or mode == 0]


@cache
def speech(preset, mode):
    "A short-windowed language, its tokenizer and its grammar."
    c = compose(LanguageConfig, preset=preset, src_seq_len=128)
    t = Tokenizer.from_config(c)
    return c, t, Grammar(t, grammar_lines(c, C.MAP, mode), c.types_first)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.booleans(), st.sampled_from(BABEL))
def test_grammar_never_runs_dry(seed, closing, which):
    "Whatever is drawn, some token is legal, in every language; nothing stays open at the end of a song unless time is used up."
    (c, t, rule), mode, g = speech(*which), which[1], torch.Generator().manual_seed(seed)
    rules = [rule.start(None, closing), *([Columns(rule, [4], [[1]])] if mode == 3 else [])]
    for r in rules:
        r.reset(torch.tensor([[SOS, *([t.context_sos[C.MAP]] if C.MAP in t.context_sos else [])]]))
    held = lambda: mode == 3 and bool(rules[1].held.any())
    for _ in range(250):
        p = torch.randn(1, t.vocab_out, generator=g) * 4
        p[:, rule.ends] -= 3
        for r in rules:
            p = r(p)
        assert torch.isfinite(p).any(), "no token is legal"
        ids = torch.multinomial(p.softmax(-1), 1, generator=g)[:, 0]
        if ids.item() in rule.ends:
            open = rule.automaton.open[rule.state.item()]
            assert open and (not closing or open == "free" and not held() or rule.time.last.item() >= 100)
            break
        for r in rules:
            r.update(ids)


@pytest.mark.parametrize("preset", ["embedded", "v28"])
def test_columns_hold_one_thing_at_a_time(preset):
    "Mania drawn from noise: no hold ends that did not begin, none begins twice, and no column is hit twice at one time."
    c, t, rule = speech(preset, 3)
    rules = [rule.start(), Columns(rule, [4, 7], [[], []])]
    g = torch.Generator().manual_seed(1)
    out = []
    prompt = [SOS, t.context_sos[C.MAP]]
    for r in rules:
        r.reset(torch.tensor([prompt] * 2))
    for _ in range(600):
        p = torch.randn(2, t.vocab_out, generator=g) * 2
        p[:, rule.ends] = float("-inf")
        p[:, slice(*t.range(E.TIME_SHIFT))] -= torch.arange(101 + 1)
        for r in rules:
            p = r(p)
        if not torch.isfinite(p).any(1).all():
            break  # time is used up
        out.append(torch.multinomial(p.softmax(-1), 1, generator=g)[:, 0])
        for r in rules:
            r.update(out[-1])
    for row, keys in ((0, 4), (1, 7)):
        held = set()
        touched = set()
        notes = 0
        for group in split_groups(t.decode_ids([ids[row].item() for ids in out]), c.types_first)[:-1]:
            column, time = (
                next(e.value for e in group if e.type is k) for k in (E.MANIA_COLUMN, E.TIME_SHIFT)
            )
            kind = next(e.type for e in group if e.type in MARKS)
            assert column < keys and (column in held) == (kind in (E.HOLD_NOTE_END, E.HOLD_NOTE_SUSTAIN)), (
                kind,
                column,
                held,
            )
            if kind is E.HOLD_NOTE_SUSTAIN:
                continue
            assert (column, time) not in touched, (column, time)
            touched.add((column, time))
            notes += 1
            (held.add if kind is E.HOLD_NOTE else held.discard)(column)
        assert notes > 10


def test_look_back_share_is_the_formula():
    "Probabilities as the published description has them; total mass one."
    c = compose(LanguageConfig, preset="v28")
    t = Tokenizer.from_config(c)
    g = torch.Generator().manual_seed(0)
    rule = LookBackShare(t, 4092)
    start = t.id(E.TIME_SHIFT)
    rule.reset(torch.tensor([[SOS], [SOS]]))
    a, b = (torch.randn(2, t.vocab_out, generator=g) * 3 for _ in "ab")
    a[:, EOS] += 8
    torch.testing.assert_close(rule(a.clone()), a)
    rule.update(torch.tensor([t.id(E.CIRCLE), t.id(E.VOLUME, 3)]))
    out, (before, p) = rule(b.clone()), (x.softmax(-1)[0] for x in (a, b))
    torch.testing.assert_close(out[1], b[1])  # not after a type
    q = before[rule.ends].sum()
    past = p[start : start + 409]
    f = 1 / ((1 - past.sum()) * (1 - q) + q)
    torch.testing.assert_close(out[0].exp()[start + 409 :], p[start + 409 :] * f)
    torch.testing.assert_close(out[0].exp()[start], (f - 1) * q / (1 - q))
    torch.testing.assert_close(out[0].exp().sum(), torch.tensor(1.0))
    assert out[0, start + 1 : start + 409].isneginf().all()


@pytest.mark.parametrize(
    "preset,context,mode,words,expected",
    [
        ("v28", C.TIMING, 0, [E.BEAT], 0.1),
        ("v28", C.MAP, 3, [E.CIRCLE, E.TIME_SHIFT, E.SNAPPING], 0.7),
        ("v28", C.MAP, 1, [E.SCROLL_SPEED], 0.6),
        ("v28", C.MAP, 0, [E.CIRCLE, E.TIME_SHIFT, E.SNAPPING], 0.9),
        ("v32", C.TIMING, 0, [E.BEAT], 0.1),
        ("v32", C.MAP, 3, [E.TIME_SHIFT, E.SNAPPING], 0.7),
        ("v32", C.MAP, 1, [E.SCROLL_SPEED], 0.6),
        ("v32", C.MAP, 0, [E.SCROLL_SPEED], 0.9),
        ("v32", C.SV, 3, [E.TIME_SHIFT, E.SNAPPING], 0.9),
    ],
)
def test_calm_choices(preset, context, mode, words, expected):
    "The beat grid, mania columns and taiko hits have temperatures of their own, whichever comes first, type or time."
    c = compose(LanguageConfig, preset=preset)
    t = Tokenizer.from_config(c)
    rule = temperature_rules(t, c, context, mode, 0.9, 0.1, 0.7, 0.6)
    rule.reset(torch.tensor([[SOS, *(t.id(w) for w in words)]]))
    torch.testing.assert_close(rule(torch.ones(1, t.vocab_out)), torch.full((1, t.vocab_out), 1 / expected))


def test_what_is_open():
    lines = grammar_lines(language, C.MAP)
    assert still_open(lines, [E.SLIDER_HEAD, E.RED_ANCHOR, E.LAST_ANCHOR, E.SLIDER_SUSTAIN]) == "body"
    assert still_open(lines, [E.SLIDER_SUSTAIN]) == "body" and still_open(lines, [E.SPINNER]) == "spin"


@pytest.mark.parametrize("preset", ["embedded", "v28"])
def test_rules_can_be_reordered(preset):
    "A row that goes on as a copy of another is judged as the other, by every rule."
    c = compose(LanguageConfig, preset=preset, src_seq_len=128)
    tok = Tokenizer.from_config(c)
    grammar = Grammar(tok, grammar_lines(c, C.MAP, 3), c.types_first)
    keep = torch.from_numpy(
        tok.mask([E.TIME_SHIFT, E.CIRCLE, E.HOLD_NOTE, E.MANIA_COLUMN], tok.vocab_out)
    ).nonzero()[:, 0]
    rules = [
        grammar,
        Columns(grammar, [4, 4, 7], [[], [1], [2]]),
        MonotonicTime(tok),
        LookBackShare(tok, 100),
        ConditionalTemperature(0.9, [(2, torch.arange(tok.vocab_in) % 2 == 0, 0.1)]),
        temperature_rules(tok, c, C.MAP, 3, 0.9, 0.1, 0.5, 0.5),
    ]
    steps = keep[torch.randint(len(keep), (12, 3), generator=torch.Generator().manual_seed(1))]
    index = torch.tensor([2, 0, 0, 1])
    x = torch.randn(3, tok.vocab_out, generator=torch.Generator().manual_seed(2))
    for rule in rules:
        rule.reset(torch.full((3, 4), SOS))
        for ids in steps:
            rule(x.clone())
            rule.update(ids)
        want = rule(x.clone())
        rule.reset(torch.full((3, 4), SOS))
        if isinstance(rule, Columns):
            rule = Columns(grammar, [4, 4, 7], [[], [1], [2]])
            rule.reset(torch.full((3, 4), SOS))
        for ids in steps:
            rule(x.clone())
            rule.update(ids)
        rule.reorder(index)
        torch.testing.assert_close(rule(x[index].clone()), want[index], msg=type(rule).__name__)
