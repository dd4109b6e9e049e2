"""The predictor of a model by name or path: of a shipped release the ensemble, with all that is known of it."""

from __future__ import annotations

from pathlib import Path

from charge3net.predict.ensemble import EnsemblePredictor
from charge3net.predict.named import members_of
from charge3net.predict.predictor import Predictor
from charge3net.pretrained.releases import Release


def open_predictor(
    model: str | Path | Release, *, device: str | None = None, strict_elements: bool = False, kernels: bool = True
) -> Predictor | EnsemblePredictor:
    """The predictor of a path, of a name that ``charge3net models`` lists, or of a release.

    Args:
        model: what :func:`charge3net.pretrained.resolve_model` takes, or a release.
        device, strict_elements, kernels: of :class:`charge3net.predict.predictor.Predictor`.

    Raises:
        InputError: if there is no such model, or its installation is damaged.
    """
    paths, calibration, training_set, electrons = members_of(model)
    if len(paths) == 1:
        return Predictor.from_checkpoint(paths[0], device=device, strict_elements=strict_elements, kernels=kernels)
    return EnsemblePredictor.from_checkpoints(
        paths,
        calibration,
        training_set,
        electrons,
        device=device,
        strict_elements=strict_elements,
        kernels=kernels,
    )
