"""Samples per second of a small classifier's training step in PyTorch, eager.

    python peer_mlp.py --threads 2 --seconds 10

The model and the step are those of `sdk/numerics/examples/mlp.rs`: 784-512-512-10 with ReLU, 256 samples
of a step, AdamW, clipping at 1. Prints one line of JSON: the samples per second of each step, the last
loss, and the peak memory.
"""

import argparse

import torch
import torch.nn.functional as F
from torch import nn

from timing import report

INPUTS, HIDDEN, CLASSES = 784, 512, 10
SAMPLES, BATCH = 4096, 256


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    torch.manual_seed(42)
    torch.set_num_threads(args.threads)
    labels = torch.randint(0, CLASSES, (SAMPLES,))
    points = 0.2 * torch.randn(CLASSES, INPUTS)[labels] + torch.randn(SAMPLES, INPUTS)
    model = nn.Sequential(
        nn.Linear(INPUTS, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, CLASSES),
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.01
    )

    def step():
        rows = torch.randint(0, SAMPLES, (BATCH,))
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(points[rows]), labels[rows])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    report(step, BATCH, "samples", args.seconds)


if __name__ == "__main__":
    main()
