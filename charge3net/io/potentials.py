"""Whether a model's training data and a run have the same pseudopotentials.

A valence density is a property of pseudopotentials as much as of the structure: with others it has another shape near
the atoms, or even another number of electrons. What is known of a pseudopotential is a record with some of ``file``,
``title``, ``md5``, ``valence``, ``functional`` and ``kind``, as the readers of densities put it into ``potentials`` of
the provenance; of fitted atoms the name of their table is known, ``atoms``, which is no name of a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from charge3net.errors import InputError

Record = Mapping[str, Any]

_DECISIVE = {"valence": "valence electrons", "functional": "functional", "kind": "kind"}
_NAMES = ("file", "title", "atoms")


def compare_potentials(trained: Mapping[str, Sequence[Record]] | None, given: Mapping[str, Record]) -> list[str]:
    """Warnings about pseudopotentials that cannot be compared or whose files differ.

    Args:
        trained: element → records of the training data, more than one where the data mix several; None or empty if the
            model does not know.
        given: element → record of the run.

    Raises:
        InputError: for a pseudopotential of another valence, functional, kind or name than all of the training data.
    """
    if not trained:
        names = ", ".join(
            str(record.get("file") or record.get("title") or element) for element, record in given.items()
        )
        return [
            "the model does not say which pseudopotentials its training data had; "
            f"it must be those of this run ({names})"
        ]
    warnings = []
    for element, record in given.items():
        if element not in trained:
            continue  # an element that the model has not seen, which has a warning of its own
        verdicts = [_difference(known, record) for known in trained[element]]
        if all(verdict.startswith("!") for verdict in verdicts):
            raise InputError(
                f"{element}: {verdicts[0][1:]}; the density of one does not describe the other, so take the "
                "pseudopotentials of the training data, or a model trained with these"
            )
        if "" not in verdicts:
            warnings.append(f"{element}: {next(verdict for verdict in verdicts if not verdict.startswith('!'))}")
    return warnings


def _difference(known: Record, given: Record) -> str:
    """Empty if the two are the same; else what differs, with a ! in front if that decides."""
    both = {key for key in (*_DECISIVE, *_NAMES, "md5") if known.get(key) and given.get(key)}
    if "md5" in both and known["md5"] == given["md5"]:
        return ""
    for key, what in _DECISIVE.items():
        if key in both and known[key] != given[key]:
            return f"!the training data's pseudopotentials have the {what} {known[key]}, those of the run {given[key]}"
    names = [key for key in _NAMES if key in both]
    for key in names:
        if _name(key, known) != _name(key, given):
            return f"!the model was trained with {known[key]}, the run has {given[key]}"
    if not names:
        return f"the training data had {_any_name(known)}, the run has {_any_name(given)}: compare them"
    if "file" in names and known["file"] != given["file"]:
        return f"the training data had {known['file']}, the run has {given['file']}: it must be the same potential"
    if "md5" in both:
        return f"{given[names[0]]} has the name of the training data's pseudopotential, but other contents"
    return ""


def _any_name(record: Record) -> str:
    return next((str(record[key]) for key in _NAMES if record.get(key)), "a potential without a name")


def _name(key: str, record: Record) -> str:
    """Of a file without its ending, since a potential may be written in several formats (``.gth``, ``.upf``)."""
    name = str(record[key])
    return PurePath(name).stem if key == "file" else name
