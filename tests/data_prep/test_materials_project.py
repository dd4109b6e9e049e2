"""The Materials Project, from a fake of its client; no network."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
from pymatgen.io.vasp import Chgcar
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from charge3net.data.splits import read_split
from charge3net.data.store import Store
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from data_prep.published import materials_project
from data_prep.published.mp_client import MaterialsProject, density_of, id_number
from data_prep.published.mp_fetch import Manifest, Record, distinct, space_group
from tests.helpers.fake_materials_project import FakeRester, FakeService, caesium_chloride, make_chgcar, rock_salt


@pytest.fixture
def waited() -> list[float]:
    """Seconds that would have been waited."""
    return []


@pytest.fixture
def service() -> FakeService:
    """Six materials.

    mp-1 has the task asked for; mp-2's vanished, a later one has a density; mp-3 has none at all; mp-4 was merged into
    mp-40; mp-5 and mp-6 are one compound in one space group; mp-7 is a nearly empty cell.
    """
    structures = {
        "mp-101": rock_salt(4.2),
        "mp-202": rock_salt(5.0, ("Ca", "O")),
        "mp-401": caesium_chloride(3.1),
        "mp-501": rock_salt(5.6, ("Na", "Cl")),
        "mp-601": rock_salt(5.7, ("Na", "Cl")),
        "mp-701": caesium_chloride(6.0, ("Cs", "Cl")),
    }
    chgcars = {task: make_chgcar(structure, int(task[3:]))[0] for task, structure in structures.items()}
    tasks = {
        "mp-1": {"mp-101": "2020", "mp-102": "2023"},
        "mp-2": {"mp-202": "2021", "mp-203": "2022", "mp-200": "2019"},
        "mp-3": {"mp-301": "2020"},
        "mp-40": {"mp-401": "2020"},
        "mp-5": {"mp-501": "2020"},
        "mp-6": {"mp-601": "2020"},
        "mp-7": {"mp-701": "2020"},
    }
    return FakeService(chgcars, tasks, merged={"mp-4": "mp-40"})


TASK_IDS = {f"mp-{n}": f"mp-{n}01" for n in range(1, 8)}


def patient(service: FakeService, waited: list[float] | None = None) -> MaterialsProject:
    """Does not really wait."""
    return MaterialsProject(service.rester, wait=([] if waited is None else waited).append)


def run(service: FakeService, tmp_path: Path, *more: str) -> int:
    (tmp_path / "tasks.json").write_text(json.dumps(TASK_IDS))
    arguments = ["-o", str(tmp_path / "store"), "--task-ids", str(tmp_path / "tasks.json"), "--jobs", "2", *more]
    return materials_project.main(arguments, patient(service))


def test_had_changed_missing(service: FakeService, tmp_path: Path) -> None:
    del service.tasks["mp-3"]
    service.chgcars.pop("mp-401")
    service.chgcars["mp-402"] = make_chgcar(caesium_chloride(3.1), 402)[0]
    service.tasks["mp-40"] = {"mp-402": "2020"}
    assert run(service, tmp_path) == 0
    records = Manifest(tmp_path / "store").records
    assert {key: record.status for key, record in records.items()} == {
        "mp-1": "had",
        "mp-2": "changed",
        "mp-3": "missing",
        "mp-4": "changed",
        "mp-5": "had",
        "mp-6": "had",
        "mp-7": "had",
    }
    assert (records["mp-1"].asked, records["mp-1"].task_id) == ("mp-101", "mp-101")
    assert (records["mp-2"].asked, records["mp-2"].task_id) == ("mp-201", "mp-202")
    assert "mp-201" in records["mp-2"].reason
    assert records["mp-4"].task_id == "mp-402"
    assert (records["mp-3"].task_id, records["mp-3"].formula) == (None, None)
    assert (records["mp-1"].formula, records["mp-1"].space_group) == ("MgO", 225)
    assert records["mp-7"].volume_per_atom == pytest.approx(6.0**3 / 2)
    assert service.asked.index("mp-203") < service.asked.index("mp-202")  # the latest first
    store = Store(tmp_path / "store")
    assert store.keys() == ["mp-1", "mp-2", "mp-4", "mp-5", "mp-6", "mp-7"]
    assert store["mp-2"].meta["task_id"] == "mp-202"
    np.testing.assert_allclose(store["mp-1"].values, make_chgcar(rock_salt(4.2), 101)[1], rtol=1e-6)


def test_without_a_map_the_latest_of_everything(service: FakeService, tmp_path: Path) -> None:
    assert materials_project.main(["-o", str(tmp_path / "store"), "--limit", "2"], patient(service)) == 0
    records = Manifest(tmp_path / "store").records
    assert [(record.status, record.task_id) for record in records.values()] == [("had", "mp-101"), ("had", "mp-202")]


def test_goes_on_after_an_interruption(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(what: str) -> bool:
        if what == "mp-601":
            raise KeyboardInterrupt
        return False

    service.fail = interrupted
    assert run(service, tmp_path, "--jobs", "1") == 130
    assert "--resume" in capsys.readouterr().err
    stored = Store(tmp_path / "store").keys()
    assert stored == ["mp-1", "mp-2", "mp-4", "mp-5"][: len(stored)]
    manifest = tmp_path / "store" / "manifest.jsonl"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(lines[:-1]) + lines[-1][:20])  # as if it had stopped within a line
    service.fail, service.asked = lambda what: False, []
    assert run(service, tmp_path) == 2  # not without --resume
    assert run(service, tmp_path, "--resume") == 0
    assert not set(service.asked) & {TASK_IDS[key] for key in stored}
    assert Store(tmp_path / "store").keys() == ["mp-1", "mp-2", "mp-4", "mp-5", "mp-6", "mp-7"]
    records = Manifest(tmp_path / "store").records
    assert sorted(records) == sorted(TASK_IDS)
    assert (records["mp-2"].status, records["mp-2"].task_id, records["mp-2"].formula) == ("changed", "mp-202", "CaO")
    service.asked = []
    assert run(service, tmp_path, "--resume") == 0
    assert service.asked == []


def test_asks_again_and_lists_what_failed(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.fail = lambda what: what == "mp-501" or (what == "mp-101" and service.asked.count(what) < 3)
    assert run(service, tmp_path, "--held-out", "1", "1") == 1
    assert service.asked.count("mp-101") == 3
    assert service.asked.count("mp-501") == 4
    record = Manifest(tmp_path / "store").records["mp-5"]
    assert record.status == "failed"
    assert "no answer about mp-501" in record.reason
    assert "1 materials failed" in capsys.readouterr().err
    assert not (tmp_path / "store" / "split.json").exists()
    service.fail = lambda what: False
    assert run(service, tmp_path, "--resume", "--held-out", "1", "1") == 0
    assert Manifest(tmp_path / "store").records["mp-5"].status == "had"
    assert (tmp_path / "store" / "split.json").exists()


def test_again_asks_for_what_was_missing(service: FakeService, tmp_path: Path) -> None:
    assert run(service, tmp_path) == 0
    service.chgcars["mp-301"] = make_chgcar(rock_salt(4.0), 1)[0]
    assert run(service, tmp_path, "--resume") == 0
    assert "mp-3" not in Store(tmp_path / "store")
    assert run(service, tmp_path, "--resume", "--again") == 0
    assert "mp-3" in Store(tmp_path / "store")
    assert Manifest(tmp_path / "store").records["mp-3"].status == "had"


def test_a_service_that_is_down_stops_the_run(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.fail = lambda what: True
    (tmp_path / "many.json").write_text(json.dumps({f"mp-{n}": f"mp-{n}" for n in range(100)}))
    arguments = ["-o", str(tmp_path / "store"), "--task-ids", str(tmp_path / "many.json"), "--jobs", "1"]
    assert materials_project.main(arguments, patient(service)) == 2
    assert "the last 20 materials could not be fetched" in capsys.readouterr().err
    assert len({what for what in service.asked if what.startswith("mp-")}) < 30


def test_unusable_densities_are_rejected_with_a_reason(service: FakeService, tmp_path: Path) -> None:
    chgcar, rho = make_chgcar(rock_salt(4.2), 101)
    service.chgcars["mp-101"] = Chgcar(chgcar.poscar, {"total": np.where(rho[0] < 0.2, np.nan, rho[0])})
    service.chgcars["mp-501"] = Chgcar(chgcar.poscar, {"total": np.ones((2, 2, 2))})
    service.chgcars["mp-501"].data = {}
    valence = tmp_path / "valence.json"
    valence.write_text(json.dumps({"Cs": 9, "Cl": 7}))
    assert run(service, tmp_path, "--valence", str(valence)) == 0
    records = Manifest(tmp_path / "store").records
    assert [key for key, record in records.items() if record.status == "rejected"] == ["mp-1", "mp-5", "mp-7"]
    assert "not finite" in records["mp-1"].reason
    assert "no total density" in records["mp-5"].reason
    assert "where 16 are expected" in records["mp-7"].reason


def test_published_split(service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "filelist.txt").write_text("mp-7\nmp-6\nmp-5\nmp-4\nmp-3\nmp-2\nmp-1\n")
    (tmp_path / "split.json").write_text(json.dumps({"train": [1, 5, 4], "validation": [6], "test": [0, 3]}))
    files = ["--split", str(tmp_path / "split.json"), "--file-list", str(tmp_path / "filelist.txt")]
    assert run(service, tmp_path, *files) == 0
    assert "mp-5" not in Store(tmp_path / "store")  # in no part: not fetched
    split = read_split(tmp_path / "store" / "split.json")
    assert split.train == ("mp-6", "mp-2")  # mp-3 is missing
    assert split.validation == ("mp-1",)
    assert split.test == ("mp-4",)  # mp-7 has 108 Å³ per atom
    assert run(service, tmp_path, *files[:2], "--resume") == 2  # positions without the list


def test_a_new_split_has_no_duplicates(service: FakeService, tmp_path: Path) -> None:
    assert run(service, tmp_path, "--held-out", "1", "2", "--seed", "3") == 0
    split = read_split(tmp_path / "store" / "split.json")
    names = split.train + split.validation + split.test
    assert set(names) <= {"mp-1", "mp-2", "mp-4", "mp-6", "mp-7"}
    assert set(names) >= {"mp-1", "mp-2", "mp-4", "mp-6"}
    assert "mp-7" not in split.test
    assert (len(split.train), len(split.validation)) == (2, 1)


def test_duplicates_keep_the_highest_id() -> None:
    kinds = {"mp-9": ("SiO2", 152), "mp-10": ("SiO2", 152), "mp-99": ("SiO2", 154), "mp-ab": ("SiO2", 154)}
    records = {key: Record(key, "had", formula=formula, space_group=sg) for key, (formula, sg) in kinds.items()}
    assert distinct(records) == ["mp-10", "mp-99"]  # "ab" is 1


@pytest.mark.parametrize(
    ("name", "number"), [("mp-149", 149), ("mp-ft", 149), ("mvc-12", 12), ("mp-1", 1), ("mp-aaaaft", 149)]
)
def test_numbers_of_ids(name: str, number: int) -> None:
    assert id_number(name) == number


def test_ids_of_another_form() -> None:
    with pytest.raises(InputError, match="no id of the Materials Project"):
        id_number("mp-14x")


def test_space_groups_agree_with_pymatgen() -> None:
    for structure in (caesium_chloride(3.0), rock_salt(4.2)):
        structure.translate_sites([0], [0.0, 0.0, 0.01])
        expected = SpacegroupAnalyzer(structure, symprec=0.01).get_space_group_number()
        assert space_group(Geometry.of(structure)) == expected


def test_densities_keep_the_magnetisation(shared: Path) -> None:
    chgcar = Chgcar.from_file(str(shared / "real" / "CHGCAR.LiCoO2_spin.gz"))
    for given in (chgcar, chgcar.as_dict()):
        density = density_of(given)
        assert density.electrons() == pytest.approx(48.0, abs=1e-3)
        total = chgcar.data["diff"].sum() / chgcar.data["diff"].size  # ∫m, since the file holds m·V
        assert density.magnetisation() == pytest.approx(total, abs=1e-4)


def test_one_sentence_without_a_key_or_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MP_API_KEY", raising=False)
    (tmp_path / "tasks.json").write_text(json.dumps(TASK_IDS))
    assert materials_project.main(["-o", str(tmp_path / "s"), "--task-ids", str(tmp_path / "tasks.json")]) == 2
    error = capsys.readouterr().err
    assert "MP_API_KEY is not set" in error or "pip install mp-api" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("content", ["[]", "{}", "{", '{"mp-1": 3}'])
def test_a_map_that_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "tasks.json").write_text(content)
    with pytest.raises(InputError, match="must be a JSON file of task ids"):
        materials_project.read_task_ids(tmp_path / "tasks.json")


def test_too_few_to_hold_out(service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(service, tmp_path, "--held-out", "3", "2") == 2
    assert "there are 5 distinct materials, too few to hold out 5" in capsys.readouterr().err


def test_the_fake_has_the_interface_of_the_real_client() -> None:
    real = pytest.importorskip("mp_api.client", reason="mp-api is not installed").MPRester
    for name in (
        "get_charge_density_from_task_id",
        "get_task_ids_associated_with_material_id",
        "get_material_id_from_task_id",
    ):
        expected = list(inspect.signature(getattr(real, name)).parameters)
        assert list(inspect.signature(getattr(FakeRester, name)).parameters) == expected
    from mp_api.client.routes.materials.summary import SummaryRester
    from mp_api.client.routes.materials.tasks import TaskRester

    for route, search in ((SummaryRester, FakeRester._search_summary), (TaskRester, FakeRester._search_tasks)):
        assert set(inspect.signature(search).parameters) <= set(inspect.signature(route.search).parameters)


def test_waits_longer_each_time(service: FakeService, waited: list[float]) -> None:
    service.fail = lambda what: True
    assert patient(service, waited).fetch("mp-1", "mp-101").status == "failed"
    assert waited == [2.0, 4.0, 8.0]


def test_one_client_per_thread(service: FakeService) -> None:
    made: list[FakeRester] = []
    project = MaterialsProject(lambda: made.append(service.rester()) or made[-1])  # type: ignore[func-returns-value]
    assert project.fetch("mp-1", "mp-101").status == "had"
    assert project.materials_with_density()[0] == "mp-1"
    assert len(made) == 1
