"""Tokens per second of the GPT's training step in PyTorch, in one of its modes.

    python peer_gpt.py --size dev|prod --mode eager|compile|compile-sdpa|bf16|bf16-compile-sdpa
                       --dropout 0.1 --threads 2 --seconds 10

The model is the one of this project, in the way a PyTorch user writes it: pre-norm blocks, RMSNorm,
rotary positions of adjacent channels, SwiGLU with biases, a tied head; AdamW and clipping at 1 belong
to the step. Prints one line of JSON: the tokens per second of each timed part, and the peak memory.
"""

import argparse

import torch
import torch.nn.functional as F
from torch import nn

from timing import report

SIZES = {
    # V, T, C, L, H, d_ff, B: the profile `dev`, and the sizes of a production run
    "dev": (256, 128, 256, 4, 4, 512, 16),
    "prod": (16000, 256, 384, 8, 6, 1152, 8),
}
MODES = {
    # compiled, attention by scaled_dot_product_attention, bfloat16
    "eager": (False, False, False),
    "compile": (True, False, False),
    "compile-sdpa": (True, True, False),
    "bf16": (False, False, True),
    "bf16-compile-sdpa": (True, True, True),
}


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, 1e-5)


def rotate(x, cos, sin):
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)


class Block(nn.Module):
    def __init__(self, width, heads, d_ff, dropout, sdpa):
        super().__init__()
        self.heads, self.dropout, self.sdpa = heads, dropout, sdpa
        self.ln1, self.ln2 = RmsNorm(width), RmsNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width, bias=False)
        self.fc_a, self.fc_g = nn.Linear(width, d_ff), nn.Linear(width, d_ff)
        self.fc_out = nn.Linear(d_ff, width)

    def forward(self, x, cos, sin):
        b, t, c = x.shape
        qkv = self.qkv(self.ln1(x)).view(b, t, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, H, T, D) each
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        p = self.dropout if self.training else 0.0
        if self.sdpa:
            y = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        else:
            scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
            mask = torch.ones(t, t, dtype=torch.bool).tril()
            weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1)
            y = F.dropout(weights, p) @ v
        x = x + F.dropout(self.proj(y.transpose(1, 2).reshape(b, t, c)), p)
        h = self.ln2(x)
        return x + F.dropout(self.fc_out(self.fc_a(h) * F.silu(self.fc_g(h))), p)


class Gpt(nn.Module):
    def __init__(self, vocab, context, width, layers, heads, d_ff, dropout, sdpa):
        super().__init__()
        self.dropout = dropout
        self.tok_emb = nn.Embedding(vocab, width)
        blocks = [Block(width, heads, d_ff, dropout, sdpa) for _ in range(layers)]
        self.blocks = nn.ModuleList(blocks)
        self.ln_f = RmsNorm(width)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)
        d = width // heads
        angles = torch.arange(context)[:, None] * 10_000.0 ** (-torch.arange(0, d, 2) / d)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, ids, targets):
        x = F.dropout(self.tok_emb(ids), self.dropout if self.training else 0.0)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = F.linear(self.ln_f(x), self.tok_emb.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="dev")
    parser.add_argument("--mode", choices=MODES, default="eager")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    torch.manual_seed(42)
    torch.set_num_threads(args.threads)
    vocab, context, width, layers, heads, d_ff, batch = SIZES[args.size]
    compiled, sdpa, bf16 = MODES[args.mode]
    model = Gpt(vocab, context, width, layers, heads, d_ff, args.dropout, sdpa)
    run = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=3e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1
    )

    def step():
        ids = torch.randint(0, min(vocab, 256), (batch, context + 1))
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = run(ids[:, :-1], ids[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    report(step, batch * context, "tokens", args.seconds)


if __name__ == "__main__":
    main()
