"""Toy maps of our own, made by rule: all modes, and everything that maps are known to do in a corner. `python tests/corpus/toys.py FOLDER` writes them.

No person drew them and no song belongs to them; a name says the mode and what it is made of. `toy_maps()` gives name -> text of an .osu file;
`toy_corpus(folder)` lays out sound maps, as a mapper would leave them, and files that are none, as ../shared/data has those of people."""

from __future__ import annotations
import math
import random
import sys
from pathlib import Path

from mapperatorinator.osu.beatmap import Beatmap, Circle, Hold, Slider, Spinner, TimingPoint
from mapperatorinator.osu.difficulty import star_rating

MODES = ("standard", "taiko", "catch", "mania")
SETS = ("0:0:0:0:", "1:2:0:33:", "2:0:0:0:", "3:1:4:120:", "0:3:0:1:toy.wav", "4:5:0:0:")
HEAD = """osu file format v{format}

[General]
AudioFilename: toy.ogg
AudioLeadIn: 0
PreviewTime: 2000
Countdown: 0
SampleSet: {sample_set}
StackLeniency: 0.7
Mode: {mode}

[Metadata]
Title:Toy
Artist:Rule
Creator:tests
Version:{name}
BeatmapID:{id}
BeatmapSetID:-1

[Difficulty]
HPDrainRate:5
CircleSize:{cs}
OverallDifficulty:7
ApproachRate:8.5
SliderMultiplier:{multiplier}
SliderTickRate:1

[Events]
0,0,"toy.png",0,0
2,9000,10000

[TimingPoints]
{lines}

[HitObjects]
{objects}
"""


class Writer:
    "Writes the objects of one map, one after the other, on a grid that wanders a little."

    def __init__(self, seed: int, mode: int, beat: float, start: float, keys: int = 4, whole=True):
        self.rng = random.Random(seed)
        self.mode = mode
        self.beat = beat
        self.now = start
        self.keys = keys
        self.whole = whole
        self.out: list[str] = []

    def time(self, t=None):  # as the file has it
        t = self.now if t is None else t
        return int(t) if self.whole else round(t, 3)

    def step(self, *divisors):
        "On to the next tick of one of some divisors; now and then off the grid."
        self.now += self.beat / self.rng.choice(divisors or (1, 1, 2, 2, 3, 4, 4, 6, 8)) + (
            self.rng.random() < 0.1
        ) * self.rng.uniform(-9, 9)

    def place(self):  # px; now and then beyond the edge
        far = self.rng.random() < 0.06
        x = self.rng.randint(-90, 600) if far else self.rng.randint(0, 512)
        y = self.rng.randint(-60, 440) if far else self.rng.randint(0, 384)
        if self.mode == 3:
            x = int((self.rng.randrange(self.keys) + 0.5) * 512 / self.keys)
            y = 192
        return (x, y) if self.whole else (round(x + self.rng.random(), 3), round(y + self.rng.random(), 3))

    def put(self, kind, rest, pos=None, sounds=None):
        x, y = pos or self.place()
        combo = self.rng.choice((0, 0, 0, 4, 4 + 16 * self.rng.randrange(8))) if self.mode in (0, 2) else 0
        bits = self.rng.choice((0, 0, 2, 4, 8, 6, 10, 12, 14)) if sounds is None else sounds
        self.out.append(f"{x},{y},{self.time()},{kind + combo},{bits}" + (f",{rest}" if rest else ""))

    def circle(self, pos=None):
        self.put(1, self.rng.choice((*SETS, "")), pos)

    def spinner(self, beats):
        self.put(8, f"{self.time(self.now + beats * self.beat)},{self.rng.choice(SETS)}", (256, 192))
        self.now += beats * self.beat

    def hold(self, beats, column=None):
        x = self.place()[0] if column is None else int((column + 0.5) * 512 / self.keys)
        self.put(128, f"{self.time(self.now + beats * self.beat)}:{self.rng.choice(SETS)}", (x, 192))

    def points(self, letter, n):
        "Head and anchors; red anchors are doubled."
        head = self.place()
        out = []
        x, y = head
        for _ in range(n):
            x = x + self.rng.randint(-70, 90)
            y = y + self.rng.randint(-70, 70)
            out += [(x, y)] * (2 if letter == "B" and self.rng.random() < 0.3 else 1)
        return head, out

    def slider(self, letter, n, slides=1, length=None, beats=1.0, points=None):
        head, anchors = points or self.points(letter, n)
        length = self.rng.choice((35, 70, 105, 140, 87.5, 143.000006)) if length is None else length
        edges = [self.rng.choice((0, 2, 4, 8)) for _ in range(self.rng.randint(0, slides + 2))]
        sets = [
            f"{self.rng.randrange(4)}:{self.rng.randrange(4)}" for _ in range(self.rng.randint(0, slides + 1))
        ]
        tail = (
            self.rng.choice(("", f",{'|'.join(map(str, edges))},{'|'.join(sets)},{self.rng.choice(SETS)}"))
            if edges and sets
            else ""
        )
        self.put(2, f"{letter}|{'|'.join(f'{x}:{y}' for x, y in anchors)},{slides},{length}{tail}", head)
        self.now += beats * self.beat


def lines(seed, beat, start, end, changes=True, short=False):
    "Red and green lines: velocities, volumes, banks, kiai, a line that says nothing, two at once, a tempo that changes, other bars."
    rng = random.Random(seed)
    out = [f"{start},{beat},4,2,0,70,1,0"]
    if short:
        return [f"{start},{beat}", f"{start + 8 * beat:.0f},{beat * 0.8:.12f}"]
    t = float(start)
    while t < end:
        t += beat * rng.choice((1, 2, 4, 4.5))
        velocity = rng.choice((-100, -50, -200, -133.333333, -80, -1000, -10, -400))
        out.append(
            f"{t:.0f},{velocity},4,{rng.randrange(4)},{rng.randrange(3)},{rng.choice((5, 30, 60, 100, 130))},0,{rng.choice((0, 0, 1, 8, 9))}"
        )
    if changes:
        out.insert(6, f"{start + 20 * beat:.0f},{beat * 0.8:.12f},3,1,0,55,1,1")
        out.insert(6, f"{start + 20 * beat:.0f},-75,3,1,0,55,0,1")
        out.append(f"{end * 0.7:.0f},{beat * 1.25},7,2,0,80,1,0")
    return out


def text(name, mode, writer, points, cs=4, multiplier=1.4, format=14, sample_set="Soft"):
    return HEAD.format(
        name=name,
        mode=mode,
        cs=cs,
        multiplier=multiplier,
        format=format,
        sample_set=sample_set,
        id=1000 + len(name) * 7 + mode,
        lines="\n".join(points),
        objects="\n".join(writer.out),
    )


CURVES = [
    ("L", 1),
    ("L", 3),
    ("B", 1),
    ("B", 2),
    ("B", 3),
    ("B", 6),
    ("P", 2),
    ("P", 2),
    ("C", 1),
    ("C", 4),
]  # letter, points after the head


def drawn(w, rounds):
    "Circles, stacks, streams and sliders of every kind."
    for k in range(rounds):
        w.circle()
        w.step()
        w.circle()
        if k % 5 == 0:
            w.out.append(w.out[-1])  # twice the same
        w.step(2, 4)
        letter, n = CURVES[k % len(CURVES)]
        w.slider(letter, n, slides=(1, 1, 2, 3, 1)[k % 5], beats=0.5 + k % 2)
        w.step(1, 2)
        if k % 4 == 3:
            spot = w.place()
            for _ in range(4):
                w.circle(spot)
                w.step(4, 4, 8)
        if k % 6 == 5:
            w.spinner(3)
            w.step(1)


def corners(w):
    "Sliders that no editor draws: of no length, far too long, of many points, on a line, closed, that repeat for ever or overlap."
    for letter, points, slides, length in [
        ("P", [(100, 100), (150, 100), (200, 100)], 1, 90),
        ("P", [(256, 192), (300, 150), (256, 192)], 1, 60),
        ("P", [(60, 60), (200, 61), (340, 60)], 2, 250),
        ("P", [(100, 300), (150, 250), (200, 300), (250, 250)], 1, 140),
        ("B", [(50, 50), (50, 50), (150, 50)], 1, 80),
        ("L", [(0, 0), (512, 384)], 1, 900),
        ("B", [(200, 200), (210, 200)], 1, 0),
        ("B", [(10 * i % 512, 7 * i % 384) for i in range(104)], 1, 200),
        ("C", [(30, 30), (90, 120), (150, 30)], 2, 120),
        ("L", [(400, 100), (400, 100)], 1, 30),
    ]:
        w.slider(letter, 0, slides, length, 0.75, (points[0], points[1:]))
        w.step(1, 2)
    w.slider(
        "L", 1, slides=9, length=280, beats=0.5, points=((20, 20), [(300, 20)])
    )  # and what follows lies under it
    for _ in range(4):
        w.circle()
        w.step(2)
    w.slider("B", 2, length=70, beats=0.25)
    w.slider("L", 1, length=140, beats=2)


def standard():
    w = Writer(1, 0, 375, 412)
    drawn(w, 16)
    corners(w)
    yield "standard_everything", text("standard_everything", 0, w, lines(1, 375, 412, w.now))
    w = Writer(2, 0, 500, -700)
    drawn(w, 8)
    w.now = 30_000
    w.spinner(40)
    w.step(1)
    w.slider("L", 1, slides=3, length=5600, points=((0, 0), [(5600, 0)]))
    w.step(1)
    w.circle()
    yield (
        "standard_before_zero_and_very_long",
        text("standard_before_zero_and_very_long", 0, w, lines(2, 500, 900, w.now), cs=5.5, multiplier=1.8),
    )
    w = Writer(3, 0, 342.857142857143, 1000)
    drawn(w, 6)
    yield (
        "standard_old_short_lines",
        text(
            "standard_old_short_lines",
            0,
            w,
            lines(3, 342.857142857143, 1000, w.now, short=True),
            multiplier=1,
            format=6,
            sample_set="Normal",
        ),
    )
    w = Writer(4, 0, 60000 / 174, 200.25, whole=False)
    drawn(w, 6)
    w.put(2, "L|100:100|P|100:100|150:50|200:100,1,250", (0, 100))
    w.step(1)
    w.put(2, "B4|40:10|80:90|120:20|160:100|200:30,1,180", (10, 10))
    yield (
        "standard_lazer_fractions",
        text(
            "standard_lazer_fractions",
            0,
            w,
            lines(4, 60000 / 174, 200.25, w.now),
            format=128,
            sample_set="Drum",
        ),
    )


def taiko():
    w = Writer(11, 1, 428.571428571429, 850)
    for k in range(70):
        if k % 9 == 8:
            w.slider("L", 1, slides=1 + k % 2, length=140 + 70 * (k % 3), beats=2)
        elif k % 21 == 20:
            w.spinner(4)
        else:
            w.circle((256, 192))
        w.step(1, 2, 2, 4, 4, 6)
    w.now += 4000
    w.spinner(30)
    w.step(1)
    w.slider("L", 1, length=4000, beats=20)
    yield (
        "taiko_hits_and_rolls",
        text("taiko_hits_and_rolls", 1, w, lines(11, 428.571428571429, 850, w.now), cs=5),
    )
    w = Writer(12, 1, 300, 100)
    for _ in range(24):
        w.circle()
        w.step(1, 3, 4)
    yield "taiko_plain", text("taiko_plain", 1, w, ["100,300,4,1,0,60,1,0"], format=9)


def catch():
    w = Writer(21, 2, 400, 600)
    drawn(w, 8)
    yield "catch_fruits", text("catch_fruits", 2, w, lines(21, 400, 600, w.now), cs=3.2, multiplier=1.6)


def mania():
    for seed, keys, beat, cs in ((31, 4, 375, 4), (32, 7, 461.538461538462, 7), (33, 18, 500, 18)):
        w = Writer(seed, 3, beat, 500, keys)
        for k in range(36):
            for column in w.rng.sample(range(keys), w.rng.randint(1, min(keys, 3))):
                if w.rng.random() < 0.3:
                    w.hold(w.rng.choice((0.5, 1, 2, 25 if k == 20 else 1)), column)
                else:
                    w.put(1, w.rng.choice(SETS), (int((column + 0.5) * 512 / keys), 192))
            w.step(1, 2, 2, 4)
        name = f"mania_{keys}_keys"
        yield name, text(name, 3, w, lines(seed, beat, 500, w.now), cs=cs)
    w = Writer(34, 3, 400, 0, 4)
    for _ in range(20):
        w.put(1, "", (w.rng.choice((0, 127, 128, 129, 255, 256, 511, 512)), 192))
        w.step(1, 2)
    yield "mania_on_the_edge_of_columns", text("mania_on_the_edge_of_columns", 3, w, ["0,400,4,2,1,60,1,0"])


def toy_maps() -> dict[str, str]:
    "All of them: name -> text."
    return {name: body for part in (standard, taiko, catch, mania) for name, body in part()}


# --- maps as a mapper would leave them ---------------------------------------------------------------------------------------


def near(rng, spot, distance, low, high):
    "A place at some distance that lies on the field."
    for _ in range(50):
        turn = rng.uniform(0, 2 * math.pi)
        x = round(spot[0] + distance * math.cos(turn))
        y = round(spot[1] + distance * math.sin(turn))
        if low <= x <= high and 40 <= y <= 340:
            return x, y
    return 256, 192


def sound_slider(rng, t, spot, length, slides=1, combo=0):
    "A slider that is as long as its time and stays on the field: straight, bent, an arc or with a corner."
    (x, y), way = spot, 1 if spot[0] < 256 else -1
    half = length / 2
    lift = rng.choice((-30, 30, 40))
    letter, points = rng.choice(
        (
            ("L", [(x + way * length, y)]),
            ("B", [(x + way * half, y + lift), (x + way * length, y)]),
            ("P", [(x + way * half, y + lift), (x + way * length, y)]),
            ("L", [(x + way * half, y), (x + way * half, y + half * (1 if y < 192 else -1))]),
        )
    )
    points = [spot, *((round(a), round(b)) for a, b in points)]
    return Slider(
        *spot, t, 2 + combo, rng.choice((0, 2, 8)), curve=letter, points=points, slides=slides, length=length
    )


def sound_objects(rng, mode, beat, start, end, keys, busy):
    "Objects on the beat, with room between them."
    out = []
    t = start
    spot = (256, 192)
    bar = 0
    while t < end:
        combo = 4 * (bar % 8 == 0 and mode in (0, 2))
        bar = bar + 1
        step = beat if rng.random() > busy else beat / 2
        if mode == 3:
            columns = rng.sample(range(keys), rng.randint(1, 2))
        spot = near(rng, spot, 60 * step / beat + 30, 60, 450) if mode != 1 else (256, 192)
        kind = rng.random()
        if mode == 3:
            for c in columns:
                x = int((c + 0.5) * 512 / keys)
                out.append(
                    Hold(x, 192, t, 128, 0, end_time=t + beat)
                    if kind < 0.2
                    else Circle(x, 192, t, 1, rng.choice((0, 2, 8)))
                )
            t += 2 * beat if kind < 0.2 else step
        elif kind < 0.3:
            out.append(sound_slider(rng, t, spot, 140 if mode == 0 else 70, 2 if kind < 0.05 else 1, combo))
            t += beat * (4 if kind < 0.05 else 2)
        elif kind < 0.32 and mode != 2:
            out.append(Spinner(256, 192, t, 12, 4, end_time=t + 4 * beat))
            t += 8 * beat
        else:
            out.append(Circle(*spot, t, 1 + combo, rng.choice((0, 2, 4, 8))))
            t += step
    return out


def sound_map(seed, mode, title, busy=0.3, beat=400, bars=24, keys=4):
    "A map without a fault: whole beats of 400 ms or another whole length, a velocity, a kiai, and a volume that changes."
    rng = random.Random(seed)
    start = 800
    points = [
        TimingPoint(start, beat, 4, 2, 0, 70, True, 0),
        TimingPoint(start + 8 * beat, -100, 4, 2, 0, 60, False, 1),
        TimingPoint(start + 24 * beat, -100, 4, 2, 0, 80, False, 0),
    ]
    if mode in (1, 3):
        points.append(TimingPoint(start + 32 * beat, -80, 4, 2, 0, 80, False, 0))
    objects = sound_objects(rng, mode, beat, start, start + 4 * bars * beat, keys, busy)
    return Beatmap.new(
        mode=mode,
        cs=keys if mode == 3 else 4,
        hp=5,
        od=6,
        ar=7,
        slider_multiplier=1.4,
        title=title,
        artist="Rule",
        creator="tests",
        version=f"{MODES[mode]} {seed}",
        audio_filename="audio.ogg",
        preview_time=start + 8 * beat,
        timing_points=points,
        hit_objects=objects,
    )


BROKEN = {
    "empty.osu": b"",
    "words.osu": b"this is no map",
    "zeros.osu": bytes(200),
    "head_only.osu": b"osu file format v14\n",
    "picture.osu": b"\x89PNG\r\n\x1a\n" + bytes(64),
    "no_objects.osu": b"osu file format v14\n\n[General]\nMode: 0\n\n[TimingPoints]\n0,500,4,2,0,70,1,0\n",
}


def toy_corpus(folder):
    "A folder laid out as ../shared/data: three songs with two maps a mode, single maps, and files that are no maps; no sounds."
    folder = Path(folder)
    rows = ["file\tstars"]
    for song in range(3):
        for mode, name in enumerate(MODES):
            for k in range(2):
                b = sound_map(
                    100 * song + 10 * mode + k,
                    mode,
                    f"Toy {song}",
                    busy=0.2 + 0.3 * k,
                    beat=(400, 375, 500)[song],
                    keys=(4, 7, 5)[song],
                )
                (
                    path := folder / "songs" / "validation" / f"toy-{song}" / f"{name}-tests-{k}.osu"
                ).parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b.to_bytes())
    for mode, name in enumerate(MODES):
        for k in range(12):
            (path := folder / "beatmaps" / name / f"toy-{k}.osu").parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(
                (b := sound_map(1000 + 10 * k + mode, mode, f"Single {k}", busy=k / 12, bars=12)).to_bytes()
            )
            rows.append(f"{path.relative_to(folder).as_posix()}\t{star_rating(b)}")
    (folder / "beatmaps" / "malformed").mkdir(exist_ok=True)
    for name, data in BROKEN.items():
        (folder / "beatmaps" / "malformed" / name).write_bytes(data)
    (folder / "beatmaps" / "index.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name, body in toy_maps().items():
        (Path(sys.argv[1]) / f"{name}.osu").write_text(body, encoding="utf-8")
