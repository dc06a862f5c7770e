"The web app: who is let in, and what a visitor's browser sees of it, from a song to an .osz."

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import make_dataclass
from pathlib import Path
from types import SimpleNamespace as NS
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import numpy as np
import pytest

import browser
import house
from mapperatorinator import app as app_room, config, runs as queues
from mapperatorinator.app import OWNER, Keeper
from mapperatorinator.core import Progress
from mapperatorinator.runs import Runs, is_gone

voila = pytest.importorskip("voila")
pytest.importorskip("ipywidgets", "8", reason="Voilà shows no widgets of 7, which Colab has")


class Stay(HTTPRedirectHandler):
    "Says where one is sent, and does not go there."

    def redirect_request(self, *args):
        return None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextmanager
def serving(state):
    "A server that is up, with its folder."
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("serve_app.py")), str(port), str(state)]
    log = open(state / "log", "w+")
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 90
    while "Ctrl-C ends it" not in (state / "log").read_text():
        assert process.poll() is None and time.monotonic() < end, (state / "log").read_text()
        time.sleep(0.1)
    yield NS(url=url, port=port, state=state, page=f"{url}/?token=secret", log=state / "log", process=process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, (state / "log").read_text()


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("app")) as served:
        yield served


def ask(app, path="/", method="GET", **headers):
    "The status of an answer, and where one is sent."
    request = Request(
        app.url + path, method=method, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    try:
        with build_opener(ProxyHandler({}), Stay).open(request, timeout=60) as answer:
            return answer.status, answer.headers.get("Location", "")
    except HTTPError as e:
        return e.code, e.headers.get("Location", "")


KERNEL = "/api/kernels/12345678-1234-1234-1234-123456789012"


def test_who_has_no_token_sees_nothing(app):
    for path in ("/", "/?token=wrong", "/?token="):
        status, where = ask(app, path)
        assert status == 302 and where.startswith("/login"), path
    assert ask(app, KERNEL)[0] == 403 and ask(app, f"{KERNEL}/channels")[0] in (400, 403)
    assert ask(app, "/voila/api/shutdown/12345678-1234-1234-1234-123456789012", "POST")[0] in (302, 403)


def test_other_names_and_other_pages_are_refused_even_with_the_token(app):
    good = f"127.0.0.1:{app.port}"
    for host in ("evil.example", f"evil.example:{app.port}", "127.0.0.1.evil.example", "0.0.0.0"):
        assert ask(app, "/?token=secret", Host=host)[0] == 403, host
    for origin in ("http://evil.example", "null", f"http://localhost:{app.port}"):
        assert ask(app, f"{KERNEL}?token=secret", Host=good, Origin=origin)[0] == 403, origin
    assert (
        ask(app, f"{KERNEL}?token=secret", Host=good, Origin=f"http://{good}")[0] == 404
    )  # there is no such kernel
    assert ask(app, "/voila/static/voila.js", Host="evil.example")[0] == 403
    assert ask(app, f"{KERNEL}?token=secret", "DELETE", Host=good)[0] in (403, 404)


OUTSIDE = [
    "/voila/files/runs.sqlite",
    "/voila/files/Mapperatorinator.ipynb",
    "/voila/files/../runs.sqlite",
    "/voila/static/../../../../../../etc/passwd",
    "/voila/static/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/voila/templates/lab/static/../../../../../../../../etc/passwd",
    "/voila/templates/lab/static/..%2f..%2f..%2fconf.json",
    "/voila/labextensions/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/voila/api/themes/..%2f..%2f..%2fetc%2fpasswd",
    "/voila/tree/",
    "/voila/render/page/Mapperatorinator.ipynb",
    "/voila/api/contents/",
    "/api/contents/",
    "/api/terminals",
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_file_of_the_machine_is_served(app, path):
    with socket.create_connection(("127.0.0.1", app.port), timeout=60) as s:
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{app.port}",
            "Authorization: token secret",
            "Connection: close",
        ]
        s.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b"".join(iter(lambda: s.recv(65536), b""))
    assert int(answer.split()[1]) >= 400, (path, answer[:300])


# In a browser

PARTS_OF_VOILA = re.compile("Unsatisfied version|No satisfying version|WebSocket connection|voila_heartbeat")


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    "A song of 25 MB."
    import soundfile
    from mapperatorinator.audio import load_audio
    from mapperatorinator.core import demo_song

    x = np.tile(load_audio(demo_song(), 44100), 3)[: 44100 * 145]
    path = tmp_path_factory.mktemp("song") / "Artist - My Song.wav"
    soundfile.write(path, np.stack([x, x], 1), 44100)
    assert path.stat().st_size > 25_000_000
    return path


def visit(page, app):
    page.size(1000, 1400)
    page.open(app.page)
    page.until("!!document.querySelector('.mp-go')", 60)
    return page


SEEN = "[...document.querySelectorAll({})].find((e) => e.offsetParent || e.nextElementSibling?.offsetParent)"


def open_tab(page, name, sign):
    "Press a tab, and wait until what is in it is seen."
    tab = f"[...document.querySelectorAll('[role=tab]')].find((t) => t.textContent.trim() === '{name}')"
    place = page.run(f"(() => {{ const r = {tab}.getBoundingClientRect(); return [r.x + 9, r.y + 9]; }})()")
    page.drag(place, place)
    page.until(f"!!document.querySelector({json.dumps(sign)})?.offsetParent", 30)


def give(page, selector, *paths):
    "Files through a button that is seen; the protocol would repeat each of their bytes to us, so it is told not to."
    page.call("Network.disable")
    button = page.call("Runtime.evaluate", expression=SEEN.format(json.dumps(selector)))["result"]["objectId"]
    page.call("DOM.setFileInputFiles", objectId=button, files=list(map(str, paths)))
    page.call("Network.enable")


def send(page, path):
    "A song."
    give(page, ".mp-file", path)
    page.until("[...document.querySelectorAll('.mp-title')].some((e) => e.offsetParent)", 60)


def fill(page, name, value):
    "Type into a field of *More*, and leave it."
    page.run(
        f"""(() => {{ const input = document.querySelector('.mp-field[data-name="{name}"] input, .mp-field[data-name="{name}"] select');
        input.value = {json.dumps(value)}; input.dispatchEvent(new Event('change')); }})()"""
    )
    page.until(f"document.querySelector('.mp-field[data-name=\"{name}\"]').classList.contains('said')")


def click(page, text, within=".mp"):
    page.run(
        f"[...document.querySelectorAll('{within} button')].find((b) => b.textContent.startsWith({json.dumps(text)})).click()"
    )


def complaints(page):
    return [e for e in page.errors if not PARTS_OF_VOILA.search(e)]


def foreign(page, app):
    return [url for url in page.requests if not url.startswith((app.url, f"ws://127.0.0.1:{app.port}"))]


def test_from_a_song_to_an_osz(app, song, tmp_path):
    with browser.browser() as page:
        visit(page, app)
        page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        click(page, "Generate")
        page.until("document.querySelector('.mp-notice').textContent.includes('No song')")
        send(page, song)
        assert "My Song" in page.run("document.querySelector('.mp-facts').textContent")
        for name, value in dict(
            bpm="128", offset="877", end_time="0:05", star_tries="0", seed="7", device="cpu"
        ).items():
            fill(page, name, value)
        click(page, "Generate")
        page.until("!!document.querySelector('.mp-run.done')", 90)
        click(page, "Show", ".mp-run")
        page.until("document.querySelector('.mp-page')?.naturalWidth > 100", 30)
        played = "[...document.querySelectorAll('*')].some((e) => e.shadowRoot?.querySelector('canvas')?.width > 100)"
        page.until(played, 30)
        click(page, "Download", ".mp-run")
        end = time.monotonic() + 60
        while not (found := list(tmp_path.glob("*.osz"))):
            assert time.monotonic() < end
            time.sleep(0.1)
        assert not complaints(page) and not foreign(page, app), (complaints(page), foreign(page, app))
    names = zipfile.ZipFile(found[0]).namelist()
    assert any(n.endswith(".osu") for n in names) and "Artist - My Song.ogg" in names


def test_a_page_that_is_reloaded_still_has_its_run_and_cancels_it(app):
    with browser.browser() as page:
        visit(page, app)
        page.run("document.querySelector('.mp-mode[data-mode=\"1\"]').click()")
        send(page, house.repo / "mapperatorinator/assets/demo.ogg")
        fill(page, "seed", "1")
        click(page, "Generate")
        page.until("document.querySelector('.mp-run.going')?.textContent.includes('tokens/s')", 60)
        page.run("window.before = true")
        page.call("Page.reload")
        page.until("!window.before && !!document.querySelector('.mp-run.going')", 60)
        page.until(
            "document.querySelector('.mp-mode[data-mode=\"1\"]').getAttribute('aria-checked') === 'true'"
        )
        page.until("document.querySelector('.mp-title')?.textContent.length > 0", 60)

        with browser.browser() as other:  # somebody else comes meanwhile
            visit(other, app)
            assert other.run("document.querySelectorAll('.mp-run').length") == 0
            send(other, house.repo / "mapperatorinator/assets/demo.ogg")
            fill(other, "seed", "1")
            click(other, "Generate")
            other.until("document.querySelector('.mp-run.going')?.textContent.includes('1 before it')", 30)
            click(other, "Cancel", ".mp-run")
            other.until(
                "document.querySelector('.mp-run.cancelled')?.textContent.includes('before it began')", 30
            )
            assert not complaints(other)

        click(page, "Cancel", ".mp-run")
        page.until("document.querySelector('.mp-run.cancelled')?.textContent.includes('no half-written')", 30)
        assert not complaints(page) and not foreign(page, app)


NAMELESS = """[...document.querySelectorAll('.mp input, .mp select, .mp textarea, .mp button, .mp audio, .mp canvas, .mp progress')].filter((e) =>
  !e.getAttribute('aria-label') && !e.textContent.trim() && !(e.labels && [...e.labels].some((l) => l.textContent.trim()))).map((e) => e.outerHTML)"""

CONTRAST = """[...document.querySelectorAll('.mp h2, .mp label, .mp .mp-faint, .mp .mp-help, .mp .mp-go, .mp .mp-mode, .mp .mp-level, .mp summary')]
  .filter((e) => e.offsetParent && e.textContent.trim()).map((e) => {
  const numbers = (c) => { const pen = document.createElement('canvas').getContext('2d'); pen.fillStyle = c; pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  let under = e; while (numbers(getComputedStyle(under).backgroundColor)[3] < 255) under = under.parentElement;
  const [a, b] = [getComputedStyle(e).color, getComputedStyle(under).backgroundColor].map((c) => light(numbers(c)));
  return [Math.round(100 * (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)) / 100, e.className || e.tagName, e.textContent.slice(0, 30)]; })
  .filter(([ratio]) => ratio < 4.5)"""


AUDIT = """(() => {
  const seen = (selector) => [...document.querySelectorAll(selector)].filter((e) => e.offsetParent || e.getClientRects().length);
  const levels = seen("h1, h2, h3, h4, h5, h6").map((e) => Number(e.tagName[1]));
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  const named = (e) => e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.title;
  const wrong = {
    "no language": document.documentElement.lang === "en" ? [] : [document.documentElement.lang],
    "no title": document.title.includes("Mapperatorinator") ? [] : [document.title],
    "no width for phones": document.querySelector("meta[name=viewport]") ? [] : ["meta"],
    "not one h1": levels.filter((n) => n === 1).length === 1 ? [] : levels,
    "a level of headings left out": levels.filter((n, i) => i && n > levels[i - 1] + 1),
    "no landmark for the contents": seen("main, [role=main]").length === 1 ? [] : ["main"],
    "pictures without words": seen("img:not([alt])").map((e) => e.outerHTML),
    "drawings that are neither named nor hidden": seen("svg, canvas").filter((e) => !e.closest("[aria-hidden=true]") && !named(e)).map((e) => e.outerHTML),
    "frames without a title": seen("iframe:not([title])").map((e) => e.outerHTML),
    "ids given twice": ids.filter((id, i) => id && ids.indexOf(id) !== i),
    "tabindex that changes the order": seen("[tabindex]").filter((e) => e.tabIndex > 0).map((e) => e.outerHTML),
  };
  return Object.entries(wrong).filter(([, found]) => found.length).map(([what, found]) => `${what}: ${found}`);
})()"""
SIGNS = {"MaiMod": "input[accept='.osz,.osu']", "Timing": ".mp-beats"}  # what is seen of each other tab


def test_labels_order_of_focus_and_contrast(app):
    with browser.browser() as page:
        visit(page, app)
        assert page.run(AUDIT) == []
        page.run("document.querySelectorAll('.mp details').forEach((d) => (d.open = true))")
        assert page.run(NAMELESS) == []
        for scheme in ("light", "dark"):
            page.prefer(color_scheme=scheme)
            assert page.run(CONTRAST) == [], scheme
        page.run(
            "document.querySelectorAll('.mp details').forEach((d) => (d.open = false)); document.querySelector('.mp-file').focus()"
        )
        order = []
        for _ in range(14):
            order.append(
                page.run(
                    "(document.activeElement.getAttribute('aria-label') || document.activeElement.textContent).trim().slice(0, 24)"
                )
            )
            page.press("Tab", code="Tab", windowsVirtualKeyCode=9)
        wanted = [
            "Choose a song",
            "osu!",
            "Difficulty",
            "Difficulty in stars",
            "Generate",
            "How many versions",
            "More",
        ]
        places = [order.index(name) for name in wanted]
        assert places == sorted(places), order
        for name, sign in SIGNS.items():
            open_tab(page, name, sign)
            for scheme in ("light", "dark"):
                page.prefer(color_scheme=scheme)
                assert (page.run(AUDIT), page.run(NAMELESS), page.run(CONTRAST)) == ([], [], []), (
                    name,
                    scheme,
                )
        open_tab(page, "Generate", ".mp-mode")
        page.run("document.querySelector('.mp-mode[aria-checked=true]').focus()")
        page.press("ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39)
        page.until(
            "document.querySelector('.mp-mode[data-mode=\"1\"]').getAttribute('aria-checked') === 'true'"
        )


def test_the_timing_page_finds_beats_and_saves_them(app, tmp_path):
    with browser.browser() as page:
        visit(page, app)
        page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        open_tab(page, "Timing", ".mp-beats")
        send(page, house.repo / "mapperatorinator/assets/demo.ogg")
        page.until("document.querySelector('.mp-beats').textContent.includes('128')", 60)
        click(page, "Save the timing")
        end = time.monotonic() + 30
        while not (found := list(tmp_path.glob("*.osu"))):
            assert time.monotonic() < end
            time.sleep(0.1)
        assert not complaints(page)
    assert "[TimingPoints]" in found[0].read_text(encoding="utf-8")


# Without a browser


def quick(config, progress):
    "For a worker process: a run with seed 13 takes it down."
    if config.seed == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    progress(Progress("map", 1, 1))


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_worker_that_is_killed_is_replaced_and_the_rest_is_made(tmp_path):
    runs = Runs(tmp_path)
    bad, good = (runs.add({"seed": seed}, owner=OWNER) for seed in (13, 1))
    keeper = Keeper(tmp_path, 1e9, quick)
    end = time.monotonic() + 60
    while runs[good.id].state in ("waiting", "running") and time.monotonic() < end:
        time.sleep(0.1)
    pid = keeper.process.pid
    keeper.close()
    assert (runs[bad.id].state, runs[good.id].state) == ("lost", "done") and is_gone(f"{pid}.0")


def test_a_map_is_looked_over_where_the_room_of_maimod_is_there(tmp_path, monkeypatch):
    "The room itself is stood in for: what is tested is the way to it and back."
    asked = []

    def look_over(config, progress):
        asked.append(config)
        progress(Progress("reading", 1, 1))
        return ["a result"]

    report = NS(
        look_over=look_over, as_html=lambda results: f"<p>{results}", every_suggestion=lambda r: [1, 2]
    )
    monkeypatch.setitem(sys.modules, "mapperatorinator.maimod", NS(report=report))
    monkeypatch.setitem(sys.modules, "mapperatorinator.maimod.report", report)
    Mod = make_dataclass("Mod", [("beatmap_path", str, ""), ("audio_path", str, "")])
    monkeypatch.setattr(config, "ModConfig", Mod, raising=False)
    desk = app_room.VisitorMod(config.AppConfig(), tmp_path)
    got = []
    desk.view.send = lambda content, buffers=None: got.append((content, buffers))
    press = lambda kind, buffers=(), **told: desk.hear(None, {"kind": kind, **told}, list(buffers))
    press("hello", visitor="ab" * 16)
    press("go")
    assert "No map" in desk.view.notice["text"]
    press("chunk", [b"PK"], key="k", what="beatmap_path", name="a.osz", size=2, at=0)
    press("go")
    runs = Runs(tmp_path)
    queues.Worker(runs, OWNER, inside=True, tasks={"mod": app_room.mod_run}).work()
    desk.show_runs()
    (run,) = desk.view.runs
    press("show", id=run["id"])
    assert (run["state"], ["suggestions", "2"] in run["figures"]) == ("done", True), run
    assert asked[0].beatmap_path.endswith("a.osz") and got[-1][1] == [b"<p>['a result']"]


def test_what_the_app_is_installed_with_has_a_kernel_for_its_visitors():
    "Voilà alone brings none, and a page without one is an error of the server."
    settings = ConfigParser(delimiters=["="])
    settings.read(house.repo / "settings.ini", encoding="utf-8")
    names = {re.split("[<>=]", word)[0] for word in settings["DEFAULT"]["app_requirements"].split()}
    assert {"voila", "tornado", "ipykernel", "ipywidgets"} == names


def instructions(text):
    "The instructions of a Dockerfile, each with its words."
    whole = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    return [line.split(None, 1) for line in whole.splitlines() if line.strip()]


def test_the_box_is_well_formed_and_what_it_copies_is_there():
    known = "ARG FROM ENV WORKDIR COPY RUN USER VOLUME EXPOSE ENTRYPOINT CMD".split()
    steps = instructions((house.repo / "Dockerfile").read_text(encoding="utf-8"))
    assert all(len(step) == 2 and step[0] in known for step in steps) and steps[1][0] == "FROM"
    ignored = (house.repo / ".dockerignore").read_text().splitlines()
    copied = [name.strip("./") for kind, words in steps if kind == "COPY" for name in words.split()[:-1]]
    assert copied and all((house.repo / name).exists() and f"!{name}" in ignored for name in copied)
    for kind, words in steps:
        if kind == "RUN":  # a shell can read it
            assert subprocess.run(["sh", "-n", "-c", words], capture_output=True).returncode == 0, words
        if kind in ("ENTRYPOINT", "CMD"):
            assert json.loads(words)
    told = [word for kind, words in steps if kind in ("ENTRYPOINT", "CMD") for word in json.loads(words)]
    from mapperatorinator.cli import COMMANDS, config_of

    asked = config_of(COMMANDS[told[1]], told[2:])
    assert (asked.address, asked.open_browser, asked.port) == ("0.0.0.0", False, 8866)
    assert any("cuda" in words for kind, words in steps if kind == "RUN") and ["USER", "mapper"] in steps
