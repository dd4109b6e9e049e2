"""The Docker file and the conda recipe name what setup.cfg, the Makefile and the repository have."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import yaml

from charge3net.version import __version__

ROOT = Path(__file__).parents[1]

#: Package index → conda-forge, where the names differ.
CONDA = {"torch": "pytorch", "pymatgen-core": "pymatgen"}


def settings() -> ConfigParser:
    found = ConfigParser()
    found.read(ROOT / "setup.cfg")
    return found


def recipe() -> dict:
    """The recipe, its two templates filled in."""
    text = (ROOT / "deploy" / "conda" / "meta.yaml").read_text()
    return yaml.safe_load(text.replace("{{ PYTHON }}", "python").replace("{{ compiler('cxx') }}", "cxx"))


def test_the_recipe_requires_what_the_package_requires() -> None:
    required = settings()["options"]["install_requires"].split()
    expected = {"python": ">=3.11"}
    for line in required:
        name, bound = re.fullmatch(r"([\w-]+)(>=[\d.]+)", line).groups()  # type: ignore[union-attr]
        expected[CONDA.get(name, name)] = bound
    assert dict(line.split() for line in recipe()["requirements"]["run"]) == expected
    assert expected["python"] == settings()["options"]["python_requires"]


def test_version_entry_point_and_licence_of_the_recipe() -> None:
    found = recipe()
    assert found["package"] == {"name": "charge3net", "version": __version__}
    assert found["build"]["entry_points"] == settings()["options.entry_points"]["console_scripts"].strip().splitlines()
    assert (ROOT / found["about"]["license_file"]).is_file()
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text()


def test_the_image_copies_files_that_exist_and_takes_the_torch_of_the_makefile() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    copied = [name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.M) for name in line.split()]
    assert {"setup.py", "setup.cfg", "charge3net", "conf"} <= set(copied)
    assert all((ROOT / name).exists() for name in copied), copied
    torch = re.search(r"^TORCH +\?= (\S+)$", (ROOT / "Makefile").read_text(), re.M)
    assert torch is not None
    assert f"torch=={torch[1]}" in text
