"""Everything is in setup.cfg; here only the compiled kernels, which are optional (without a compiler torch works), and
the README without links that lead nowhere outside the repository.
"""

from __future__ import annotations

import re
import runpy
from configparser import ConfigParser
from pathlib import Path

from setuptools import Distribution, setup
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


class WithLibraries(Distribution):
    """Installed where files of one platform go: auditwheel refuses wheels with libraries elsewhere."""

    def has_ext_modules(self) -> bool:
        return True


class PlatformWheel(bdist_wheel):
    """A wheel of this platform, for any Python 3: the kernels do not know Python's headers."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        return ("py3", "none", super().get_tag()[2])


def long_description() -> str:
    """README.md for the package index.

    Links to files of the repository lead to its address, if setup.cfg has one (``project_urls``, ``Source``, as
    https://…/blob/main for files); else their text stays and pictures are left out. Comments are left out too.
    """
    setup_cfg = ConfigParser(interpolation=None)
    setup_cfg.read("setup.cfg", encoding="utf-8")
    urls = dict(line.split(" = ", 1) for line in setup_cfg["metadata"]["project_urls"].splitlines() if " = " in line)
    source, text = urls.get("Source", "").rstrip("/"), Path("README.md").read_text(encoding="utf-8")
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    if source:
        text = re.sub(r'(\]\(|src=")(?!https?:|#)([^)"]+)', rf"\1{source}/\2", text)
    else:
        text = re.sub(r"^(!\[[^\]]*\]\([^)]*\)|<img [^>]*>)\n+", "", text, flags=re.MULTILINE)
        text = re.sub(r"\[([^\]]*)\]\((?!https?:|#)[^)]*\)", r"\1", text)
    return text


setup(
    long_description=long_description(),
    distclass=WithLibraries,
    cmdclass={"build_py": BuildWithKernels, "bdist_wheel": PlatformWheel},
)
