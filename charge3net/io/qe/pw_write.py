"""Inputs of pw.x for a structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from charge3net.geometry import Geometry


def format_pw_input(
    geometry: Geometry,
    potentials: Mapping[str, str],
    *,
    ecutwfc: float,
    mesh: Sequence[int] | None,
    shift: int = 0,
    pseudo_dir: str,
    control: str = "",
    system: str = "",
    electrons: str = "",
) -> str:
    """The text of an input.

    Args:
        geometry: a periodic structure.
        potentials: symbol → name of the pseudopotential's file.
        ecutwfc: Ry.
        mesh: divisions of the k mesh; None for ``K_POINTS gamma``.
        shift: 0 for a mesh around Γ, 1 for one shifted by half a step along each vector.
        pseudo_dir: folder of the pseudopotentials.
        control, system, electrons: further lines of the namelists.
    """
    from ase.data import atomic_masses, atomic_numbers, chemical_symbols

    symbols = [chemical_symbols[number] for number in geometry.numbers]
    species = sorted(set(symbols))
    lines = [
        "&CONTROL",
        f"  calculation = 'scf', prefix = 'x', outdir = 'out', pseudo_dir = '{pseudo_dir}'",
        *([f"  {control}"] if control else []),
        "/",
        "&SYSTEM",
        f"  ibrav = 0, nat = {len(symbols)}, ntyp = {len(species)}, ecutwfc = {ecutwfc:g}",
        *([f"  {system}"] if system else []),
        "/",
        "&ELECTRONS",
        *([f"  {electrons}"] if electrons else []),
        "/",
        "ATOMIC_SPECIES",
        *(f"  {one} {atomic_masses[atomic_numbers[one]]:.4f} {potentials[one]}" for one in species),
        "ATOMIC_POSITIONS angstrom",
        *(
            f"  {symbol} {_row(position)}"
            for symbol, position in zip(symbols, geometry.positions.tolist(), strict=True)
        ),
        "CELL_PARAMETERS angstrom",
        *(f"  {_row(vector)}" for vector in geometry.cell.tolist()),
        "K_POINTS gamma"
        if mesh is None
        else f"K_POINTS automatic\n  {mesh[0]} {mesh[1]} {mesh[2]} {shift} {shift} {shift}",
    ]
    return "\n".join(lines) + "\n"


def _row(values: Sequence[float]) -> str:
    return " ".join(f"{value:.12f}" for value in values)
