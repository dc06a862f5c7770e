"""What a map means in the game's older or stranger corners, and what its numbers are worth: through every door that reads maps of others.

The right values are lazer's (or rosu-pp's, which follows it); what happened before stands in issue 10."""

import math
from dataclasses import replace

import numpy as np
import pytest
import rosu_pp_py as rosu
import soundfile

from mapperatorinator.config import GenerateConfig, LanguageConfig, SpectrogramConfig, compose
from mapperatorinator.core import UserError
from mapperatorinator.data import Listing, MapItem, frame_labels, load_songs, object_times
from mapperatorinator.events import ContextType, EventType
from mapperatorinator.request import contexts_of
from mapperatorinator.osu.beatmap import LIMIT, Beatmap, Circle, TimingPoint
from mapperatorinator.osu.check import check_map
from mapperatorinator.osu.curves import SliderPath
from mapperatorinator.osu.difficulty import star_rating, strains
from mapperatorinator.osu.files import file_name
from mapperatorinator.osu.show import show_map
from mapperatorinator.osu.timing import Timing, TimingBuilder, change, counted
from mapperatorinator.parse import MOST_BEATS, MOST_MORE, Parser
from mapperatorinator.osu.criteria import fruits
from mapperatorinator.postprocess import assemble, clean, hyperdashes, inside, lead_in, preview_point
from mapperatorinator.prompt import Metadata
from mapperatorinator.remap import splice
from mapperatorinator.tokenizer import Tokenizer
from mapperatorinator.groups import read_groups
from mapperatorinator.unparse import to_hit_objects

OURS = LanguageConfig(add_kiai=True, add_mania_sv=True)
PUBLISHED = [compose(LanguageConfig, preset=v) for v in ("v28", "v30", "v31", "v32")]
LANGUAGES = [OURS, *PUBLISHED]


def osu(objects="", points="0,500,4,2,0,60,1,0", version=14, mode=0, **settings):
    "A map of a few lines."
    keys = "".join(f"{k}:{v}\n" for k, v in settings.items())
    return f"osu file format v{version}\n\n[General]\nAudioFilename: song.wav\nMode: {mode}\n\n[Difficulty]\n{keys}\n[TimingPoints]\n{points}\n\n[HitObjects]\n{objects}\n"


def read(*lines, **more):
    return Beatmap.parse(osu("\n".join(lines), **more))


def says(stream):
    return [(e.type.value, t) for e, t in stream if e.type is not EventType.TIME_SHIFT]


# --- numbers are not believed


@pytest.mark.parametrize("beat", ["0", "1e-300", "-500", "5.999", "2147483647", "-0"])
def test_beats_that_are_none_stop_nothing(beat):
    "A red line of 0 ms is no reason to divide by it, in any of the rooms."
    b = read(
        "100,100,300,5,0",
        "256,192,700,2,0,L|356:192,3,100",
        points=f"0,{beat},4,2,0,60,1,0\n9000,{beat},4,2,0,60,1,1",
    )
    assert (
        all(6 <= p.beat_ms <= 60_000 and p.bpm for p in b.timing_points)
        and 0 < b.duration(b.hit_objects[1]) <= LIMIT
    )
    timing = Timing.of(b)
    assert (
        timing.snap_divisor(301) in range(17)
        and math.isfinite(timing.beats_since_redline(301))
        and timing.resnap(301, 4) == pytest.approx(301, abs=20)
    )
    assert timing.median_beat_length(60_000) >= 6 and len(timing.beats(0, 60_000, 16)) <= 60_000 / 6 * 16
    for language in LANGUAGES:
        for kind in (ContextType.MAP, ContextType.KIAI, ContextType.SV):
            assert Parser(language).context(kind, b) is not None
        assert contexts_of(b, language, [ContextType.MAP], 60_000)
    assert lead_in(timing.red, -5000)[0].time <= -5000 or float(beat) > 60_000
    assert clean(c := b.copy()) is not None and Beatmap.parse(c.to_bytes()).hit_objects == c.hit_objects
    assert splice(b, c, 0, 1000).hit_objects and preview_point(b) >= 0 and check_map(b).summary()


def test_what_a_file_says_is_kept_to_the_byte_whatever_it_is_worth():
    text = osu(
        "9,9,5,2,0,B|9:9|131072:-131072|0:0,9000,131072\n0,0,2147483647,1,0",
        "0,1e-300\n7,0\n8,-500,4,2,0,60,1,0\n9,NaN,4,2,0,60,0,0",
        CircleSize="6.6",
        OverallDifficulty="1e9",
    )
    b = Beatmap.parse(text)
    assert b.to_text() == text and [p.beat_length for p in b.timing_points[:3]] == [1e-300, 0, -500]
    b.timing_points[0] = replace(b.timing_points[0], volume=30)
    assert b.to_text() == text.replace(
        "0,1e-300\n", "0,1e-300,4,0,0,30,1,0\n"
    )  # an edit of the volume is none of the tempo


@pytest.mark.parametrize("od", ["-1", "1e9", "11", "2147483647"])
def test_settings_are_what_the_game_makes_of_them(od):
    b = read(
        HPDrainRate=od,
        CircleSize=od,
        OverallDifficulty=od,
        ApproachRate=od,
        SliderMultiplier=od,
        SliderTickRate=od,
    )
    low = od == "-1"
    assert {b.hp, b.cs, b.od, b.ar} == {0 if low else 10} and (b.slider_multiplier, b.tick_rate) == (
        (0.4, 0.5) if low else (3.6, 8)
    )


def test_a_slider_of_no_length_is_as_long_as_its_curve_when_it_is_folded():
    b = read("100,100,500,2,0,L|700:100,1,0")
    lasted = b.duration(b.hit_objects[0])
    assert (
        inside(b) == 1
        and (b.hit_objects[0].length, b.hit_objects[0].slides) == (300, 2)
        and b.duration(b.hit_objects[0]) == lasted
    )
    assert sum(clean(b).values()) and sum(clean(b).values()) == 0


@pytest.mark.parametrize(
    "line",
    [
        "100,100,500,2,0,B|131072:-131072|-131072:131072,9000,131072",
        "131072,131072,500,2,0,L|131071:131072,1,0.001",
        "100,100,500,2,0,C|131072:100|131072:100,2,131072",
        "-131072,0,500,2,0,P|0:9|131072:0,1,131072",
        "5,5,1,2,0,L|-1:0|0:31072,1",
    ],
)
def test_folding_and_placing_end(line):
    b = read(line)
    clean(b)
    assert sum(clean(b).values()) == 0 and Beatmap.parse(b.to_bytes()).hit_objects == b.hit_objects
    assert all(
        isinstance(o, Circle) or (0 <= o.path.vertices.min() and o.path.vertices.max() <= 512)
        for o in b.hit_objects
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_beats_are_counted_to_the_end_of_the_song_at_most(language):
    "5 ms a beat up to a red line in 24 days; then an object there."
    points = "377,468.75\n900,5\n2147483647,468.75"
    near = read("1,1,1000,1,0", points=points)
    far = read("1,1,2147483647,1,0", points=points)
    parser = Parser(language)
    assert parser.timing_events(near.timing_points, 2000).times[-1] <= 2000
    assert len(parser.timing_events(far)) <= 2 * MOST_BEATS and len(parser.map_events(far)) <= 4 * MOST_BEATS
    assert contexts_of(far, language, [ContextType.TIMING], 2000)[0].stream.times[-1] <= 2000
    if language is OURS:
        assert parser.timing_events(near).times[-1] <= 1000


@pytest.mark.parametrize("mode", range(4))
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_line_can_ask_for_without_end_is_said_until_a_map_has_had_its_share(language, mode):
    lines = [
        "9,9,0,2,0,L|99:9,9000,100",
        "256,192,0,8,0,2147483647",
        "64,192,-2147483648,128,0,2147483647:0:0:0:0:",
    ]
    stream = Parser(language).map_events(read(*lines * 30, mode=mode))
    assert len(stream) <= 8 * MOST_MORE + 2 * MOST_BEATS + 30 * 60


def test_stars_are_not_counted_where_counting_has_no_end():
    "rosu-pp does not suspect it, and was busy for minutes."
    b = read(*["9,9,9,2,0,B|9:9|131072:-131072|0:0,9000,131072"] * 9, "99,99,9999,1,0")
    for what in (star_rating, strains, lambda m: star_rating(m.to_bytes())):
        with pytest.raises(UserError, match="built to break calculators"):
            what(b)


def test_a_catcher_counts_no_droplets_without_end():
    b = read(
        "9,9,500,2,0,L|99:9,9000,131072",
        "400,9,501,1,0",
        mode=2,
        SliderTickRate=8,
        SliderMultiplier=0.4,
        points="0,500\n0,-1000,4,2,0,60,0,0",
    )
    assert len(fruits(b)) < 200_000 and hyperdashes(b)


@pytest.mark.parametrize("mode", range(4))
def test_objects_at_any_time_come_back_from_their_events(mode):
    "What cannot be told is left out; nothing that is written is refused by a reader."
    times = (-2147483648, -1, 0, 1, 86_400_000, 2147483647)
    b = read(
        *[
            f"64,192,{t},{kind}"
            for t in times
            for kind in ("1,0", "2,0,L|300:192,9000,131072", f"8,0,{t + 9}", f"128,0,{t + 9}:0:0:0:0:")
        ],
        mode=mode,
    )
    streams = [Parser(OURS).map_events(b)]
    back = assemble(streams, Timing.of(b), GenerateConfig(gamemode=mode), OURS)
    again = Beatmap.parse(back.to_bytes())
    assert len(again.hit_objects) == len(back.hit_objects) > 0 and not again.warnings


def test_a_roll_longer_than_any_line_is_rolled_in_turns():
    "At 10,000 beats a minute ten seconds are 600,000 px; a file holds 131,072."
    timing = Timing([TimingPoint(0, 6)])
    stream = Parser(LanguageConfig(sustain_interval=0)).map_events(
        read("256,192,0,2,0,L|456:192,50,131072", mode=1, points="0,6\n0,-1000,4,2,0,60,0,0")
    )
    roll = to_hit_objects(read_groups(stream, OURS), timing, 3.6, OURS, 1).objects[0]
    assert roll.slides > 1 and roll.length <= 131_072
    assert Beatmap.parse(Beatmap.new(mode=1, hit_objects=[roll]).to_bytes()).hit_objects == [roll]


def test_lines_of_absurd_velocity_can_be_changed_and_written():
    points = [
        TimingPoint(0, 500),
        TimingPoint(100, -5e-324, uninherited=False),
        TimingPoint(200, math.nan, uninherited=False),
        TimingPoint(300, -2147483647, uninherited=False),
    ]
    assert all(math.isfinite(p.sv) and 0.1 <= p.velocity <= 10 for p in points)
    assert [p.time for p in change(points, 50, 250, volume=5) if p.volume == 5] == [50, 100, 200]
    builder = TimingBuilder(points[:1])
    for p in points:
        builder.set(p.time, sv=p.sv)
    assert all(math.isfinite(p.beat_length) for p in builder.points())


# --- a tempo to go by


@pytest.fixture(scope="module")
def song(excerpt):
    return excerpt(4, "song.wav")


def ask(song, text, **more):
    "A request with a reference map beside the song."
    path = song.parent / "map.osu"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return GenerateConfig(
        beatmap_path=str(path),
        audio_path=str(song),
        difficulty=2.0,
        seed=1,
        star_tries=0,
        device="cpu",
        end_time=2000,
        output_path=str(song.parent / "out"),
        **more,
    )


NOTES = "100,100,377,5,0\n120,110,846,1,0\n140,120,1314,1,0\n240,100,2721,5,0"


@pytest.mark.parametrize(
    "points,why",
    [
        ("377,1e-300", "beats of 1e-300 ms"),
        ("377,0", "beats of 0 ms"),
        ("377,-500,4,2,0,60,1,0", "beats of -500 ms"),
        ("377,NaN,4,2,0,60,1,0", "no red line"),
        ("377,-100,4,2,0,60,0,0", "no red line"),
        ("1e9,468.75", "the song ends at 4000 ms"),
    ],
)
@pytest.mark.parametrize("how", [dict(timing="reference"), dict(add_to_beatmap=True, start_time=1000)])
def test_a_reference_without_a_tempo_is_refused_with_advice_that_helps(make, song, points, why, how):
    with pytest.raises(UserError) as e:
        make(ask(song, osu(NOTES, points), **how))
    assert why in str(e.value) and "give bpm and offset" in str(e.value) and "timing=auto" not in str(e.value)


def test_the_advice_is_followed(make, song):
    "A map whose only red line is 1e-300: bpm and offset are believed, and the range gets that grid."
    made = make(
        ask(song, osu(NOTES, "377,1e-300"), add_to_beatmap=True, start_time=1000, bpm=128, offset=377)
    )
    assert made.report["bpm"] == 128 and 60000 / 128 in [p.beat_length for p in made.beatmap.timing_points]
    assert [o.time for o in made.beatmap.hit_objects if not 1000 <= o.time < 2000] == [377, 846, 2721]


def test_effects_among_the_red_lines_of_a_reference_are_left_out():
    "Lines of 0.001 ms make notes jump; a new map has no use for them."
    b = read("1,1,1000,1,0", points="0,500\n1900,0.001\n1901,500\n2147483647,300")
    assert [p.time for p in counted(b, 60_000).timing_points] == [0, 1901] and len(b.timing_points) == 4


def test_timing_objects_have_a_tempo_when_they_have_a_red_line():
    for points in (
        [TimingPoint(1e9, 468.75)],
        [TimingPoint(0, 0)],
        [TimingPoint(-5, 1e-300), TimingPoint(1e308, 3)],
    ):
        assert (
            6 <= Timing(points).median_beat_length(8000) <= 60_000 and Timing(points).beat_length_at(0) >= 6
        )


# --- bytes that are not UTF-8

LATIN = (
    osu(NOTES, version=14)
    .replace("[Difficulty]", "[Metadata]\nTitle:Café\nArtist:Ä\nVersion:È\n\n[Difficulty]")
    .replace("song.wav", "song.wav\nÖ: Ü")
    .encode("latin-1")
)


def test_a_byte_that_is_no_utf8_works_everywhere(make, song):
    b = Beatmap.parse(LATIN + b"64,64,2900,1,0,0:0:0:0:\xe9.wav\r\n")
    assert b.to_bytes() == LATIN + b"64,64,2900,1,0,0:0:0:0:\xe9.wav\r\n" and b.title == "Caf\ufffd"
    assert (
        star_rating(b) == star_rating(b.to_bytes()) > 0 and strains(b) and check_map(b, stars=3.0).summary()
    )
    assert show_map(b).png() and b._repr_markdown_().encode() and file_name(b).encode()
    for language in LANGUAGES:
        said = Tokenizer.from_config(language).encode_stream(Parser(language).map_events(b))
        assert said and Metadata.of(b, language, 4000)
    made = make(ask(song, LATIN, timing="reference", bpm=None))
    assert made.report["objects"] > 0 and Beatmap.read(made.path).title == "Caf"  # in Latin letters


@pytest.mark.parametrize("where", ["Title:", "Mode: 0", "[TimingPoints]", "100,100,377", "0:0"])
def test_such_a_byte_may_be_anywhere(where):
    data = (
        osu(NOTES + "\n1,1,3000,1,0,0:0:0:0:")
        .replace("[Difficulty]", "[Metadata]\nTitle:x\n\n[Difficulty]")
        .encode()
    )
    i = data.index(where.encode()) + len(where)
    b = Beatmap.parse(data[:i] + b"\xe9\xff" + data[i:])
    assert (
        b.to_bytes() == data[:i] + b"\xe9\xff" + data[i:]
        and math.isfinite(star_rating(b))
        and check_map(b).summary()
    )
    assert Parser(OURS).map_events(b) is not None and all(
        w.reason.encode() and str(w).encode() for w in b.warnings
    )


def test_other_encodings_have_their_stars():
    text = osu(NOTES)
    assert (
        len(
            {
                star_rating(Beatmap.parse(data))
                for data in (
                    text.encode(),
                    b"\xef\xbb\xbf" + text.encode(),
                    b"\xff\xfe" + text.encode("utf-16-le"),
                )
            }
        )
        == 1
    )
    named = Beatmap.parse(text)
    named.title = "half \ud800 a letter, and \udce9"
    assert star_rating(named) > 0 and Beatmap.parse(named.to_bytes()).title.startswith("half")


# --- keys


@pytest.mark.parametrize(
    "size,keys",
    [
        ("6.6", 7),
        ("6.5", 6),
        ("7.5", 8),
        ("6.4", 6),
        ("4", 4),
        ("1e3", 18),
        ("0", 1),
        ("-3", 1),
        ("0.4", 1),
        ("18.5", 18),
        ("nonsense", 5),
    ],
)
def test_keys_are_the_nearest_whole_number(size, keys):
    b = read(
        *[f"{int((c + 0.5) * 512 / keys)},192,{500 * c},1,0" for c in range(keys)], mode=3, CircleSize=size
    )
    assert b.keys == keys and [o.column(b.keys) for o in b.hit_objects] == list(range(keys))
    if size not in (
        "nonsense",
        "1e3",
        "18.5",
        "-3",
        "0",
        "0.4",
    ):  # rosu-pp rounds as well: the same stars as with the whole number
        assert star_rating(b) == pytest.approx(
            star_rating(read(*[o.raw.strip() for o in b.hit_objects], mode=3, CircleSize=keys))
        )
    for language in LANGUAGES:
        columns = [e.value for e in Parser(language).map_events(b).events if e.type is EventType.MANIA_COLUMN]
        assert columns == list(range(keys)) and Metadata.of(b, language, 9000).keycount == keys
        if 3 in language.gamemodes:
            assert Tokenizer.from_config(language).encode_stream(Parser(language).map_events(b))
    assert MapItem(b, Parser(OURS)).metadata(9000).keycount == keys
    assert [
        o.x
        for o in to_hit_objects(
            read_groups(Parser(OURS).map_events(b), OURS, b.keys), Timing.of(b), 1.4, OURS, 3
        ).objects
    ] == [o.x for o in b.hit_objects]


# --- the clock of old files

OLD = "[Events]\n2,1600,2000\n\n[TimingPoints]\n100,500\n2100,-50,4,1,0,40,0,1\n\n[HitObjects]\n64,64,100,1,0\n200,100,600,2,0,B|300:100,1,100\n256,192,1100,12,0,1500\n"
HEAD = "osu file format v{}\n\n[General]\nPreviewTime: 600\nMode: 0\n\n"


@pytest.mark.parametrize("version,late", [(3, 24), (4, 24), (5, 0), (14, 0), (128, 0)])
def test_files_before_format_5_are_heard_24_ms_later(version, late):
    b = Beatmap.parse(HEAD.format(version) + OLD)
    assert [o.time - late for o in b.hit_objects] == [100, 600, 1100] and b.hit_objects[
        2
    ].end_time == 1500 + late
    assert (
        [p.time - late for p in b.timing_points] == [100, 2100]
        and b.breaks == [(1600 + late, 2000 + late)]
        and b.preview_time == 600 + late
    )
    assert b.end_time(b.hit_objects[1]) == pytest.approx(600 + late + 100 / 140 * 500)
    assert b.to_text() == HEAD.format(version) + OLD  # and yet not a byte of it changes
    fresh = Beatmap.parse(
        replace(
            b,
            hit_objects=[replace(o, raw=None) for o in b.hit_objects],
            timing_points=[replace(p, raw=None) for p in b.timing_points],
        ).to_text()
    )
    assert (fresh.hit_objects, fresh.timing_points) == (b.hit_objects, b.timing_points)


def test_the_stars_of_an_old_file_are_those_of_a_new_one():
    old, new = (Beatmap.parse(HEAD.format(v) + OLD) for v in (4, 14))
    assert star_rating(old) == pytest.approx(star_rating(new), abs=1e-6)


def test_every_door_hears_the_old_clock():
    "Training, contexts, timing, checks: what is made of the map lies 24 ms later than what is made of its twin in format 14."
    old, new = (Beatmap.parse(HEAD.format(v) + OLD) for v in (4, 14))
    late = lambda pairs: {b - a for a, b in zip(*pairs)}
    times = lambda b: (
        [o.time for o in Timing.of(b).red]
        + [t.time for t in Timing.of(b).beats(100 + (b is old) * 24, 1500 + (b is old) * 24)]
    )
    assert late((times(new), times(old))) == {24}
    assert late((object_times(new), object_times(old))) == {24}
    for language in LANGUAGES:
        for kind in (ContextType.MAP, ContextType.TIMING, ContextType.KIAI):
            assert late(
                ([t for _, t in says(MapItem(b, Parser(language)).stream(kind))] for b in (new, old))
            ) == {24}
        told = [says(contexts_of(b, language, [ContextType.MAP], 4000)[0].stream) for b in (new, old)]
        assert [t + 24 for _, t in told[0]] == [t for _, t in told[1]]
    found = [check_map(Beatmap.parse(HEAD.format(v) + OLD + "1,1,3333,1,0\n")).findings for v in (4, 14)]
    assert [f.time - 24 for f in found[0] if f.kind == "unsnapped"] == [
        f.time for f in found[1] if f.kind == "unsnapped"
    ]


def test_labels_of_an_old_file_lie_where_its_notes_are_heard():
    old = Beatmap.parse(HEAD.format(4) + OLD)
    labels = frame_labels([old], 500, [b.time for b in Timing.of(old).beats(0, 4000)], [], 8.0)
    assert (
        labels[[round(t / 8) for t in (124, 624, 1124)], 0].tolist() == [1] * 3
        and labels[round(124 / 8), 1] == 1
    )


def test_a_map_made_by_an_old_reference_has_its_beats_where_they_are_heard(make, song):
    made = make(ask(song, osu(NOTES, "2,468.75", version=4), timing="reference", bpm=None))
    assert (
        made.report["offset"] == 26
        and made.beatmap.format_version == 14
        and {(o.time - 26) % 468.75 for o in made.beatmap.hit_objects}
    )
    assert made.beatmap.timing_points[0].time % 468.75 == pytest.approx(26, abs=1)


def test_a_break_and_a_preview_of_an_old_file_are_written_in_its_own_clock():
    b = Beatmap.parse(
        "osu file format v4\n\n[Events]\n//Break Periods\n\n[TimingPoints]\n100,500\n\n[HitObjects]\n64,64,100,1,0\n64,64,20100,1,0\n"
    )
    clean(b)
    assert b.breaks and all(124 < start < end < 20_124 for start, end in b.breaks)
    assert (
        f"2,{b.breaks[0][0] - 24:.0f}," in b.to_text()
        and f"PreviewTime: {b.preview_time - 24}" in b.to_text()
    )
    b.preview_time = -1
    assert b.preview_time == -1


# --- paths


def rosu_stars(lines, points):
    return (
        rosu.Difficulty()
        .calculate(rosu.Beatmap(content=osu("\n".join(lines), points, SliderMultiplier=1, CircleSize=4)))
        .stars
    )


def stars_of(*sliders):  # with a circle after each, near enough to tell where the slider ends
    return rosu_stars(
        [
            l
            for k, s in enumerate(sliders)
            for l in (f"0,0,{1000 + 1500 * k},6,0,{s}", f"400,300,{1900 + 1500 * k},1,0")
        ],
        "0,300",
    )


@pytest.mark.parametrize(
    "slider,end,as_if",
    [
        ("B|100:0|100:0,1,200", (200, 0), "L|200:0,1,200"),  # a curve goes on
        ("L|100:0|100:0,1,200", (100, 0), "L|100:0,1,100"),  # a line has no direction there
        ("P|100:0|100:0,1,200", (100, 0), "L|100:0,1,100"),  # an arc that is a line is one
        ("P|200:0|100:0,1,250", (150, 0), "L|200:0|150:0,1,250"),  # there and back
        ("B|50:0|100:0|100:0,1,180", (180, 0), "L|180:0,1,180"),
        (
            "B|100:0|100:0|100:0,1,200",
            (100, 0),
            "L|100:0,1,100",
        ),  # given three times, the end is a curve of its own, of no length
        ("B|0:0|100:0,1,150", (150, 0), "L|150:0,1,150"),
        ("C|0:0|100:0,1,150", (150, 0), "L|150:0,1,150"),  # a corner at the head
    ],
)
def test_paths_end_where_rosu_ends_them(slider, end, as_if):
    o = read(f"0,0,1000,6,0,{slider}").hit_objects[0]
    assert o.path.end == pytest.approx(end, abs=0.01)
    duration = o.length / float(as_if.split(",")[2])
    if duration == 1:
        assert stars_of(*[slider] * 4) == pytest.approx(stars_of(*[as_if] * 4), abs=2e-3)


def test_the_case_of_the_doubled_end():
    "B|60:20|100:0|100:0 of 200 px: the last two points pull the curve, and it goes on straight ahead."
    path = SliderPath("B", [(0, 0), (60, 20), (100, 0), (100, 0)], 200)
    assert path.total == pytest.approx(200) and path.end[0] > 180
    assert SliderPath("B", [(0, 0), (60, 20), (100, 0), (100, 0)]).natural_length == pytest.approx(
        102.1, abs=0.05
    )


def test_an_old_spline_is_one_piece_and_its_loop_counts():
    "A doubled point makes no corner; the length of its loop is length, though little of it is drawn."
    spline = [(0, 0), (60, 80), (60, 80), (150, 0), (200, 100)]
    whole = SliderPath("C", spline)
    cut = SliderPath("C", spline, 220)
    parts = SliderPath("C", spline[:2]).natural_length + SliderPath("C", spline[2:]).natural_length
    assert whole.natural_length > parts + 10 and cut.total == pytest.approx(220) and cut.end[0] < 130
    assert SliderPath("C", [(0, 0), (88, 0), (88, 0)], 80).end == pytest.approx(
        (80, 0), abs=1
    )  # the usual case of 2007


def test_loops_end_where_rosu_ends_them():
    "Eight loops in a row: what is not drawn of them counts, so the slider ends 45 px before its length."
    knots = [(30 * k, 0) for k in range(1, 9) for _ in range(2)]
    path = SliderPath("C", [(0, 0), *knots], 200)
    written = "|".join(f"{x}:0" for x, _ in knots)

    def straight(end):  # as long in time
        lines = [
            l
            for k in range(4)
            for l in (f"0,0,{1000 + 1500 * k},6,0,L|{end}:0,1,{end}", f"200,0,{1900 + 1500 * k},1,0")
        ]
        return rosu_stars(lines, f"0,300\n0,{-100 * 200 / end},4,2,0,60,0,0")

    looped = rosu_stars(
        [
            l
            for k in range(4)
            for l in (f"0,0,{1000 + 1500 * k},6,0,C|{written},1,200", f"200,0,{1900 + 1500 * k},1,0")
        ],
        "0,300",
    )
    assert round(path.end[0]) == 155 and abs(looped - straight(155)) < 0.02 < 0.1 < abs(
        looped - straight(200)
    )


def test_a_doubled_end_is_told_and_comes_back():
    b = read("0,0,1000,2,0,B|60:20|100:0|100:0,1,200", "0,0,3000,2,0,P|200:0|100:0,1,250")
    back = to_hit_objects(
        read_groups(Parser(OURS).map_events(b), OURS), Timing.of(b), b.slider_multiplier, OURS
    )
    assert [(o.curve, o.points) for o in back.objects] == [
        ("B", [(0, 0), (60, 20), (100, 0), (100, 0)]),
        ("L", [(0, 0), (200, 0), (100, 0)]),
    ]
    for language in PUBLISHED:  # as they were told
        anchors = [e.type.value for e in Parser(language).map_events(b).events if "anchor" in e.type.value]
        assert anchors[:3] == ["bezier_anchor", "red_anchor", "last_anchor"]


# --- notes just before a red line

SEAM = "0,500\n4321,431.7\n8210,389.2"


@pytest.mark.parametrize(
    "time,snapped", [(8209, True), (8208.5, True), (8210, True), (8599, True), (8203, False)]
)
def test_a_note_just_before_a_red_line_is_on_its_first_beat(time, snapped):
    b = read(f"1,1,{time},1,0", points=SEAM)
    assert (Timing.of(b).snap_divisor(time) == 1) == snapped or Timing.of(b).snap_divisor(time) == 0
    assert bool(Timing.of(b).snap_divisor(time)) == snapped == (not check_map(b).counts()["unsnapped"])
    said = [e.value for e in Parser(OURS).map_events(b).events if e.type is EventType.SNAPPING]
    assert bool(said[0]) == snapped


def test_published_models_are_told_the_snap_they_learnt():
    b = read("1,1,8209,1,0", points=SEAM)
    assert [
        [e.value for e in Parser(c).map_events(b).events if e.type is EventType.SNAPPING] for c in PUBLISHED
    ] == [[0]] * 4


def test_an_early_note_measures_its_slider_from_the_new_line():
    "Two beats come back as two beats, though the head was a millisecond early."
    b = read("0,0,8209,2,0,L|200:0,1,200", points=SEAM, SliderMultiplier=1)
    back = to_hit_objects(read_groups(Parser(OURS).map_events(b), OURS), Timing.of(b), 1.0, OURS)
    assert back.objects[0].length == pytest.approx(200, abs=1)


# --- time and memory


def test_scroll_speeds_are_said_once_not_once_for_each_red_line():
    "Three thousand of each: the old way said nine million."
    lines = "\n".join(
        f"{20 * i},{500 + i % 7},4,1,0,50,1,0\n{20 * i + 10},-{50 + i % 90},4,1,0,50,0,0" for i in range(3000)
    )
    b = read(*[f"64,192,{20 * i},1,0" for i in range(3000)], points=lines, mode=3)
    language = LanguageConfig(add_mania_sv=True, mania_bpm_normalized_scroll_speed=True)
    found = to_hit_objects(
        read_groups(Parser(language).map_events(b), language), Timing.of(b), 1.4, language, 3
    )
    assert len(found.changes) < 20_000


def test_songs_with_absurd_maps_can_be_learnt_from(tmp_path):
    "One folder of a corpus: what lies days behind the song costs nothing, and a map without stars is left out."
    soundfile.write(tmp_path / "song.wav", np.random.default_rng(0).normal(0, 0.1, 16_000 * 4), 16_000)
    (tmp_path / "a.osu").write_text(osu(NOTES, "377,468.75\n900,5\n2147483647,468.75"))
    (tmp_path / "b.osu").write_text(osu(NOTES + "\n1,1,2147483647,1,0\n256,192,500,8,0,2147483647"))
    (song,) = load_songs(tmp_path, Parser(OURS), SpectrogramConfig(), [0], listing=(listing := Listing()))
    assert len(song.maps) == 1 and len(song.maps[0].stream(ContextType.MAP)) < 10 * MOST_MORE
    assert len(listing.left_out) == 1 and "no stars" in str(listing.left_out)
