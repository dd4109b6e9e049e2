"""Opening released weight files without running code, and finding the state dict inside."""

from __future__ import annotations

import pickle
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from charge3net.errors import InputError
from charge3net.io.json_files import read_json

#: Prefixes added to the names of parameters by Lightning, data-parallel training and torch.compile.
PREFIXES = re.compile(r"^((network|module|model|_orig_mod)\.)+")

#: Keys of the weights in the dictionaries of training scripts.
WRAPPERS = ("model", "state_dict")


def open_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a released weight file by their bare names, on the CPU.

    Takes a state dict, ``{"model": state dict, …}`` or ``{"state_dict": state dict, …}``, nested or not, with any
    combination of the prefixes ``network.``, ``module.``, ``model.``.

    Raises:
        InputError: if the file is missing, damaged, holds code, or holds no state dict.
    """
    found = _find_state_dict(_open_safely(path))
    if not found:
        raise InputError(
            f"{path}: no state dict found inside; expected tensors by name, bare or under 'model' or 'state_dict'"
        )
    state: dict[str, Tensor] = {}
    for name, tensor in found.items():
        bare = PREFIXES.sub("", name)
        if tensor.is_meta or tensor.layout is not torch.strided or tensor.is_quantized:
            raise InputError(f"{path}: {name} holds no plain numbers ({tensor.layout}, {tensor.device}); save it again")
        if tensor.is_complex() or (tensor.is_floating_point() and not torch.isfinite(tensor).all()):
            raise InputError(f"{path}: {name} holds complex numbers, NaN or infinity; get the file again")
        if bare in state:
            raise InputError(f"{path}: holds {bare} twice, under different prefixes; save one of the two models alone")
        state[bare] = tensor
    return state


def read_arguments(path: Path) -> dict[str, Any]:
    """DeepDFT's ``arguments.json``.

    Raises:
        InputError: if it is not a JSON object.
    """
    arguments = read_json(path, "DeepDFT's arguments")
    if not isinstance(arguments, dict):
        raise InputError(f"{path}: expected a JSON object with DeepDFT's arguments, found {type(arguments).__name__}")
    return arguments


def _open_safely(path: Path) -> Any:
    _verify_checksums(path)
    try:
        with torch.serialization.safe_globals(_numpy_numbers()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code is None:
            raise InputError(f"{path}: is not a weight file of torch, or is damaged") from error
        raise InputError(
            f"{path}: holds more than weights ({code.group(1)}) and was not opened, since that could run unknown "
            "code; if you trust it, save its state dict alone with torch.save(model.state_dict(), …)"
        ) from error
    except Exception as error:  # torch raises whatever its parts raise
        raise InputError(f"{path}: is not a weight file of torch, or is damaged") from error


def _verify_checksums(path: Path) -> None:
    """Compare the CRC-32 of every member of torch's zip archive, which torch itself does not (files before torch 1.6
    are no archives and have none).

    Raises:
        InputError: for the first member that differs.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path}: is a damaged archive ({error}); get it again") from error
    if damaged is not None:
        raise InputError(
            f"{path}: {damaged} does not match its checksum; the file is damaged; download or copy it again"
        )


def _numpy_numbers() -> list[Any]:
    """Globals of a pickled numpy number, which training scripts store as best error; they run no code."""
    scalar: Any = np.float64(0.0).__reduce__()[0]
    dtypes = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)]
    return [
        np.dtype,
        *dtypes,
        (scalar, "numpy.core.multiarray.scalar"),  # numpy 1
        (scalar, "numpy._core.multiarray.scalar"),
    ]


def _find_state_dict(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    for key in WRAPPERS:
        inner = _find_state_dict(content.get(key))
        if inner:
            return inner
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    return tensors if len(tensors) == len(content) else {}
