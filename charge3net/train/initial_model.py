"""The model before the first step: fresh weights, fitted atoms, or the weights of a trained model (``init``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch

from charge3net.errors import InputError
from charge3net.models.base import DensityModel
from charge3net.models.delta import DeltaChargE3Net, DeltaLocal
from charge3net.models.registry import build_model
from charge3net.train.atoms import atoms_of_training, fill_atoms, sample_of, some_of, standardise
from charge3net.train.config import MISSING, TrainConfig
from charge3net.train.datamodule import DensityDataModule
from charge3net.train.source import OF_SOURCE, Source, freeze, open_source, take_weights, with_model_of
from charge3net.train.source_atoms import extend_atoms

PRECISIONS = {"float32": torch.float32, "float64": torch.float64, "tf32": torch.float32, "bf16": torch.float32}

#: What ``train.fresh`` calls the fitted atoms, and where their standard inputs are used.
_ATOMS, _HEAD = "atoms", "head"

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class InitialModel:
    """A model and where its weights come from.

    Attributes:
        model: before the first step, or without meaning before a resumed one.
        record: of the source and what was taken, plain JSON values; empty for fresh weights.
        lines: the same for the terminal.
    """

    model: DensityModel
    record: Mapping[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()

    def state(self) -> dict[str, Any]:
        """For the resume checkpoint: what :func:`initial_model` needs instead of the source."""
        return {"hyperparameters": self.model.hyperparameters(), "record": dict(self.record)} if self.record else {}


def new_model(config: TrainConfig, more: Mapping[str, Any] = _NONE) -> DensityModel:
    """The model with fresh weights that depend on the seed only; ``more`` hyper-parameters than the settings have."""
    hyperparameters = dict(config.model)
    architecture = hyperparameters.pop("architecture", MISSING)
    if architecture == MISSING:
        raise InputError("model.architecture is not given; choose a model, e.g. model=charge3net")
    if architecture == OF_SOURCE:
        raise InputError("the model is that of init=MODEL, which is not given; add it, or choose a model=…")
    torch.manual_seed(config.seed)
    return build_model(architecture, {**hyperparameters, **more}).to(PRECISIONS[config.runtime.precision])


def with_source(config: TrainConfig, recorded: Mapping[str, Any] | None) -> tuple[TrainConfig, Source | None]:
    """The configuration with the model of ``init``, and that model; of a run that has begun, its recorded settings.

    Args:
        config: the settings.
        recorded: ``config.json`` of the run in the output folder, or of the one that is resumed; None without any.

    Raises:
        InputError: as :func:`open_source` and :func:`with_model_of`, or for settings that need ``init``.
    """
    if config.init is None:
        for name in ("freeze", "fresh"):
            if getattr(config.train, name):
                raise InputError(f"train.{name} is for a training that starts from a model; add init=MODEL")
        return config, None
    if recorded is not None and recorded.get("init") == config.init:
        return with_model_of(config, recorded["model"]), None
    source = open_source(config.init)
    return with_model_of(config, source.settings()), source


def initial_model(
    config: TrainConfig,
    fresh: DensityModel,
    data: DensityDataModule,
    source: Source | None,
    resumed: Mapping[str, Any] | None,
) -> InitialModel:
    """The model of the settings, before the first step.

    Args:
        config: from :func:`with_source`.
        fresh: :func:`new_model` of it.
        data: training entries, to which atoms are fitted.
        source: the model of ``init``, opened if it is None and needed.
        resumed: :meth:`InitialModel.state` in the resume checkpoint, whose weights are loaded later.

    Raises:
        InputError: for a source that does not fit the settings or the data.
    """
    if config.init is None:
        initial = InitialModel(_with_fitted_atoms(config, data) if fresh.fits_atoms else fresh)
    elif resumed:
        hyperparameters = {k: v for k, v in resumed["hyperparameters"].items() if k not in config.model}
        initial = InitialModel(new_model(config, hyperparameters), resumed["record"])
    else:
        initial = _from_source(config, fresh, data, source or open_source(config.init))
    if fresh.fits_atoms:
        _check_validation(initial.model, data)
    freeze(initial.model, config.train.freeze)
    return initial


def _check_validation(model: Any, data: DensityDataModule) -> None:
    """Refuse validation entries of elements that a model on fitted atoms has no atom of, before anything is written."""
    from ase.data import chemical_symbols

    for key, numbers in _validation_elements(data).items():
        if missing := sorted(numbers - set(model.atoms.elements)):
            names = ", ".join(chemical_symbols[z] for z in missing)
            raise InputError(
                f"the validation entry {key!r} holds {names}, of which the model has no atom: no training entry "
                "holds it; give data.isolated_atoms=FILE.npz, or another split"
            )


def _validation_elements(data: DensityDataModule) -> dict[str, set[int]]:
    return {key: set(data.store[key].geometry.numbers.tolist()) for key in data.validation_keys}


def _with_fitted_atoms(config: TrainConfig, data: DensityDataModule) -> DensityModel:
    """The model of the settings, with atoms fitted to the training entries."""
    atoms = atoms_of_training(data.store, data.train_keys, data.train_data.cutoff, config.data.isolated_atoms)
    model = new_model(config, atoms.hyperparameters())
    fill_atoms(model, atoms)
    return model


def _from_source(config: TrainConfig, model: DensityModel, data: DensityDataModule, source: Source) -> InitialModel:
    """The model with the weights of the source."""
    differing, about_atoms = _differences(source, data), None
    anew = list(config.train.fresh)
    if not model.fits_atoms:
        pass
    elif _ATOMS in anew:
        anew.remove(_ATOMS)
        model, about_atoms = _with_fitted_atoms(config, data), "atoms are fitted to the training entries"
    elif differing:
        raise InputError(f"init={source.name}: {differing}; fit atoms of the new potentials with train.fresh=[atoms]")
    else:
        model, about_atoms = _with_atoms_of(source, config, data)
    taken = take_weights(model, source, anew)
    record = {**source.record(), **taken.record(), "frozen": list(config.train.freeze)}
    lines = [f"starts from {source.name} ({source.model.architecture}): {taken.sentence()}"]
    if source.note:
        record["note"] = source.note
        lines.append(source.note)
    if about_atoms is not None:
        record["atoms"] = about_atoms
        lines.append(about_atoms)
    elif differing:
        lines.append(f"note: {differing}")
    return InitialModel(model, record, tuple(lines))


def _with_atoms_of(source: Source, config: TrainConfig, data: DensityDataModule) -> tuple[DensityModel, str]:
    """The model of the settings with the atoms of the source, and with those of new elements."""
    theirs: Any = source.model
    table, more = config.data.isolated_atoms, {z for numbers in _validation_elements(data).values() for z in numbers}
    atoms = extend_atoms(theirs.atoms, data.store, data.train_keys, table, source.name, more)
    model: Any = new_model(config, atoms.hyperparameters())
    model.atoms.table.copy_(torch.from_numpy(atoms.table))
    if isinstance(model, DeltaLocal | DeltaChargE3Net) and _HEAD in config.train.fresh:
        entries = [data.store[key] for key in some_of(data.train_keys)]
        standardise(model, [sample_of(entry, entry.stored[0]) for entry in entries])
    return model, atoms.sentence()


def _differences(source: Source, data: DensityDataModule) -> str:
    """How the densities that the source was trained on differ from those of the store, as far as both are known."""
    theirs, ours = ({_family(code) for code in codes} for codes in (source.card.data.get("codes", ()), data.codes))
    if theirs and ours and not ours <= theirs:
        return f"it was trained on densities of {', '.join(sorted(theirs))}, those of the store are of " + ", ".join(
            sorted(ours)
        )
    known: Mapping[str, Any] = source.card.data.get("potentials", {})
    for element, records in data.potentials.items():
        if element in known and not all(record in known[element] for record in records):
            return f"it was trained on densities of other potentials of {element} than those of the store"
    return ""


def _family(code: str) -> str:
    """The name of a DFT code without its version."""
    words = [word for word in code.split() if not any(letter.isdigit() for letter in word)]
    return (words or [code])[0].lower()
