"""Many materials into a store, with a manifest of what was had, missing or changed."""

from __future__ import annotations

import json
import sys
from collections import Counter, deque
from collections.abc import Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from charge3net.data.index import INDEX
from charge3net.data.store import Store
from charge3net.data.writer import StoreWriter
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from data_prep.published.mp_client import Fetched, MaterialsProject, id_number
from data_prep.published.tar_members import known_electrons

MANIFEST = "manifest.jsonl"
#: Not asked for again unless told to.
SETTLED = ("missing", "rejected")
#: So many failures in a row are taken for a service that is down.
PATIENCE = 20


@dataclass(frozen=True)
class Record:
    """A line of the manifest.

    Attributes:
        material_id: name of the entry.
        status: as in :class:`Fetched`; ``"rejected"`` also if the store refused it.
        asked: task that was asked for.
        task_id: task whose density it is.
        formula: reduced formula.
        space_group: number, with spglib's symprec 0.01 Å.
        volume_per_atom: Å³.
        reason: why it is not ``"had"``.
        time: UTC, to the second.
    """

    material_id: str
    status: str
    asked: str | None = None
    task_id: str | None = None
    formula: str | None = None
    space_group: int | None = None
    volume_per_atom: float | None = None
    reason: str = ""
    time: str = ""


class Manifest:
    """JSON lines in a store's folder; the last line of a material counts, a line without an end does not.

    Raises:
        InputError: for a line that is none of ours.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / MANIFEST
        self.records: dict[str, Record] = {}
        data = self.path.read_bytes() if self.path.exists() else b""
        self._end = data.rfind(b"\n") + 1
        for number, line in enumerate(data[: self._end].splitlines(), start=1):
            try:
                record = Record(**json.loads(line))
            except (ValueError, TypeError):
                raise InputError(f"{self.path} line {number} is damaged; delete that line") from None
            self.records[record.material_id] = record

    def add(self, record: Record) -> None:
        """Append a line."""
        line = json.dumps(asdict(record), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        with open(self.path, "r+b" if self.path.exists() else "wb") as file:
            file.seek(self._end)
            file.write(line)
            file.truncate()
        self._end += len(line)
        self.records[record.material_id] = record

    def counts(self) -> dict[str, int]:
        """Status → number of materials."""
        return dict(Counter(record.status for record in self.records.values()))


def fetch_all(
    project: MaterialsProject,
    wanted: Mapping[str, str | None],
    output: str | Path,
    jobs: int = 4,
    resume: bool = False,
    again: bool = False,
    valence: Mapping[str, float] | None = None,
) -> Manifest:
    """Fetch materials into a store, and write the manifest beside its index.

    Args:
        project: answers.
        wanted: material → task to take, None for the latest.
        output: folder of the store.
        jobs: questions under way at once; the service is shared, keep it small.
        resume: go on with a store that exists.
        again: ask again for what was missing or rejected.
        valence: valence electrons per element; where every element is in it, ∫ρ is checked.

    Raises:
        InputError: if the store exists and ``resume`` is False, or the service seems to be down.
    """
    from tqdm import tqdm

    output = Path(output)
    if (output / INDEX).exists() and not resume:
        raise InputError(f"{output} exists; add --resume to go on with it, or name another folder")
    if jobs < 1:
        raise InputError(f"at least one question must be under way, found jobs={jobs}")
    manifest = Manifest(output)
    settled = set() if again else {key for key, record in manifest.records.items() if record.status in SETTLED}
    settled |= set(Store(output).keys()) if (output / INDEX).exists() else set()
    todo = {key: task for key, task in wanted.items() if key not in settled}
    if todo:
        project.connect()
    with StoreWriter(output) as writer:
        _catch_up(manifest, output)
        failures = 0
        interval = 0.2 if sys.stderr.isatty() else 30.0
        fetching = _fetch_in_order(project, todo, jobs)
        for fetched in tqdm(fetching, total=len(todo), unit="material", desc="fetching", mininterval=interval):
            manifest.add(_store(writer, fetched, valence or {}))
            failures = failures + 1 if fetched.status == "failed" else 0
            if failures == PATIENCE:
                fetching.close()
                raise InputError(
                    f"the last {PATIENCE} materials could not be fetched ({fetched.reason}); "
                    "check the key and the network, then go on with --resume"
                )
    return manifest


def distinct(records: Mapping[str, Record]) -> list[str]:
    """Materials without duplicates: of those with one reduced formula and space group the highest id is kept."""
    kept: dict[tuple[str | None, int | None], str] = {}
    for key, record in records.items():
        kind = (record.formula, record.space_group)
        if kind not in kept or id_number(key) > id_number(kept[kind]):
            kept[kind] = key
    return sorted(kept.values(), key=id_number)


def space_group(geometry: Geometry) -> int | None:
    """Space group number with symprec 0.01 Å and 5°, or None where spglib finds none."""
    import numpy as np
    import spglib

    positions = np.linalg.solve(geometry.cell.T, geometry.positions.T).T
    crystal = (geometry.cell.tolist(), positions.tolist(), geometry.numbers.tolist())
    found = spglib.get_spacegroup(crystal, symprec=0.01, angle_tolerance=5.0)  # "Fd-3m (227)"
    return None if found is None else int(found.rpartition("(")[2].rstrip(")"))


def _fetch_in_order(
    project: MaterialsProject, todo: Mapping[str, str | None], jobs: int
) -> Generator[Fetched, None, None]:
    """Answers in the order of the materials; at most a few densities are held in memory."""
    waiting: deque[Future[Fetched]] = deque()
    pool = ThreadPoolExecutor(jobs)
    try:
        for key, task in todo.items():
            waiting.append(pool.submit(project.fetch, key, task))
            if len(waiting) > 2 * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _store(writer: StoreWriter, fetched: Fetched, valence: Mapping[str, float]) -> Record:
    """Store a density; the line of the manifest."""
    density, status, reason = fetched.density, fetched.status, fetched.reason
    if density is None:
        return _record(fetched.material_id, status, fetched.asked, None, None, reason)
    meta = {"set": "materials_project", "status": status, "asked": fetched.asked, "task_id": fetched.task_id}
    if not writer.add(fetched.material_id, density, electrons=known_electrons(density, valence), meta=meta):
        status, reason = "rejected", writer.rejected[fetched.material_id]
    return _record(fetched.material_id, status, fetched.asked, fetched.task_id, density.geometry, reason)


def _record(
    key: str, status: str, asked: str | None, task_id: str | None, geometry: Geometry | None, reason: str
) -> Record:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if geometry is None:
        return Record(key, status, asked, task_id, reason=reason, time=now)
    volume = round(geometry.volume / len(geometry), 4)
    return Record(key, status, asked, task_id, geometry.formula, space_group(geometry), volume, reason, now)


def _catch_up(manifest: Manifest, output: Path) -> None:
    """Lines for entries that were stored just before an interruption."""
    store = Store(output)
    for key in store:
        record = manifest.records.get(key)
        if record is None or record.status not in ("had", "changed"):
            entry = store[key]
            meta = entry.meta
            manifest.add(
                _record(key, meta.get("status", "had"), meta.get("asked"), meta.get("task_id"), entry.geometry, "")
            )
