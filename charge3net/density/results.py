"""What methods of a density return, beside densities and arrays."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float, Int
from numpy import ndarray

from charge3net.errors import InputError


@dataclass(frozen=True)
class DensityError:
    """How far a density is from a reference on the same grid (definitions: :mod:`charge3net.analysis.metrics`).

    Attributes:
        nmae: ε_mae = Σ|ρ − ρ_ref| / Σ|ρ_ref| in %.
        rmse: root mean square in e/Å³.
        largest: the largest absolute error in e/Å³.
        electrons: ∫(ρ − ρ_ref) in e.
        spin_nmae: ε_mae of the magnetisation in %; None unless both densities have one.
    """

    nmae: float
    rmse: float
    largest: float
    electrons: float
    spin_nmae: float | None = None

    def __str__(self) -> str:
        spin = "" if self.spin_nmae is None else f" (magnetisation {self.spin_nmae:.3g} %)"
        return (
            f"ε_mae {self.nmae:.3g} %{spin}, RMSE {self.rmse:.3g} e/Å³, largest {self.largest:.3g} e/Å³, "
            f"∫Δρ {self.electrons:.3g} e"
        )


@dataclass(frozen=True, eq=False)
class BaderCharges:
    """Electrons and charges of the atoms in their Bader volumes.

    Attributes:
        symbols: of the atoms.
        electrons: [atoms] electrons of the density in the volume of each atom; added cores are not counted.
        charges: [atoms] valence − electrons, in e.
        valence: [atoms] electrons of the neutral atom that the density holds.
        note: how the volumes were found, and what was added for it.
        without_maximum: atoms at which no maximum was found, so that their electrons belong to a neighbour.
    """

    symbols: tuple[str, ...]
    electrons: Float[ndarray, "atoms"]
    charges: Float[ndarray, "atoms"]
    valence: Int[ndarray, "atoms"]
    note: str
    without_maximum: tuple[int, ...] = ()

    def __str__(self) -> str:
        rows = [
            f"{i:5d}  {symbol:2}  {n:10.4f}  {q:+9.4f}{'  no maximum' if i in self.without_maximum else ''}"
            for i, (symbol, n, q) in enumerate(zip(self.symbols, self.electrons, self.charges, strict=True))
        ]
        return "\n".join([f"{'atom':>5}  {'':2}  {'electrons':>10}  {'charge':>9}", *rows, self.note])


@dataclass(frozen=True)
class View:
    """An interactive picture: one HTML page that needs nothing else.

    Attributes:
        page: the page.
        height: of the frame in a notebook, pixels.
    """

    page: str
    height: int = 460

    def save(self, path: str | Path) -> Path:
        """Write the page; it appears whole or not at all.

        Raises:
            InputError: for a name that does not end in .html, or a folder that does not exist.
        """
        from charge3net.io.files import write_whole

        path = Path(path)
        if path.suffix.lower() not in (".html", ".htm"):
            raise InputError(f"{path}: an interactive picture is an HTML page; give a name that ends in .html")
        write_whole(path, self.page)
        return path

    def __repr__(self) -> str:
        return f"View({len(self.page.encode()) / 1024:.0f} KiB; shown in a notebook, or save('x.html'))"

    def _repr_html_(self) -> str:
        """The page in a frame of its own."""
        style = f"width:100%;max-width:720px;height:{self.height}px;border:1px solid #d5dae1;border-radius:10px"
        return f'<iframe style="{style}" srcdoc="{html.escape(self.page)}"></iframe>'
