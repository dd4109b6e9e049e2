"""What a Density does beyond sums: numbers from closed forms, pymatgen, ASE, xarray and files of VASP."""

from __future__ import annotations

import inspect
import io
import typing
from pathlib import Path

import ase.io.cube
import numpy as np
import pytest
from jaxtyping import TypeCheckError
from pymatgen.io.vasp.outputs import Chgcar
from scipy.special import erf

import charge3net
from charge3net import Density, Geometry, Grid
from charge3net.errors import InputError
from tests.helpers.gaussians import gaussian_density

CELL = np.array([[6.0, 0.0, 0.0], [0.5, 6.5, 0.0], [-0.4, 0.3, 7.0]])


def gaussians(shape: tuple[int, int, int] = (36, 40, 42), origin: tuple[float, ...] = (0.0, 0.0, 0.0)) -> Density:
    """Two Gaussians of 5 and 2 electrons, far from the walls of a skewed cell."""
    geometry = Geometry(np.array([9, 3]), np.array([[2.6, 3.2, 3.3], [3.9, 3.1, 3.6]]), CELL, np.ones(3, bool))
    return gaussian_density(geometry, Grid(CELL, shape, np.array(origin)), 0.5, charges=[5.0, 2.0], images=1)


def with_spin(density: Density, share: float = 0.25) -> Density:
    return Density(density.geometry, density.grid, np.stack([density.total, share * density.total]))


def test_repr_is_one_line_with_the_numbers() -> None:
    text = repr(with_spin(gaussians()))
    assert "\n" not in text
    assert "LiF" in text
    assert "36×40×42" in text
    assert "7.0000 e" in text
    assert "1.7500 μ_B" in text
    assert len(text) < 120


def test_arithmetic() -> None:
    a, b = with_spin(gaussians()), with_spin(gaussians(), 0.5)
    np.testing.assert_allclose((a + b).spin, 0.75 * a.total)
    np.testing.assert_allclose((a - b).spin, -0.25 * a.total)
    assert (2 * a).electrons() == pytest.approx(14.0, rel=1e-6)
    assert (np.float64(2.0) * a).electrons() == pytest.approx(14.0, rel=1e-6)
    assert (a / 4).electrons() == pytest.approx(1.75, rel=1e-6)
    assert abs(-a).electrons() == pytest.approx(7.0, rel=1e-6)
    assert (a.up().electrons(), a.down().electrons()) == pytest.approx((4.375, 2.625), rel=1e-6)
    assert a.up().spin is None
    for wrong in ("a", None, a):
        with pytest.raises((TypeError, TypeCheckError)):
            a * wrong
    with pytest.raises((TypeError, TypeCheckError)):
        a + 1
    with pytest.raises(InputError, match="no spin"):
        gaussians().up()


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (Grid(CELL, (10, 10, 10)), "36×40×42 and 10×10×10 voxels.*resample"),
        (Grid(CELL * 1.01, (36, 40, 42)), "their cells by up to 0.07 Å"),
        (Grid(CELL, (36, 40, 42), np.array([0.1, 0.0, 0.0])), "their origins"),
    ],
)
def test_different_grids_are_refused_with_the_difference(grid: Grid, message: str) -> None:
    a = gaussians()
    other = Density(a.geometry, grid, np.ones(grid.shape))
    for combine in (lambda: a + other, lambda: a - other, lambda: a.error(other)):
        with pytest.raises(InputError, match=message):
            combine()


def test_error_against_the_formulas() -> None:
    a = with_spin(gaussians())
    error = (1.02 * a).error(a)
    assert error.nmae == pytest.approx(2.0)
    assert error.spin_nmae == pytest.approx(2.0)
    assert error.electrons == pytest.approx(0.14, rel=1e-6)
    assert error.largest == pytest.approx(0.02 * a.total.max())
    assert str(error).startswith("ε_mae 2 %")
    assert gaussians().error(a).spin_nmae is None


def test_values_between_voxels_and_across_the_walls() -> None:
    density = with_spin(gaussians())
    rng = np.random.default_rng(0)
    points = density.geometry.positions[0] + rng.normal(0.0, 0.5, (200, 3))
    exact = sum(
        q * np.exp(-((points - R) ** 2).sum(1) / (2 * 0.25)) / (2 * np.pi * 0.25) ** 1.5
        for q, R in zip((5.0, 2.0), density.geometry.positions, strict=True)
    )
    found = density.at(points)
    assert found.shape == (200, 2)
    np.testing.assert_allclose(found[:, 0], exact, atol=4e-4 * exact.max())
    np.testing.assert_allclose(found[:, 1], exact / 4, atol=1e-4 * exact.max())
    np.testing.assert_allclose(density.at(points + 2 * CELL[0] - CELL[2]), found, atol=1e-9)
    assert np.abs(gaussians().at(points, order=1) - exact).max() > np.abs(found[:, 0] - exact).max()
    for wrong in (np.zeros(3), [[np.nan, 0, 0]], [[0.0, 1.0]]):
        with pytest.raises(InputError, match="points are"):
            density.at(wrong)
    with pytest.raises(InputError, match="degree of 0 to 5"):
        density.at(points, order=7)


def test_resampling_keeps_electrons_and_gives_the_true_values() -> None:
    density = with_spin(gaussians((30, 33, 35)))
    for shape in ((36, 40, 42), (24, 27, 29), (31, 32, 36)):
        found = density.resample(shape)
        assert found.electrons() == pytest.approx(density.electrons(), rel=1e-12)
        assert found.magnetisation() == pytest.approx(density.magnetisation(), rel=1e-12)
        np.testing.assert_allclose(found.total, gaussians(shape).total, atol=2e-4)
    moved = density.resample(Grid(CELL, (36, 40, 42), np.array([0.3, -0.2, 0.7])))
    np.testing.assert_allclose(moved.total, gaussians((36, 40, 42), (0.3, -0.2, 0.7)).total, atol=2e-4)
    np.testing.assert_allclose(moved.resample(density.grid).values, density.values, atol=1e-10)
    with pytest.raises(InputError, match="another one"):
        density.resample(Grid(CELL * 1.1, (30, 33, 35)))
    with pytest.raises(InputError, match="three positive integers"):
        density.resample((4, 4))


def test_a_part_of_a_periodic_cell_is_refused() -> None:
    geometry = gaussians().geometry
    part = Density(geometry, Grid(CELL / 2, (4, 4, 4)), np.ones((4, 4, 4)))
    for method in (
        lambda: part.at([[0.0, 0.0, 0.0]]),
        lambda: part.resample((8, 8, 8)),
        lambda: part.integrate(0, 1.0),
        lambda: part.bader(),
        lambda: part.dipole(),
        lambda: part.electrostatic_potential(),
    ):
        with pytest.raises(InputError, match="whole periodic cell"):
            method()


def test_electrons_in_a_sphere() -> None:
    """A Gaussian of width s holds q (erf(x) − 2x exp(−x²)/√π) within R, x = R/(s√2)."""
    cell = np.diag([8.0, 8.5, 9.0])
    geometry = Geometry(np.array([9]), np.array([[0.3, 8.3, 4.4]]), cell, np.ones(3, bool))
    density = with_spin(gaussian_density(geometry, Grid(cell, (40, 42, 45)), 0.5, charges=[7.0], images=2))
    for radius in (0.05, 0.4, 1.0, 2.5):
        x = radius / (0.5 * np.sqrt(2.0))
        inside = 7.0 * (erf(x) - 2 * x * np.exp(-(x**2)) / np.sqrt(np.pi))
        assert density.integrate(0, radius) == pytest.approx(inside, rel=1e-5)
        assert density.integrate([0.3, -0.2, 4.4], radius, "magnetisation") == pytest.approx(inside / 4, rel=1e-5)
    with pytest.raises(InputError, match="atoms are counted from 0 to 0"):
        density.integrate(1, 1.0)
    with pytest.raises(InputError, match="radius"):
        density.integrate(0, 0.0)
    with pytest.raises(InputError, match="no magnetisation"):
        gaussians().integrate(0, 1.0, "magnetisation")


def test_pymatgen_and_back(shared: Path) -> None:
    density = Density.read(shared / "real" / "CHGCAR.Si2")
    theirs = Chgcar.from_file(str(shared / "real" / "CHGCAR.Si2"))
    mine = density.to_pymatgen()
    np.testing.assert_allclose(mine.data["total"], theirs.data["total"], rtol=1e-12)
    for atom, values in theirs.data_aug["total"].items():
        np.testing.assert_allclose(mine.data_aug["total"][atom], values)
    back = Density.from_pymatgen(theirs)
    np.testing.assert_allclose(back.values, density.values, rtol=1e-12)
    stream = io.StringIO(back.augmentation[0])
    assert stream.readline().split() == ["augmentation", "occupancies", "1", "33"]
    np.testing.assert_allclose(
        Density.from_pymatgen(mine).to_pymatgen().data_aug["total"][2], mine.data_aug["total"][2]
    )


def test_pymatgen_with_spin_and_an_origin() -> None:
    density = with_spin(gaussians(origin=(1.0, 0.5, 0.2)))
    chgcar = density.to_pymatgen()
    assert chgcar.is_spin_polarized
    np.testing.assert_allclose(chgcar.net_magnetization / chgcar.ngridpts, 1.75, rtol=1e-5)
    np.testing.assert_allclose(chgcar.structure.cart_coords, density.geometry.positions - [1.0, 0.5, 0.2])
    np.testing.assert_allclose(Density.from_pymatgen(chgcar).values, density.values, rtol=1e-12)


def test_ase_writes_the_same_cube(tmp_path: Path) -> None:
    density = gaussians()
    with open(tmp_path / "ase.cube", "w") as file:
        ase.io.cube.write_cube(file, density.to_ase(), density.total)
    with open(tmp_path / "ase.cube") as file:
        atoms = ase.io.cube.read_cube(file)["atoms"]
    np.testing.assert_allclose(atoms.positions, density.geometry.positions, atol=1e-5)
    assert density.to_ase().pbc.all()


def test_xarray() -> None:
    density = with_spin(gaussians((4, 5, 6)))
    array = density.to_xarray()
    assert array.dims == ("channel", "a", "b", "c")
    assert float(array.sel(channel="total", a=0.25, b=0.4, c=0.5)) == density.total[1, 2, 3]
    assert array.attrs["units"] == "e/Å³"


def test_read_is_the_inverse_of_write(tmp_path: Path) -> None:
    density = gaussians((6, 7, 8))
    density.write(tmp_path / "x.npz")
    np.testing.assert_array_equal(Density.read(tmp_path / "x.npz").values, density.values)


def public_functions() -> list[tuple[str, object]]:
    """Every public name, and every public method and property of the classes among them."""
    found: list[tuple[str, object]] = []
    for name in charge3net.__all__:
        thing = getattr(charge3net, name)
        if not callable(thing):
            continue
        found.append((name, thing))
        for member in dir(thing) if inspect.isclass(thing) else ():
            static = inspect.getattr_static(thing, member)
            static = getattr(static, "__func__", None) or getattr(static, "fget", None) or static
            static = getattr(static, "func", static)
            ours = str(getattr(static, "__module__", "")).startswith("charge3net")
            if inspect.isfunction(static) and ours and (not member.startswith("_") or member == "__init__"):
                found.append((f"{name}.{member}", static))
    return found


def test_type_hints_of_the_public_names_resolve_and_all_have_a_docstring() -> None:
    functions = public_functions()
    assert {"Density.bader", "Predictor.predict", "Geometry.to_structure", "read_density"} <= {n for n, _ in functions}
    for name, function in functions:
        try:
            typing.get_type_hints(function)
        except NameError as error:
            pytest.fail(f"help({name}): {error}")
        if not name.endswith("__init__"):
            assert (inspect.getdoc(function) or "").strip(), f"{name} has no docstring"
