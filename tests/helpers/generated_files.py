"""Files as the generator of open densities writes them, with made-up numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def write_generated(folder: Path, name: str, numbers: list[int], *, spin: str = "unpolarised", **changes: Any) -> None:
    """An npz on a grid of 4³, with a magnetisation when ``spin`` is "collinear"."""
    rng = np.random.default_rng([*name.encode()])
    total, cell = rng.uniform(1.0, 2.0, (4, 4, 4)), np.diag([3.0, 3.0, 4.0])
    meta = {
        **{"code": "gpaw", "density": "d", "xc": "PBE", "mode": "PW 500 eV", "kpts_density": 2.0, "spin": spin},
        **{"smearing": "FD 0.1 eV", "energy_eV": -1.0, "nmae_sad": 0.05, "source": name},
        **changes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / f"{name}.npz",
        **{"numbers": numbers, "positions": rng.uniform(0, 3, (len(numbers), 3)), "cell": cell, "pbc": [True] * 3},
        **{"density": np.stack([total, 0.1 * total]) if spin == "collinear" else total, "density_sad": total},
        n_electrons=total.sum() * 36.0 / 64,
        meta=json.dumps(meta),
    )
