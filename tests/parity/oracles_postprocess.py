"""Small oracles measured on the reference, in the layout of ../shared/fixtures/postprocess_timing_oracles.json, so that tests bite anywhere."""

RESNAP = {
    (
        (0, 500),
    ): "1005,1,1000 1005,2,1250 1245,2,1250 1130,4,1125 1120,2,1250 1170,3,1166 1160,6,1083 1080,8,1062 1062,16,1093 1100,5,1100 "
    "1070,7,1071 1038,14,1035 1033,15,1033 1040,13,1038 999,4,875 1000,4,875 1000,3,1166 1000,2,1250 250,1,0 1250,1,1000 -5,1,0 -5,4,-125",
    (
        (12, 1000 / 3),
    ): "1005,1,1012 1105,1,1012 1005,2,1011 1105,2,1178 5017,3,5011 1005,4,1012 1105,4,1095 1005,6,956 1105,6,1067 100017,8,100053",
    (
        (0, 500),
        (10130, 400),
    ): "10120,1,10130 10125,4,10125 10110,4,10125 10131,1,10130 10140,4,10125 10150,8,10180 10249,2,10330 10115,16,10093",
}

TIMING_CHANGE = [
    ([(100, 500)], [("volume", 50, 40)], "-1900,500,4,2,-1,100,1,0 50,-100,4,2,-1,40,0,0"),
    ([(100, 500)], [("volume", 102, 40)], "100,500,4,2,-1,40,1,0"),
    (
        [(100, 500)],
        [
            ("volume", 103, 40),
            ("sv", 100, 1.4),
            ("kiai", 600, True),
            ("kiai", 800, False),
            ("volume", 300, 70),
        ],
        "100,500,4,2,-1,100,1,0 100,-71.42857142847143,4,2,-1,100,0,0 103,-100,4,2,-1,40,0,0 300,-100,4,2,-1,70,0,0 600,-100,4,2,-1,70,0,1 800,-100,4,2,-1,70,0,0",
    ),
    ([(5000, 500)], [("sv", 1300, 2)], "1000,500,4,2,-1,100,1,0 1300,-49.9999999999,4,2,-1,100,0,0"),
    ([(0, 500)], [("sv", 1000, 0.75)], "0,500,4,2,-1,100,1,0 1000,-133.33333333323336,4,2,-1,100,0,0"),
]


def events(text):
    "`circle t1000 x64` as pairs: words whose letter is known are attributes, the others types; a type comes after its attributes."
    letters = {
        "t": "TIME_SHIFT",
        "x": "POS_X",
        "y": "POS_Y",
        "h": "HITSOUND",
        "v": "VOLUME",
        "s": "SCROLL_SPEED",
        "k": "KIAI",
    }
    for word in text.split():
        if word[0] in letters and word[1:].lstrip("-").isdigit():
            yield letters[word[0]], int(word[1:])
        else:
            yield word.upper(), 0


def conversion(mode, text, lines, objects, timing=((0, 500),), normalized=True):
    return dict(
        mode=mode,
        types_first=False,
        add_sv=True,
        add_positions=True,
        mania_bpm_normalized_scroll_speed=normalized,
        snap_overlaps=True,
        slider_multiplier=1.4,
        timing=timing,
        events=list(events(text)),
        timing_lines=lines.split(),
        object_lines=objects.split(),
    )


CONVERT = [
    conversion(
        0,
        "t1000 x100 y100 h25 v60 new_combo circle t1250 x102 y103 h0 v60 circle t1500 x64 y64 s100 h3 v60 new_combo slider_head "
        "x114 y114 perfect_anchor t2000 x164 y64 h9 v20 h1 v70 last_anchor t2500 x64 y64 h2 v80 slider_end t3000 spinner t4000 h4 v50 spinner_end t4500 circle",
        "0,500,4,2,-1,100,1,0 1000,-100,4,2,-1,60,0,0 1506,-100,4,2,-1,20,0,0 2000,-100,4,2,-1,70,0,0 2006,-100,4,2,-1,20,0,0 "
        "2500,-100,4,2,-1,80,0,0 4000,-100,4,2,-1,50,0,0",
        "100,100,1000,5,2,1:2:-1:0: 100,100,1250,1,0,1:1:-1:0: 64,64,1500,6,2,P|114:114|164:64,2,140.0,6|2|4,1:1|1:1|1:1,2:1:-1:0: "
        "256,192,3000,12,8,4000,1:1:-1:0: 256,192,4500,1,0,0:0:-1:0:",
    ),
    conversion(
        3,
        "t0 s100 scroll_speed_change t1000 x64 y192 h0 v60 circle t1000 x192 y192 h0 v70 hold_note t1250 x320 y192 h4 v70 hold_note t1500 x192 y192 hold_note_end "
        "t1750 x320 y192 hold_note_end t2000 s150 scroll_speed_change t3000 x448 y192 h0 v60 circle t9000 x448 y192 h0 v60 circle",
        "0,500,4,2,-1,100,1,0 0,-49.9999999999,4,2,-1,100,0,0 2000,-33.333333333233334,4,2,-1,100,0,0 2500,250,4,2,-1,100,1,0 2500,-66.66666666656667,4,2,-1,100,0,0",
        "64,192,1000,1,0,1:1:-1:60: 320,192,1250,128,8,1500:1:1:-1:70: 448,192,3000,1,0,1:1:-1:60: 448,192,9000,1,0,1:1:-1:60:",
        ((0, 500), (2500, 250)),
    ),
    conversion(
        1,
        "t1000 s100 h0 v60 circle t1250 s120 h4 v60 circle t1500 s120 h2 v60 drumroll t4000 drumroll_end t4250 h2 v60 denden t5000 denden_end t5500 k1 "
        "t6000 s100 h0 v60 circle t7000 k0",
        "0,500,4,2,-1,100,1,0 1000,-99.9999999999,4,2,-1,60,0,0 1250,-83.33333333323334,4,2,-1,60,0,0 5500,-83.33333333323334,4,2,-1,60,0,1 "
        "6000,-99.9999999999,4,2,-1,60,0,1 7000,-99.9999999999,4,2,-1,60,0,0",
        "256,192,1000,1,0,1:1:-1:0: 256,192,1250,1,8,1:1:-1:0: 0,192,1500,2,4,L|512:192|0:192,1,840.0000000010077,0|0,0:0|0:0,1:1:-1:0: "
        "256,192,4250,12,4,5000,1:1:-1:0: 256,192,6000,1,0,1:1:-1:0:",
    ),
    conversion(
        2,
        "t1000 x600 y-30 h0 v60 circle",
        "0,500,4,2,-1,100,1,0 1000,-100,4,2,-1,60,0,0",
        "600,-30,1000,1,0,1:1:-1:0:",
    ),
]

PATHS = [
    (
        "Bezier",
        [(0, 0), (50, 100), (100, 0)],
        147.8870067879,
        65,
        [(0.5, 50, 50), (1, 100, 0)],
        (60, 36.66769587, 46.43283843),
    ),
    (
        "Bezier",
        [(10, 10), (60, 80), (120, 10), (120, 10), (220, 90)],
        263.0109778422,
        66,
        [(0.5, 117.734201, 12.59231)],
        None,
    ),
    ("PerfectCurve", [(64, 64), (114, 114), (164, 64)], 156.9675101523, 25, [(0.5, 114, 114)], None),
    ("PerfectCurve", [(0, 0), (50, 0), (100, 0)], 100, 3, [(0.5, 50, 0)], None),
    (
        "Catmull",
        [(10, 10), (60, 80), (120, 10), (220, 90)],
        313.6942410212,
        151,
        [(0.5, 98.432278, 24.832326)],
        None,
    ),
    ("Linear", [(0, 0), (30, 40), (30, 40), (60, 0)], 100, 3, [(0.5, 30, 40)], None),
    ("Bezier", [(5, 5)], 0, 1, [(1, 5, 5)], None),
]
PROGRESS = [
    ((10, 10), (150, 10), (120, 10), 0.776),
    ((10, 10), (150, 10), (60, 10), 0.356),
    ((10, 10), (150, 10), (80, 60), 0.5141662394),
    ((10, 10), (150, 10), (10, 10), 0),
    ((10, 10), (60, 10), (10, 10), 0.5),
]


def path(kind, points, length, vertices, at, cut, progress=None):
    found = dict(type=kind, points=points, length=length, vertices=vertices, at=at)
    return (
        found
        | ({"expected": (cut[0], *cut)} if cut else {})
        | ({"progress_of": progress} if progress else {})
    )


DATA = {
    "resnap": [
        dict(timing=timing, time=int(t), divisor=int(d), out=int(out))
        for timing, rows in RESNAP.items()
        for t, d, out in (r.split(",") for r in rows.split())
    ],
    "timing_change": [dict(start=start, ops=ops, lines=lines.split()) for start, ops, lines in TIMING_CHANGE],
    "slider_path": [path(*p) for p in PATHS]
    + [path("Bezier", [a, b], b[0] - a[0], 2, [], None, (p, t)) for a, b, p, t in PROGRESS],
    "convert": CONVERT,
}
