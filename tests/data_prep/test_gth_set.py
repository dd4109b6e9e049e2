"""The bundled set of densities with GTH pseudopotentials."""

from __future__ import annotations

import numpy as np
import pytest

from charge3net.atoms.isolated import read_isolated_atoms
from charge3net.data.store import Store
from data_prep.bundles.bundle import read_index
from data_prep.bundles.unpack import BUNDLES, unpack
from data_prep.quantum_espresso.isolated_atoms import TABLE


@pytest.fixture(scope="module")
def records() -> list[dict]:
    return read_index(BUNDLES["gth_set"])[1]


def test_new_compositions_are_new(records):
    formulas: dict[str, set[str]] = {}
    for record in records:
        formulas.setdefault(record["part"], set()).add(record["formula"])
    assert set(formulas) == {"train", "validation", "test", "distortions", "defects"}
    assert not formulas["train"] & formulas["test"]
    assert not formulas["train"] & formulas["validation"]
    assert not formulas["validation"] & formulas["test"]
    assert formulas["distortions"] <= formulas["train"]
    assert len(formulas["train"]) == 80 + 18
    assert len({record["key"] for record in records}) == len(records)


def test_entries_have_what_a_run_needs_and_the_electrons_of_the_table(records, tmp_path):
    splits = unpack(BUNDLES["gth_set"], tmp_path)
    assert set(splits) == {"all", "distortions", "defects", "sp", "halides_oxides", "molecules"}
    assert set(splits["all"].test) == {
        key for kind in ("sp", "halides_oxides", "molecules") for key in splits[kind].test
    }
    store, atoms = Store(tmp_path / "store"), read_isolated_atoms(TABLE)
    for record in [*records[::40], *(one for one in records if one["part"] in ("defects", "test"))][::4]:
        entry = store[record["key"]]
        numbers = entry.geometry.numbers.tolist()
        assert entry.electrons == pytest.approx(sum(atoms.valence[z] for z in numbers), rel=1e-5)
        assert set(entry.meta["potentials"].values()) == {atoms.potentials[z] for z in numbers}
        assert {"ecutwfc_Ry", "k_mesh"} <= set(entry.meta)
        assert ("smearing" in entry.meta.get("occupations", "")) == (record["part"] == "defects")
        assert np.isfinite(entry.values).all()
        if record["part"] == "test":
            error = np.abs(entry.baseline - entry.values[0]).sum() / entry.values[0].sum()
            assert error == pytest.approx(record["meta"]["nmae_sad"], rel=0.02)
