"Logit rules: equal to transformers' processors where those exist, and to the words of the specification elsewhere."
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from mapperatorinator.config import LanguageConfig, compose
from mapperatorinator.events import ContextType, EventStream, EventType
from mapperatorinator.osu.beatmap import Beatmap
from mapperatorinator.parse import Parser
from mapperatorinator.rules import (BALL_LINES, ConditionalTemperature, Grammar, Guidance, LookBack, MonotonicTime, Temperature, TimeBias,
                                    TopK, TopP, Trie, lines_of, still_open)
from mapperatorinator.tokenizer import EOS, SOS, Tokenizer
from mapperatorinator.unparse import GROUP_TYPES, SUSTAIN_TYPES

E, C = EventType, ContextType
language = compose(LanguageConfig, preset="embedded", src_seq_len=128)
tok = Tokenizer.from_config(language)

def scores(rows=3, seed=0): return torch.randn(rows, tok.vocab_out, generator=torch.Generator().manual_seed(seed)) * 3

@pytest.mark.parametrize("seed", range(5))
def test_equal_to_transformers(seed):
    from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper
    x = scores(seed=seed)
    for ours, theirs in [(Temperature(.7), TemperatureLogitsWarper(.7)), (TopK(40), TopKLogitsWarper(40)), (TopK(1), TopKLogitsWarper(1)),
                         (TopP(.9), TopPLogitsWarper(.9)), (TopP(.1), TopPLogitsWarper(.1)), (TopP(.999), TopPLogitsWarper(.999))]:
        torch.testing.assert_close(ours(x.clone()), theirs(None, x.clone()), msg=str(type(ours)))

def test_top_p_after_masks():
    x = scores(); x[:, 100:] = float("-inf")
    y = TopP(.9)(x.clone())
    assert torch.isfinite(y).any(1).all() and not torch.isfinite(y[:, 100:]).any() and torch.isfinite(y.softmax(-1)).all()

def test_guidance_moves_toward_the_request():
    wanted, unwanted = scores(), scores(seed=1)
    both = torch.cat([wanted, unwanted])
    torch.testing.assert_close(Guidance(1.)(both), wanted)
    torch.testing.assert_close(Guidance(0.)(both), unwanted)
    torch.testing.assert_close(Guidance(3.)(both) - wanted, 2 * (wanted - unwanted), atol=1e-4, rtol=1e-4)

def test_time_does_not_go_back():
    t = lambda v: tok.id(E.TIME_SHIFT, v)
    rule = MonotonicTime(tok)
    ids = [[0, SOS, tok.context_sos[C.MAP], t(9), tok.id(E.CIRCLE), t(14), tok.id(E.CIRCLE)],
           [SOS, tok.context_sos[C.TIMING], t(90), tok.id(E.BEAT), tok.context_eos[C.TIMING], tok.context_sos[C.MAP], tok.id(E.CIRCLE)]]
    rule.reset(torch.tensor(ids))
    masked = rule(scores(2)).isneginf()
    assert masked.sum(1).tolist() == [14, 0] and not masked[0, t(14)]
    rule.update(torch.tensor([t(20), tok.id(E.SNAPPING)]))
    assert rule(scores(2)).isneginf().sum(1).tolist() == [20, 0]

def test_look_back_and_bias():
    start = tok.range(E.TIME_SHIFT)[0]
    assert LookBack(tok, 505)(scores(1)).isneginf()[0].nonzero()[:, 0].tolist() == list(range(start, start + 50))
    x = scores(1); y = TimeBias(tok, -1.5)(x.clone())
    assert torch.equal((x - y).abs() > .1, torch.from_numpy(tok.mask([E.TIME_SHIFT]))[None])

def test_conditional_temperature_is_per_row():
    beat, circle = (torch.from_numpy(tok.mask([t], tok.vocab_in)) for t in (E.BEAT, E.CIRCLE))
    rule = ConditionalTemperature(2., [(1, beat, .1), (3, circle, .5)])
    b, c, s = tok.id(E.BEAT), tok.id(E.CIRCLE), tok.id(E.SNAPPING)
    rule.reset(torch.tensor([[s, s, b], [c, s, s], [c, s, b], [0, 0, s]]))
    x = scores(4)
    torch.testing.assert_close(rule(x.clone()), x / torch.tensor([.1, .5, .1, 2.])[:, None])
    rule.update(torch.tensor([s, b, s, c])); rule.update(torch.tensor([s] * 4)); rule.update(torch.tensor([s] * 4))
    torch.testing.assert_close(rule(x.clone()), x / torch.tensor([2., 2., 2., .5])[:, None])

def legal_line(stream:EventStream, lines, start="free"):
    "Walks a stream through the machine of a grammar; returns the events it refuses."
    trie, refused = Trie(lines), []
    at = trie.roots[start]
    for i, (e, t) in enumerate(stream):
        if e.type not in trie.next[at]: refused.append((i, t, e, sorted(x.value for x in trie.next[at]))); at = trie.roots["free"]
        else: at = trie.next[at][e.type]
    return refused

@pytest.mark.parametrize("mode", [0, 1, 2])
def test_human_maps_are_grammatical(shared, mode):
    paths = [p for p in sorted((shared/"data"/"beatmaps").rglob("*.osu")) if p.parent.name != "malformed"]
    seen = refused = 0
    for p in paths[::max(len(paths) // 60, 1)]:
        m = Beatmap.read(p)
        if m.mode != mode: continue
        stream = Parser(language).map_events(m)
        seen, refused = seen + len(stream), refused + len(legal_line(stream, lines_of(language, C.MAP, mode)))
    if not seen: pytest.skip("no map of this mode")
    assert refused <= 1e-3 * seen, f"{refused} of {seen} events refused"

def test_timing_of_human_maps_is_grammatical(shared):
    for p in [p for p in sorted((shared/"data"/"beatmaps").rglob("*.osu")) if p.parent.name != "malformed"][:20]:
        assert not legal_line(Parser(language).timing_events(Beatmap.read(p)), lines_of(language, C.TIMING))

@pytest.mark.parametrize("preset", ["embedded", "v32", "v32-mini"])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_every_state_has_a_way_on(preset, mode):
    c = compose(LanguageConfig, preset=preset)
    for context in (C.TIMING, C.MAP, C.SV):
        trie = Trie(lines_of(c, context, mode))
        assert all(trie.next), "a state without an exit"

@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.booleans())
def test_grammar_never_runs_dry(seed, closing):
    "Whatever is drawn, some token is legal; and with time used up only an end is."
    g = torch.Generator().manual_seed(seed)
    rule = Grammar(tok, lines_of(language, C.MAP)).start(None, closing)
    rule.reset(torch.tensor([[SOS, tok.context_sos[C.MAP], tok.id(E.TIME_SHIFT, 95), tok.id(E.CIRCLE)]]))
    for _ in range(150):
        p = rule(torch.randn(1, tok.vocab_out, generator=g) * 4)
        assert torch.isfinite(p).any()
        ids = torch.multinomial(p.softmax(-1), 1, generator=g)[:, 0]
        if ids.item() in rule.ends:
            open = [n for n, i in rule.trie.roots.items() if i == rule.state.item()]
            assert open and (not closing or open == ["free"] or rule.time.last.item() >= 101 - 1)
            break
        rule.update(ids)

def test_what_is_open():
    lines = lines_of(language, C.MAP)
    assert still_open(lines, [E.SLIDER_HEAD, E.RED_ANCHOR, E.LAST_ANCHOR, E.SLIDER_SUSTAIN]) == "body"
    assert still_open(lines, [E.SLIDER_SUSTAIN]) == "body" and still_open(lines, [E.SPINNER]) == "spin"
