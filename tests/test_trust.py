"""Timing that misleads: quiet intros, drawn-out ends, bands without a metronome; and a confidence that knows what it does not know."""

import numpy as np, pytest
from mapperatorinator.audio import OSU_OFFSET_MS
from mapperatorinator.calibrate import reliability, within
from mapperatorinator.timing.follow import Segment, all_segments
from mapperatorinator.timing.octave import main_line
from mapperatorinator.synth.planted import COURSES, Decoy
from mapperatorinator.timing.rhythm import Ear
from mapperatorinator.timing.providers import grid
from mapperatorinator.timing.trust import confidence


def band(
    bpm, groove="rock", intro="none", seconds=0.0, course="steady", beats=48, seed=0
):  # seconds: of the intro
    "A small band after an intro."
    gaps = COURSES[course](np.random.default_rng(seed), np.full(beats, 60000 / bpm))
    times = 300 + 1000 * seconds + np.concatenate([[0], np.cumsum(gaps)])
    return Decoy(groove, course, intro, 4, times, seconds, [seed, 5])


def heard(song):
    "What is found, and whether it is right."
    found = grid(song.render())
    true = song.beats[:-1] - OSU_OFFSET_MS
    beats = np.array([b.time for b in found.beats(true[0] - 20, true[-1] + 20)])
    return found, within(beats, true)


@pytest.mark.parametrize(
    "bpm,intro,seconds",
    [
        (96, "hiss", 12),
        (96, "chord", 5),
        (80, "drops", 6),
        (110, "tune", 9),
        (128, "chord", 12),
        (174, "hiss", 5),
    ],
)
def test_a_quiet_intro_does_not_move_the_beat(bpm, intro, seconds):
    found, right = heard(band(bpm, intro=intro, seconds=seconds, seed=bpm))
    assert right and found.bpm == pytest.approx(bpm, rel=2e-3)


@pytest.mark.parametrize(
    "bpm,groove", [(80, "pop"), (96, "rock"), (120, "march"), (140, "rock"), (165, "pop")]
)
def test_a_drawn_out_end_gets_red_lines_of_its_own(bpm, groove):
    found, right = heard(band(bpm, groove, course="slowing", beats=64, seed=bpm))
    assert right and len(found.red) > 2 and found.red[0].bpm == pytest.approx(bpm, rel=2e-3)


@pytest.mark.parametrize("bpm", [90, 104, 118])
def test_a_band_without_a_metronome_is_followed(bpm):
    found, right = heard(band(bpm, "pop", course="drifting", beats=80, seed=bpm))
    assert right and len(found.red) > 1


@pytest.mark.parametrize("bpm,groove", [(96, "rock"), (128, "four"), (174, "pop")])
def test_a_steady_song_has_one_red_line(bpm, groove):
    found, right = heard(band(bpm, groove, seed=bpm))
    assert right and len(found.red) == 1 and found.confidence > 0.7


@pytest.mark.parametrize("beats", [0.3, 0.5])
def test_a_grid_that_is_late_is_trusted_less(beats):
    song = band(120, seed=3)
    ear = Ear.of(song.render(), 16000)
    main = main_line(ear)
    segments = all_segments(ear, main.line)
    late = [Segment(p.start, p.end, p.line.later(beats)) for p in segments]
    assert confidence(ear, late, main) < confidence(ear, segments, main) - 0.1


def test_an_octave_in_doubt_is_doubt():
    ear = Ear.of(band(120, seed=3).render(), 16000)
    main = main_line(ear)
    segments = all_segments(ear, main.line)
    chances = [confidence(ear, segments, main._replace(octave=p)) for p in (0.3, 0.6, 0.9, 0.99)]
    assert chances == sorted(chances) and chances[0] < chances[-1] - 0.03


def test_right_is_both_ways():
    true = np.arange(0, 20_000, 500.0)
    assert within(true + 19, true) and not within(true + 21, true)
    assert not within(true[::2], true) and not within(true, true[::2]) and not within(true[:1], true)


def test_reliability_counts_everybody_once():
    said = np.array([0.1, 0.6, 0.6, 0.8, 0.95, 1.0])
    rows = reliability(said, np.array([False, True, False, True, True, True]))
    assert [n for n, *_ in rows] == [1, 2, 1, 2] and rows[1][2] == 0.5
