"""Writes README.md from nbs/index.ipynb: prose, code, and what the cells show.

Text outputs become indented code blocks; pictures go to docs/readme/, under a name made from their bytes, so that the same notebook always
gives the same files. `readme(notebook)` returns the text and the pictures without writing anything."""

import base64
import hashlib
import posixpath
import re
import sys
from pathlib import Path

import nbformat

repo = Path(__file__).resolve().parent.parent
source = repo / "nbs/index.ipynb"
target = repo / "README.md"
pictures = repo / "docs/readme"
header = "<!-- Made from nbs/index.ipynb by `make readme`: edit the notebook. -->\n"
silent = re.compile(r"^#\s*\|\s*echo:\s*false", re.MULTILINE)
hidden = re.compile(r"^#\s*\|\s*(hide|default_exp)\b", re.MULTILINE)
directive = re.compile(r"^#\s*\|.*\n?", re.MULTILINE)
escape = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def text_of(output):
    "What an output says in plain text; empty when it is not for reading."
    text = (
        output.get("text") if output.output_type == "stream" else output.get("data", {}).get("text/plain", "")
    )
    return "" if output.get("name") == "stderr" else escape.sub("", text or "").rstrip()


def picture_of(output):
    "Name and bytes of an output's PNG, or None."
    png = output.get("data", {}).get("image/png")
    if png is None:
        return None
    data = base64.b64decode(png)
    return f"{hashlib.sha1(data).hexdigest()[:10]}.png", data


def shown(output, files):
    "Markdown of one output; a picture is added to `files`."
    if picture := picture_of(output):
        files[picture[0]] = picture[1]
        return f"![{output.get('metadata', {}).get('alt', 'output of the cell above')}]({pictures.relative_to(repo).as_posix()}/{picture[0]})"
    if markdown := output.get("data", {}).get("text/markdown"):
        return markdown.rstrip()
    return "\n".join(f"    {line}".rstrip() for line in text_of(output).splitlines())


def code_of(cell, files):
    "Markdown of a code cell with its outputs; empty when it is hidden."
    if hidden.search(cell.source):
        return ""
    code = "" if silent.search(cell.source) else directive.sub("", cell.source).strip()
    parts = [f"```python\n{code}\n```" if code else "", *(shown(o, files) for o in cell.outputs)]
    return "\n\n".join(p for p in parts if p)


def relink(text):
    "Links as seen from the root instead of from nbs/."
    outside = lambda link: (
        re.match(r"[a-z]+:|#", link) or link.startswith(f"{pictures.relative_to(repo).as_posix()}/")
    )
    return re.sub(
        r"\]\(([^)\s]+)\)",
        lambda m: m[0] if outside(m[1]) else f"]({posixpath.normpath('nbs/' + m[1])})",
        text,
    )


def readme(notebook):
    "README text of a notebook, and its pictures as `{name: bytes}`."
    files = {}
    parts = [
        c.source.strip() if c.cell_type == "markdown" else code_of(c, files)
        for c in notebook.cells
        if c.cell_type != "raw"
    ]
    return header + "\n" + relink("\n\n".join(p for p in parts if p)) + "\n", files


def stale():
    "Names of the files that are not what the notebook gives."
    text, files = readme(nbformat.read(source, 4))
    old = {p.name: p.read_bytes() for p in pictures.glob("*.png")}
    names = [f"{pictures.relative_to(repo).as_posix()}/{n}" for n in files.keys() ^ old.keys()]
    return names + ([] if target.is_file() and target.read_text(encoding="utf-8") == text else [target.name])


def write():
    "README.md and docs/readme/, with pictures of earlier versions removed."
    text, files = readme(nbformat.read(source, 4))
    target.write_text(text, encoding="utf-8", newline="\n")
    for old in pictures.glob("*.png"):
        old.unlink()
    if files:
        pictures.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (pictures / name).write_bytes(data)


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        write()
    if names := stale():
        sys.exit(f"Out of step with nbs/index.ipynb (run make readme): {', '.join(names)}")
