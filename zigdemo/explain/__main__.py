"""Table of the cost of the published sizes: `python -m zigdemo.explain [--side 32] > docs/costs.md`."""

from __future__ import annotations

import argparse

from ..backbones import FAMILIES, Cost
from ..backbones.presets import preset
from .complexity import cost

CHANNELS, LABELS, SIDE = 4, 1000, 32
# Millions of weights and Gflops (multiply-adds) for ImageNet at 256 pixels, 32 x 32 latents: arXiv 2212.09748, table 4.
PUBLISHED = {
    ("dit", "S/2"): (33, 6.06),
    ("dit", "S/4"): (33, 1.41),
    ("dit", "S/8"): (33, 0.36),
    ("dit", "B/2"): (130, 23.01),
    ("dit", "B/4"): (130, 5.56),
    ("dit", "B/8"): (131, 1.42),
    ("dit", "L/2"): (458, 80.71),
    ("dit", "L/4"): (458, 19.70),
    ("dit", "L/8"): (459, 5.01),
    ("dit", "XL/2"): (675, 118.64),
    ("dit", "XL/4"): (675, 29.05),
    ("dit", "XL/8"): (676, 7.39),
}
HEAD = f"""# What the published sizes cost

By the formulas of `zigdemo.explain.cost`, which tests hold within 2 % of counted runs. Networks of {CHANNELS} latent
channels and {LABELS:,} labels with a learned variance where the family has one (not ZigMa). Multiply-adds of one
forward pass of one picture (papers call them flops); memory is what a training step keeps for the backward pass, in
fp32, without weights and optimiser. ZigMa has patch 2 where the name says none. Made by `python -m zigdemo.explain`.
"""


def rows(side: int) -> list[list[str]]:
    """One row per size: name, weights and multiply-adds, each with the paper's value, and activation memory."""
    table = []
    for family, entry in FAMILIES.items():
        for name in entry.sizes:
            variance = {"learn_sigma": True} if hasattr(entry.config, "learn_sigma") else {}
            patch = {} if "/" in name else {"patch": 2}
            config = preset(family, name, in_channels=CHANNELS, size=(side, side), labels=LABELS, **variance, **patch)
            total = Cost.total(cost(config).values())
            paper = PUBLISHED.get((family, name)) if side == SIDE else None
            paper_cells = ("", "") if paper is None else (f"{paper[0]}", f"{paper[1]:.2f}")
            macs, memory = f"{total.macs / 1e9:.2f}", f"{total.activation_bytes / 2**20:,.0f}"
            table.append(
                [f"{family} {name}", f"{total.weights / 1e6:.1f}", paper_cells[0], macs, paper_cells[1], memory]
            )
    return table


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=SIDE, help="of the latents, a multiple of 8")
    side = parser.parse_args().side
    if side < 8 or side % 8:
        parser.error(f"side must be a multiple of 8, not {side}")
    print(HEAD)
    print(f"Latents of {side} x {side}.\n")
    print("| | M weights | the paper's | G multiply-adds | the paper's | MiB kept |\n|---|---|---|---|---|---|")
    for row in rows(side):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
