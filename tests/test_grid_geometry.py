import numpy as np
import pytest

from charge3net.errors import InputError
from charge3net.geometry import Geometry
from charge3net.grid import Grid, fft_friendly


def test_points_follow_c_order_and_the_cell():
    cell = np.array([[2.0, 0.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.5, 4.0]])
    grid = Grid(cell, (2, 3, 4), origin=np.array([0.1, 0.2, 0.3]))
    points = grid.points()
    assert points.shape == (24, 3)
    np.testing.assert_allclose(
        points[(1 * 3 + 2) * 4 + 3], cell[0] / 2 + cell[1] * 2 / 3 + cell[2] * 3 / 4 + [0.1, 0.2, 0.3]
    )
    assert grid.voxel_volume == pytest.approx(abs(np.linalg.det(cell)) / 24)


def test_fft_friendly_numbers_are_even_products_of_small_primes():
    assert [fft_friendly(n) for n in (1, 2, 3, 11, 13, 22, 26, 51, 97)] == [1, 2, 4, 12, 14, 24, 28, 54, 98]


def test_grids_that_no_computer_holds_are_refused():
    for make in (
        lambda: Grid(np.eye(3), (10**7, 10**7, 10**7)),
        lambda: Grid.from_spacing(np.eye(3), 1e-12),
        lambda: Grid.from_encut(np.eye(3), 1e30),
    ):
        with pytest.raises(InputError, match="does not fit in memory"):
            make()
    assert len(Grid(np.eye(3), (10**4, 10**4, 10**4))) == 10**12


def test_geometry_refuses_nonsense():
    with pytest.raises(InputError, match="at least one atom"):
        Geometry(np.zeros(0, int), np.zeros((0, 3)), np.eye(3), np.ones(3, bool))
    with pytest.raises(InputError, match="119"):
        Geometry(np.array([119]), np.zeros((1, 3)), np.eye(3), np.ones(3, bool))


def test_geometry_of_ase_and_pymatgen_agree():
    from ase.build import bulk
    from pymatgen.io.ase import AseAtomsAdaptor

    atoms = bulk("NaCl", "rocksalt", a=5.64)
    one, two = Geometry.of(atoms), Geometry.of(AseAtomsAdaptor.get_structure(atoms))
    np.testing.assert_allclose(one.positions, two.positions, atol=1e-12)
    np.testing.assert_array_equal(one.numbers, [11, 17])
    np.testing.assert_array_equal(one.numbers, two.numbers)
    assert Geometry.of(one.to_structure()).pbc.all()
