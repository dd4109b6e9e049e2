"""Benchmark set v1: git holds real densities, divided by composition, within the size and error promised."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charge3net.data.splits import PARTS, Split, read_split
from charge3net.data.store import Store, StoreEntry
from charge3net.data.writer import StoreWriter
from charge3net.errors import InputError
from data_prep.benchmark_set import build, divide
from data_prep.bundles.bundle import Source, add_to_store, read_index, write_bundle
from data_prep.bundles.unpack import BUNDLES, unpack

LEAST = {"crystals": 150, "molecules": 150, "liquids": 100}
CARD = Path(build.__file__).with_name("README.md")
PYTHON = CARD.parents[2] / ".cache" / "gpaw-env" / "bin" / "python"


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    """The lines of the index."""
    return read_index(BUNDLES["benchmark_set"])[1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[str, Split]]:
    """The set as a store, and its splits as they were saved."""
    folder = tmp_path_factory.mktemp("benchmark_set")
    unpack(BUNDLES["benchmark_set"], folder)
    splits = {kind: read_split(folder / kind / "split.json") for kind in build.KINDS}
    return Store(folder / "store"), {**splits, "all": read_split(folder / "split.json")}


def keys_of(split: Split) -> list[str]:
    return [key for part in PARTS for key in split.part(part)]


def formulas(store: Store, keys: tuple[str, ...], reduced: bool) -> set[str]:
    compositions = [store[key].geometry.to_structure().composition for key in keys]
    return {c.reduced_formula if reduced else c.formula for c in compositions}


def test_fits_in_git_and_holds_what_it_promises(unpacked: tuple[Store, dict[str, Split]]) -> None:
    assert sum(path.stat().st_size for path in BUNDLES["benchmark_set"].iterdir()) < 25e6
    store, splits = unpacked
    assert {kind: len(keys_of(splits[kind])) >= least for kind, least in LEAST.items()} == dict.fromkeys(LEAST, True)
    elements = {z for key in keys_of(splits["crystals"]) for z in store[key].geometry.numbers.tolist()}
    assert len(elements) >= 35


def test_every_density_holds_its_valence_electrons(unpacked: tuple[Store, dict[str, Split]]) -> None:
    store, _ = unpacked
    known = {1: 1, 5: 3, 6: 4, 7: 5, 8: 6, 9: 7, 14: 4, 15: 5, 16: 6, 17: 7, 29: 11, 79: 11}
    checked = 0
    for key in store:
        entry = store[key]
        assert entry.electrons_expected is not None
        assert entry.electrons == pytest.approx(entry.electrons_expected, rel=1e-4)
        numbers = entry.geometry.numbers.tolist()
        if set(numbers) <= set(known):
            assert entry.electrons_expected == sum(known[z] for z in numbers)
            checked += 1
        assert entry.grid.spacing.max() < 0.21
        assert entry.meta["xc"] == "PBE"
        assert np.isfinite(entry.meta["energy_eV"])
    assert checked > 250


def test_whole_compositions_are_held_out(unpacked: tuple[Store, dict[str, Split]]) -> None:
    store, splits = unpacked
    for kind, reduced in (("crystals", True), ("molecules", False)):
        train, validation, test = (formulas(store, splits[kind].part(part), reduced) for part in PARTS)
        assert not train & validation
        assert not train & test
        assert not validation & test
        assert len(test) >= 10
    seen = {z for key in splits["crystals"].train for z in store[key].geometry.numbers.tolist()}
    held = {z for key in splits["crystals"].test for z in store[key].geometry.numbers.tolist()}
    assert held <= seen
    assert len(held) >= 10


def test_no_crystal_shares_a_formula_with_a_molecule(unpacked: tuple[Store, dict[str, Split]]) -> None:
    store, splits = unpacked
    crystals = formulas(store, tuple(keys_of(splits["crystals"])), True)
    assert not crystals & formulas(store, tuple(keys_of(splits["molecules"])), True)


def test_splits_cover_the_store_once(unpacked: tuple[Store, dict[str, Split]]) -> None:
    store, splits = unpacked
    assert sorted(keys_of(splits["all"])) == sorted(store.keys())
    for part in PARTS:
        joined = [key for kind in build.KINDS for key in splits[kind].part(part)]
        assert sorted(joined) == sorted(splits["all"].part(part))


def test_demo_molecules_keep_their_part(unpacked: tuple[Store, dict[str, Split]]) -> None:
    demo = {record["key"]: record["part"] for record in read_index(BUNDLES["demo_set"])[1]}
    _, splits = unpacked
    assert {key: part for part in PARTS for key in splits["all"].part(part) if key in demo} == demo


def test_test_entries_have_the_superposition_of_atoms(unpacked: tuple[Store, dict[str, Split]]) -> None:
    store, splits = unpacked
    for key in splits["all"].test:
        entry = store[key]
        assert entry.baseline is not None
        total = entry.values[0].astype(np.float64)
        # computed from the unrounded densities when the entry was generated
        assert np.abs(entry.baseline - total).sum() / np.abs(total).sum() == pytest.approx(
            entry.meta["nmae_sad"], abs=2.5e-4
        )


def test_spin_is_a_second_channel(unpacked: tuple[Store, dict[str, Split]], records: list[dict[str, Any]]) -> None:
    store, _ = unpacked
    polarised = [record["key"] for record in records if "magnetisation" in record]
    assert polarised
    for key in store:
        assert store.channels(key) == (2 if key in polarised else 1)
    for key in polarised:
        assert {8} < set(store[key].geometry.numbers.tolist())
        assert store[key].density().magnetisation() == pytest.approx(store[key].meta["magnetisation"], abs=0.02)


def test_rounding_stays_below_its_bound(
    unpacked: tuple[Store, dict[str, Split]], records: list[dict[str, Any]], shared: Path
) -> None:
    packed = [record for record in records if "from" not in record]
    for record in packed:
        assert all(
            record[name]["error"] <= 1e-4 for name in ("density", "baseline", "magnetisation") if record.get(name)
        )
    errors = {record["key"]: record["density"]["error"] for record in packed}
    for name, key in (("crystals/hand-LiCoO2", "hand-LiCoO2"), ("ec_liquid/ec4_0000", "ec4_0000")):
        with np.load(shared / "dft" / f"{name}.npz") as file:
            exact = file["density"].astype(np.float64)
        found = np.abs(unpacked[0][key].values[0] - exact).sum() / exact.sum()
        assert found == pytest.approx(errors[key], rel=1e-5)
        assert 0 < found <= 1e-4


def test_unpacking_twice_changes_nothing(unpacked: tuple[Store, dict[str, Split]]) -> None:
    store, _ = unpacked
    before = store.hash()
    unpack(BUNDLES["benchmark_set"], store.path.parent)
    assert Store(store.path).hash() == before


def test_another_demo_set_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "demo"
    shutil.copytree(BUNDLES["demo_set"], other)
    write_bundle(other, {"settings": {}}, [])
    monkeypatch.setitem(BUNDLES, "demo_set", other)
    with pytest.raises(InputError, match="is not the demo set that"):
        unpack(BUNDLES["benchmark_set"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_entries_computed_again_keep_their_part(
    unpacked: tuple[Store, dict[str, Split]], records: list[dict[str, Any]], tmp_path: Path
) -> None:
    chosen = [record for record in records if record["kind"] == "crystals" and record["shape"] == [16, 16, 16]][:3]
    sources = []
    for record in chosen:
        entry = unpacked[0][record["key"]]
        assert entry.baseline is not None
        geometry = {name: getattr(entry.geometry, name) for name in ("numbers", "positions", "cell", "pbc")}
        smearing = f"FD {record['settings']['smearing']} eV"
        meta = json.dumps({**entry.meta, "kpts_density": record["settings"]["kpts_density"], "smearing": smearing})
        path = tmp_path / f"{record['key']}.npz"
        density = entry.values if entry.channels == 2 else entry.values[0]
        np.savez(path, **geometry, density=density, density_sad=entry.baseline, n_electrons=entry.electrons, meta=meta)
        part = {"key": record["key"], "kind": "crystals", "part": "test", "formula": "X"}
        sources.append(Source(path, part, True, build.META))
    write_bundle(tmp_path / "committed", {}, sources)
    made = build.build_again(tmp_path, tmp_path / "again", tmp_path / "committed")
    assert len(made) - len(chosen) == sum("from" in record for record in records)
    for before, after in zip(chosen, made, strict=False):
        assert after["part"] == "test"
        assert [after[name] for name in ("key", "kind", "formula", "settings", "shape")] == [
            before[name] for name in ("key", "kind", "formula", "settings", "shape")
        ]
        assert after["meta"]["energy_eV"] == before["meta"]["energy_eV"]


def as_generated(folder: Path, name: str, entry: StoreEntry, smearing: float, numbers: list[int] | None = None) -> None:
    """An npz as the generator writes it, with the density of an entry of the store."""
    geometry = {name: getattr(entry.geometry, name) for name in ("numbers", "positions", "cell", "pbc")}
    geometry |= {} if numbers is None else {"numbers": np.array(numbers)}
    meta = json.dumps({**entry.meta, "smearing": f"FD {smearing} eV"})
    baseline = {} if entry.baseline is None else {"density_sad": entry.baseline}
    folder.mkdir(exist_ok=True)
    fields = {**geometry, "density": entry.values[0], "n_electrons": entry.electrons, "meta": meta, **baseline}
    np.savez(folder / f"{name}.npz", **fields)


def test_an_extended_set_keeps_what_stays(
    unpacked: tuple[Store, dict[str, Split]], records: list[dict[str, Any]], tmp_path: Path
) -> None:
    store, splits = unpacked
    bundle = tmp_path / "bundle"
    shutil.copytree(BUNDLES["benchmark_set"], bundle)
    crystals = [record for record in records if record["kind"] == "crystals" and "magnetisation" not in record]
    tested = next(record for record in crystals if record["part"] == "test")
    dropped, other = [record["key"] for record in crystals if record["part"] == "train"][:2]
    as_generated(tmp_path / "liquids", "ec4-made-up", store[splits["liquids"].train[0]], 0.05)
    folder = tmp_path / "crystals"
    as_generated(folder, "known-formula", store[tested["key"]], 0.1)
    as_generated(folder, other, store[other], 0.1)  # in the set already
    salt = store["hand-NaCl"]
    for metal in (3, 11, 19, 37, 55):  # formulas that the set lacks; gold is in two other training formulas
        as_generated(folder, f"gold-{metal}", salt, 0.1, numbers=[metal, 79])
    made = build.extend({"crystals": [folder], "liquids": [tmp_path / "liquids"]}, [dropped], bundle)

    part_of = {record["key"]: record["part"] for record in made}
    assert dropped not in part_of
    assert part_of["known-formula"] == "test"
    assert part_of["ec4-made-up"] == "train"
    assert sum(part_of[f"gold-{metal}"] == "test" for metal in (3, 11, 19, 37, 55)) == 1  # a fifth
    assert {record["key"]: record["part"] for record in records} == {
        key: part for key, part in part_of.items() if key != "known-formula" and "gold" not in key and "made" not in key
    } | {dropped: "train"}
    with StoreWriter(tmp_path / "store") as writer:
        add_to_store(writer, bundle, [record for record in made if "from" not in record], {})
    extended = Store(tmp_path / "store")
    for key in extended:
        if key in store:
            np.testing.assert_array_equal(extended[key].values, store[key].values)
    liquid = store[splits["liquids"].train[0]]
    found = extended["ec4-made-up"]
    assert found.geometry.positions.tolist() == liquid.geometry.positions.tolist()
    assert np.abs(found.values - liquid.values).sum() <= 2.1e-4 * np.abs(liquid.values).sum()
    with pytest.raises(ValueError, match="nothing that"):
        build.extend({"crystals": [folder], "liquids": []}, [], bundle)
    with pytest.raises(InputError, match="no density named nobody"):
        build.extend({"crystals": [], "liquids": []}, ["nobody"], bundle)


@pytest.mark.skipif(not PYTHON.exists(), reason="no GPAW environment; `make gpaw` builds it")
def test_generator_takes_structures_and_settings_from_the_index(records: list[dict[str, Any]]) -> None:
    script = (
        "import json\nfrom pathlib import Path\nfrom again import bundled\n"
        "print(json.dumps([[a.info['tag'], a.numbers.tolist(), a.positions.tolist(), a.info['settings'],\n"
        "    'moments' in a.info] for a in bundled(Path.cwd().parent, 10**6)]))\n"
    )
    folder = CARD.parents[1] / "open_dft"
    done = subprocess.run([PYTHON, "-W", "ignore", "-c", script], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    made = {tag: rest for tag, *rest in json.loads(done.stdout)}
    assert list(made) == [record["key"] for record in records]
    for record in records:
        numbers, positions, settings, polarised = made[record["key"]]
        if "from" in record:
            assert settings == {"kpts_density": 0.0, "smearing": 0.01}
        else:
            assert (numbers, positions) == (record["numbers"], record["positions"])
            assert settings["smearing"] == {"crystals": 0.1, "molecules": 0.01, "liquids": 0.05}[record["kind"]]
            assert polarised == ("magnetisation" in record)


def test_data_card_states_the_committed_files(records: list[dict[str, Any]]) -> None:
    header = read_index(BUNDLES["benchmark_set"])[0]
    card = CARD.read_text(encoding="utf-8")
    assert header["sha256"] in card
    assert header["demo_set_sha256"] in card
    assert build.report(records) in card


def test_crystals_are_divided_by_formula_whatever_the_order() -> None:
    elements = {f"{a}-{b}": frozenset({a, b}) for a in range(1, 8) for b in range(10, 14)} | {
        "rare": frozenset({99, 1})
    }
    formula_of = {f"{formula}-{copy}": formula for formula in elements for copy in range(2)}
    parts = divide.divide_crystals(formula_of, elements)
    assert parts == divide.divide_crystals(dict(reversed(formula_of.items())), elements)
    assert all(parts[f"{formula}-0"] == parts[f"{formula}-1"] for formula in elements)
    assert parts["rare-0"] == "train"  # the only formula with its element
    counts = [list(parts.values()).count(part) for part in PARTS]
    assert counts == [40, 6, 12]  # 58 keys, a tenth and a fifth of them, to whole pairs


def test_molecules_follow_the_demo_set() -> None:
    parts = divide.divide_molecules(
        {"a": "CH4", "b": "C2H6", "c": "C2H6", "d": "HF"}, {"CH4": "validation", "C2H6": "test"}, ["a", "b", "d"]
    )
    assert parts == {"a": "validation", "b": "test", "d": "train"}


def test_liquids_are_tested_where_there_is_a_baseline() -> None:
    keys = [f"ec{i}" for i in range(60)]
    parts = divide.divide_liquids(keys, keys[::2])
    assert [list(parts.values()).count(part) for part in PARTS] == [30, 10, 20]
    assert {key for key, part in parts.items() if part == "test"} <= set(keys[::2])
    with pytest.raises(ValueError, match="too few"):
        divide.divide_liquids(keys, keys[:19])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --crystals"),
        (["--again", "nowhere", "-o", "x"], "lacks"),
        (["--again", "a", "--extend"], "give --crystals"),
        (["--again", "a", "--drop", "b"], "give --crystals"),
        (["--extend", "--molecules", "a"], "molecules stand in the demo set"),
    ],
)
def test_wrong_usage_is_one_sentence(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        build.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
