"""Makes the documentation in site/: every notebook and every page of Markdown as HTML, with a search, and nothing fetched from elsewhere.

`make docs` here, `tools/docs.py FOLDER` elsewhere. Nothing is executed: a page shows the outputs that its notebook stores. Text and code are
laid out by nbconvert's filters; formulas become pictures by matplotlib, so that a reader's browser asks nobody for MathJax."""

import html
import json
import posixpath
import re
import shutil
import sys
from configparser import ConfigParser
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import jinja2
import nbformat
from nbconvert.filters import ansi2html
from nbconvert.filters.highlight import Highlight2HTML
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

repo = Path(__file__).resolve().parent.parent
parts = Path(__file__).with_suffix("")  # the template, the style and the search
target = repo / "site"
hidden = re.compile(r"^#\s*\|\s*(hide|default_exp)\b", re.MULTILINE)
silent = re.compile(r"^#\s*\|\s*echo:\s*false", re.MULTILINE)
exported = re.compile(r"^#\s*\|\s*export", re.MULTILINE)
directive = re.compile(r"^#\s*\|.*\n?", re.MULTILINE)
code_span = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)


# --- which pages there are, and where


@dataclass
class Page:
    "A notebook or a text, and what the site needs to know of it."

    source: str  # path in the repository
    title: str
    promise: str  # one line
    cells: list  # of a notebook; a text is one cell


def read(source):
    "A page from its notebook or Markdown."
    path = repo / source
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, 4).cells
    else:
        cells = [nbformat.v4.new_markdown_cell(path.read_text(encoding="utf-8"))]
    first = next(c.source for c in cells if c.cell_type == "markdown")
    title = re.search(r"^# (.+)$", first, re.MULTILINE)[1]
    promise = " ".join(re.findall(r"^> (.+)$", first, re.MULTILINE))
    return Page(source, title, promise, cells)


@lru_cache(None)
def wings():
    "The names of all pages, by wing; the rooms as the README orders them."
    names = lambda pattern: sorted(p.relative_to(repo).as_posix() for p in repo.glob(pattern))
    found = {"start": ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", *names("docs/*.md")]}
    found["tutorials"] = names("nbs/tutorials/*.ipynb")
    for row in (repo / "README.md").read_text(encoding="utf-8").splitlines():
        if floor := re.match(r"\| \*\*(.+?)\*\* \| \|", row):
            found[floor[1]] = rooms = []
        elif room := re.match(r"\| \[`[^`]+`\]\((nbs/\d{3}_[^)]+)\)", row):
            rooms.append(room[1])
    found["explanations"] = names("nbs/explanations/*.ipynb")
    found["on Colab"] = names("colab/*.ipynb")
    return found


def sources():
    "The names of all pages, in reading order."
    return [source for some in wings().values() for source in some]


def address(source):
    "Where a page of the repository stands on the site; None for what is no page."
    if source == "nbs/index.ipynb":  # the README is made from it
        return "index.html"
    if source not in sources():
        return None
    return "index.html" if source == "README.md" else posixpath.splitext(source)[0] + ".html"


@lru_cache(None)
def on_github():
    "The address below which the repository's files are seen."
    settings = ConfigParser(delimiters=["="])
    settings.read(repo / "settings.ini", encoding="utf-8")
    known = settings["DEFAULT"]
    return f"{known['git_url']}/blob/{known['branch']}"


# --- Markdown


def slug(heading):
    "The anchor of a heading, as GitHub forms it."
    plain = re.sub(r"<[^>]+>", "", html.unescape(heading))
    return re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")


def relinked(link, source):
    "A link of a page, as it must read on the site: to pages and pictures there, to all other files where the repository is shown."
    if re.match(r"[a-z]+:", link):
        return link
    path, hash, anchor = link.partition("#")
    anchor = anchor.lower()  # JupyterLab keeps capitals in them
    if not path:
        return hash + anchor
    name = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    here = posixpath.dirname(address(source)) or "."
    there = address(name) or (name if is_picture(name) else None)
    return (posixpath.relpath(there, here) if there else f"{on_github()}/{name}") + hash + anchor


def is_picture(name):
    return name.endswith((".png", ".webp", ".gif", ".jpg")) and (repo / name).is_file()


SPELLINGS = {  # of TeX that matplotlib knows by another name
    r"\\le\b": r"\\leq",
    r"\\tfrac\b": r"\\frac",
    r"\\frac(\d)(\d)": r"\\frac{\1}{\2}",
    r"\\mathcal (\w)": r"\\mathcal{\1}",
}


@lru_cache(None)
def formula(tex, display=False):
    "TeX as a picture that takes the colour and the size of the text around it."
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    text = " ".join(tex.split())
    for ours, theirs in SPELLINGS.items():
        text = re.sub(ours, theirs, text)
    size = 100  # units an em
    path = TextPath((0, 0), f"${text}$", size=size, prop=FontProperties(math_fontfamily="cm"))
    box = path.get_extents()
    left, low, wide, high = (round(v) for v in (box.x0 - 2, box.y0 - 2, box.width + 4, box.height + 4))
    look = f"width:{wide / size:.2f}em;height:{high / size:.2f}em;vertical-align:{low / size:.2f}em"
    drawn = f'<path transform="scale(1 -1)" d="{outline(path)}"/>'
    head = f'<svg role="img" aria-label="{html.escape(tex)}" viewBox="{left} {-low - high} {wide} {high}"'
    return f'{head} class="formula{" display" if display else ""}" style="{look}">{drawn}</svg>'


def outline(path):
    "A path of matplotlib in the words of SVG (https://www.w3.org/TR/SVG2/paths.html)."
    letters = {path.MOVETO: "M", path.LINETO: "L", path.CURVE3: "Q", path.CURVE4: "C", path.CLOSEPOLY: "Z"}
    steps = path.iter_segments(simplify=False, curves=True)
    numbers = lambda points, code: "" if code == path.CLOSEPOLY else " ".join(f"{v:.0f}" for v in points)
    return "".join(letters[code] + numbers(points, code) for points, code in steps)


def outside_code(change, text):
    "Change a text, and leave what is code in it as it is."
    pieces = code_span.split(text)
    return "".join(piece if i % 2 else change(piece) for i, piece in enumerate(pieces))


def prepared(text, source):
    "Markdown with its links and formulas as the site has them; pictures from elsewhere are their words."
    text = re.sub(r"!\[([^]]*)\]\(https?:[^)]*\)", r"\1", text)
    link = lambda m: f"]({relinked(m[1], source)}"
    shown = lambda m: f"<div>{formula(m[1], True)}</div>"
    change = lambda piece: re.sub(r"\]\(([^)\s]+)", link, piece)
    math = lambda piece: re.sub(
        r"\$([^$\n]+)\$", lambda m: formula(m[1]), re.sub(r"\$\$(.+?)\$\$", shown, piece, flags=re.DOTALL)
    )
    return outside_code(lambda piece: math(change(piece)), text)


def markdown(text, source):
    "Markdown as HTML, its headings with anchors."
    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True)
    body = MarkdownWithMath(renderer=renderer).render(prepared(text, source))
    head = lambda m: f'<h{m[1]} id="{slug(m[2])}">{m[2]}</h{m[1]}>'
    body = re.sub(r"<h(\d)[^>]*>(.*?)</h\1>", head, body)
    return re.sub(r"<table>.*?</table>", r'<div class="table">\g<0></div>', body, flags=re.DOTALL)


# --- cells


def shown(output, source):
    "One output of a cell."
    data = output.get("data", {})
    if output.output_type == "stream":
        return f"<pre>{ansi2html(output.text)}</pre>" if output.name == "stdout" else ""
    if "image/png" in data:
        words = html.escape(output.metadata.get("alt", "what the cell above draws"))
        return f'<img alt="{words}" loading="lazy" src="data:image/png;base64,{data["image/png"].strip()}">'
    if "text/html" in data:
        return data["text/html"]
    if "text/markdown" in data:
        return markdown(data["text/markdown"], source)
    return f"<pre>{ansi2html(data.get('text/plain', ''))}</pre>"


def code(cell, source, highlight):
    "A cell of code with what it gave."
    if hidden.search(cell.source):
        return ""
    kind = "code exported" if exported.search(cell.source) else "code"
    text = "" if silent.search(cell.source) else directive.sub("", cell.source).strip()
    given = f'<div class="{kind}">{highlight(text)}</div>' if text else ""
    outputs = "".join(shown(output, source) for output in cell.get("outputs", []))
    return given + (f'<div class="output">{outputs}</div>' if outputs else "")


def body(page):
    "All cells of a page."
    highlight = Highlight2HTML(pygments_lexer="python")
    say = lambda cell: (
        markdown(cell.source, page.source)
        if cell.cell_type == "markdown"
        else code(cell, page.source, highlight)
        if cell.cell_type == "code"
        else ""
    )
    return "\n".join(map(say, page.cells))


# --- the search


def plain(text):
    "What is read of some Markdown: no marks, no code blocks, no addresses."
    text = re.sub(r"```.*?```|<[^>]+>|^>\s*|^\|[-|]+\|$", " ", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", text)
    return " ".join(re.sub(r"[`*|#$]", " ", text).split())


def records(page):
    "What the search knows of a page: for each heading its anchor, its words, and the names defined below it."
    found = [[address(page.source), page.title, "", "", "", ""]]
    for cell in page.cells:
        if cell.cell_type == "code" and exported.search(cell.source):
            found[-1][5] += " " + " ".join(re.findall(r"^(?:def|class) (\w+)", cell.source, re.MULTILINE))
        if cell.cell_type != "markdown":
            continue
        for piece in re.split(r"^(?=#{1,4} )", cell.source, flags=re.MULTILINE):
            heading = re.match(r"#{2,4} (.+)", piece)
            if heading:
                words = plain(heading[1])
                found.append([found[0][0], page.title, words, slug(words), "", ""])
            found[-1][4] += " " + plain(piece.partition("\n")[2] if re.match("#", piece) else piece)
    return [[text.strip() for text in record] for record in found]


def index(pages):
    "The file in which the search looks: a script, since a page that is opened from a disk may read nothing else."
    known = [record for page in pages for record in records(page)]
    return f"searchIndex({json.dumps(known, ensure_ascii=False, separators=(',', ':'))});\n"


# --- the site


def menu(page, titles):
    "The wings, with links as seen from a page."
    here = posixpath.dirname(address(page.source)) or "."
    link = lambda source: (posixpath.relpath(address(source), here), titles[source], source == page.source)
    return [(name, page.source in some, list(map(link, some))) for name, some in wings().items()]


def around(page, titles):
    "The pages before and after one, as links and titles; None at the ends."
    order = sources()
    at = order.index(page.source)
    here = posixpath.dirname(address(page.source)) or "."
    link = lambda i: (
        (posixpath.relpath(address(order[i]), here), titles[order[i]]) if 0 <= i < len(order) else None
    )
    return link(at - 1), link(at + 1)


def rendered(page, titles, template):
    "A whole page."
    before, after = around(page, titles)
    root = posixpath.relpath(".", posixpath.dirname(address(page.source)) or ".")
    return template.render(
        page=page,
        body=body(page),
        root=root,
        wings=menu(page, titles),
        before=before,
        after=after,
        source=f"{on_github()}/{page.source}",
        is_notebook=page.source.endswith(".ipynb"),
    )


def write(folder, only=None):
    "Write the site, or only some of its pages; their names."
    pages = [read(source) for source in sources()]
    titles = {page.source: page.title for page in pages}
    template = jinja2.Template((parts / "page.html").read_text(encoding="utf-8"), trim_blocks=True)
    made = [page for page in pages if only is None or page.source in only]
    folder.mkdir(parents=True, exist_ok=True)
    for page in made:
        path = folder / address(page.source)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rendered(page, titles, template), encoding="utf-8")
    (folder / "index.js").write_text(index(pages), encoding="utf-8")
    for name in ("style.css", "search.js"):
        shutil.copy(parts / name, folder)
    for name in sorted((repo / "docs").rglob("*")):
        if is_picture(name.relative_to(repo).as_posix()):
            (folder / name.relative_to(repo)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, folder / name.relative_to(repo))
    return made


if __name__ == "__main__":
    out = Path(sys.argv[1]) if sys.argv[1:] else target
    shutil.rmtree(out, ignore_errors=True)
    print(f"{len(write(out))} pages in {out}")
