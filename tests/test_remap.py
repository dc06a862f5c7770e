"""A range of one map in another: seams, tempo, bytes, files."""

import json

import pytest
from hypothesis import given, settings, strategies as st

from corpus import remap_thirds
from mapperatorinator.config import GenerateConfig
from mapperatorinator.core import UserError
from mapperatorinator.osu.beatmap import Beatmap, BeatmapError, Circle, Hold, Slider, Spinner, TimingPoint
from mapperatorinator.osu.timing import Timing
from mapperatorinator.remap import SOUNDS, asked_for, remap_file, same_grid, splice, undo

FILE = """osu file format v14\r
\r
[General]\r
AudioFilename: a.mp3\r
Mode: 0\r
\r
[Difficulty]\r
SliderMultiplier : 1.6\r
\r
[Events]\r
//Break Periods\r
2,4300,7000\r
Sprite,Foreground,Centre,"a.png",320,240\r
 F,0,5000,6000,0,1\r
\r
[TimingPoints]\r
0,500,4,1,3,55,1,0\r
4000.5,-133.333333333333,4,1,3,35,0,1\r
 \r
[Colours]\r
Combo1 : 1,2,3\r
\r
[HitObjects]\r
// mine\r
100,100,0,1,0,0:0:0:0:\r
100,100,3000,2,0,L|340:100,2,240\r
256,192,8000,1,0,0:0:0:0:\r
"""


def new(*objects, points=((0, 500),), mode=0, **settings):
    return Beatmap.new(
        mode=mode, timing_points=[TimingPoint(*p) for p in points], hit_objects=list(objects), **settings
    )


def circles(*times):
    return [Circle(200, 200, t) for t in times]


def line(time, length, slides=1):
    return Slider(0, 0, time, 2, 0, "", "L", [(0, 0), (length, 0)], slides, length)


def test_bytes_of_a_windows_file_stay():
    original = Beatmap.parse("\ufeff" + FILE)
    result = splice(original, new(*circles(5000, 6000), slider_multiplier=1.6), 4800, 7000)
    old = original.to_bytes().split(b"\r\n")
    now = result.to_bytes().split(b"\r\n")
    assert [l for l in now if l in old] == [l for l in old if l != b"2,4300,7000"]
    assert [l for l in now if l not in old] == [
        b"4800,-100,4,1,3,35,0,1",
        b"7000,-133.333333333333,4,1,3,35,0,1",
        b"200,200,5000,5,0,0:0:0:0:",
        b"200,200,6000,1,0,0:0:0:0:",
    ]
    assert original.to_text() == "\ufeff" + FILE


def test_an_old_slider_keeps_the_range_free_until_it_ends():
    original = Beatmap.parse(FILE)  # its slider lasts until 4500
    assert [
        o.time for o in splice(original, new(*circles(3500, 4250, 4500, 4750)), 3400, 7000).hit_objects
    ] == [0, 3000, 4750, 8000]


def test_new_objects_end_before_the_next_old_one():
    original = new(*circles(0, 4000), slider_multiplier=1.0)
    made = new(line(1000, 100, 8), Spinner(256, 192, 5200, 12, end_time=9000), slider_multiplier=1.0)
    result = splice(original, made, 500, 3000)
    assert [result.end_time(o) for o in result.hit_objects] == [0, 3500, 4000] and result.hit_objects[
        1
    ].slides == 5
    assert splice(new(*circles(6000)), made, 5000, 5500).hit_objects[0].end_time == 5980


def test_another_tempo_takes_over_and_gives_back():
    original = new(*circles(0, 12000), line(12500, 100))
    made = new(*circles(3000), line(5000, 120), points=[(140, 400)])
    result = splice(original, made, 2100, 11000)
    reds = [(p.time, p.beat_length) for p in result.timing_points if p.uninherited]
    assert reds == [(0, 500), (3340, 400), (10000, 500)] and same_grid(
        Timing.of(original), Timing.of(result), 10000, 20000
    )
    assert [round(result.duration(o)) for o in result.hit_objects] == [
        0,
        0,
        round(made.duration(made.hit_objects[1])),
        0,
        round(original.duration(original.hit_objects[2])),
    ]


def test_velocities_the_game_does_not_have_become_lengths():
    original = new(slider_multiplier=0.4)
    made = new(line(1000, 360), slider_multiplier=3.6, points=[(0, 500), (900, -25, 4, 2, 0, 100, False)])
    slider = splice(original, made, 500, 3000).hit_objects[0]
    assert (
        splice(original, made, 500, 3000).duration(slider)
        == pytest.approx(made.duration(made.hit_objects[0]))
        == 125
    )


def test_a_range_before_the_first_red_line():
    result = splice(
        new(*circles(5000), points=[(4000, 500)]), new(*circles(1000), points=[(0, 500)]), 500, 2000
    )
    assert (
        result.timing_points[0].time == 0
        and result.timing_points[-1].time == 4000
        and result.point_at(1000).uninherited
    )


def test_unsorted_files_keep_their_order():
    original = new(*circles(9000, 0, 1000, 8000))
    assert [o.time for o in splice(original, new(*circles(1500)), 900, 2000).hit_objects] == [
        1500,
        9000,
        0,
        8000,
    ]


def test_columns_are_apart():
    original = new(Hold(64, 192, 0, end_time=2000), Circle(192, 192, 4000), mode=3, cs=4)
    made = new(
        Circle(64, 192, 1000), Circle(192, 192, 1000), Hold(192, 192, 3000, end_time=5000), mode=3, cs=4
    )
    assert [
        (o.column(4), o.time, getattr(o, "end_time", 0))
        for o in splice(original, made, 500, 4000).hit_objects
    ] == [(0, 0, 2000), (1, 1000, 0), (1, 3000, 3980), (1, 4000, 0)]
    with pytest.raises(UserError, match="7 keys"):
        splice(original, new(mode=3, cs=7), 0, 9)


def test_the_merge_of_the_reference_and_what_it_forgot():
    "Objects as measured on the reference; its lines lost the mapper's velocity, volume and kiai after the range. Ours take only velocities over."
    original = new(
        *circles(1000, 6000),
        Slider(300, 100, 9000, 2, 0, "", "L", [(300, 100), (400, 100)], 1, 100),
        points=[(0, 500, 4, 1, 1, 60), (6000, -50, 4, 1, 1, 30, False, 1), (9000, -80, 4, 1, 1, 50, False)],
    )
    made = new(
        *circles(1000, 6500, 9000),
        points=[(0, 500, 4, 2, 0, 60), (6500, -100, 4, 2, 0, 80, False), (9000, -100, 4, 2, 0, 40, False)],
    )
    result = splice(original, made, 5000, 8000)
    sounding = splice(original, made, 5000, 8000, ["kiai", *SOUNDS])
    says = lambda m: [
        (p.velocity, p.volume, p.kiai, p.sample_set, p.sample_index)
        for p in map(m.point_at, (4999, 5000, 6500, 8000, 9000))
    ]
    assert [(o.time, type(o)) for o in result.hit_objects] == [(1000, Circle), (6500, Circle), (9000, Slider)]
    assert says(result) == [
        (1, 60, False, 1, 1),
        (1, 60, False, 1, 1),
        (1, 30, True, 1, 1),
        (2, 30, True, 1, 1),
        (1.25, 50, False, 1, 1),
    ]
    assert says(sounding) == [
        (1, 60, False, 1, 1),
        (1, 60, False, 2, 0),
        (1, 80, False, 2, 0),
        (2, 30, True, 1, 1),
        (1.25, 50, False, 1, 1),
    ]
    meter = splice(original, new(*circles(6500), points=[(10, 400, 3, 2, 0, 80)]), 5000, 8000)
    assert [(p.time, p.beat_length, p.meter) for p in meter.timing_points if p.uninherited] == [
        (0, 500, 4),
        (6010, 400, 3),
        (8000, 500, 4),
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 8000),
    st.integers(1, 8000),
    st.sampled_from([500.0, 400.0, 333.3333, 60000 / 174]),
    st.integers(0, 999),
    st.floats(0.4, 3.6),
    st.lists(
        st.tuples(
            st.integers(0, 16000), st.sampled_from([-50.0, -80.0, -100.0, -200.0]), st.integers(5, 100)
        ),
        max_size=8,
    ),
)
def test_what_lies_outside_is_as_it_was(start, length, beat, offset, multiplier, greens):
    original = new(
        *[o for t in range(0, 16000, 1000) for o in (line(t, 60), Circle(9, 9, t + 500))],
        points=[(0, 500), (3000, -70.0, 4, 1, 2, 30, False), (9000, 450.0)],
    )
    made = new(
        *[line(t, 40) for t in range(offset, 16000, 700)],
        points=[(offset, beat), *((t, b, 4, 2, 0, v, False) for t, b, v in greens)],
        slider_multiplier=multiplier,
    )
    result = splice(original, made, start, start + length)
    end = start + length
    at_end = {f"{p.time},{p.beat_length:g}" for p in original.timing_points if p.time == end}
    assert remap_thirds.kept(original, result, start, end)
    assert remap_thirds.lasting(original, made, result, start, end) == 0
    assert [o for o in result.hit_objects if not start <= o.time < end] == [
        o for o in original.hit_objects if not start <= o.time < end
    ]
    assert [p for p in result.timing_points if not start <= p.time <= end] == [
        p for p in original.timing_points if not start <= p.time <= end
    ] or start == 0
    assert at_end or same_grid(Timing.of(original), Timing.of(result), end, 20000)


MAPPERS = """osu file format v14

[TimingPoints]
26,468.75,4,2,1,70,1,0
1901,-125,4,2,1,70,0,0
3776,-80,4,2,3,45,0,1
5651,-80,4,3,3,60,0,1
7526,-100,4,2,1,70,0,0

[HitObjects]
100,100,26,5,0,0:0:0:0:
396,134,3776,5,0,0:0:0:0:
281,249,6119,1,8,0:0:0:0:
"""


def sounds(m, times=range(0, 9000, 25)):  # what is heard and seen of the lines besides velocities
    return [(p.volume, p.sample_set, p.sample_index, p.kiai) for p in map(m.point_at, times)]


def test_kiai_banks_and_volumes_of_the_mapper_stay_in_the_range():
    original = Beatmap.parse(MAPPERS)
    made = new(
        line(3776, 150),
        *circles(4713, 5182),
        points=[(26, 468.75), (3700, -50.0, 4, 3, 0, 20, False), (4713, -400.0, 4, 2, 0, 90, False, 1)],
    )
    result = splice(original, made, 3700, 5700)
    assert sounds(result) == sounds(original)
    assert [result.point_at(t).velocity for t in (3699, 3776, 4713, 5700)] == pytest.approx(
        [0.8, 2, 0.25, 1.25]
    )
    assert all(
        l in result.to_text().splitlines()
        for l in MAPPERS.splitlines()
        if l.startswith(("26,", "1901,", "7526,"))
    )


def test_what_was_asked_for_is_not_the_mappers():
    original = Beatmap.parse(MAPPERS)
    made = new(*circles(4000), points=[(26, 468.75, 4, 3, 5, 20)])
    assert not splice(original, made, 3700, 5700, ["kiai"]).point_at(4000).kiai
    heard = splice(original, made, 3700, 5700, SOUNDS).point_at(4000)
    assert (heard.volume, heard.sample_set, heard.sample_index, heard.kiai) == (20, 3, 5, True)
    assert asked_for(GenerateConfig()) == [] and asked_for(GenerateConfig(output_type=["map", "kiai"])) == [
        "kiai"
    ]
    assert asked_for(GenerateConfig(in_context=["no_hs"], output_type=["map"])) == [*SOUNDS]


def test_notes_of_mania_are_as_loud_as_the_mappers_lines():
    original = new(Circle(64, 192, 0), mode=3, cs=4, points=[(0, 500, 4, 1, 0, 45)])
    made = new(
        Circle(64, 192, 1000, 1, 0, "2:1:0:80:"),
        Hold(192, 192, 1000, 128, 0, "0:0:3:80:a.wav", end_time=1500),
        mode=3,
        cs=4,
    )
    assert [o.sample for o in splice(original, made, 500, 2000).hit_objects[1:]] == [
        "2:1:0:0:",
        "0:0:3:0:a.wav",
    ]
    assert splice(original, made, 500, 2000, SOUNDS).hit_objects[1].sample == "2:1:0:80:"


def test_lines_that_say_the_same_are_the_mappers_own_to_the_byte():
    "A range in which nothing is new keeps its odd spellings and what a green line repeats."
    text = MAPPERS.replace("3776,-80,4,2,3,45,0,1", "3776,-80.00000,4,2,3,45,0,1").replace(
        "5651,-80,", " 5651,-80,".strip()
    )
    original = Beatmap.parse(text)
    assert "3776,-80.00000,4,2,3,45,0,1" in splice(original, original, 3700, 5700).to_text()


@pytest.mark.parametrize("beat", [0, 1e-300, -500, 0.06])
def test_a_file_without_a_tempo_gets_that_of_the_new_range(beat):
    "The mapper's line is no tempo; the new range brings its own, and what was before and after is as it was."
    original = new(*circles(0, 9000), points=[(0, beat)])
    made = new(line(1000, 100), *circles(3000), points=[(0, 500)])
    result = splice(original, made, 1000, 5000)
    assert [(p.time, p.beat_length) for p in result.timing_points if p.uninherited] == [
        (0, beat),
        (2000, 500),
        (5000, beat),
    ]
    assert result.duration(result.hit_objects[1]) == pytest.approx(made.duration(made.hit_objects[0]))
    nothing = splice(new(*circles(0), points=()), made, 1000, 5000)
    assert [p.beat_length for p in nothing.timing_points if p.uninherited] == [500] and Beatmap.parse(
        nothing.to_text()
    ) == nothing


def test_a_remap_of_an_old_file_is_heard_where_it_was_made():
    "Format 4 is 24 ms early: a note made at 1024 ms is written as 1000, and every old line stays as it was."
    old = "osu file format v4\n\n[TimingPoints]\n0,500\n\n[HitObjects]\n64,64,0,1,0\n64,64,4000,1,0\n"
    result = splice(Beatmap.parse(old), new(*circles(1024), points=[(24, 500)]), 900, 2000)
    assert [o.time for o in result.hit_objects] == [24, 1024, 4024]
    assert [
        l for l in old.splitlines() if l not in result.to_text().splitlines()
    ] == [] and "200,200,1000,5,0" in result.to_text()


def test_a_range_of_ten_thousand_lanes_and_breaks_is_quick():
    "Nothing here looks at everything for everything."
    original = new(
        *[Circle(64 + 128 * (i % 4), 192, 10 * i) for i in range(3000)],
        mode=3,
        cs=4,
        events=[f"2,{5 * i},{5 * i + 1}" for i in range(5000)],
    )
    made = new(*[Circle(64, 192, 10 * i) for i in range(3000)], mode=3, cs=4)
    result = splice(original, made, 0, 15_000)
    assert len(result.hit_objects) == 3000 and len(result.breaks) < 5000


def test_files(tmp_path):
    song = tmp_path / "a [b] (c).osu"
    song.write_bytes(FILE.encode())
    copy = remap_file(song, new(*circles(5000)), 4800, 7000, output=tmp_path / "copy.osu")
    assert song.read_bytes() == FILE.encode() and copy.read_bytes() != FILE.encode()
    assert remap_file(song, new(*circles(5000)), 4800, 7000).read_bytes() == copy.read_bytes()
    remap_file(song, new(*circles(7500)), 7100, 7900, output=str(song))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a [b] (c).osu",
        "a [b] (c).osu.undo1",
        "a [b] (c).osu.undo2",
        "copy.osu",
    ]
    undo(song)
    assert song.read_bytes() == copy.read_bytes() and undo(song).read_bytes() == FILE.encode()
    for wrong in (
        lambda: undo(song),
        lambda: splice(new(), new(mode=1), 0, 9),
        lambda: splice(new(), new(), 9, 0),
    ):
        with pytest.raises(UserError):
            wrong()
    with pytest.raises(BeatmapError):
        remap_file(tmp_path / "none.osu", new(), 0, 9)


def test_middle_thirds_of_human_maps(corpus, capsys):
    assert remap_thirds.main(corpus, 10) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["good"] == 10
