"""Everything is in setup.cfg; here only the compiled kernels, which are optional: without a compiler torch works."""

from __future__ import annotations

import runpy
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

KERNELS = Path("charge3net", "kernels")


class BuildWithKernels(build_py):
    """Copies the Python files, then compiles the kernels beside them (in place for an editable install)."""

    def run(self) -> None:
        super().run()
        root = Path(".") if self.editable_mode else Path(self.build_lib)
        try:
            build = runpy.run_path(str(KERNELS / "build.py"))["build"]
            build((root / KERNELS / "lib").absolute(), report=self.warn)
        except Exception as error:  # the package works without kernels; nothing here may stop an install
            self.warn(f"charge3net kernels were not built: {error}")


class PlatformWheel(bdist_wheel):
    """A wheel of this platform, for any Python 3: the kernels do not know Python's headers."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        return ("py3", "none", super().get_tag()[2])


setup(cmdclass={"build_py": BuildWithKernels, "bdist_wheel": PlatformWheel})
