"""Makes the files of this folder with pw.x and pp.x 6.7 of Debian: ``python -m tests.io.golden_qe.make`` from the root.

orders.json: of some cells of benchmarks/restart_cells.py, the SHA-256 of the Miller indices (int32) in pw.x's order.
si/, h/: tiny runs, without and with spin, and the densities that pp.x writes as cube files.
occupations.json: paw.txt of pw.x's own start with PAW.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.restart_cells import Cell, cells
from benchmarks.restart_qe import prepare_potentials, run_pw
from charge3net.io.qe.charge_density import read_charge_density
from charge3net.io.qe.paw import read_paw

HERE = Path(__file__).parent
ORDERS = (
    "ibrav2", "ibrav-3", "ibrav5", "ibrav-5", "ibrav9", "ibrav91", "ibrav13", "ibrav-13", "ibrav14", "triclinic0",
    "triclinic3", "triclinic5", "triclinic15", "ties0", "ties3", "ties6", "water1", "water2", "ultrasoft-BN",
)  # fmt: skip
ONE_STEP = "electron_maxstep=1, mixing_beta=1d-9, conv_thr=1d-9"
RUNS = {
    "si": Cell("si", "", {"Si": "Si.pbe-q4.gth"}, "ibrav=0, ecutwfc=4, nosym=.true., noinv=.true.",
               "K_POINTS tpiba\n1\n0.1 0.2 0.3 1\nATOMIC_POSITIONS crystal\nSi 0.02 0 0\nSi 0.25 0.26 0.25\n"
               "CELL_PARAMETERS angstrom\n0.1 2.7 2.7\n2.7 0.0 2.8\n2.7 2.7 0.0"),
    "h": Cell("h", "", {"H1": "H.pbe-q1.gth"},
               "ibrav=8, celldm=7,0.9,1.1, ecutwfc=4, nspin=2, starting_magnetization=1, tot_magnetization=1",
               "K_POINTS gamma\nATOMIC_POSITIONS bohr\nH1 0.3 0.2 0.1"),
}  # fmt: skip
PAW = {
    "N": ("N.pbe-n-kjpaw_psl.1.0.0.UPF", "nspin=2, starting_magnetization=0.3, ibrav=1, celldm(1)=6.5, ecutwfc=16"),
    "C": ("C.pbe-n-kjpaw_psl.0.1.UPF", "ibrav=1, celldm(1)=6.5, ecutwfc=16"),
}


def orders(folder: Path, pseudo: Path) -> list[dict[str, Any]]:
    """What pw.x takes for these cells."""
    found = []
    for cell in cells():
        if cell.name in ORDERS:
            output = run_pw(folder, cell.text(str(pseudo), electrons=ONE_STEP))
            own = read_charge_density(folder / "out" / "x.save" / "charge-density.dat")
            grid = re.search(r"FFT dimensions: \(\s*(\d+),\s*(\d+),\s*(\d+)\)", output)
            assert grid is not None
            digest = hashlib.sha256(own.miller.astype("<i4").tobytes()).hexdigest()
            found.append({
                "name": cell.name, "input": cell.text("pseudo"), "waves": len(own.miller), "sha256": digest,
                "grid": [int(number) for number in grid.groups()], "reciprocal": own.reciprocal.tolist(),
            })  # fmt: skip
    return found


def main() -> None:
    """Write all files."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, pseudo = Path(scratch), Path(scratch) / "pseudo"
        prepare_potentials(pseudo)
        (HERE / "orders.json").write_text(json.dumps(orders(folder, pseudo), indent=1) + "\n")
        for name, cell in RUNS.items():
            target = HERE / name
            shutil.rmtree(target, ignore_errors=True)
            (target / "x.save").mkdir(parents=True)
            shutil.rmtree(folder / "out", ignore_errors=True)
            run_pw(folder, cell.text("pseudo"))
            (target / "x.in").write_text(cell.text("pseudo"))
            for file in ("charge-density.dat", "data-file-schema.xml", *cell.potentials.values()):
                shutil.copy(folder / "out" / "x.save" / file, target / "x.save" / file)
            for component in (0, 6) if "nspin=2" in cell.system else (0,):
                cube = (
                    f"&INPUTPP prefix='x', outdir='out', plot_num={component}, filplot='plot' /\n"
                    f"&PLOT iflag=3, output_format=6, fileout='{component}.cube' /\n"
                )
                subprocess.run(["pp.x"], input=cube, text=True, cwd=folder, capture_output=True)
                shutil.copy(folder / f"{component}.cube", target / f"{component}.cube")
        numbers = {}
        for symbol, (file, system) in PAW.items():
            cards = f"K_POINTS gamma\nATOMIC_POSITIONS alat\n{symbol} 0 0 0"
            metal = "occupations='smearing', degauss=0.02"
            run_pw(folder, Cell("", "", {symbol: file}, f"{system}, {metal}", cards).text(str(pseudo), "", ONE_STEP))
            numbers[symbol] = read_paw(folder / "out" / "x.save" / "paw.txt").tolist()
        (HERE / "occupations.json").write_text(json.dumps(numbers) + "\n")


if __name__ == "__main__":
    main()
