"""Style of all figures: fonts, a palette for colour-blind readers, writing to file."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from charge3net.errors import InputError
from charge3net.io.files import atomic_output

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

#: Okabe and Ito's palette (jfly.uni-koeln.de/color), yellow left out: too pale on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

#: Width in inches of a figure beside text: at it, text of 9 and 10 points is as large as that of the page.
PAGE_WIDTH = 7.2

#: Colour of the baseline (SAD) and of secondary text.
GREY = "#6b7280"

#: Bytes; larger figures are written as PNG.
LARGEST_SVG = 250_000

_RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#374151",
    "axes.linewidth": 0.9,
    "axes.axisbelow": True,
    "xtick.color": "#374151",
    "ytick.color": "#374151",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.7,
    "figure.dpi": 110,
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "charge3net",
}


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function with the style of the package; names the extra to install if a library is missing."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            import matplotlib as mpl

            with mpl.rc_context(_RC):
                return draw(*args, **kwargs)
        except ModuleNotFoundError as error:
            if str(error.name).partition(".")[0] not in ("matplotlib", "mpl_toolkits", "skimage"):
                raise
            raise InputError("figures need matplotlib and scikit-image; pip install 'charge3net[plot]'") from error

    return wrapper


def colour(index: int) -> str:
    """Colour of the index-th series."""
    return PALETTE[index % len(PALETTE)]


def marker(index: int) -> str:
    """Marker of the index-th series, so that colour is never the only difference."""
    return MARKERS[index % len(MARKERS)]


def plain_log_ticks(ax: Axes, axis: str) -> None:
    """Ticks 1, 2, 5 per decade written as plain numbers on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    target = ax.xaxis if axis == "x" else ax.yaxis
    target.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    target.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    target.set_minor_formatter(NullFormatter())


def check_figure_name(path: str | Path) -> str:
    """The format of a figure of this name.

    Raises:
        InputError: for a suffix other than png, svg, pdf.
    """
    suffix = Path(path).suffix.lstrip(".").lower()
    if suffix not in ("png", "svg", "pdf"):
        raise InputError(f"a figure's name ends in .png, .svg or .pdf; found {Path(path).name}")
    return suffix


@styled
def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure, completely or not at all; the format follows from the suffix (png with 200 dpi, svg, pdf).

    Raises:
        InputError: for a suffix that matplotlib cannot write.
    """
    suffix, path = check_figure_name(path), Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(
        drawn,
        format=suffix,
        dpi="figure" if suffix == "svg" else _RC["savefig.dpi"],
        bbox_inches="tight",
        facecolor="white",
        metadata={"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix),
    )
    with atomic_output(path) as stream:
        stream.write(_numbered(drawn.getvalue()) if suffix == "svg" else drawn.getvalue())
    return path


def _numbered(svg: bytes) -> bytes:
    """Give the parts of a drawing that others refer to numbers, in the order in which they are named.

    Matplotlib names them by a hash of all digits of their coordinates. The last digits of a layout are noise, so the
    same figure had another name for the same part each time it was drawn.
    """
    names = re.findall(rb'\bid="([A-Za-z0-9_]*[0-9a-f]{10})"', svg)
    if not names:
        return svg
    found: dict[bytes, bytes] = {}
    refers = re.compile(
        rb'(?<=["#])(?:' + b"|".join(map(re.escape, sorted(names, key=len, reverse=True))) + rb')(?=[")])'
    )
    return refers.sub(lambda match: found.setdefault(match[0], b"part%d" % (len(found) + 1)), svg)


def save_page_figure(figure: Figure, path: Path) -> Path:
    """Write a figure for a page: SVG where that is small, else PNG; returns the path with its suffix.

    Surfaces in space are thousands of triangles, and maps thousands of contours: as SVG they would be megabytes.
    """
    solid = any(hasattr(ax, "get_zlim") for ax in figure.axes)
    if not solid:
        drawn = save_figure(figure, path.with_name(f"{path.name}.svg"))
        if drawn.stat().st_size <= LARGEST_SVG:
            return drawn
        drawn.unlink()
    return save_figure(figure, path.with_name(f"{path.name}.png"))
