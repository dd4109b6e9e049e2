"""The log that is always written: ``metrics.csv`` in the run folder, one line per logged step."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from charge3net.io.files import write_whole
from charge3net.train.run_folder import read_metrics


class MetricsCsv(Logger):
    """Appends to a CSV file whose first column is ``step``; cells of values not logged at a step are empty.

    A resumed run continues the same file: lines after the step it starts from are dropped first. (Lightning's CSVLogger
    starts a new file.)

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._columns = ["step"]
        self._rows: dict[int, dict[str, str]] = {}

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "csv"

    @property
    def version(self) -> str:
        """A run folder has one."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the settings are in ``config.json``."""

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Start with the lines of the file up to this step; later ones are dropped."""
        for row in read_metrics(self.path) if self.path.exists() else ():
            if int(row["step"]) <= step:
                self._rows[int(row["step"])] = row
                self._columns += [name for name in row if name not in self._columns]
        self._rewrite()

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add values to the line of this step."""
        assert step is not None
        values = {name: f"{float(value):.9g}" for name, value in metrics.items() if name != "epoch"}
        known, old = step in self._rows, len(self._columns)
        self._columns += [name for name in values if name not in self._columns]
        row = self._rows.setdefault(step, {"step": str(step)})
        row.update(values)
        if known or len(self._columns) > old:
            self._rewrite()
        else:
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, self._columns, restval="").writerow(row)

    def _rewrite(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns, restval="")
        writer.writeheader()
        writer.writerows(self._rows[step] for step in sorted(self._rows))
        write_whole(self.path, text.getvalue())
