"""docs/tasks.md: its table counts what its sections say, and what the examples have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.helpers.documentation import ROOT, blocks
from tests.studies.test_add_a_study import _files

PAGE = ROOT / "docs" / "tasks.md"

_ROW = re.compile(
    r"^\| \[(?P<task>[^]]+)\]\(#[^)]+\) \| (?P<commands>\d+) \| (?P<lines>\d+) \| (?P<python>\d*) ?\|", re.M
)

#: Line numbers of the sections: title → first line.
STARTS = {line[3:]: n for n, line in enumerate(PAGE.read_text().splitlines(), 1) if line.startswith("## ")}

#: Task → lines that its user writes, counted in the files themselves.
WRITTEN = {
    "Add a model": lambda: sum(
        len((ROOT / "examples" / "own_model" / name).read_text().splitlines())
        for name in ("own_model/model.py", "pyproject.toml")
    ),
    "Add a study": lambda: sum(len(text.splitlines()) for text in _files().values()),
    "Start Quantum ESPRESSO": lambda: PAGE.read_text().count("startingpot = 'file'"),
    "Start VASP": lambda: PAGE.read_text().count("ICHARG = 1"),
}


def section_of(place: str) -> str:
    """The section that holds the block at this place (``file:line``)."""
    line = int(place.rpartition(":")[2])
    return max((title for title in STARTS if STARTS[title] < line), key=STARTS.__getitem__)


@pytest.mark.parametrize("row", list(_ROW.finditer(PAGE.read_text())), ids=lambda row: row["task"])
def test_the_table_counts_commands_and_lines(row: re.Match[str]) -> None:
    own = [block for block in blocks(PAGE) if section_of(block.place) == row["task"]]
    commands = sum(len(block.commands) for block in own if block.language == "")
    python = sum(len(block.text.splitlines()) for block in own if block.language == "python")
    assert commands == int(row["commands"])
    assert python == int(row["python"] or 0)
    assert int(row["lines"]) == WRITTEN.get(row["task"], lambda: 0)()


def test_every_section_is_in_the_table() -> None:
    assert [row["task"] for row in _ROW.finditer(PAGE.read_text())] == list(STARTS)


def test_the_pages_that_explain_them_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+\.md)", PAGE.read_text()):
        assert (Path(PAGE).parent / target).is_file(), target
