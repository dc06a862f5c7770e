"docs/controls.md: what the original's page has, and where it lives here."

import re

import pytest

import house
from mapperatorinator.form import lines_of
from mapperatorinator.ui import App

TABLE = (house.repo / "docs" / "controls.md").read_text(encoding="utf-8")
ROWS = [row.strip("| ").split(" | ") for row in TABLE.splitlines() if row.startswith("|")][2:]
ORIGINAL = """audio output beatmap in-context model gamemode difficulty title artist creator version preview background source tags hp circle key
overall approach multiplier tick lora seed hold scroll mapper cfg temperature top-p year start end osz add overwrite hitsounds super bf16 descriptors
export import clear inference cancel folder log language""".split()


def test_every_name_is_a_setting_or_a_button():
    known = {line["name"] for line in lines_of()} | set(App.KINDS)
    named = [name for row in ROWS for name in re.findall(r"`([a-z_]+)`", " ".join(row))]
    assert len(named) > 50 and not set(named) - known


@pytest.mark.parametrize("word", ORIGINAL)
def test_every_control_of_the_original_has_its_row(word):
    assert any(word in row[0].lower() for row in ROWS)
