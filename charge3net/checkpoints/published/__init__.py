"""Loading weights of the published codes (charge3net, DeepDFT)."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from charge3net.checkpoints.published import deepdft
from charge3net.checkpoints.published.weights import open_state_dict, read_arguments
from charge3net.errors import InputError
from charge3net.io.files import reason
from charge3net.models.base import DensityModel

__all__ = ["load_published"]

#: Names of the two files in a DeepDFT run folder.
DEEPDFT_ARGUMENTS, DEEPDFT_WEIGHTS = "arguments.json", "best_model.pth"


def load_published(path: str | Path) -> DensityModel:
    """A model with released weights, on the CPU, in the dtype of the weights.

    Args:
        path: a weight file of the charge3net or DeepDFT code (bare state dict, ``{"model": …}``, or a Lightning
            checkpoint; prefixes ``network.``, ``module.``, ``model.`` are removed), or a DeepDFT run folder with
            ``arguments.json`` and ``best_model.pth``. The ``arguments.json`` beside a DeepDFT weight file is used too.

    Every hyper-parameter follows from the shapes of the tensors. The cutoff is 4 Å unless ``arguments.json`` says
    otherwise; for the SchNet-like network it follows from the number of Gaussians. Files are opened with
    ``weights_only=True``: no code in them runs.

    Raises:
        InputError: if the file is missing, damaged or holds code; or naming tensors that are missing or left over.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / DEEPDFT_WEIGHTS).is_file():
            raise InputError(f"{path}: a folder with released weights needs {DEEPDFT_WEIGHTS}; give the weight file")
        path = path / DEEPDFT_WEIGHTS
    state = open_state_dict(path)
    try:
        if deepdft.is_schnet(state) or deepdft.is_painn(state):
            beside = path.parent / DEEPDFT_ARGUMENTS
            return deepdft.convert(state, read_arguments(beside) if beside.is_file() else {})
        charge3net: Any = import_module("charge3net.checkpoints.published.charge3net")  # needs e3nn, the others do not
        if charge3net.is_charge3net(state):
            return charge3net.convert(state).eval()
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # tensors of another rank or kind than any released model has
        raise InputError(f"{path}: its tensors are not those of a released model ({reason(error)})") from error
    names = ", ".join(sorted(state)[:3])
    raise InputError(f"{path}: tensors of neither ChargE3Net nor DeepDFT, found {names} …; is this a density model?")
