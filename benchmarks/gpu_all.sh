#!/bin/sh
# Everything that needs a GPU, in at most ten minutes; benchmarks/gpu_all.py says what. --dry runs it on the CPU.
set -eu
cd "$(dirname "$0")/.."
case " $* " in *" --dry "*) export TRITON_INTERPRET=1 ;; esac
exec timeout 600 "${PYTHON:-python}" -m benchmarks.gpu_all "$@"
