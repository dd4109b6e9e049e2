"""The magnetic set: what is in git unpacks to densities with the recorded moments, divided as the card says."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from charge3net.analysis.moments import alignment, cell_moments, sphere_moments
from charge3net.data.splits import Split, read_split
from charge3net.data.store import Store
from data_prep.bundles.bundle import read_index
from data_prep.bundles.unpack import main
from data_prep.magnetic_set import build
from data_prep.magnetic_set.build import Name, divide, lowest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data_prep" / "magnetic_set"
PYTHON = ROOT / ".cache" / "gpaw-env" / "bin" / "python"

#: Valence electrons of the setups.
VALENCE = {7: 5, 8: 6, 13: 3, 14: 4, 16: 6, 23: 13, 24: 6, 25: 15, 26: 8, 27: 9, 28: 16, 31: 3, 51: 15, 78: 16}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Split, Split]:
    folder = tmp_path_factory.mktemp("magnetic_set")
    assert main(["magnetic_set", "-o", str(folder)]) == 0
    return Store(folder / "store"), read_split(folder / "split.json"), read_split(folder / "alike" / "split.json")


def test_bundle_fits_in_git() -> None:
    assert sum(path.stat().st_size for path in (FOLDER / "bundle").iterdir()) < 2e6


def test_densities_hold_their_electrons_and_moments(unpacked: tuple[Store, Split, Split]) -> None:
    store, _, _ = unpacked
    for key in store:
        entry = store[key]
        valence = sum(VALENCE[z] for z in entry.geometry.numbers.tolist())
        assert entry.electrons == pytest.approx(valence, rel=1e-4)
        assert entry.channels == 2
        # computed from the unrounded densities when the entry was generated
        total, absolute = cell_moments(entry.values[1], entry.grid)
        assert total == pytest.approx(entry.meta["magnetisation"], abs=0.02)
        assert absolute == pytest.approx(entry.meta["absolute_magnetisation"], abs=0.02)


def test_iron_has_its_moment(unpacked: tuple[Store, Split, Split]) -> None:
    store, _, _ = unpacked
    # bcc iron: 2.2 μ_B per atom (PBE and experiment), face-centred nickel 0.6
    for key, moment in {"tetragonal-Fe-0-ferro": 2.2, "tetragonal-Ni-0-ferro": 0.6}.items():
        entry = store[key]
        assert cell_moments(entry.values[1], entry.grid)[0] / 2 == pytest.approx(moment, rel=0.15)


def test_parts_share_no_composition_where_they_should_not(unpacked: tuple[Store, Split, Split]) -> None:
    store, split, alike = unpacked
    names = {part: [Name.of(key) for key in split.part(part)] for part in ("train", "validation", "test")}
    trained = {(name.family, name.formula) for name in names["train"]}
    unseen = [name for name in names["test"] if (name.family, name.formula) not in trained]
    seen = [name for name in names["test"] if name not in unseen]
    assert len({name.formula for name in unseen}) == sum(build.HELD_OUT.values())
    assert {name.copy for name in unseen} == {0, 1}
    assert {name.copy for name in seen} == {1}
    assert {name.copy for name in names["validation"]} == {1}
    elements = {z for key in split.train for z in store[key].geometry.numbers.tolist()}
    assert all(set(store[key].geometry.numbers.tolist()) <= elements for key in split.test)
    assert alike.train == split.train
    assert set(alike.test) | set(split.train) | set(split.validation) | set(split.test) == set(store.keys())
    assert {Name.of(key).kind for key in alike.test} == {"alike"}
    assert all(store[key].baseline is not None for key in (*split.test, *alike.test))


def test_sublattices_that_are_alike_differ_in_their_moments_only(unpacked: tuple[Store, Split, Split]) -> None:
    store, _, alike = unpacked
    opposite = 0
    for key in alike.test:
        entry = store[key]
        moments = sphere_moments(entry.values[1], entry.grid, entry.geometry)
        assert len(set(entry.geometry.numbers.tolist())) == 1
        if alignment(moments) == "antiparallel":
            opposite += 1
            assert moments[0] == pytest.approx(-moments[1], abs=0.3)
    assert opposite >= 2


def test_lowest_order_of_each_copy_is_kept() -> None:
    names = {f"b2-CrFe-{copy}-{order}": energy for copy, order, energy in [(0, "second", -2.0), (0, "ferro", -3.0)]}
    names |= {"b2-CrFe-1-second": -1.0, "hcp-Co-0-ferro": -9.0}
    kept = lowest({Name.of(name): energy for name, energy in names.items()})
    assert [str(name) for name in kept] == ["b2-CrFe-0-ferro", "b2-CrFe-1-second", "hcp-Co-0-ferro"]


def test_division_does_not_depend_on_the_order_of_the_names(unpacked: tuple[Store, Split, Split]) -> None:
    names = [Name.of(key) for key in unpacked[0]]
    assert divide(names) == divide(names[::-1])


def test_data_card_states_the_committed_file() -> None:
    header, records = read_index(FOLDER / "bundle")
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert header["sha256"] in card
    parts = defaultdict(list)
    for record in records:
        parts[record["part"]].append(record)
    for part, chosen in parts.items():
        assert f"| {part} | {len(chosen)} | {len({record['formula'] for record in chosen})} |" in card


@pytest.mark.skipif(not PYTHON.exists(), reason="no GPAW environment; `make gpaw` builds it")
def test_generator_gives_the_structures_of_the_set() -> None:
    code = (
        "import json\nfrom magnetic import magnetic\n"
        "rows = [[a.info['tag'], a.positions.tolist(), a.info['moments'].tolist()] for a in magnetic(999, 0)]\n"
        "print(json.dumps(rows))"
    )
    done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, cwd=ROOT / "data_prep" / "open_dft")
    assert done.returncode == 0, done.stderr
    made = {tag: (positions, moments) for tag, positions, moments in json.loads(done.stdout)}
    for record in read_index(FOLDER / "bundle")[1]:
        positions, moments = made[record["key"]]
        assert np.array(record["positions"]) == pytest.approx(np.array(positions), abs=1e-9)
        signs = {np.sign(moment) for moment in moments if moment}
        assert len(signs) == (1 if Name.of(record["key"]).order == "ferro" else 2)
