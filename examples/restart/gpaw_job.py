"""A job for data_prep/open_dft/starts.py from an entry of the generator: each of two densities with each of two D.

True and superposed density; true D and that of neutral atoms.

python examples/restart/gpaw_job.py ENTRY.npz -o job.npz
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from charge3net.paw.files import packed_neutral, read_density_matrices

MATRICES = Path(__file__).parents[2] / "data_prep" / "occupations_set" / "density_matrices.npz"


def main(arguments: list[str] | None = None) -> None:
    """Write the job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("entry", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    setups = read_density_matrices(MATRICES).setups
    with np.load(options.entry) as file:
        meta = json.loads(str(file["meta"]))
        neutral = packed_neutral([setups[int(number)] for number in file["numbers"]])
        densities = {"atoms": file["density_sad"], "true": file["density"]}
        matrices = {"neutral": neutral, "true": file["density_matrices"].sum(axis=0)}
        job = {name: file[name] for name in ("numbers", "positions", "cell", "pbc")}
    settings = {"encut": float(meta["mode"].split()[1]), "smearing": float(meta["smearing"].split()[1])}
    job["settings"] = np.array(json.dumps(settings | {"kpts_density": meta["kpts_density"]}))
    for density in densities:
        for source in matrices:
            job |= {f"density_{density}-{source}": densities[density], f"matrices_{density}-{source}": matrices[source]}
    np.savez(options.out, **job)


if __name__ == "__main__":
    main()
