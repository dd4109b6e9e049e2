"""The results as one page: ``python -m benchmarks.table`` writes results/README.md from results/*.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from charge3net.io.files import write_whole

RESULTS = Path(__file__).parent / "results"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def read_grid(result: dict[str, Any]) -> list[str]:
    """Points per second of every model and structure."""
    clock = result.get("clock", {}).get("cases", {})
    head = (
        *("model", "structure", "published, points/s", "package, points/s", "ratio"),
        *("error", "published float32", "1 → 2 threads", "memory", "read by"),
    )
    rows = []
    for case, of_case in result["cases"].items():
        for structure, one in of_case.items():
            rate, wall = one["points_per_second"], clock.get(case, {}).get(structure, one)["wall_seconds"]
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
    note = [f"1 → 2 threads of {', '.join(clock)}{_measured(result['clock'])}."] if clock else []
    return [*table(head, rows), "", *note] if note else table(head, rows)


def cold_start(result: dict[str, Any]) -> list[str]:
    """The whole command, from a cold start."""
    rows = [
        (name, f"{one['wall']:.2f} s", f"{one['processor']:.2f} s", f"{one['memory_mb']:.0f} MB")
        for name, one in result["medians"].items()
    ]
    lines = table(("structure", "by the clock", "processor", "largest memory"), rows)
    if large := result.get("large"):
        lines += [
            "",
            f"{large['atoms']} atoms of BaVS3, {large['points']} points, {large['megabytes']:.0f} MB written: "
            f"{large['wall']:.0f} s by the clock, {large['processor']:.0f} s of processors, "
            f"largest memory {large['memory_mb']:.0f} MB{_measured(large)}.",
        ]
    return lines


def training_step(result: dict[str, Any]) -> list[str]:
    """Times, memory and accuracy of a step."""
    rows = []
    for batch, one in result["batches"].items():
        ours, errors = one["times"]["compiled"], one["accuracy"]
        for way, times in one["times"].items():
            against = one["against"] if f"{way} loss" in errors else ""
            rows.append(
                (
                    *(batch, way, _milliseconds(times["seconds"]), _milliseconds(times["cpu_seconds"])),
                    f"**{times['cpu_seconds'] / ours['cpu_seconds']:.1f}×**",
                    f"+{one['memory_mb']:.0f} MB" if way == "compiled" else "",
                    *(f"{errors[f'{way} {what}']:.1e}" if against else "" for what in ("loss", "gradient")),
                    against,
                )
            )
    head = (
        "batch",
        "by",
        "clock",
        "processor",
        "× compiled, processor",
        "over the imports",
        "loss error",
        "worst gradient",
        "against",
    )
    return table(head, rows)


def training_run(result: dict[str, Any]) -> list[str]:
    """Steps per second of real runs, and the parts of a step."""
    parts = ("loader", "forward", "backward", "optimiser", "rest")
    rows = [
        (
            *(name, f"{one['threads']}", f"{one['workers']}", f"**{one['steps_per_second']:.1f}**"),
            _milliseconds(one["processor_seconds"]) if "parts" in one else "",
            *(_milliseconds(one["parts"][part]) if "parts" in one else "" for part in parts),
        )
        for name, of_set in result["sets"].items()
        for one in of_set
    ]
    return table(("set", "threads", "loader processes", "steps/s by the clock", "processor per step", *parts), rows)


def store_reads(result: dict[str, Any]) -> list[str]:
    """Random probes of one material, by the way it is stored."""
    rows = [
        (one["way"], *(f"{one[key]:.2f} ms" for key in ("cold_ms", "cold_ms_90", "warm_ms", "warm_ms_90")))
        for one in result["rows"]
    ]
    return table(("kept as", "cold, median", "cold, 90 %", "warm, median", "warm, 90 %"), rows)


def loader(result: dict[str, Any]) -> list[str]:
    """Batches per second without a model."""
    rows = [
        (
            *(one["search"], f"{one['workers']}", f"{one['batches_per_second']:.0f}"),
            f"{one['batches_per_cpu_second']:.0f}" if "batches_per_cpu_second" in one else "",
            *(f"{one['probe_edges_per_batch']:.0f}", f"{one['memory_growth_mb']:+.1f} MB"),
        )
        for one in result["rows"]
    ]
    head = ("search", "processes", "batches/s", "per second of processor", "edges per batch", "memory grown")
    return table(head, rows)


def io_speed(result: dict[str, Any]) -> list[str]:
    """Files of density grids, read and written."""
    rows = [
        (
            *(one["task"], one["who"], _milliseconds(one["seconds"]), _milliseconds(one["least_seconds"])),
            f"**{one['ratio']:.1f}×**",
        )
        for one in result["rows"]
    ]
    return table(("file", "by", "median", "least", "× charge3net"), rows)


def _measured(result: dict[str, Any]) -> str:
    """Where a part of the results was measured, if not with the others."""
    if "machine" not in result:
        return ""
    machine = result["machine"]
    return f": commit {machine['commit']}, {machine['processor']}, load {machine['load']:.1f}"


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms"


def restart_qe(result: dict[str, Any]) -> list[str]:
    """Cells by kind, and steps with PAW."""
    cells = result["cells"]
    kinds = list(dict.fromkeys(one["kind"] for one in cells.values()))
    rows = []
    for kind in kinds:
        members = [one for one in cells.values() if one["kind"] == kind]
        good = sum(one.get("steps") == 1 and one["from_file"] and one["same_order"] for one in members)
        rows.append((kind, str(len(members)), str(good)))
    paw = {name: one for name, one in cells.items() if "default_start" in one}
    steps = [(name, str(one["default_start"]), str(one["neutral_occupations"])) for name, one in paw.items()]
    return [
        *table(("cells", "number", "restarted in one step"), rows),
        "",
        "PAW, steps to 1e-8 Ry:",
        "",
        *table(("cell", "from atoms", "exact density, occupations of neutral atoms"), steps),
    ]


def read_delta(result: dict[str, Any]) -> list[str]:
    """Points per second of a network on fitted atoms beside the plain network, same size."""
    rows = [
        (
            row["structure"],
            str(row["mul"]),
            f"{row['charge3net']['points_per_second']:,}",
            f"{row['charge3net_delta']['points_per_second']:,}",
            f"{row['ratio']:.2f}",
        )
        for row in result["rows"]
    ]
    return table(("structure", "mul", "charge3net, points/s", "charge3net_delta, points/s", "time ratio"), rows)


def segment_sum(result: dict[str, Any]) -> list[str]:
    """Processor time of the sums by torch and by torch-scatter, and of a short training."""
    rows = [
        (name, *(f"{times[by]:.2f}" for by in ("torch", "torch_scatter")))
        for name, times in result["milliseconds"].items()
    ]
    training = result["seconds_of_training"]
    rows.append(("SchNet, 60 training steps (s)", f"{training['torch']:.1f}", f"{training['torch_scatter']:.1f}"))
    return table(("sum of 16 613 edges", "torch", "torch-scatter"), rows)


def zeta_ties(result: dict[str, Any]) -> list[str]:
    """How far recorded values of ζ are from the present definition."""
    rows = [
        (
            name.replace("_", " "),
            str(found["crystals"]),
            f"{found['median_change']:.1g}",
            f"{found['largest_change']:.1g}",
            f"{found['rho_before']:.3f}, {found['rho_after']:.3f}",
        )
        for name, found in result["studies"].items()
    ]
    return table(("study", "crystals", "median change of ζ", "largest", "ρ(ζ, gain) before, after"), rows)


def delta_ablation(result: dict[str, Any]) -> list[str]:
    """Variants of fitted atoms and of the head's features."""
    titles = {"reach": "fitted atoms, reach {} Å", "features": "head, {}"}
    rows = [
        (titles[part].format(name), *(f"{one['error']:.2f} ({one['scaled']:.2f})" for one in kinds.values()))
        for part in titles
        for name, kinds in result[part].items()
    ]
    kinds = next(iter(result["reach"].values()))
    note = f"% (after scaling to the number of electrons); heads: {result['steps']} steps, one seed."
    return [*table(("variant", *kinds), rows), "", note]


def ensemble_mean(result: dict[str, Any]) -> list[str]:
    """Rules for the mean of an ensemble, by the number of members: mean over the choices of so many."""
    choices, rows = result["choices"], []
    for count in sorted({len(name.split()) for name in choices}):
        own = [kinds for name, kinds in choices.items() if len(name.split()) == count]
        for rule in own[0]["crystals"]:
            errors = [f"{sum(kinds[kind][rule]['error'] for kinds in own) / len(own):.2f}" for kind in own[0]]
            largest = max(kinds["crystals"][rule]["largest"] for kinds in own)
            worst = max(kinds["crystals"][rule]["error"] for kinds in own)
            rows.append((str(count), rule, *errors, f"{worst:.2f}", f"{largest:.1f}"))
    note = "%, means over all choices of so many members; last two: the worst choice, and the worst crystal of any."
    return [*table(("members", "rule", *own[0], "crystals, worst choice", "worst crystal"), rows), "", note]


#: Result file → what is shown of it.
SHOWN: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "read_grid": ("Reading a grid of 60³ points, one thread, beside the published implementation", read_grid),
    "read_delta": ("A network on fitted atoms beside the plain network, L = 4, one thread", read_delta),
    "delta_ablation": ("Parts of the models on fitted atoms, validation ε_mae", delta_ablation),
    "ensemble_mean": ("How the members of an ensemble are put together, validation ε_mae", ensemble_mean),
    "segment_sum": ("Sums of edges at their receivers, one thread", segment_sum),
    "zeta_ties": ("ζ as recorded in the studies, and with the mean over equally near atoms", zeta_ties),
    "cold_start": ("``charge3net predict POSCAR --shape 60 60 60 -o CHGCAR``, L = 4, mul = 500", cold_start),
    "training_step": (
        "A training step, forward and backward, L = 4, mul = 500, structures × probes, one thread",
        training_step,
    ),
    "training_run": ("Training runs, L = 4, mul = 500, 4 structures × 200 probes a step", training_run),
    "loader": ("The training loader alone, 16 structures × 200 probes", loader),
    "restart_qe": ("pw.x started from its own densities, written by the package", restart_qe),
    "store_reads": ("200 random voxels of one material of 108³", store_reads),
    "io_speed": ("Density files of 100³ points", io_speed),
}


def page(results: Path = RESULTS) -> str:
    """All results in Markdown."""
    lines = [
        "# Results",
        "",
        "Made by `python -m benchmarks.table`; what was measured and how: each script's first lines.",
    ]
    for stem, (title, shown) in SHOWN.items():
        path = results / f"{stem}.json"
        if not path.exists():
            continue
        result = json.loads(path.read_text(encoding="utf-8"))
        machine = next((result[k] for k in ("machine", "where", "circumstances") if k in result), result)
        lines += ["", f"## {title}", "", f"{path.name}{_measured({'machine': machine})}", "", *shown(result)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page, whole or not at all."""
    write_whole(RESULTS / "README.md", page())


if __name__ == "__main__":
    main()
