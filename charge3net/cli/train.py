"""Train a model; the settings are Hydra's."""

from __future__ import annotations

import argparse
import logging
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from charge3net.cli.completion import OPTIONS, complete
from charge3net.cli.settings import conf_folder, full_errors, parses, quote, quote_where_needed, sentence, to_object
from charge3net.errors import InputError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from charge3net.train.config import TrainConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All arguments are passed to Hydra: overrides, --multirun, --cfg, --help."""
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="key=value, group=option, --multirun, --cfg job")


def run(args: argparse.Namespace) -> int:
    """Compose the settings, then train: one run, or every member of a sweep.

    Raises:
        InputError: for settings that do not compose, or what :func:`charge3net.train.run.train` does not accept.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    register_schema()
    GlobalHydra.instance().clear()
    command = hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(_job)
    options, overrides = _options_and_overrides(args.arguments)
    if set(options) & set(OPTIONS):
        from charge3net.cli.main import COMMANDS

        with _arguments(["charge3net", *args.arguments]):
            complete(args.arguments, tuple(COMMANDS), command)
        return 0
    overrides = _of_init(quote_where_needed(overrides))
    _own_folder.clear()
    _own_folder.extend(_config_dir(options))
    with full_errors() as asked_for, _arguments(["charge3net train", *options, *overrides, *_fixed(overrides)]):
        try:
            command()
        except (HydraException, OmegaConfBaseException) as error:
            if asked_for:
                raise
            raise InputError(_of_source(overrides, error) or sentence(error, _known())) from error
        except RuntimeError as error:
            if asked_for or '"srun"' not in str(error):
                raise
            raise InputError("launcher=submitit needs Slurm, whose srun is not found; try launcher=joblib") from error
    if _failed:
        raise _failed.pop()
    return 0


def _of_init(overrides: list[str]) -> list[str]:
    """With ``init=MODEL``: its model and the settings of fine-tuning, where no others are chosen."""
    keys = {override.partition("=")[0] for override in overrides}
    if "init" not in keys or "init=null" in overrides:
        return overrides
    defaults = {"experiment": "fine_tuning", "model": "init"}
    return [*(f"{group}={option}" for group, option in defaults.items() if group not in keys), *overrides]


def _of_source(overrides: list[str], error: Exception) -> str:
    """What is wrong with a size of the model that ``init=MODEL`` fixes; empty for other errors."""
    setting = re.match(r"Could not override '(model\.\w+)'", str(error))
    if setting is None or "model=init" not in overrides:
        return ""
    return f"{setting[1]} is that of the model that init= names; of the model only model.channels can be chosen"


def _known() -> list[str]:
    """All settings, for hints."""
    from charge3net.train.config import TrainConfig
    from charge3net.train.run_folder import flat

    return list(flat(TrainConfig().as_dict()))


def register_schema() -> None:
    """Register the dataclasses that settings must fit, and the resolver ``learning_rate`` of conf/experiment."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    from charge3net.train.config import TrainConfig

    ConfigStore.instance().store(name="schema", node=TrainConfig)
    OmegaConf.register_new_resolver("learning_rate", _learning_rate, replace=True)


def _learning_rate(rates: Mapping[int | str, float], *, _root_: DictConfig) -> float:
    """The learning rate of the chosen model: by ``model.lmax`` where it has one, else by ``model.architecture``.

    Raises:
        InputError: for a model without a rate.
    """
    model = _root_.model
    key = model.get("lmax", model.architecture)
    if key not in rates:
        what = f"model.lmax={key}" if "lmax" in model else f"model.architecture={key}"
        raise InputError(f"this experiment has no learning rate for {what}; add optim.lr=…")
    return rates[key]


def to_config(composed: DictConfig) -> TrainConfig:
    """Dataclasses from composed settings.

    Raises:
        InputError: naming a setting that must be given and is not.
    """
    config: TrainConfig = to_object(composed)
    return config


#: How this process was started, before ``sys.argv`` was changed for Hydra.
_PROGRAM = sys.argv[0]

#: The error of a single run, which Hydra would decorate; raised again by :func:`run`.
_failed: list[InputError] = []


def _job(composed: DictConfig) -> float | None:
    """One run; returns the best ε_mae in %, which sweepers such as Optuna minimise."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from charge3net.train.callbacks import Diverged, Interrupted
    from charge3net.train.module import MONITOR
    from charge3net.train.run import print_result, train

    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    settings = HydraConfig.get()
    alone = settings.mode == RunMode.RUN
    try:
        config = to_config(composed)
        if not alone:
            member = member_name(settings)
            config.logger.group = config.logger.group or config.name
            config.name = f"{config.name}/{member}"
            config.output = str(Path(config.output) / member)
        with _arguments_of_one_run(config.output, list(settings.overrides.task)):
            summary = train(config)
    except InputError as error:
        if alone:
            _failed.append(error)
            return None
        if isinstance(error, Diverged) and not settings.sweeper._target_.endswith("BasicSweeper"):
            print(f"{config.name}: {error}", file=sys.stderr)
            return math.inf  # a search continues with other values
        raise
    except Interrupted as error:
        raise KeyboardInterrupt(f"{error}; continue with resume=true") from None
    print_result(summary, config.output)
    return summary["best"].get(MONITOR)


def member_name(settings: Any) -> str:
    """Folder of a member of a sweep, from the settings that vary: ``lmax=2,seed=1``, ``demo-painn`` (model=demo/painn).

    What does not vary is listed in ``hydra.job.config.override_dirname.exclude_keys``, see :func:`_fixed`; so any
    sweeper can choose values.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    fixed = set(settings.job.config.override_dirname.exclude_keys)
    parts = []
    for override in OverridesParser.create().parse_overrides(list(settings.overrides.task)):
        name = override.key_or_group
        if name not in fixed:
            value = str(override.value()).replace("/", "-")
            parts.append(value if _is_group(name) else f"{name.rsplit('.', 1)[-1]}={value}")
    return ",".join(parts) or str(settings.job.num)


def _is_group(name: str) -> bool:
    """Whether a setting chooses a file: a folder of ``conf/`` or of ``--config-dir`` has its name."""
    return any((folder / name).is_dir() for folder in (conf_folder(), *map(Path, _own_folder[1:])))


def _fixed(overrides: Sequence[str]) -> list[str]:
    """A setting of Hydra that lists the names of all settings with one value."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    if not all(parses(override) for override in overrides):
        return []  # Hydra will say so
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    names = [quote(override.key_or_group) for override in parsed if not override.is_sweep_override()]
    return [f"hydra.job.config.override_dirname.exclude_keys=[{','.join(names)}]"]


def _options_and_overrides(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Options of Hydra and settings, which it accepts only after the options (``a=1 --multirun b=2`` is common).

    Raises:
        InputError: for what is neither.
    """
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    known, rest = parser.parse_known_args(arguments)
    if unknown := [argument for argument in rest if argument.startswith("-")]:
        _refuse(f"there is no option {unknown[0]}")
    overrides = [a for a in arguments if a in known.overrides or (a in rest and not a.startswith("-"))]
    return [a for a in arguments if a not in overrides], overrides


def _refuse(message: str) -> NoReturn:
    raise InputError(
        f"{message}; settings are written key=value, such as data.store=store; files of your own are found with "
        "--config-dir FOLDER (`charge3net train --help`)"
    )


#: ``--config-dir FOLDER`` of this command, for the processes that Lightning starts.
_own_folder: list[str] = []


def _config_dir(options: list[str]) -> list[str]:
    """``--config-dir FOLDER`` among the options, with the whole path; empty without.

    Raises:
        InputError: if the folder is missing, or has a file that this package has too: Hydra would take the latter.
    """
    from hydra._internal.utils import get_args_parser

    given = get_args_parser().parse_known_args(options)[0].config_dir
    if given is None:
        return []
    folder = Path(given).resolve()
    if not folder.is_dir():
        raise InputError(f"--config-dir {given}: is no folder; give one with experiment/NAME.yaml, model/NAME.yaml, …")
    for file in sorted(folder.rglob("*.yaml")):
        name = file.relative_to(folder)
        if (conf_folder() / name).exists():
            raise InputError(f"{file}: charge3net has a {name} of its own, which would be taken; rename yours")
    return ["--config-dir", str(folder)]


@contextmanager
def _arguments(argv: list[str]) -> Iterator[None]:
    """Set ``sys.argv`` for a while: Hydra uses it, and Lightning when it starts more processes."""
    before = sys.argv
    sys.argv = argv
    try:
        yield
    finally:
        sys.argv = before


def _arguments_of_one_run(output: str, overrides: list[str]) -> Any:
    """Arguments with which Lightning starts the other processes of this run, also from inside a sweep."""
    return _arguments([_PROGRAM, "train", *_own_folder, *overrides, f"output={quote(output)}"])


if __name__ == "__main__":
    from charge3net.cli.main import main

    sys.exit(main(["train", *sys.argv[1:]]))
