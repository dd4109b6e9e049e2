"""Figures of the report as data URIs, so that the page is a single file."""

from __future__ import annotations

import base64
import io
import logging
from typing import TYPE_CHECKING

import numpy as np

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.plot import (
    Curve,
    angular_gain,
    density_slice,
    element_bars,
    error_strip,
    isosurfaces,
    learning_curves,
    parity,
)
from charge3net.plot.isosurface import level_enclosing
from charge3net.plot.view import density_view
from charge3net.report.findings import relative_gain
from charge3net.report.gather import Comparison

logger = logging.getLogger(__name__)

#: Triangles of an interactive picture: some 150 KiB.
VIEW_FACES = 12_000

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves(comparison: Comparison) -> str:
    """Validation error against step, with SAD as a line."""
    drawn = [Curve(c.label, *run.validation_curve()) for c in comparison.models for run in c.runs]
    baseline = None if np.isnan(comparison.baseline).all() else float(np.nanmean(comparison.baseline))
    return embed(learning_curves(drawn, baseline), "svg")


def strip(comparison: Comparison) -> str:
    """Every structure's error for every model."""
    rows = {c.label: c.errors for c in comparison.models}
    reference = "SAD"
    known = comparison.baseline[np.isfinite(comparison.baseline)]
    return embed(error_strip({**rows, reference: known} if len(known) else rows, reference), "svg")


def elements(comparison: Comparison) -> str:
    """The best model's error by element."""
    found = comparison.best.evaluations[0].by_element()
    baseline = {z: e.baseline.nmae for z, e in found.items() if e.baseline is not None}
    return embed(element_bars({z: e.pooled.nmae for z, e in found.items()}, baseline), "svg")


def voxels(comparison: Comparison) -> str:
    """The best model's prediction against the truth, voxel by voxel."""
    return embed(parity(comparison.best.evaluations[0].parity()), "png")


def gain(comparison: Comparison) -> str | None:
    """ζ against what higher rotation orders gain; None for fewer than two orders."""
    orders = comparison.rotation_orders()
    if len(orders) < 2:
        return None
    low = orders[0]
    gains = {f"L = {low.rotation_order} → {c.rotation_order}": relative_gain(low, c) for c in orders[1:]}
    return embed(angular_gain(comparison.zeta, gains, f"ε$_{{mae}}$ below that of L = {low.rotation_order} (%)"), "svg")


def slice_of(true: Density, predicted: Density) -> str:
    """One structure on a plane: true, predicted, difference."""
    return embed(density_slice(true, predicted, titles=("DFT", "predicted")), "png")


def surfaces_of(true: Density, predicted: Density) -> str:
    """Isosurfaces of one structure, true and predicted, at a level that both have."""
    level = level_enclosing(true, 0.8)
    if level >= predicted.total.max():  # a network that has hardly learned
        level = 0.5 * float(predicted.total.max())
    return embed(isosurfaces([true, predicted], ["DFT", "predicted (colour: difference)"], level), "png")


def view_of(density: Density, reference: Density | None = None) -> str | None:
    """A page with isosurfaces that can be turned, to stand in a frame; None without a surface to show."""
    try:
        return density_view(density, reference, faces=VIEW_FACES, turns=False).page
    except InputError as reason:
        logger.info("no interactive isosurface: %s", reason)
        return None


def embed(figure: Figure, kind: str) -> str:
    """A figure as a data URI, ``kind`` png or svg."""
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None
    figure.savefig(buffer, format=kind, bbox_inches="tight", facecolor="white", dpi=150, metadata=metadata)
    mime = {"png": "image/png", "svg": "image/svg+xml"}[kind]
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"
