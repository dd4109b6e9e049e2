"""The published models: names, public addresses, and what they were trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_CHARGE3NET = "https://github.com/AIforGreatGood/charge3net/raw/HEAD/models"
_DEEPDFT = "https://github.com/peterbjorgensen/DeepDFT/raw/HEAD/pretrained_models"


@dataclass(frozen=True)
class PublishedModel:
    """Weights that the authors of a paper released.

    Attributes:
        name: what ``--model`` takes.
        summary: architecture and training data, one line.
        addresses: file name → public address.
        weights: the file among them that holds the weights.
        citation: the paper.
    """

    name: str
    summary: str
    addresses: Mapping[str, str]
    weights: str
    citation: str


def _charge3net(name: str, data: str) -> PublishedModel:
    file = f"charge3net_{name}.pt"
    paper = "Koker et al., npj Comput. Mater. 10, 161 (2024)"
    return PublishedModel(f"charge3net-{name}", f"ChargE3Net, {data}", {file: f"{_CHARGE3NET}/{file}"}, file, paper)


def _deepdft(data: str, network: str, summary: str) -> PublishedModel:
    files = ("arguments.json", "best_model.pth")
    addresses = {file: f"{_DEEPDFT}/{data}_{network}/{file}" for file in files}
    paper = "Jørgensen & Bhowmik, npj Comput. Mater. 8, 183 (2022)"
    short = {"ethylenecarbonate": "ec"}.get(data, data)
    return PublishedModel(f"deepdft-{network}-{short}", summary, addresses, files[1], paper)


_DEEPDFT_DATA = {
    "qm9": "QM9 molecules (H C N O F), VASP",
    "nmc": "layered Li(Ni, Mn, Co)O2, VASP",
    "ethylenecarbonate": "liquid ethylene carbonate, VASP",
}

#: Name → published model.
PUBLISHED: Mapping[str, PublishedModel] = MappingProxyType(
    {
        model.name: model
        for model in (
            _charge3net("mp", "Materials Project, VASP, total density and magnetisation"),
            _charge3net("qm9", "QM9 molecules (H C N O F), VASP"),
            _charge3net("nmc", "layered Li(Ni, Mn, Co)O2, VASP"),
            *(
                _deepdft(data, network, f"{title}, {summary}")
                for network, title in (("painn", "PaiNN"), ("schnet", "SchNet"))
                for data, summary in _DEEPDFT_DATA.items()
            ),
        )
    }
)
