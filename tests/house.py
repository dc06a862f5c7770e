"Reads the notebooks and the package as data, for the tests that measure them."

import ast
import importlib.util
import io
import re
import tokenize
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import nbformat

repo = Path(__file__).resolve().parent.parent
package = repo / "mapperatorinator"
exports = re.compile(r"^#\s*\|\s*export", re.MULTILINE)


def load_tool(name):
    "tools/NAME.py as a module."
    spec = importlib.util.spec_from_file_location(f"{name}_tool", repo / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def room_paths():
    "Numbered notebooks, in order."
    return sorted((repo / "nbs").glob("[0-9][0-9][0-9]_*.ipynb"))


def all_paths():
    "Every notebook of the repository."
    files = [p for folder in ("nbs", "colab") for p in (repo / folder).rglob("*.ipynb")]
    return sorted(p for p in files if not {".ipynb_checkpoints", "_proc"} & set(p.parts))


@lru_cache(None)
def read(path):
    "A notebook."
    return nbformat.read(path, 4)


def code(notebook):
    "Code cells of a notebook."
    return [c for c in notebook.cells if c.cell_type == "code"]


def exported(notebook):
    "Cells of a notebook that go into the package."
    return [c for c in code(notebook) if exports.search(c.source)]


def module_of(notebook):
    "Dotted name of the module a notebook exports, or None."
    found = re.search(r"^#\s*\|\s*default_exp\s+(\S+)", code(notebook)[0].source, re.MULTILINE)
    return found and found[1]


def lines_of(cell):
    "Lines of a cell that are neither empty nor a directive."
    return [line for line in cell.source.splitlines() if line.strip() and not line.lstrip().startswith("#|")]


def is_table(cell):
    "Whether a cell only declares dataclass fields or constants: a table, which is read by lines and not as a whole."
    body = ast.parse(cell.source).body
    logic = [
        n
        for n in ast.walk(ast.Module(body, []))
        if isinstance(n, (ast.FunctionDef, ast.For, ast.While, ast.If, ast.Try))
    ]
    return sum(n.end_lineno - n.lineno + 1 for n in logic) <= 12


def python(cell):
    "Source of a cell without notebook magic, which is not Python."
    return "\n".join("pass" if re.match(r"\s*[%!](?!=)", line) else line for line in cell.source.splitlines())


@lru_cache(None)
def modules():
    "Syntax trees of the exported package, by path relative to it."
    files = [p for p in sorted(package.rglob("*.py")) if p.name not in ("__init__.py", "_modidx.py")]
    return {p.relative_to(package).as_posix(): ast.parse(p.read_text(encoding="utf-8")) for p in files}


def functions():
    "Lines, module and name of each function and method in the package, longest first."
    found = [
        (n.end_lineno - n.lineno + 1, module, n.name)
        for module, tree in modules().items()
        for n in ast.walk(tree)
        if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    return sorted(found, reverse=True)


def our_imports(source):
    "Dotted names below `mapperatorinator` that some source imports."
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module] + [f"{node.module}.{a.name}" for a in node.names]
        else:
            continue
        yield from (n.removeprefix("mapperatorinator.") for n in names if n.startswith("mapperatorinator."))


def share(values, part):
    "The value below which a `part` of `values` lies."
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))] if values else 0


# --- how dense code is

SKIPPED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


class Density(NamedTuple):
    "What `../shared/house_tokens.py` counts, so that the figures can be compared."

    functions: list[tuple[int, str]]  # tokens and name of each, most first
    per_line: float  # tokens in a line that has any
    wide: float  # share of lines over 120 columns
    packed: float  # assignments such as `a, b = x, y` in 100 functions
    positional: int  # calls with more than five arguments that have no name


F_START = getattr(tokenize, "FSTRING_START", -1)
F_END = getattr(tokenize, "FSTRING_END", -1)


def tokens_of(source):
    "How many tokens stand in each line; docstrings and comments are prose."
    lines = Counter()
    depth = 0  # within texts with values in them, which are one token up to Python 3.11
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        depth -= token.type == F_END
        inside = depth > 0
        depth += token.type == F_START
        if inside or token.type == F_END:
            continue
        prose = token.type == tokenize.STRING and token.line.strip().startswith(('"', "'"))
        if token.type not in SKIPPED and not prose:
            lines[token.start[0]] += 1
    return lines


def is_packed(node):
    "Whether a node assigns several values to several names in one line."
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Tuple)
        and isinstance(node.value, ast.Tuple)
    )


@lru_cache(None)
def density():
    "Of the exported package."
    functions = []
    lines = tokens = wide = packed = positional = 0
    for name, tree in modules().items():
        source = (package / name).read_text(encoding="utf-8")
        counted = tokens_of(source)
        lines += len(counted)
        tokens += sum(counted.values())
        wide += sum(len(line) > 120 for line in source.split("\n"))
        for node in ast.walk(tree):
            packed += is_packed(node)
            positional += isinstance(node, ast.Call) and len(node.args) > 5
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                within = range(node.lineno, node.end_lineno + 1)
                functions.append((sum(counted[i] for i in within), f"{name}:{node.name}"))
    functions.sort(reverse=True)
    return Density(functions, tokens / lines, wide / lines, 100 * packed / len(functions), positional)
