"""The entry point: what it prints, what it imports, how it fails."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from importlib.metadata import version

import pytest

from charge3net.cli import main as entry
from charge3net.cli.doctor import OPTIONAL, _optional
from charge3net.cli.main import COMMANDS, main
from charge3net.errors import InputError
from charge3net.kernels import status
from charge3net.kernels.library import library
from charge3net.nn.e3nn import check_version
from charge3net.version import __version__

HEAVY = ("lightning", "hydra", "matplotlib", "wandb")


def fake(monkeypatch: pytest.MonkeyPatch, run: object) -> None:
    """Let every command be this function."""
    module = types.ModuleType("fake")
    module.add_arguments = lambda parser: parser.add_argument("--x", type=int)  # type: ignore[attr-defined]
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setattr(entry, "import_module", lambda name: module)


def raising(error: BaseException) -> object:
    def run(args: object) -> int:
        raise error

    return run


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert name in out
        assert command.help in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"charge3net {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["predikt"], "did you mean predict?"),
        (["--foo"], "'--foo'"),
        (["xyz"], "choose one of train, "),
    ],
)
def test_no_such_command(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert f"charge3net {name}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["predict", "POSCAR"], ["density"], ["density", "bader"], ["view", "--wrong"]])
def test_wrong_arguments_are_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"charge3net {arguments[0]}")
    assert said.count("\n") == 1
    assert said.endswith("--help`)\n")


def test_help_of_a_command_in_the_other_order(capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for arguments in (["help", "view"], ["view", "--help"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]


def test_the_package_is_a_program() -> None:
    command = [sys.executable, "-m", "charge3net", "-V"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == f"charge3net {__version__}\n"


def test_input_error_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fake(monkeypatch, raising(InputError("POSCAR: no atoms")))
    assert main(["predict"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "charge3net predict: error: POSCAR: no atoms\n"


def test_interrupt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fake(monkeypatch, raising(KeyboardInterrupt()))
    assert main(["predict"]) == 130
    assert capsys.readouterr().err == "charge3net predict: interrupted\n"


def test_bugs_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["predict"])


def test_arguments_and_status_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, lambda args: args.x)
    assert main(["predict", "--x", "3"]) == 3


def test_predict_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom charge3net.cli.main import main\n"
        "try:\n    main(['predict', '--help'])\nexcept SystemExit:\n    pass\n"
        "import charge3net.predict.predictor\n"
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "HEAVY []"


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys\nfrom charge3net.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\nprint('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "False"


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["needed"]["torch"] == version("torch")
    assert found["charge3net"]["configs"].endswith("conf")
    assert found["devices"]["CPU threads"].isdigit()


@pytest.mark.parametrize("switch", ["", "torch"])
def test_doctor_says_which_kernels_run_on_the_cpu(
    switch: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHARGE3NET_KERNELS", switch)
    main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)["devices"]["CPU kernels"]
    assert found.startswith("compiled (") == (status()["backend"] == "compiled")
    assert ("CHARGE3NET_KERNELS=torch" in found) == (switch == "torch" and library().handle is not None)


def test_doctor_advises_installations_that_can_work() -> None:
    """torch-scatter has no wheels on the index; its build needs the torch that is installed."""
    for name, module, use, install in OPTIONAL:
        assert f"pip install {install}" in _optional(name, f"no_such_{module}", use, install)
        assert ("--no-build-isolation" in install) == (name == "torch-scatter")


def test_doctor_says_which_versions_will_not_do(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    versions = {"e3nn": "0.4.4", "pymatgen": "2025.10.7", "pymatgen-core": "2026.2.24"}
    monkeypatch.setattr("charge3net.cli.doctor.installed_version", lambda name: versions.get(name, "99.0"))
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["needed"]
    assert found["e3nn"].startswith("0.4.4, but >=0.5.6 is needed")
    assert "mace-torch" in found["e3nn"]
    assert "pip install -U pymatgen" in found["pymatgen"]
    assert found["pymatgen-core"] == "2026.2.24"
    versions.update(e3nn="0.6.0", pymatgen="2026.3.23")
    assert main(["doctor", "--json"]) == 0


def test_an_e3nn_with_other_numbers_is_refused() -> None:
    for good in ("0.5.6", "0.6.0", "1.0.0rc1"):
        check_version(good)
    with pytest.raises(InputError, match="mace-torch"):
        check_version("0.4.4")


def test_doctor_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("charge3net.cli.doctor.NEEDED", ("no-such-package",))
    assert main(["doctor"]) == 1
    assert "no-such-package           MISSING" in capsys.readouterr().out
