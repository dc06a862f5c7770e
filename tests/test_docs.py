"The documentation: every page is there, every link leads somewhere, and nothing is fetched from elsewhere."

import html
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

import browser
import house

pytest.importorskip("nbconvert")


@pytest.fixture(scope="module")
def tool():
    return house.load_tool("docs")


@pytest.fixture(scope="module")
def site(tool, tmp_path_factory):
    "The whole site, its code without colours: they are most of the time that it takes."
    folder = tmp_path_factory.mktemp("site")
    coloured = tool.Highlight2HTML
    tool.Highlight2HTML = lambda **kwargs: lambda text: f"<pre>{html.escape(text)}</pre>"
    try:
        tool.write(folder)
    finally:
        tool.Highlight2HTML = coloured
    return folder


class Seen(HTMLParser):
    "The anchors of a page, its links, and what it loads."

    def __init__(self, text):
        super().__init__()
        self.anchors = {""}
        self.links = []
        self.loads = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.anchors.add(told.get("id"))
        if tag in ("a", "link") and "href" in told:
            (self.links if tag == "a" else self.loads).append(told["href"])
        self.loads += [told[name] for name in ("src", "srcset", "poster", "data") if told.get(name)]


@pytest.fixture(scope="module")
def pages(site):
    return {path.resolve(): Seen(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_every_notebook_and_every_text_is_a_page(tool, site):
    names = {path.relative_to(house.repo).as_posix() for path in house.all_paths()} - {"nbs/index.ipynb"}
    assert names | {"README.md", "CONTRIBUTING.md", "docs/controls.md"} <= set(tool.sources())
    assert all((site / tool.address(name)).is_file() for name in tool.sources())
    assert len(tool.sources()) == len(set(tool.sources()))


def test_every_link_leads_somewhere(pages):
    lost = []
    for path, page in pages.items():
        for link in page.links + page.loads:
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = unquote(link).partition("#")
            there = (path.parent / name).resolve() if name else path
            if not there.is_file() or there in pages and anchor not in pages[there].anchors:
                lost.append(f"{path.name}: {link}")
    assert not lost, "links to nothing: " + ", ".join(lost)
    assert sum(len(page.links) for page in pages.values()) > 5_000


def test_links_that_leave_lead_to_files_that_are_there(tool, pages):
    "Of the repository, that is: nobody else is asked."
    begin = f"{tool.on_github()}/"
    names = {link[len(begin) :] for page in pages.values() for link in page.links if link.startswith(begin)}
    assert not [name for name in names if not (house.repo / unquote(name).partition("#")[0]).exists()]
    assert {"LICENSE", "mapperatorinator/assets/README.md", "nbs/000_core.ipynb"} <= names


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for path, page in pages.items():
        assert not [link for link in page.loads if re.match(r"(?!data:)[a-z]+:|//", link)], path.name
        assert "default-src 'self'" in path.read_text(encoding="utf-8")[:600], "and the browser holds to it"
    for name in ("style.css", "search.js"):
        text = (site / name).read_text(encoding="utf-8")
        assert len(text) <= 10_000 and "//" not in re.sub(
            r"^\s*//.*|(?<=;) //.*", "", text, flags=re.MULTILINE
        )


def test_formulas_code_and_pictures(tool, tmp_path):
    (page,) = tool.write(tmp_path, only=["nbs/340_windows.ipynb"])
    text = (tmp_path / "nbs/340_windows.html").read_text(encoding="utf-8")
    assert page.title in text and 'class="kn">import' in text and "#| export" not in text
    assert 'aria-label="1 - \\text{lookback} - \\text{lookahead}"' in text and "lookback} -$" not in text
    assert "data:image/png;base64," in text and 'class="code exported"' in text
    for name in tool.sources():
        for cell in tool.read(name).cells:
            if cell.cell_type == "markdown":
                assert "$$" not in tool.outside_code(lambda piece: piece, tool.prepared(cell.source, name))


def test_a_reader_searches_and_nobody_hears_of_it(tool, site):
    with browser.browser() as page:
        page.size(1000, 800)
        page.open(site / tool.address("nbs/910_preview.ipynb"))
        page.run("document.getElementById('query').focus()")
        page.call("Input.insertText", text="slider path")
        page.until("document.querySelectorAll('#found a').length > 3")
        first = page.run("document.querySelector('#found a').textContent")
        assert (
            first.startswith("The path of a slider")
            and page.run("document.querySelectorAll('mark').length") > 3
        )
        page.press("Enter", code="Enter", windowsVirtualKeyCode=13)
        page.until(
            "location.pathname.endsWith('100_osu.curves.html') && location.hash === '#the-path-of-a-slider'"
        )
        page.run("document.getElementById('query').focus()")
        page.call("Input.insertText", text="<img src=x onerror=alert(1)>")
        page.until("document.getElementById('found').textContent === 'Nothing found.'")
        for width in (1200, 360):
            page.size(width, 800)
            assert page.run("document.documentElement.scrollWidth <= innerWidth"), (
                "nothing hangs over the side"
            )
        assert not page.errors and all(url.startswith("file:") for url in page.requests)
