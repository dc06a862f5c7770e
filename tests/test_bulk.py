"Bulk: many songs, whatever happens on the way; with small songs and maps of our own."

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bulk_figures
from mapperatorinator.bulk import run as bulk_run
from mapperatorinator.bulk.crews import Load, RayCrew, SubmititCrew
from mapperatorinator.bulk.jobs import Jobs
from mapperatorinator.bulk.run import Run, bulk, planned
from mapperatorinator.bulk.work import Answer, Order, failure, finished
from mapperatorinator.config import BulkConfig
from mapperatorinator.core import UserError
from mapperatorinator.osu.beatmap import Beatmap, Circle, TimingPoint
from mapperatorinator.osu.files import write_osz
from mapperatorinator.table import this_process

COUNT = 6
FOUND = 1  # exit code: the sets have no song, which check calls a problem
QUICK = {"task": "check", "settings": ["listen=false"]}


def one_map(title, beat=500.0):
    b = Beatmap.new(title=title, artist="A", version="Hard", timing_points=[TimingPoint(0, beat)])
    b.hit_objects = [Circle(50 + 37 * k % 400, 50 + 53 * k % 280, beat * k) for k in range(40)]
    return b


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    "Sets of a map each, some packed."
    folder = tmp_path_factory.mktemp("Songs")
    for i in range(COUNT):
        b = one_map(f"Song {i}", 400 + 20 * i)
        if i % 2:
            write_osz(folder / f"set {i}.osz", [b], {})
        else:
            (folder / f"set {i}").mkdir()
            b.write(folder / f"set {i}" / "map.osu")
    return folder


class HereCrew:
    "Does what it is given at once and here, unless a test has other plans with it."

    def __init__(self, order, workers=1, plan=lambda item: None):
        self.order, self.size, self.plan = order, order.batch, plan
        self.load = None

    def free(self):
        return int(self.load is None)

    def give(self, load):
        self.load = load

    def hear(self, seconds):
        load, self.load = self.load, None
        answers = []
        for item in load.items:
            planned = self.plan(item)
            if planned == "dies":
                return [bulk_run.News(load, answers, over=True, lost="The worker ended (signal 9).")]
            answers.append(planned or bulk_run_do(self.order, item))
        return [bulk_run.News(load, answers, over=True)]

    def close(self):
        pass


def bulk_run_do(order, item):
    from mapperatorinator.bulk.work import do

    return do(order, item)


@pytest.fixture
def here(monkeypatch):
    "Bulk runs in this process; `here.plan` says what happens to a job."

    class Here:
        plan = staticmethod(lambda item: None)

    crew = lambda engine, order, workers, *more: HereCrew(order, plan=lambda item: Here.plan(item))
    monkeypatch.setattr(bulk_run, "make_crew", crew)
    return Here


def config(sets, output, **more):
    return BulkConfig(songs=[str(sets)], output=str(output), workers=1, **QUICK | more)


def lines_of(c):
    lines = []
    code = bulk(c, lines.append)
    return code, lines, json.loads(lines[-1])


def states(output):
    return {job.name: (job.state, job.reasons) for job in Jobs(Path(output)).where("1")}


def test_a_run_is_the_same_bytes_however_it_was_stopped(sets, tmp_path, here):
    assert lines_of(config(sets, tmp_path / "whole"))[0] == FOUND
    whole = bulk_figures.made(tmp_path / "whole")
    assert len(whole) == COUNT
    for k in range(COUNT):

        def killed(item, k=k):
            if item.id == k + 1:
                raise KeyboardInterrupt  # as a second Ctrl-C

        here.plan = killed
        with pytest.raises(KeyboardInterrupt):
            bulk(config(sets, tmp_path / "cut"), lambda line: None)
    here.plan = lambda item: None
    code, _, last = lines_of(config(sets, tmp_path / "cut"))
    assert (code, last["done"], last["waiting"]) == (FOUND, COUNT, 0)
    assert bulk_figures.made(tmp_path / "cut") == whole
    assert not (tmp_path / "cut" / "work").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_killed_processes_and_a_lost_worker(sets, tmp_path, here):
    lines_of(config(sets, tmp_path / "whole"))
    songs, words = [str(sets)], ["task=check", "settings=[listen=false]", "workers=2"]
    run = bulk_figures.start(songs, tmp_path / "killed", *words)
    bulk_figures.wait_for(tmp_path / "killed", 1, run)
    bulk_figures.kill(run)  # and its workers notice
    last = bulk_figures.finish(bulk_figures.start(songs, tmp_path / "killed", *words))
    assert last["done"] == COUNT
    assert bulk_figures.made(tmp_path / "killed") == bulk_figures.made(tmp_path / "whole")


def test_a_job_that_kills_its_worker_twice_is_set_aside_and_named(sets, tmp_path, here):
    here.plan = lambda item: "dies" if item.name == "set 2" else None
    code, lines, last = lines_of(config(sets, tmp_path / "out"))
    assert (code, last["done"], last["aside"]) == (2, COUNT - 1, 1)
    assert states(tmp_path / "out")["set 2"] == ("aside", ["The worker ended (signal 9)."] * 2)
    assert sum("set 2" in line for line in lines) == 2
    here.plan = lambda item: None
    assert lines_of(config(sets, tmp_path / "out"))[0] == 2  # it stays aside
    assert lines_of(config(sets, tmp_path / "out", again=True))[0] == FOUND


def test_of_a_batch_only_the_guilty_is_set_aside(tmp_path):
    order = Order("generate", (), str(tmp_path), batch=3)
    jobs = Jobs(tmp_path)
    jobs.lead(60)
    jobs.add([(tmp_path / "jobs.sqlite", {"seed": i}) for i in range(3)])
    crew = HereCrew(order, plan=lambda item: "dies" if item.id == 2 else Answer(item.id, came="a map"))
    run = Run(BulkConfig(batch=3), order, jobs, crew, lambda line: None, None)
    run.work()
    assert [job.state for job in jobs.where("1")] == ["done", "aside", "done"]
    assert [job.deaths for job in jobs.where("1")] == [0, 2, 1]  # the last one was at work beside it


def test_failures_are_tried_again_and_keep_their_reasons(sets, tmp_path, here):
    tried = []

    def moody(item):
        tried.append(item.name)
        if item.name == "set 1" and tried.count("set 1") < 3:
            return Answer(item.id, "failed", code=2, why=f"try {tried.count('set 1')}")
        if item.name == "set 3":
            return Answer(item.id, "failed", code=2, why="never")
        if item.name == "set 4":
            return Answer(item.id, "refused", code=2, why="no song")

    here.plan = moody
    code, _, last = lines_of(config(sets, tmp_path / "out"))
    found = states(tmp_path / "out")
    assert (code, last["failed"], found["set 1"]) == (2, 2, ("done", ["try 1", "try 2"]))
    assert found["set 3"] == ("failed", ["never"] * 3) and found["set 4"] == ("failed", ["no song"])
    assert tried.index("set 1", 2) > tried.index("set 5"), "what failed comes after what was never tried"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "try 1<br>try 2" in page and "no song" in page


def test_a_full_disk_stops_with_a_sentence_and_goes_on(sets, tmp_path, here, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")
    here.plan = lambda item: failure(full, item.id) if item.id >= 3 else None
    with pytest.raises(UserError, match="disk of .* is full: 2 of 6 jobs are done and safe; make room"):
        bulk(config(sets, tmp_path / "out"), lambda line: None)
    assert {state for state, _ in states(tmp_path / "out").values()} == {"done", "waiting"}
    here.plan = lambda item: None
    assert lines_of(config(sets, tmp_path / "out"))[0] == FOUND
    order, sources = planned(config(sets, tmp_path / "other"))
    item = bulk_run.item_of(bulk_run.Job(1, "x", str(sources[0][0])))

    def write(*_):
        raise UserError("Cannot write 'x'.") from full

    monkeypatch.setattr("mapperatorinator.bulk.work.write_atomic", write)
    assert bulk_run_do(order, item).state == "full" and not (tmp_path / "other" / "made").exists()


def test_a_table_on_a_full_disk_is_a_sentence(sets, tmp_path, here, monkeypatch):
    import sqlite3

    def refuse(self, *args, **more):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Jobs, "set", refuse)
    with pytest.raises(UserError, match="cannot be written .*; make room"):
        bulk(config(sets, tmp_path / "out"), lambda line: None)
    monkeypatch.undo()
    assert bulk_figures.count_made(tmp_path / "out") == 1


def test_one_reason_for_all_ends_a_run_at_once(sets, tmp_path, here):
    here.plan = lambda item: Answer(item.id, "refused", code=2, why="There is no model 'x'.")
    with pytest.raises(UserError, match="first 3 jobs fail for one reason.*no model"):
        bulk(config(sets, tmp_path / "out"), lambda line: None)
    assert {state for state, _ in states(tmp_path / "out").values()} == {"waiting"}


def test_other_settings_are_refused_by_name_and_new_songs_are_added(sets, tmp_path, here, capsys):
    lines_of(config(sets, tmp_path / "out"))
    with pytest.raises(UserError, match=r"listen=False \(now True\)"):
        bulk(config(sets, tmp_path / "out", settings=[]))
    with pytest.raises(UserError, match="task=check .now timing"):
        bulk(config(sets, tmp_path / "out", task="timing", settings=[]))
    (tmp_path / "more").mkdir()
    one_map("More").write(tmp_path / "more" / "map.osu")
    code, _, last = lines_of(config(tmp_path / "more", tmp_path / "out"))
    assert (code, last["done"]) == (FOUND, COUNT + 1) and "1 more were added" in capsys.readouterr().err


def test_two_at_once_is_refused(sets, tmp_path, here):
    lines_of(config(sets, tmp_path / "out"))
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    import psutil

    name = f"{sleeper.pid}.{psutil.Process(sleeper.pid).create_time():.2f}"
    jobs = Jobs(tmp_path / "out")
    import socket

    jobs.know("leader", {"host": socket.gethostname(), "process": name, "time": time.time()})
    with pytest.raises(UserError, match="Another run works in"):
        bulk(config(sets, tmp_path / "out"))
    sleeper.kill()
    sleeper.wait()
    assert lines_of(config(sets, tmp_path / "out"))[0] == FOUND
    assert name != this_process()


def test_everything_wrong_is_told_before_anything_starts(sets, tmp_path):
    (tmp_path / "list.csv").write_text("path,difficulty,background\nnone.ogg,5,\n")
    wrong = BulkConfig(
        songs=[str(tmp_path / "list.csv"), "nowhere"],
        settings=["dificulty=3", "output_path=x"],
        output=str(tmp_path),
    )
    with pytest.raises(UserError) as e:
        bulk(wrong)
    said = str(e.value)
    for part in (
        "holds other things",
        "line 2: there is no",
        "'nowhere'",
        "dificulty",
        "output_path is not for you",
    ):
        assert part in said, part
    assert sorted(p.name for p in tmp_path.iterdir()) == ["list.csv"]


def test_a_list_of_a_stranger_leads_nowhere(sets, tmp_path, here):
    song = sets / "set 0" / "map.osu"
    rows = [{"path": str(song)}, {"path": str(song), "stars": 0.2}, {"path": str(song), "watch": "/etc"}]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    c = config(tmp_path / "list.json", tmp_path / "out")
    with pytest.raises(UserError, match="list.json, line 3: watch is not for you"):
        bulk(c)
    (tmp_path / "list.json").write_text(json.dumps(rows[:2]))
    assert lines_of(c)[0] == 0
    assert sorted(p.name for p in (tmp_path / "out" / "made").iterdir()) == ["map", "map (2)"]
    evil = tmp_path / "..."
    evil.mkdir()
    one_map("Evil").write(evil / "map.osu")
    lines_of(config(evil, tmp_path / "out2"))
    assert [p.name for p in (tmp_path / "out2" / "made").iterdir()] == ["untitled"]


def test_a_folder_of_another_job_is_not_replaced(sets, tmp_path, here):
    order, sources = planned(config(sets, tmp_path / "out"))
    item = bulk_run.item_of(bulk_run.Job(1, "set 0", str(sources[0][0])))
    folder = tmp_path / "out" / "made" / "set 0"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text('{"task": "mine"}')
    with pytest.raises(UserError, match="not of this job; move it away"):
        finished(order, item)
    assert (folder / "result.json").read_text() == '{"task": "mine"}'


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_finishes_what_is_at_work_and_twice_stops_at_once(sets, tmp_path, here):
    def interrupt(item):
        if item.id == 2:
            os.kill(os.getpid(), signal.SIGINT)

    here.plan = interrupt
    code, _, last = lines_of(config(sets, tmp_path / "out"))
    assert (code, last["done"], last["waiting"]) == (130, 2, COUNT - 2)

    def twice(item):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)

    here.plan = twice
    with pytest.raises(KeyboardInterrupt):
        bulk(config(sets, tmp_path / "out"), lambda line: None)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_shell_can_ask_to_stop(sets, tmp_path, here):
    c = config(sets, tmp_path / "out")
    asked = BulkConfig(output=c.output, stop=True)
    here.plan = lambda item: bulk(asked) if item.id == 1 else None
    code, _, last = lines_of(c)
    assert (code, last["done"]) == (130, 1)
    here.plan = lambda item: None
    assert lines_of(c)[0] == FOUND, "the wish was for that run only"
    with pytest.raises(UserError, match="no run in"):
        bulk(BulkConfig(output=str(tmp_path / "none"), stop=True))


def test_a_job_that_takes_too_long_is_ended(sets, tmp_path, here, monkeypatch):
    order, sources = planned(config(sets, tmp_path / "out", limit=0.001))
    dropped = []
    monkeypatch.setattr(HereCrew, "hear", lambda self, seconds: time.sleep(0.1) or [])
    monkeypatch.setattr(HereCrew, "drop", lambda self, load: dropped.append(load), raising=False)
    jobs = bulk_run.opened_jobs(config(sets, tmp_path / "out"), order, sources)
    run = Run(config(sets, tmp_path / "out", limit=0.001), order, jobs, HereCrew(order), print, None)
    run.hand_out()
    time.sleep(0.1)
    run.end_overdue()
    run.end_overdue()
    assert [load.items[0].id for load in dropped] == [1]
    run.note(bulk_run.News(dropped[0], [], over=True, lost="signal 9"))
    assert jobs.where("id=1")[0].reasons == ["It took more than limit=0.001 minutes."]


def test_maps_of_songs_and_archives_by_the_pipeline(tmp_path):
    "The real thing, small: two songs, with settings of their own, together and apart."
    from mapperatorinator.synth.songs import compose_song, write_song

    song = compose_song(5, 12, bpm=150)
    write_song(tmp_path / "song.ogg", song.samples, "One", "Synth")
    b = song.map(2)
    b.audio_filename, b.title = "song.ogg", "Named"
    write_osz(tmp_path / "set.osz", [b], {"song.ogg": (tmp_path / "song.ogg").read_bytes()})
    (tmp_path / "list.csv").write_text("path,difficulty\nsong.ogg,4.5\nset.osz,3.5\n")
    short = ["end_time=6000", "star_tries=0", "bpm=150", "offset=0", "device=cpu", "seed=1"]
    order, sources = planned(
        BulkConfig(
            songs=[str(tmp_path / "list.csv")], settings=short, output=str(tmp_path / "apart"), batch=2
        )
    )
    from dataclasses import replace

    from mapperatorinator.bulk.work import Item, serve

    items = [Item(i, path.stem, str(path), said) for i, (path, said) in enumerate(sources)]
    apart = [a for item in items for a in serve(order, [item])]
    beside = list(serve(replace(order, output=str(tmp_path / "beside")), items))
    assert [a.state for a in apart + beside] == ["done"] * 4, [a.why for a in apart + beside]
    assert bulk_figures.made(tmp_path / "apart") == bulk_figures.made(tmp_path / "beside")
    named = [p.name for p in (tmp_path / "apart" / "made" / "set").glob("*.osu")]
    assert len(named) == 1 and "Named" in named[0]
    assert "difficulty=3.5" in next((tmp_path / "apart" / "made" / "set").glob("*.osu")).read_text()


def test_submitit_makes_the_same_bytes(sets, tmp_path, here):
    pytest.importorskip("submitit", reason="submitit is not installed: pip install submitit")
    lines_of(config(sets, tmp_path / "whole"))
    order, sources = planned(config(sets, tmp_path / "out"))
    jobs = bulk_run.opened_jobs(config(sets, tmp_path / "out"), order, sources)
    crew = SubmititCrew(order, 1, "local")
    run = Run(config(sets, tmp_path / "out"), order, jobs, crew, lambda line: None, None)
    run.work()
    bulk_run.leave(run)
    assert bulk_figures.made(tmp_path / "out") == bulk_figures.made(tmp_path / "whole")
    with pytest.raises(UserError, match="submitit takes no"):
        SubmititCrew(order, 1, "local", ["no_such_option=1"])


@pytest.mark.slow  # half a minute for a cluster of two nodes
def test_ray_loses_a_node_and_makes_the_same_bytes(sets, tmp_path, here, monkeypatch):
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_agent_register_timeout_ms", "200000")
    lines_of(config(sets, tmp_path / "whole"))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    other = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        order, sources = planned(config(sets, tmp_path / "out"))
        jobs = bulk_run.opened_jobs(config(sets, tmp_path / "out"), order, sources)
        crew = RayCrew(order, 2)
        lines = []

        def lose_a_node(line):
            lines.append(line)
            if len(lines) == 2:
                cluster.remove_node(other)

        run = Run(config(sets, tmp_path / "out"), order, jobs, crew, lose_a_node, None)
        run.work()
        bulk_run.leave(run)
        assert jobs.counts() == {"done": COUNT}
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert bulk_figures.made(tmp_path / "out") == bulk_figures.made(tmp_path / "whole")


def test_a_cluster_that_is_not_installed_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="pip install ray, or give engine=local"):
        RayCrew(Order("check", (), str(tmp_path)), 1)
    assert Load([]).left == []


@pytest.mark.slow
@pytest.mark.parametrize("task", ["check", "timing"])
def test_sixty_songs_killed_three_times_are_the_same_bytes(tmp_path, task):
    corpus = Path(__file__).parents[2] / "shared" / "data"
    if not corpus.is_dir():
        pytest.skip("needs the corpus in ../shared/data")
    songs = bulk_figures.song_folders(corpus, 60)
    words = [f"task={task}", "workers=2"]
    bulk_figures.finish(bulk_figures.start(songs, tmp_path / "whole", *words))
    assert bulk_figures.interrupted(songs, tmp_path / "killed", len(songs), *words)["done"] == len(songs)
    assert bulk_figures.made(tmp_path / "killed") == bulk_figures.made(tmp_path / "whole")
