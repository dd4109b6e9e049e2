"""Electron densities from equivariant neural networks.

Public names are imported when first used, so that ``import charge3net`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from charge3net.version import __version__

if TYPE_CHECKING:
    from charge3net.checkpoints import load_model, load_published, save_model
    from charge3net.data.store import Store, StoreWriter
    from charge3net.density import BaderCharges, Density, DensityError, View
    from charge3net.errors import InputError
    from charge3net.geometry import Geometry
    from charge3net.grid import Grid
    from charge3net.io import read_density, read_structure, read_structures, write_density
    from charge3net.models.charge3net import ChargE3Net
    from charge3net.models.painn import PaiNNDensity
    from charge3net.models.schnet import SchNetDensity
    from charge3net.predict.many import Predictions
    from charge3net.predict.predictor import Predictor

_HOME = {
    "BaderCharges": "charge3net.density",
    "ChargE3Net": "charge3net.models.charge3net",
    "Density": "charge3net.density",
    "DensityError": "charge3net.density",
    "Geometry": "charge3net.geometry",
    "Grid": "charge3net.grid",
    "InputError": "charge3net.errors",
    "PaiNNDensity": "charge3net.models.painn",
    "Predictions": "charge3net.predict.many",
    "Predictor": "charge3net.predict.predictor",
    "SchNetDensity": "charge3net.models.schnet",
    "Store": "charge3net.data.store",
    "StoreWriter": "charge3net.data.store",
    "View": "charge3net.density",
    "load_model": "charge3net.checkpoints",
    "load_published": "charge3net.checkpoints",
    "read_density": "charge3net.io",
    "read_structure": "charge3net.io",
    "read_structures": "charge3net.io",
    "save_model": "charge3net.checkpoints",
    "write_density": "charge3net.io",
}

__all__ = [
    "BaderCharges",
    "ChargE3Net",
    "Density",
    "DensityError",
    "Geometry",
    "Grid",
    "InputError",
    "PaiNNDensity",
    "Predictions",
    "Predictor",
    "SchNetDensity",
    "Store",
    "StoreWriter",
    "View",
    "__version__",
    "load_model",
    "load_published",
    "read_density",
    "read_structure",
    "read_structures",
    "save_model",
    "write_density",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'charge3net' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
