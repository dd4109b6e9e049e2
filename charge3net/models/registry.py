"""The architectures, and how to build one from its name and hyper-parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

from charge3net.errors import InputError
from charge3net.extensions import Extension, extensions
from charge3net.models.base import DensityModel

#: Entry point group of models in other packages: name of the architecture → ``package.module:Class``.
GROUP = "charge3net.models"


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


@dataclass(frozen=True)
class ForeignArchitecture(Architecture):
    """A model class of another package.

    Attributes:
        extension: the entry point that names it.
    """

    extension: Extension

    @classmethod
    def of(cls, extension: Extension) -> ForeignArchitecture:
        """What the entry point says; nothing is imported."""
        module, _, name = extension.value.partition(":")
        return cls(module, name, extension.name, f"of the package {extension.package} ({extension.value})", extension)

    def load(self) -> type[DensityModel]:
        """The class.

        Raises:
            InputError: if it cannot be imported, is no density model, or is called otherwise than its entry point.
        """
        found, entry = self.extension.load(), self.extension
        if not (isinstance(found, type) and issubclass(found, DensityModel)):
            raise InputError(
                f"{entry.value} of {entry.package} is not a subclass of charge3net.models.base.DensityModel"
            )
        if getattr(found, "architecture", None) != entry.name:
            raise InputError(
                f"{entry.value} of {entry.package} must have the class attribute architecture = {entry.name!r}, the "
                f"name of its entry point"
            )
        return found


#: The architectures of this package.
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


def architectures() -> dict[str, Architecture]:
    """Every architecture that a checkpoint or a configuration may name: of this package, then of others by name.

    Raises:
        InputError: if two packages offer one name.
    """
    others = extensions(GROUP, own=ARCHITECTURES)
    return {**ARCHITECTURES, **{name: ForeignArchitecture.of(entry) for name, entry in others.items()}}


def find_architecture(name: str) -> Architecture:
    """The architecture of this name.

    Raises:
        InputError: if no installed package has registered it.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    known = architectures()
    if name in known:
        return known[name]
    hint = f"a class is named by an entry point in {GROUP}, " if "." in name else ""
    raise InputError(
        f"unknown architecture {name!r}; there are {', '.join(known)}; {hint}"
        "install the package that registers it (docs/extend.md)"
    )


def label(architecture: str, hyperparameters: Mapping[str, Any]) -> str:
    """A model's name in tables and figures: "ChargE3Net L=2", "SchNet"."""
    entry = ARCHITECTURES.get(architecture)
    name = architecture if entry is None else entry.label
    return f"{name} L={hyperparameters['lmax']}" if "lmax" in hyperparameters else name


def build_model(architecture: str, hyperparameters: Mapping[str, Any]) -> DensityModel:
    """A model with fresh weights, float32, on the CPU.

    Args:
        architecture: a name in :func:`architectures`.
        hyperparameters: arguments of the class; those left out take the class's defaults.

    Raises:
        InputError: for an unknown architecture, an unknown hyper-parameter, or a value that makes no network.
    """
    model_class = find_architecture(architecture).load()
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
