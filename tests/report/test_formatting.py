"""Numbers as pages show them."""

from __future__ import annotations

import pytest

from charge3net.report import formatting
from charge3net.studies.record import WIDTH, wrapped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (formatting.fixed(-1.2345), "−1.23"),
        (formatting.fixed(-0.001), "0.00"),
        (formatting.fixed(3, 0), "3"),
        (formatting.signed(0.5), "+0.50"),
        (formatting.signed(-0.5, 1), "−0.5"),
        (formatting.signed(0.0004), "0.00"),
        (formatting.rounded(123.456), "123"),
        (formatting.rounded(0.00123456, 2), "0.0012"),
        (formatting.rounded(-98765.4, 3), "−98800"),
        (formatting.interval(-1.0, 2.0, 1), "−1.0 … 2.0"),
        (formatting.estimate(0.1, -0.2, 0.4, sign=True), "+0.10 (−0.20 … +0.40)"),
        (formatting.plus_minus({"mean": 2.0, "standard_error": 0.125}, 2), "2.00 ± 0.12"),
        (formatting.plus_minus({"mean": 2.0, "standard_error": None}, 1), "2.0"),
        (formatting.plus_minus({"mean": 2.0, "standard_error": float("nan")}, 1), "2.0"),
        (formatting.thousands(1234567), "1,234,567"),
        (formatting.percent(0.256), "26 %"),
        (formatting.percent(-0.0256, 1), "−2.6 %"),
        (formatting.duration(59.6), "60 s"),
        (formatting.duration(780), "13 min"),
        (formatting.duration(45000), "12.5 h"),
        (formatting.span([3, 2, 5]), "2 to 5"),
        (formatting.span([2.1, 2.4]), "2"),
        (formatting.listed([]), ""),
        (formatting.listed(["a"]), "a"),
        (formatting.listed([1, 2, 3]), "1, 2 and 3"),
    ],
)
def test_numbers(text: str, expected: str) -> None:
    assert text == expected


def test_what_results_store_is_rounded_and_has_no_nan() -> None:
    assert formatting.significant(1.234567) == 1.2346
    assert formatting.significant(float("nan")) is None
    assert formatting.averaged([1.0, 3.0, float("nan")]) == {"mean": 2.0, "standard_error": 1.0, "count": 2}
    assert formatting.averaged([4.0]) == {"mean": 4.0, "standard_error": None, "count": 1}


def test_table() -> None:
    lines = formatting.table(("", "a"), [("x", "1"), ("y", "2")])
    assert lines == ["| | a |", "|---|---|", "| x | 1 |", "| y | 2 |"]


def test_prose_is_wrapped_and_everything_else_stays() -> None:
    prose = "word " * 60
    kept = [
        "| " + "cell | " * 40,
        "![a figure](" + "f" * 150 + ".png)",
        "<sub>" + "x " * 90 + "</sub>",
        "# " + "T" * 130,
    ]
    code = ["```", "charge3net " + "word " * 40, "```"]
    listed = "* " + "item " * 50
    lines = wrapped("\n".join([prose, "", *kept, *code, listed])).splitlines()
    assert " ".join(lines[: lines.index("")]).split() == prose.split()
    assert all(len(line) <= WIDTH for line in lines[: lines.index("")])
    assert [line for line in lines if line in kept] == kept
    assert [line for line in lines if line in code] == code
    item = lines[lines.index("```", lines.index("```") + 1) + 1 :]
    assert item[0].startswith("* item")
    assert all(line.startswith("  item") for line in item[1:])
    assert " ".join(item).split() == listed.split()
