"""Goedecker–Teter–Hutter pseudopotentials as UPF files with atomic orbitals.

pw.x reads the files of gth.py as they are, but these hold no orbitals: it then starts from random wavefunctions, and
the first diagonalisation is half of the work of a small cell. Files of other pseudopotentials mostly hold the orbitals
of the atom (PP_PSWFC). This makes such files from the same potentials: the density of a converged run is the same, the
first diagonalisation is cheaper, and pw.x's own start is the true atom.

    python -m data_prep.quantum_espresso.upf Si Mg O -o pseudo/          # pseudo/Si.pbe-q4.upf, …
    python -m data_prep.quantum_espresso.upf Ga --valence 13 -o pseudo/  # as gth.py: else the fewest electrons

Local part and projectors are their formulas on a radial
grid (sources in gth.py); orbitals and density of the neutral atom are those of isolated_atoms.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy import ndarray

from data_prep.quantum_espresso.gth import GthPotential, command, file_name
from data_prep.quantum_espresso.isolated_atoms import atom_orbitals, local_potential, projector

_RADIUS, _STEP = 12.0, 0.01  # bohr; pw.x itself integrates atoms to 10 bohr
_RYDBERG = 2.0  # per hartree
#: r·p(r), bohr^(−1/2), below which a projector has ended.
_ENDED = 1e-14
_HEADER = (
    'generated="charge3net, data_prep/quantum_espresso/upf.py" author="" date="" comment="" element="{element}" '
    'pseudo_type="NC" relativistic="scalar" is_ultrasoft="F" is_paw="F" is_coulomb="F" has_so="F" has_wfc="F" '
    'has_gipaw="F" core_correction="F" functional="SLA PW PBX PBC" z_valence="{valence:.1f}" total_psenergy="0.0" '
    'wfc_cutoff="0.0" rho_cutoff="0.0" l_max="{highest}" l_max_rho="0" l_local="-1" mesh_size="{mesh}" '
    'number_of_wfc="{orbitals}" number_of_proj="{projectors}"'
)


def upf_name(potential: GthPotential) -> str:
    """E.g. ``Si.pbe-q4.upf``."""
    return str(Path(file_name(potential)).with_suffix(".upf"))


def format_upf(potential: GthPotential) -> str:
    """The text of the file, UPF version 2.

    Raises:
        InputError: if the equations of the atom do not converge.
    """
    r = np.arange(0.0, _RADIUS + _STEP / 2, _STEP)
    dense, orbitals = atom_orbitals(potential)
    shells = [(one, np.interp(r, dense, dense * one.values)) for one in orbitals]
    projectors = [
        (momentum, r * projector(momentum, i, width, r))
        for momentum, (width, rows) in enumerate(potential.channels)
        for i in range(len(rows))
    ]
    header = _HEADER.format(
        element=potential.element, valence=potential.valence, mesh=len(r), orbitals=len(shells),
        projectors=len(projectors), highest=max((momentum for momentum, _ in projectors), default=0),
    )  # fmt: skip
    density = sum(one.electrons * values**2 for one, values in shells)
    betas = [_beta(i, momentum, values) for i, (momentum, values) in enumerate(projectors, start=1)]
    counts: dict[int, int] = {}
    states = []
    for i, (one, values) in enumerate(shells, start=1):
        n = counts[one.momentum] = counts.get(one.momentum, one.momentum) + 1
        about = (
            f'index="{i}" label="{n}{"SPDF"[one.momentum]}" l="{one.momentum}" n="{n}" '
            f'occupation="{one.electrons:.6f}" pseudo_energy="{_RYDBERG * one.energy:.8f}"'
        )
        states.append(_section(f"PP_CHI.{i}", values, about))
    nonlocal_part = [*betas, _section("PP_DIJ", _strengths(potential).ravel())] if projectors else []
    return "\n".join([
        '<UPF version="2.0.1">', "<PP_INFO>", f"{potential.name} of CP2K", "</PP_INFO>", f"<PP_HEADER {header}/>",
        f'<PP_MESH mesh="{len(r)}">', _section("PP_R", r), _section("PP_RAB", np.full(len(r), _STEP)), "</PP_MESH>",
        _section("PP_LOCAL", _RYDBERG * local_potential(potential, r)),
        "<PP_NONLOCAL>", *nonlocal_part, "</PP_NONLOCAL>", "<PP_PSWFC>", *states, "</PP_PSWFC>",
        _section("PP_RHOATOM", np.asarray(density)), "</UPF>", "",
    ])  # fmt: skip


def _beta(i: int, momentum: int, values: ndarray) -> str:
    """A projector, to the odd number of points that pw.x integrates over."""
    end = int(np.flatnonzero(np.abs(values) > _ENDED)[-1]) + 1
    end = min(end + 1 - end % 2, len(values))
    about = f'index="{i}" angular_momentum="{momentum}" cutoff_radius_index="{end}" cutoff_radius="{(end - 1) * _STEP}"'
    return _section(f"PP_BETA.{i}", values, about)


def _strengths(potential: GthPotential) -> ndarray:
    """[projectors, projectors] Ry."""
    count = sum(len(rows) for _, rows in potential.channels)
    found, start = np.zeros((count, count)), 0
    for _, rows in potential.channels:
        for i, row in enumerate(rows):
            found[start + i, start + i : start + len(rows)] = found[start + i : start + len(rows), start + i] = row
        start += len(rows)
    return _RYDBERG * found


def _section(name: str, values: ndarray, about: str = "") -> str:
    numbers = [f"{value:.12E}" for value in values]
    lines = [" ".join(numbers[i : i + 4]) for i in range(0, len(numbers), 4)]
    head = f'<{name} type="real" size="{len(numbers)}" {about}'.rstrip()
    return "\n".join([f"{head}>", *lines, f"</{name}>"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    return command(__doc__, upf_name, format_upf, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
