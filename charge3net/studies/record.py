"""Results of studies on disk: one JSON and its figures per study, one page for all."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from charge3net.errors import InputError
from charge3net.io.files import write_whole
from charge3net.provenance import commit, installed_versions, machine
from charge3net.studies import Study, find_study, studies

RESULT = "result.json"

#: Longest line of prose on the page.
WIDTH = 120

#: Version of these files.
FORMAT_VERSION = 1

_PACKAGES = ("torch", "e3nn", "numpy", "pymatgen-core", "ase", "lightning")


@dataclass(frozen=True)
class Record:
    """The result of a study and its circumstances.

    Attributes:
        study: its name.
        command: the command line.
        config: its settings.
        result: plain JSON values, different for every study.
        started: time (UTC).
        seconds: duration of the command; of an interrupted study, that of its last command.
        commit: of the code; None outside a clone.
        machine: processor, cores, memory, system, GPU.
        versions: of the main packages.
        label: distinguishes several results of one study.
    """

    study: str
    command: str
    config: dict[str, Any]
    result: dict[str, Any]
    started: str
    seconds: float
    commit: str | None
    machine: dict[str, str]
    versions: dict[str, str]
    label: str | None = None

    @property
    def title(self) -> str:
        """Heading on the page of results."""
        title = find_study(self.study).title
        return title if self.label is None else f"{title}: {self.label}"

    @classmethod
    def of(
        cls,
        study: Study,
        command: str,
        config: Mapping[str, Any],
        result: dict[str, Any],
        started: datetime,
        label: str | None = None,
    ) -> Record:
        """The record of a run that has just finished."""
        seconds = (datetime.now(UTC) - started).total_seconds()
        start = started.isoformat(timespec="seconds")
        versions = installed_versions(_PACKAGES)
        return cls(study.name, command, dict(config), result, start, seconds, commit(), machine(), versions, label)


def folder_name(study: str, label: str | None) -> str:
    """Folder of the results of a study: ``STUDY``, or ``STUDY-LABEL`` with underscores for blanks.

    Raises:
        InputError: for a label with other characters than letters, digits and single blanks.
    """
    if label is None:
        return study
    if not re.fullmatch("[A-Za-z0-9]+( [A-Za-z0-9]+)*", label):
        raise InputError(f"the label {label!r} may contain letters, digits and single blanks only")
    return f"{study}-{label.replace(' ', '_')}"


def results_in(folder: str | Path) -> list[Path]:
    """The ``result.json`` of all studies, in the order of the page; those with labels after the one without.

    Raises:
        InputError: for the result of a study that is not installed.
    """
    order = list(studies())
    found = [(path.parent.name.partition("-"), path) for path in Path(folder).glob(f"*/{RESULT}")]
    for (name, _, _), path in found:
        if name not in order:
            raise InputError(f"{path} is the result of a study {name!r}, which is not installed; install its package")
    return [path for _, path in sorted(found, key=lambda one: (order.index(one[0][0]), one[0][2]))]


def write_record(record: Record, results: str | Path) -> Path:
    """Write ``RESULTS/STUDY[-LABEL]/result.json`` and its figures, each whole or not at all; returns the folder."""
    folder = Path(results) / folder_name(record.study, record.label)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / RESULT, json.dumps({"format_version": FORMAT_VERSION, **asdict(record)}, indent=1) + "\n")
    draw(record, folder)
    return folder


def read_record(path: str | Path) -> Record:
    """A record of ``result.json``.

    Raises:
        InputError: if the file is damaged or of another version.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        if values.pop("format_version") != FORMAT_VERSION:
            raise InputError(f"{path} was written by another version of this package; run the study again")
        return Record(**values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not the result of a study ({error}); run the study again") from error


@contextmanager
def _of_this_version(record: Record, path: Path) -> Iterator[None]:
    """Name the result, and its command, if it lacks an entry that this version needs."""
    try:
        yield
    except KeyError as error:
        raise InputError(
            f"{path} lacks {error}: another version of this package wrote it; run it again: {record.command}"
        ) from error


def draw(record: Record, folder: Path) -> None:
    """Draw the figures of a record into its folder; figures that it no longer has are removed.

    Raises:
        InputError: for a record of an earlier version that this one cannot draw.
    """
    from charge3net.plot import save_page_figure

    with _of_this_version(record, folder / RESULT):
        figures = find_study(record.study).module().figures(record.result)
    written = {save_page_figure(figure, folder / name) for name, figure in figures.items()}
    for old in pictures_in(folder):
        if old not in written:
            old.unlink()


def pictures_in(folder: Path) -> list[Path]:
    """The figures in a folder, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.suffix in (".png", ".svg"))


def write_page(results: str | Path) -> Path:
    """Write the page of all results, ``RESULTS.md`` next to the folder; returns its path.

    Raises:
        InputError: if the folder has no result, or one of an earlier version that this one cannot describe.
    """
    results = Path(results)
    found = results_in(results)
    if not found:
        raise InputError(f"{results} has no result of a study; run one: charge3net study --help")
    head = (
        f"{len(found)} results of `charge3net study`. The command of each is at the end of its section; "
        "docs/studies.md describes the studies."
    )
    lines = ["# Results", "", wrapped(head)]
    for path in found:
        record = read_record(path)
        with _of_this_version(record, path):
            lines += ["", *_section(record, path.parent)]
    page = results.with_suffix(".md")
    write_whole(page, "\n".join(lines) + "\n")
    return page


def wrapped(text: str) -> str:
    """Markdown with lines of prose of at most :data:`WIDTH` characters; tables, figures, code and HTML stay."""
    lines: list[str] = []
    code = False
    for line in text.splitlines():
        code ^= line.startswith("```")
        if code or line.startswith(("|", "![", "<", "#", "```", "    ")):
            lines.append(line)
        else:
            indent = "  " if line.startswith("* ") else ""
            lines += textwrap.wrap(
                line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
            ) or [""]
    return "\n".join(lines)


def _section(record: Record, folder: Path) -> Sequence[str]:
    """Heading, the section of the study, and the circumstances."""
    pictures = {path.stem: f"{folder.parent.name}/{folder.name}/{path.name}" for path in pictures_in(folder)}
    facts = record.machine
    where = f"{facts.get('processor', '')}, {facts.get('cores', '?')} cores" + (
        f", {facts['GPU']}" if "GPU" in facts else ""
    )
    head = (record.commit or "no clone")[:10] + ("+" if (record.commit or "").endswith("changes") else "")
    return [
        f"## {record.title}",
        "",
        wrapped(find_study(record.study).module().section(record.result, pictures).strip()),
        "",
        f"<sub>`{record.command}` · {record.started[:10]} · commit {head} · {where} · "
        f"torch {record.versions.get('torch')} · [result.json]({folder.parent.name}/{folder.name}/{RESULT})</sub>",
    ]
