"""Table of what the published sizes cost: `python -m zigdemo.explain [--side 32] > docs/costs.md`."""

from __future__ import annotations

import argparse

from ..backbones.presets import PRESETS, preset
from .complexity import Cost, cost

CHANNELS, LABELS, SIDE = 4, 1000, 32
# Gflops (multiply-adds) of ImageNet models of 256 pixels, 32 x 32 latents: arXiv 2212.09748, tables 2 and 4.
PUBLISHED_GFLOPS = {
    ("dit", "S/8"): 0.36,
    ("dit", "S/4"): 1.41,
    ("dit", "S/2"): 6.06,
    ("dit", "B/2"): 23.01,
    ("dit", "L/2"): 80.71,
    ("dit", "XL/8"): 7.39,
    ("dit", "XL/4"): 29.05,
    ("dit", "XL/2"): 118.64,
}
HEAD = f"""# What the published sizes cost

By the formulas of `zigdemo.explain.cost`, which tests hold within 2 % of counted runs. Networks of {CHANNELS} latent
channels and {LABELS:,} labels with a learned variance where the family has one (not ZigMa). Multiply-adds of one
forward pass of one picture (papers call them flops); memory is what a training step keeps for the backward pass, in
fp32, without weights and optimiser. ZigMa has patch 2 where the name says none. Made by `python -m zigdemo.explain`.
"""


def rows(side: int) -> list[list[str]]:
    """One row a size: name, weights, multiply-adds, kept memory, the paper's multiply-adds where it gives them."""
    found = []
    for family, (_, sizes) in PRESETS.items():
        for name in sizes:
            given = {} if family == "zigma" else {"learn_sigma": True}
            patch = {} if "/" in name else {"patch": 2}
            config = preset(family, name, in_channels=CHANNELS, size=(side, side), labels=LABELS, **given, **patch)
            total = Cost.total(cost(config).values())
            paper = PUBLISHED_GFLOPS.get((family, name)) if side == SIDE else None
            macs, kept = total.macs / 1e9, total.activation_bytes / 2**20
            theirs = "" if paper is None else f"{paper:.2f}"
            found.append([f"{family} {name}", f"{total.weights / 1e6:.1f}", f"{macs:.2f}", theirs, f"{kept:,.0f}"])
    return found


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=SIDE, help="of the latents, a multiple of 8")
    side = parser.parse_args().side
    if side < 8 or side % 8:
        parser.error(f"side must be a multiple of 8, not {side}")
    print(HEAD)
    print(f"Latents of {side} x {side}.\n")
    print("| | M weights | G multiply-adds | the paper's | MiB kept in training |\n|---|---|---|---|---|")
    for row in rows(side):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
