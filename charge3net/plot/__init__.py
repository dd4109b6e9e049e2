"""Figures: functions return a matplotlib Figure, :func:`save_figure` writes it. They need the extra ``[plot]``."""

from charge3net.plot.curves import Curve, learning_curves
from charge3net.plot.errors import angular_gain, element_bars, error_histogram, error_strip, parity
from charge3net.plot.expected import expected_errors
from charge3net.plot.isosurface import isosurfaces
from charge3net.plot.plane import Plane
from charge3net.plot.slices import density_slice
from charge3net.plot.style import save_figure, save_page_figure

__all__ = [
    "Curve",
    "Plane",
    "angular_gain",
    "density_slice",
    "element_bars",
    "error_histogram",
    "error_strip",
    "expected_errors",
    "isosurfaces",
    "learning_curves",
    "parity",
    "save_figure",
    "save_page_figure",
]
