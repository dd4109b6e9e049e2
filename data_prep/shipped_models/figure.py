"""Draw the true errors of a shipped model's test structures against those that it expected.

    python -m data_prep.shipped_models.figure NAME -o FIGURE

Reads ``NAME.json`` beside this file (:mod:`data_prep.shipped_models.release`); the figure's name ends in .svg, .png or
.pdf.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from charge3net.errors import InputError
from charge3net.plot import expected_errors, save_figure
from charge3net.predict.calibration import Calibration
from data_prep.shipped_models.tables import signs

HERE = Path(__file__).resolve().parent


def draw(name: str, path: Path) -> None:
    """Write the figure: a colour for each kind of structure, those of the other sets included.

    Raises:
        InputError: if there is no such model, or the figure cannot be written.
    """
    try:
        record = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{HERE / name}.json: cannot be read ({error.strerror}); make the release first") from error
    calibration = Calibration.from_json(record["calibration"])
    kinds: dict[str, list[tuple[float, float, float, float]]] = {}
    for row in [*record["test"], *record["others"]]:
        said = calibration.expected(signs(row))
        kinds.setdefault(row["kind"], []).append((100.0 * row["error"], said.percent, said.low, said.high))
    save_figure(expected_errors({kind: np.array(rows) for kind, rows in kinds.items()}, f"{name}, test"), path)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FIGURE")
    options = parser.parse_args(arguments)
    try:
        draw(options.name, options.out)
    except InputError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
