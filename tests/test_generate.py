"Windows become a song: whole groups, stitched in order, repeatable, inside the range asked for."
import numpy as np
import pytest
import torch

from mapperatorinator.config import LanguageConfig, ModelConfig, compose
from mapperatorinator.engine import Cancelled, Engine, Written
from mapperatorinator.events import ContextType, Event, EventStream, EventType
from mapperatorinator.generate import MARKS, Sampling, encode_song, generate, keep_until, loops, trouble, whole_groups, within
from mapperatorinator.model.hub import new_bundle
from mapperatorinator.osu.beatmap import TimingPoint
from mapperatorinator.osu.timing import Timing
from mapperatorinator.prompt import Context, Metadata
from mapperatorinator.unparse import groups, to_hit_objects
from mapperatorinator.windows import plan

E, C = EventType, ContextType
SAMPLES = np.random.default_rng(0).standard_normal(3 * 16000).astype(np.float32) / 10
HARMLESS = {"slider of no length, made a circle"} # every anchor on the head: a matter of places, not of grammar

def make_engine(preset="embedded", seed=3, tokens=160):
    language = compose(LanguageConfig, preset=preset, src_seq_len=128, tgt_seq_len=tokens)
    torch.manual_seed(seed)
    bundle = new_bundle(ModelConfig(d_model=32, n_heads=2, d_ff=64, encoder_layers=1, decoder_layers=1, local_attention=16), language)
    return Engine(bundle, "cpu")

@pytest.fixture(scope="module")
def engine(): return make_engine()

def wish(mode=0, **k): return Metadata(mode, song_length=3000, difficulty=4., **k)

def malformed(stream, language, mode):
    "What of a stream could not be made into objects."
    out = to_hit_objects(groups(stream, language), Timing([TimingPoint(0, 400)]), 1.4, language, mode)
    return {k: v for k, v in out.dropped.items() if k not in HARMLESS}, out.objects

@pytest.mark.parametrize("mode", [0, 1, 2])
def test_grammar_never_yields_a_malformed_group(engine, mode):
    objects = 0
    for made in generate(engine, SAMPLES, [wish(mode)] * 4, range(4), [C.TIMING, C.MAP], sampling=Sampling(top_p=1., temperature=1.5, timing_temperature=1.)):
        s, t = made.streams[C.MAP], made.streams[C.TIMING]
        assert sum(map(len, whole_groups(s.events, False))) == len(s) and s.times == sorted(s.times)
        bad, found = malformed(s, engine.language, mode)
        stuck = any(p.startswith("map") and "also" in p for p in made.problems)
        assert not bad or stuck and max(bad.values()) <= len(made.problems), (bad, made.problems)
        assert all(g[0].type is E.TIME_SHIFT and len(g) == 2 for g in whole_groups(t.events, False)) and len(set(t.times)) == len(t) // 2
        objects += len(found)
    assert objects > 5

def test_without_grammar_there_is_stutter(engine):
    made = generate(engine, SAMPLES, [wish()] * 2, [0, 1], sampling=Sampling(grammar=False))
    assert any(malformed(m.streams[C.MAP], engine.language, 0)[0] for m in made)

@pytest.mark.parametrize("preset", ["v28", "v30", "v31", "v32"])
def test_published_languages(preset):
    "The loop runs in every language, types first or last, with or without brackets."
    e = make_engine(preset, 5, 72)
    made = generate(e, SAMPLES[:24000], [wish()], [1])[0].streams[C.MAP]
    assert made.times == sorted(made.times) or not made.events

def test_same_seed_same_map_alone_or_together(engine):
    together = generate(engine, SAMPLES, [wish(), wish(cs=5.)], [1, 2], [C.TIMING, C.MAP])
    again = generate(engine, SAMPLES, [wish(cs=5.)], [2], [C.TIMING, C.MAP])[0]
    assert again.streams == together[1].streams and again.problems == together[1].problems
    assert together[0].streams != together[1].streams

def test_windows_write_their_own_part(engine):
    "Nothing is written in a window's look-back, nor after its look-ahead begins; encoded once is as good as encoded each time."
    windows = plan(len(SAMPLES), engine.language)
    heard = encode_song(engine, SAMPLES, windows)
    lengths, streams = [], []
    def note(p): lengths.append((p.stage, p.done))
    a = generate(engine, SAMPLES, [wish()], [4], encoded=heard, progress=note)[0]
    assert a == generate(engine, SAMPLES, [wish()], [4])[0]
    assert lengths == [(s, i) for s in ("timing", "map") for i in range(len(windows) + 1)]
    starts = [w.keep_from for w in windows]
    many = [t for m in generate(engine, SAMPLES, [wish()] * 6, range(6), encoded=heard) for t in m.streams[C.MAP].times]
    assert set(np.searchsorted(starts, many, "right")) == set(range(1, len(windows) + 1)), "a window wrote nothing in any row"

@pytest.mark.parametrize("start,end", [(1000, 2000), (None, 800), (2000, None)])
def test_range(engine, start, end):
    made = generate(engine, SAMPLES, [wish()] * 3, [1, 2, 3], start_time=start, end_time=end)
    heads = [t for m in made for e, t in m.streams[C.MAP] if e.type in (E.CIRCLE, E.SLIDER_HEAD, E.SPINNER)]
    assert heads and min(heads) >= (start or 0) - 10 and max(heads) <= (end or 3000) + 10
    for m in made: assert not {"slider without a start", "anchor without a slider", "spinner without a start"} & set(malformed(m.streams[C.MAP], engine.language, 0)[0])

def test_given_timing_is_kept(engine):
    beats = EventStream([e for v in range(0, 3000, 500) for e in (Event(E.TIME_SHIFT, v), Event(E.BEAT))], [v for v in range(0, 3000, 500) for _ in "ab"])
    stages = []
    made = generate(engine, SAMPLES, [wish()], [1], [C.TIMING, C.MAP], [Context(C.TIMING, beats, True)], progress=lambda p: stages.append(p.stage))[0]
    assert made.streams[C.TIMING] == beats and "timing" not in stages and len(beats) == 12

def test_continue_a_map(engine):
    "An unfinished context is written on; what was there stays."
    begun = generate(engine, SAMPLES, [wish()], [1])[0].streams[C.MAP]
    begun = within(begun, False, end=800)
    made = generate(engine, SAMPLES, [wish()], [2], given=[Context(C.MAP, begun)])[0].streams[C.MAP]
    assert made.events[:len(begun)] == begun.events and len(made) > len(begun)

def test_greedy_and_cold(engine):
    a = generate(engine, SAMPLES, [wish()] * 2, [1, 2], [C.TIMING], sampling=Sampling(timing_temperature=0))
    assert a[0].streams == a[1].streams or a[0].problems

def test_cancel_between_tokens(engine):
    with pytest.raises(Cancelled): generate(engine, SAMPLES, [wish()], [1], cancel=lambda: True)
    with pytest.raises(KeyboardInterrupt): generate(engine, SAMPLES, [wish()], [1], progress=lambda p: p.stage == "listening")

def test_guided_run(engine):
    "Negative requests run beside the rows."
    plain = generate(engine, SAMPLES, [wish()], [1])[0]
    guided = generate(engine, SAMPLES, [wish()], [1], sampling=Sampling(guidance=3.), negatives=[wish(cs=9.)])[0]
    assert guided.streams != plain.streams

def test_trouble_is_seen():
    assert trouble(Written([7, 8] * 9, False)) == "stuck in a loop" and trouble(Written([1, 5, 2], True)) == "" and trouble(Written([1], False))
    assert not loops([1, 2, 3, 4])

def test_stuck_windows_are_drawn_again(engine, monkeypatch):
    "A window that does not end is drawn once more with other numbers, and reported."
    from mapperatorinator import generate as room
    calls, real = [], Engine.generate
    def fake(self, job, cancel=None):
        calls.append(len(job.prompts)); out = real(self, job, cancel)
        return [Written(w.ids[:-1] + [99] * 80, False) for w in out] if len(calls) == 1 else out
    monkeypatch.setattr(Engine, "generate", fake)
    made = generate(engine, SAMPLES, [wish()], [1], [C.TIMING], sampling=Sampling(timing_temperature=1.))[0]
    assert "timing at 0.0 s: stuck in a loop, drawn again" in made.problems[0]

def test_keep_until_drops_split_groups():
    t = lambda v: Event(E.TIME_SHIFT, v)
    line = [t(10), Event(E.SLIDER_HEAD), Event(E.POS, 1), Event(E.LAST_ANCHOR), t(500), Event(E.LAST_ANCHOR), t(900), Event(E.SLIDER_END)]
    assert keep_until(line, False, 600) == line[:6] and keep_until(line[:-1], False) == line[:6] and keep_until(line, False) == line
