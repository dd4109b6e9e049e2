"""Hydra's settings on the command line: where the configs are, and its errors in one sentence."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from charge3net.errors import InputError

#: A setting on the command line: its name, then its value.
_OVERRIDE = re.compile(r"([+~]{0,2}[A-Za-z_][\w./@:-]*)=(.+)", re.DOTALL)

#: Lines of Hydra's and OmegaConf's messages that help only their developers.
_NOISE = ("full_key", "object_type", "reference_type", "Set the environment", "To append", "See https")


def conf_folder() -> Path:
    """Where the configs are: inside the installed package, or beside it in a clone.

    Raises:
        InputError: if they are in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise InputError("the configs are missing (charge3net/conf); install the package again")


def quote(value: str) -> str:
    """A value as a quoted string of Hydra's grammar: a quote and the backslashes before it are escaped."""
    escaped = re.sub(r"(\\*)('|$)", lambda m: m.group(1) * 2 + ("\\'" if m.group(2) else ""), value)
    return f"'{escaped}'"


def quote_where_needed(overrides: Sequence[str]) -> list[str]:
    """The same settings, values that Hydra cannot parse quoted: paths with ``=``, brackets or letters beyond ASCII.

    A value that starts like a list, a mapping or a quoted string stays as it is.
    """
    return [_quoted(text) for text in overrides]


def _quoted(text: str) -> str:
    match = _OVERRIDE.fullmatch(text)
    if match is None or parses(text) or match.group(2)[0] in "[{'\"":
        return text
    quoted = f"{match.group(1)}={quote(match.group(2))}"
    return quoted if parses(quoted) else text


def parses(override: str) -> bool:
    """Whether a setting follows Hydra's grammar."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def sentence(error: BaseException, known: Iterable[str]) -> str:
    """A message of Hydra or OmegaConf as one line, with the most similar known setting where a key is misspelt."""
    from hydra.errors import MissingConfigException, OverrideParseException

    if isinstance(error, MissingConfigException) and error.options:
        return f"there is no {error.missing_cfg_file}; choose one of {', '.join(error.options)}"
    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        if value:
            return f'{error.override!r} cannot be parsed; quote the value if it is text: "{key}={quote(value)}"'
        own = Path(str(error.override))
        if own.suffix in (".yaml", ".yml"):
            return (
                f"{own} is not a setting; write key=value, or keep the file as FOLDER/experiment/{own.stem}.yaml "
                f"and give --config-dir FOLDER experiment={own.stem}"
            )
        return f"{error.override!r} is not a setting; write key=value"
    texts = [str(error)]
    if error.__cause__ is not None and str(error.__cause__) not in texts[0]:
        texts.append(str(error.__cause__))
    lines = [line.strip() for text in texts for line in text.splitlines()]
    useful = [line.rstrip(".:") for line in lines if line and not line.startswith(_NOISE)]
    hint = _nearest(texts[0], known)
    return "; ".join(dict.fromkeys(useful)) + (f"; did you mean {hint}?" if hint else "")


def _nearest(message: str, known: Iterable[str]) -> str | None:
    """The known setting most similar to the key that could not be overridden."""
    if not message.startswith("Could not override '"):
        return None
    key = message.split("'")[1]
    found = difflib.get_close_matches(key, list(known), n=1)
    return found[0] if found and found[0] != key else None


def to_object(composed: Any) -> Any:
    """The dataclass of composed settings.

    Raises:
        InputError: naming a setting that must be given and is not.
    """
    from omegaconf import OmegaConf

    missing = sorted(OmegaConf.missing_keys(composed))
    if missing:
        raise InputError(f"{missing[0]} is not given; add {missing[0]}=…")
    return OmegaConf.to_object(composed)


@contextmanager
def full_errors() -> Iterator[bool]:
    """Make Hydra raise its errors instead of printing them; yields whether the user asked for tracebacks."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield before == "1"
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before
