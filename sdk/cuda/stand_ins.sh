#!/bin/sh
# Makes stand-ins for CUDA's libraries, to link against where there are none: stand_ins.sh DIRECTORY CUDA_HOME
#
# The linker wants of a library no more than its name and its symbols, and both are in the source of cudarc,
# which declares each function it calls. The functions here do nothing. Never let a program load them.
set -eu

directory=$1
cuda_home=$2
PYTHON=${PYTHON:-python3}
# The path of the package in the graph of the workspace, whichever version its lock file names.
cudarc=$(cargo metadata --format-version 1 --features cuda 2>/dev/null || cargo metadata --format-version 1)
cudarc=$(printf %s "$cudarc" | "$PYTHON" -c '
import json, os, sys
paths = [p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "cudarc"]
print(os.path.dirname(paths[0]) if paths else "")')
[ -n "$cudarc" ] || {
    echo "error: nothing in this workspace uses CUDA: no package cudarc with the feature \`cuda\`" >&2
    exit 1
}
mkdir -p "$directory"

stand_in() { # the name at link time, the name at run time, the module of cudarc
    grep -oE 'pub unsafe fn [A-Za-z0-9_]+\(' "$cudarc/src/$3/sys/mod.rs" |
        sed -E 's/pub unsafe fn ([A-Za-z0-9_]+)\(/void \1(void) {}/' |
        grep -vE 'void (culib|is_culib_present)' | sort -u >"$directory/$1.c"
    cc -shared -fPIC -nostdlib -Wl,-soname,"$2" -o "$directory/lib$1.so" "$directory/$1.c"
    rm "$directory/$1.c"
}
stand_in cuda libcuda.so.1 driver
stand_in cublas libcublas.so.13 cublas
stand_in cublasLt libcublasLt.so.13 cublaslt
stand_in curand libcurand.so.10 curand
stand_in nvrtc libnvrtc.so.13 nvrtc
stand_in nccl libnccl.so.2 nccl
# The runtime came with the compiler.
ln -sf "$cuda_home/lib/libcudart.so.13" "$directory/libcudart.so"
