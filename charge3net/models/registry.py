"""The architectures, and how to build one from its name and hyper-parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

from charge3net.errors import InputError
from charge3net.models.base import DensityModel


@dataclass(frozen=True)
class Architecture:
    """The module of a model class, which is imported when the class is loaded.

    Attributes:
        module, name: the class.
        label: its name in tables and figures.
        summary: one line for the list of models.
    """

    module: str
    name: str
    label: str
    summary: str

    def load(self) -> type[DensityModel]:
        """The class."""
        return getattr(import_module(self.module), self.name)


#: Every architecture that a checkpoint or a configuration may name.
ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "charge3net": Architecture(
            "charge3net.models.charge3net",
            "ChargE3Net",
            "ChargE3Net",
            "higher-order equivariant network, rotation order L = 0, 1, 2, …",
        ),
        "schnet": Architecture(
            "charge3net.models.schnet",
            "SchNetDensity",
            "SchNet",
            "invariant network (DeepDFT): distances only",
        ),
        "painn": Architecture(
            "charge3net.models.painn",
            "PaiNNDensity",
            "PaiNN",
            "equivariant network (DeepDFT) with scalars and vectors",
        ),
        "charge3net_delta": Architecture(
            "charge3net.models.delta",
            "DeltaChargE3Net",
            "Δ-ChargE3Net",
            "fitted atoms, and a smooth ChargE3Net with local features for the difference: for compositions not seen",
        ),
        "delta_local": Architecture(
            "charge3net.models.delta",
            "DeltaLocal",
            "local Δ",
            "fitted atoms and local features of their density, no messages",
        ),
        "fitted_atoms": Architecture(
            "charge3net.models.fitted_atoms",
            "FittedAtoms",
            "fitted atoms",
            "superposition of fitted atoms: a baseline without a network",
        ),
        "charge3net-published-spin": Architecture(
            "charge3net.models.published_spin",
            "PseudoscalarSpinChargE3Net",
            "charge3net-published-spin",
            "charge3net with the published spin head, for imported weights only",
        ),
    }
)


def label(architecture: str, hyperparameters: Mapping[str, Any]) -> str:
    """A model's name in tables and figures: "ChargE3Net L=2", "SchNet"."""
    entry = ARCHITECTURES.get(architecture)
    name = architecture if entry is None else entry.label
    return f"{name} L={hyperparameters['lmax']}" if "lmax" in hyperparameters else name


def build_model(architecture: str, hyperparameters: Mapping[str, Any]) -> DensityModel:
    """A model with fresh weights, float32, on the CPU.

    Args:
        architecture: a name in :data:`ARCHITECTURES`.
        hyperparameters: arguments of the class; those left out take the class's defaults.

    Raises:
        InputError: for an unknown architecture, an unknown hyper-parameter, or a value that makes no network.
    """
    entry = ARCHITECTURES.get(architecture)
    if entry is None:
        raise InputError(f"unknown architecture {architecture!r}; there are {', '.join(ARCHITECTURES)}")
    model_class = entry.load()
    parameters = inspect.signature(model_class).parameters
    unknown = [name for name in hyperparameters if name not in parameters]
    if unknown:
        raise InputError(f"{architecture} has no hyper-parameter {', '.join(unknown)}; it has {', '.join(parameters)}")
    values = {name: _as_annotated(parameters[name], value) for name, value in hyperparameters.items()}
    try:
        return model_class(**values)
    except TypeError as error:
        given = ", ".join(f"{name}={value!r}" for name, value in values.items())
        raise InputError(f"{architecture} cannot be built from {given}; check the types of these values") from error


def _as_annotated(parameter: inspect.Parameter, value: Any) -> Any:
    """A whole number as a float where a float is needed (JSON and YAML write 4.0 as 4)."""
    return float(value) if parameter.annotation in ("float", float) and type(value) is int else value
