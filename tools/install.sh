#!/bin/sh
# Makes the environment that the Makefile works in: virtual environment, torch (CPU build unless there is an NVIDIA GPU),
# the package from this folder with everything that tests and demo need.
set -eu
: "${PYTHON:=python3}" "${VENV:=.venv}" "${TORCH:=2.13.0}"

fail() { echo "install: $1" >&2; exit 1; }

command -v "$PYTHON" >/dev/null || fail "no $PYTHON found; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$PYTHON is $("$PYTHON" -V); Python 3.11 or newer is needed: make PYTHON=/path/to/python"
if [ ! -x "$VENV/bin/python" ]; then
    "$PYTHON" -m venv "$VENV" || { rm -rf "$VENV"; fail "no virtual environment could be made; on Debian and Ubuntu: apt install python3-venv"; }
fi
PIP="$VENV/bin/python -m pip --disable-pip-version-check"
$PIP install -q --upgrade pip "setuptools>=70" wheel

if ! "$VENV/bin/python" -c 'import torch' 2>/dev/null; then
    if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
        echo "install: torch $TORCH for the GPU"
        $PIP install -q "torch==$TORCH"
    else
        # The package index has only CUDA builds of torch for Linux on x86-64; CPU builds are on PyTorch's own index.
        # A builder that keeps one at hand (pip's find-links) is asked first.
        echo "install: torch $TORCH, CPU build"
        $PIP install -q "torch==$TORCH+cpu" 2>/dev/null ||
            $PIP install -q "torch==$TORCH" --index-url https://download.pytorch.org/whl/cpu ||
            $PIP install -q "torch==$TORCH"
    fi
fi

if ! command -v g++ >/dev/null && ! command -v c++ >/dev/null && ! command -v clang++ >/dev/null; then
    echo "install: no C++ compiler here; taking one from the package index (ziglang) for the fast kernels"
    $PIP install -q ziglang || echo "install: none could be had; the slower torch path will be used"
fi
echo "install: charge3net and what it needs"
$PIP install -q --no-build-isolation -e ".[plot,sweep,test]"
