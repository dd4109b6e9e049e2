"""Inputs of pw.x for :mod:`benchmarks.restart_qe`: small cells of all kinds that list and order of waves depend on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

#: ibrav → the rest of the cell, two silicon or magnesium atoms in each.
LATTICES = {
    1: "celldm(1)=7.0", 2: "A=5.43", 3: "celldm(1)=8.1", -3: "a=4.6", 4: "celldm(1)=7.0, celldm(3)=1.3",
    5: "celldm(1)=8.0, celldm(4)=0.3", -5: "A=4.3, cosAB=-0.2", 6: "celldm(1)=7.0, celldm(3)=1.2", 7: "A=4.5, C=6.1",
    8: "A=4.1, B=3.9, C=4.4", 9: "celldm=10,1.1,0.8", -9: "A=4.5, B=5.9, C=4.4",
    91: "celldm(1)=7.0, celldm(2)=1.3, celldm(3)=1.4", 10: "A=5.6, B=5.9, C=6.4", 11: "A=4.8, B=4.9, C=5.4",
    12: "A=4.1, B=3.9, C=4.4, cosAB=0.2", -12: "A=4.1, B=3.9, C=4.4, cosAC=0.2", 13: "A=5.8, B=4.9, C=5.6, cosAB=0.15",
    -13: "celldm(1)=10.5, celldm(2)=0.8, celldm(3)=0.9, celldm(5)=-0.2",
    14: "A=4.1, B=3.9, C=4.4, cosAC=0.2, cosAB=0.12, cosBC=-0.2",
}  # fmt: skip

_DIAMOND = np.array([[x, y, z] for x, y, z in ((0, 0, 0), (0, 2, 2), (2, 0, 2), (2, 2, 0))])
_DIAMOND = np.concatenate([_DIAMOND, _DIAMOND + 1]) / 4


@dataclass(frozen=True)
class Cell:
    """One input.

    Attributes:
        name: unique.
        kind: what is special about it.
        potentials: symbol → file of the pseudopotential; ``.gth`` files are made, others belong to Debian's
            quantum-espresso-data.
        system: lines of &SYSTEM beyond the counts.
        cards: K_POINTS, ATOMIC_POSITIONS and, for ibrav = 0, CELL_PARAMETERS.
    """

    name: str
    kind: str
    potentials: dict[str, str]
    system: str
    cards: str

    def text(self, pseudo_dir: str, control: str = "", electrons: str = "conv_thr=1d-13") -> str:
        """The input file."""
        atoms = self.cards.split("ATOMIC_POSITIONS")[1].splitlines()[1:]
        count = next((i for i, line in enumerate(atoms) if len(line.split()) < 4), len(atoms))
        species = "\n".join(f"{symbol} 1.0 {file}" for symbol, file in self.potentials.items())
        return (
            f"&CONTROL\n calculation='scf', prefix='x', outdir='out', pseudo_dir='{pseudo_dir}' {control}\n/\n"
            f"&SYSTEM\n nat={count}, ntyp={len(self.potentials)}, {self.system}\n/\n&ELECTRONS\n {electrons}\n/\n"
            f"ATOMIC_SPECIES\n{species}\n{self.cards}\n"
        )


def cells() -> Iterator[Cell]:
    """All of them, the same ones at every call."""
    yield from _bravais()
    yield from _triclinic()
    yield from _ties()
    yield from _molecules()
    yield from _ultrasoft_and_paw()
    yield from _with_spin()


_METAL = "occupations='smearing', smearing='mv', degauss=0.02"
_MESH = "K_POINTS automatic\n2 2 2 0 0 0"
_GAMMA = "K_POINTS gamma"


def _bravais() -> Iterator[Cell]:
    positions = "ATOMIC_POSITIONS crystal\nSi 0 0 0\nMg 0.47 0.52 0.49"
    potentials = {"Si": "Si.pbe-q4.gth", "Mg": "Mg.pbe-q2.gth"}
    for ibrav, rest in LATTICES.items():
        yield Cell(f"ibrav{ibrav}", "ibrav", potentials, f"ibrav={ibrav}, {rest}, ecutwfc=14, {_METAL}",
                   f"{_MESH}\n{positions}")  # fmt: skip


def _triclinic() -> Iterator[Cell]:
    rng = np.random.default_rng(0)
    potentials = {"Si": "Si.pbe-q4.gth", "C": "C.pbe-q4.gth"}
    for i in range(20):
        cell = np.diag(rng.uniform(3.2, 4.2, 3)) + rng.normal(scale=0.5, size=(3, 3))
        unit = ("angstrom", "bohr", "alat")[i % 3]
        scale = {"angstrom": 1.0, "bohr": 1 / 0.529177210903, "alat": 1 / 3.7}[unit]
        rows = "\n".join(" ".join(f"{x:.9f}" for x in row * scale) for row in cell)
        second = " ".join(f"{x:.6f}" for x in rng.uniform(0.4, 0.6, 3))
        alat = ", A=3.7" if unit == "alat" else ""
        cards = f"ATOMIC_POSITIONS crystal\nSi 0.01 0 0\nC {second}\nCELL_PARAMETERS {unit}\n{rows}"
        points = _GAMMA if i % 4 == 3 else "K_POINTS automatic\n2 1 1 1 0 0"
        system = f"ibrav=0{alat}, ecutwfc={20 + i % 5}, ecutrho={(20 + i % 5) * (4 + i % 3)}, {_METAL}"
        yield Cell(f"triclinic{i}", "triclinic", potentials, system, f"{points}\n{cards}")


def _ties() -> Iterator[Cell]:
    """Silicon with cells that are cubic but for noise far below the digits of an input, where the order is hardest."""
    rng = np.random.default_rng(1)
    for i, noise in enumerate((0.0, 1e-11, 3e-11, 1e-10, 1e-10, 3e-10, 1e-9)):
        cell = 5.43 * np.eye(3) + rng.normal(scale=noise, size=(3, 3)) if noise else 5.43 * np.eye(3)
        rows = "\n".join(" ".join(f"{x:.13f}" for x in row) for row in cell)
        moved = _DIAMOND + 0.01 * rng.normal(size=_DIAMOND.shape)
        atoms = "\n".join("Si " + " ".join(f"{x:.6f}" for x in row) for row in moved)
        cards = f"K_POINTS automatic\n1 1 1 1 1 1\nATOMIC_POSITIONS crystal\n{atoms}\nCELL_PARAMETERS angstrom\n{rows}"
        yield Cell(f"ties{i}", "ties", {"Si": "Si.pbe-q4.gth"}, "ibrav=0, ecutwfc=14", cards)


def _molecules() -> Iterator[Cell]:
    water = "O 5.0 5.0 5.0\nH 6.43 5.0 6.107\nH 3.57 5.0 6.107"
    carbon = "C 4.5 4.5 4.0\nO 4.5 4.5 6.13"
    potentials = {"O": "O.pbe-q6.gth", "H": "H.pbe-q1.gth"}
    boxes = ("ibrav=1, celldm(1)=10", "ibrav=8, celldm=10,1.05,1.1", "ibrav=2, celldm(1)=17", "ibrav=6, A=5.2, C=6.0")
    for i, box in enumerate(boxes):
        yield Cell(f"water{i}", "gamma only", potentials, f"{box}, ecutwfc=30",
                   f"{_GAMMA}\nATOMIC_POSITIONS bohr\n{water}")  # fmt: skip
    yield Cell("co", "gamma only", {"C": "C.pbe-q4.gth", "O": "O.pbe-q6.gth"}, "ibrav=1, celldm(1)=9, ecutwfc=30",
               f"{_GAMMA}\nATOMIC_POSITIONS bohr\n{carbon}")  # fmt: skip


def _ultrasoft_and_paw() -> Iterator[Cell]:
    two = "ATOMIC_POSITIONS alat\n{0} 0 0 0\n{1} 0.25 0.25 0.26"
    single = "ATOMIC_POSITIONS alat\n{0} 0 0 0"
    pairs = {
        "ultrasoft": [
            ("Si", "Si.pbe-nl-rrkjus_psl.1.0.0.UPF", "C", "C.pbe-rrkjus.UPF", 8.4),
            ("B", "B.pbe-n-rrkjus_psl.1.0.0.UPF", "N", "N.pbe-n-rrkjus_psl.1.0.0.UPF", 6.8),
            ("Li", "Li.pbesol-s-rrkjus_psl.0.2.1.UPF", "O", "O.pbesol-n-rrkjus_psl.0.1.UPF", 8.5),
            ("C", "C.pz-rrkjus.UPF", "O", "O.pz-van_ak.UPF", 7.5),
        ],
        "PAW": [
            ("B", "B.pbe-n-kjpaw_psl.1.0.0.UPF", "N", "N.pbe-n-kjpaw_psl.1.0.0.UPF", 6.8),
            ("Li", "Li.pbesol-s-kjpaw_psl.0.2.1.UPF", "O", "O.pbesol-n-kjpaw_psl.0.1.UPF", 8.5),
            ("Ge", "Ge.pbe-kjpaw.UPF", "C", "C.pbe-n-kjpaw_psl.0.1.UPF", 8.8),
            ("N", "N.pbe-n-kjpaw_psl.0.1.UPF", "B", "B.pbe-n-rrkjus_psl.1.0.0.UPF", 6.8),
            ("H", "H.pbe-kjpaw.UPF", "Si", "Si.pbe-rrkj.UPF", 8.0),
        ],
    }
    for kind, members in pairs.items():
        for one, first, other, second, length in members:
            system = f"ibrav=2, celldm(1)={length}, ecutwfc=24, ecutrho=192, {_METAL}"
            yield Cell(f"{kind}-{one}{other}", kind, {one: first, other: second}, system,
                       f"{_MESH}\n{two.format(one, other)}")  # fmt: skip
    for kind, file in (("ultrasoft", "Cu.pz-d-rrkjus.UPF"), ("PAW", "Cu.pbe-kjpaw.UPF")):
        yield Cell(f"{kind}-Cu", kind, {"Cu": file}, f"ibrav=2, celldm(1)=6.8, ecutwfc=24, ecutrho=240, {_METAL}",
                   f"K_POINTS automatic\n3 3 3 0 0 0\n{single.format('Cu')}")  # fmt: skip


def _with_spin() -> Iterator[Cell]:
    mesh, atom = "K_POINTS automatic\n3 3 3 0 0 0", "ATOMIC_POSITIONS alat\n{0} 0 0 0"
    for name, file, cell in (
        ("Ni", "Ni.pz-nd-rrkjus.UPF", "ibrav=2, celldm(1)=6.48"),
        ("Fe", "Fe.pbe-nd-rrkjus.UPF", "ibrav=3, celldm(1)=5.42"),
        ("Ni", "Ni.pbesol-n-kjpaw_psl.0.1.UPF", "ibrav=2, celldm(1)=6.6"),
    ):
        kind = "nspin 2, PAW" if "paw" in file else "nspin 2"
        system = f"{cell}, ecutwfc=24, ecutrho=240, nspin=2, starting_magnetization(1)=0.6, {_METAL}"
        yield Cell(
            f"spin-{name}{'-PAW' if 'paw' in file else ''}", kind, {name: file}, system, f"{mesh}\n{atom.format(name)}"
        )
    oxygen = "ATOMIC_POSITIONS bohr\nO 4.5 4.5 3.4\nO 4.5 4.5 5.7"
    for name, file in (("gth", "O.pbe-q6.gth"), ("paw", "O.pbe-kjpaw.UPF"), ("us", "O.pbe-rrkjus.UPF")):
        system = (
            "ibrav=1, celldm(1)=9, ecutwfc=24, ecutrho=144, nspin=2, tot_magnetization=2, starting_magnetization=0.4"
        )
        kind = "nspin 2, PAW" if name == "paw" else "nspin 2"
        yield Cell(f"spin-O2-{name}", kind, {"O": file}, f"{system}, tot_magnetization=2, {_METAL}",
                   f"{_GAMMA}\n{oxygen}")  # fmt: skip
