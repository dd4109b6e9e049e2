"""Training of models that hold fitted atoms: from training entries only, into the checkpoint, and resumable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from charge3net.atoms.splines import values_at
from charge3net.checkpoints.save_load import load_model
from charge3net.data.splits import Split
from charge3net.data.store import Store
from charge3net.errors import InputError
from charge3net.train.atoms import atoms_of_training
from charge3net.train.callbacks import Interrupted
from charge3net.train.config import TrainConfig
from charge3net.train.module import DensityTask
from charge3net.train.run import train

SIZES = {"architecture": "charge3net_delta", "lmax": 1, "mul": 8, "hidden": 8, "num_basis": 6, "cutoff": 3.0}


def isolated(path: Path, numbers: range, valence_of: dict[int, float] | None = None) -> str:
    """A table of atoms as the store's are made of: Z electrons in exp(−r²)."""
    radii = np.linspace(0, 3.2, 321)
    valence = np.array([(valence_of or {}).get(z, float(z)) for z in numbers])
    density = valence[:, None] * np.exp(-(radii**2)) / np.pi**1.5
    np.savez(
        path, numbers=np.array(numbers), radii=radii, density=density, valence=valence, setups=["Z"] * len(valence)
    )
    return str(path)


@pytest.fixture
def delta(config: TrainConfig, tmp_path: Path) -> TrainConfig:
    """A run of a small network on fitted atoms."""
    config.model, config.loss.name, config.train.ema = dict(SIZES), "nmae", 0.9
    config.data.isolated_atoms = isolated(tmp_path / "atoms.npz", range(1, 15))
    return config


def test_the_fit_sees_training_entries_only(delta: TrainConfig, densities: tuple[Path, Path], tmp_path: Path) -> None:
    """Another validation part leaves the atoms as they are, another training part does not."""
    store, _ = densities
    train(delta)
    first = load_model(Path(delta.output))[0]
    keys = Store(store).keys()
    Split(tuple(keys[:5]), tuple(keys[5:6]), ()).save(tmp_path / "other.json")
    delta.data.split, delta.output = str(tmp_path / "other.json"), str(tmp_path / "other")
    train(delta)
    assert torch.equal(load_model(Path(delta.output))[0].atoms.table, first.atoms.table)
    Split(tuple(keys[:4]), tuple(keys[5:6]), ()).save(tmp_path / "third.json")
    delta.data.split, delta.output = str(tmp_path / "third.json"), str(tmp_path / "third")
    train(delta)
    assert not torch.equal(load_model(Path(delta.output))[0].atoms.table, first.atoms.table)


def test_electrons_that_do_not_follow_are_asked_for(delta: TrainConfig) -> None:
    delta.data.isolated_atoms = None
    with pytest.raises(InputError, match=r"do not follow .* data\.isolated_atoms=FILE\.npz"):
        train(delta)


def test_valences_follow_from_the_electrons(densities: tuple[Path, Path]) -> None:
    store = Store(densities[0])  # made of atoms with Z electrons
    found = atoms_of_training(store, store.keys(), 3.0)
    assert found.valences == {z: float(z) for z in found.valences}
    assert set(found.valences) == {int(z) for key in store for z in store[key].geometry.numbers}


def test_fitted_atoms_are_a_model_without_training(delta: TrainConfig, tmp_path: Path) -> None:
    delta.model, delta.data.val_probes = {"architecture": "fitted_atoms", "cutoff": 3.0}, None
    summary = train(delta)
    assert summary["step"] == 0
    assert summary["parameters"] == 0
    assert summary["best"]["val/emae"] < 5.0  # the densities are superpositions of atoms
    assert train(delta)["skipped"]
    model, card = load_model(Path(delta.output))
    assert card.architecture == "fitted_atoms"
    assert model.hyperparameters()["valences"] == [float(z) for z in model.atoms.elements]


@pytest.mark.parametrize("stop", [3, 7])
def test_a_resumed_run_is_the_uninterrupted_one(
    delta: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    train(delta)
    whole = load_model(Path(delta.output) / "last")[0].state_dict()
    original = DensityTask.training_step

    def training_step(self: DensityTask, batch: object, batch_idx: int) -> object:
        if self.global_step == stop and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            raise KeyboardInterrupt
        return original(self, batch, batch_idx)

    monkeypatch.setattr(DensityTask, "training_step", training_step)
    delta.output, delta.train.save_every = str(tmp_path / "parts"), 1
    with pytest.raises((KeyboardInterrupt, Interrupted, SystemExit)):
        train(delta)
    delta.resume = True
    train(delta)
    again = load_model(Path(delta.output) / "last")[0].state_dict()
    assert whole.keys() == again.keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())


def test_isolated_atoms_stand_in_for_elements_without_entries(delta: TrainConfig, tmp_path: Path) -> None:
    delta.model = {"architecture": "fitted_atoms", "cutoff": 3.0}
    train(delta)
    model, card = load_model(Path(delta.output))
    assert model.atoms.elements == tuple(range(1, 15))
    assert 14 not in card.elements  # the card says what was in the data
    r = np.array([0.0, 0.5, 1.0, 1.5])
    found = values_at(model.atoms.table[13, :, :1].double().numpy(), r)[:, 0]
    np.testing.assert_allclose(found, 14 * np.exp(-(r**2)) / np.pi**1.5, rtol=0.01)


@pytest.mark.parametrize(
    ("numbers", "valence", "words"),
    [(range(1, 5), {}, "has no atom of"), (range(1, 20), {z: z + 1.0 for z in range(1, 20)}, "hold .* electrons for")],
)
def test_atoms_of_something_else_are_refused(
    delta: TrainConfig, tmp_path: Path, numbers: range, valence: dict[int, float], words: str
) -> None:
    delta.data.isolated_atoms = isolated(tmp_path / "atoms.npz", numbers, valence)
    with pytest.raises(InputError, match=words):
        train(delta)


def test_a_file_that_is_no_table(delta: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "atoms.npz").write_bytes(b"no table")
    delta.data.isolated_atoms = str(tmp_path / "atoms.npz")
    with pytest.raises(InputError, match=r"atoms\.npz: is not a readable \.npz file"):
        train(delta)
