"""The GPT in PyTorch, written from its description and not from the Rust code.

A decoder-only transformer: token embeddings, blocks of pre-norm attention and SwiGLU, a final norm,
and the embedding table again as output head. Rotary positions turn adjacent channels. Run as a
program it compares logits and loss with those that the Rust model gives for the same weights:

    python pytorch_gpt.py TRACE_DIR
"""

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

IGNORE = 2**32 - 1


@dataclass
class Config:
    """Sizes, under the names that a configuration file gives them."""

    V: int
    T: int
    C: int
    L: int
    H: int
    d_ff: int
    dropout: float = 0.0
    rope_theta: float = 10_000.0


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


def rotate(x, theta):
    """Turns channels (2i, 2i + 1) of (B, H, t, D) by position * theta^(-2i/D)."""
    t, d = x.shape[-2:]
    frequencies = theta ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angles = torch.arange(t, dtype=torch.float64)[:, None] * frequencies
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.qkv = nn.Linear(config.C, 3 * config.C, bias=False)
        self.proj = nn.Linear(config.C, config.C, bias=False)

    def forward(self, x):
        b, t, c = x.shape
        d = c // self.config.H
        q, k, v = (
            part.view(b, t, self.config.H, d).transpose(1, 2)
            for part in self.qkv(x).split(c, dim=-1)
        )
        q, k = rotate(q, self.config.rope_theta), rotate(k, self.config.rope_theta)
        scores = q @ k.transpose(-2, -1) / math.sqrt(d)
        future = torch.ones(t, t, dtype=torch.bool).triu(1)
        probs = scores.masked_fill(future, torch.finfo(scores.dtype).min).softmax(-1)
        return self.proj((probs @ v).transpose(1, 2).reshape(b, t, c))


class SwiGlu(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.fc_a = nn.Linear(config.C, config.d_ff)
        self.fc_g = nn.Linear(config.C, config.d_ff)
        self.fc_out = nn.Linear(config.d_ff, config.C)

    def forward(self, x):
        return self.fc_out(F.silu(self.fc_g(x)) * self.fc_a(x))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1 = RmsNorm(config.C)
        self.attn = Attention(config)
        self.ln2 = RmsNorm(config.C)
        self.mlp = SwiGlu(config)

    def forward(self, h):
        h = h + self.attn(self.ln1(h))
        return h + self.mlp(self.ln2(h))


class Gpt(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.tok_emb = nn.Embedding(config.V, config.C)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.L))
        self.ln_f = RmsNorm(config.C)
        self.lm_head = nn.Linear(config.C, config.V, bias=False)
        self.lm_head.weight = self.tok_emb.weight

    def forward(self, ids):
        h = self.tok_emb(ids)
        for block in self.blocks:
            h = block(h)
        return self.lm_head(self.ln_f(h))

    def loss(self, ids, targets):
        """Mean cross-entropy in nats over the targets that are not ignored."""
        logits = self(ids).flatten(0, 1)
        targets = targets.flatten().where(targets.flatten() != IGNORE, -100)
        return F.cross_entropy(logits, targets)


def load(config, weights_path):
    """A model with the weights of an exported safetensors file; the names must match exactly."""
    model = Gpt(config)
    weights = load_file(weights_path)
    weights["lm_head.weight"] = weights["tok_emb.weight"]
    model.load_state_dict(weights, strict=True)
    return model


def read_trace(path):
    """The first line of a trace, and its steps."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return lines[0], lines[1:]


def compare(directory):
    """Logits and loss of the trace's first and last weights agree to 1e-4."""
    head, _ = read_trace(directory / "trace.jsonl")
    config = Config(**head["model"])
    worst = 0.0
    for name in ("initial", "final"):
        probe = json.loads((directory / f"{name}.json").read_text())
        model = load(config, directory / f"{name}.safetensors").eval()
        ids, targets = torch.tensor(probe["ids"]), torch.tensor(probe["targets"])
        with torch.no_grad():
            logits = model(ids)
            loss = model.loss(ids, targets).item()
        ours = torch.tensor(probe["logits"]).view_as(logits)
        difference = (logits - ours).abs().max().item()
        print(f"{name}: logits within {difference:.1e} of ±{ours.abs().max():.2f}, "
              f"loss {loss:.6f} here and {probe['loss']:.6f} there")
        worst = max(worst, difference, abs(loss - probe["loss"]))
    assert worst < 1e-4, worst


if __name__ == "__main__":
    compare(Path(sys.argv[1]))
