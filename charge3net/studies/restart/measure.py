"""One structure: pw.x from several densities, and what each start is worth."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from charge3net.errors import InputError
from charge3net.io.files import atomic_output, write_whole
from charge3net.io.qe.atoms import superposed_table
from charge3net.io.qe.charge_density import WaveDensity, read_charge_density, write_charge_density
from charge3net.io.qe.gvectors import PlaneWaves, plane_waves
from charge3net.io.qe.pw_output import PwOutput
from charge3net.io.qe.pw_run import run_pw
from charge3net.io.qe.pw_write import format_pw_input
from charge3net.units import BOHR, E_PER_BOHR3

if TYPE_CHECKING:
    from charge3net.atoms.isolated import IsolatedAtoms
    from charge3net.data.store import StoreEntry
    from charge3net.density import Density
    from charge3net.geometry import Geometry
    from charge3net.grid import Grid

#: Names of the starts that need no model: superposed atoms with pw.x's own diagonalisation and with the
#: best one, pw.x's own atoms, the converged density.
SAD, TUNED, OWN, EXACT = "SAD", "SAD, tuned", "pw.x", "exact"
WITHOUT_MODEL = (SAD, TUNED, OWN, EXACT)

#: Ry → meV.
_MEV = 13605.693122994


@dataclass(frozen=True)
class Diagonalisation:
    """How pw.x finds the wavefunctions of a density.

    Attributes:
        threshold: diago_thr_init, Ry, of the first step.
        ndim: diago_david_ndim, Davidson's basis in units of the number of bands; pw.x's own is 2.
    """

    threshold: float
    ndim: int

    def text(self) -> str:
        """For &ELECTRONS."""
        return f"diago_thr_init = {self.threshold:g}, diago_david_ndim = {self.ndim}"

    def __str__(self) -> str:
        return f"{self.threshold:g}-{self.ndim}"


#: pw.x's own for a start from atoms; it does not take this threshold for a file.
ATOMIC = Diagonalisation(1e-2, 2)

#: Ry, conv_thr of the run that ends with the exact density.
_REFERENCE = 1e-13

#: What a non-self-consistent run is asked for: the energy and the bands of the given density.
_FIXED = "startingpot = 'file', electron_maxstep = 1, mixing_beta = 1d-9, diago_thr_init = 1d-9, conv_thr = 1d-12"

#: Bands above the occupied ones in it.
_EMPTY = 2


@dataclass(frozen=True)
class Settings:
    """Of all runs.

    Attributes:
        pseudo_dir, extension: folder and ending of the pseudopotentials' files.
        threshold: conv_thr of the runs whose work is counted, Ry.
        thresholds: conv_thr at which steps are counted; below ``threshold`` from SAD and from the last model only.
        first: of runs from a prediction and from the exact density.
        tuned: of SAD, tuned.
        limit: s of processor time of a run.
    """

    pseudo_dir: Path
    extension: str
    threshold: float
    thresholds: tuple[float, ...]
    first: Diagonalisation
    tuned: Diagonalisation
    limit: float


def without_model(entry: StoreEntry, atoms: IsolatedAtoms, settings: Settings, file: Path) -> dict[str, Any]:
    """The starts of one structure that need no model, as plain JSON values.

    Args:
        entry: a structure with the settings of its run of pw.x.
        atoms: isolated atoms for SAD.
        settings: of the runs.
        file: .npz that the exact density and its bands are written to.

    Raises:
        InputError: if a run does not converge.
    """
    case = _Case(entry, settings)
    density = superposed_table(case.waves, atoms, entry.geometry)
    reference, exact = case.converge(_start(ATOMIC), density, threshold=_REFERENCE)
    energy = float(reference.energies[-1])
    bands = case.fixed(exact).bands
    sad = case.row(case.converge(_start(ATOMIC), density)[0], reference)
    starts = {
        SAD: sad | {"nmae": case.nmae(density, exact), **case.compared(case.fixed(density), bands, energy)},
        TUNED: sad if settings.tuned == ATOMIC else case.row(case.converge(_start(settings.tuned), density)[0]),
    }
    if settings.extension == ".gth":  # without atoms in the file; UPF files hold those of SAD
        starts[OWN] = case.row(case.converge("", None)[0])
    starts[EXACT] = case.row(case.converge(_start(settings.first), exact)[0])
    with atomic_output(file) as stream:
        np.savez(stream, density=exact, bands=bands)
    return {
        "key": entry.key,
        "formula": entry.formula,
        "atoms": len(entry.geometry),
        "energy": energy,
        "gap": _gap(bands, case.occupied),
        "starts": starts,
    }


def with_model(
    entry: StoreEntry,
    predict: Callable[[Geometry, Grid], Density],
    settings: Settings,
    file: Path,
    energy: float,
    tight: bool,
) -> dict[str, Any]:
    """One structure from one prediction, as plain JSON values.

    Args:
        entry, settings: as in :func:`without_model`.
        predict: the density of a structure on a grid.
        file: what :func:`without_model` left.
        energy: the converged one, Ry.
        tight: whether steps below ``settings.threshold`` are counted too, by another run.

    Raises:
        InputError: if a run does not converge.
    """
    case = _Case(entry, settings)
    with np.load(file) as arrays:
        exact, bands = arrays["density"], arrays["bands"]
    began = time.process_time()
    density = case.predicted(predict)
    seconds = time.process_time() - began
    start = _start(settings.first)
    more = case.converge(start, density, threshold=min(settings.thresholds))[0] if tight else None
    return {
        "prediction_seconds": round(seconds, 3),
        **case.row(case.converge(start, density)[0], more),
        "nmae": case.nmae(density, exact),
        **case.compared(case.fixed(density), bands, energy),
    }


def work(
    entry: StoreEntry,
    predict: Callable[[Geometry, Grid], Density] | None,
    atoms: IsolatedAtoms,
    settings: Settings,
    first: Diagonalisation,
) -> dict[str, Any]:
    """Steps and work of one structure from a prediction (None: from superposed atoms) and this diagonalisation.

    Raises:
        InputError: if the run does not converge.
    """
    case = _Case(entry, settings)
    density = superposed_table(case.waves, atoms, entry.geometry) if predict is None else case.predicted(predict)
    return case.row(case.converge(_start(first), density)[0])


def _start(first: Diagonalisation) -> str:
    """Of a run from a density in a file."""
    return f"startingpot = 'file', {first.text()}"


class _Case:
    """One structure and its runs."""

    def __init__(self, entry: StoreEntry, settings: Settings) -> None:
        meta = entry.meta
        missing = [name for name in ("ecutwfc_Ry", "k_mesh", "potentials") if name not in meta]
        if missing:
            raise InputError(f"{entry.key} lacks {missing[0]} in its meta data; it is no run of pw.x as gth_set has")
        self.geometry, self.settings, self.meta = entry.geometry, settings, meta
        self.gamma = meta["k_mesh"] == "gamma"
        self.electrons = float(entry.electrons)
        self.occupied = int(np.ceil(self.electrons / 2 - 1e-6))
        cell = entry.geometry.cell / BOHR
        self.waves: PlaneWaves = plane_waves(cell, 4 * float(meta["ecutwfc_Ry"]), self.gamma)

    def text(self, electrons: str, system: str = "") -> str:
        """The input."""
        mesh = None if self.gamma else self.meta["k_mesh"]
        files = {
            one: str(Path(name).with_suffix(self.settings.extension)) for one, name in self.meta["potentials"].items()
        }
        return format_pw_input(
            self.geometry,
            files,
            ecutwfc=float(self.meta["ecutwfc_Ry"]),
            mesh=mesh,
            shift=0 if mesh is None or len(mesh) == 3 else int(mesh[3]),
            pseudo_dir=str(self.settings.pseudo_dir.resolve()),
            control="disk_io = 'low', verbosity = 'high', iprint = 1",
            system=f"{self.meta.get('occupations', '')} {system}".strip(),
            electrons=electrons,
        )

    def converge(self, start: str, density: ndarray | None, threshold: float = 0.0) -> tuple[PwOutput, ndarray]:
        """A run to a threshold (0: that of the settings), and the density that it ends with.

        Raises:
            InputError: if it does not converge, or does not start as asked.
        """
        with TemporaryDirectory() as scratch:
            folder = Path(scratch)
            electrons = f"conv_thr = {threshold or self.settings.threshold:g}, {start}".rstrip(", ")
            output = self._run(folder, self.text(electrons), density)
            if not output.converged:
                raise InputError(f"pw.x did not converge in {len(output.accuracy)} steps")
            return output, read_charge_density(folder / "out" / "x.save" / "charge-density.dat").values[0]

    def fixed(self, density: ndarray) -> PwOutput:
        """Energy and bands of a density without self-consistency."""
        with TemporaryDirectory() as scratch:
            return self._run(Path(scratch), self.text(_FIXED, f"nbnd = {self.occupied + _EMPTY}"), density)

    def _run(self, folder: Path, text: str, density: ndarray | None) -> PwOutput:
        write_whole(folder / "x.in", text)
        if density is not None:
            save = folder / "out" / "x.save"
            save.mkdir(parents=True)
            write_charge_density(save / "charge-density.dat", WaveDensity.of(self.waves, density[None]))
        output = run_pw(folder, self.settings.limit)
        if output.from_file != (density is not None):
            raise InputError("pw.x did not start from the density that it was given")
        return output

    def predicted(self, predict: Callable[[Geometry, Grid], Density]) -> ndarray:
        """[waves] e/bohr³, with the right number of electrons."""
        from charge3net.grid import Grid

        density = predict(self.geometry, Grid(self.geometry.cell, self.waves.shape))
        found: ndarray = self.waves.coefficients(density.values)[0] / E_PER_BOHR3
        zero = int(np.flatnonzero((self.waves.miller == 0).all(axis=1))[0])
        return found * self.electrons / (found[zero].real * abs(np.linalg.det(self.waves.cell)))

    def nmae(self, density: ndarray, exact: ndarray) -> float:
        """ε_mae in % on pw.x's FFT grid."""
        values, right = self.waves.values(np.stack([density, exact]))
        return float(100 * np.abs(values - right).sum() / np.abs(right).sum())

    def row(self, output: PwOutput, tight: PwOutput | None = None) -> dict[str, Any]:
        """Steps and work of a run; steps below its threshold are those of a tighter one, or unknown."""
        return {
            "steps": self.steps(output, tight or output),
            "seconds": output.total_seconds,
            "transforms": output.transforms,
            "operations": output.operations,
            "energy": float(output.energies[-1]),
        }

    def steps(self, output: PwOutput, tight: PwOutput) -> list[int | None]:
        """To each threshold; to those below that of the settings, of the tighter run."""
        return [
            (output if threshold >= self.settings.threshold else tight).steps(threshold)
            for threshold in self.settings.thresholds
        ]

    def compared(self, fixed: PwOutput, bands: ndarray, energy: float) -> dict[str, Any]:
        """Errors of a density without self-consistency: energy and bands (occupied ones) in meV, and gap."""
        if fixed.bands.shape != bands.shape or not bands.size:
            raise InputError("pw.x printed no bands; this reader is for pw.x 6.7")
        difference = (fixed.bands - bands)[:, : self.occupied]
        return {
            "energy_without_scf": (float(fixed.energies[-1]) - energy) * _MEV / len(self.geometry),
            "bands": float(1000 * np.abs(difference).mean()),
            "gap": float(1000 * (_gap(fixed.bands, self.occupied) - _gap(bands, self.occupied))),
        }


def _gap(bands: ndarray, occupied: int) -> float:
    """eV between the highest occupied and the lowest empty band; negative where they overlap."""
    return float(bands[:, occupied].min() - bands[:, occupied - 1].max())
