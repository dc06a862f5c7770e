"""A headless Chromium for tests: open a page, run scripts in it, take its picture, and hear what it said and asked for.

It speaks the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/) over one web socket, and needs no driver."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)


def find():
    "The program; None where there is none. CHROMIUM names another one."
    return next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), *NAMES))), None)


def required():
    "The program, and the web socket; a test that has not both is skipped."
    pytest.importorskip("websocket", reason="no websocket-client")
    return find() or pytest.skip("no chromium here (Debian: apt-get install chromium)")


class Page:
    "A tab: what it says and asks for is kept."

    def __init__(self, address):
        import websocket

        self.socket = websocket.create_connection(address, timeout=60)
        self.count = 0
        self.requests = []  # addresses, data: and blob: left out
        self.errors = []  # of the console, of scripts, of what could not be loaded
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        "Ask for something; what comes of it."
        self.count += 1
        self.socket.send(json.dumps(dict(id=self.count, method=method, params=params)))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.count:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            self.hear(message)

    def hear(self, message):
        "Keep what the page did meanwhile."
        about = message.get("params", {})
        if message["method"] == "Network.requestWillBeSent":
            url = about["request"]["url"]
            self.requests += [url] if not url.startswith(("data:", "blob:")) else []
        if message["method"] == "Runtime.exceptionThrown":
            self.errors.append(about["exceptionDetails"].get("exception", {}).get("description", "exception"))
        if message["method"] == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning"):
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in about["args"]))
        if message["method"] == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.errors.append(about["entry"]["text"])

    def open(self, url):
        "Go to an address, or to a file, and wait until it is loaded."
        if isinstance(url, Path):
            url = url.resolve().as_uri()
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'", 60)
        return self

    def run(self, script):
        "The value of an expression; promises are waited for. Raises what it raises."
        got = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in got:
            raise RuntimeError(got["exceptionDetails"].get("exception", {}).get("description", script))
        return got["result"].get("value")

    def until(self, script, seconds=20):
        "Wait until an expression is true."
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({script})"):
            if time.monotonic() > end:
                raise TimeoutError(f"not within {seconds} s: {script}")
            time.sleep(0.05)

    def size(self, width, height, density=1):
        "The window, in CSS pixels, and how many pixels of the screen one of them is."
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=density,
            mobile=False,
        )

    def prefer(self, **features):
        "What the user wishes: color_scheme='light', reduced_motion='reduce'."
        wishes = [dict(name=f"prefers-{k.replace('_', '-')}", value=v) for k, v in features.items()]
        self.call("Emulation.setEmulatedMedia", features=wishes)

    def press(self, key, text="", **more):
        "A key, down and up."
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, text=text if "Down" in kind else "", **more
            )

    def drag(self, start, end, steps=4):
        "The mouse, from one point to another; a click where they are the same."
        mouse = lambda kind, x, y: self.call(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1
        )
        mouse("mousePressed", *start)
        for i in range(1, steps + 1):
            mouse("mouseMoved", *(a + (b - a) * i / steps for a, b in zip(start, end)))
        mouse("mouseReleased", *end)

    def tap(self, x, y):
        "A finger."
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[dict(x=x, y=y)])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def picture(self, path=None):
        "A PNG of the window, written to a file where one is named."
        png = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if path:
            Path(path).write_bytes(png)
        return png


def _address(folder, process, seconds=60):
    "Where a browser listens: it writes the port into its folder."
    port = Path(folder) / "DevToolsActivePort"
    end = time.monotonic() + seconds
    while not port.exists() or not port.read_text().strip():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError("chromium did not start")
        time.sleep(0.05)
    return port.read_text().split("\n")[0]


def _first_tab(port):
    "The web socket of the tab that a browser begins with."
    from urllib.request import ProxyHandler, build_opener

    direct = build_opener(ProxyHandler({}))
    with direct.open(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:
        tabs = json.load(answer)
    return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")


@contextmanager
def browser():
    "A page of a browser of its own, which is gone afterwards."
    program = required()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [program, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            page = Page(_first_tab(_address(folder, process)))
            yield page
            page.socket.close()
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
