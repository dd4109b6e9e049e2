"""What a notebook shows of a density: a slice, and beside it an isosurface that turns; together some 100 KiB."""

from __future__ import annotations

import base64
import html
import io
import logging

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.plot.slices import density_slice
from charge3net.plot.view import density_view

logger = logging.getLogger(__name__)

#: Triangles of the isosurfaces, height of the frame (pixels), resolution of the slice (dots per inch).
FACES, HEIGHT, DPI = 6_000, 360, 72


#: Voxels of the largest density that is drawn unasked: beyond, a cell of a notebook would wait for seconds.
LARGEST = 1 << 25


def notebook_bundle(density: Density) -> dict[str, str]:
    """Media type → content, for what can be drawn: ``image/png`` the slice, ``text/html`` slice and isosurface."""
    if len(density.grid) > LARGEST:
        return {}
    pictures = {}
    parts = [f"<div><code>{html.escape(repr(density))}</code></div>"]
    try:
        view = density_view(density, faces=FACES)
    except InputError as reason:  # without the extra [plot]; a density without a surface
        logger.info("no isosurface: %s", reason)
    else:
        style = f"width:440px;max-width:100%;height:{HEIGHT}px;border:1px solid #d5dae1;border-radius:10px"
        parts.append(f'<iframe style="{style}" srcdoc="{html.escape(view.page)}"></iframe>')
    try:
        pictures["image/png"] = _slice(density)
        parts.append(f'<img style="height:{HEIGHT}px" alt="slice" src="data:image/png;base64,{pictures["image/png"]}">')
    except InputError as reason:  # without the extra [plot]
        logger.info("no slice: %s", reason)
    if len(parts) == 1:
        return {}
    row = "display:flex;flex-wrap:wrap;gap:12px;align-items:center"
    return {**pictures, "text/html": f'{parts[0]}<div style="{row}">{"".join(parts[1:])}</div>'}


def _slice(density: Density) -> str:
    try:
        from PIL import Image  # comes with matplotlib
    except ImportError as error:
        raise InputError("pictures need the extra [plot]; pip install 'charge3net[plot]'") from error

    figure = density_slice(density, titles=(density.geometry.formula, ""))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight", facecolor="white")
    small = io.BytesIO()
    Image.open(buffer).convert("RGB").quantize(96).save(small, format="png", optimize=True)
    return base64.b64encode(small.getvalue()).decode()
