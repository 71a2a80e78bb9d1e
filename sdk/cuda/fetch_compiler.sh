#!/bin/sh
# Fetches NVIDIA's compiler as wheels: fetch_compiler.sh DIRECTORY
#
# The version is pinned: a driver refuses code of a compiler newer than itself, and 13.0 is what drivers
# since 580 take. The wheels are NVIDIA's, under NVIDIA's licence: a tool for building, not to be passed on.
set -eu

directory=$1
PYTHON=${PYTHON:-python3}
nvcc=$directory/nvidia/cu13/bin/nvcc
if "$nvcc" --version 2>/dev/null | grep -q 'V13\.0\.88'; then
    exit 0
fi
echo "fetching NVIDIA's compiler into $directory" >&2
# The compiler itself, its host headers, its optimiser, the runtime's headers, and the C++ headers.
"$PYTHON" -m pip install --quiet --disable-pip-version-check --only-binary=:all: --no-deps --upgrade \
    --target "$directory" \
    nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 \
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
"$nvcc" --version | grep -q 'V13\.0\.88' || {
    echo "error: $nvcc doesn't run" >&2
    exit 1
}
