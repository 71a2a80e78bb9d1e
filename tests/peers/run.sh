#!/usr/bin/env bash
# Compares this project with PyTorch, transformers, and the packages gguf, jsonschema and spectral.
# See README.md.
#
#   tests/peers/run.sh
#
# HOST_PEERS_VENV  virtual environment, made when missing (default: /tmp/host-peers-venv)
# HOST_PEERS_WORK  where models and traces are put (default: a temporary directory, removed)
# HOST_PEERS_LLAMA a virtual environment for llama.cpp, too (default: none, that check is left out)
# HOST_PEERS_CARGO arguments of cargo, such as `--release` (default: none)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=${HOST_PEERS_VENV:-/tmp/host-peers-venv}
read -ra cargo_arguments <<<"${HOST_PEERS_CARGO:-}"
if [ -n "${HOST_PEERS_WORK:-}" ]; then
    work=$HOST_PEERS_WORK
    mkdir -p "$work"
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi

python=$venv/bin/python
if ! "$python" -c 'import gguf, jsonschema, spectral, torch, transformers' 2>/dev/null; then
    python3 -m venv "$venv"
    "$python" -m pip install --quiet --requirement "$here/requirements.txt"
fi
llama=${HOST_PEERS_LLAMA:-}
if [ -n "$llama" ] && ! "$llama/bin/python" -c 'import gpt4all' 2>/dev/null; then
    python3 -m venv "$llama"
    "$llama/bin/python" -m pip install --quiet gpt4all==2.8.2
fi
export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 CUDA_VISIBLE_DEVICES=

say() { printf '\n== %s\n' "$*"; }

say "building"
cd "$root"
cargo build --quiet "${cargo_arguments[@]}" --workspace
cargo build --quiet "${cargo_arguments[@]}" --package gpt --package spectral --examples
target=${CARGO_TARGET_DIR:-$root/target}
case " ${cargo_arguments[*]} " in *" --release "*) target+=/release ;; *) target+=/debug ;; esac
host=$target/host
encode=$target/examples/encode

say "the exported schema, by jsonschema and check-jsonschema"
"$python" "$here/schema_check.py" "$host" "$root/configs"

say "spectral libraries and image cubes, by the package spectral"
"$python" "$here/envi_check.py" "$target/examples/read_spectra"

say "logits and loss against PyTorch, and 200 steps of training"
"$target/examples/trace" "$here/../../README.md" "$work/trace" 200
"$python" "$here/pytorch_gpt.py" "$work/trace"
"$python" "$here/loss_curve.py" "$work/trace"

# Trains a model, exports it in every format and compares: NAME PHASE ARGUMENTS…
check() {
    local name=$1 phase=$2
    shift 2
    say "$name: training"
    local runs=$work/$name
    rm -rf "$runs"
    "$host" run "$@" --output-dir "$runs" >/dev/null 2>"$work/$name.log" ||
        { cat "$work/$name.log"; return 1; }
    export HOST_OUTPUT_DIR=$runs
    for format in safetensors hf gguf; do
        "$host" export last --phase "$phase" --format "$format" --out "$runs/$format" >/dev/null
    done
    say "$name: transformers"
    "$python" "$here/transformers_check.py" \
        "$runs/hf" "$runs/safetensors" "$host" "$encode" last "$phase"
    say "$name: gguf"
    "$python" "$here/gguf_check.py" \
        "$runs/gguf/model.gguf" "$runs/safetensors/model.safetensors" "$runs/safetensors/model.json"
    # A model that answers has little to say to a bare text.
    if [ -n "$llama" ] && [ "$phase" = pretrain ]; then
        say "$name: llama.cpp"
        "$llama/bin/python" "$here/llama_check.py" "$runs/gguf/model.gguf" "$host" last "$phase"
    fi
}

check byte-chat sft --profile pipeline-smoke \
    --set pretrain.training.total_steps=600 --set pretrain.training.base_lr=4e-3 \
    --set pretrain.training.eval_every=300 --set pretrain.training.ckpt_every=600 \
    --set sft.training.total_steps=400 --set sft.training.base_lr=3e-3 \
    --set sft.training.eval_every=200 --set sft.training.ckpt_every=400 \
    --set pretrain.model.T=128 --set sft.model.T=128
check gpt2-base pretrain --profile smoke-pretrain \
    --set tokenizer.kind=gpt2 --set model.V=50257 --set model.T=128 \
    --set training.total_steps=100 --set training.base_lr=3e-3 \
    --set training.eval_every=100 --set training.ckpt_every=100

for kind in bpe unigram; do
    # More rows than tokens, as a model may have.
    check "trained-$kind" pretrain --profile smoke-pretrain \
        --set tokenizer.kind=train --set tokenizer.model=$kind --set tokenizer.vocab_size=500 \
        --set model.V=512 --set model.T=128 \
        --set training.total_steps=400 --set training.base_lr=4e-3 \
        --set training.eval_every=400 --set training.ckpt_every=400
done

say "all peers agree"
