#!/bin/sh
# Builds plugin libraries that train on NVIDIA GPUs, on a machine that may have neither a GPU nor CUDA.
#
#   sdk/cuda/build.sh                     the host, pretrain, sft and mae
#   sdk/cuda/build.sh -p NAME             another plugin, in the workspace that you stand in
#
# What it is given goes to `cargo build --release --features cuda`. Libraries come out in
# target-cuda/release, apart from those without CUDA. docs/cuda.md says how they are used.
#
#   CUDA_HOME           a CUDA toolkit to build with; without it the compiler is fetched with pip
#   CUDA_COMPUTE_CAP    the GPU to build for: 90 (H100, H200; the default where there's no GPU to ask),
#                       80 (A100), 86, 89, 100, 120
#   CUDA_TK             where the fetched compiler goes: .cuda-tk, some 270 MB
#   CUDA_STUBS          where the stand-ins for CUDA's libraries go: .cuda-stubs
set -eu

here=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-python3}
if [ $# -eq 0 ]; then
    cd "$here/../.."
    set -- -p host -p pretrain -p sft -p mae
fi

if [ -z "${CUDA_HOME:-}" ]; then
    CUDA_TK=${CUDA_TK:-$PWD/.cuda-tk}
    CUDA_STUBS=${CUDA_STUBS:-$PWD/.cuda-stubs}
    CUDA_HOME=$CUDA_TK/nvidia/cu13
    "$here/fetch_compiler.sh" "$CUDA_TK"
    "$here/stand_ins.sh" "$CUDA_STUBS" "$CUDA_HOME"
    links=$CUDA_STUBS
else
    links=$CUDA_HOME/lib64:$CUDA_HOME/lib64/stubs
fi
export CUDA_HOME NVCC="$CUDA_HOME/bin/nvcc" PATH="$CUDA_HOME/bin:$PATH"
# The linker's search path, not the loader's: a program that ran with the stand-ins would compute nothing.
export LIBRARY_PATH="$links${LIBRARY_PATH:+:$LIBRARY_PATH}"

if [ -z "${CUDA_COMPUTE_CAP:-}" ] && ! command -v nvidia-smi >/dev/null; then
    CUDA_COMPUTE_CAP=90
    echo "no GPU to ask: building for compute capability 90 (CUDA_COMPUTE_CAP chooses another)" >&2
fi
[ -z "${CUDA_COMPUTE_CAP:-}" ] || export CUDA_COMPUTE_CAP
# The GPU code four times smaller; the library of a plugin is then half as large.
export NVCC_APPEND_FLAGS="${NVCC_APPEND_FLAGS:--compress-mode=size}"
export CUDAFORGE_THREADS="${CUDAFORGE_THREADS:-$(nproc)}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target-cuda}"

cargo build --release --features cuda "$@"
echo "the libraries are in $CARGO_TARGET_DIR/release" >&2
