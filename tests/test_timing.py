"""Timing: planted tempos come back, by ear and from beats; bad input is refused in a sentence."""

from dataclasses import replace

import numpy as np, pytest
from mapperatorinator.core import UserError
from mapperatorinator.synth.choreography import Section
from mapperatorinator.events import Event, EventStream, EventType as E
from mapperatorinator.osu.beatmap import Beatmap, Circle, TimingPoint
from mapperatorinator.osu.timing import Timing
from mapperatorinator.timing.octave import Passage, score_lines
from mapperatorinator.synth.planted import plant
from mapperatorinator.timing.rhythm import Ear, Line
from mapperatorinator.synth.songs import Style, compose_song
from mapperatorinator.timing.beats import Beats, count_beats, fit_beats, straight_pieces
from mapperatorinator.metrics import score_timing
from mapperatorinator.timing.providers import (
    FPS,
    SURE,
    HeardGrid,
    Voting,
    auto,
    find_timing,
    from_model,
    grid,
    manual,
    pulses,
    reconcile,
    shifted,
    shifted_passes,
    super_timing,
)
from parity import timing as reference

STYLE = Style(groove="rock", busy=0.6, jitter=2.0)


def sections(*parts):  # (bpm, meter, bars) -> sections end to end
    out, at = [], 500
    for i, (bpm, meter, bars) in enumerate(parts):
        out.append(Section("chorus" if i % 2 else "verse", at, bpm, meter, bars, 0.8))
        at = round(out[-1].end_ms)
    return out


def song_of(seed, *parts):
    s = sections(*parts)
    return compose_song(seed, s[-1].end_ms / 1000 + 0.5, sections=s, style=STYLE)


def score(song, estimate):
    return score_timing(estimate, Timing(song.beatmap.timing_points), song.beats[0] - 23, song.beats[-1] - 23)


@pytest.mark.parametrize("seed,bpm", [(1, 128), (2, 174.0), (3, 145.5), (4, 93), (5, 162.9), (6, 200)])
def test_planted_bpm_and_offset(seed, bpm):
    song = song_of(seed, (bpm, 4, round(30 * bpm / 240)))
    s = score(song, grid(song.samples, song.sample_rate))
    assert s.octave
    if bpm > 100:
        assert s.right and s.median <= 5 and s.p95 <= 8 and s.downbeats == 1


@pytest.mark.parametrize("bpm", [60, 90, 180, 300])
def test_a_metronome_has_the_tempo_of_its_clicks(bpm):
    x = np.zeros(16000 * 20, np.float32)
    x[np.rint(np.arange(0.5, 20, 60 / bpm) * 16000).astype(int)] = 1
    noise = np.random.default_rng(bpm).normal(0, 0.002, len(x)).astype(np.float32)
    assert grid(x + noise, 16000).bpm == pytest.approx(bpm, rel=2e-3)


@pytest.mark.parametrize("number,plain", [(7, False), (13, False), (43, False), (2, True), (7, True)])
def test_planted_songs_slow_ones_and_three_four(number, plain):
    song = plant(number, plain=plain)
    s = score_timing(grid(song.render(), 16000), song.timing, *song.span)
    assert s.right and s.median <= 6


def test_tempo_change():
    song = song_of(8, (160, 4, 12), (172, 4, 14))
    found = grid(song.samples, song.sample_rate)
    assert [round(p.bpm) for p in found.red] == [160, 172]
    s = score(song, found)
    assert s.right and s.median <= 5 and abs(found.red[1].time - (song.sections[1].start_ms - 23)) < 400


def test_same_sound_same_answer():
    song = song_of(9, (140, 4, 8))
    a, b = (grid(song.samples, song.sample_rate) for _ in range(2))
    assert a.points == b.points and a.confidence == b.confidence


def test_other_sample_rates():
    song = song_of(9, (140, 4, 12))
    up = np.interp(
        np.arange(int(len(song.samples) * 44100 / 16000)) * 16000 / 44100,
        np.arange(len(song.samples)),
        song.samples,
    )
    found = grid(up, 44100)
    assert abs(found.bpm / 140 - 1) < 0.002 and score(song, found).median <= 6


def events(times, downbeats=None):
    out = EventStream()
    for i, t in enumerate(times):
        out.append(Event(E.TIME_SHIFT, int(t)), int(t))
        out.append(
            Event(E.TIMING_POINT if i == 0 else E.MEASURE if downbeats is None and i % 4 == 0 else E.BEAT),
            int(t),
        )
    return out


@pytest.mark.parametrize("bpm", [60, 128, 174, 187.5, 240])
def test_beats_on_a_raster(bpm):
    t = 1234 + np.arange(90) * 60000 / bpm
    found = from_model(events=events(t // 10 * 10 + 5))
    assert (
        len(found.red) == 1 and found.red[0].bpm == pytest.approx(bpm, rel=1e-3) and found.red[0].meter == 4
    )
    assert max(abs(x - found.resnap(x, 1, 1e9)) for x in t) < 8 and found.confidence > 0.9


def test_beats_missing_extra_and_far():
    rng = np.random.default_rng(0)
    t = 500 + np.arange(120) * 400.0
    t = np.delete(t + rng.normal(0, 6, 120), rng.choice(np.arange(1, 119), 12, replace=False))
    t = np.sort(np.concatenate([t, rng.choice(t, 6, replace=False) + 130]))
    found = from_model(events=events(t, downbeats=False))
    assert len(found.red) <= 2 and found.bpm == pytest.approx(150, rel=1e-3)


def test_beats_with_a_change():
    t = np.concatenate([1000 + np.arange(64) * 500.0, 33000 + np.arange(64) * 400.0])
    found = from_model(events=events(t))
    assert [round(p.bpm, 2) for p in found.red] == [120, 150] and abs(found.red[-1].time - 33000) <= 500


def test_counting():
    index, keep = count_beats(np.array([0, 1, 2, 3.4, 4, 6, 7, 8.0]))
    assert list(index[keep][[-1, 0]]) == [8, 0] and keep.sum() >= 7


def test_pieces_are_straight_and_whole():
    t = np.concatenate([np.arange(40) * 0.5, 20 + np.arange(40) * 0.4])
    assert straight_pieces(t, np.arange(80)) in ([(0, 40), (40, 80)], [(0, 41), (41, 80)])
    assert straight_pieces(np.arange(50) * 0.4, np.arange(50)) == [(0, 50)]


def test_network_speaks_for_its_beats():
    song = song_of(10, (140, 4, 12))
    said = pulses(song.beats / 1000 - 0.023, len(song.samples) / 16000)
    passage = Passage.of(Ear.of(song.samples, 16000, beats=said, hop_ms=1000 / FPS))
    lines = [Line(song.beats[0] / 1000, 60 / bpm) for bpm in (140, 280)]
    one, two = score_lines(passage, lines, 2.0) - score_lines(passage, lines, 0.0)
    assert one > two + 0.5


@pytest.mark.xfail(
    reason="halves as loud as beats: 300 BPM scores 5.8, the true 150 scores 4.2 (measured); of ten such songs with other seeds nine are heard right",
    strict=True,
)
def test_three_four_of_equal_halves():
    song = song_of(7, (150, 3, 48))
    assert score(song, grid(song.samples, song.sample_rate)).right


def test_auto_takes_the_best():
    song = song_of(12, (150, 4, 16))
    assert auto(song.samples, bpm=99.5, offset=12).provider == "manual"
    assert (
        auto(
            song.samples, beatmap=Beatmap(timing_points=[TimingPoint(5, 400)], hit_objects=[Circle(0, 0, 9)])
        ).provider
        == "reference"
    )
    t = song.beats - 23
    both = auto(song.samples, events=events(t // 10 * 10))
    assert both.provider == "auto" and both.confidence > 0.9 and score(song, both).median <= 5
    assert auto(song.samples).provider == "grid"
    known = auto(song.samples, bpm=150)
    assert known.bpm == 150 and score(song, known).median <= 5
    assert (auto(song.samples, offset=77).offset, auto(song.samples, offset=77).bpm) == (77, 150)


@pytest.mark.parametrize(
    "options,says",
    [
        (dict(provider="manual"), "bpm"),
        (dict(provider="manual", bpm=120), "offset"),
        (dict(provider="manual", bpm=float("nan"), offset=0), "bpm"),
        (dict(provider="manual", bpm=-5, offset=0), "bpm"),
        (dict(provider="reference"), "red line"),
        (dict(provider="model"), "beats"),
        (dict(provider="nothing"), "choose one of"),
    ],
)
def test_refusals(options, says):
    with pytest.raises(UserError, match=says):
        find_timing(np.zeros(64000), 16000, **options)


def test_bad_audio():
    with pytest.raises(UserError, match="onsets"):
        find_timing(np.zeros(64000, np.float32))
    with pytest.raises(UserError, match="two seconds"):
        find_timing(np.ones(1000, np.float32))
    with pytest.raises(UserError, match="not numbers"):
        find_timing(np.full(64000, np.nan))


def test_anything_that_sounds_has_a_tempo():
    rng = np.random.default_rng(0)
    for x in (
        rng.normal(size=16000 * 4),
        np.sin(np.arange(16000 * 5) / 9) * 0.5,
        np.r_[np.zeros(32000), 1, np.zeros(32000)],
    ):
        try:
            found = find_timing(x.astype(np.float32))
        except UserError:
            continue
        assert 30 < found.bpm < 400 and found.confidence < 0.9


def listener(song, error=8.0, missing=0.1):
    "Writes the beats of a song, late as the audio it gets is, on a raster of 10 ms."
    heard = []

    def listen(songs):
        out = []
        for x in songs:
            rng = np.random.default_rng(len(heard))
            heard.append(len(x))
            late = (len(x) - len(song.samples)) / 16
            times = (song.beats - 23 + late + rng.normal(0, error, len(song.beats))) // 10 * 10 + 5
            kept = (times > 0) & (rng.random(len(times)) > missing)
            bars = np.isin(song.beats, song.downbeats)
            out.append(
                EventStream(
                    [Event(E.MEASURE if b else E.BEAT) for b in bars[kept]], times[kept].astype(int).tolist()
                )
            )
        return out

    return listen, heard


def test_twenty_passes_are_better_than_one():
    song = song_of(13, (150, 4, 16))
    listen, heard = listener(song)
    found = super_timing(song.samples, listen=listen)
    assert len(heard) == 20 and len(set(heard)) > 10 and found.provider == "super"
    s = score(song, found)
    assert s.right and s.median <= 2 and s.downbeats == 1 and found.red[0].meter == 4


def test_a_budget_stops_the_passes():
    song = song_of(13, (150, 4, 8))
    listen, heard = listener(song)
    seen = []
    voting = Voting(budget=0.0, progress=lambda p: seen.append((p.stage, p.done, p.total)))
    shifted_passes(song.samples, 16000, listen, voting)
    assert len(heard) == 5 and seen[0] == ("super timing", 0, 20) and seen[-1] == ("super timing", 20, 20)


def test_shifting_moves_the_sound():
    x = np.zeros(16000, np.float32)
    x[8000] = 1
    assert shifted(x, 16000, 100).argmax() == 9600 and shifted(x, 16000, -100).argmax() == 6400


def test_auto_asks_the_vote_only_in_doubt():
    song = song_of(12, (150, 4, 16))
    listen, heard = listener(song)
    found = auto(song.samples, listen=listen)
    assert len(heard) == 1 and found.provider == "auto" and score(song, found).right

    auto(song.samples, listen=half_as_fast(listen))
    assert len(heard) == 1 + 1  # a sure ear does not ask
    dull = song.samples + 3 * np.random.default_rng(0).standard_normal(len(song.samples)).astype(np.float32)
    assert auto(dull, listen=half_as_fast(listen)).confidence < SURE
    assert len(heard) == 2 + 21


def half_as_fast(listen):
    "Every other beat, 140 ms late."

    def confused(songs):
        return [EventStream(s.events[::2], [t + 140 for t in s.times[::2]]) for s in listen(songs)]

    return confused


def beats_of(found):
    return [(p.time, p.beat_length) for p in found.red]


@pytest.mark.parametrize("seed,bpm,meter", [(12, 150, 4), (3, 145.5, 4), (5, 96, 3)])
def test_auto_has_the_beats_of_grid(seed, bpm, meter):
    "Whatever a network says of beats and bars: where the ear is sure, it can move a seam to a bar and no more."
    song = song_of(seed, (bpm, meter, 14))
    own = grid(song.samples)
    assert own.confidence >= SURE
    rng = np.random.default_rng(seed)
    noise = rng.random(len(song.samples) // 256)
    listen = half_as_fast(listener(song)[0])
    for said in (
        dict(downbeats=noise),
        dict(listen=listen),
        dict(events=events(np.arange(300, 20_000, 333))),
    ):
        found = auto(song.samples, **said)
        assert [b for _, b in beats_of(found)] == [b for _, b in beats_of(own)]
        beats = (beats_of(found)[0][0] - beats_of(own)[0][0]) / beats_of(own)[0][1]
        assert abs(beats - round(beats)) < 0.01


def test_auto_changes_tempo_where_grid_does():
    song = song_of(8, (160, 4, 12), (172, 4, 14))
    noise = np.random.default_rng(0).random(len(song.samples) // 256)
    assert beats_of(auto(song.samples, downbeats=noise))[1:] == beats_of(grid(song.samples))[1:] != []


def test_a_doubtful_ear_gives_way_to_beats_that_it_trusts_more():
    song = song_of(12, (150, 4, 16))
    own = HeardGrid.of(Ear.of(song.samples, 16000))
    late = [replace(p, line=p.line.later(0.3)) for p in own.segments]
    wrong = replace(own, segments=late, main=own.main._replace(octave=0.3))
    assert wrong.confidence < SURE
    written = Beats.of(events(song.beats - 23))
    found, agreed = reconcile(wrong, written, "model")
    assert not agreed and found.confidence > wrong.confidence and score(song, found).right


def test_an_option_that_nobody_knows():
    with pytest.raises(UserError, match="No option of timing is 'tempo'"):
        find_timing(np.zeros(64000), 16000, "manual", tempo=120)


def test_sections_by_hand():
    found = manual(bpm=[160, 172.5], offset=[617, 20117], meter=[4, 3])
    assert [(p.time, round(p.bpm, 3), p.meter) for p in found.red] == [(617, 160, 4), (20117, 172.5, 3)]


# beats, then what the reference project makes of them (leniency 20 ms unless said); T/M/B: a tempo, a bar, a beat begins
every = lambda start, step, n, bar=4: [
    ("T" if i == 0 else "M" if i % bar == 0 else "B", int(start + i * step)) for i in range(n)
]
MEASURED = {
    "a": (every(1000, 500, 17), ["1000,500,4"]),
    "b": (every(500, 60000 / 175, 33), ["500,342.85714285714283,4"]),
    "c": (
        [(k, t + (7 * i % 11) - 5) for i, (k, t) in enumerate(every(500, 60000 / 175, 33))],
        ["495,342.85714285714283,4"],
    ),
    "d": (every(0, 400, 13, 3), ["0,400,3"]),
    "e": ([("M" if i in (0, 4, 8) else "B", 250 + 500 * i) for i in range(10)], ["250,500,4"]),
    "f": (every(0, 500, 9) + every(4500, 400, 13), ["0,500,4", "4500,400,4"]),
    "i": (
        [("T", 0)] + [("M" if t in (2000, 3500, 5500) else "B", t) for t in range(500, 5501, 500)],
        ["0,500,4", "2000,500,3", "3500,500,4"],
    ),
    "j": ([(k, t // 10 * 10 + 5) for k, t in every(0, 60000 / 174, 65)], ["5,344.82758620689657,4"]),
    "o": (every(100, 60000 / 128.5, 65), ["100,466.9260700389105,4"]),
}


@pytest.mark.parametrize("name", MEASURED)
def test_beats_as_measured_on_the_reference(name):
    markers, lines = MEASURED[name]
    ours = fit_beats(Beats.of(reference.stream(markers)))
    theirs = [reference.line(x) for x in lines]
    assert reference.same(reference.raw_lines(markers, 20), theirs) and reference.compare(
        ours, theirs, markers, 20
    )
    assert len(ours) <= len(lines) and ours[0].meter == int(lines[0][-1])


def test_votes_as_measured_on_the_reference():
    from mapperatorinator.timing.votes import agree

    same = agree([reference.stream(every(250, 500, 59))] * 20, 30_000)
    assert len(same) == 60 and (same.times * 1000).round().tolist() == [
        250 + 500 * i for i in range(60)
    ]  # the last one imagined
    assert same.starts.sum() == 1 and same.bars.nonzero()[0].tolist() == list(range(0, 60, 4))
    change = every(250, 500, 30) + every(15250, 400, 37)
    lines = fit_beats(agree([reference.stream(change)] * 20, 30_000))
    assert [(p.time, round(p.beat_length, 6), p.meter) for p in lines] == [(250, 500, 4), (15250, 400, 4)]


def test_nothing_to_fit():
    assert fit_beats(Beats.of(EventStream())) == []
    assert [p.time for p in fit_beats(Beats.of(reference.stream([("T", 777)])))] == [777]
