"""Show versions, devices, compiled kernels and optional packages on this machine.

The exit status is 0 if all required packages are installed, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

from charge3net.errors import InputError
from charge3net.provenance import installed_version
from charge3net.version import __version__

NEEDED = ("torch", "e3nn", "numpy", "scipy", "pymatgen-core", "ase", "spglib", "gemmi", "safetensors", "jaxtyping")
TRAINING = ("lightning", "hydra-core", "omegaconf", "tqdm")

#: torch sums unless this is set; ``python -m benchmarks.segment_sum`` compares the two.
SCATTER = (
    "sums of edges, only with CHARGE3NET_SCATTER=torch_scatter; measured slower than torch's own sums "
    "(forward 1.15 against 0.23 ms, python -m benchmarks.segment_sum)"
)

#: Distribution, module, purpose, and the options of ``pip install`` for it.
OPTIONAL = (
    ("torch-scatter", "torch_scatter", SCATTER, "--no-build-isolation torch-scatter"),
    ("wandb", "wandb", "logger=wandb", "'charge3net[wandb]'"),
    ("matplotlib", "matplotlib", "figures and reports", "'charge3net[plot]'"),
    ("scikit-image", "skimage", "isosurfaces", "'charge3net[plot]'"),
    ("tensorboard", "tensorboard", "logger=tensorboard", "'charge3net[plot]'"),
    ("hydra-joblib-launcher", "hydra_plugins.hydra_joblib_launcher", "launcher=joblib", "'charge3net[sweep]'"),
    ("hydra-submitit-launcher", "hydra_plugins.hydra_submitit_launcher", "launcher=submitit", "'charge3net[sweep]'"),
)


#: What else needs another version of a required package.
CLASHES = {
    "e3nn": " (mace-torch wants 0.4.4, with which an L = 2 model is off by 0.55 %; give it another environment)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``charge3net doctor``."""
    parser.add_argument("--json", action="store_true", help="print JSON, e.g. for a bug report")


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 if a required package is missing."""
    found = examine()
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        for title, lines in found.items():
            print(title)
            for name, value in lines.items():
                print(f"  {name:<26}{value}")
    return 1 if any("MISSING" in value for lines in found.values() for value in lines.values()) else 0


def examine() -> dict[str, dict[str, str]]:
    """Heading → name → finding."""
    return {
        "charge3net": {
            "version": __version__,
            "python": f"{platform.python_version()} ({sys.executable})",
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
            "configs": _configs(),
        },
        "needed": {name: needed(name, installed_version(name)) for name in (*NEEDED, *TRAINING)} | _two_pymatgens(),
        "devices": _devices(),
        "optional": {name: _optional(name, module, use, install) for name, module, use, install in OPTIONAL}
        | {"C++ compiler": _compiler()},
    }


def needed(name: str, installed: str | None) -> str:
    """The version of a required package, and whether it will do."""
    if installed is None:
        return "MISSING"
    from packaging.requirements import Requirement

    try:
        listed = [Requirement(text) for text in requires("charge3net") or []]
    except PackageNotFoundError:  # run from a folder that was never installed
        listed = []
    wanted = [one.specifier for one in listed if one.name == name and one.marker is None]
    if not wanted or wanted[0].contains(installed, prereleases=True):
        return installed
    return f"{installed}, but {wanted[0]} is needed: MISSING{CLASHES.get(name, '')}"


def _two_pymatgens() -> dict[str, str]:
    """A word about a pymatgen from before its modules moved to pymatgen-core."""
    installed = installed_version("pymatgen")
    if installed is None or not installed.startswith(("2019", "202")) or installed >= "2026":
        return {}
    return {
        "pymatgen": f"{installed}, MISSING an update: pymatgen-core has its modules now; pip install -U pymatgen, or "
        "pip uninstall pymatgen and pip install --force-reinstall pymatgen-core"
    }


def _optional(distribution: str, module: str, use: str, install: str) -> str:
    try:
        there = find_spec(module) is not None
    except ModuleNotFoundError:
        there = False
    if there:
        return f"{installed_version(distribution) or 'found'} ({use})"
    return f"not installed ({use}); pip install {install}"


def _configs() -> str:
    from charge3net.cli.settings import conf_folder

    try:
        return str(conf_folder())
    except InputError as error:
        return f"MISSING: {error}"


def _devices() -> dict[str, str]:
    try:
        import torch
    except ImportError as error:
        return {"torch": f"MISSING: {error}"}
    devices = {"CPU threads": str(torch.get_num_threads())}
    for i in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(i)
        devices[f"cuda:{i}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    devices["CPU kernels"] = _cpu_kernels()
    devices["GPU"] = _gpu_kernels() if torch.cuda.is_available() else "none that torch can use"
    return devices


def _cpu_kernels() -> str:
    from charge3net.kernels import status

    found = status()
    return f"compiled ({found['variant']})" if not found["reason"] else f"none, torch is used: {found['reason']}"


def _gpu_kernels() -> str:
    from charge3net.predict.backends.gpu import status

    found = status()
    if found["reason"]:
        return f"evaluated by torch: {found['reason']}"
    return f"ChargE3Net is evaluated by triton {found['version']}, after a comparison with torch at first use"


def _compiler() -> str:
    name = os.environ.get("CXX", "c++")
    return shutil.which(name) or f"not found ({name}; only for building torch-scatter and compiled kernels)"
