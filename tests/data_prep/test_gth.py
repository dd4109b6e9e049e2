"""GTH potentials from CP2K's list."""

from __future__ import annotations

from pathlib import Path

import pytest

from charge3net.errors import InputError
from charge3net.io.qe.pseudopotential import read_pseudopotential
from data_prep.quantum_espresso.gth import POTENTIALS, choose, file_name, format_abinit, main, read_gth

# Lines of CP2K's list.
LIST = """# a comment
H GTH-PBE-q1 GTH-PBE
    1
     0.20000000    2    -4.17890044     0.72446331
    0
#
Si GTH-PBE-q4 GTH-PBE
    2    2
     0.44000000    1    -6.26928833
    2
     0.43563383    2     8.95174150    -2.70627082
                                        3.49378060
     0.49794218    1     2.43127673
#
Si GTH-PADE-q4 GTH-LDA-q4 GTH-PADE GTH-LDA
    2    2
     0.44000000    1    -7.33610297
    2
     0.42273813    2     5.90692831    -1.26189397
                                        3.25819622
     0.48427842    1     2.72701346
"""


def test_numbers_and_functionals(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(LIST)
    found = read_gth(tmp_path / "list")
    assert list(found) == [("H", 1), ("Si", 4)]
    silicon = found["Si", 4]
    assert (silicon.shells, silicon.valence) == ((2, 2), 4)
    assert silicon.local == (0.44, (-6.26928833,))
    assert silicon.channels == (
        (0.43563383, ((8.95174150, -2.70627082), (3.49378060,))),
        (0.49794218, ((2.43127673,),)),
    )


def test_layout_is_that_of_abinit(tmp_path: Path) -> None:
    """pspcod 10: lmax −1 without projectors, spin-orbit coupling (zeros) behind each channel beyond s."""
    (tmp_path / "list").write_text(LIST)
    found = read_gth(tmp_path / "list")
    lines = [line.split() for line in format_abinit(found["Si", 4]).splitlines()]
    assert lines[1][:2] == ["14", "4"]
    assert lines[2][:4] == ["10", "11", "1", "0"]
    assert [[float(word) for word in line] for line in lines[5:]] == [
        [0.43563383, 2, 8.95174150, -2.70627082], [3.49378060], [0.49794218, 1, 2.43127673], [0.0],
    ]  # fmt: skip
    hydrogen = format_abinit(found["H", 1]).splitlines()
    assert hydrogen[2].split()[2] == "-1"
    assert hydrogen[4].split()[0] == "0"


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list").write_text(LIST)
    assert main(["Si", "H", "--potentials", str(tmp_path / "list"), "-o", str(tmp_path / "pseudo")]) == 0
    found = read_pseudopotential(tmp_path / "pseudo" / "Si.pbe-q4.gth")
    assert (found.element, found.valence, found.functional, found.kind) == ("Si", 4, "PBE", "NC")
    assert main(["Si", "--valence", "3", "--potentials", str(tmp_path / "list"), "-o", str(tmp_path)]) == 2
    assert "valences 4" in capsys.readouterr().err
    with pytest.raises(InputError, match="no potential"):
        choose(read_gth(tmp_path / "list"), "Xe")


@pytest.mark.skipif(not POTENTIALS.is_file(), reason="CP2K's list (Debian: cp2k-data) is not installed")
def test_every_potential_of_the_list(tmp_path: Path) -> None:
    potentials = read_gth(POTENTIALS)
    assert len({element for element, _ in potentials}) >= 80
    for (element, valence), potential in potentials.items():
        path = tmp_path / file_name(potential)
        path.write_text(format_abinit(potential))
        found = read_pseudopotential(path)
        assert (found.element, found.valence) == (element, valence)
