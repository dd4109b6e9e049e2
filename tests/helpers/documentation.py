"""Finds the commands and the Python of the documentation and of help texts, and runs them in a small version."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: What a command of the documentation starts with.
COMMAND = re.compile(r"^(?:[A-Z_0-9]+=\S+ +)*(?:charge3net|python|make|pip|torchrun|srun|export|git|sh|\./\S+|cd) ")

#: Programs that are run here: the command line, and modules of the repository.
_RUN = re.compile(r"charge3net |python -m (?:data_prep|charge3net|benchmarks)\b|python -c |(?:srun )?torchrun ")


@dataclass(frozen=True)
class Block:
    """A fenced block of a document, or the commands of a help text.

    Attributes:
        place: file and line.
        language: after the opening fence.
        text: between the fences.
        reason: why it is not run, from a comment ``<!-- not run: reason -->`` before it; "" where it is.
    """

    place: str
    language: str
    text: str
    reason: str = ""

    @property
    def commands(self) -> list[str]:
        """The lines, continued ones joined, without what explains them."""
        joined = re.sub(r"\s*\\\n\s*", " ", self.text)
        return [re.split(r"\s{2,}|\s#\s", line.strip())[0] for line in joined.splitlines() if line.strip()]


def blocks(file: Path) -> Iterator[Block]:
    """The fenced blocks of a document."""
    text = file.read_text()
    pattern = re.compile(
        r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n\n?)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.S | re.M
    )
    for match in pattern.finditer(text):
        line = text[: match.start("text")].count("\n") + 1
        yield Block(f"{file.relative_to(ROOT)}:{line}", match["language"], match["text"], match["reason"] or "")


def help_blocks() -> Iterator[Block]:
    """The commands in the help texts of ``charge3net COMMAND``: lines of a module's docstring that begin with one."""
    for file in sorted((ROOT / "charge3net" / "cli").glob("*.py")):
        lines = (ast.get_docstring(ast.parse(file.read_text())) or "").splitlines()
        found = [line.strip() for line in lines[1:] if re.match(r"\s*(?:charge3net|torchrun|python -m) ", line)]
        if found:
            yield Block(f"{file.relative_to(ROOT)} (help)", "", "\n".join(found) + "\n")


#: A training of two steps with a small network; by architecture.
_SHORT = (
    *("data.batch_size=1", "data.probes=8", "data.val_probes=20", "data.val_structures=1"),
    *("train.max_steps=2", "train.val_every=2", "train.log_every=1"),
    *("runtime=cpu", "runtime.threads=1", "runtime.progress=false"),
)
_SMALL = {
    "charge3net": ("model.mul=4", "model.hidden=4", "model.num_basis=4"),
    "deepdft": ("++model.features=4", "++model.num_interactions=1"),
}


def small_training(arguments: list[str]) -> list[str]:
    """The arguments of ``charge3net train`` with settings for a training of a second behind them."""
    text = " ".join(arguments)
    kind = "deepdft" if re.search(r"schnet|painn|deepdft", text) else "charge3net"
    given = {argument.split("=")[0] for argument in arguments if re.search(r"=.*,", argument)}
    sizes = () if any(argument.startswith("init=") for argument in arguments) else _SMALL[kind]  # those of a model
    short = [one for one in (*sizes, *_SHORT) if one.split("=")[0] not in given]
    arguments = [re.sub(r"^data\.train_size=.*", "data.train_size=1", argument) for argument in arguments]
    if "sweep=training_size" in arguments:
        short.append("data.train_size=1,2")
    if any(argument.startswith("launcher=submitit") for argument in arguments):
        one = [re.sub(r"=([^,]*),.*", r"=\1", argument) for argument in arguments if argument != "--multirun"]
        return [*one, *short, "--cfg", "hydra"]  # there is no Slurm here: the settings are composed
    if any(argument.startswith("hydra.launcher.n_jobs") for argument in arguments):
        short.append("hydra.launcher.n_jobs=1")
    return [*arguments, *short]


def run_command(command: str, patch: pytest.MonkeyPatch) -> int:
    """Run one command of the documentation in the working folder, in this process; returns its exit status."""
    words = shlex.split(command)
    while re.fullmatch(r"[A-Z_0-9]+=.*", words[0]):
        name, _, value = words.pop(0).partition("=")
        patch.setenv(name, value)
    if words[0] == "srun" or words[0] == "torchrun":  # tests/predict/test_distributed.py has two processes
        words = ["charge3net", *words[words.index("charge3net.cli.main") + 1 :]]
    if words[:2] == ["python", "-c"]:
        exec(words[2], {"__name__": "documentation"})
        return 0
    if words[:2] == ["python", "-m"]:
        module, arguments = words[2], words[3:]
    else:
        module, arguments = "charge3net.cli.main", words[1:]
    if module == "charge3net.cli.main":
        arguments = [name for word in arguments for name in _expanded(word)]
        if arguments[0] == "train":
            arguments = ["train", *small_training(arguments[1:])]
        if arguments[:2] == ["data", "build"] and "--resume" not in arguments:
            shutil.rmtree(arguments[arguments.index("-o") + 1], ignore_errors=True)
        if arguments[0] == "predict" and "-o" in arguments:
            Path(arguments[arguments.index("-o") + 1]).unlink(missing_ok=True)
        if arguments[0] == "study" and arguments[1] != "page" and "--show" not in arguments:
            arguments.append("--show")  # tests/studies runs each on a small set
    try:
        main = import_module(module).main
        return int(main(arguments) if inspect.signature(main).parameters else main())
    except SystemExit as exit:
        return exit.code if isinstance(exit.code, int) else 1


def _expanded(word: str) -> list[str]:
    """As a shell does; a pattern that nothing fits stays."""
    return sorted(glob(word)) or [word] if re.search(r"[*?]", word) and "=" not in word else [word]


def is_run(block: Block) -> bool:
    """Whether a block is Python or commands of this package; text without a command needs no comment."""
    return block.language == "python" or any(_RUN.match(_without_variables(line)) for line in block.commands)


def _without_variables(line: str) -> str:
    return re.sub(r"^(?:[A-Z_0-9]+=\S+ +)+", "", line)


def working_folder(world: Path, target: Path) -> None:
    """A copy of the world; files are links, since commands write new files and rename them."""
    for folder, _, names in os.walk(world):
        here = target / Path(folder).relative_to(world)
        here.mkdir(parents=True, exist_ok=True)
        for name in names:
            os.link(Path(folder) / name, here / name)
