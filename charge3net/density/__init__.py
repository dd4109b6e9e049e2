"""Density: values on a grid, the structure they belong to, and everything one does with them."""

from charge3net.density.density import Density
from charge3net.density.results import BaderCharges, DensityError, View

__all__ = ["BaderCharges", "Density", "DensityError", "View"]
