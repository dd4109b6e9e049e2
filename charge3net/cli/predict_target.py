"""One structure of ``charge3net predict``: predicted, written, reported."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from charge3net.cli.start import check_electrons, prepare_start
from charge3net.errors import InputError
from charge3net.io.potentials import compare_potentials

if TYPE_CHECKING:
    from charge3net.cli.start import Start
    from charge3net.cli.targets import Target
    from charge3net.density import Density
    from charge3net.geometry import Geometry
    from charge3net.grid import Grid
    from charge3net.io.vasp import VaspPotential
    from charge3net.predict.distributed import Processes
    from charge3net.predict.ensemble import EnsemblePredictor
    from charge3net.predict.predictor import Predictor
    from charge3net.progress import Clock


class Reference(NamedTuple):
    """What another density gives to the predicted ones.

    Attributes:
        grid: the grid to be like.
        augmentation: the density whose augmentation charges are taken.
        potentials: of VASP, by element.
    """

    grid: Grid | None
    augmentation: Density | None
    potentials: dict[str, VaspPotential] | None = None


def predict_target(
    predictor: Predictor | EnsemblePredictor,
    target: Target,
    args: argparse.Namespace,
    reference: Reference,
    clock: Clock,
    processes: Processes,
) -> Density | None:
    """Predict one structure with these processes; the one that collects writes it and returns it.

    Raises:
        InputError: for a structure that could not be read, or cannot be predicted or written as asked for.
    """
    from charge3net.cli.vasp import augmented, electrons_of, grid_of
    from charge3net.io import write_density
    from charge3net.io.formats import density_format
    from charge3net.predict.ensemble import EnsemblePredictor
    from charge3net.predict.memmap import MemmapAllocator
    from charge3net.predict.predictor import PredictionWarning

    if target.structure is None:
        raise InputError(target.failure)
    if not args.unchecked:
        _ask_about_coincident_atoms(target, processes)
    begun = time.perf_counter()
    start = prepare_start(target, args)
    doubts = _doubts(predictor, target.structure, start, reference)
    folder = target.output.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made a folder ({error.strerror or error})") from None
    spreads: list[Density] = []
    predict = predictor.predict
    if isinstance(predictor, EnsemblePredictor):
        predict = partial(predictor.predict, spread=spreads.append)
    elif target.spread is not None:
        raise InputError("--uncertainty needs a model with several members; the shipped ones have them")
    with _printed_warnings(target, PredictionWarning, processes.collects) as printed:
        density = predict(
            target.structure,
            shape=start.shape if start else tuple(args.shape) if args.shape else None,
            spacing=args.spacing,
            encut=args.encut,
            like=reference.grid or grid_of(args, target.structure, reference.potentials),
            symmetry=not args.no_symmetry,
            electrons=electrons_of(args, target.structure, reference.potentials),
            progress=not args.quiet and sys.stderr.isatty() and processes.collects,
            allocate=MemmapAllocator(folder, first_axis_fastest=density_format(target.output, args.format) == "chgcar"),
            processes=processes,
        )
    if not processes.collects:
        return None
    for name, seconds in density.provenance["seconds"].items():
        clock.seconds[name] = clock.seconds.get(name, 0.0) + seconds
    _check_expected_error(density, args.max_error)
    if not args.unchecked and predictor.card is not None and predictor.card.training:
        _check_electrons(density)
    lines: list[str] = []
    if reference.potentials is not None and (factor := density.provenance["scaled_by"]):
        found, electrons = density.electrons() / factor, density.electrons()
        doubts += check_electrons(found, electrons, target.source)
    if reference.augmentation is not None:
        density, lines = augmented(
            density, reference.augmentation, reference.potentials, args.augmentation_from is not None
        )
        doubts += [] if density.augmentation else lines
    with clock("writing"):
        if start is None:
            write_density(density, target.output, args.format)
        else:
            doubts += check_electrons(density.electrons(), start.electrons, target.source)
            lines, more = start.write(density)
            doubts += more
        if target.spread is not None:
            target.spread.parent.mkdir(parents=True, exist_ok=True)
            write_density(spreads[0], target.spread, None if start else args.format)
    for warning in [*(text for text in density.provenance["warnings"] if text not in printed), *doubts]:
        print(f"charge3net predict: warning: {target.source}: {warning}", file=sys.stderr)
    if not args.quiet:
        _print_result(target, density, time.perf_counter() - begun, lines if density.augmentation or start else [])
    return density


@contextmanager
def _printed_warnings(target: Target, kind: type[Warning], wanted: bool) -> Iterator[list[str]]:
    """Print warnings of a prediction in one line each, also when it fails; yields the list of them."""
    printed: list[str] = []
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always", kind)
        try:
            yield printed
        finally:
            shown = [warning for warning in issued if issubclass(warning.category, kind)]
            printed += dict.fromkeys(str(warning.message) for warning in shown)
            for text in printed if wanted else ():
                print(f"charge3net predict: warning: {target.source}: {text}", file=sys.stderr)
    for warning in issued:
        if warning not in shown:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _ask_about_coincident_atoms(target: Target, processes: Processes) -> None:
    """Ask whether two atoms of one element at one place are meant; without a terminal they are not.

    Raises:
        InputError: if they are not.
    """
    from charge3net.geometry import Geometry
    from charge3net.predict.box import coincident_atoms

    found = coincident_atoms(Geometry.of(target.structure))
    if not found:
        return
    asked = processes.size == 1 and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
    if asked:
        print(f"{target.source}: {found} and of one element. Predict them as they are? [y/N] ", end="", file=sys.stderr)
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise InputError(
        f"{target.source}: not predicted: {found} and of one element; remove one of them, or give --unchecked"
    )


def _check_electrons(density: Density) -> None:
    """Refuse a prediction with less than half of the outermost shells' electrons, or more than twice ΣZ.

    Raises:
        InputError: if it is.
    """
    from charge3net.io.plausible import all_electrons, fewest_electrons

    found = density.electrons()
    fewest, most = fewest_electrons(density.geometry), all_electrons(density.geometry)
    if not fewest / 2 <= found <= 2 * most:
        raise InputError(
            f"not written: ∫ρ is {found:.4g} e where the atoms have {fewest} (outermost shells) to {most} (ΣZ); check "
            "the structure, or give --unchecked"
        )


def _trained_with(predictor: Predictor | EnsemblePredictor) -> Mapping[str, Any] | None:
    """The pseudopotentials of the training data, where the model's card knows them; else those of its fitted atoms."""
    from ase.data import chemical_symbols

    if predictor.card is None:
        return None
    known: Mapping[str, Any] | None = predictor.card.data.get("potentials")
    about = predictor.card.hyperparameters
    if known or "potentials" not in about:
        return known
    atoms = zip(about["elements"], about["valences"], about["potentials"], strict=True)
    return {chemical_symbols[z]: [{"atoms": name, "valence": valence}] for z, valence, name in atoms}


def _doubts(
    predictor: Predictor | EnsemblePredictor, geometry: Geometry, start: Start | None, reference: Reference
) -> list[str]:
    """Warnings about the pseudopotentials of a run that starts from the prediction, or of ``--potcar``.

    Raises:
        InputError: for those of another kind than the model's.
    """
    known = _trained_with(predictor)
    if start is not None:
        return compare_potentials(known, start.potentials)
    if not known or reference.potentials is None:
        return []
    from ase.data import chemical_symbols

    present = {chemical_symbols[z] for z in geometry.numbers}
    return compare_potentials(
        known, {element: one.record() for element, one in reference.potentials.items() if element in present}
    )


def _check_expected_error(density: Density, limit: float | None) -> None:
    """Refuse a prediction whose expected error is above ``limit`` (% ε_mae).

    Raises:
        InputError: if it is or is not known, or if the model has no calibrated ensemble to say.
    """
    if limit is None:
        return
    uncertainty = density.provenance.get("uncertainty", {})
    expected = uncertainty.get("expected_percent")
    if "not_expected" in uncertainty:
        raise InputError(f"not written: the error to expect is not known, as {uncertainty['not_expected']}")
    if expected is None:
        raise InputError("--max-error needs a model with a calibrated ensemble; the shipped models have one")
    if not expected <= limit:
        raise InputError(f"not written: expected error {expected:.2g} %, above --max-error {limit:g} %")


def _print_result(target: Target, density: Density, seconds: float, lines: list[str]) -> None:
    about = density.provenance
    parts = [
        "×".join(map(str, density.grid.shape)) + " voxels",
        f"{density.electrons():.4f} electrons",
        *([] if density.spin is None else [f"{density.magnetisation():.4f} μ_B"]),
        *([] if about["scaled_by"] is None else [f"scaled by {about['scaled_by']:.6f}"]),
        *_valence(about),
        f"{seconds:.2f} s",
    ]
    print(f"{target.output}: {', '.join(parts)}; symmetry {about['symmetry']}", flush=True)
    if "uncertainty" in about:
        for line in _expected(about["uncertainty"]):
            print(f"  {line}", flush=True)
    for note in [*about["notes"], *lines]:
        print(f"  {note}", flush=True)


def _valence(about: Mapping[str, Any]) -> list[str]:
    """How far the model's number of electrons is from the valence, where that is known."""
    error = about.get("electron_error")
    if error is None:
        return []
    off = f"{100.0 * error:+.2g} % of the valence".replace("-", "−")
    return [
        f"shifted from {off}"
        if about["shifted_by"] is not None
        else f"{off} before that"
        if about["scaled_by"] is not None
        else off
    ]


def _expected(uncertainty: Mapping[str, Any]) -> list[str]:
    from charge3net.predict.calibration import FEW_FORMULAS

    spread = f"spread between the members {100.0 * uncertainty['relative_spread']:.2g} % of the electrons"
    lines = [spread]
    if "expected_percent" in uncertainty:
        low, middle, high = (uncertainty[f"{name}_percent"] for name in ("low", "expected", "high"))
        held = uncertainty.get("interval_tested")
        tested = f", which held {100.0 * held[1]:.0f} % of {held[0]} test structures alike" if held else ""
        lines = [f"expected error {middle:.2g} % (90 % interval {low:.2g} to {high:.2g} %{tested}); {spread}"]
        if 0 < (formulas := uncertainty.get("interval_formulas", 0)) < FEW_FORMULAS:
            counted = "one formula" if formulas == 1 else f"{formulas} formulas"
            lines.append(f"the interval comes from structures of {counted}; for others it can be too narrow")
    elif "not_expected" in uncertainty:
        lines = [f"expected error not known: {uncertainty['not_expected']}; {spread}"]
    if uncertainty.get("distance") is not None and uncertainty.get("boundary"):
        familiar = uncertainty["distance"] < uncertainty["boundary"]
        lines.append(
            f"surroundings of the atoms {'like those of' if familiar else 'new to'} the training set: distance "
            f"{uncertainty['distance']:.2g}, familiar below {uncertainty['boundary']:.2g}"
        )
    return lines
