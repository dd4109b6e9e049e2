"""Figures: geometry of slices and surfaces against analytic shapes, files, the command line."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import ase.build
import numpy as np
import pytest

from charge3net.analysis.interpolation import interpolate
from charge3net.cli.main import main
from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid
from charge3net.units import E_PER_BOHR3
from tests.analysis.test_molecules import across_a_corner
from tests.helpers.evaluation import CELL
from tests.helpers.gaussians import gaussian_density, superposition

pytest.importorskip("matplotlib")
pytest.importorskip("skimage")

from charge3net.plot import (
    Curve,
    Plane,
    angular_gain,
    density_slice,
    element_bars,
    error_histogram,
    error_strip,
    isosurfaces,
    learning_curves,
    parity,
    save_figure,
)
from charge3net.plot.isosurface import isosurface_mesh, level_enclosing, quiet_start


def _density(positions: list[list[float]], shape: tuple[int, int, int] = (32, 30, 34)) -> Density:
    geometry = Geometry(np.full(len(positions), 1), np.array(positions), CELL, np.ones(3, dtype=bool))
    return gaussian_density(geometry, Grid(CELL, shape), 0.45)


def test_splines_read_a_smooth_field_anywhere() -> None:
    density = _density([[0.2, 0.1, 0.3]])
    points = np.random.default_rng(0).uniform(-6, 6, (50, 3))
    expected = _reference(points, density.geometry)
    found = interpolate(density.total, density.grid, points)
    np.testing.assert_allclose(found, expected, atol=2e-4 * density.total.max())


def _reference(points: np.ndarray, geometry: Geometry) -> np.ndarray:
    wrapped = points - np.floor(points @ np.linalg.inv(geometry.cell)) @ geometry.cell
    return superposition(geometry, wrapped, 0.45, images=2)


def test_isosurface_of_a_gaussian_is_a_sphere_of_the_right_size() -> None:
    """In a skewed cell, around an atom whose sphere fits inside."""
    centre = (CELL.sum(axis=0) / 2).tolist()
    density = _density([centre])
    radius = 0.8
    level = float(np.exp(-(radius**2) / (2 * 0.45**2)) / (2 * np.pi * 0.45**2) ** 1.5)
    mesh = isosurface_mesh(density, level)
    distances = np.linalg.norm(mesh.vertices - centre, axis=1)
    np.testing.assert_allclose(distances, radius, atol=0.01)
    corners = mesh.vertices[mesh.faces] - centre
    volume = np.linalg.det(corners).sum() / 6  # positive only if every face looks outwards
    assert abs(volume) == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.01)
    outward = (corners.mean(axis=1) * mesh.normals).sum(axis=1) / np.linalg.norm(corners.mean(axis=1), axis=1)
    assert outward.min() > 0.99
    assert not mesh.lids.any()


def test_a_cut_isosurface_is_closed_and_can_be_moved_whole() -> None:
    density = _density([[0.0, 0.0, 0.0]])
    level = 0.3
    cut = isosurface_mesh(density, level)
    assert cut.lids.any()
    start = quiet_start(density, level)
    whole = isosurface_mesh(density, level, start)
    assert not whole.lids.any()
    volumes = [abs(np.linalg.det(m.vertices[m.faces] - m.vertices.mean(axis=0)).sum()) / 6 for m in (cut, whole)]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.02)
    with pytest.raises(InputError, match="level between"):
        isosurface_mesh(density, 1e3)


def test_level_that_encloses_a_fraction() -> None:
    """For a Gaussian the radius that holds a fraction is a quantile of the chi distribution with three degrees."""
    from scipy import stats

    level = level_enclosing(_density([[1.0, 1.0, 1.0]]), 0.8)
    radius = 0.45 * stats.chi.ppf(0.8, 3)
    assert level == pytest.approx(np.exp(-(radius**2) / (2 * 0.45**2)) / (2 * np.pi * 0.45**2) ** 1.5, rel=0.03)
    with pytest.raises(InputError, match="fraction"):
        level_enclosing(_density([[1.0, 1.0, 1.0]]), 1.2)


def test_plane_of_three_atoms_takes_nearest_images() -> None:
    geometry = Geometry(
        np.array([8, 1, 1]),
        np.array([[0.1, 0.1, 0.1], [4.9, 0.1, 0.1], [0.1, 4.8, 0.1]]),
        np.eye(3) * 5,
        np.ones(3, dtype=bool),
    )
    plane = Plane.through_atoms(geometry, [0, 1, 2], size=3.0)
    np.testing.assert_allclose(np.abs(plane.normal), [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(plane.centre, [0.1 - 0.2 / 3, 0.1 - 0.3 / 3, 0.1], atol=1e-12)
    numbers, places = plane.atoms_in(geometry)
    assert sorted(numbers.tolist()) == [1, 1, 8]
    np.testing.assert_allclose(
        np.linalg.norm(places[numbers == 8] - places[numbers == 1], axis=1).max(), 0.3, atol=1e-9
    )
    with pytest.raises(InputError, match="three different atoms"):
        Plane.through_atoms(geometry, [0, 1, 1])


def test_plane_through_most_atoms_finds_the_ring() -> None:
    """A hexagon of carbon with two atoms off its plane."""
    angles = np.arange(6) * np.pi / 3
    ring = np.stack([1.4 * np.cos(angles), 1.4 * np.sin(angles), np.zeros(6)], axis=1)
    tilt = np.array([[1, 0, 0], [0, np.cos(0.7), -np.sin(0.7)], [0, np.sin(0.7), np.cos(0.7)]])
    positions = np.concatenate([ring, [[0, 0, 2.0], [0.5, 0.2, -2.2]]]) @ tilt.T + 6.0
    geometry = Geometry(np.array([6] * 6 + [1, 1]), positions, np.eye(3) * 12, np.ones(3, dtype=bool))
    plane = Plane.through_most_atoms(geometry)
    assert len(plane.atoms_in(geometry)[0]) == 6
    assert abs(plane.normal @ tilt[:, 2]) == pytest.approx(1.0, abs=1e-9)


def test_the_plane_of_a_symmetric_crystal_does_not_depend_on_rounding() -> None:
    """Neighbours of a body-centred cubic crystal are equally far; noise of 1e-9 Å must not choose another plane."""
    cell = 2.9 * np.eye(3)
    positions = np.array([[0.0, 0.0, 0.0], [1.45, 1.45, 1.45]])
    rng = np.random.default_rng(0)
    planes = []
    for noise in (0.0, 1e-9, 1e-9, 1e-9):
        moved = positions + noise * rng.normal(size=(2, 3))
        planes.append(Plane.through_most_atoms(Geometry(np.array([24, 24]), moved, cell, np.ones(3, dtype=bool))))
    for plane in planes[1:]:
        np.testing.assert_allclose(plane.centre, planes[0].centre, atol=1e-6)
        np.testing.assert_allclose(plane.right, planes[0].right, atol=1e-6)
        np.testing.assert_allclose(plane.up, planes[0].up, atol=1e-6)


def test_atoms_on_a_line_are_refused() -> None:
    geometry = Geometry(
        np.array([6, 8, 8]), np.array([[5.0, 5, 5], [6.1, 5, 5], [3.9, 5, 5]]), np.eye(3) * 10, np.zeros(3, dtype=bool)
    )
    with pytest.raises(InputError, match="line"):
        Plane.through_atoms(geometry, (0, 1, 2))


def test_slice_shows_the_difference_it_is_given() -> None:
    true = _density([[1.0, 1.0, 1.0], [2.0, 1.2, 1.1], [1.5, 2.2, 1.0]])
    predicted = Density(true.geometry, true.grid, true.values * 1.1)
    figure = density_slice(true, predicted)
    images = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    assert len(images) == 3
    np.testing.assert_allclose(images[2].max(), 0.1 * images[0].max(), rtol=1e-6)
    assert "predicted − true" in figure.axes[2].get_title()
    other = Density(true.geometry, Grid(CELL * 2, true.grid.shape), true.values)
    with pytest.raises(InputError, match="different cells"):
        density_slice(true, other)


def test_every_figure_is_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    curve = Curve("a", np.array([1.0, 10, 100]), np.array([30.0, 10, 3]))
    density = _density([[1.0, 1.0, 1.0], [2.0, 1.2, 1.1], [1.5, 2.2, 1.0]], (10, 10, 10))
    made = {
        "curves.svg": learning_curves([curve, curve], 12.0),
        "parity.png": parity({5000: 3, 8000: 10}),
        "histogram.pdf": error_histogram(rng.random(9) + 0.1, rng.random(9) + 5),
        "elements.png": element_bars({1: 2.0, 8: 1.0}, {1: 5.0, 8: 6.0}),
        "strip.png": error_strip({"a": rng.random(5) + 1, "atoms": rng.random(5) + 9}, "atoms"),
        "gain.svg": angular_gain(rng.random(8), {"L = 0 → 2": rng.random(8)}, "gain (%)"),
        "surface.png": isosurfaces([density, density], ["a", "b"]),
    }
    starts = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}
    for name, figure in made.items():
        path = save_figure(figure, tmp_path / name)
        assert path.read_bytes().startswith(starts[path.suffix])
    assert {p.name for p in tmp_path.iterdir()} == set(made)
    with pytest.raises(InputError, match="png"):
        save_figure(made["parity.png"], tmp_path / "figure.docx")


def test_curves_of_one_model_share_colour_and_one_label() -> None:
    a, b = (Curve("L = 2", np.array([1.0, 10]), np.array([y, 1.0])) for y in (5.0, 6.0))
    other = Curve("SchNet", np.array([1.0, 10]), np.array([7.0, 2.0]))
    ax = learning_curves([a, b, other]).axes[0]
    colours = [line.get_color() for line in ax.lines]
    assert colours[0] == colours[1] != colours[2]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["L = 2", "SchNet"]


def test_command_line_slice_and_surface(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    density = _density([[1.0, 1.0, 1.0], [2.0, 1.2, 1.1], [1.5, 2.2, 1.0]], (12, 12, 12))
    for name in ("true.npz", "predicted.npz"):
        density.write(tmp_path / name)
    files = [str(tmp_path / "true.npz"), str(tmp_path / "predicted.npz")]
    assert main(["plot", "slice", *files, "--atoms", "0", "1", "2", "-o", str(tmp_path / "slice.png")]) == 0
    assert main(["plot", "isosurface", files[0], "-o", str(tmp_path / "surface.png")]) == 0
    assert (tmp_path / "slice.png").stat().st_size > 10_000
    capsys.readouterr()
    for bad in (
        ["slice", *files, "-o", str(tmp_path / "x.txt")],
        ["slice", *files, "--atoms", "0", "1", "9", "-o", str(tmp_path / "x.png")],
        ["slice", *files, files[0], "-o", str(tmp_path / "x.png")],
        ["isosurface", files[0], "--level", "900", "-o", str(tmp_path / "x.png")],
        ["curves", str(tmp_path), "-o", str(tmp_path / "x.png")],
        ["errors", str(tmp_path), "-o", str(tmp_path / "x.png")],
    ):
        assert main(["plot", *bad]) == 2
        err = capsys.readouterr().err
        assert err.startswith("charge3net plot: error: ")
        assert err.count("\n") == 1
    assert not list(tmp_path.glob("x.*"))


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_a_plane_of_three_atoms_shows_the_whole_molecule(shift: float) -> None:
    """Also where the walls cut it: benzene lies in one plane, and the window holds its twelve atoms."""
    atoms = across_a_corner("C6H6")
    atoms.positions += shift * atoms.cell.array.sum(axis=0)
    atoms.wrap()
    geometry = Geometry.of(atoms)
    for three in ((0, 2, 4), (0, 1, 9)):
        plane = Plane.through_atoms(geometry, three)
        numbers, places = plane.atoms_in(geometry)
        assert sorted(numbers.tolist()) == [1] * 6 + [6] * 6
        assert np.abs(places).max() < plane.size / 2 - 1.5
        np.testing.assert_allclose(places.max(axis=0), -places.min(axis=0), atol=0.02)
    assert Plane.through_atoms(geometry, (0, 2, 4), 3.0).size == 3.0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["nothing", "negative", "uniform", "orbital", "times volume"])
def test_fields_that_are_no_densities_are_drawn_with_a_word(kind: str, tmp_path: Path, capsys) -> None:
    good = _density([[1.0, 1.0, 1.0], [2.0, 1.2, 1.1], [1.5, 2.2, 1.0]], (12, 12, 12))
    values = {
        "nothing": 0.0 * good.values,
        "negative": -good.values,
        "uniform": np.full_like(good.values, 3.0 / good.grid.volume),
        "orbital": good.values * np.sign(np.arange(12) - 5.5),
        "times volume": good.values * good.grid.volume * E_PER_BOHR3,  # as a cube of pymatgen is read
    }[kind]
    Density(good.geometry, good.grid, values).write(tmp_path / "field.npz")
    assert main(["plot", "slice", str(tmp_path / "field.npz"), "-o", str(tmp_path / "slice.png")]) == 0
    word = {"nothing": "all values are zero", "times volume": "ρ·V", "uniform": ""}.get(kind, "is negative")
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == (0 if kind == "uniform" else 1)
    status = main(["plot", "isosurface", str(tmp_path / "field.npz"), "--level", "0.01", "-o", str(tmp_path / "s.png")])
    assert status == (0 if kind in ("orbital", "times volume") else 2)
    assert word in capsys.readouterr().err


@pytest.mark.parametrize("module", ["skimage.measure", "matplotlib"])
def test_a_missing_library_is_one_sentence(module: str, monkeypatch, tmp_path: Path, capsys) -> None:
    _density([[1.0, 1.0, 1.0]], (12, 12, 12)).write(tmp_path / "rho.npz")
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    assert main(["plot", "isosurface", str(tmp_path / "rho.npz"), "-o", str(tmp_path / "x.png")]) == 2
    error = capsys.readouterr().err
    assert error.endswith("error: figures need matplotlib and scikit-image; pip install 'charge3net[plot]'\n")
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(("name", "atoms"), [("CO2", 3), ("N2", 2), ("H", 1)])
def test_atoms_on_a_line_are_shown_in_a_plane_that_holds_it(name: str, atoms: int) -> None:
    molecule = ase.build.molecule(name) if atoms > 1 else ase.Atoms("H")
    molecule.center(vacuum=3.0)
    geometry = Geometry.of(molecule)
    plane = Plane.through_most_atoms(geometry)
    numbers, places = plane.atoms_in(geometry)
    assert len(numbers) == atoms
    np.testing.assert_allclose(places.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(places[:, 1], 0.0, atol=1e-9)


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_a_figure_drawn_twice_is_the_same_file(suffix: str, tmp_path: Path) -> None:
    """Layouts differ in the last digits from one time to the next."""
    from matplotlib.figure import Figure

    written = []
    for noise in (0.0, 1e-13):
        figure = Figure(figsize=(4.0, 3.0))
        for left in (0.1, 0.6):
            ax = figure.add_axes((left + noise, 0.1 + noise, 0.35, 0.8))
            ax.plot([0.0, 1.0, 2.0], [1.0, 3.0, 2.0], "o-")
            ax.bar([0, 1], [1, 2], hatch="//")
        written.append(save_figure(figure, tmp_path / f"{noise}.{suffix}").read_bytes())
    assert written[0] == written[1]
    if suffix == "svg":
        text = written[0].decode()
        named = re.findall(r'id="([^"]+)"', text)
        assert len(named) == len(set(named))
        referred = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
        assert referred
        assert referred <= set(named)
