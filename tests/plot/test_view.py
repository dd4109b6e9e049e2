"""Interactive pictures: surfaces against spheres, whole molecules, and a page that needs nothing else."""

from __future__ import annotations

import base64
import html
import json
import re
import zlib
from configparser import ConfigParser
from pathlib import Path

import numpy as np
import pytest

from charge3net import Density, Geometry, Grid, InputError
from charge3net.cli.main import main
from charge3net.plot.scene import Surface, levels_enclosing, shown_atoms, surface
from charge3net.plot.view import density_view
from tests.analysis.test_molecules import across_a_corner
from tests.helpers.gaussians import gaussian_density
from tests.test_density_methods import gaussians, with_spin

pytest.importorskip("skimage")


def fluorine_at(place: np.ndarray, pbc: bool = True) -> Density:
    """One Gaussian of 10 electrons and width 0.6 Å."""
    cell = np.array([[5.0, 0, 0], [0.6, 5.2, 0], [-0.3, 0.5, 5.4]])
    geometry = Geometry(np.array([9]), place[None], cell, np.full(3, pbc))
    return gaussian_density(geometry, Grid(cell, (40, 42, 44)), 0.6, charges=[10.0], images=2)


def enclosed(mesh: Surface) -> float:
    """Volume by Gauss's theorem, whichever way round the triangles are."""
    corners = mesh.vertices[mesh.faces] - mesh.vertices.mean(axis=0)
    return abs(float(np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6.0))


def is_closed(mesh: Surface) -> bool:
    _, index = np.unique(mesh.vertices.round(4), axis=0, return_inverse=True)
    faces = index.reshape(-1)[mesh.faces]
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges = edges[edges[:, 0] != edges[:, 1]]
    return bool((np.unique(edges, axis=0, return_counts=True)[1] % 2 == 0).all())


@pytest.mark.parametrize("faces", [100_000, 1_500])
def test_the_surface_of_a_gaussian_is_a_sphere(faces: int) -> None:
    centre = np.array([2.5, 2.8, 2.7])
    density = fluorine_at(centre)
    level = 10.0 / (2 * np.pi * 0.36) ** 1.5 * np.exp(-(1.1**2) / (2 * 0.36))
    mesh = surface(density.total, density, shown_atoms(density.geometry, density.grid), level, faces)
    radii = np.linalg.norm(mesh.vertices - centre, axis=1)
    np.testing.assert_allclose(radii, 1.1, atol=0.02)
    outward = (mesh.vertices - centre) / radii[:, None]
    assert ((mesh.normals * outward).sum(axis=1) > 0.99).all()
    assert enclosed(mesh) == pytest.approx(4 / 3 * np.pi * 1.1**3, rel=0.02)
    assert is_closed(mesh)
    assert len(mesh.faces) <= 1.1 * faces


def test_a_crystal_is_cut_at_the_walls_and_closed_there() -> None:
    """The sphere sits at a corner: eight parts with lids, of the volume of one sphere together."""
    density = fluorine_at(np.zeros(3))
    level = 10.0 / (2 * np.pi * 0.36) ** 1.5 * np.exp(-(1.1**2) / (2 * 0.36))
    shown = shown_atoms(density.geometry, density.grid)
    assert len(shown.atoms) == 8
    mesh = surface(density.total, density, shown, level, 50_000)
    assert enclosed(mesh) == pytest.approx(4 / 3 * np.pi * 1.1**3, rel=0.03)
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-6)


def test_molecules_are_shown_whole_with_whole_surfaces() -> None:
    atoms = across_a_corner("C6H6")
    geometry = Geometry.of(atoms)
    grid = Grid(geometry.cell, (54, 58, 60))
    density = gaussian_density(
        geometry, grid, 0.4, charges=[4.0 if z == 6 else 1.0 for z in geometry.numbers], images=1
    )
    shown = shown_atoms(geometry, grid)
    assert shown.molecular
    assert len(shown.bonds) == 12
    assert np.ptp(shown.positions, axis=0).max() < 5.1
    mesh = surface(density.total, density, shown, 0.15, 100_000)
    assert is_closed(mesh)
    nearest = np.linalg.norm(mesh.vertices[:, None] - shown.positions[None], axis=-1).min(axis=1)
    assert nearest.max() < 1.5  # of an atom that is drawn
    voxels = (density.total > 0.15).sum() * grid.voxel_volume
    assert enclosed(mesh) == pytest.approx(voxels, rel=0.03)


def test_levels_enclose_what_they_say() -> None:
    density = fluorine_at(np.array([2.5, 2.8, 2.7]))
    half, small = levels_enclosing(density.total, [(0.5, 1.0), (0.9, 0.02)])
    assert density.total[density.total >= half].sum() / density.total.sum() == pytest.approx(0.5, abs=0.01)
    assert (density.total >= small).mean() == pytest.approx(0.02, abs=0.001)
    with pytest.raises(InputError, match="no surface to show"):
        levels_enclosing(1e-9 * density.total, [(0.5, 1.0)])


def scene_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="scene">(.*?)</script>', page, re.S)[1])


def test_the_page_needs_no_other_place_and_holds_the_surface() -> None:
    density = fluorine_at(np.array([2.5, 2.8, 2.7]))
    view = density_view(density, levels=[0.4], title="<b>fluorine & more</b>", faces=4000)
    assert not re.search(r"[a-z]+://|src=|@import|url\(", view.page)
    assert "&lt;b&gt;fluorine &amp; more&lt;/b&gt;" in view.page
    assert "$" not in re.sub(r"\$\{", "", view.page)  # nothing left to fill in
    assert len(view.page) < 100_000
    [layer] = scene_of(view.page)["layers"]
    data = zlib.decompress(base64.b64decode(layer["data"]))
    vertices, faces = layer["vertices"], layer["faces"]
    places = np.frombuffer(data, "<u2", 3 * vertices).reshape(3, -1).T / 65535.0
    low, high = np.array(layer["low"]), np.array(layer["high"])
    index = np.cumsum(np.frombuffer(data, "<i4", 3 * faces, 6 * vertices)).reshape(-1, 3)
    normals = np.frombuffer(data, "<i1", 3 * vertices, 6 * vertices + 12 * faces)
    assert len(normals) == 3 * vertices
    mesh = Surface(low + places * (high - low), normals.reshape(3, -1).T / 127.0, index)
    expected = surface(density.total, density, shown_atoms(density.geometry, density.grid), 0.4, 4000)
    assert enclosed(mesh) == pytest.approx(enclosed(expected), rel=1e-3)


def test_spin_and_difference_have_two_colours() -> None:
    density = with_spin(gaussians())
    flipped = density.values.copy()
    flipped[1, :18] *= -1.0
    density = Density(density.geometry, density.grid, flipped)
    spin = scene_of(density.view(channel="magnetisation").page)["layers"]
    assert [layer["name"][:5] for layer in spin] == ["m = +", "m = −", "ρ = 0"]
    assert spin[0]["colour"] != spin[1]["colour"]
    assert [layer["visible"] for layer in spin] == [True, True, False]
    page = (1.1 * density).view(density, levels=[0.01]).page
    assert "ε_mae 10 %" in page
    assert scene_of(page)["layers"][0]["name"] == "Δρ = +0.01 e/Å³"


def test_in_a_notebook() -> None:
    bundle = gaussians()._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", "image/png"}
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    page = html.unescape(re.search(r'srcdoc="([^"]*)"', bundle["text/html"])[1])
    assert scene_of(page)["turns"] is True
    assert sum(map(len, bundle.values())) < 250_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": [50.0]}, "no surface at 50 e/Å³: the field lies between"),
        ({"levels": [-1.0]}, "one or two positive densities"),
        ({"channel": "magnetisation"}, "no magnetisation"),
        ({"channel": "spin"}, "'total' or 'magnetisation'"),
    ],
)
def test_what_cannot_be_shown(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        density_view(gaussians(), **options)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with_spin(gaussians()).write("CHGCAR")
    assert main(["view", "CHGCAR", "-o", "x.html"]) == 0
    assert capsys.readouterr().out.startswith("x.html: ")
    assert main(["view", "CHGCAR", "--spin", "--level", "0.1", "-o", "m.html"]) == 0
    assert "m = +0.1 μ_B/Å³" in Path("m.html").read_text()
    for wrong, message in (
        (["CHGCAR", "-o", "x.pdf"], "ends in .html"),
        (["CHGCAR"] * 3 + ["-o", "y.html"], "one or two densities"),
        (["CHGCAR", "CHGCAR", "-o", "y.html"], "no surface to show"),
    ):
        assert main(["view", *wrong]) == 2
        assert message in capsys.readouterr().err
    (-1.0 * gaussians()).write("minus.npz")
    assert main(["view", "minus.npz", "-o", "y.html"]) == 2
    said = capsys.readouterr().err
    assert "warning: minus.npz: 100 % of Σ|ρ| is negative" in said
    assert "no surface" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CHGCAR", "m.html", "minus.npz", "x.html"]


def test_the_viewer_is_installed_with_the_package() -> None:
    root = Path(__file__).parents[2]
    setup = ConfigParser()
    setup.read(root / "setup.cfg")
    packed = {name.strip() for name in setup["options.package_data"]["charge3net.plot"].split(",")}
    there = {f"viewer/{path.name}" for path in (root / "charge3net" / "plot" / "viewer").iterdir()}
    assert packed == there
