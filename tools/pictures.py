"""Takes the moving and the still pictures of docs/ anew: the preview while it plays, and the pages of the app.

make demo                         the map that is played
python tools/pictures.py          all of them: some minutes, with chromium
python tools/pictures.py clip     only the preview: docs/preview.webp"""

import io
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

repo = Path(__file__).resolve().parent.parent
docs = repo / "docs"
sys.path.insert(0, str(repo / "tests"))

import browser
import test_app as visits
from mapperatorinator.core import demo_song
from mapperatorinator.osu.beatmap import Beatmap
from mapperatorinator.preview import preview_html
from mapperatorinator.ui import example_set
from mapperatorinator.verify import read_set

RATE = 20  # frames a second
FROM, SECONDS = 17_000, 5  # ms of the song, s
SIZE = 700, 620  # px


def demo_map() -> Beatmap:
    "The map that `make demo` wrote last."
    archives = sorted((repo / "runs/demo").glob("*.osz"), key=lambda path: path.stat().st_mtime)
    if not archives:
        sys.exit("There is no map in runs/demo; run make demo first.")
    return next(iter(read_set(archives[-1]).beatmaps.values()))


def frame(page, time: float) -> Image.Image:
    "The preview as it stands at a time."
    page.run(
        f"player.seek({time}), new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    return Image.open(io.BytesIO(page.picture())).convert("RGB")


def record_preview(beatmap: Beatmap) -> list[Image.Image]:
    "The preview, frame by frame: it is sought to each, so that a slow machine loses none."
    with browser.browser() as page, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(preview_html([beatmap], demo_song()), encoding="utf-8")
        page.prefer(color_scheme="dark")
        page.size(*SIZE)
        page.open(file)
        page.until("window.preview && preview.preview")
        page.run("window.player = preview.preview; player.play()")
        page.until("player.clock.time > 100")  # the large button goes
        page.run("player.pause(), (document.documentElement.style.overflow = 'hidden')")
        return [frame(page, FROM + i * 1000 / RATE) for i in range(SECONDS * RATE)]


def clip():
    "docs/preview.webp."
    first, *rest = record_preview(demo_map())
    look = dict(quality=40, method=4, loop=0, duration=1000 // RATE)
    first.save(docs / "preview.webp", save_all=True, append_images=rest, **look)


def still(page, name: str):
    "A picture of a page."
    page.run("document.activeElement.blur(), scrollTo(0, 0)")
    Image.open(io.BytesIO(page.picture())).convert("RGB").save(docs / f"{name}.webp", quality=80, method=6)


@contextmanager
def visitor():
    "A page of the app, and the folder of its server."
    with tempfile.TemporaryDirectory() as folder, visits.serving(Path(folder)) as app:
        with browser.browser() as page:
            page.prefer(color_scheme="dark")
            yield visits.visit(page, app), Path(folder)


def app_pages():
    "docs/app_generate.webp, docs/app_maimod.webp, docs/app_timing.webp."
    with visitor() as (page, folder):
        generate_page(page)
        maimod_page(page, example_set(folder))
        timing_page(page)


def generate_page(page):
    visits.send(page, demo_song())
    page.until("document.querySelector('.mp-facts').textContent.includes('128 BPM')", 60)
    visits.fill(page, "end_time", "0:25")
    visits.fill(page, "star_tries", "0")
    visits.click(page, "Generate")
    page.until("!!document.querySelector('.mp-run.done')", 300)
    visits.click(page, "Show", ".mp-run")
    page.until("document.querySelector('.mp-page')?.naturalWidth > 100", 60)
    page.size(1000, 1750)
    still(page, "app_generate")


def maimod_page(page, maps: Path):
    visits.open_tab(page, "MaiMod", "input[accept='.osz,.osu']")
    visits.give(page, "input[accept='.osz,.osu']", maps)
    page.until("[...document.querySelectorAll('.mp-faint')].some((e) => e.textContent === 'example.osz')", 60)
    visits.click(page, "Look it over")
    page.until("[...document.querySelectorAll('.mp-run.done')].some((e) => e.offsetParent)", 300)
    visits.click(page, "Read", ".mp-run")
    page.until("!!document.querySelector('.mp-report')", 60)
    page.size(1000, 1250)
    page.until("new Promise((done) => setTimeout(() => done(true), 10000))")  # the frame draws itself
    still(page, "app_maimod")


def timing_page(page):
    visits.open_tab(page, "Timing", ".mp-beats")
    visits.send(page, demo_song())
    page.until("document.querySelector('.mp-beats').textContent.includes('128')", 60)
    page.size(1000, 760)
    still(page, "app_timing")


if __name__ == "__main__":
    for part in sys.argv[1:] or ["clip", "app"]:
        {"clip": clip, "app": app_pages}[part]()
