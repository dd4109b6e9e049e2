"""Predictor: a structure and a grid in, a density out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from charge3net.checkpoints import ModelCard, load_model, model_record
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph
from charge3net.grid import Grid
from charge3net.kernels import torch_only
from charge3net.models.base import DensityModel
from charge3net.predict.box import close_atoms, prepare_grid
from charge3net.predict.derivatives import Derivatives, arranged, density_derivatives
from charge3net.predict.distributed import ALONE, Processes
from charge3net.predict.electrons import Electrons, check_electrons, settle_electrons, valence_electrons
from charge3net.predict.encoded import EncodedStructure, as_points, encode_sorted
from charge3net.predict.many import Predictions, is_many, one_structure
from charge3net.predict.named import members_of
from charge3net.predict.output import Allocate, output_array
from charge3net.predict.symmetry import irreducible_or_reason, symmetrised_or_reason
from charge3net.progress import Clock, Progress, progress_bar
from charge3net.version import __version__

if TYPE_CHECKING:
    from charge3net.predict.ensemble import EnsemblePredictor

logger = logging.getLogger(__name__)

#: Edges (pairs of probe and atom) evaluated at once: some kB each in the largest model.
EDGES_ON_CPU, EDGES_ON_GPU = 1 << 15, 1 << 19


class PredictionWarning(UserWarning):
    """The prediction may be wrong; the message gives the reason."""


def issue(messages: Sequence[str]) -> None:
    """Warnings of a prediction as Python warnings, at the line that called what calls this."""
    for message in messages:
        warnings.warn(message, PredictionWarning, stacklevel=4)


class Predictor:
    """Predicts electron densities with one model.

    The atoms are encoded once per structure; the grid is then evaluated in chunks with a bounded number of edges, so
    the memory beyond the output array does not grow with the grid.

    Args:
        model: any density model; or the name of a shipped or published one (`charge3net models`), a run folder, a
            checkpoint folder, released weights. A model is moved to ``device`` and set to evaluation. Of an
            ensemble the mean of its members is predicted.
        card: description of the model, with the elements it was trained on; that of a named model is its own.
        device: None takes a GPU if there is one, else the CPU.
        edge_budget: pairs of probe and atom evaluated at once; None takes 32 768 on a CPU and 524 288 on a GPU.
        strict_elements: refuse structures with elements the model has not seen, instead of a warning.
        kernels: False uses plain torch, without compiled kernels and their radial tables.

    The output has the model's dtype: float32, unless the model was turned into another.

    Raises:
        InputError: for a name or path without a model, a device that cannot be used, or an edge budget below 1.
    """

    def __init__(
        self,
        model: DensityModel | str | Path,
        card: ModelCard | None = None,
        *,
        device: str | torch.device | None = None,
        edge_budget: int | None = None,
        strict_elements: bool = False,
        kernels: bool = True,
    ) -> None:
        self.device = _device(device)
        if edge_budget is not None and edge_budget < 1:
            raise InputError(f"the edge budget is a positive number of edges, found {edge_budget}")
        self.edge_budget = edge_budget or (EDGES_ON_CPU if self.device.type == "cpu" else EDGES_ON_GPU)
        self.strict_elements, self.kernels = strict_elements, kernels
        self._ensemble: EnsemblePredictor | None = None
        if isinstance(model, str | Path):
            model, card = self._open(model)
        self.model = model.to(self.device).eval()
        self.card = card

    def __repr__(self) -> str:
        parts = [self.model.architecture]
        if self._ensemble is not None:
            parts.append(f"mean of {len(self._ensemble.members)}")
        if self.card is not None and self.card.elements:
            parts.append(f"{len(self.card.elements)} elements")
        return f"Predictor({', '.join([*parts, str(self.device)])})"

    def _open(self, name: str | Path) -> tuple[DensityModel, ModelCard | None]:
        """The only member of a named model, or the first of an ensemble."""
        paths, calibration, training_set, conserved = members_of(name)
        if len(paths) == 1:
            return load_model(paths[0])
        from charge3net.predict.ensemble import EnsemblePredictor

        members = [
            Predictor.from_checkpoint(
                path,
                device=self.device,
                edge_budget=self.edge_budget,
                strict_elements=self.strict_elements,
                kernels=self.kernels,
            )
            for path in paths
        ]
        self._ensemble = EnsemblePredictor(members, calibration, training_set, conserved)
        return members[0].model, members[0].card

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        *,
        device: str | torch.device | None = None,
        edge_budget: int | None = None,
        strict_elements: bool = False,
        kernels: bool = True,
    ) -> Predictor:
        """With the model of a run folder, a checkpoint folder or a released weight file.

        Raises:
            InputError: if there is no model at ``path``.
        """
        model, card = load_model(path)
        return cls(
            model, card, device=device, edge_budget=edge_budget, strict_elements=strict_elements, kernels=kernels
        )

    @overload
    def predict(
        self,
        structure: list[Any] | tuple[Any, ...] | Iterator[Any],
        *,
        shape: tuple[int, int, int] | None = None,
        spacing: float | None = None,
        encut: float | None = None,
        grid: Grid | None = None,
        like: Density | Grid | str | Path | None = None,
        symmetry: bool = True,
        electrons: Electrons = None,
        progress: bool | Progress = False,
        allocate: Allocate | None = None,
        processes: Processes = ALONE,
    ) -> Predictions: ...

    @overload
    def predict(
        self,
        structure: Any,
        *,
        shape: tuple[int, int, int] | None = None,
        spacing: float | None = None,
        encut: float | None = None,
        grid: Grid | None = None,
        like: Density | Grid | str | Path | None = None,
        symmetry: bool = True,
        electrons: Electrons = None,
        progress: bool | Progress = False,
        allocate: Allocate | None = None,
        processes: Processes = ALONE,
    ) -> Density: ...

    def predict(
        self,
        structure: Any,
        *,
        shape: tuple[int, int, int] | None = None,
        spacing: float | None = None,
        encut: float | None = None,
        grid: Grid | None = None,
        like: Density | Grid | str | Path | None = None,
        symmetry: bool = True,
        electrons: Electrons = None,
        progress: bool | Progress = False,
        allocate: Allocate | None = None,
        processes: Processes = ALONE,
    ) -> Density | Predictions:
        """The density of a structure on a grid, or the densities of many structures, one at a time.

        At most one of ``shape``, ``spacing``, ``encut``, ``grid`` and ``like`` names the grid; without any it is the
        coarsest FFT-friendly grid with a spacing of at most 0.1 Å. A structure without a cell takes that of ``grid`` or
        ``like``; else it is put in a box that leaves the model's cutoff as vacuum on every side.

        Args:
            structure: pymatgen Structure or Molecule, ASE Atoms, a Geometry, or the path of a file with one (of several
                frames the last); or a list or any iterable of these.
            shape: number of voxels along the three cell vectors.
            spacing: largest distance of neighbouring voxels, Å.
            encut: plane-wave cutoff in eV; VASP's fine grid for PREC = Accurate.
            grid: any grid, in the structure's own coordinates.
            like: a density or grid, or the path of a density file, with the number of voxels to use, and its origin too
                where the cells agree.
            symmetry: evaluate irreducible voxels only, where the crystal's symmetry allows. With and without it, cell
                and atoms are first moved by up to about 1e-5 Å, such that the symmetry is exact (``symmetrised_by``).
            electrons: scale the total density to this number of electrons, or ``"valence"``: add λ√ρ such that it
                holds the valence of the neutral structure, where the model knows its potentials; ``"none"`` leaves it
                as it is, also where a shipped model would shift it.
            progress: True draws a bar on standard error; or a function of (points done, points), of many structures
                (structures done, structures).
            allocate: makes the array [channels, nx, ny, nz] for the values, in memory or in a file
                (:class:`charge3net.predict.memmap.MemmapAllocator`).
            processes: the processes that share the grid; each of them makes the same call.

        Returns:
            [channels, nx, ny, nz] e/Å³ in the model's dtype, with the model, the settings, notes, warnings and times in
            seconds as its provenance. Of several processes only the collecting one has the values; others have NaN.
            Of many structures an iterator over their densities, which holds none of them; its ``failures`` lists the
            structures that failed (:class:`charge3net.predict.many.Predictions`).

        Raises:
            InputError: for an unusable structure or grid, unseen elements with ``strict_elements``, or a prediction
                that is not finite.
        """
        check_electrons(electrons)
        if isinstance(like, str | Path):
            like = Grid.like(like)
        settings: dict[str, Any] = {
            "shape": shape, "spacing": spacing, "encut": encut, "grid": grid, "like": like, "symmetry": symmetry,
            "electrons": electrons, "allocate": allocate, "processes": processes,
        }  # fmt: skip
        if is_many(structure):
            return Predictions(lambda each: self.predict(each, **settings), structure, progress)
        structure = one_structure(structure)
        if self._ensemble is not None:
            return self._ensemble.predict(structure, progress=progress, **settings)
        clock = Clock()
        like = like.grid if isinstance(like, Density) else like
        placed = prepare_grid(
            Geometry.of(structure), self.model.cutoff, shape=shape, spacing=spacing, encut=encut, grid=grid, like=like
        )
        with processes.together():
            geometry, messages = self._check(placed.geometry, placed.warnings)
            issued = len(messages)
            with clock("symmetry"):
                exact = symmetrised_or_reason(self.model, geometry, placed.grid)
                found = irreducible_or_reason(exact) if symmetry else "switched off"
            geometry, grid = (geometry, placed.grid) if isinstance(exact, str) else (exact.geometry, exact.grid)
            encoded = self._encode(geometry, clock)
            values = output_array(encoded.backend, placed.grid, allocate) if processes.collects else None
        if isinstance(found, str):
            logger.info("symmetry not used: %s", found)
        with progress_bar(progress, "points") as report, self._switch():
            encoded.density_on(values, grid, None if isinstance(found, str) else found, report, processes)
        if values is None:
            values = np.broadcast_to(encoded.backend.dtype.type(np.nan), (encoded.backend.rows, *placed.grid.shape))
        density = Density(placed.geometry, placed.grid, values)
        name = f"{self._record['architecture']} model {self._record['weights_sha256'][:8]}"
        density.provenance.update(
            title=f"density predicted by charge3net {__version__}, {name}",
            program=f"charge3net {__version__}",
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            model=self._record,
            shape=list(placed.grid.shape),
            symmetry=f"not used: {found}" if isinstance(found, str) else found.description,
            symmetrised_by=0.0 if isinstance(exact, str) else exact.moved,
            backend=encoded.backend.description,
            notes=list(placed.notes),
            warnings=messages,
            seconds=clock.seconds,
        )
        valence = valence_electrons(self.model, placed.geometry)
        density.provenance.update(settle_electrons(density, electrons if processes.collects else None, valence))
        issue(messages[issued:])
        return density

    def at(self, structure: Any, points: ArrayLike) -> Float[ndarray, "points *channels"]:
        """The density at any points.

        Args:
            structure: one, as for :meth:`predict`; nothing is moved and no box is needed.
            points: [n, 3] Cartesian positions in Å.

        Returns:
            [n] e/Å³ in the model's dtype, or [n, 2] (total, magnetisation) from a model with two channels.

        Raises:
            InputError: as for :meth:`predict`, and for points that are not [n, 3] finite numbers.
        """
        if self._ensemble is not None:
            return self._ensemble.at(structure, points)
        places = as_points(points)
        geometry, _ = self._check(Geometry.of(one_structure(structure)))
        encoded = self._encode(geometry, Clock())
        values = np.empty((encoded.backend.rows, len(places)), dtype=encoded.backend.dtype)
        with self._switch():
            encoded.density_at(places, values)
        return values[0] if self.model.channels == 1 else values.T

    def gradient(self, structure: Any, where: ArrayLike | Grid) -> Float[ndarray, "*shape"]:
        """The gradient of the density with respect to the position, ∇ρ in e/Å⁴, Cartesian.

        On an atom it is zero by convention; steps where an atom crosses the cutoff are left out
        (:mod:`charge3net.predict.derivatives`).

        Args:
            structure: one, as for :meth:`predict`; nothing is moved and no box is needed.
            where: [n, 3] Cartesian positions in Å, or a grid in the coordinates of the structure.

        Returns:
            [n, channels, 3] in the model's dtype; for a grid [channels, 3, nx, ny, nz].

        Raises:
            InputError: as for :meth:`at`.
        """
        if self._ensemble is not None:
            return self._ensemble.gradient(structure, where)
        return arranged(self.derivatives(structure, where).gradient, where)

    def derivatives(self, structure: Any, where: ArrayLike | Grid) -> Derivatives:
        """Density and gradient of this model alone, not of the ensemble that its name may stand for.

        Args:
            structure, where: as for :meth:`gradient`, which has the same errors.

        Returns:
            Values [points, channels] in e/Å³ and gradient [points, channels, 3] in e/Å⁴; voxels of a grid in C order.
        """
        geometry, _ = self._check(Geometry.of(one_structure(structure)))
        atoms = build_atom_graph(geometry, self.model.cutoff)
        with self._switch():
            geometry, state = encode_sorted(self.model, geometry, atoms)
            return density_derivatives(self.model, state, geometry, where)

    def _check(self, geometry: Geometry, warned: Sequence[str] = ()) -> tuple[Geometry, list[str]]:
        """The structure with the periodicity of the training, and all warnings; they are issued here."""
        messages = [*warned, *self._unseen_elements(geometry)]
        if self.model.ignore_pbc and geometry.pbc.any():
            geometry = Geometry(geometry.numbers, geometry.positions, geometry.cell, np.zeros(3, dtype=bool))
            messages.append(
                "the model was trained without periodic images, so none are used for this periodic structure"
            )
        messages += close_atoms(geometry)
        issue(messages)
        return geometry, messages

    def _encode(self, geometry: Geometry, clock: Clock) -> EncodedStructure:
        with clock("neighbours"):
            atoms = build_atom_graph(geometry, self.model.cutoff)
        with self._switch():
            return EncodedStructure(self.model, geometry, atoms, self.edge_budget, clock)

    def _switch(self) -> AbstractContextManager[None]:
        return nullcontext() if self.kernels else torch_only()

    def _unseen_elements(self, geometry: Geometry) -> list[str]:
        from ase.data import chemical_symbols

        seen = set(self.card.elements) if self.card is not None else set()
        unseen = [chemical_symbols[z] for z in np.unique(geometry.numbers) if z == 0 or (seen and z not in seen)]
        if not unseen:
            return []
        problem = f"the model was not trained on {', '.join(unseen)}: its density near these atoms is meaningless"
        if self.strict_elements:
            raise InputError(f"{problem}; take a model trained on these elements")
        return [problem]

    @cached_property
    def _record(self) -> dict[str, Any]:
        """Of the model; cached, since hashing large weights takes time."""
        return model_record(self.model, self.card)


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA fails an assertion
        raise InputError(
            f"device {str(device)!r} cannot be used here; take cpu, or check the installed torch"
        ) from error
    return chosen
