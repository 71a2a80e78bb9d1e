"""Steps per second of the spectral trainers as their PyTorch systems do them.

    python peer_spectral.py --case alignment|mae [--batched] [--threads 2] [--seconds 10]

alignment: two post-norm towers (depth 2, width 64, 4 heads, feed-forward 2048, dropout 0.1) over 8 pairs of
256 and 285 tokens with 19 features. Each spectrum is encoded in a call of its own, as that system does;
`--batched` encodes a side at once, as it could have. InfoNCE with a learned temperature, clipping at 1, AdamW.

mae: 64 samples of 256 tokens of width 256; an encoder of 6 layers with 8 heads, and a decoder of 3 layers with
cross-attention; feed-forward 2048, dropout 0.1. The encoder gets all tokens, the masked ones as padding.

The data is made once, outside of what is timed. Prints one line of JSON: steps per second, peak memory.
"""

import argparse

import torch
import torch.nn.functional as F
from torch import nn

from timing import report

BATCH, LAB, SENSOR, FEATURES = 8, 256, 285, 19
SAMPLES, TOKENS, WIDTH = 64, 256, 256


class Tower(nn.Module):
    def __init__(self, width=64, depth=2, heads=4):
        super().__init__()
        self.embed = nn.Linear(FEATURES, width)
        layer = nn.TransformerEncoderLayer(width, heads, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens, is_valid):
        h = self.encoder(self.embed(tokens), src_key_padding_mask=~is_valid)
        share = is_valid / is_valid.sum(dim=1, keepdim=True)
        return self.norm((h * share.unsqueeze(-1)).sum(dim=1))


def alignment(batched):
    towers = nn.ModuleList([Tower(), Tower()])
    log_tau = nn.Parameter(torch.tensor(0.07).log())
    parameters = [*towers.parameters(), log_tau]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.0)
    sides = [torch.randn(BATCH, n, FEATURES) for n in (LAB, SENSOR)]

    def embedded(tower, tokens):
        is_valid = torch.ones(tokens.shape[:2], dtype=torch.bool)
        if batched:
            return tower(tokens, is_valid)
        return torch.cat([tower(tokens[i : i + 1], is_valid[i : i + 1]) for i in range(BATCH)])

    def step():
        optimizer.zero_grad(set_to_none=True)
        z = [F.normalize(embedded(tower, tokens), dim=-1) for tower, tokens in zip(towers, sides)]
        logits = z[0] @ z[1].T / log_tau.exp()
        own = torch.arange(BATCH)
        loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return loss.item()

    return step


def mae():
    layer = nn.TransformerEncoderLayer(WIDTH, 8, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 6)
    positions = nn.Embedding(2 * WIDTH, WIDTH)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(WIDTH, 8, batch_first=True), 3)
    head = nn.Linear(WIDTH, WIDTH)
    modules = nn.ModuleList([encoder, positions, decoder, head])
    optimizer = torch.optim.AdamW(modules.parameters(), lr=3e-4)
    tokens = torch.randn(SAMPLES, TOKENS, WIDTH)

    def masked(n, ratio):
        mask = torch.ones(n, dtype=torch.bool)
        mask[torch.randperm(n)[: max(1, int(n * ratio))]] = False
        return mask

    def step():
        spatial, spectral = masked(TOKENS, 0.75), masked(WIDTH, 0.5)
        optimizer.zero_grad(set_to_none=True)
        padding = (~spatial).expand(SAMPLES, TOKENS)
        h = encoder(tokens + positions.weight[:TOKENS], src_key_padding_mask=padding)
        y = head(decoder(h, h))
        kept = (spatial[:, None] & spectral[None, :]).float().expand_as(tokens)
        loss = ((y - tokens) ** 2 * kept).sum() / kept.sum().clamp(min=1)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", choices=["alignment", "mae"], required=True)
    parser.add_argument("--batched", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    torch.manual_seed(42)
    torch.set_num_threads(args.threads)
    step = alignment(args.batched) if args.case == "alignment" else mae()
    # A step of the autoencoder takes some twenty seconds.
    report(step, 1, "steps", args.seconds, least=1 if args.case == "mae" else 3)


if __name__ == "__main__":
    main()
