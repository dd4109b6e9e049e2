"""The set of density matrices: the committed file, and how it is made."""

from __future__ import annotations

import json

import numpy as np
import pytest

from charge3net.nn.e3nn import o3
from charge3net.paw.files import read_density_matrices
from charge3net.paw.matrices import IRREPS, to_irreps
from data_prep.bundles.bundle import read_index
from data_prep.bundles.unpack import BUNDLES
from data_prep.occupations_set.build import FILE, build, main


@pytest.fixture(scope="module")
def matrices():
    return read_density_matrices(FILE)


def test_entries_are_crystals_of_new_compositions(matrices):
    _, records = read_index(BUNDLES["new_compositions_set"])
    known = {record["key"]: record["numbers"] for record in records}
    shared = [key for key in matrices if key in known]
    assert len(shared) >= 300
    assert all(matrices.numbers[key].tolist() == known[key] for key in shared)
    assert FILE.stat().st_size < 2e6


def test_atoms_of_noble_gases_are_nearly_neutral_and_hydrides_are_not(matrices):
    [neon], [setup] = matrices["fcc-Ne-0"], matrices.setups_of("fcc-Ne-0")
    assert np.abs(neon - setup.neutral).max() < 0.05
    hydrogen = matrices["rocksalt-LiH-0"][matrices.numbers["rocksalt-LiH-0"].tolist().index(1)]
    assert 1.1 < hydrogen[0, 0] < 1.9  # between H and H⁻


def test_cubic_sites_have_no_tensors_below_the_fourth_order_but_scalars(matrices):
    """The irreps of O that hold the identity: L = 0, 4, 6, …; rattled copies have the others."""
    ideal, rattled = ({}, {})
    for found, key in ((ideal, "rocksalt-YN-0"), (rattled, "rocksalt-YN-1")):
        tensor = to_irreps(matrices[key][0], matrices.setups_of(key)[0])
        for (_, irrep), place in zip(IRREPS, IRREPS.slices(), strict=True):
            found[str(irrep)] = np.abs(tensor[place]).max()
    for name in ("1o", "1e", "2e", "2o", "3o", "3e"):
        assert ideal[name] < 1e-5
    assert ideal["4e"] > 1e-2
    assert rattled["2e"] > 1e-3
    assert o3.Irrep("0e") == next(iter(IRREPS)).ir
    assert ideal["0e"] > 1


def test_spins_are_summed_and_foreign_setups_refused(tmp_path, capsys):
    projectors = {"H.PBE.gz": {"number": 1, "n": [1, -1, -1], "l": [0, 0, 1], "electrons": [1, 0, 0]}}
    (tmp_path / "setups.json").write_text(json.dumps(projectors))
    meta = json.dumps({"code": "gpaw", "xc": "PBE", "mode": "PW", "smearing": "FD"})
    values = np.stack([np.arange(15.0), np.ones(15)])
    arrays = {"numbers": [1], "positions": np.zeros((1, 3)), "cell": np.eye(3) * 3, "pbc": [True] * 3, "meta": meta}
    np.savez(tmp_path / "h-0.npz", density_matrices=values, setups=np.array(["H.PBE.gz"]), **arrays)
    out = tmp_path / "out.npz.made"
    assert build(tmp_path, out).startswith("1 crystals, 1 atoms of 1 elements, 15 numbers")
    found = read_density_matrices(out)
    assert found["h-0"][0][0, 1] == found["h-0"][0][1, 0] == 2.0
    assert found.meta["xc"] == "PBE"
    np.savez(tmp_path / "h-1.npz", density_matrices=values, setups=np.array(["H.LDA.gz"]), **arrays)
    with pytest.raises(SystemExit):
        main([str(tmp_path), "-o", str(out)])
    assert "H.LDA.gz" in capsys.readouterr().err
