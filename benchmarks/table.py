"""The results as one page: ``python -m benchmarks.table`` writes results/README.md from results/*.json."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def read_grid(result: dict[str, Any]) -> list[str]:
    """Points per second of every model and structure."""
    head = (
        *("model", "structure", "published, points/s", "package, points/s", "ratio"),
        *("error", "published float32", "1 → 2 threads", "memory", "read by"),
    )
    rows = []
    for case, of_case in result["cases"].items():
        for structure, one in of_case.items():
            rate, wall, _ratio = one["points_per_second"], one["wall_seconds"], f"**{one['ratio']:.0f}×**"
            rows.append(
                (
                    *(
                        case,
                        structure,
                        f"{rate['published']:.0f}",
                        f"{rate['package']:.0f}",
                        f"**{one['ratio']:.0f}×**",
                    ),
                    *(f"{one['error']:.1e}", f"{one['published_error']:.1e}", f"{wall['1'] / wall['2']:.2f}×"),
                    *(f"+{one['added_mb']:.0f} MB", one["backend"].split(":")[0]),
                )
            )
    return table(head, rows)


def cold_start(result: dict[str, Any]) -> list[str]:
    """The whole command, from a cold start."""
    rows = [
        (name, f"{one['wall']:.2f} s", f"{one['processor']:.2f} s", f"{one['memory_mb']:.0f} MB")
        for name, one in result["medians"].items()
    ]
    return table(("structure", "by the clock", "processor", "largest memory"), rows)


def big_systems(result: dict[str, Any]) -> list[str]:
    """Time and memory against the number of atoms."""
    rows = [
        (
            *(f"{one['atoms']}", f"{one['points']}"),
            *(f"{one['seconds'][part]:.2f} s" for part in ("neighbours", "atoms", "reading")),
            *(f"{one['points_per_second'] / 1e3:.0f} 000", f"+{one['added_mb']:.0f} MB"),
        )
        for one in result["results"]
    ]
    head = ("atoms", "points", "neighbours", "encoding", "reading", "points/s", "memory")
    lines = [*table(head, rows), "", f"Exponent of the time from 640 atoms on: {result['exponent']:.2f}."]
    if whole := result.get("whole_command"):
        lines += [
            f"Whole command, {whole['atoms']} atoms, {whole['points']} points, {whole['megabytes']:.0f} MB written: "
            f"{whole['wall']:.0f} s by the clock, {whole['processor']:.0f} s of processors, "
            f"largest memory {whole['memory_mb']:.0f} MB."
        ]
    return lines


#: Result file → what is shown of it.
SHOWN: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "read_grid": ("Reading a grid of 60³ points, one thread, beside the published implementation", read_grid),
    "cold_start": ("``charge3net predict POSCAR --shape 60 60 60 -o CHGCAR``, L = 4, mul = 500", cold_start),
    "big_systems": ("BaVS3 supercells, grid of 0.8 Å, L = 4, mul = 500, one thread, processor time", big_systems),
}


def page() -> str:
    """All results in Markdown."""
    lines = [
        "# Results",
        "",
        "Made by `python -m benchmarks.table`; what was measured and how: each script's first lines.",
    ]
    others = []
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        machine = result.get("machine", result)
        where = f"commit {machine.get('commit', '?')}, {machine.get('processor', '?')}, load {machine.get('load', '?')}"
        if path.stem in SHOWN:
            title, shown = SHOWN[path.stem]
            lines += ["", f"## {title}", "", f"{path.name}: {where}", "", *shown(result)]
        else:
            others.append(f"* [{path.name}]({path.name}): {where}")
    return "\n".join([*lines, "", "## Other results", "", *(others or ["none"])]) + "\n"


def main() -> None:
    """Write the page, whole or not at all."""
    target = RESULTS / "README.md"
    temporary = target.with_suffix(".part")
    temporary.write_text(page(), encoding="utf-8")
    os.replace(temporary, target)


if __name__ == "__main__":
    main()
