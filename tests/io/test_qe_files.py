"""Inputs, densities, pseudopotentials and start files of pw.x, held to files of pw.x and pp.x (tests/io/golden_qe)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from charge3net.density import Density
from charge3net.errors import InputError
from charge3net.grid import Grid
from charge3net.io import read_density
from charge3net.io.qe.atoms import superposed_atoms
from charge3net.io.qe.charge_density import WaveDensity, read_charge_density, write_charge_density
from charge3net.io.qe.gvectors import plane_waves
from charge3net.io.qe.paw import format_paw, neutral_occupations, read_paw
from charge3net.io.qe.pseudopotential import Pseudopotential, read_pseudopotential
from charge3net.io.qe.pw_input import PwInput, read_pw_input
from charge3net.io.qe.save_folder import read_save_folder, read_save_geometry, read_save_grid
from charge3net.io.qe.start import read_potentials, waves_of, write_start
from charge3net.units import BOHR

GOLDEN = Path(__file__).parent / "golden_qe"
SAVES = {"si": GOLDEN / "si" / "x.save", "h": GOLDEN / "h" / "x.save"}


def input_of(name: str, folder: Path) -> PwInput:
    """The golden input, its pseudopotentials beside it."""
    for file in [GOLDEN / name / "x.in", *SAVES[name].glob("*.gth")]:
        shutil.copy(file, folder)
    return read_pw_input(folder / "x.in")


class TestSaveFolder:
    """Reading what pw.x leaves behind."""

    @pytest.mark.parametrize("name", ["si", "h"])
    def test_density_is_that_of_pp_x(self, name: str) -> None:
        density, cube = read_save_folder(SAVES[name]), read_density(GOLDEN / name / "0.cube")
        assert density.grid.same_as(cube.grid)
        np.testing.assert_allclose(density.total, cube.total, rtol=5.1e-5, atol=1e-7)
        moved = (density.geometry.positions - cube.geometry.positions) @ np.linalg.inv(density.geometry.cell)
        np.testing.assert_allclose(moved, np.rint(moved), atol=1e-6)
        assert density.geometry.numbers.tolist() == cube.geometry.numbers.tolist()

    def test_spin_is_up_minus_down(self) -> None:
        density, cube = read_save_folder(SAVES["h"]), read_density(GOLDEN / "h" / "6.cube")
        assert density.spin is not None
        np.testing.assert_allclose(density.spin, cube.total, rtol=5.1e-5, atol=1e-7)
        assert density.magnetisation() == pytest.approx(1.0, abs=1e-9)

    def test_says_where_it_comes_from(self) -> None:
        about = read_save_folder(SAVES["si"]).provenance
        assert about["electrons_expected"] == 8.0
        assert about["energy"] == pytest.approx(read_etot("si") * 27.211386245988)
        assert about["converged"] is True
        assert about["ecutrho"] == pytest.approx(16 * 13.605693122994)
        potential = about["potentials"]["Si"]
        assert (potential["valence"], potential["kind"], potential["functional"]) == (4.0, "NC", "PBE")

    def test_grid_and_structure_alone(self) -> None:
        density = read_save_folder(SAVES["si"] / "charge-density.dat")
        assert read_save_grid(SAVES["si"]).same_as(density.grid)
        np.testing.assert_array_equal(read_save_geometry(SAVES["si"]).positions, density.geometry.positions)

    @pytest.mark.parametrize(
        "damage", ["no density", "cut density", "huge density", "no schema", "cut schema", "other cell", "text"]
    )
    def test_damage_is_an_error_in_one_sentence(self, damage: str, tmp_path: Path) -> None:
        folder = tmp_path / "x.save"
        shutil.copytree(SAVES["si"], folder)
        density, schema = folder / "charge-density.dat", folder / "data-file-schema.xml"
        if damage == "no density":
            density.unlink()
        elif damage == "cut density":
            density.write_bytes(density.read_bytes()[:-100])
        elif damage == "huge density":
            content = density.read_bytes()
            density.write_bytes(content[:-20] + np.array([1.7e308]).tobytes() + content[-12:])
        elif damage == "no schema":
            schema.unlink()
        elif damage == "cut schema":
            schema.write_bytes(schema.read_bytes()[:-100])
        elif damage == "other cell":
            schema.write_text(schema.read_text().replace("<a1>1", "<a1>2"))
        else:
            density.write_text("no density\n" * 40)
        with pytest.raises(InputError, match=r"x\.save"):
            read_save_folder(folder)


def read_etot(name: str) -> float:
    text = (SAVES[name] / "data-file-schema.xml").read_text()
    return float(text.split("<etot>")[1].split("<")[0])


class TestChargeDensity:
    """charge-density.dat and .hdf5."""

    @pytest.mark.parametrize("name", ["si", "h"])
    def test_dat_is_written_as_pw_x_writes_it(self, name: str, tmp_path: Path) -> None:
        original = SAVES[name] / "charge-density.dat"
        write_charge_density(tmp_path / "charge-density.dat", read_charge_density(original))
        assert (tmp_path / "charge-density.dat").read_bytes() == original.read_bytes()

    def test_hdf5_has_the_documented_layout(self, tmp_path: Path) -> None:
        h5py = pytest.importorskip("h5py")
        density = read_charge_density(SAVES["h"] / "charge-density.dat")
        path = tmp_path / "charge-density.hdf5"
        write_charge_density(path, density)
        with h5py.File(path) as file:
            assert (file.attrs["gamma_only"], file.attrs["nspin"]) == (b".TRUE.", 2)
            assert file.attrs["ngm_g"] == len(density.miller)
            assert file["MillerIndices"].dtype == np.int32
            np.testing.assert_array_equal(file["MillerIndices"].attrs["bg2"], density.reciprocal[1])
            np.testing.assert_array_equal(file["rhotot_g"][::2], density.values[0].real)
            np.testing.assert_array_equal(file["rhodiff_g"][1::2], density.values[1].imag)
        again = read_charge_density(path)
        np.testing.assert_array_equal(again.values, density.values)
        np.testing.assert_array_equal(again.miller, density.miller)
        assert again.gamma_only

    def test_not_finite_is_not_written(self, tmp_path: Path) -> None:
        density = WaveDensity(np.eye(3), np.zeros((1, 3), int), np.array([[np.nan + 0j]]), False)
        with pytest.raises(InputError, match="finite"):
            write_charge_density(tmp_path / "charge-density.dat", density)
        assert list(tmp_path.iterdir()) == []


class TestStart:
    """The files that pw.x starts from."""

    @pytest.mark.parametrize("name", ["si", "h"])
    def test_exact_density_gives_pw_x_its_own_file_back(self, name: str, tmp_path: Path) -> None:
        pw_input = input_of(name, tmp_path)
        start = write_start(tmp_path / "x.save", pw_input, read_potentials(pw_input), read_save_folder(SAVES[name]))
        own, written = (read_charge_density(folder / "charge-density.dat") for folder in (SAVES[name], start.folder))
        np.testing.assert_array_equal(written.miller, own.miller)
        np.testing.assert_allclose(written.values, own.values, rtol=0, atol=1e-14)
        assert start.scaled_by == pytest.approx(1.0, abs=1e-10)

    def test_another_grid_and_too_many_electrons(self, tmp_path: Path) -> None:
        pw_input = input_of("si", tmp_path)
        own = read_charge_density(SAVES["si"] / "charge-density.dat")
        grid = Grid(pw_input.geometry.cell, (20, 24, 25))
        values = pw_input.plane_waves().values(own.values, grid.shape) * 1.25 / BOHR**3
        start = write_start(
            tmp_path / "x.save", pw_input, read_potentials(pw_input), Density(pw_input.geometry, grid, values)
        )
        written = read_charge_density(tmp_path / "x.save" / "charge-density.dat")
        np.testing.assert_allclose(written.values, own.values, rtol=0, atol=1e-14)
        assert (start.electrons, start.scaled_by) == (8.0, pytest.approx(0.8))

    def test_a_density_without_spin_has_no_moment_to_give(self, tmp_path: Path) -> None:
        pw_input = input_of("h", tmp_path)
        density = read_save_folder(SAVES["h"])
        alone = Density(density.geometry, density.grid, density.total)
        with pytest.raises(InputError, match="no density of the atom"):  # a .gth file has none
            write_start(tmp_path / "x.save", pw_input, read_potentials(pw_input), alone)
        text = (tmp_path / "x.in").read_text().replace("starting_magnetization=1,", "")
        (tmp_path / "x.in").write_text(text)
        pw_input = read_pw_input(tmp_path / "x.in")
        start = write_start(tmp_path / "x.save", pw_input, read_potentials(pw_input), alone)
        written = read_charge_density(tmp_path / "x.save" / "charge-density.dat")
        assert "starting_magnetization" in start.warnings[0]
        assert len(written.values) == 2
        assert (written.values[1] == 0).all()

    def test_like_an_earlier_run(self, tmp_path: Path) -> None:
        pw_input = input_of("si", tmp_path)
        np.testing.assert_array_equal(waves_of(pw_input, SAVES["si"]).miller, waves_of(pw_input).miller)
        with pytest.raises(InputError, match="gamma"):
            waves_of(pw_input, SAVES["h"])
        (tmp_path / "x.in").write_text((tmp_path / "x.in").read_text().replace("ecutwfc=4", "ecutwfc=5"))
        with pytest.raises(InputError, match="another ecutrho"):
            waves_of(read_pw_input(tmp_path / "x.in"), SAVES["si"])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (("ecutwfc=4", "ecutwfc=4, lda_plus_u=.true."), "DFT"),
            (("ecutwfc=4", "ecutwfc=4, input_dft='SCAN'"), "meta-GGA"),
            (("0.1 2.7 2.7", "0.1 2.7 2.8"), "another cell"),
            (("Si.pbe-q4.gth", "Ge.gth"), "is not in"),
            (("Si 1.0", "Ge 1.0"), "names Si"),
        ],
    )
    def test_what_cannot_be_started_is_refused(self, change: tuple[str, str], message: str, tmp_path: Path) -> None:
        input_of("si", tmp_path)
        text = (tmp_path / "x.in").read_text()
        assert change[0] in text
        (tmp_path / "x.in").write_text(text.replace(*change))
        density = read_save_folder(SAVES["si"])

        def attempt() -> None:
            pw_input = read_pw_input(tmp_path / "x.in")
            write_start(tmp_path / "x.save", pw_input, read_potentials(pw_input), density)

        with pytest.raises(InputError, match=message):
            attempt()
        assert not (tmp_path / "x.save").exists()


INPUT = """&control
  calculation = "scf", outdir="./out/" ! with / and & in a comment
  prefix='a/b'
/
&system ibrav={ibrav}, {cell}
  nat=2, ntyp=2, ecutwfc = 3.0d1, occupations='fixed'
/
&electrons
/
# a comment
ATOMIC_SPECIES
 Fe1 55.8 'Fe.UPF'
 O 16.0 O.UPF
{cards}
"""
POSITIONS = "ATOMIC_POSITIONS {{crystal}}\nFe1 0 0 0 0 0 0\nO 1/3 -2/3 0.5d0\nK_POINTS (automatic)\n1 1 1 0 0 0"


def parse(folder: Path, ibrav: int = 0, cell: str = "", cards: str = "", positions: str = POSITIONS) -> PwInput:
    (folder / "x.in").write_text(INPUT.format(ibrav=ibrav, cell=cell, cards=positions.format() + "\n" + cards))
    return read_pw_input(folder / "x.in")


class TestPwInput:
    """The user's input."""

    def test_everything(self, tmp_path: Path) -> None:
        cards = "CELL_PARAMETERS bohr\n8 0 0 ! x\n0 9 0\n0 1 10"
        found = parse(tmp_path, cell="nspin=2, starting_magnetization(2)=-0.5, tot_charge=1", cards=cards)
        assert (found.ecutwfc, found.ecutrho, found.nspin, found.gamma_only, found.charge) == (30, 120, 2, False, 1)
        assert (found.prefix, str(found.outdir), found.alat) == ("a/b", "out", 8.0)
        assert found.geometry.numbers.tolist() == [26, 8]
        np.testing.assert_array_equal(found.cell, [[8, 0, 0], [0, 9, 0], [0, 1, 10]])
        np.testing.assert_allclose(found.geometry.positions[1] / BOHR, [8 / 3, -5.5, 5])
        assert [species.magnetization for species in found.species] == [0, -0.5]

    @pytest.mark.parametrize(
        ("cell", "unit", "scale"),
        [
            ("", "bohr", 10.0),
            ("", "angstrom", 10.0 * BOHR),
            ("celldm(1)=10", "alat", 1.0),
            ("A=5.29177210903", "", 1.0),
        ],
    )
    def test_units_of_cells_and_positions_agree(self, cell: str, unit: str, scale: float, tmp_path: Path) -> None:
        cards = f"CELL_PARAMETERS {unit}\n{scale} 0 0\n0 {scale} 0\n0 0 {scale}"
        place = f"ATOMIC_POSITIONS {unit}\nFe1 0 0 0\nO {0.3 * scale} 0 0"
        found = parse(tmp_path, cell=cell, cards=cards, positions=place)
        np.testing.assert_allclose(found.cell, 10 * np.eye(3), atol=1e-12)
        np.testing.assert_allclose(found.geometry.positions[1], [3 * BOHR, 0, 0], atol=1e-12)
        assert found.gamma_only  # pw.x takes Γ where no K_POINTS are given

    def test_letters_and_celldm_give_one_cell(self, tmp_path: Path) -> None:
        one = parse(tmp_path, 14, "celldm = 8, 1.1, 1.2, 0.1, 0.2, -0.1").cell
        other = parse(
            tmp_path, 14, f"A={8 * BOHR}, B={8.8 * BOHR}, C={9.6 * BOHR}, cosBC=0.1, cosAC=0.2, cosAB=-0.1"
        ).cell
        np.testing.assert_allclose(one, other, atol=1e-12)
        lengths = np.linalg.norm(one, axis=1)
        cosines = (one @ one.T) / np.outer(lengths, lengths)
        np.testing.assert_allclose(lengths, [8, 8.8, 9.6])
        np.testing.assert_allclose([cosines[1, 2], cosines[0, 2], cosines[0, 1]], [0.1, 0.2, -0.1])

    @pytest.mark.parametrize(
        ("ibrav", "cell", "cards", "message"),
        [
            (0, "", "", "CELL_PARAMETERS"),
            (0, "celldm(1)=3, A=2", "CELL_PARAMETERS\n1 0 0\n0 1 0\n0 0 1", "one of them"),
            (0, "", "CELL_PARAMETERS bohr\n1 0 0\n0 1 0", "three lattice vectors"),
            (0, "", "CELL_PARAMETERS bohr\n1 0 x\n0 1 0\n0 0 1", "expected a lattice vector"),
            (4, "celldm(1)=7", "", r"celldm\(3\)"),
            (77, "celldm(1)=7", "", "ibrav = 77"),
            (14, "celldm=7,1,1,0.9,-0.9,0.9", "", "no cell has angles"),
            (5, "celldm(1)=7, celldm(4)=-0.6", "", "cosine"),
            (1, "celldm(1)=7, noncolin=.true.", "", "non-collinear"),
            (1, "celldm(1)=7, nspin=4", "", "non-collinear"),
            (1, "", "", r"celldm\(1\)"),
        ],
    )
    def test_mistakes_are_named(self, ibrav: int, cell: str, cards: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=message) as caught:
            parse(tmp_path, ibrav, cell, cards)
        assert "x.in" in str(caught.value)

    @pytest.mark.parametrize("text", ["", "&system", "POSCAR\n1.0\n", "&system ibrav=1 /\n", "\0\1&system"])
    def test_other_files_are_no_input(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "x.in").write_text(text)
        with pytest.raises(InputError):
            read_pw_input(tmp_path / "x.in")


UPF1 = """<PP_HEADER>
   0                   Version Number
  Mg                   Element
   US                  Ultrasoft pseudopotential
    T                  Nonlinear Core Correction
 SLA  PW   PBE  PBE     PBE  Exchange-Correlation functional
    2.00000000000      Z valence
   -3.5                Total energy
</PP_HEADER>
<PP_MESH><PP_R> 0.1D0 0.2 </PP_R><PP_RAB>1 1</PP_RAB></PP_MESH>
<PP_BETA>
    1    0             Beta L
</PP_BETA>
<PP_BETA>
    2    1             Beta L
</PP_BETA>
<PP_RHOATOM> 1.0 2.0E+00 </PP_RHOATOM>
"""


def paw_file(element: str, valence: float, momenta: list[int], occupations: list[float]) -> str:
    """The parts of a UPF file, version 2, that are read."""
    betas = "".join(f'<PP_BETA.{i + 1} index="{i + 1}" angular_momentum="{m}">0</PP_BETA.{i + 1}>' for i, m in
                    enumerate(momenta))  # fmt: skip
    return (
        f"<PP_INFO>made by A & B <a@b></PP_INFO><PP_HEADER element=' {element}' pseudo_type=\"PAW\"\n "
        f'functional=" SLA  PW   PBX  PBC" z_valence="{valence}" number_of_proj="{len(momenta)}"/>'
        '\n<PP_R size="2">0 1</PP_R>'
        f'<PP_RAB>1 1</PP_RAB>{betas}<PP_RHOATOM>0 0</PP_RHOATOM><PP_PAW><PP_OCCUPATIONS size="4">'
        f"{' '.join(map(str, occupations))}</PP_OCCUPATIONS></PP_PAW>"
    )


class TestPseudopotential:
    """Heads of pseudopotential files."""

    def test_upf_version_1(self, tmp_path: Path) -> None:
        (tmp_path / "Mg.UPF").write_text(UPF1)
        found = read_pseudopotential(tmp_path / "Mg.UPF")
        assert (found.element, found.kind, found.valence, found.functional) == ("Mg", "US", 2.0, "PBE")
        assert found.projectors == 4
        np.testing.assert_array_equal(found.radii, [0.1, 0.2])
        np.testing.assert_array_equal(found.atom, [1, 2])

    def test_upf_version_2(self, tmp_path: Path) -> None:
        (tmp_path / "N.UPF").write_text(paw_file("N", 5, [0, 0, 1, 1], [2, 0, 3, 0]))
        found = read_pseudopotential(tmp_path / "N.UPF")
        assert (found.element, found.kind, found.valence, found.functional) == ("N", "PAW", 5.0, "PBE")
        assert (found.angular_momenta, found.occupations) == ((0, 0, 1, 1), (2, 0, 3, 0))

    @pytest.mark.parametrize("text", ["", "<PP_HEADER>\n</PP_HEADER>", "a\nb\nc\n", "x\n14 4 0\n7 1 1\n"])
    @pytest.mark.parametrize("name", ["x.UPF", "x.gth"])
    def test_other_files_are_refused(self, text: str, name: str, tmp_path: Path) -> None:
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=name):
            read_pseudopotential(tmp_path / name)


class TestPaw:
    """Occupations of the projectors, held to those of pw.x's own start."""

    def potentials(self, folder: Path, element: str, occupations: list[float]) -> list[Pseudopotential]:
        (folder / "x.UPF").write_text(paw_file(element, sum(occupations), [0, 0, 1, 1], occupations))
        return [read_pseudopotential(folder / "x.UPF")]

    @pytest.mark.parametrize(
        ("element", "occupations", "moments"), [("C", [2.0, 0, 2, 0], None), ("N", [2.0, 0, 3, 0], [0.3])]
    )
    def test_neutral_atoms(
        self, element: str, occupations: list[float], moments: list[float] | None, tmp_path: Path
    ) -> None:
        golden = np.array(json.loads((GOLDEN / "occupations.json").read_text())[element])
        found = neutral_occupations(self.potentials(tmp_path, element, occupations), [0], moments)
        assert found.size == golden.size
        occupied = found.reshape(-1) != 0
        assert occupied.sum() == 4 * len(found)
        np.testing.assert_allclose(found.reshape(-1)[occupied], golden[occupied], atol=1e-8)
        assert np.abs(golden[~occupied]).max() < 0.06  # pw.x adds noise there to break symmetries

    def test_text_is_read_back(self, tmp_path: Path) -> None:
        found = neutral_occupations(self.potentials(tmp_path, "C", [2.0, 0, 2, 0]), [0, 0])
        (tmp_path / "paw.txt").write_text(format_paw(found))
        np.testing.assert_array_equal(read_paw(tmp_path / "paw.txt"), found.reshape(-1))
        assert len((tmp_path / "paw.txt").read_text().splitlines()) == found.size


def test_superposed_atoms_of_gaussian_density() -> None:
    """Σ N (a/π)^1.5 exp(−a r²) has the coefficients N exp(−G²/4a) exp(−iG·R)/V."""
    radii = np.linspace(0, 12, 2401)
    a = 0.9
    atom = 4 * np.pi * radii**2 * 3.0 * (a / np.pi) ** 1.5 * np.exp(-a * radii**2)
    potential = Pseudopotential(
        "x", "Al", "NC", 3.0, "PBE", "", (), (), radii, np.full(len(radii), radii[1] - radii[0]), atom
    )
    cell = np.array([[7.0, 1, 0], [0, 8, 0], [0.5, 0, 9]])
    waves = plane_waves(cell, 12.0)
    places = np.array([[0.3, 0.1, 0.2], [2.0, 1.0, 3.0]])
    found = superposed_atoms(waves, [potential], [0, 0], places * BOHR, [0.5])
    vectors = waves.miller @ waves.reciprocal
    expected = 1.5 * np.exp(-(vectors**2).sum(axis=1) / (4 * a)) / np.linalg.det(cell)
    expected = expected * np.exp(-1j * places @ vectors.T).sum(axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-9)
