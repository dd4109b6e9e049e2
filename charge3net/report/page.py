"""The HTML page."""

from __future__ import annotations

import html
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from charge3net.density import Density
from charge3net.evaluation.run import TestSet
from charge3net.io.files import write_whole
from charge3net.provenance import commit, machine
from charge3net.report import figures
from charge3net.report.circumstances import evaluation_command, training_commands
from charge3net.report.findings import Findings, compare, findings
from charge3net.report.formatting import averaged, duration, estimate, fixed, interval, plus_minus, rounded, thousands
from charge3net.report.gather import Comparison, TrainedModel, data_summary, gather
from charge3net.report.style import STYLE


def write_report(
    runs: str | Path,
    test: TestSet,
    split: str | Path,
    evaluations: str | Path,
    output: str | Path,
    *,
    title: str = "Electron densities from equivariant networks",
    commands: Sequence[str] = (),
) -> Path:
    """Write the page, whole or not at all.

    The best model predicts one structure of the test set, that with its median error.

    Args:
        runs: folder of finished runs.
        test: held-out materials on which all of them were evaluated.
        split: the file of the split, for the commands.
        evaluations: folder of what ``charge3net evaluate`` wrote.
        output: the HTML file.
        title: head of the page.
        commands: earlier commands, shown first.

    Raises:
        InputError: if runs, evaluations and data do not belong together.
    """
    comparison = gather(runs, evaluations, test)
    true, predicted = _example(comparison)
    own = ["charge3net", "report", "--runs", str(runs), "--data", str(test.store.path), "--split", str(split)]
    own += ["--evaluation", str(evaluations), "-o", str(output)]
    repeat = [*training_commands(runs, comparison), evaluation_command(comparison, evaluations, split), shlex.join(own)]
    body = "\n".join(
        [
            _head(title, comparison),
            _findings(findings(comparison)),
            _error_section(comparison),
            _training_section(comparison),
            _example_section(comparison, true, predicted),
            _angular_section(comparison),
            _detail_section(comparison),
            _data_section(data_summary(test.store, test), test),
            _repeat_section([*commands, *repeat], comparison),
        ]
    )
    page = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{_text(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>\n{STYLE}</style>\n</head>\n'
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_whole(output, page)
    return output


def _example(comparison: Comparison) -> tuple[Density, Density]:
    """The typical structure: true, and predicted by the best model."""
    from charge3net.predict.predictor import Predictor

    entry = comparison.test.store[comparison.typical()]
    predictor = Predictor.from_checkpoint(comparison.best.best_run.path)
    return entry.density(), predictor.predict(entry.geometry, grid=entry.grid)


def _head(title: str, comparison: Comparison) -> str:
    best, known = comparison.best, comparison.baseline[np.isfinite(comparison.baseline)]
    tiles = [
        (
            f"{best.average.mean:.2f} %",
            f"ε<sub>mae</sub> of {_text(best.label)} on {len(comparison.keys)} held-out structures",
        )
    ]
    if len(known):
        tiles.append((f"{known.mean():.1f} %", "ε<sub>mae</sub> of SAD (superposition of atomic densities)"))
        ratio, kind = known.mean() / best.average.mean, "smaller"
        if ratio < 1.0:
            ratio, kind = 1.0 / ratio, "larger"
        tiles.append((f"{ratio:.1f}×", f"{kind} error than SAD"))
    tiles.append((str(sum(len(c.runs) for c in comparison.models)), "trained networks compared"))
    cards = "".join(f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for value, name in tiles)
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    head = f'<header><h1>{_text(title)}</h1><p class="quiet">charge3net report, {date}</p></header>'
    return f'{head}<div class="tiles">{cards}</div>'


def _findings(found: Findings) -> str:
    return _section(
        "Findings",
        f"<h3>Significant</h3>{_list(found.shown)}<h3>Not significant, and limits</h3>{_list(found.open)}",
    )


def _error_section(comparison: Comparison) -> str:
    rows = [_error_row(model, comparison) for model in comparison.models]
    known = comparison.baseline[np.isfinite(comparison.baseline)]
    if len(known):
        row = [
            "SAD",
            plus_minus(averaged(known, 9)),
            fixed(np.median(known)),
            interval(known.min(), known.max()),
        ]
        rows.append([*row, "1", "", ""])
    head = [
        "model",
        "ε_mae (%), mean ± s.e.",
        "median",
        "range",
        "SAD / model",
        "|Δ electrons|",
        "difference from the best, 95 % interval",
    ]
    note = (
        "ε_mae = Σ|ρ − ρ̂| / Σ|ρ| over every voxel of each structure's own grid. Differences are paired over the "
        f"{len(comparison.keys)} structures (Student's t). Dots are structures, diamonds means with standard errors. "
        "SAD: superposition of atomic densities."
    )
    return _section("Errors on held-out structures", _table(head, rows) + _figure(figures.strip(comparison), note))


def _error_row(model: TrainedModel, comparison: Comparison) -> list[str]:
    errors, ratio = model.errors, np.nanmean(comparison.baseline) / model.average.mean
    electrons = np.mean([e.summary()["absolute_electron_error"]["mean"] for e in model.evaluations])
    difference = "best"
    if model is not comparison.best:
        pair = compare(model, comparison.best)
        difference = "" if pair is None else estimate(pair.mean, pair.low, pair.high, sign=True)
    return [
        model.label,
        plus_minus(averaged(errors, 9)),
        fixed(np.median(errors)),
        interval(errors.min(), errors.max()),
        "" if np.isnan(ratio) else fixed(ratio, 1),
        rounded(electrons),
        difference,
    ]


def _training_section(comparison: Comparison) -> str:
    head = [
        "model",
        "parameters",
        "size",
        "steps",
        "batch",
        "lr",
        "seeds",
        "time",
        "best validation ε_mae (%)",
        "at step",
    ]
    rows = []
    for model in comparison.models:
        run = model.best_run
        batch, optim = run.card.training.get("batch"), run.card.training.get("optim", {})
        rows.append(
            [
                model.label,
                thousands(model.evaluations[0].facts["model"]["parameters"]),
                "" if model.size is None else str(model.size),
                str(model.steps),
                "" if batch is None else f"{batch[0]} × {batch[1]}",
                f"{optim['lr']:g}" if "lr" in optim else "",
                str(len(model.runs)),
                "" if model.seconds is None else duration(model.seconds),
                f"{run.card.metrics.get('val/emae', float('nan')):.2f}",
                str(run.card.training.get("step", "")),
            ]
        )
    note = (
        "Size: total multiplicity of ChargE3Net's features, shared among its rotation orders; number of features of "
        "SchNet and PaiNN. Batch: structures × probe points per step. lr: learning rate before its schedule. "
        "Validation: fixed random voxels of structures of the validation part. Time: mean over seeds, with "
        "validations."
    )
    return _section("Trainings", _table(head, rows) + _figure(figures.curves(comparison), note))


def _example_section(comparison: Comparison, true: Density, predicted: Density) -> str:
    key = comparison.typical()
    error = comparison.best.errors[comparison.keys.index(key)]
    intro = (
        f"<p>Held-out structure <code>{_text(key)}</code> ({_text(true.geometry.formula)}, {len(true.geometry)} atoms, "
        f"grid {' × '.join(map(str, true.grid.shape))}), with the median error of {_text(comparison.best.label)}: "
        f"ε<sub>mae</sub> = {error:.2f} %. Electrons: {true.electrons():.3f} in DFT, "
        f"{predicted.electrons():.3f} predicted (not rescaled).</p>"
    )
    plane = "Plane through most atoms; logarithmic colours, linear for the difference."
    surface = "Isosurfaces; the predicted one is coloured by predicted − DFT. Grey: cut by the periodic cell."
    return _section(
        "One held-out structure",
        intro
        + _figure(figures.slice_of(true, predicted), plane)
        + _figure(figures.surfaces_of(true, predicted), surface)
        + _turning(true, predicted),
    )


def _turning(true: Density, predicted: Density) -> str:
    """Frames in which the predicted density and its error can be turned; empty without a surface to show."""
    frames = [page for page in (figures.view_of(predicted), figures.view_of(predicted, true)) if page is not None]
    if not frames:
        return ""
    each = "".join(
        f'<iframe title="isosurfaces" loading="lazy" srcdoc="{html.escape(page)}"></iframe>' for page in frames
    )
    note = (
        "To turn with mouse or finger: the predicted density, and predicted − DFT (orange: too much, blue: too little)."
    )
    return f'<figure><div class="pair">{each}</div><figcaption>{_text(note)}</figcaption></figure>'


def _angular_section(comparison: Comparison) -> str:
    drawn = figures.gain(comparison)
    if drawn is None:
        return ""
    note = (
        "ζ = 1 − Σ|∇ρ·r̂| / Σ|∇ρ|, with r̂ the direction from the nearest atom: 0 for a density that depends only on "
        "the distance to the nearest atom (Koker et al., npj Comput. Mater. 10, 161 (2024)). Each dot is a held-out "
        "structure."
    )
    return _section("Angular variation and the gain from higher rotation orders", _figure(drawn, note))


def _detail_section(comparison: Comparison) -> str:
    note = f"{comparison.best.label}. Left: every voxel of the test set; right: voxels by element of the nearest atom."
    sources = (("parity", figures.voxels(comparison)), ("elements", figures.elements(comparison)))
    images = "".join(f'<img alt="{name}" src="{source}">' for name, source in sources)
    content = f'<figure><div class="pair">{images}</div><figcaption>{_text(note)}</figcaption></figure>'
    return _section("The best model in detail", content)


def _data_section(summary: Mapping[str, Any], test: TestSet) -> str:
    from ase.data import chemical_symbols

    formulas = summary["formulas"]
    shown = ", ".join(formulas[:12]) + (f" and {len(formulas) - 12} more" if len(formulas) > 12 else "")
    facts = {
        "store": f"{test.store.path.name}, {summary['materials']} structures",
        "atoms": f"{summary['atoms'][0]} to {summary['atoms'][1]} in a structure",
        "split": ", ".join(f"{name} {count}" for name, count in summary["parts"].items()) or "none",
        "elements": ", ".join(chemical_symbols[z] for z in summary["elements"]),
        "formulas": shown,
        "grid spacing": f"{summary['spacing'][0]:.3f} to {summary['spacing'][1]:.3f} Å (largest of the three)",
        **{name: text for name, text in summary["notes"].items() if len(text) < 200},
        "hash of the store": summary["hash"],
    }
    return _section("The data", _definitions(facts))


def _repeat_section(commands: Sequence[str], comparison: Comparison) -> str:
    facts = comparison.best.evaluations[0].facts
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    known = {"commit": commit(), "versions": versions, **machine(), "evaluated on": facts["machine"]}
    text = _text("\n\n".join(commands))
    return _section("Commands", f"<pre>{text}</pre>" + _definitions({k: v for k, v in known.items() if v is not None}))


def _section(title: str, content: str) -> str:
    return f"<section><h2>{_text(title)}</h2>{content}</section>"


def _figure(source: str, caption: str) -> str:
    return f'<figure><img alt="{_text(caption)}" src="{source}"><figcaption>{_text(caption)}</figcaption></figure>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _definitions(facts: Mapping[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in facts.items()) + "</dl>"


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{_text(sentence)}</li>" for sentence in sentences) + "</ul>"


def _text(text: str) -> str:
    """For HTML; ε_mae with its subscript."""
    return html.escape(text).replace("ε_mae", "ε<sub>mae</sub>")
