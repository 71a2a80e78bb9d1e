"""A GGUF export, read by the `gguf` package, against the run's own weights.

    python gguf_check.py MODEL.gguf OURS.safetensors SETTINGS.json

`OURS.safetensors` and `SETTINGS.json` are the run's artifact: tensors under our names, and sizes.
"""

import json
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader
from safetensors.numpy import load_file

LAYER = {
    "attn_norm.weight": "ln1.weight",
    "attn_output.weight": "attn.proj.weight",
    "ffn_norm.weight": "ln2.weight",
    "ffn_up.weight": "mlp.fc_a.weight",
    "ffn_up.bias": "mlp.fc_a.bias",
    "ffn_gate.weight": "mlp.fc_g.weight",
    "ffn_gate.bias": "mlp.fc_g.bias",
    "ffn_down.weight": "mlp.fc_out.weight",
    "ffn_down.bias": "mlp.fc_out.bias",
}


def expected_tensors(ours, sizes):
    """Our weights under llama.cpp's names; its rows of Q and K are adjacent pairs, as ours are."""
    expected = {"token_embd.weight": ours["tok_emb.weight"], "output_norm.weight": ours["ln_f.weight"]}
    for i in range(sizes["L"]):
        qkv = np.split(ours[f"blocks.{i}.attn.qkv.weight"], 3)
        expected |= {f"blk.{i}.attn_{part}.weight": rows for part, rows in zip("qkv", qkv)}
        for theirs, name in LAYER.items():
            expected[f"blk.{i}.{theirs}"] = ours[f"blocks.{i}.{name}"]
    return expected


def check_tensors(reader, ours, sizes):
    expected = expected_tensors(ours, sizes)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert tensors.keys() == expected.keys(), tensors.keys() ^ expected.keys()
    for name, tensor in tensors.items():
        assert tensor.tensor_type == GGMLQuantizationType.F32, name
        assert tensor.data_offset % 32 == 0, name
        # ggml counts axes from the fastest one.
        assert tuple(tensor.shape[::-1]) == expected[name].shape, name
        assert np.array_equal(tensor.data.reshape(expected[name].shape), expected[name]), name
    print(f"{len(tensors)} tensors, equal bit for bit")


def check_metadata(reader, settings):
    def field(key):
        return reader.fields[key].contents()

    sizes = settings["model"]
    assert field("general.architecture") == "llama"
    for key, name in {
        "vocab_size": "V", "context_length": "T", "embedding_length": "C", "block_count": "L",
        "attention.head_count": "H", "attention.head_count_kv": "H", "feed_forward_length": "d_ff",
    }.items():
        assert field(f"llama.{key}") == sizes[name], key
    assert field("llama.rope.dimension_count") == sizes["C"] // sizes["H"]
    assert np.isclose(field("llama.rope.freq_base"), sizes["rope_theta"])
    assert np.isclose(field("llama.attention.layer_norm_rms_epsilon"), 1e-5)

    tokens = field("tokenizer.ggml.tokens")
    kinds = field("tokenizer.ggml.token_type")
    assert len(tokens) == len(kinds) == sizes["V"]
    assert len(set(tokens)) == len(tokens), "a token is there twice"
    special = settings["tokenizer"]["special"]
    for name, id in special.items():
        assert kinds[id] == 3, f"{name} is no control token"
    assert field("tokenizer.ggml.eos_token_id") == special["eot"]
    assert field("tokenizer.ggml.add_bos_token") is False
    if settings["tokenizer"]["kind"] == "gpt2":
        merges = field("tokenizer.ggml.merges")
        assert len(merges) > 49_000 and merges[0] == "Ġ t", merges[:1]
        assert tokens[262] == "Ġthe", tokens[262]
    if settings.get("chat"):
        assert "add_generation_prompt" in field("tokenizer.chat_template")
    print(f"metadata: {len(reader.fields)} fields, tokenizer `{field('tokenizer.ggml.model')}` "
          f"with {len(tokens)} tokens")


if __name__ == "__main__":
    path, ours, settings = map(Path, sys.argv[1:4])
    reader = GGUFReader(path)
    settings = json.loads(settings.read_text())
    settings = settings.get("settings", settings)
    check_tensors(reader, load_file(ours), settings["model"])
    check_metadata(reader, settings)
