"""The results in docs/results: every figure is on the page, sharp, and as wide as the text or narrower."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

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


def of_model(folder: str, network: str = "charge3net_delta") -> dict[str, Any]:
    """Errors by kind of one model in a committed study of new compositions, equal steps."""
    result = json.loads((DOCS / "results" / folder / "result.json").read_text())
    rows = result.get("result", result)["tables"]["equal_steps"]
    return next(row["kinds"] for row in rows if row["network"] == network)


def test_the_aims_of_the_models_page_are_those_of_the_study():
    """docs/models.md, "What was aimed at": every number is that of result.json, and what is called reached is."""
    text = (DOCS / "models.md").read_text()
    lines = text[text.index("| aim |") :].split("\n\n")[0].splitlines()[2:]
    cells = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:5]] for line in lines}
    short, long = of_model("new_compositions"), of_model("new_compositions-16_000_steps")
    plain = of_model("new_compositions", "charge3net")
    plain_long = of_model("new_compositions-16_000_steps", "charge3net")
    for aim, kind, mean, limit in (
        ("crystals of new formulas, by entry: at most 3.0", "crystals", "entry", 3.0),
        ("the same by formula: at most 2.4", "crystals", "formula", 2.4),
    ):
        found = [round(one[kind][mean]["mean"], 2) for one in (short, long)]
        assert [float(cell) for cell in cells[aim][:2]] == found
        said = "yes" if max(found) <= limit else "with 16 000 steps" if found[1] <= limit else "no"
        assert cells[aim][2] == said
    for aim in ("molecules", "liquids"):
        shown = cells[f"{aim}, no worse than ChargE3Net"]
        numbers = [float(number) for number in re.findall(r"\d+\.\d+", " ".join(shown[:2]))]
        assert numbers[:4] == [round(one[aim]["entry"]["mean"], 2) for one in (short, plain, long, plain_long)]
        reached = [numbers[0] <= numbers[1], numbers[2] <= numbers[3]]
        assert shown[2] == {(True, True): "yes", (True, False): "with 4 000 steps alone"}[reached[0], reached[1]]
    shown = cells["new distortions of known crystals: at most 0.45"]
    own_set = of_model("new_compositions-distorted_crystals")
    means = [round(one["distorted"]["entry"]["mean"], 2) for one in (short, own_set, long)]
    assert [float(cell.split()[0]) for cell in shown[:2]] == means[:2]
    assert means[1] <= 0.45
    footnote = next(part for part in text.split("\n\n") if part.startswith("² The aim"))
    assert {f"{mean:.2f}" for mean in means} < set(re.findall(r"\d+\.\d+", footnote))
    for aim, kind in (
        ("below SAD on 48 of v1's 51 crystals", "crystals"),
        ("magnetic crystals of new formulas below SAD, total density", "magnetic_set"),
    ):
        counts = [[int(number) for number in re.findall(r"\d+", cell)[:2]] for cell in cells[aim][:2]]
        assert counts == [[one[kind]["below_sad"], one[kind]["with_sad"]] for one in (short, long)]


#: Row of the table of docs/restart.md → its numbers, from the starts of one set: the prediction and superposed atoms.
QUOTED = {
    "ε_mae of the start (superposed atoms)": lambda s: [mean_of(s[QUOTED_MODEL], "nmae"), mean_of(s["SAD"], "nmae")],
    "steps to 1e-6 Ry (pw.x's default), from superposed atoms": lambda s: [s["SAD"]["steps"][0]["mean"]],
    "from the prediction; fewer at 1e-6 Ry": lambda s: [steps_of(s, 0), *interval(s, "saved_steps", 0)],
    "steps to 1e-8 Ry, from superposed atoms": lambda s: [s["SAD"]["steps"][1]["mean"]],
    "from the prediction; fewer at 1e-8 Ry": lambda s: [steps_of(s, 1), *interval(s, "saved_steps", 1)],
    "steps to 1e-8 Ry saved against superposed atoms with the best diagonalisation": lambda s: interval(
        s, "saved_steps_tuned", 1
    ),
    "FFTs of wavefunctions saved; with the exact density": lambda s: [
        *interval(s, "saved_transforms"), s["exact"]["saved_transforms"]["value"],
    ],
    "processor time saved; with the exact density": lambda s: [
        *interval(s, "saved_seconds"), s["exact"]["saved_seconds"]["value"],
    ],
    "time saved against superposed atoms with the best diagonalisation": lambda s: interval(s, "saved_seconds_tuned"),
    "structures slowed": lambda s: [100 * s[QUOTED_MODEL]["slowed"][1]],
    "energy without self-consistency, median and largest error (meV per atom)": lambda s: [
        s[QUOTED_MODEL]["energy_without_scf"][what] for what in ("median", "largest")
    ],
    "the same from superposed atoms, median": lambda s: [s["SAD"]["energy_without_scf"]["median"]],
    "mean error of the occupied bands (meV)": lambda s: [mean_of(s[QUOTED_MODEL], "bands")],
}  # fmt: skip

QUOTED_MODEL = "Δ × 3"


def mean_of(start: dict[str, Any], what: str) -> float:
    return start[what]["mean"]


def steps_of(starts: dict[str, Any], place: int) -> float:
    return starts[QUOTED_MODEL]["steps"][place]["mean"]


def interval(starts: dict[str, Any], what: str, place: int | None = None) -> list[float]:
    found = starts[QUOTED_MODEL][what] if place is None else starts[QUOTED_MODEL][what][place]
    return [found[one] for one in ("value", "low", "high")]


def test_the_page_on_restarts_quotes_the_study():
    """docs/restart.md, "What is saved?": every number is that of result.json, rounded to the digits shown."""
    result = json.loads((DOCS / "results" / "restart" / "result.json").read_text())
    sets = result.get("result", result)["summary"]["sets"]
    text = (DOCS / "restart.md").read_text()
    table = text[text.index("| | new distortions (") :].split("\n\n")[0].splitlines()
    heads = [cell.strip() for cell in table[0].split("|")[2:-1]]
    assert heads == [f"{name} ({one['structures']})" for name, one in sets.items()]
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in table[2:]}
    assert set(rows) == set(QUOTED)
    for label, cells in rows.items():
        for cell, found in zip(cells, sets.values(), strict=True):
            shown = re.findall(r"−?\d+(?:\.\d+)?(?!e)", cell)
            expected = QUOTED[label](found["starts"])
            assert len(shown) == len(expected), (label, cell)
            for number, value in zip(shown, expected, strict=True):
                digits = len(number.partition(".")[2])
                assert abs(float(number.replace("−", "-")) - value) <= 0.501 * 10.0**-digits, (label, cell, value)
