"README.md is what nbs/index.ipynb says, and what it says is true."

import re

import nbformat
import pytest

import house


@pytest.fixture(scope="module")
def tool():
    return house.load_tool("readme")


@pytest.fixture(scope="module")
def text():
    return (house.repo / "README.md").read_text(encoding="utf-8")


def test_in_step(tool):
    assert tool.stale() == [], "run make readme"


def test_commands_exist(text):
    targets = set(re.findall(r"^([a-z]+):", (house.repo / "Makefile").read_text(), re.MULTILINE))
    named = set(
        re.findall(r"\bmake ([a-z]+)\b", "\n".join(re.findall(r"`[^`]+`|```.*?```", text, re.DOTALL)))
    )
    assert {"demo", "test"} <= named <= targets


def test_every_room_is_on_the_map(text):
    for path in house.room_paths():
        title = next(c.source for c in house.read(path).cells if c.cell_type == "markdown")
        promise = " ".join(re.findall(r"^> (.+)$", title, re.MULTILINE))
        assert f"| [`{path.stem}`](nbs/{path.name}) | {promise} |" in text, (
            "run nbs/index.ipynb, then make readme"
        )


def test_links_lead_somewhere(text):
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not re.match(r"https?:", link)]
    assert not [link for link in links if not (house.repo / link).exists()]


def test_rendering(tool):
    v4 = nbformat.v4
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    nb = v4.new_notebook(
        cells=[
            v4.new_markdown_cell("# Title"),
            v4.new_code_cell("#| hide\nsecret"),
            v4.new_code_cell(
                "#| eval: false\n1 + 1", outputs=[v4.new_output("execute_result", {"text/plain": "2"})]
            ),
            v4.new_markdown_cell(
                "[room](000_core.ipynb), [rules](../CONTRIBUTING.md), [osu!](https://osu.ppy.sh)"
            ),
            v4.new_code_cell(
                "#| echo: false\ntable()",
                outputs=[v4.new_output("execute_result", {"text/markdown": "| a |", "text/plain": "<M>"})],
            ),
            v4.new_code_cell(
                "plot()",
                outputs=[
                    v4.new_output("display_data", {"image/png": png, "text/plain": "<Figure>"}),
                    v4.new_output("stream", name="stderr", text="noise"),
                ],
            ),
        ]
    )
    out, files = tool.readme(nb)
    ((name, data),) = files.items()
    assert (
        out
        == f"""{tool.header}
# Title

```python
1 + 1
```

    2

[room](nbs/000_core.ipynb), [rules](CONTRIBUTING.md), [osu!](https://osu.ppy.sh)

| a |

```python
plot()
```

![output of the cell above](docs/readme/{name})
"""
    )
    assert data.startswith(b"\x89PNG")


FIGURE = re.compile(
    r"(?<![\w.\[-])\d[\d,]*(?:\.\d+)?\s?(?:%|ms|MB|GB|kB|s|min|minutes|times)(?!\w)|(?<![\w.\[-])\d*\.\d+(?![\w.])"
)
NOT_MEASURED = {"3.11", "3.13"}  # versions of Python


def figures(text):
    "What a page says was measured: numbers with a unit or a fraction, in its prose and tables of figures."
    prose = re.sub(
        r"```.*?```|`[^`]*`|<details>.*?</details>|\]\([^)]*\)|^    .*$", "", text, flags=re.S | re.M
    )
    return {found[0] for found in FIGURE.finditer(prose)} - NOT_MEASURED


def test_every_figure_is_printed_by_the_benchmark(text):
    page = (house.repo / "docs/benchmark.md").read_text(encoding="utf-8")
    printed = re.sub(r"\s+", " ", page)
    lost = [
        figure for figure in figures(text) if not re.search(rf"(?<![\d.]){re.escape(figure)}(?!\w)", printed)
    ]
    assert not lost, (
        f"no run prints {', '.join(lost)}: see docs/benchmark.md, which `mapperatorinator benchmark` makes"
    )


def test_figures_are_seen():
    said = "It is right in 92 % of songs ([card](a 5.5 %)), off by 0.21 stars, in 3 min; Python 3.11, `x=4.5`, 4 modes."
    assert figures(said) == {"92 %", "0.21", "3 min"}
