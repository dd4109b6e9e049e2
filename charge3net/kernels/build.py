"""Compiles the kernels: ``python -m charge3net.kernels.build``.

One library per processor level, from the same sources; :mod:`charge3net.kernels.library` takes the best one that the
machine can run. Standard library only, and nothing of charge3net: setup.py runs this file by its path.

The name of a library holds a digest of sources and flags, so one built from other sources is never loaded.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
SOURCE_FOLDER = HERE / "src"
LIBRARY_FOLDER = HERE / "lib"

#: Processor level (as ``c3n_processor_level`` numbers them) → (name of the variant, flags), per machine; worst first.
VARIANTS: dict[str, dict[int, tuple[str, tuple[str, ...]]]] = {
    "x86_64": {
        1: ("baseline", ("-march=x86-64",)),
        3: ("avx2", ("-march=x86-64-v3",)),
        4: ("avx512", ("-march=x86-64-v4", "-mprefer-vector-width=512")),
    },
    "arm64": {0: ("neon", ())},
}

_FLAGS = (
    *("-std=c++17", "-O3", "-fPIC", "-shared", "-pthread"),
    *("-fno-exceptions", "-fno-rtti", "-fvisibility=hidden", "-fno-strict-aliasing"),
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
)


def machine() -> str:
    """Key into :data:`VARIANTS` for this machine; another name where there are no kernels."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "aarch64": "arm64"}.get(name, name)


def sources() -> list[Path]:
    """The files that are compiled, in a fixed order."""
    return sorted(SOURCE_FOLDER.glob("*.cpp"))


def digest() -> str:
    """Eight hex digits that change with sources and flags."""
    state = hashlib.sha256(repr((_FLAGS, VARIANTS)).encode())
    for path in sorted(SOURCE_FOLDER.glob("*")):
        if path.suffix in (".cpp", ".h"):
            state.update(path.name.encode() + path.read_bytes())
    return state.hexdigest()[:8]


def library_path(variant: str, folder: Path = LIBRARY_FOLDER) -> Path:
    """Where the library of a variant is, once built from the sources as they are."""
    return folder / f"charge3net-{sys.platform}-{machine()}-{variant}-{digest()}.so"


def built_libraries() -> list[Path]:
    """Libraries for this machine, whatever sources they were built from."""
    return sorted(LIBRARY_FOLDER.glob(f"charge3net-{sys.platform}-{machine()}-*.so"))


def find_compiler() -> list[str] | None:
    """Command of a C++ compiler: $CXX, c++, g++, clang++, or the one in the Python package ``ziglang``."""
    for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++"):
        if name and shutil.which(name.split()[0]):
            return name.split()
    if find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "c++"]
    return None


def build(folder: Path = LIBRARY_FOLDER, report: Callable[[str], None] = print) -> list[Path]:
    """Compile every variant that this machine's compiler can make; returns the libraries.

    Libraries of other sources in ``folder`` are removed. A failing compiler is reported, not raised: the package
    works without kernels.
    """
    if sys.platform not in ("linux", "darwin") or machine() not in VARIANTS:
        report(f"charge3net kernels: none for {sys.platform} on {machine()}; the torch path is used")
        return []
    compiler = find_compiler()
    if compiler is None:
        report("charge3net kernels: no C++ compiler found (c++, g++, clang++ or `pip install ziglang`)")
        return []
    folder.mkdir(parents=True, exist_ok=True)
    built = []
    for variant, flags in VARIANTS[machine()].values():
        target = library_path(variant, folder)
        problem = None if target.exists() else _compile(compiler, flags, target)
        if problem is None:
            built.append(target)
        else:
            report(f"charge3net kernels: {variant} was not built: {problem}")
    for stale in folder.glob("charge3net-*.so"):
        if stale not in built and not stale.name.endswith(f"-{digest()}.so"):
            stale.unlink(missing_ok=True)
    return built


def _compile(compiler: Sequence[str], flags: Sequence[str], target: Path) -> str | None:
    """None, or why it failed in one line."""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        result = Path(scratch) / target.name
        command = [*compiler, *_FLAGS, *_for_zig(compiler, flags), *map(str, sources()), "-o", str(result), "-lm"]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=600)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if run.returncode != 0:
            lines = [line for line in run.stderr.splitlines() if "error" in line] or run.stderr.splitlines()
            return lines[0] if lines else f"the compiler ended with status {run.returncode}"
        os.replace(result, target)
    return None


def _for_zig(compiler: Sequence[str], flags: Sequence[str]) -> list[str]:
    """Zig writes processor levels with underscores, knows no preferred vector width, and adds 1.5 MB of symbols."""
    if "ziglang" not in compiler:
        return list(flags)
    return ["-s", *(f.replace("x86-64", "x86_64").replace("-v", "_v") for f in flags if f.startswith("-march"))]


def main() -> int:
    """Build and print the libraries; status 1 if there are none."""
    built = build()
    for path in built:
        print(path)
    return 0 if built else 1


if __name__ == "__main__":
    sys.exit(main())
