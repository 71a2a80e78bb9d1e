"""200 training steps in PyTorch, on the batches that the Rust trainer saw, from its initial weights.

    python loss_curve.py TRACE_DIR

The optimizer is PyTorch's own AdamW and the clipping its own; the learning rate of each step is
computed here from the schedule's definition and compared with the trace's.
"""

import math
import sys
from pathlib import Path

import torch
from pytorch_gpt import Config, load, read_trace


def learning_rate(step, training):
    """Linear warmup from 0, then a cosine down to `min_lr`."""
    base, low = training["base_lr"], training["min_lr"]
    warmup, total = training["warmup_steps"], training["total_steps"]
    if step < warmup:
        return base * step / warmup
    progress = (step - warmup) / (total - warmup)
    return low + (base - low) * 0.5 * (1 + math.cos(math.pi * progress))


def follow(directory):
    head, steps = read_trace(directory / "trace.jsonl")
    training = head["training"]
    model = load(Config(**head["model"]), directory / "initial.safetensors").train()
    optimizer = torch.optim.AdamW(
        model.parameters(),
        betas=tuple(training["betas"]),
        eps=training["eps"],
        weight_decay=training["weight_decay"],
    )
    worst_loss = worst_norm = 0.0
    for step in steps:
        lr = learning_rate(step["step"], training)
        assert math.isclose(lr, step["lr"], rel_tol=1e-9, abs_tol=1e-15), (lr, step["lr"])
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad(set_to_none=True)
        loss = model.loss(torch.tensor(step["ids"]), torch.tensor(step["targets"]))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), training["grad_clip"]).item()
        optimizer.step()
        worst_loss = max(worst_loss, abs(loss.item() / step["loss"] - 1))
        worst_norm = max(worst_norm, abs(norm / step["grad_norm"] - 1))
        if step["step"] % 20 == 0 or step is steps[-1]:
            print(f"step {step['step']:3}: loss {loss.item():.6f} here, {step['loss']:.6f} there")
    first, last = steps[0]["loss"], steps[-1]["loss"]
    print(f"{len(steps)} steps from {first:.3f} to {last:.3f}: losses within {worst_loss:.2e}, "
          f"gradient norms within {worst_norm:.2e} (relative)")
    assert last < 0.8 * first, "the trace learned nothing, so following it shows nothing"
    assert worst_loss < 0.01, worst_loss


if __name__ == "__main__":
    follow(Path(sys.argv[1]))
