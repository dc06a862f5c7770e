"""python tests/bulk_figures.py FOLDER [same|nodes|disk|speed|growth|together …] [songs=60] [seconds=0] [tasks=check,timing] [crews=submitit,ray]: figures of a bulk run over a corpus, such as ../shared/data.

same: killed three times and one worker lost, Ray and submitit: the bytes of an uninterrupted run. nodes: two nodes of Ray, one of which is lost. disk: a full one (root only).
speed: two processes beside one. growth: 1, 10, 100 songs. together: songs written at one engine. seconds: songs to be timed are cut to so many; 0: whole. Only figures leave this program."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

said = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
CREWS = [crew for crew in said.get("crews", "submitit,ray").split(",") if crew]
TASKS = said.get("tasks", "check,timing").split(",")
SECONDS = float(said.get("seconds", 0))
SHORT = "settings=[difficulty=3,end_time=15000,star_tries=0]"  # the first 15 s of a song, one draft


def song_folders(corpus, count):
    "Folders of songs with maps, spread evenly over the corpus."
    found = sorted(p for p in Path(corpus).glob("songs/*/*") if any(p.glob("*.osu")))
    return [str(found[i * len(found) // count]) for i in range(min(count, len(found)))]


def cut(songs, place):
    "The beginnings of songs, as a folder of sounds."
    import soundfile

    from mapperatorinator.audio import load_audio
    from mapperatorinator.timing.sheet import paths_of, songs_at
    from mapperatorinator.config import TimingConfig

    place.mkdir()
    for i, path in enumerate(paths_of(TimingConfig(paths=songs))):
        for song in songs_at(path):
            samples = load_audio(song.audio)[: int(16000 * SECONDS)]
            soundfile.write(place / f"{i:03}.wav", samples, 16000)
    return [str(place)]


def sources(corpus, count, task, place):
    "What a task works on."
    songs = song_folders(corpus, count)
    if task != "timing" or not SECONDS:
        return songs
    folder = place / f"cut-{count}"
    return [str(folder)] if folder.exists() else cut(songs, folder)


def start(songs, output, *words):
    "A bulk run in a process of its own."
    command = [sys.executable, "-m", "mapperatorinator", "bulk", *songs, f"output={output}", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, watch=None):
    "The last line of a run, with what it took."
    out, err = process.communicate()
    if process.returncode not in (0, 1, 2):
        raise SystemExit(f"code {process.returncode}: {err[-800:]}")
    return json.loads(out.splitlines()[-1])


def made(output):
    "Hashes of all that a run has made."
    root = Path(output) / "made"
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


def count_made(output):
    folder = Path(output) / "made"
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def wait_for(output, count, process):
    "Until so many jobs are done, or the run has ended."
    while count_made(output) < count and process.poll() is None:
        time.sleep(0.05)


def kill(process):
    "End a run as a power cut would; its workers have to notice by themselves."
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    psutil.wait_procs(workers, timeout=20)
    assert not [w for w in workers if w.is_running() and w.status() != psutil.STATUS_ZOMBIE]


def workers_of(process):
    return [c for c in psutil.Process(process.pid).children() if "spawn_main" in " ".join(c.cmdline())]


def interrupted(songs, output, count, *words):  # count: jobs
    "A run that is killed three times and then loses a worker."
    for share in (0.1, 0.35, 0.6):
        run = start(songs, output, *words)
        wait_for(output, max(int(share * count), 1), run)
        kill(run)
    run = start(songs, output, *words)
    wait_for(output, int(0.75 * count), run)
    workers_of(run)[0].kill()
    return finish(run)


def deaths(output):
    "How many workers were lost, as the table has it."
    import sqlite3

    with sqlite3.connect(Path(output) / "jobs.sqlite") as db:
        return db.execute("select sum(deaths) from jobs").fetchone()[0]


def same(corpus, count, place):
    "The bytes do not depend on what happened, nor on who did it."
    for task in TASKS:
        songs = sources(corpus, count, task, place)
        whole = finish(start(songs, place / f"{task}-whole", f"task={task}", "workers=2"))
        print(f"{task}: uninterrupted {whole['seconds']} s, {whole}", flush=True)
        last = interrupted(songs, place / f"{task}-killed", whole["done"], f"task={task}", "workers=2")
        lost = deaths(place / f"{task}-killed")
        for engine in CREWS:
            words = [f"engine={engine}", "cluster=local"] if engine == "submitit" else [f"engine={engine}"]
            done = finish(start(songs, place / f"{task}-{engine}", f"task={task}", "workers=2", *words))
            equal = made(place / f"{task}-{engine}") == made(place / f"{task}-whole")
            print(f"{task}: {engine} {done['seconds']} s, same bytes: {equal}", flush=True)
            assert equal
        files = made(place / f"{task}-whole")
        equal = made(place / f"{task}-killed") == files
        print(
            f"{task}: killed 3 times, {lost} worker lost, {last['done']} done; {len(files)} files, same bytes: {equal}",
            flush=True,
        )
        assert equal and lost == 1


def nodes(corpus, count, place):
    "Two nodes of Ray, one of which is taken away in the middle; called as a user would."
    os.environ["RAY_agent_register_timeout_ms"] = "200000"  # a busy machine is slow, not broken
    from ray.cluster_utils import Cluster

    songs = song_folders(corpus, count)
    whole = finish(start(songs, place / "whole", "task=check", "workers=2"))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    other = cluster.add_node(num_cpus=1)
    try:
        words = ("task=check", "workers=2", "engine=ray", f"cluster={cluster.address}")
        run = start(songs, place / "nodes", *words)
        wait_for(place / "nodes", whole["done"] // 2, run)
        cluster.remove_node(other, allow_graceful=False)
        last = finish(run)
    finally:
        cluster.shutdown()
    equal = made(place / "nodes") == made(place / "whole")
    lost = deaths(place / "nodes")
    print(f"check: two nodes of Ray, one lost ({lost} jobs with it), {last}, same bytes: {equal}", flush=True)
    assert equal and last["done"] == whole["done"]


def disk(corpus, count, place):
    "A disk that is full for a while."
    songs = song_folders(corpus, count)
    finish(start(songs, place / "whole", "task=check", "workers=2"))
    small = place / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small], check=True)
    try:
        (small / "ballast").write_bytes(bytes(1_700_000))
        run = start(songs, small / "run", "task=check", "workers=2")
        _, said = run.communicate()
        print(
            f"check: full disk, code {run.returncode}, {count_made(small / 'run')} made: {said.splitlines()[-1]}",
            flush=True,
        )
        assert run.returncode == 2 and "is full" in said and "Traceback" not in said
        (small / "ballast").unlink()
        last = finish(start(songs, small / "run", "task=check", "workers=2"))
        equal = made(small / "run") == made(place / "whole")
        print(f"check: with room again, {last}, same bytes: {equal}", flush=True)
        assert equal
    finally:
        subprocess.run(["umount", small], check=True)


def speed(corpus, count, place):
    "Two processes beside one, in turns."
    for task in TASKS:
        songs = sources(corpus, count, task, place)
        took = {1: [], 2: []}
        for turn in range(int(said.get("turns", 3))):
            for workers in (1, 2) if turn % 2 else (2, 1):
                out = place / f"{task}-{turn}-{workers}"
                took[workers].append(
                    finish(start(songs, out, f"task={task}", f"workers={workers}"))["seconds"]
                )
        best = {workers: min(seconds) for workers, seconds in took.items()}
        print(
            f"{task}: {len(songs)} songs, s {took}, fastest of each {best[1] / best[2]:.2f} times", flush=True
        )


class Watch(threading.Thread):
    "The most memory that a run and its workers have, and the processor time of all."

    def __init__(self, process):
        super().__init__(daemon=True)
        self.process = psutil.Process(process.pid)
        self.most = {}  # pid -> MB
        self.cpu = {}  # pid -> s
        self.start()

    def run(self):
        while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
            for p in self.all():
                try:
                    self.most[p.pid] = max(self.most.get(p.pid, 0), p.memory_info().rss >> 20)
                    self.cpu[p.pid] = sum(p.cpu_times()[:2])
                except psutil.Error:
                    pass
            time.sleep(0.2)

    def all(self):
        try:
            return [self.process, *self.process.children(recursive=True)]
        except psutil.Error:
            return []


def growth(corpus, count, place):
    "How cost grows."
    tasks = {"check": (1, 10, 100), "timing": (1, 10, 100), "generate": (1, 10)}
    for task, counts in tasks.items():
        for n in counts:
            out = place / f"{task}-{n}"
            run = start(
                song_folders(corpus, n), out, f"task={task}", "workers=1", *[SHORT] * (task == "generate")
            )
            watch = Watch(run)
            last = finish(run)
            watch.join(2)
            kb = sum(p.stat().st_size for p in (out / "made").rglob("*") if p.is_file()) / 1000
            table = (out / "jobs.sqlite").stat().st_size / 1000
            print(
                f"{task}: {n} songs, {last['done']} done, {last['seconds']} s, cpu {sum(watch.cpu.values()):.1f} s, made {kb:.0f} kB, "
                f"table {table:.0f} kB, memory MB {sorted(watch.most.values(), reverse=True)[:3]}",
                flush=True,
            )


def together(corpus, count, place):
    "Songs that are written together, beside one after the other."
    songs = song_folders(corpus, count)
    for batch in (1, 4, 1, 4):
        out = place / f"batch-{batch}-{time.time_ns()}"
        run = start(songs, out, "task=generate", "workers=1", f"batch={batch}", SHORT)
        watch = Watch(run)
        last = finish(run)
        watch.join(2)
        digest = hashlib.sha256(json.dumps(made(out)).encode()).hexdigest()[:12]
        cpu = sum(watch.cpu.values())
        print(
            f"batch={batch}: {len(songs)} songs, {last['seconds']} s, cpu {cpu:.1f} s, bytes {digest}",
            flush=True,
        )


if __name__ == "__main__":
    corpus, *words = sys.argv[1:]
    count = int(said.get("songs", 60))
    for what in [w for w in words if "=" not in w] or ["same"]:
        with tempfile.TemporaryDirectory() as place:
            globals()[what](corpus, count, Path(place))
