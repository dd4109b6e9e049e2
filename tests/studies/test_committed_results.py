"""The results in docs/results: every figure is on the page, sharp, and as wide as the text or narrower."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from charge3net.plot.style import LARGEST_SVG, PAGE_WIDTH
from charge3net.studies.charge_transfer.figures import unique_endings
from charge3net.studies.record import draw, pictures_in, read_record

DOCS = Path(__file__).parents[2] / "docs"
FIGURES = [figure for folder in sorted((DOCS / "results").iterdir()) for figure in pictures_in(folder)]

#: Saved figures are cut to what is drawn, which may lie a little beyond the nominal size.
MARGIN = 1.15


@pytest.mark.parametrize("figure", FIGURES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_figure_is_sharp_and_fits_the_page(figure):
    if figure.suffix == ".svg":
        text = figure.read_text()
        width = float(re.search(r'<svg[^>]* width="([\d.]+)pt"', text)[1]) / 72.0  # type: ignore[index]
        assert len(text.encode()) <= LARGEST_SVG
    else:
        with Image.open(figure) as picture:
            assert picture.info["dpi"][0] == pytest.approx(200, abs=1)
            width = picture.width / 200.0
    assert 0.5 * PAGE_WIDTH < width < MARGIN * PAGE_WIDTH


def test_the_page_shows_every_figure_once():
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (DOCS / "results.md").read_text())
    assert sorted(shown) == sorted(str(figure.relative_to(DOCS)) for figure in FIGURES)


def test_names_are_shortened_as_far_as_they_stay_different():
    assert unique_endings(["pair-0-Co", "pair-1-Ni"]) == ["Co", "Ni"]
    assert unique_endings(["pair-0-Co", "pair-1-Co", "pair-0-Ni"]) == ["Co\n0", "Co\n1", "Ni\n0"]


@pytest.mark.parametrize("name", ["fine_tuning", "scaling", "restart"])
def test_figures_drawn_twice_from_a_result_are_the_same_files(name, tmp_path):
    record = read_record(DOCS / "results" / name / "result.json")
    drawn = []
    for folder in (tmp_path / "once", tmp_path / "twice"):
        folder.mkdir()
        draw(record, folder)
        drawn.append({path.name: path.read_bytes() for path in pictures_in(folder)})
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == {path.name for path in pictures_in(DOCS / "results" / name)}
