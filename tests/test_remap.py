"""A range of one map in another: seams, tempo, bytes, files."""
import json
import pytest
from hypothesis import given, settings, strategies as st
from mapperatorinator.core import UserError
from mapperatorinator.osu.beatmap import Beatmap, BeatmapError, Circle, Hold, Slider, Spinner, TimingPoint
from mapperatorinator.osu.timing import Timing
from mapperatorinator.remap import remap_file, same_grid, splice, undo
from corpus import remap_thirds

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
    return Beatmap.new(mode=mode, timing_points=[TimingPoint(*p) for p in points], hit_objects=list(objects), **settings)

def circles(*times): return [Circle(200, 200, t) for t in times]
def line(time, length, slides=1): return Slider(0, 0, time, 2, 0, "", "L", [(0, 0), (length, 0)], slides, length)

def test_bytes_of_a_windows_file_stay():
    original = Beatmap.parse("\ufeff" + FILE)
    result = splice(original, new(*circles(5000, 6000), slider_multiplier=1.6), 4800, 7000)
    old, now = original.to_bytes().split(b"\r\n"), result.to_bytes().split(b"\r\n")
    assert [l for l in now if l in old] == [l for l in old if l != b"2,4300,7000"]
    assert [l for l in now if l not in old] == [b"4800,-100,4,2,0,100,0,0", b"7000,-133.333333333333,4,1,3,35,0,1", b"200,200,5000,5,0,0:0:0:0:", b"200,200,6000,1,0,0:0:0:0:"]
    assert original.to_text() == "\ufeff" + FILE

def test_an_old_slider_keeps_the_range_free_until_it_ends():
    original = Beatmap.parse(FILE) # its slider lasts until 4500
    assert [o.time for o in splice(original, new(*circles(3500, 4250, 4500, 4750)), 3400, 7000).hit_objects] == [0, 3000, 4750, 8000]

def test_new_objects_end_before_the_next_old_one():
    original = new(*circles(0, 4000), slider_multiplier=1.)
    made = new(line(1000, 100, 8), Spinner(256, 192, 5200, 12, end_time=9000), slider_multiplier=1.)
    result = splice(original, made, 500, 3000)
    assert [result.end_time(o) for o in result.hit_objects] == [0, 3500, 4000] and result.hit_objects[1].slides == 5
    assert splice(new(*circles(6000)), made, 5000, 5500).hit_objects[0].end_time == 5980

def test_another_tempo_takes_over_and_gives_back():
    original, made = new(*circles(0, 12000), line(12500, 100)), new(*circles(3000), line(5000, 120), points=[(140, 400)])
    result = splice(original, made, 2100, 11000)
    reds = [(p.time, p.beat_length) for p in result.timing_points if p.uninherited]
    assert reds == [(0, 500), (3340, 400), (10000, 500)] and same_grid(Timing.of(original), Timing.of(result), 10000, 20000)
    assert [round(result.duration(o)) for o in result.hit_objects] == [0, 0, round(made.duration(made.hit_objects[1])), 0, round(original.duration(original.hit_objects[2]))]

def test_velocities_the_game_does_not_have_become_lengths():
    original, made = new(slider_multiplier=.4), new(line(1000, 360), slider_multiplier=3.6, points=[(0, 500), (900, -25, 4, 2, 0, 100, False)])
    slider = splice(original, made, 500, 3000).hit_objects[0]
    assert splice(original, made, 500, 3000).duration(slider) == pytest.approx(made.duration(made.hit_objects[0])) == 125

def test_a_range_before_the_first_red_line():
    result = splice(new(*circles(5000), points=[(4000, 500)]), new(*circles(1000), points=[(0, 500)]), 500, 2000)
    assert result.timing_points[0].time == 0 and result.timing_points[-1].time == 4000 and result.point_at(1000).uninherited

def test_unsorted_files_keep_their_order():
    original = new(*circles(9000, 0, 1000, 8000))
    assert [o.time for o in splice(original, new(*circles(1500)), 900, 2000).hit_objects] == [1500, 9000, 0, 8000]

def test_columns_are_apart():
    original = new(Hold(64, 192, 0, end_time=2000), Circle(192, 192, 4000), mode=3, cs=4)
    made = new(Circle(64, 192, 1000), Circle(192, 192, 1000), Hold(192, 192, 3000, end_time=5000), mode=3, cs=4)
    assert [(o.column(4), o.time, getattr(o, "end_time", 0)) for o in splice(original, made, 500, 4000).hit_objects] == [(0, 0, 2000), (1, 1000, 0), (1, 3000, 3980), (1, 4000, 0)]
    with pytest.raises(UserError, match="7 keys"): splice(original, new(mode=3, cs=7), 0, 9)

def test_the_merge_of_the_reference_and_what_it_forgot():
    "Objects as measured on the reference; its lines lost the mapper's velocity, volume and kiai after the range."
    original = new(*circles(1000, 6000), Slider(300, 100, 9000, 2, 0, "", "L", [(300, 100), (400, 100)], 1, 100),
                   points=[(0, 500, 4, 1, 1, 60), (6000, -50, 4, 1, 1, 30, False, 1), (9000, -80, 4, 1, 1, 50, False)])
    made = new(*circles(1000, 6500, 9000), points=[(0, 500, 4, 2, 0, 60), (6500, -100, 4, 2, 0, 80, False), (9000, -100, 4, 2, 0, 40, False)])
    result = splice(original, made, 5000, 8000)
    assert [(o.time, type(o)) for o in result.hit_objects] == [(1000, Circle), (6500, Circle), (9000, Slider)]
    assert [result.point_at(t).volume for t in (1000, 5000, 6500, 8000, 9000)] == [60, 60, 80, 30, 50]
    assert [(p.velocity, p.kiai, p.sample_set) for p in map(result.point_at, (4999, 6500, 8000, 9000))] == [(1, False, 1), (1, False, 2), (2, True, 1), (1.25, False, 1)]
    meter = splice(original, new(*circles(6500), points=[(10, 400, 3, 2, 0, 80)]), 5000, 8000)
    assert [(p.time, p.beat_length, p.meter) for p in meter.timing_points if p.uninherited] == [(0, 500, 4), (6010, 400, 3), (8000, 500, 4)]

@settings(max_examples=60, deadline=None)
@given(st.integers(0, 8000), st.integers(1, 8000), st.sampled_from([500., 400., 333.3333, 60000 / 174]), st.integers(0, 999), st.floats(.4, 3.6),
       st.lists(st.tuples(st.integers(0, 16000), st.sampled_from([-50., -80., -100., -200.]), st.integers(5, 100)), max_size=8))
def test_what_lies_outside_is_as_it_was(start, length, beat, offset, multiplier, greens):
    original = new(*[o for t in range(0, 16000, 1000) for o in (line(t, 60), Circle(9, 9, t + 500))], points=[(0, 500), (3000, -70., 4, 1, 2, 30, False), (9000, 450.)])
    made = new(*[line(t, 40) for t in range(offset, 16000, 700)], points=[(offset, beat), *((t, b, 4, 2, 0, v, False) for t, b, v in greens)], slider_multiplier=multiplier)
    result, end = splice(original, made, start, start + length), start + length
    at_end = {f"{p.time},{p.beat_length:g}" for p in original.timing_points if p.time == end}
    assert remap_thirds.kept(original, result, start, end)
    assert remap_thirds.lasting(original, made, result, start, end) == 0
    assert [o for o in result.hit_objects if not start <= o.time < end] == [o for o in original.hit_objects if not start <= o.time < end]
    assert [p for p in result.timing_points if not start <= p.time <= end] == [p for p in original.timing_points if not start <= p.time <= end] or start == 0
    assert at_end or same_grid(Timing.of(original), Timing.of(result), end, 20000)

def test_files(tmp_path):
    song = tmp_path/"a [b] (c).osu"
    song.write_bytes(FILE.encode())
    copy = remap_file(song, new(*circles(5000)), 4800, 7000, output=tmp_path/"copy.osu")
    assert song.read_bytes() == FILE.encode() and copy.read_bytes() != FILE.encode()
    assert remap_file(song, new(*circles(5000)), 4800, 7000).read_bytes() == copy.read_bytes()
    remap_file(song, new(*circles(7500)), 7100, 7900, output=str(song))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a [b] (c).osu", "a [b] (c).osu.undo1", "a [b] (c).osu.undo2", "copy.osu"]
    undo(song)
    assert song.read_bytes() == copy.read_bytes() and undo(song).read_bytes() == FILE.encode()
    for wrong in (lambda: undo(song), lambda: splice(new(), new(mode=1), 0, 9), lambda: splice(new(), new(), 9, 0)):
        with pytest.raises(UserError): wrong()
    with pytest.raises(BeatmapError): remap_file(tmp_path/"none.osu", new(), 0, 9)
    with pytest.raises(UserError): splice(new(points=()), new(), 0, 9)

def test_middle_thirds_of_human_maps(corpus, capsys):
    assert remap_thirds.main(corpus, 10) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["good"] == 10
