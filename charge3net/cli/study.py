"""Run a study: an experiment over real densities. It writes JSON, figures and a section of one page.

charge3net study learning_curves store=bench/store split=bench/molecules/split.json
charge3net study angular_dependence --show          the settings, without running
charge3net study page                               make all figures and the page again from the results

Defaults are in conf/study/NAME.yaml and are changed by key=value. Finished parts stay in --work, so the same command
continues an interrupted study. docs/studies.md describes each; docs/add_a_study.md shows how to add one.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charge3net.errors import InputError

if TYPE_CHECKING:
    from charge3net.studies import Study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``charge3net study``."""
    from charge3net.studies import studies

    names = (*studies(), "page")
    parser.add_argument("name", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that differ from conf/study/NAME")
    parser.add_argument(
        "-o", "--results", default="results", metavar="DIR", help="default: results; the page is DIR.md"
    )
    parser.add_argument("--label", metavar="WORDS", help="store the result separately from others of this study")
    parser.add_argument("--work", metavar="DIR", help="runs, evaluations, … (default: runs/study/NAME[-LABEL])")
    parser.add_argument("--show", action="store_true", help="print the settings and stop")


def run(args: argparse.Namespace) -> int:
    """Run one study; write its result and the page."""
    from dataclasses import asdict

    from charge3net.cli.settings import to_object
    from charge3net.studies import find_study
    from charge3net.studies.record import Record, folder_name, write_page, write_record
    from charge3net.studies.training import commands_started_by

    if args.name == "page":
        return _page(args)
    study, started = find_study(args.name), datetime.now(UTC)
    name = folder_name(study.name, args.label)  # first, so that a wrong label is found before anything is computed
    module = study.module()
    composed = compose_settings(study, args.overrides)
    if args.show:
        print(_yaml(composed), end="")
        return 0
    config = to_object(composed)
    work = Path(args.work or f"runs/study/{name}")
    work.mkdir(parents=True, exist_ok=True)
    with commands_started_by(_in_own_process):
        result = module.run(config, work)
    label = [] if args.label is None else ["--label", args.label]
    command = shlex.join(["charge3net", "study", args.name, *args.overrides, *label])
    folder = write_record(Record.of(study, command, asdict(config), result, started, args.label), args.results)
    print(f"{folder}\n{write_page(args.results)}")
    return 0


def _in_own_process(arguments: Sequence[str]) -> int:
    """Run another command of this package; returns its exit status."""
    return subprocess.run([sys.executable, "-m", "charge3net.cli.main", *arguments], check=False).returncode


def _page(args: argparse.Namespace) -> int:
    """Figures and page from the existing results.

    Raises:
        InputError: for anything but ``--results``, which would change nothing.
    """
    from charge3net.studies.record import draw, read_record, results_in, write_page

    options = {"--label": args.label, "--work": args.work, "--show": args.show}
    unused = [*args.overrides, *(option for option, value in options.items() if value)]
    if unused:
        raise InputError(
            f"charge3net study page makes figures and page of all results in --results; it does not take "
            f"{', '.join(unused)}"
        )
    for path in results_in(args.results):
        draw(read_record(path), path.parent)
    print(write_page(args.results))
    return 0


def compose_settings(study: Study, overrides: Sequence[str]) -> Any:
    """The default settings of a study with the user's changes, checked against its dataclass (an OmegaConf object).

    Hydra searches the folder of that file only: with ``conf`` in its path, settings named like a group there
    (``launcher``, ``experiment``) could not be overridden.

    Raises:
        InputError: for an unknown setting or a value of the wrong type.
    """
    from dataclasses import fields

    from hydra import compose, initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from charge3net.cli.settings import conf_folder, full_errors, quote_where_needed, sentence

    schema = study.module().Config
    defaults = study.own_settings() or conf_folder() / "study" / f"{study.name}.yaml"
    known = [field.name for field in fields(schema)]
    ConfigStore.instance().store(name=f"{study.name}_schema", node=schema)
    GlobalHydra.instance().clear()
    with full_errors() as asked_for, initialize_config_dir(str(defaults.parent), version_base="1.3"):
        try:
            return compose(defaults.stem, quote_where_needed(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            if asked_for:
                raise
            raise InputError(sentence(error, known)) from error


def _yaml(composed: Any) -> str:
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(composed)
