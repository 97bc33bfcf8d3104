"""Quality of the parts of the portrait models: `python -m benchmarks.parts --portraits portraits_masks.zip`

The autoencoder: PSNR of reconstructed portraits that no model was trained on, and the share of their attributes that
the judge reads from them, compared with the originals. The text tower: how often a held-out prompt is nearest to the
caption of its own portrait, among as many portraits, by the mean of its features; chance is one in as many.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from zigdemo import zoo
from zigdemo.conditioning import TextSpec, TextTower
from zigdemo.data import KINDS, draw_attributes, held_out_caption, portrait_caption, visible
from zigdemo.data.portrait_files import PortraitZip
from zigdemo.evaluation.judge import load_judge
from zigdemo.latents import Autoencoder, folder_spec
from zigdemo.ops.heap import keep_freed_memory

RESULT = Path(__file__).parent / "results/parts.json"
TEXTS = 500


def decoded(space: Autoencoder, pictures: np.ndarray) -> np.ndarray:
    """Pictures (n, H, W, 3) uint8, encoded and decoded."""
    pixels = torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2) / 127.5 - 1
    return np.concatenate([space.to_bytes(space.decode(space.encode(one))).numpy() for one in pixels.split(1)])


def psnr(real: np.ndarray, made: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, averaged over the pictures."""
    errors = ((real.astype(np.float64) - made) ** 2).mean((1, 2, 3))
    return float(np.mean([10 * math.log10(255**2 / max(error, 1e-9)) for error in errors]))


def tower_retrieval(tower: TextTower, count: int = TEXTS, seed: int = 0) -> float:
    """Share of held-out prompts whose nearest caption is that of their portrait."""
    rng = np.random.default_rng(seed)
    drawn = [{k: v for k, v in draw_attributes(rng).items() if k in KINDS} for _ in range(count)]
    asked = [{kind: one[kind] for kind in list(one)[:6]} for one in drawn]
    prompts = [held_out_caption(one, rng) for one in asked]
    full = [portrait_caption(one, np.random.default_rng(1)) for one in asked]
    means = [F.normalize(torch.stack([tower.features(text)[0].mean(0) for text in part]), dim=-1) for part in
             (prompts, full)]  # fmt: skip
    middle = torch.cat(means).mean(0)
    a, b = (F.normalize(part - middle, dim=-1) for part in means)
    return float(((a @ b.T).argmax(1) == torch.arange(count)).float().mean())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portraits", type=Path, required=True, help="a zip of portraits that were never trained on")
    parser.add_argument("--autoencoder", default="pictures-f8")
    parser.add_argument("--tower", default="portraits-text")
    parser.add_argument("--out", type=Path, default=RESULT)
    chosen = parser.parse_args(arguments)
    keep_freed_memory()
    portraits = PortraitZip(chosen.portraits)
    real = np.stack(list(portraits.pictures()))
    asked = [visible(one) for one in portraits.attributes]
    judge, places = load_judge(), (zoo.WEIGHTS,)
    made = decoded(folder_spec(chosen.autoencoder, places).load(places=places), real)
    result = {
        "autoencoder": chosen.autoencoder,
        "portraits": len(real),
        "psnr": round(psnr(real, made), 2),
        "judged": round(judge.obedience(made, asked).share, 4),
        "judged_real": round(judge.obedience(real, asked).share, 4),
        "tower": chosen.tower,
        "texts": TEXTS,
        "retrieval": round(tower_retrieval(TextSpec(chosen.tower).load(places=places)), 4),
    }
    print(json.dumps(result, indent=1))
    chosen.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
