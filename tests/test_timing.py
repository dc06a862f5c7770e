"""Timing: planted tempos come back, by ear and from beats; bad input is refused in a sentence."""
import numpy as np, pytest
from mapperatorinator.core import UserError
from mapperatorinator.choreography import Section
from mapperatorinator.events import Event, EventStream, EventType as E
from mapperatorinator.osu.beatmap import Beatmap, Circle, TimingPoint
from mapperatorinator.osu.timing import Timing
from mapperatorinator.synth import Style, compose_song
from mapperatorinator.timing import (FPS, auto, count_beats, find_timing, fit_beats, grid, model, pulses, score_timing,
                                     straight_pieces)

STYLE = Style(groove="rock", busy=.6, jitter=2.)

def sections(*parts): # (bpm, meter, bars) -> sections end to end
    out, at = [], 500
    for i, (bpm, meter, bars) in enumerate(parts):
        out.append(Section("chorus" if i % 2 else "verse", at, bpm, meter, bars, .8)); at = round(out[-1].end_ms)
    return out

def song_of(seed, *parts):
    s = sections(*parts)
    return compose_song(seed, s[-1].end_ms / 1000 + .5, sections=s, style=STYLE)

def score(song, estimate): return score_timing(estimate, Timing(song.beatmap.timing_points), song.beats[0] - 23, song.beats[-1] - 23)

@pytest.mark.parametrize("seed,bpm", [(1, 128), (2, 174.), (3, 145.5), (4, 93), (5, 162.9), (6, 200)])
def test_planted_bpm_and_offset(seed, bpm):
    song = song_of(seed, (bpm, 4, round(30 * bpm / 240)))
    s = score(song, grid(song.samples, song.sample_rate))
    assert s.octave
    if bpm > 100: assert s.right and s.median <= 5 and s.p95 <= 8 and s.downbeats == 1

def test_three_four():
    song = song_of(7, (150, 3, 48))
    found = grid(song.samples, song.sample_rate)
    assert score(song, found).right and found.red[0].meter == 3 and score(song, found).median <= 5

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
    song = song_of(10, (140, 4, 12))
    up = np.interp(np.arange(int(len(song.samples) * 44100 / 16000)) * 16000 / 44100, np.arange(len(song.samples)), song.samples)
    found = grid(up, 44100)
    assert abs(found.bpm / 140 - 1) < .002 and score(song, found).median <= 6

def events(times, downbeats=None):
    out = EventStream()
    for i, t in enumerate(times):
        out.append(Event(E.TIME_SHIFT, int(t)), int(t))
        out.append(Event(E.TIMING_POINT if i == 0 else E.MEASURE if downbeats is None and i % 4 == 0 else E.BEAT), int(t))
    return out

@pytest.mark.parametrize("bpm", [60, 128, 174, 187.5, 240])
def test_beats_on_a_raster(bpm):
    t = 1234 + np.arange(90) * 60000 / bpm
    found = model(events=events(t // 10 * 10 + 5))
    assert len(found.red) == 1 and found.red[0].bpm == pytest.approx(bpm, rel=1e-3) and found.red[0].meter == 4
    assert max(abs(x - found.resnap(x, 1, 1e9)) for x in t) < 8 and found.confidence > .9

def test_beats_missing_extra_and_far():
    rng = np.random.default_rng(0)
    t = 500 + np.arange(120) * 400.
    t = np.delete(t + rng.normal(0, 6, 120), rng.choice(np.arange(1, 119), 12, replace=False))
    t = np.sort(np.concatenate([t, rng.choice(t, 6, replace=False) + 130]))
    found = model(events=events(t, downbeats=False))
    assert len(found.red) <= 2 and found.bpm == pytest.approx(150, rel=1e-3)

def test_beats_with_a_change():
    t = np.concatenate([1000 + np.arange(64) * 500., 33000 + np.arange(64) * 400.])
    found = model(events=events(t))
    assert [round(p.bpm, 2) for p in found.red] == [120, 150] and abs(found.red[-1].time - 33000) <= 500

def test_counting():
    index, keep = count_beats(np.array([0, 1, 2, 3.4, 4, 6, 7, 8.]))
    assert list(index[keep][[-1, 0]]) == [8, 0] and keep.sum() >= 7

def test_pieces_are_straight_and_whole():
    t = np.concatenate([np.arange(40) * .5, 20 + np.arange(40) * .4])
    assert straight_pieces(t, np.arange(80)) in ([(0, 40), (40, 80)], [(0, 41), (41, 80)])
    assert straight_pieces(np.arange(50) * .4, np.arange(50)) == [(0, 50)]

def test_network_decides_the_octave():
    song = song_of(11, (180, 4, 20))
    beats = song.beats[::2] / 1000
    found = grid(song.samples, song.sample_rate, beats=pulses(beats - .023, len(song.samples) / 16000), hop_ms=1000 / FPS)
    assert found.bpm == pytest.approx(90, rel=2e-3)

def test_auto_takes_the_best():
    song = song_of(12, (150, 4, 16))
    assert auto(song.samples, bpm=99.5, offset=12).provider == "manual"
    assert auto(song.samples, beatmap=Beatmap(timing_points=[TimingPoint(5, 400)], hit_objects=[Circle(0, 0, 9)])).provider == "reference"
    t = song.beats - 23
    both = auto(song.samples, events=events(t // 10 * 10))
    assert both.provider == "auto" and both.confidence > .9 and score(song, both).median <= 5
    assert auto(song.samples).provider == "grid"
    known = auto(song.samples, bpm=150)
    assert known.bpm == 150 and score(song, known).median <= 5
    assert (auto(song.samples, offset=77).offset, auto(song.samples, offset=77).bpm) == (77, 150)

@pytest.mark.parametrize("options,says", [
    (dict(provider="manual"), "bpm"), (dict(provider="manual", bpm=120), "offset"), (dict(provider="manual", bpm=float("nan"), offset=0), "bpm"),
    (dict(provider="manual", bpm=-5, offset=0), "bpm"), (dict(provider="reference"), "red line"), (dict(provider="model"), "beats"),
    (dict(provider="nothing"), "choose one of")])
def test_refusals(options, says):
    with pytest.raises(UserError, match=says): find_timing(np.zeros(64000), 16000, **options)

def test_bad_audio():
    with pytest.raises(UserError, match="onsets"): find_timing(np.zeros(64000, np.float32))
    with pytest.raises(UserError, match="two seconds"): find_timing(np.ones(1000, np.float32))
    with pytest.raises(UserError, match="not numbers"): find_timing(np.full(64000, np.nan))

def test_anything_that_sounds_has_a_tempo():
    rng = np.random.default_rng(0)
    for x in (rng.normal(size=16000 * 4), np.sin(np.arange(16000 * 5) / 9) * .5, np.r_[np.zeros(32000), 1, np.zeros(32000)]):
        try: found = find_timing(x.astype(np.float32))
        except UserError: continue
        assert 30 < found.bpm < 400 and found.confidence < .9

def test_score_of_the_truth_is_perfect():
    t = Timing([TimingPoint(100, 400, 4), TimingPoint(20100, 500, 3)])
    s = score_timing(t, t, 0, 60000)
    assert s.right and s.ratio == 1 and s.median == 0 and s.p95 == 0 and s.downbeats == 1
    double = Timing([TimingPoint(100, 200, 4), TimingPoint(20100, 250, 3)])
    assert not score_timing(double, t, 0, 60000).right and score_timing(double, t, 0, 60000).octave
