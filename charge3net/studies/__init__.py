"""The experiments that this package exists for; ``charge3net study NAME`` runs one. docs/studies.md says what they are.

A study is a module here with

* ``Config``: a dataclass of settings, the schema of ``conf/study/NAME.yaml``;
* ``run(config, work) -> dict``: computes, keeping what is finished in the folder ``work`` so that an interrupted study
  goes on; returns plain JSON values;
* ``figures(result) -> dict[str, Figure]``: drawn from that result alone, name → figure;
* ``section(result, figures) -> str``: its part of the page of results, in Markdown, from the result alone; ``figures``
  are the names of the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from charge3net.errors import InputError


@dataclass(frozen=True)
class Study:
    """A study and where it lives.

    Attributes:
        name: of its module, its config and its folder of results.
        title: its heading on the page of results.
    """

    name: str
    title: str

    def module(self) -> ModuleType:
        """Its module (see the text above for what that offers)."""
        return import_module(f"charge3net.studies.{self.name}")


#: In the order of the page.
STUDIES = {
    study.name: study
    for study in (
        Study("learning_curves", "Learning curves and rotation order"),
        Study("angular_dependence", "Angular dependence"),
        Study("scaling", "Time and memory against size"),
        Study("anatomy", "Anatomy of the error"),
        Study("fields", "Derivatives of the density"),
        Study("charge_transfer", "Charge transfer"),
        Study("spin", "Spin"),
    )
}


def find_study(name: str) -> Study:
    """The study of this name.

    Raises:
        InputError: if there is none.
    """
    if name not in STUDIES:
        raise InputError(f"there is no study {name!r}; choose one of {', '.join(STUDIES)}")
    return STUDIES[name]
