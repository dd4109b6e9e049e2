"""How a study starts the training of its models."""

from __future__ import annotations

import pytest

from charge3net.cli.study import _in_own_process
from charge3net.errors import InputError
from charge3net.studies.training import charge3net_command, commands_started_by


def test_commands_are_started_by_what_is_given_and_only_then(capsys):
    asked: list[list[str]] = []
    statuses = iter([0, 3, 130])

    def start(arguments):
        asked.append(list(arguments))
        return next(statuses)

    with commands_started_by(start):
        charge3net_command(["train", "name=a b"])
        with pytest.raises(InputError, match="charge3net train ended with status 3"):
            charge3net_command(["train"])
        with pytest.raises(KeyboardInterrupt, match="continues"):
            charge3net_command(["train"])
    assert asked == [["train", "name=a b"], ["train"], ["train"]]
    assert capsys.readouterr().out.splitlines()[0] == "charge3net train 'name=a b'"
    with pytest.raises(InputError, match="run the study by `charge3net study`"):
        charge3net_command(["train"])


def test_the_command_line_starts_a_process_and_returns_its_status(capfd):
    assert _in_own_process(["models"]) == 0
    assert "schnet" in capfd.readouterr().out
    assert _in_own_process(["nonsense"]) == 2
