"""An ensemble of trained models that knows how far it can be trusted, as a folder that every ``--model`` takes.

The members differ in their training seed. On validation structures, which nothing was trained on, the error of their
mean is compared with what a prediction shows without the true density; that is the calibration
(:mod:`charge3net.predict.calibration`). Test structures say how well it holds.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.analysis.bonding import bonding
from charge3net.analysis.metrics import ErrorSums
from charge3net.analysis.statistics import spearman
from charge3net.atoms.known import KnownSurroundings
from charge3net.atoms.neighbourhood import neighbourhood_features
from charge3net.atoms.superposition import SuperposedAtoms
from charge3net.checkpoints import load_model, save_model
from charge3net.checkpoints.exchange import replace_folder
from charge3net.checkpoints.fingerprint import weights_hash
from charge3net.data.splits import Split
from charge3net.data.store import Store, StoreEntry
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.graph.build import build_atom_graph
from charge3net.models.base import DensityModel
from charge3net.predict.calibration import ALL, Calibration, Line, Signs, nonmetal_share
from charge3net.predict.electrons import shift_to
from charge3net.predict.ensemble import EnsemblePredictor
from charge3net.predict.named import members_of
from charge3net.predict.predictor import Predictor
from charge3net.predict.trust import TrainingSet
from charge3net.pretrained.releases import RELEASE

#: File of the surroundings of the training atoms.
SURROUNDINGS = "surroundings.npz"

#: A calibration needs so many structures.
LEAST = 10

#: Atoms are called far beyond the distance that this share of the validation structures stays below.
_MOST = 0.95


@dataclass(frozen=True)
class Judged:
    """A prediction of the ensemble beside the true density.

    Attributes:
        formula: of the structure.
        signs: what the prediction shows without the true density.
        farthest: distance of the farthest atom from the training set; None where it is not known.
        error, shifted: ε_mae as a fraction, as predicted, and shifted to the valence electrons (the same where the
            model does not know them).
        members: ε_mae of each member, as predicted.
        superposed: ε_mae of the superposed atoms of the DFT code; None where the store has none.
    """

    formula: str
    signs: Signs
    farthest: float | None
    error: float
    shifted: float
    members: tuple[float, ...] = ()
    superposed: float | None = None


@dataclass(frozen=True)
class Calibrated:
    """What was written, for people.

    Attributes:
        calibration: of the ensemble.
        shifted: whether predictions are shifted to the valence electrons.
        validation, test: mean ε_mae in % on these parts; None without structures.
        rank: Spearman's correlation of expected and true errors of the test part; None without.
        held: share of the test structures whose error lies within its interval; None without.
    """

    calibration: Calibration
    shifted: bool
    validation: float
    test: float | None
    rank: float | None
    held: float | None


def training_set(model: DensityModel, geometries: Sequence[Geometry]) -> TrainingSet:
    """Elements and, with fitted atoms, surroundings of these structures; no atom is called far yet."""
    counts = Counter(int(z) for geometry in geometries for z in set(geometry.numbers.tolist()))
    elements = {z: counts[z] for z in sorted(counts)}
    atoms = getattr(model, "atoms", None)
    if not isinstance(atoms, SuperposedAtoms):
        return TrainingSet(elements)
    graphs = [build_atom_graph(geometry, model.cutoff).to(atoms.table.device) for geometry in geometries]
    features = [neighbourhood_features(atoms, graph).cpu().numpy() for graph in graphs]
    known = KnownSurroundings.of([g.numbers for g in geometries], features, [g.formula for g in geometries])
    return TrainingSet(elements, known)


def judge(ensemble: EnsemblePredictor, entry: StoreEntry) -> Judged:
    """Predict an entry of a store and compare."""
    truth = entry.density()

    def error(values: Float[ndarray, "nx ny nz"]) -> float:
        return ErrorSums.of(values, truth.total).nmae / 100.0

    predictions = [member.predict(entry.geometry, grid=truth.grid) for member in ensemble]
    each = tuple(error(one.total) for one in predictions)  # combine() takes the memory of the first for the mean
    density = ensemble.combine(predictions, "none")
    about = density.provenance
    said, plain = about["uncertainty"], error(density.total)
    if about["valence_electrons"] is not None:
        shift_to(density, about["valence_electrons"])
    signs = Signs(
        said["relative_spread"],
        said["typical_density"],
        said["distance"],
        bonding(entry.geometry),
        about["electron_error"],
        nonmetal_share(entry.geometry.numbers),
    )
    superposed = None if entry.baseline is None else error(entry.baseline)
    return Judged(entry.geometry.formula, signs, said["farthest"], plain, error(density.total), each, superposed)


def fit(judged: Sequence[Judged], *, shifted: bool) -> Calibration:
    """One line for all structures: kinds that training does not know are not told apart from others.

    Raises:
        InputError: for fewer than ten structures.
    """
    if len(judged) < LEAST:
        raise InputError(
            f"a calibration needs {LEAST} validation structures or more, found {len(judged)}; give a split with more"
        )
    errors = [one.shifted if shifted else one.error for one in judged]
    line = Line.fit([one.signs for one in judged], errors, [one.formula for one in judged], further=True)
    return Calibration({ALL: line})


def calibrate(
    models: Sequence[str | Path],
    store: Store,
    split: Split,
    output: Path,
    *,
    device: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Calibrated:
    """Write the ensemble of these models to a folder, whole or not at all.

    Args:
        models: run folders, checkpoints or names, of two or more seeds; of an ensemble all its members are taken.
        store, split: what they were trained on; the validation part calibrates, the test part (which may be empty)
            says how well.
        output: new folder.
        device: of the predictions; None takes a GPU if there is one.
        progress: called with a line for each part.

    Raises:
        InputError: for models that do not belong together, an existing folder, or a split with fewer than ten
            validation structures.
    """
    if output.exists():
        raise InputError(f"{output} exists; give -o a new folder")
    if len(split.validation) < LEAST:
        raise InputError(
            f"a calibration needs {LEAST} validation structures or more, the split has {len(split.validation)}; "
            "give one with more that were not trained on"
        )
    paths = [path for model in models for path in members_of(model).paths]
    members = [Predictor.from_checkpoint(path, device=device) for path in paths]
    _check_different(paths, members)
    trained = training_set(members[0].model, [store[key].geometry for key in split.train])
    ensemble = EnsemblePredictor(members, None, trained)
    found = {}
    for part in ("validation", "test"):
        keys = split.part(part)
        progress(f"{part}: {len(keys)} structures")
        found[part] = [judge(ensemble, store[key]) for key in keys]
    shifted = _unharmed(found["validation"])
    calibration = fit(found["validation"], shifted=shifted)
    result, tested = _tested(calibration, found["validation"], found["test"], shifted=shifted)
    _write(output, paths, trained, found["validation"], tested, shifted=shifted)
    return replace(result, calibration=tested)


def _check_different(paths: Sequence[Path], members: Sequence[Predictor]) -> None:
    """Refuse copies of one model: the spread between them is zero and says nothing.

    Raises:
        InputError: for two members with the same weights.
    """
    known: dict[str, Path] = {}
    for path, member in zip(paths, members, strict=True):
        other = known.setdefault(weights_hash(member.model), path)
        if other is not path:
            raise InputError(f"{path} has the same weights as {other}; give models trained with different seeds")


def _unharmed(judged: Sequence[Judged]) -> bool:
    """Whether the shift to the valence electrons is possible and raises the mean error of no kind of bonding."""
    if any(one.signs.electron_error is None for one in judged):
        return False
    changes: dict[str, list[float]] = {}
    for one in judged:
        changes.setdefault(one.signs.bonding, []).append(one.shifted - one.error)
    return all(float(np.mean(change)) <= 0.0 for change in changes.values())


def _tested(
    calibration: Calibration, validation: Sequence[Judged], test: Sequence[Judged], *, shifted: bool
) -> tuple[Calibrated, Calibration]:
    def errors(judged: Sequence[Judged]) -> list[float]:
        return [100.0 * (one.shifted if shifted else one.error) for one in judged]

    own = float(np.mean(errors(validation)))
    if not test:
        return Calibrated(calibration, shifted, own, None, None, None), calibration
    said, true = [calibration.expected(one.signs) for one in test], errors(test)
    held = float(np.mean([one.low <= error <= one.high for one, error in zip(said, true, strict=True)]))
    rank = spearman(np.array([one.percent for one in said]), np.array(true))
    line = replace(calibration.groups[ALL], tested=(len(test), round(held, 3)))
    result = Calibrated(calibration, shifted, own, float(np.mean(true)), None if rank is None else rank.rho, held)
    return result, Calibration({ALL: line})


def _write(
    output: Path,
    models: Sequence[str | Path],
    trained: TrainingSet,
    validation: Sequence[Judged],
    calibration: Calibration,
    *,
    shifted: bool,
) -> None:
    """The folder: a checkpoint for each member, the surroundings, and the file that names and pins them."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as beside:
        new = Path(beside) / "new"
        names, cards = [f"member{number}" for number in range(len(models))], []
        for name, path in zip(names, models, strict=True):
            model, card = load_model(path)
            save_model(new / name, model, card)
            cards.append(card)
        errors = [100.0 * (one.shifted if shifted else one.error) for one in validation]
        release: dict[str, Any] = {
            "summary": f"{cards[0].architecture}, mean of {len(models)} members, calibrated on {len(validation)} "
            "validation structures",
            "density": ", ".join(cards[0].data.get("codes") or ()) or "that of its training set",
            "elements": {str(z): count for z, count in trained.elements.items()},
            "members": names,
            "errors": {"validation structures": round(float(np.mean(errors)), 4)},
            "electrons": "valence" if shifted else None,
            "calibration": calibration.to_json(),
        }
        known = [one.farthest for one in validation if one.farthest is not None]
        if trained.surroundings is not None and known:
            trained.surroundings.save(new / SURROUNDINGS)
            digest = hashlib.sha256((new / SURROUNDINGS).read_bytes()).hexdigest()
            far = round(float(np.quantile(known, _MOST)), 2)
            release["surroundings"] = {"file": SURROUNDINGS, "sha256": digest, "far": far}
        (new / RELEASE).write_text(json.dumps(release, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        replace_folder(new, output, Path(beside) / "old")
