"""The wheel as a user installs it: what is in it, and a prediction with the shipped model outside of the repository."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ase.build import bulk

from charge3net.io import read_density

ROOT = Path(__file__).parents[1]

FILES = ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")

#: Compressed wheel without compiled kernels, MB; the shipped weights are most of it.
LARGEST = 6.0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the files of the repository, without compiling the kernels, which takes a minute."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if name.startswith(("charge3net/", "conf/")) or name in FILES:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    environment = os.environ | {"CXX": "false", "PATH": os.environ.get("PATH", "")}
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(source)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    [found] = folder.glob("*.whl")
    return found


def test_what_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {re.sub(r"^[^/]*\.data/(pure|plat)lib/", "", name) for name in archive.namelist()}
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        message = email.message_from_bytes(archive.read(metadata))
    assert {f"charge3net/{path.relative_to(ROOT)}" for path in (ROOT / "conf").rglob("*.yaml")} <= names
    shipped = {path for path in (ROOT / "charge3net" / "pretrained" / "shipped").rglob("*") if path.is_file()}
    assert shipped
    assert {str(path.relative_to(ROOT)) for path in shipped} <= names
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "charge3net").rglob("*.py")} <= names
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "charge3net" / "kernels" / "src").iterdir()} <= names
    assert not {name for name in names if name.startswith(("tests/", "data_prep/", "benchmarks/", "docs/"))}
    assert wheel.stat().st_size < LARGEST * 1e6
    text = message.get_payload()
    assert "# charge3net" in text
    links = re.findall(r"\]\(([^)]*)\)|src=\"([^\"]*)\"", text)
    assert links
    assert all(link.startswith("https://") for pair in links for link in pair if link), links


def test_it_predicts_outside_of_the_repository(wheel: Path, tmp_path: Path) -> None:
    """With the shipped model and the packages of this environment, but not this repository."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    done = subprocess.run([*pip, str(tmp_path / "site"), str(wheel)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    bulk("NaCl", "rocksalt", a=5.64).write(tmp_path / "POSCAR", format="vasp")
    program = "import sys, charge3net.cli.main as cli; print(cli.__file__); sys.exit(cli.main())"
    command = [sys.executable, "-c", program, "predict", "POSCAR", "--shape", "12", "12", "12", "-o", "CHGCAR"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "site"))
    assert "delta-gpaw-pbe" in done.stdout
    # Na and Cl of GPAW's setups have 7 and 7 valence electrons
    assert read_density(tmp_path / "CHGCAR").electrons() == pytest.approx(14.0, rel=0.05)
