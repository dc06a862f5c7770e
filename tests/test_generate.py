"Windows become a song: whole groups, stitched in order, repeatable, inside the range asked for."

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mapperatorinator.audio2events import strands_at_once
from mapperatorinator.config import GenerateConfig, LanguageConfig, compose
from mapperatorinator.core import Cancelled, UserError
from mapperatorinator.engine import Engine, Output
from mapperatorinator.events import ContextType, Event, EventStream, EventType
from mapperatorinator.generate import (
    MAX_SILENCE,
    Loudness,
    RowRequest,
    Sampling,
    SongPlan,
    SongRun,
    decoding_problem,
    encode_song,
    generate,
    listen,
    loops,
    make_rules,
    stop_ids,
)
from mapperatorinator.osu.beatmap import Beatmap, TimingPoint
from mapperatorinator.osu.timing import Timing
from mapperatorinator.prompt import Context, Metadata
from mapperatorinator.request import MapRequest, contexts_of, negative_request
from mapperatorinator.groups import (
    MARKS,
    held_columns,
    keep_until,
    objects_between,
    read_groups,
    split_groups,
)
from mapperatorinator.rules import LookBack, LookBackShare
from mapperatorinator.tokenizer import EOS, Tokenizer
from mapperatorinator.unparse import to_hit_objects
from mapperatorinator.windows import changeovers, plan, strands_of
from tiny import tiny_bundle

E, C = EventType, ContextType
SAMPLES = np.random.default_rng(0).standard_normal(3 * 16000).astype(np.float32) / 10
HARMLESS = {
    "slider of no length, made a circle"
}  # every anchor on the head: a matter of places, not of grammar


def make_engine(preset="embedded", seed=3, tokens=160):
    language = compose(LanguageConfig, preset=preset, src_seq_len=128, tgt_seq_len=tokens)
    return Engine(tiny_bundle(language, seed), "cpu")


@pytest.fixture(scope="module")
def engine():
    return make_engine()


def write(
    engine,
    samples,
    requests,
    seeds=(0,),
    outputs=(C.MAP,),
    given=(),
    sampling=Sampling(),
    negatives=None,
    **plan,
):
    "Listen and generate: a row for each request; what is left over is for the plan."
    progress = plan.pop("progress", None)
    cancel = plan.pop("cancel", None)
    song = listen(engine, samples, SongPlan.of(len(samples), engine.language, **plan), progress)
    rows = [RowRequest(*row) for row in zip(requests, seeds, negatives or [None] * len(requests))]
    return generate(
        engine,
        song,
        rows,
        outputs=outputs,
        inputs=given,
        sampling=sampling,
        progress=progress,
        cancel=cancel,
    )


def wish(mode=0, **k):
    return Metadata(mode, song_length=3000, difficulty=4.0, **k)


def malformed(stream, language, mode):
    "What of a stream could not be made into objects."
    out = to_hit_objects(read_groups(stream, language), Timing([TimingPoint(0, 400)]), 1.4, language, mode)
    return {k: v for k, v in out.dropped.items() if k not in HARMLESS}, out.objects


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_grammar_never_yields_a_malformed_group(engine, mode):
    objects = 0
    for made in write(
        engine,
        SAMPLES,
        [wish(mode)] * 4,
        range(4),
        [C.TIMING, C.MAP],
        sampling=Sampling(top_p=1.0, temperature=1.5, timing_temperature=1.0),
    ):
        s = made.streams[C.MAP]
        t = made.streams[C.TIMING]
        assert sum(map(len, split_groups(s.events, False))) == len(s) and s.times == sorted(s.times)
        bad, found = malformed(s, engine.language, mode)
        stuck = any(p.startswith("map") and "also" in p for p in made.problems)
        assert not bad or stuck and max(bad.values()) <= len(made.problems), (bad, made.problems)
        assert (
            all(g[0].type is E.TIME_SHIFT and len(g) == 2 for g in split_groups(t.events, False))
            and len(set(t.times)) == len(t) // 2
        )
        objects += len(found)
    assert objects > 5


def test_without_grammar_there_is_stutter(engine):
    made = write(engine, SAMPLES, [wish()] * 2, [0, 1], sampling=Sampling(grammar=False))
    assert any(malformed(m.streams[C.MAP], engine.language, 0)[0] for m in made)


@pytest.mark.parametrize("preset", ["v28", "v30", "v31", "v32"])
def test_published_languages(preset):
    "The loop runs in every language, types first or last, with or without brackets."
    e = make_engine(preset, 5, 72)
    made = write(e, SAMPLES[:24000], [wish()], [1])[0].streams[C.MAP]
    assert made.times == sorted(made.times) or not made.events


def test_same_seed_same_map_alone_or_together(engine):
    together = write(engine, SAMPLES, [wish(), wish(cs=5.0)], [1, 2], [C.TIMING, C.MAP])
    again = write(engine, SAMPLES, [wish(cs=5.0)], [2], [C.TIMING, C.MAP])[0]
    assert again.streams == together[1].streams and again.problems == together[1].problems
    assert together[0].streams != together[1].streams


def test_windows_write_their_own_part(engine):
    "Nothing is written in a window's look-back, nor after its look-ahead begins; encoded once is as good as encoded each time."
    song = listen(engine, SAMPLES)
    windows = song.plan.windows
    lengths = []

    def note(p):
        lengths.append((p.stage, p.done))

    a = generate(engine, song, [RowRequest(wish(), 4)], progress=note)[0]
    assert a == write(engine, SAMPLES, [wish()], [4])[0]
    assert lengths == [("timing and map", i) for i in range(len(windows) + 2 + 1)], (
        "the map follows two windows behind"
    )
    starts = [w.keep_from for w in windows]
    made = generate(engine, song, [RowRequest(wish(), seed) for seed in range(6)])
    many = [t for m in made for t in m.streams[C.MAP].times]
    assert set(np.searchsorted(starts, many, "right")) == set(range(1, len(windows) + 1)), (
        "a window wrote nothing in any row"
    )


@pytest.mark.parametrize("lookahead", [0.0, 0.125, 0.4])
def test_contexts_side_by_side(engine, monkeypatch, lookahead):
    "A context that follows the one before hears all it would hear afterwards."
    streams = lambda: [
        m.streams
        for m in write(
            engine, SAMPLES, [wish(), wish(cs=5.0)], [1, 2], [C.TIMING, C.MAP, C.SV], lookahead=lookahead
        )
    ]
    together = streams()
    monkeypatch.setattr(SongRun, "lag", lambda self: len(self.plan.windows))
    assert together == streams() and all(len(stream) for row in together for stream in row.values())


@pytest.mark.parametrize("start,end", [(1000, 2000), (None, 800), (2000, None)])
def test_range(engine, start, end):
    made = write(engine, SAMPLES, [wish()] * 3, [1, 2, 3], start_time=start, end_time=end)
    heads = [t for m in made for e, t in m.streams[C.MAP] if e.type in (E.CIRCLE, E.SLIDER_HEAD, E.SPINNER)]
    assert heads and min(heads) >= (start or 0) - 10 and max(heads) <= (end or 3000) + 10
    for m in made:
        assert not {"slider without a start", "anchor without a slider", "spinner without a start"} & set(
            malformed(m.streams[C.MAP], engine.language, 0)[0]
        )


def test_given_timing_is_kept(engine):
    beats = EventStream(
        [e for v in range(0, 3000, 500) for e in (Event(E.TIME_SHIFT, v), Event(E.BEAT))],
        [v for v in range(0, 3000, 500) for _ in "ab"],
    )
    stages = []
    made = write(
        engine,
        SAMPLES,
        [wish()],
        [1],
        [C.TIMING, C.MAP],
        [Context(C.TIMING, beats, True)],
        progress=lambda p: stages.append(p.stage),
    )[0]
    assert made.streams[C.TIMING] == beats and "timing" not in stages and len(beats) == 12


def test_continue_a_map(engine):
    "An unfinished context is written on; what was there stays."
    begun = write(engine, SAMPLES, [wish()], [1])[0].streams[C.MAP]
    begun = objects_between(begun, False, end=800)
    made = write(engine, SAMPLES, [wish()], [2], given=[Context(C.MAP, begun)])[0].streams[C.MAP]
    assert made.events[: len(begun)] == begun.events and len(made) > len(begun)


def test_greedy_and_cold(engine):
    a = write(engine, SAMPLES, [wish()] * 2, [1, 2], [C.TIMING], sampling=Sampling(timing_temperature=0))
    assert a[0].streams == a[1].streams or a[0].problems


def test_cancel_between_tokens(engine):
    with pytest.raises(Cancelled):
        write(engine, SAMPLES, [wish()], [1], cancel=lambda: True)
    with pytest.raises(KeyboardInterrupt):
        write(engine, SAMPLES, [wish()], [1], progress=lambda p: p.stage == "listening")


def test_guided_run(engine):
    "Negative requests run beside the rows."
    plain = write(engine, SAMPLES, [wish()], [1])[0]
    guided = write(engine, SAMPLES, [wish()], [1], sampling=Sampling(guidance=3.0), negatives=[wish(cs=9.0)])[
        0
    ]
    assert guided.streams != plain.streams


def test_beams(engine):
    "A song can be searched instead of drawn, in every row for itself; windows stay whole, also side by side."
    for parallel in (False, True):
        run = lambda wishes, seeds: write(
            engine, SAMPLES[:24000], wishes, seeds, sampling=Sampling(num_beams=2), parallel=parallel
        )
        made = run([wish(), wish(cs=6.0)], [1, 2])
        assert made[1].streams == run([wish(cs=6.0)], [2])[0].streams
        s = made[0].streams[C.MAP]
        assert (
            len(s) and sum(map(len, split_groups(s.events, False))) == len(s) and s.times == sorted(s.times)
        )


def test_trouble_is_seen():
    assert (
        decoding_problem(Output([7, 8] * 9, False)) == "stuck in a loop"
        and decoding_problem(Output([1, 5, 2], True)) == ""
        and decoding_problem(Output([1], False))
    )
    assert not loops([1, 2, 3, 4])


def test_stuck_windows_are_drawn_again(engine, monkeypatch):
    "A window that does not end is drawn once more with other numbers, and reported."
    calls, real = [], Engine.generate

    def fake(self, job, cancel=None):
        calls.append(len(job.prompts))
        out = real(self, job, cancel)
        return [Output(w.ids[:-1] + [99] * 80, False) for w in out] if len(calls) == 1 else out

    monkeypatch.setattr(Engine, "generate", fake)
    made = write(engine, SAMPLES, [wish()], [1], [C.TIMING], sampling=Sampling(timing_temperature=1.0))[0]
    assert "timing at 0.0 s: stuck in a loop, drawn again" in made.problems[0]


def test_keep_until_drops_split_groups():
    t = lambda v: Event(E.TIME_SHIFT, v)
    line = [
        t(10),
        Event(E.SLIDER_HEAD),
        Event(E.POS, 1),
        Event(E.LAST_ANCHOR),
        t(500),
        Event(E.LAST_ANCHOR),
        t(900),
        Event(E.SLIDER_END),
    ]
    assert (
        keep_until(line, False, 600) == line[:6]
        and keep_until(line[:-1], False) == line[:6]
        and keep_until(line, False) == line
    )


@pytest.mark.parametrize("preset", ["embedded", "v28", "v32"])
def test_mania_holds_are_whole(preset):
    "Whatever is drawn, every hold has a beginning and an end, in its own column and across windows."
    e = make_engine(preset, 5, 200)
    for made in write(e, SAMPLES[:32000], [wish(3)] * 2, [1, 2], sampling=Sampling(top_p=1.0)):
        held = set()
        first = e.language.types_first
        for group in split_groups(made.streams[C.MAP].events, first):
            kind = next(x.type for x in group if x.type in MARKS)
            column = next(x.value for x in group if x.type is E.MANIA_COLUMN)
            assert column < 4 and (column in held) == (kind in (E.HOLD_NOTE_END, E.HOLD_NOTE_SUSTAIN))
            if kind is E.HOLD_NOTE:
                held.add(column)
            if kind is E.HOLD_NOTE_END:
                held.remove(column)
        assert held == held_columns(made.streams[C.MAP].events, first)


@pytest.mark.parametrize(
    "preset,types,wanted",
    [
        ("v28", [C.NO_HS, C.TIMING, C.KIAI], [C.MAP]),
        ("v28", [C.GD], [C.MAP]),
        ("v28", [C.TIMING], [C.KIAI]),
        ("v31", [C.GD, C.TIMING], [C.MAP]),
        ("v32", [C.TIMING], [C.MAP]),
        ("v32", [], [C.TIMING]),
    ],
)
def test_contexts_of_a_map(preset, types, wanted):
    "Hitsounds only, a guest difficulty, a given grid, timing only: what is given is kept and told, what is wanted is written."
    e = make_engine(preset, 5, 300)
    old = a_map()
    given = contexts_of(old, e.language, types, 3000)
    told = []
    real = e.generate
    e.generate = lambda job, cancel=None: told.append(job.prompts[0]) or real(job, cancel)
    made = write(e, SAMPLES[:32000], [wish()], [1], wanted, given)[0]
    assert set(made.streams) == set(wanted)
    for context in given:
        assert any(e.tokenizer.context_sos[context.type] in ids for ids in told), context.type
        if context.type is C.NO_HS:
            assert not {E.HITSOUND, E.VOLUME} & {x.type for x in context.stream.events}
        if context.type is C.GD:
            assert context.metadata.gamemode == 0


def a_map():
    "Three circles and a slider on a grid."
    return Beatmap.parse(
        "osu file format v14\n[Difficulty]\nSliderMultiplier:1\n[TimingPoints]\n0,500,4,2,0,60,1,0\n[HitObjects]\n"
        "100,100,0,1,0\n200,100,500,1,2\n100,200,900,2,0,L|200:200,1,100\n300,300,2500,1,0\n".encode()
    )


def test_what_no_model_can_write_is_told(engine):
    with pytest.raises(UserError, match="cannot write"):
        write(engine, SAMPLES, [wish()], [1], [C.KIAI])
    with pytest.raises(UserError, match="parallel"):
        write(engine, SAMPLES, [wish()], [1], given=[Context(C.MAP)], parallel=True)


def test_a_part_is_written_into_a_map(engine):
    "Objects before a range are handed in whole, so that the model goes on from them."
    old = a_map()
    given = contexts_of(old, engine.language, [C.TIMING], 3000) + contexts_of(
        old, engine.language, [C.MAP], 3000, before=1000
    )
    assert (
        given[1].stream.times[-1] > 1000 and not given[1].finished
    )  # the slider from 900 ms is over at 1400 ms
    made = write(engine, SAMPLES, [wish()], [1], given=given, start_time=1000, end_time=2000)[0].streams[
        C.MAP
    ]
    assert min(made.times, default=1400) >= 1390


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_windows_side_by_side(batch):
    "Parallel windows know nothing of each other: the batch does not matter, and every group is whole."
    e = make_engine()
    e.max_batch_size = batch
    made = write(e, SAMPLES, [wish(), wish(cs=5.0)], [1, 2], [C.TIMING, C.MAP], parallel=True)
    alone = write(make_engine(), SAMPLES, [wish(cs=5.0)], [2], [C.TIMING, C.MAP], parallel=True)[0]
    assert made[1].streams == alone.streams and len(alone.streams[C.MAP])
    assert sum(map(len, split_groups(alone.streams[C.MAP].events, False))) == len(alone.streams[C.MAP])


@pytest.mark.parametrize("mode,strands", [(0, 2), (3, 3), (0, 50)])
def test_strands(engine, mode, strands):
    "A map written in strands is whole, in order and covers the song; a row does not notice the others; the first strand begins as the song does."
    song = SAMPLES[: 36000 if strands == 2 else 24000]
    ask = [wish(mode), wish(mode, cs=5.0)]
    both = write(engine, song, ask, [1, 2], strands=strands)
    alone = write(engine, song, ask[1:], [2], strands=strands)[0]
    assert both[1].streams == alone.streams
    for made in both:
        stream = made.streams[C.MAP]
        stuck = any("also when drawn again" in problem for problem in made.problems)
        assert stream.times == sorted(stream.times)
        assert strands != 2 or stream.times[-1] > 1000
        assert sum(map(len, split_groups(stream.events, False))) == len(stream)
        assert stuck or not malformed(stream, engine.language, mode)[0]
    if strands == 2:
        first, second = strands_of(plan(len(song), engine.language), 2, 16000)
        own = min(second[0].keep_from + 100, *changeovers([first, second]))
        in_one = write(engine, song, ask[:1], [1])[0]
        early = lambda made: [e for e, at in made.streams[C.MAP] if at < own]
        assert early(both[0]) == early(in_one) != []


def test_strands_with_guidance_are_each_alone(engine):
    "Where a request leads away from another, jobs cannot be merged: the same strands one after another."
    guided = Sampling(guidance=1.5)
    away = [Metadata(0, song_length=3000, difficulty=1.0)]
    song = SAMPLES[:36000]
    made = write(engine, song, [wish()] * 2, [1, 2], sampling=guided, negatives=away * 2, strands=2)
    assert max(m.streams[C.MAP].times[-1] for m in made if m.streams[C.MAP].times) > 1000


def test_strands_write_whole_maps(engine):
    with pytest.raises(UserError, match="strands=1"):
        write(engine, SAMPLES, [wish()], [1], given=[Context(C.MAP)], strands=2)


def test_as_many_strands_as_pay(engine):
    "A strand is ten windows at least, and all rows together are eight at most; what is asked for is held to the batch."
    ask = lambda n, **settings: [MapRequest.of(GenerateConfig(difficulty=4.0, **settings))] * n
    long = SongPlan.of(20 * len(SAMPLES), engine.language)
    short = SongPlan.of(len(SAMPLES), engine.language)
    assert len(short.windows) < 20 < 80 < len(long.windows)
    assert [strands_at_once(long, ask(n, strands=0)) for n in (1, 2, 4, 8, 9)] == [8, 4, 2, 1, 1]
    assert strands_at_once(short, ask(1, strands=0)) == 1
    assert strands_at_once(long, ask(1)) == 1
    assert strands_at_once(long, ask(4, strands=6, max_batch_size=16)) == 4
    assert strands_at_once(replace(long, parallel=True), ask(1, strands=4)) == 1
    assert strands_at_once(long, ask(1, strands=4), [Context(C.MAP)]) == 1


def test_requests_are_heard_with_the_song():
    "Where stars go to the encoder, rows with other stars hear another song, and a row is as if it were alone."
    language = compose(LanguageConfig, preset="v31", src_seq_len=128, tgt_seq_len=96)
    e = Engine(
        tiny_bundle(language, 3, conditions=["difficulty", "mapper", "song_position"], num_mappers=3), "cpu"
    )
    a = wish()
    b = Metadata(0, song_length=3000, difficulty=8.0)
    together = write(e, SAMPLES[:24000], [a, b], [1, 1], [C.TIMING])
    assert together[1].streams == write(e, SAMPLES[:24000], [b], [1], [C.TIMING])[0].streams
    states = [encode_song(e, SAMPLES, plan(len(SAMPLES), language), metadata=m).states for m in (a, b)]
    assert not torch.allclose(*states)


def test_a_lull_in_a_loud_song_is_drawn_again(monkeypatch):
    "A window that says it is done while the song goes on is drawn once more, and told; in a quiet song it is left alone."
    e = make_engine(tokens=200)
    windows = 5
    loud = np.random.default_rng(0).standard_normal(8 * 16000).astype(np.float32)
    real = Engine.generate
    eos = e.tokenizer.context_eos[C.MAP]

    def quiet(self, job, cancel=None):
        return [Output([eos], True) for _ in job.prompts]

    monkeypatch.setattr(Engine, "generate", quiet)
    grid = Context(C.TIMING, finished=True)
    problems = write(e, loud, [wish()], [1], given=[grid])[0].problems
    assert len(problems) == 1 and "empty though the song is loud, also when drawn again" in problems[0]
    assert not write(e, loud * 0, [wish()], [1], given=[grid])[0].problems
    assert Loudness(loud, 16000).loud(0, MAX_SILENCE)


def test_dense_maps_leave_room_to_write():
    "Of a stream at 300 BPM whose tokens would fill the model the oldest give way: a quarter stays free, and the end of the stream is in the prompt."
    e = make_engine(tokens=400)
    notes = [
        x
        for t in range(0, 3000, 20)
        for x in (
            Event(E.TIME_SHIFT, t),
            Event(E.SNAPPING, 4),
            Event(E.POS, 9),
            Event(E.POS_REFINE, 3),
            Event(E.HITSOUND, 0),
            Event(E.VOLUME, 60),
            Event(E.CIRCLE),
        )
    ]
    dense = EventStream(notes, [t for t in range(0, 3000, 20) for _ in range(7)])
    told, real = [], e.generate
    e.generate = lambda job, cancel=None: told.extend(job.prompts) or real(job, cancel)
    write(e, SAMPLES, [wish()], [1], given=[Context(C.TIMING, finished=True), Context(C.MAP, dense)])
    assert max(map(len, told)) <= 300 < 400 - 90 and min(map(len, told)) > 100
    assert all(ids[-1] == e.tokenizer.id(E.CIRCLE) for ids in told)


def test_negatives_differ_where_they_should():
    m = wish(mapper_id=3, descriptors=["a"])
    assert (
        negative_request(m, ["b"]).mapper_id == 3
        and negative_request(m, ["b"]).descriptors == ["b"]
        and negative_request(wish(mapper_id=3)).mapper_id is None
    )


# --- where a window ends: as measured on the reference of July 2026 (PR 119 and the look-back) --------------------------


STOPS = {"v28": ((17, 426), (509, 836)), "v30": ((3, 1641), (1970, 3280)), "v32": ((9, 827), (992, 1647))}
LAST_KEPT = {
    "v28": 490,
    "v30": 1965,
    "v32": 982,
}  # the last time of a middle window that is its own, in steps


def in_language(preset, **sizes):
    c = compose(LanguageConfig, preset=preset, **sizes)
    return c, Tokenizer.from_config(c)


@pytest.mark.parametrize("preset", STOPS)
def test_a_middle_window_ends_at_the_ids_of_the_reference(preset):
    "Times of the look-back and of the look-ahead end it; at the edges of the song only the end token does."
    c, t = in_language(preset)
    ends = {EOS, *(i for context, i in t.context_eos.items() if context is C.MAP)}
    back, ahead = (set(range(*ids)) for ids in STOPS[preset])
    margins = 0.5 * c.window_ms, 0.4 * c.window_ms
    assert set(stop_ids(t, C.MAP, *margins)) == ends | back | ahead
    assert set(stop_ids(t, C.MAP, 0, margins[1])) == ends | ahead  # the first
    assert set(stop_ids(t, C.MAP, margins[0], 0)) == ends | back  # the last


@pytest.mark.parametrize("preset", STOPS)
@pytest.mark.parametrize("is_last", [False, True])
def test_what_a_window_keeps_ends_where_the_reference_trims(preset, is_last):
    "The step before the edge stays with its half step, the step after it is left to the next window."
    c, t = in_language(preset)
    song = SongPlan.of(3 * c.window_samples, c, lookback=0.5, lookahead=0.4)
    window = replace(song.windows[1], last=is_last, time_ms=1234)
    writer = SimpleNamespace(
        engine=SimpleNamespace(language=c, tokenizer=t), plan=song, types_first=c.types_first
    )
    place = SimpleNamespace(window=window, row=SimpleNamespace(contexts=[Context(C.MAP)]))
    kept = LAST_KEPT[preset]
    groups = [[t.id(E.TIME_SHIFT, kept + step), t.id(E.CIRCLE)] for step in (-1, 0, 1)]
    ids = [i for group in groups for i in (group[::-1] if c.types_first else group)]
    written = Output([*ids, EOS], stopped=True)
    times = [e.value for e in SongRun.kept(writer, place, 0, written) if e.type is E.TIME_SHIFT]
    steps = (-1, 0, 1) if is_last else (-1, 0)
    assert times == [1234 + 10 * (kept + step) + 5 for step in steps]


@pytest.mark.parametrize("preset", STOPS)
def test_the_look_back_is_closed_to_languages_with_the_time_first(preset):
    "V30 and V32 cannot draw a time of the look-back; V28 gives its share to the end, so that it stays the chance of nothing more."
    c, t = in_language(preset)
    rules = make_rules(Sampling(grammar=False), t, c, C.MAP, lookback_ms=0.5 * c.window_ms)
    kinds = {type(rule) for rule in rules} & {LookBack, LookBackShare}
    assert kinds == {LookBackShare if preset == "v28" else LookBack}
    names = [type(rule).__name__ for rule in rules]
    assert names.index("MonotonicTime") < names.index(next(iter(kinds)).__name__) < names.index("TopP")
    assert not {LookBack, LookBackShare} & {
        type(r) for r in make_rules(Sampling(), t, c, C.MAP, lookback_ms=0)
    }
