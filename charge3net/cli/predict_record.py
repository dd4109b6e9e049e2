"""What ``charge3net predict`` has written and what failed: one JSON line per structure in ``predictions.jsonl``.

Jobs that share the work (``--part``, ``torchrun``) write a file each, beside it; once all of them have ended, their
lines are moved into the one file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charge3net.errors import InputError
from charge3net.io.files import write_whole
from charge3net.io.formats import density_format
from charge3net.version import __version__

if TYPE_CHECKING:
    from charge3net.cli.targets import Target
    from charge3net.density import Density
    from charge3net.geometry import Geometry
    from charge3net.predict.ensemble import EnsemblePredictor
    from charge3net.predict.predictor import Predictor

#: The manifest, in the folder of the outputs.
MANIFEST = "predictions.jsonl"

#: Options on which the values of a prediction depend beyond rounding, and its format.
_SETTINGS = ("spacing", "shape", "encut", "electrons", "format")
#: Options that name files on which they depend.
_FILES = ("like", "augmentation_from", "potcar")


def manifest_folder(output: str, targets: Iterable[Target]) -> Path:
    """Where the manifest lies: the folder of the outputs; of a pattern, its part before the first field."""
    if "{" in output:
        return Path(output.partition("{")[0] + "x").parent
    path = Path(output)
    first = next(iter(targets), None)
    return path.parent if first is not None and first.output == path else path


class Manifest:
    """The lines of all jobs that wrote into a folder, and one file to add to.

    Args:
        folder: of the outputs.
        job: of this job, for the name of its file; "" writes ``predictions.jsonl`` itself.
    """

    def __init__(self, folder: Path, job: str = "") -> None:
        self.folder = folder
        self.path = folder / (f"predictions.{job}.jsonl" if job else MANIFEST)

    def lines(self) -> dict[str, dict[str, Any]]:
        """Output, relative to the folder → its latest line, of all jobs."""
        found: dict[str, dict[str, Any]] = {}
        for path in self._files():
            for line in _read(path):
                if "output" in line and line["time"] >= found.get(line["output"], line)["time"]:
                    found[line["output"]] = line
        return found

    def name(self, target: Target) -> str:
        """The output of a structure, relative to the folder."""
        return os.path.relpath(target.output, self.folder)

    def is_there(self, target: Target, recipe: Mapping[str, Any], lines: Mapping[str, Mapping[str, Any]]) -> str:
        """Why the output of a structure cannot stay as it is; "" if it is what this command would write.

        Args:
            target: with an output that exists.
            recipe: see :func:`recipe_of`.
            lines: see :meth:`lines`.
        """
        line = lines.get(self.name(target))
        if line is None or line["status"] != "written":
            return f"is not listed in {self.folder / MANIFEST}"
        was = line["recipe"]
        for what, said in (("structure", "other atoms"), ("model", "another model"), ("settings", "other settings")):
            if was[what] != recipe[what]:
                return f"was predicted with {said}"
        if target.output.stat().st_size != line["bytes"]:
            return "has changed since it was predicted"
        return "" if target.spread is None or target.spread.exists() else f"is there without {target.spread}"

    def written(self, target: Target, recipe: Mapping[str, Any], density: Density, seconds: float) -> None:
        """Add a structure whose density was written."""
        about = density.provenance
        self._add(
            target,
            status="written",
            recipe=recipe,
            bytes=target.output.stat().st_size,
            electrons=round(density.electrons(), 6),
            voxels=density.grid.shape,
            seconds=round(seconds, 2),
            warnings=list(about["warnings"]),
            expected_error_percent=about.get("uncertainty", {}).get("expected_percent"),
            charge3net=__version__,
        )

    def failed(self, target: Target, reason: str) -> None:
        """Add a structure that failed."""
        self._add(target, status="failed", reason=reason)

    def finished(self) -> None:
        """Mark that this job has handled all of its structures, whether they failed or not."""
        if self.path.name != MANIFEST:
            self._write({"finished": self.path.name, "time": time.time()})

    def unfinished(self) -> list[Path]:
        """Files of jobs that have not ended, or were killed."""
        return [path for path in self._files() if path.name != MANIFEST and not _is_finished(path)]

    def collect(self) -> None:
        """Move the lines of all jobs that have ended into ``predictions.jsonl``, the latest of each structure."""
        done = [path for path in self._files() if path.name != MANIFEST and _is_finished(path)]
        if not done:
            return
        lines = self.lines()
        write_whole(self.folder / MANIFEST, "".join(_dump(lines[name]) for name in sorted(lines)))
        for path in done:
            path.unlink()

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("predictions*.jsonl"))

    def _add(self, target: Target, **facts: Any) -> None:
        self._write({"output": self.name(target), "source": target.source, "time": time.time(), **facts})

    def _write(self, line: Mapping[str, Any]) -> None:
        """In one piece: a job that is killed leaves at most one line that is cut off."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.path, "ab", buffering=0) as file:
            file.write(_dump(line).encode())


class PredictionLog:
    """The manifest of one command, which also decides what is finished.

    Args:
        predictor: of the command.
        args: its options.
        targets: its structures, with their outputs.
        job: see :class:`Manifest`.
    """

    def __init__(
        self, predictor: Predictor | EnsemblePredictor, args: argparse.Namespace, targets: Iterable[Target], job: str
    ) -> None:
        self.manifest = Manifest(manifest_folder(args.output, targets), job)
        self._model, self._settings = model_hash(predictor), settings_of(args)

    def without_finished(self, targets: list[Target], args: argparse.Namespace) -> list[Target]:
        """The structures without those whose file is there and is what this command would write.

        Raises:
            InputError: if a file is there that is something else, and ``--overwrite`` is not given.
        """
        lines, todo = self.manifest.lines(), []
        for target in targets:
            if target.structure is None or not target.output.exists():
                todo.append(target)
            elif wrong := self.manifest.is_there(target, self._recipe(target), lines):
                if not args.overwrite:
                    raise InputError(f"{target.output}: {wrong}; add --overwrite, or name another output")
                todo.append(target)
        if len(todo) < len(targets) and not args.quiet:
            print(f"{len(targets) - len(todo)} of {len(targets)} exist already")
        return todo

    def written(self, target: Target, density: Density, seconds: float) -> None:
        """Add a structure whose density was written."""
        self.manifest.written(target, self._recipe(target), density, seconds)

    def _recipe(self, target: Target) -> dict[str, Any]:
        return recipe_of(self._model, self._settings, target)


def recipe_of(model: str, settings: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """What decides on the values of a prediction; of a start of a run, also the file that describes it."""
    assert target.structure is not None
    own = dict(settings)
    if density_format(target.output, settings.get("format")) in ("qe", "abinit"):
        own["run"] = _hash_of_file(Path(target.source))
    return {"structure": _hash(target.structure), "model": model, "settings": own}


def model_hash(predictor: Predictor | EnsemblePredictor) -> str:
    """SHA-256 (hex) of architecture, hyper-parameters and weights; of all members of an ensemble."""
    from charge3net.checkpoints import fingerprint
    from charge3net.predict.ensemble import EnsemblePredictor

    members = predictor.members if isinstance(predictor, EnsemblePredictor) else (predictor,)
    hashes = [fingerprint(member.model) for member in members]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """The options that decide on the values, those that were given; of files the SHA-256 (hex) of their content."""
    settings = {name: getattr(args, name) for name in _SETTINGS if getattr(args, name) is not None}
    for name in _FILES:
        path = getattr(args, name)
        if path is not None:
            settings[name] = _hash_of_file(Path(path))
    return settings


def _hash_of_file(path: Path) -> str:
    """Of a folder, that of the names and sizes in it."""
    if path.is_dir():
        return hashlib.sha256(repr(sorted((p.name, p.stat().st_size) for p in path.iterdir())).encode()).hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash(structure: Geometry) -> str:
    digest = hashlib.sha256()
    for array in (structure.numbers, structure.positions, structure.cell, structure.pbc):
        digest.update(array.tobytes())
    return digest.hexdigest()


def _dump(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


def _read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file that are whole; none if it has been moved away."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    found = []
    for line in text.splitlines():
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if isinstance(one, dict) and "time" in one:
            found.append(one)
    return found


def _is_finished(path: Path) -> bool:
    lines = _read(path)
    return bool(lines) and "finished" in lines[-1]
