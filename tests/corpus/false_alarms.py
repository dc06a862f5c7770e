"""What the checks say of maps made by people: `python tests/corpus/false_alarms.py [STEP]` reads every STEPth map of ../shared/data.

People make faults too, so not every finding is a false alarm; but a kind that many human maps have is taste and no problem. Converted charts,
files that other programs made, and files written to break parsers are left out. Thresholds were set on `train` and on unpaired maps."""

import csv
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

from mapperatorinator.osu.beatmap import Beatmap
from mapperatorinator.osu.check import check_map, compare_maps
from mapperatorinator.osu.findings import KINDS, SEVERITIES

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MODES = "standard", "taiko", "catch", "mania"
MADE = (
    "Beatmap-gen_Thesis",
    "Osu-Mania-Beatmap-AI",
    "Tests/",
    "Tests.Resources",
    "stress",
    "fib.osu",
    "TestResources",
)  # sources: generators and test files


def rows(name):
    return list(csv.DictReader((DATA / name).open(encoding="utf-8"), delimiter="\t"))


def human_maps():  # (mode, split, path, ms of the song or None)
    "Maps of songs and of the parser corpus, each once."
    songs = [r for r in rows("index.tsv") if not r["converted_from"]]
    seen = {r["sha256_source"] for r in songs}
    loose = [
        r for r in rows("beatmaps/index.tsv") if "/malformed/" not in r["file"] and r["sha256"] not in seen
    ]
    by_people = lambda r: not any(word in r["source"] for word in MADE)
    return [
        (r["mode"], r["split"], DATA / r["file"], float(r["audio_s"]) * 1000 if r.get("audio_s") else None)
        for r in [*songs, *loose]
        if by_people(r) and r["mode"] in MODES
    ]


def sets():  # maps of one song by one mapper
    "Difficulties that were made together."
    groups = defaultdict(list)
    for r in rows("index.tsv"):
        if r["converted_from"]:
            continue
        b = Beatmap.read(DATA / r["file"])
        if b.set_id and b.set_id > 0:
            groups[r["song_id"], b.set_id].append(b)
    return [maps for maps in groups.values() if len(maps) > 1]


def table(title, n, found):  # n: maps by mode; found: kind or severity -> mode -> maps that have it
    print(f"\n{title:26}" + "".join(f"{m:>10}" for m in MODES) + "  all")
    for name, by in found.items():
        shares = "".join(f"{by[m] / max(n[m], 1):10.1%}" for m in MODES)
        print(f"{name:26}{shares}{sum(by.values()) / sum(n.values()):7.2%}")


def measure(maps):
    "Maps by mode, and which have something of a severity or kind."
    n = Counter()
    grave = {s: Counter() for s in SEVERITIES}
    kinds = {k: Counter() for k in KINDS}
    spent = 0.0
    for mode, _, path, length in maps:
        b = Beatmap.read(path)
        start = time.process_time()
        report = check_map(b, length=length)
        spent += time.process_time() - start
        n[mode] += 1
        for f in {f.severity for f in report.findings}:
            grave[f][mode] += 1
        for k in report.counts():
            kinds[k][mode] += 1
    return n, grave, {f"{KINDS[k][0]:8} {k}": by for k, by in kinds.items() if by}, spent / max(len(maps), 1)


def main(step=1):
    maps = human_maps()[::step]
    for title, splits in (("train and unpaired", ("train", "unpaired")), ("validation", ("validation",))):
        n, grave, kinds, spent = measure([m for m in maps if m[1] in splits])
        print(f"\n== {title}: {sum(n.values())} maps ({dict(n)}), {spent * 1000:.0f} ms a map")
        table("share of maps with a", n, grave)
        table("by kind", n, dict(sorted(kinds.items(), key=lambda kv: SEVERITIES.index(kv[0].split()[0]))))
    groups = sets()[::step]
    counts = Counter(k for group in groups for k in {f.kind for f in compare_maps(group)})
    print(
        f"\n== {len(groups)} sets of one mapper\n"
        + "\n".join(f"{KINDS[k][0]:8} {k:20}{n / len(groups):7.1%}" for k, n in counts.most_common())
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
