"""What a charge density depends on in a pseudopotential file of pw.x.

UPF versions 1 and 2, and Goedecker–Teter–Hutter potentials in the layout of ABINIT (pspcod 3 and 10), which pw.x reads
from files whose name ends in ``.gth``. Numbers are taken from their sections one by one, since the texts inside many
UPF files are no valid XML.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from charge3net.errors import InputError

_FUNCTIONALS = {
    "SLA PZ NOGX NOGC": "PZ",
    "SLA PW NOGX NOGC": "PW",
    "SLA PW PBX PBC": "PBE",
    "SLA PW PBE PBE": "PBE",
    "SLA PW PSX PSC": "PBESOL",
    "SLA LYP B88 BLYP": "BLYP",
    "SLA B3LP B88 BLYP": "BLYP",
    "SLA PW RPB PBC": "REVPBE",
}
_GTH_FUNCTIONALS = {1: "LDA", 11: "PBE"}  # pspxc of ABINIT


@dataclass(frozen=True, eq=False)
class Pseudopotential:
    """A pseudopotential.

    Attributes:
        file: its name.
        element: symbol.
        kind: ``NC`` (norm-conserving), ``US`` (ultrasoft) or ``PAW``.
        valence: number of valence electrons.
        functional: short name (``PBE``), or what the file says.
        md5: of the file.
        angular_momenta: of the projectors.
        occupations: of the projectors in the neutral atom (PAW only).
        radii: [points] of the radial mesh, bohr; empty where the file has no density of the atom.
        weights: [points] dr at these radii.
        atom: [points] 4πr²ρ(r) of the neutral pseudo-atom, electrons per bohr.
    """

    file: str
    element: str
    kind: str
    valence: float
    functional: str
    md5: str
    angular_momenta: tuple[int, ...]
    occupations: tuple[float, ...]
    radii: Float[ndarray, "points"]
    weights: Float[ndarray, "points"]
    atom: Float[ndarray, "points"]

    @property
    def projectors(self) -> int:
        """Number of projectors, each m counted."""
        return sum(2 * momentum + 1 for momentum in self.angular_momenta)

    def record(self) -> dict[str, str | float]:
        """What is kept beside a density."""
        return {
            "file": self.file,
            "kind": self.kind,
            "valence": self.valence,
            "functional": self.functional,
            "md5": self.md5,
        }


def one_per_element(found: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Element → record. Models know one pseudopotential of an element, so a run must not have two.

    Raises:
        InputError: for an element with two different ones.
    """
    records: dict[str, dict[str, Any]] = {}
    for element, record in found:
        before = records.setdefault(element, dict(record))
        if before != record:
            both = " and ".join(str(one.get("file") or one.get("title") or one.get("md5")) for one in (before, record))
            raise InputError(
                f"{element} has two pseudopotentials in one run, {both}; models know an element, not its label, so "
                "take one for all its atoms"
            )
    return records


def read_pseudopotential(path: str | Path) -> Pseudopotential:
    """Read a UPF or GTH file.

    Raises:
        InputError: for a file that cannot be read, or of another format.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: the pseudopotential cannot be read ({error.strerror or error})") from None
    md5, text = hashlib.md5(content, usedforsecurity=False).hexdigest(), content.decode("utf-8", "replace")
    try:
        if "<PP_HEADER" in text:
            return _upf(path.name, md5, text)
        if path.suffix.lower() == ".gth":
            return _gth(path.name, md5, text)
    except (ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path}: cannot be read as a pseudopotential ({error})") from None
    raise InputError(f"{path}: is neither a UPF nor a .gth file; turn it into UPF (upfconv.x of Quantum ESPRESSO does)")


def _upf(name: str, md5: str, text: str) -> Pseudopotential:
    attributes = _attributes(text, "PP_HEADER")
    head = _upf_head(attributes) if "z_valence" in attributes else _upf_head_v1(_section(text, "PP_HEADER"))
    element, kind, valence, functional = head
    if "z_valence" in attributes:
        count = int(attributes["number_of_proj"])
        momenta = tuple(int(_attributes(text, f"PP_BETA.{i + 1}")["angular_momentum"]) for i in range(count))
    else:
        found = re.findall(r"<PP_BETA>\s*\d+\s+(\d+)", text)
        momenta = tuple(int(momentum) for momentum in found)
    occupations = tuple(_floats(_section(text, "PP_OCCUPATIONS"))) if kind == "PAW" else ()
    return Pseudopotential(
        name, element, kind, valence, functional, md5, momenta, occupations,
        *(np.array(_floats(_section(text, section))) for section in ("PP_R", "PP_RAB", "PP_RHOATOM")),
    )  # fmt: skip


def _upf_head(attributes: dict[str, str]) -> tuple[str, str, float, str]:
    kind = {"USPP": "US", "SL": "NC"}.get(attributes["pseudo_type"].strip(), attributes["pseudo_type"].strip())
    valence = float(attributes["z_valence"].replace("d", "e").replace("D", "e"))
    return attributes["element"].strip().capitalize(), kind, valence, _short(attributes["functional"])


def _upf_head_v1(text: str) -> tuple[str, str, float, str]:
    """Lines of values with a comment behind each."""
    lines = [line.strip() for line in text.strip().splitlines()]
    functional = re.sub(r"Exchange-Corr.*", "", lines[4]).split()
    kind = lines[2].split()[0]
    return lines[1].split()[0].capitalize(), kind, float(lines[5].split()[0]), _short(" ".join(functional[:4]))


def _short(functional: str) -> str:
    words = " ".join(functional.split())
    return _FUNCTIONALS.get(words.upper(), words)


def _gth(name: str, md5: str, text: str) -> Pseudopotential:
    from ase.data import chemical_symbols

    lines = text.splitlines()
    charge, valence = (float(word) for word in lines[1].split()[:2])
    code, functional = (int(word) for word in lines[2].split()[:2])
    if code not in (3, 10):
        raise ValueError(f"pspcod is {code}, not 3 or 10")
    empty = np.zeros(0)
    kind = _GTH_FUNCTIONALS.get(functional, f"pspxc {functional}")
    return Pseudopotential(
        name, chemical_symbols[round(charge)], "NC", valence, kind, md5, (), (), empty, empty, empty
    )  # fmt: skip


def _section(text: str, name: str) -> str:
    found = re.search(rf"<{name}(?:\s[^>]*)?>(.*?)</{name}>", text, re.DOTALL)
    if found is None:
        raise KeyError(f"no section {name}")
    return found[1]


def _attributes(text: str, name: str) -> dict[str, str]:
    found = re.search(rf"<{re.escape(name)}\s([^>]*)>", text)
    pairs = re.findall(r"""(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)')""", found[1]) if found else []
    return {key: one or other for key, one, other in pairs}


def _floats(text: str) -> list[float]:
    return [float(word.replace("d", "e").replace("D", "e")) for word in text.split()]
