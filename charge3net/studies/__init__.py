"""Studies: experiments over real densities. ``charge3net study NAME`` runs one; docs/studies.md describes them.

A study is a package that offers

* ``TITLE``: its heading on the page of results;
* ``Config``: a dataclass of settings;
* ``run(config, work) -> dict``: computes, and stores finished steps in the folder ``work`` so that an interrupted study
  continues; returns plain JSON values;
* ``figures(result) -> dict[str, Figure]``: drawn from that result alone, name → figure;
* ``section(result, figures) -> str``: its section of the page in Markdown, from the result alone; ``figures``: name of
  a figure → its file.

Other installed packages add studies through the entry point group :data:`GROUP`; docs/add_a_study.md shows how.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from charge3net.errors import InputError
from charge3net.extensions import extensions

#: Entry point group of studies in other packages: name of the study → dotted name of its package.
GROUP = "charge3net.studies"

_OFFERED = ("TITLE", "Config", "run", "figures", "section")

#: The studies of this package, in the order of the page of results.
_OWN = (
    "learning_curves",
    "angular_dependence",
    "new_compositions",
    "scaling",
    "anatomy",
    "fields",
    "charge_transfer",
    "spin",
    "fine_tuning",
    "restart",
    "occupations",
)


@dataclass(frozen=True)
class Study:
    """A study and where it is found.

    Attributes:
        name: of its settings and of its folder of results.
        package: dotted name.
    """

    name: str
    package: str

    def module(self) -> ModuleType:
        """Its package; the text above lists what it offers.

        Raises:
            InputError: if it cannot be imported or is incomplete.
        """
        try:
            module = import_module(self.package)
        except ImportError as error:
            raise InputError(f"the study {self.name} cannot be imported from {self.package}: {error}") from error
        missing = [name for name in _OFFERED if not hasattr(module, name)]
        if missing:
            raise InputError(f"{self.package} lacks {missing[0]}; docs/add_a_study.md lists what a study offers")
        return module

    @property
    def title(self) -> str:
        """Heading on the page of results."""
        return str(self.module().TITLE)

    def own_settings(self) -> Path | None:
        """``settings.yaml`` of a study of another package; None for those of this one (``conf/study/NAME.yaml``).

        Raises:
            InputError: if the file is missing.
        """
        if self.package.startswith(f"{__name__}."):
            return None
        path = Path(str(self.module().__file__)).parent / "settings.yaml"
        if not path.is_file():
            raise InputError(f"the study {self.name} has no default settings; write {path}")
        return path


def studies() -> dict[str, Study]:
    """Name → study, in the order of the page: those of this package, then those of others by name.

    Raises:
        InputError: for two studies of one name, or a name that is no folder name.
    """
    found = {name: Study(name, f"{__name__}.{name}") for name in _OWN}
    for name, entry in extensions(GROUP, own=_OWN).items():
        if not name.isidentifier():
            raise InputError(f"the entry point {name!r} ({entry.value}) names a study: letters, digits, _ only")
        found[name] = Study(name, entry.value)
    return found


def find_study(name: str) -> Study:
    """The study of this name.

    Raises:
        InputError: if there is none.
    """
    known = studies()
    if name not in known:
        raise InputError(f"there is no study {name!r}; choose one of {', '.join(known)}")
    return known[name]
