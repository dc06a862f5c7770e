"""Every fault that the checks know is found where it is planted, in every mode that can have it, and human maps are clean."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mapperatorinator.cli import main
from mapperatorinator.osu.beatmap import Beatmap, Circle, Hold, Slider, Spinner, TimingPoint
from mapperatorinator.osu.check import NOT_OURS, UPSTREAM, check_map, check_set
from mapperatorinator.osu.files import file_name
from mapperatorinator.osu.findings import KINDS, Facts, divisors_of
from mapperatorinator.postprocess import clean, end_with_song
from mapperatorinator.verify import check_mapset, find_sets, look_at, mend, read_set

HERE = Path(__file__).resolve().parent

# -- maps without a fault, and faults ----------------------------------------------------------------------------------

SETTINGS = dict(
    title="Song",
    artist="Us",
    creator="me",
    version="Expert",
    tags="instrumental electronic",
    background="bg.jpg",
    preview_time=9000,
    audio_filename="song.mp3",
    ar=9,
    od=8,
    hp=6,
    cs=4,
)


def healthy(mode, n=150, **more):  # notes on the halves, nothing repeated, some hitsounds
    rng = np.random.default_rng(mode)
    places = (
        [(64 + 128 * int(c), 192) for c in rng.integers(0, 4, n)]
        if mode == 3
        else rng.integers(40, 340, (n, 2)).tolist()
    )
    notes = [
        Circle(x, y, 500 + 250 * i, hitsound=int(rng.integers(0, 2)) * 8) for i, (x, y) in enumerate(places)
    ]
    shower = [Spinner(256, 192, notes[-1].time + 1000, end_time=notes[-1].time + 2000)] if mode == 2 else []
    return Beatmap.new(
        **(
            SETTINGS
            | dict(mode=mode, timing_points=[TimingPoint(0, 500)], hit_objects=[*notes, *shower])
            | more
        )
    )


def line(t, x=100, y=100, length=100.0, **more):
    return Slider(x, y, t, curve="L", points=[(x, y), (x + 50, y)], length=length, **more)


def green(t, sv=1.0, **more):
    return TimingPoint(t, -100 / sv, uninherited=False, **more)


LATE = 45_000  # after everything in a healthy map
END = healthy(2).hit_objects[-1].end_time
RED = TimingPoint(0, 500)


def added(*objects, **settings):
    return lambda map: named(**settings)(replace(map, hit_objects=[*map.hit_objects, *objects]))


def pointed(*points):
    return lambda map: replace(map, timing_points=list(points))


def moved(change):
    return lambda map: replace(map, hit_objects=[change(i, o) for i, o in enumerate(map.hit_objects)])


def row(notes, **settings):
    return lambda map: named(**settings)(replace(map, hit_objects=notes))


def event(*lines):
    return lambda map: replace(map, events=[*map.events, *lines])


def named(**settings):  # the same with other settings
    def change(map):
        map = map.copy()
        for key, value in settings.items():
            setattr(map, key, value)
        return map

    return change


def coloured(**colours):
    return lambda map: replace(map, colours=colours)


def wavy(y):
    return [(100 + 20 * i, y + 60 * (i % 2)) for i in range(8)]


def curve(t, *points, length, **more):
    return Slider(*points[0], t, curve="L", points=list(points), length=length, **more)


ALL = (0, 1, 2, 3)  # modes
FIELD = (0, 2)
SINGLE = (0, 1, 2)
STANDARD = (0,)
TAIKO = (1,)
CATCH = (2,)
MANIA = (3,)
HALF_SILENT = {
    "samples": np.r_[
        np.ones(16000 * 20), 1e-3 * np.ones(16000 * 20), np.ones(16000 * 2), np.zeros(16000 * 9)
    ].astype(np.float32)
}
PLANTED = [  # kind, modes, what plants it, what the check is told
    ("no_tempo", ALL, pointed(), {}),
    ("early_line", SINGLE, pointed(green(-9), RED), {}),
    ("endless_line", MANIA, pointed(green(-9), RED), {}),
    ("absurd_tempo", ALL, pointed(RED, TimingPoint(LATE, 1e-300)), {}),
    ("two_red_lines", ALL, pointed(RED, TimingPoint(2000, 500), TimingPoint(2000, 333.3)), {}),
    ("two_red_lines", ALL, pointed(RED, TimingPoint(2000, 500, meter=3), TimingPoint(2000.4, 500)), {}),
    ("same_red_line", ALL, pointed(RED, TimingPoint(2000, 400), TimingPoint(2000, 400)), {}),
    ("two_green_lines", ALL, pointed(RED, green(2000, 0.5), green(2000, 2)), {}),
    ("line_volume", ALL, pointed(replace(RED, volume=120)), {}),
    ("first_kiai", ALL, pointed(replace(RED, effects=1)), {}),
    ("idle_red_line", ALL, pointed(RED, TimingPoint(4000, 500)), {}),
    ("idle_green_lines", ALL, pointed(RED, green(4000)), {}),
    ("kiai_unsnapped", ALL, pointed(RED, green(4015, effects=1)), {}),
    ("odd_velocity", ALL, pointed(RED, green(4000, 50)), {}),
    ("odd_velocity", ALL, pointed(RED, TimingPoint(4000, float("nan"), uninherited=False)), {}),
    ("before_line", TAIKO + MANIA, pointed(RED, green(4003, 2)), {}),
    ("before_line", FIELD, lambda map: pointed(RED, green(LATE + 3, 2))(added(line(LATE))(map)), {}),
    ("unordered", ALL, lambda map: replace(map, hit_objects=map.hit_objects[::-1]), {}),
    ("empty", ALL, lambda map: replace(map, hit_objects=[]), {}),
    ("foreign", SINGLE, added(Hold(64, 192, LATE, end_time=LATE + 500)), {}),
    ("foreign", MANIA, added(line(LATE)), {}),
    ("off_screen", STANDARD, added(Circle(560, 100, LATE)), {}),
    (
        "off_screen",
        STANDARD,
        added(*(Circle(-28, 100, LATE + 100 * i) for i in range(5))),
        {},
    ),  # the stack is pushed out
    ("outside", FIELD + MANIA, added(Circle(525, 100, LATE)), {}),
    ("outside", STANDARD, added(Circle(100, 393, LATE)), {}),
    ("path_off_screen", STANDARD, added(line(LATE, 450, length=400.0)), {}),
    ("no_duration", SINGLE, added(Spinner(256, 192, LATE, end_time=LATE)), {}),
    ("no_duration", SINGLE, added(Slider(9, 9, LATE, curve="L", points=[(9, 9), (9, 9)])), {}),
    ("no_duration", MANIA, added(Hold(64, 192, LATE, end_time=LATE - 9)), {}),
    ("no_path", FIELD, added(Slider(9, 9, LATE, curve="L", points=[(9, 9), (9, 9)], length=50.0)), {}),
    ("short_slider", SINGLE, added(line(LATE, length=0.5)), {}),
    (
        "many_nodes",
        FIELD,
        added(curve(LATE, *[(100 + i % 7, 100 + i % 5) for i in range(120)], length=50.0)),
        {},
    ),
    ("long_object", SINGLE, added(Spinner(256, 192, LATE, end_time=LATE + 10**6)), {}),
    ("long_object", MANIA, added(Hold(64, 192, LATE, end_time=LATE + 10**6)), {}),
    ("overlap", SINGLE, added(line(LATE, length=300.0), Circle(300, 300, LATE + 250)), {}),
    ("overlap", SINGLE, added(Circle(300, 300, LATE), Circle(100, 100, LATE)), {}),
    ("too_close", (0, 1), added(Circle(300, 300, LATE), Circle(100, 100, LATE + 6)), {}),
    ("too_close", (0, 1), added(line(LATE, length=140.0), Circle(100, 100, LATE + 512)), {}),
    (
        "column_overlap",
        MANIA,
        added(Hold(64, 192, LATE, end_time=LATE + 500), Circle(64, 192, LATE + 250)),
        {},
    ),
    ("chord", MANIA, added(*(Circle(x, 192, LATE) for x in (9, 150, 300, 400, 500))), {}),
    ("before_start", ALL, added(Circle(64, 64, -500)), {}),
    ("past_end", ALL, added(Circle(64, 64, LATE)), {"length": LATE - 10}),
    ("after_sound", ALL, added(Circle(64, 64, LATE)), HALF_SILENT),
    ("silence", ALL, lambda map: map, HALF_SILENT),
    ("unused_end", ALL, lambda map: map, {"length": END * 1.5}),
    ("coverage", ALL, lambda map: map, {"length": 10**6}),
    ("break_note", ALL, event("2,2100,6000"), {}),
    (
        "break_edge",
        ALL,
        lambda map: event(f"2,{END + 300},{LATE + 5400}")(added(Circle(64, 64, LATE + 5500))(map)),
        {},
    ),
    ("silent_note", SINGLE, pointed(replace(RED, volume=0)), {}),
    ("quiet_note", ALL, pointed(RED, green(4100, volume=10), green(4300)), {}),
    ("quiet_note", MANIA, pointed(replace(RED, volume=0)), {}),
    (
        "quiet_end",
        SINGLE,
        lambda map: pointed(RED, green(LATE + 100, volume=5))(added(line(LATE, length=140.0))(map)),
        {},
    ),
    ("unsnapped", ALL, added(Circle(64, 64, LATE + 17)), {}),
    ("unsnapped_end", SINGLE, added(line(LATE, length=85.0)), {}),
    ("unsnapped_end", SINGLE, added(line(LATE, length=85.0, slides=2)), {}),
    ("unsnapped_end", SINGLE, added(Spinner(256, 192, LATE, end_time=LATE + 1337)), {}),
    ("unsnapped_end", MANIA, added(Hold(64, 192, LATE, end_time=LATE + 337)), {}),
    ("ends_off_grid", SINGLE, added(*(line(LATE + 1000 * i, length=85.0) for i in range(5))), {}),
    (
        "ends_off_grid",
        MANIA,
        added(*(Hold(64, 192, LATE + 1000 * i, end_time=LATE + 1000 * i + 337) for i in range(5))),
        {},
    ),
    ("off_grid", ALL, moved(lambda i, o: replace(o, time=o.time + 8)), {}),
    ("next_red_line", ALL, pointed(RED, TimingPoint(4030, 400)), {}),
    ("rare_snap", ALL, added(Circle(64, 64, LATE + 167)), {}),
    ("rare_snap", ALL, added(Circle(64, 64, LATE + 63)), {}),
    ("stack", ALL, moved(lambda i, o: replace(o, x=64, y=64, hitsound=0)), {}),
    ("one_place", ALL, moved(lambda i, o: replace(o, x=64, y=64, hitsound=0)), {}),
    (
        "copies",
        ALL,
        lambda map: moved(lambda i, o: replace(o, x=64 * (i % 8), y=9, hitsound=8 * (i % 2)))(
            healthy(map.mode, 400)
        ),
        {},
    ),
    ("copied", FIELD, moved(lambda i, o: replace(o, x=64 * (i % 8), y=64)), {}),
    ("gap", ALL, added(Circle(64, 64, LATE * 3)), {}),
    ("crowd", ALL, added(*(Circle(i % 512, 64, LATE + i) for i in range(500))), {}),
    ("stars", ALL, lambda map: map, {"stars": 30.0}),
]
PLANTED += [
    ("not_romanised", ALL, named(title="夜の港で朝を待つ"), {}),
    ("not_romanised", ALL, named(artist="Ærøskøbing"), {}),
    ("long_field", ALL, named(title="so long " * 12), {}),
    ("marker_format", ALL, named(title="Song (TV size)"), {}),
    ("marker_format", ALL, named(artist="Us ft. Them"), {}),
    ("marker_spacing", ALL, named(artist="Us,Them feat. Others"), {}),
    ("guest_tags", ALL, named(version="Somebody's Expert"), {}),
    ("genre_language", ALL, named(tags="nice"), {}),
    ("free_background", ALL, named(tags="instrumental electronic mpg"), {}),
    ("hitsound_difficulty", ALL, named(version="Hitsounds"), {}),
    ("no_preview", ALL, named(preview_time=-1), {}),
    ("no_background", ALL, lambda map: replace(map, events=[]), {}),
    ("setting_range", ALL, named(version="Easy", od=9), {}),
    ("setting_range", ALL, named(od=11), {}),
    ("setting_precision", ALL, named(od=8.25), {}),
    ("tick_rate", ALL, named(tick_rate=1.7), {}),
    ("few_colours", FIELD, coloured(Combo1="255,0,0"), {}),
    ("dark_colour", FIELD, coloured(Combo1="9,9,9", Combo2="200,0,0"), {}),
    (
        "bright_colour",
        FIELD,
        lambda map: pointed(RED, green(4000, effects=1))(
            coloured(Combo1="255,255,255", Combo2="200,0,0")(map)
        ),
        {},
    ),
    (
        "score_overflow",
        FIELD,
        row([Circle(9 * i % 500, 9, 250 * i) for i in range(1, 9000)], od=10, hp=10, cs=7),
        {},
    ),
    ("short_drain", ALL, lambda map: replace(map, hit_objects=map.hit_objects[:50]), {}),
    ("no_hitsounds", FIELD, moved(lambda i, o: replace(o, hitsound=0)), {}),
    ("few_hitsounds", FIELD, moved(lambda i, o: replace(o, hitsound=8 * (i < 20))), {}),
    ("story_sound", SINGLE, event('5,900,0,"clap.wav",70'), {}),
    ("short_spinner", STANDARD, added(Spinner(256, 192, LATE, end_time=LATE + 40)), {}),
    ("quick_spinner", STANDARD, added(Spinner(256, 192, LATE, end_time=LATE + 530)), {}),
    (
        "spinner_recovery",
        STANDARD,
        added(Spinner(256, 192, LATE, end_time=LATE + 2000), Circle(9, 9, LATE + 2500), version="Normal"),
        {},
    ),
    ("brief_slider", STANDARD, added(line(LATE, length=28.0), version="Easy"), {}),
    ("many_reverses", STANDARD, added(line(LATE, length=70.0, slides=4), version="Normal"), {}),
    (
        "only_sliders",
        STANDARD,
        added(*(line(LATE + 1000 * i, length=140.0) for i in range(8)), version="Normal"),
        {},
    ),
    ("many_circles", STANDARD, row([Circle(9, 9, 250 * i) for i in range(9)], version="Normal"), {}),
    ("close_overlap", STANDARD, added(Circle(9, 9, LATE), Circle(300, 300, LATE + 125), version="Easy"), {}),
    ("close_overlap", STANDARD, added(Circle(9, 9, LATE), Circle(59, 9, LATE + 300), version="Easy"), {}),
    (
        "perfect_stack",
        STANDARD,
        added(Circle(9, 9, LATE), Circle(9, 9, LATE + 350), version="Normal", stack_leniency=0.2),
        {},
    ),
    (
        "perfect_stack",
        STANDARD,
        added(Circle(9, 9, LATE), Circle(9, 9, LATE + 150), version="Hard", stack_leniency=0.3, ar=8),
        {},
    ),  # with Hard Rock
    (
        "uneven_spacing",
        STANDARD,
        row([*(Circle(40 * i, 100, 500 * i) for i in range(6)), Circle(480, 300, 3000)], version="Normal"),
        {},
    ),
    (
        "wild_spacing",
        STANDARD,
        row([*(Circle(20 * (i % 2), 100, 100 * i) for i in range(8)), Circle(480, 300, 800)]),
        {},
    ),
    (
        "ambiguous_slider",
        STANDARD,
        added(curve(LATE, (100, 100), (300, 100), (300, 250), (100, 250), (100, 100), length=700.0)),
        {},
    ),
    ("burai", STANDARD, added(curve(LATE, (100, 100), (300, 100), (120, 100), length=380.0)), {}),
    (
        "hidden_reverse",
        STANDARD,
        added(Circle(200, 100, LATE), line(LATE + 250, 100, length=100.0, slides=2), version="Hard", ar=8),
        {},
    ),
    (
        "finisher",
        TAIKO,
        row([Circle(9, 9, 250 * i, hitsound=4 * (i == 5)) for i in range(9)], version="Kantan"),
        {},
    ),
    (
        "finisher",
        TAIKO,
        row([Circle(9, 9, 125 * i, hitsound=4 * (i == 5)) for i in range(9)], version="Oni"),
        {},
    ),
    ("long_pattern", TAIKO, row([Circle(9, 9, 125 * i) for i in range(12)], version="Oni"), {}),
    ("small_snap", TAIKO, row([Circle(9, 9, 0), Circle(9, 9, 125)], version="Futsuu"), {}),
    ("no_rest", TAIKO, named(version="Oni"), {}),
    (
        "close_spinner",
        TAIKO,
        added(Circle(9, 9, LATE), Spinner(256, 192, LATE + 100, end_time=LATE + 2000), version="Oni"),
        {},
    ),
    ("hidden_barline", TAIKO, added(Circle(9, 9, LATE + 3999 - LATE % 2000)), {}),
    ("close_barlines", TAIKO, pointed(RED, TimingPoint(4500, 500)), {}),
    ("barline_speed", TAIKO, pointed(RED, green(4003, 2)), {}),
    ("kiai_flash", TAIKO, pointed(RED, green(4000, effects=1), green(4125)), {}),
    (
        "scroll_speed",
        TAIKO + MANIA,
        lambda map: named(version="Easy")(pointed(RED, green(20_000, 2))(map)),
        {},
    ),
    (
        "scroll_speed",
        MANIA,
        lambda map: named(version="Easy")(pointed(RED, TimingPoint(20_000, 250))(map)),
        {},
    ),
    ("background_offset", TAIKO, lambda map: replace(map, events=['0,0,"bg.jpg",40,0']), {}),
    ("hyperdash", CATCH, row([Circle(512 * (i % 2), 0, 250 * i) for i in range(4)], version="Salad"), {}),
    ("edge_dash", CATCH, row([Circle(0, 0, 0), Circle(306, 0, 250)], version="Platter", cs=4), {}),
    (
        "hyperdash_chain",
        CATCH,
        row([Circle(512 * (i % 2), 0, 260 * i) for i in range(8)], version="Platter"),
        {},
    ),
    (
        "hyperdash_chain",
        CATCH,
        row([Circle(512 * (i % 2), 0, 100 * i) for i in range(8)], version="Rain"),
        {},
    ),
    ("hyperdash_snap", CATCH, row([Circle(0, 0, 0), Circle(512, 0, 100)], version="Platter"), {}),
    (
        "hyperdash_slider",
        CATCH,
        row(
            [line(0, 0, length=500.0, slides=4)],
            version="Platter",
            slider_multiplier=3.6,
            timing_points=[TimingPoint(0, 250)],
        ),
        {},
    ),
    ("spinner_gap", CATCH, added(Circle(9, 9, LATE), Spinner(256, 192, LATE + 30, end_time=LATE + 900)), {}),
    ("long_combo", CATCH, named(version="Cup"), {}),
    ("no_spinner", CATCH, lambda map: replace(map, hit_objects=map.hit_objects[:-1]), {}),
    ("key_count", MANIA, named(cs=3), {}),
    ("unused_column", MANIA, named(cs=8), {}),
    ("column_balance", MANIA, added(*(Circle(64, 192, LATE + 500 * i) for i in range(150))), {}),
    ("short_hold", MANIA, added(Hold(64, 192, LATE, end_time=LATE + 25)), {}),
    ("chord_size", MANIA, added(*(Circle(x, 192, LATE) for x in (64, 192, 320)), version="Normal"), {}),
    ("double_sound", MANIA, added(*(Circle(x, 192, LATE, hitsound=2) for x in (64, 192))), {}),
]


@pytest.mark.parametrize("mode", ALL)
def test_a_healthy_map_has_no_findings(mode):
    report = check_map(healthy(mode), length=END + 1000)
    assert not report.findings and report.clean and "Nothing" in report._repr_html_()


MENDED = {
    "foreign",
    "no_duration",
    "outside",
    "past_end",
    "overlap",
    "column_overlap",
    "unordered",
}  # there is one safe answer


def mended(map):  # the kinds that must be gone
    end_with_song(map, END + 1000)
    clean(map)
    return MENDED


STAMP = re.compile(r"-?\d\d+:\d\d:\d\d\d( \(\d+(,\d+)*\)| \(-?\d+\|\d+(,-?\d+\|\d+)*\))?")


@pytest.mark.parametrize("kind,mode,plant,told", [(k, m, p, t) for k, modes, p, t in PLANTED for m in modes])
def test_planted(kind, mode, plant, told):
    map = plant(healthy(mode))
    report = check_map(map, **told)
    found = [f for f in report.findings if f.kind == kind]
    assert found and all(f.severity == KINDS[kind][0] and f.text.endswith(".") for f in found)
    assert all(0 <= i < len(map.hit_objects) for f in found for i in f.objects)
    assert all(f.time is None or STAMP.fullmatch(f.stamp) and f.link.startswith("osu://edit/") for f in found)
    if kind in MENDED:
        assert not mended(map) & set(check_map(map, **told).counts())


def test_another_song_is_no_excuse():
    taiko = healthy(1)
    assert check_map(
        replace(taiko, hit_objects=[replace(o, x=-999) for o in taiko.hit_objects])
    ).clean  # x means nothing there


# -- sets and files ----------------------------------------------------------------------------------------------------


def pair(second):
    return [healthy(0), second(named(version="Hard", ar=7, od=6, hp=5)(healthy(0)))]


SETS = {  # kind -> difficulties that have it
    "same_name": lambda: [healthy(0), healthy(0)],
    "metadata_differs": lambda: pair(named(artist="Them")),
    "timing_differs": lambda: pair(pointed(RED, TimingPoint(8000, 480))),
    "settings_differ": lambda: pair(named(tick_rate=2)),
    "preview_differs": lambda: pair(named(preview_time=100)),
    "several_songs": lambda: pair(named(audio_filename="other.mp3")),
    "video_differs": lambda: pair(event('Video,0,"clip.mp4"')),
    "kiai_differs": lambda: [
        healthy(1),
        pointed(RED, green(8000, effects=1))(named(version="Oni")(healthy(1))),
    ],
    "barlines_differ": lambda: [
        healthy(1),
        pointed(replace(RED, effects=8))(named(version="Oni")(healthy(1))),
    ],
    "velocity_differs": lambda: [healthy(1), named(version="Oni", slider_multiplier=2)(healthy(1))],
    "hitsounds_differ": lambda: pair(
        lambda map: replace(
            map, hit_objects=[replace(o, hitsound=0) if i < 9 else o for i, o in enumerate(map.hit_objects)]
        )
    ),
    "snaps_differ": lambda: pair(moved(lambda i, o: replace(o, time=o.time + 30 * (i == 9)))),
    "lowest_difficulty": lambda: [healthy(0)],
    "drain_differs": lambda: pair(lambda map: replace(map, hit_objects=map.hit_objects[:100])),
}


@pytest.mark.parametrize("kind", SETS)
def test_a_set_is_compared(kind):
    found = [f for f in check_set(SETS[kind]()).findings if f.kind == kind]
    assert found and found[0].severity == KINDS[kind][0] and found[0].text.endswith(".")


def test_a_set_that_agrees_has_nothing_to_say():
    maps = [
        named(version=name, ar=ar, od=od, hp=hp)(healthy(0))
        for name, ar, od, hp in (("Expert", 9, 8, 6), ("Hard", 8, 7, 5), ("Normal", 5, 5, 5))
    ]
    assert not {f.kind for f in check_set(maps).findings} & set(SETS)


def png(width, height):
    from PIL import Image

    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, "png")
    return out.getvalue()


def sound(samples, suffix="wav", rate=44100):
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=suffix)
    return out.getvalue()


def clip(width, height, codec, audio):
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp4" if codec != "mjpeg" else "avi") as box:
        video = box.add_stream(codec, rate=10)
        video.width = width
        video.height = height
        video.pix_fmt = "yuv420p" if codec != "mjpeg" else "yuvj420p"
        track = box.add_stream("mp3" if codec == "mjpeg" else "aac", rate=44100) if audio else None
        for packet in [*video.encode(av.VideoFrame(width, height, video.pix_fmt)), *video.encode(None)]:
            box.mux(packet)
        if track:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
            frame.rate = 44100
            for packet in [*track.encode(frame), *track.encode(None)]:
                box.mux(packet)
    return out.getvalue()


BEEP = (np.exp(-np.arange(8000) / 2000) * np.sin(np.arange(8000) / 9) * 0.8).astype(np.float32)
FINISH = dict(
    hit_objects=[replace(o, hitsound=4) for o in healthy(0).hit_objects],
    timing_points=[replace(RED, sample_set=2, sample_index=1)],
)


def files_of(**more):
    return {"song.mp3": sound(np.tile(BEEP, 260), "mp3"), "bg.jpg": png(640, 480)} | more


FILES = {  # kind -> (files, maps)
    "no_audio": ({"song.mp3": None}, [healthy(0)]),
    "audio_format": ({"song.mp3": None, "song.wav": sound(BEEP)}, [healthy(0, audio_filename="song.wav")]),
    "bit_rate": ({"song.mp3": sound(np.tile(BEEP, 260), "mp3", 8000)}, [healthy(0)]),
    "broken_file": ({"song.mp3": b"not a song" * 99}, [healthy(0)]),
    "missing_file": ({"bg.jpg": None}, [healthy(0)]),
    "unused_file": ({"notes.txt": b"todo"}, [healthy(0)]),
    "empty_file": ({"soft-hitclap.wav": b""}, [healthy(0)]),
    "long_name": ({"x" * 140 + ".png": png(9, 9)}, [healthy(0)]),
    "file_name": ({"odd.osu": healthy(0).to_bytes()}, []),
    "background_size": ({"bg.jpg": png(4000, 3000)}, [healthy(0)]),
    "sprite_size": (
        {"s.png": png(5000, 4000)},
        [event('Sprite,Foreground,Centre,"s.png",320,240')(healthy(0))],
    ),
    "overlay_layer": ({"s.png": png(50, 40)}, [event('Sprite,Overlay,Centre,"s.png",320,240')(healthy(0))]),
    "sound_format": ({"soft-hitclap.mp3": sound(BEEP, "mp3")}, [healthy(0)]),
    "short_sound": ({"soft-hitclap.wav": sound(BEEP[:600])}, [healthy(0)]),
    "late_sound": ({"soft-hitclap.wav": sound(np.r_[np.zeros(900, np.float32), BEEP])}, [healthy(0)]),
    "uneven_sound": ({"soft-hitclap.wav": sound(np.stack([BEEP, 0 * BEEP], 1))}, [healthy(0)]),
    "silent_sound": ({"soft-hitclap.wav": sound(0 * BEEP)}, [healthy(0)]),
    "common_finish": ({"soft-hitfinish.wav": sound(BEEP)}, [healthy(0, **FINISH)]),
    "missing_sound": ({}, [healthy(0, timing_points=[replace(RED, sample_index=7)])]),
    "skin_set": ({"hitcircle.png": png(128, 128)}, [healthy(0)]),
    "skin_size": ({"fruit-drop.png": png(10, 10)}, [healthy(2)]),
    "video_size": ({"v.mp4": clip(1440, 900, "mpeg4", False)}, [event('Video,0,"v.mp4"')(healthy(0))]),
    "video_codec": ({"v.mp4": clip(64, 48, "mpeg4", False)}, [event('Video,0,"v.mp4"')(healthy(0))]),
    "video_sound": ({"v.mp4": clip(64, 48, "mpeg4", True)}, [event('Video,0,"v.mp4"')(healthy(0))]),
    "not_heard": ({"song.mp3": None}, [healthy(0)]),
}


def folder_of(path, files, maps):
    for name, data in files_of(**files).items():
        if data is not None:
            (path / name).write_bytes(data)
    for b in maps:
        b.write(path / file_name(b))
    return path


@pytest.mark.parametrize("kind", FILES)
def test_the_files_of_a_set_are_looked_at(kind, tmp_path):
    found = [f for f in check_mapset(read_set(folder_of(tmp_path, *FILES[kind]))).findings if f.kind == kind]
    assert found and found[0].severity == KINDS[kind][0] and found[0].text.endswith(".")


def test_a_folder_in_order_is_clean_and_so_is_its_archive(tmp_path):
    maps = [
        named(version=name, ar=ar, od=od, hp=hp)(healthy(0))
        for name, ar, od, hp in (("Expert", 9, 8, 6), ("Hard", 8, 7, 5), ("Normal", 5, 5, 5))
    ]
    files = {
        "song.mp3": sound(np.tile(BEEP, 220), "mp3"),
        "bg.jpg": png(640, 480),
        "soft-hitclap.wav": sound(BEEP),
        "blank.wav": None,
    }
    folder = folder_of(tmp_path / "set", files, maps) if (tmp_path / "set").mkdir() is None else None
    with zipfile.ZipFile(tmp_path / "set.osz", "w") as z:
        for p in folder.iterdir():
            z.write(p, p.name)
    kinds = [set(check_mapset(read_set(path)).counts()) for path in (folder, tmp_path / "set.osz")]
    assert kinds[0] == kinds[1] and not kinds[0] & (set(FILES) - {"bit_rate"}), kinds
    assert all(f.severity == "note" for f in check_mapset(read_set(folder)).findings)


def test_files_are_found_as_the_game_finds_them(tmp_path):
    folder_of(
        tmp_path,
        {"song.mp3": None, "SONG.MP3": sound(np.tile(BEEP, 260), "mp3"), "bg.jpg": None},
        [healthy(0, background="Sb\\Bg.PNG")],
    )
    (tmp_path / "sb").mkdir()
    (tmp_path / "sb" / "bg.png").write_bytes(png(640, 480))
    assert not {"no_audio", "missing_file", "unused_file", "not_heard"} & set(
        check_mapset(read_set(tmp_path)).counts()
    )


def test_every_kind_is_planted():  # rosu refuses what has no stars, and finds none of our toys suspicious
    assert set(KINDS) - {k for k, *_ in PLANTED} - set(SETS) - set(FILES) == {"no_stars"}


# -- what other tools check --------------------------------------------------------------------------------------------


def test_no_check_of_other_tools_is_missing():
    lines = (HERE / "data" / "upstream_checks.txt").read_text().splitlines()
    names = {name.removeprefix("Check") for name in lines if not name.startswith("#")}
    assert len(names) > 160 and names == set(UPSTREAM)
    for name, ours in UPSTREAM.items():
        assert (
            ours.startswith(NOT_OURS) and len(ours) > len(NOT_OURS) + 20 or set(ours.split()) <= set(KINDS)
        ), name
    assert sum(ours.startswith(NOT_OURS) for ours in UPSTREAM.values()) <= 3


# -- on the grid -------------------------------------------------------------------------------------------------------


def test_odd_divisors_count_in_maps_that_use_them():
    fifths = [Circle(9 * i % 500, 9, 100 * i) for i in range(30)]
    slip = [*(Circle(9 * i % 500, 9, 250 * i) for i in range(30)), Circle(9, 9, 8100)]
    many, one = (Facts(Beatmap.new(timing_points=[RED], hit_objects=notes)) for notes in (fifths, slip))
    assert divisors_of(many, many.times).min() == 1 and divisors_of(one, one.times)[-1] == 0


def test_a_note_a_millisecond_before_a_new_red_line_is_on_it():
    map = pointed(RED, TimingPoint(4013, 400))(added(Circle(64, 64, 4012))(healthy(0)))
    assert not [f for f in check_map(map).findings if f.kind == "unsnapped" and 3900 < f.time < 4100]


# -- the command -------------------------------------------------------------------------------------------------------


def check(capsys, *words):  # exit code, stdout, stderr
    code = main(["check", *map(str, words)])
    return code, *capsys.readouterr()


def test_exit_codes_say_clean_problem_and_unreadable(tmp_path, capsys):
    good = tmp_path / "good.osu"
    bad = tmp_path / "ba=d.osu"
    junk = tmp_path / "junk.osu"
    healthy(0).write(good)
    added(Circle(9, 9, LATE), Circle(90, 90, LATE))(healthy(0)).write(bad)
    junk.write_bytes(b"\x00\xff" * 99)
    assert [
        check(capsys, *words)[0]
        for words in ([good], [good, bad], [bad, junk], [junk], [tmp_path / "none.osu"], [])
    ] == [0, 1, 2, 2, 2, 2]
    code, out, err = check(capsys, bad, "show=problem")
    assert (
        "problem   00:45:000 (" in out
        and "osu://edit/00:45:000%20(" in out
        and "note" not in out.replace("notes found", "")
        and not err
    )


def test_json_is_one_document(tmp_path, capsys):
    healthy(0).write(tmp_path / "a.osu")
    named(title="夜")(healthy(1)).write(tmp_path / "b.osu")
    code, out, _ = check(capsys, tmp_path, "--json")
    said = json.loads(out)
    assert code == said["exit_code"] == 1 and not said["clean"] and len(said["results"]) == 1
    assert {"difficulty", "time", "stamp", "severity", "kind", "text", "link"} == set(
        said["results"][0]["findings"][0]
    )
    assert (
        said["results"][0]["counts"]["not_romanised"] == 1 and said["results"][0]["counts"]["no_audio"] == 1
    )


def test_what_is_no_beatmap_gets_a_sentence(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "a.osz").write_bytes(b"PK\x03\x04" + b"\0" * 50)
    (tmp_path / "empty").mkdir()
    for word in ("a.txt", "a.osz", "empty", "none", "x" * 3000):
        code, out, err = check(capsys, tmp_path / word)
        assert code == 2 and "Traceback" not in out + err and len((out + err).splitlines()) <= 4, word


def test_hundreds_of_a_kind_are_counted(tmp_path, capsys):
    moved(lambda i, o: replace(o, time=o.time + 70 * (i % 2)))(healthy(0)).write(tmp_path / "a.osu")
    _, out, _ = check(capsys, tmp_path / "a.osu", "most=2")
    assert re.search(r"… and \d+ more of the kind unsnapped", out) and len(out.splitlines()) < 40


def test_what_is_safe_is_mended_and_the_rest_stays(tmp_path, capsys):
    map = healthy(
        3,
        title="Café",
        preview_time=-1,
        timing_points=[green(-500, volume=0), replace(RED, effects=1), green(4000, effects=1)],
    )
    map = event("2,3000,9000")(added(Circle(64, 192, LATE), Circle(64, 192, LATE))(map))
    map.write(tmp_path / "a.osu")
    before = (tmp_path / "a.osu").read_bytes()
    code, out, _ = check(capsys, tmp_path / "a.osu", "fix=true")
    after = Beatmap.read(tmp_path / "a.osu")
    assert (
        code == 1 and "a.osu.undo1" in out and "column_overlap" in check_map(after).counts()
    )  # two notes at once are for the mapper
    assert (tmp_path / "a.osu.undo1").read_bytes() == before and after.hit_objects == map.hit_objects
    assert not {
        "endless_line",
        "first_kiai",
        "line_volume",
        "break_note",
        "no_preview",
        "not_romanised",
        "idle_green_lines",
    } & set(check_map(after).counts())
    check(capsys, tmp_path / "a.osu", "fix=true")
    assert not (tmp_path / "a.osu.undo2").exists(), "nothing is left to mend, so nothing is written"


@pytest.mark.parametrize("mode", ALL)
def test_mending_moves_no_note(mode):
    for kind, modes, plant, _ in PLANTED:
        if mode not in modes:
            continue
        map = plant(healthy(mode))
        copy = map.copy()
        mend(copy)
        ends = lambda m: sorted((o.time, m.end_time(o), type(o).__name__) for o in m.hit_objects)
        assert ends(copy) == ends(map) and not mend(copy), kind


def test_an_archive_is_mended_with_all_its_members(tmp_path, capsys):
    named(preview_time=-1)(healthy(0)).write(tmp_path / "a.osu")
    with zipfile.ZipFile(tmp_path / "set.osz", "w") as z:
        z.write(tmp_path / "a.osu", "a.osu")
        z.writestr("sb/x.png", png(9, 9))
    check(capsys, tmp_path / "set.osz", "--fix")
    with zipfile.ZipFile(tmp_path / "set.osz") as z:
        assert z.read("sb/x.png") == png(9, 9) and Beatmap.parse(z.read("a.osu")).preview_time >= 0
    assert zipfile.is_zipfile(tmp_path / "set.osz.undo1")


def test_a_heap_of_sets_is_taken_apart(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        healthy(0).write(tmp_path / name / "a.osu")
    shutil.make_archive(str(tmp_path / "three"), "zip", tmp_path / "one")
    (tmp_path / "three.zip").rename(tmp_path / "three.osz")
    assert [p.name for p in find_sets(tmp_path)] == ["one", "three.osz", "two"]


def test_no_set_of_many_is_passed_over(tmp_path):
    for i in range(10_001):
        (tmp_path / f"{i}.osz").touch()
    assert len(find_sets(tmp_path)) == 10_001


def test_a_playlist_that_is_called_a_song_is_not_followed(tmp_path):
    "FFmpeg would open what it names, be it a file of the machine or an address."
    (tmp_path / "other.wav").write_bytes(b"RIFF")
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{(tmp_path / 'other.wav').as_uri()}\n#EXT-X-ENDLIST\n".encode()
    assert look_at("song.mp3", len(text), io.BytesIO(text)).kind == "broken"


def test_checking_loads_neither_plots_nor_networks(tmp_path):
    healthy(0).write(tmp_path / "a.osu")
    code = f"import sys; from mapperatorinator.cli import main; main(['check', {str(tmp_path / 'a.osu')!r}, 'listen=false']); sys.exit(bool({{'torch', 'matplotlib'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


# -- wild maps ---------------------------------------------------------------------------------------------------------

positions = st.integers(-100, 700)
moments = st.integers(0, 20).map(lambda i: i * 125)
anything = st.one_of(
    st.builds(Circle, positions, positions, moments),
    st.builds(line, moments, positions, positions, st.just(60.0)),
    st.builds(Spinner, positions, positions, moments, end_time=moments),
    st.builds(Hold, positions, positions, moments, end_time=moments),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(anything, max_size=12), st.sampled_from(ALL))
def test_cleaning_leaves_nothing_that_has_a_safe_answer(objects, mode):
    map = Beatmap.new(mode=mode, timing_points=[TimingPoint(0, 500)], hit_objects=objects)
    assert not mended(map) & set(check_map(map, length=END + 1000).counts())
    assert clean(map).total() == end_with_song(map, END + 1000) == 0, "a second run does nothing"


times = st.one_of(
    st.integers(-10, 4000), st.floats(-2e9, 2e9), st.sampled_from([0, 1e-3, 2**31 - 1, -(2**31) + 1])
)
lengths = st.sampled_from([0.0, 500.0, -100.0, 1e-300, -1e-300, 1e9, -1e9, 2**31 - 1.0, float("nan")])
points = st.builds(
    TimingPoint,
    times,
    lengths,
    st.integers(1, 10**6),
    volume=st.integers(-500, 500),
    uninherited=st.booleans(),
    effects=st.integers(0, 9),
)
wild = st.one_of(
    st.builds(Circle, positions, positions, times, hitsound=st.integers(0, 15)),
    st.builds(
        line,
        times,
        positions,
        positions,
        st.sampled_from([0.0, 1e-9, 60.0, 131072.0]),
        slides=st.integers(1, 9000),
    ),
    st.builds(Spinner, positions, positions, times, end_time=times),
    st.builds(Hold, positions, positions, times, end_time=times),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(wild, max_size=8),
    st.lists(points, max_size=5),
    st.sampled_from(ALL),
    st.sampled_from(["Easy", "Hard", "Oni", "Rain", "x"]),
    st.sampled_from([0, 2, 4, 10, 999]),
)
def test_no_map_makes_a_check_fail(objects, lines, mode, name, cs):
    map = Beatmap.new(mode=mode, version=name, cs=cs, timing_points=lines, hit_objects=objects)
    report = check_set([map, map.copy()], samples=np.ones(16000 * 3, np.float32))
    assert all(f.text and (f.time is None or f.stamp) for f in report.findings)
    mend(map)


def test_crowds_of_objects_and_lines_take_their_number_only():
    notes = [Circle(i % 500, i % 300, i // 50) for i in range(20_000)]
    lines = [RED, *(green(i // 20, 1 + i % 3) for i in range(20_000))]
    report = check_map(Beatmap.new(timing_points=lines, hit_objects=notes))
    assert {"crowd", "overlap", "two_green_lines"} <= set(report.counts())


# -- maps by people, and ours ------------------------------------------------------------------------------------------


def converted(corpus):  # maps that a program made of charts of other games
    if not (corpus / "index.tsv").is_file():
        return set()
    rows = csv.DictReader((corpus / "index.tsv").open(encoding="utf-8"), delimiter="\t")
    return {corpus / r["file"] for r in rows if r["converted_from"]}


def test_human_maps_are_nearly_clean(corpus, capsys):
    others = converted(corpus)
    files = [p for p in sorted((corpus / "songs").rglob("*.osu")) if p not in others]
    maps = [Beatmap.read(p) for p in files[:: max(min(len(files) // 20, 16), 1)]]
    clean = sum(check_map(map).clean for map in maps)
    with capsys.disabled():
        print(f"\n  {clean} of {len(maps)} maps have no problem")
    assert clean >= 0.98 * len(maps)


@pytest.mark.parametrize("mode", ALL)
def test_what_we_make_has_no_problem(mode, make, excerpt):
    from mapperatorinator.config import GenerateConfig
    import rosu_pp_py as rosu

    path = excerpt(8, f"clip{mode}.wav")
    made = make(
        GenerateConfig(
            audio_path=str(path),
            gamemode=mode,
            keycount=5 if mode == 3 else None,
            seed=1,
            difficulty=2.5,
            star_tries=0,
            bpm=[120],
            offset=[0],
            output_path=str(path.parent),
        )
    )
    assert made.check.clean and made.report["checked"] is None, made.check.findings
    read = rosu.Beatmap(content=made.path.read_text(encoding="utf-8"))
    assert int(read.mode) == mode and read.n_objects == len(made.beatmap.hit_objects) > 5
    assert rosu.Difficulty().calculate(read).stars == pytest.approx(made.report["achieved_stars"], abs=0.01)
    assert mode != 3 or made.beatmap.keys == 5
