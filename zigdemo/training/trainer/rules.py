"""Where a run starts from, and the small rules of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...zoo import read_folder
from .lora import grow_labels

MOST_SHORT_TOKENS = 256  # of a picture, for `short_attention`


def split(count: int, held_out: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to keep away, both in order; the latter are the same whatever the seed of the run."""
    if held_out >= count:
        raise ValueError(f"held_out {held_out} leaves nothing of {count} images to train on; lower it")
    apart = np.sort(np.random.default_rng(0).permutation(count)[:held_out])
    return np.setdiff1d(np.arange(count), apart), apart


def rows_by_share(rows: np.ndarray, groups: list[str], shares: dict[str, float]) -> np.ndarray:
    """The rows, repeated so that those of a group make up its share of them; groups without one share the rest.

    Raises ValueError for a group that has no row.
    """
    if not shares:
        return rows
    kinds = np.array([groups[row] if groups[row] in shares else "" for row in rows])
    wanted = {**shares, "": 1 - sum(shares.values())}
    counts = {kind: int((kinds == kind).sum()) for kind in wanted}
    for kind, share in wanted.items():
        if share > 0 and not counts[kind]:
            raise ValueError(f"shares gives {share:.0%} to group {kind or 'of all others'!r}, which has no image")
    density = {kind: share / counts[kind] for kind, share in wanted.items() if share > 0}
    repeats = {kind: round(value / min(density.values())) for kind, value in density.items()}
    return np.concatenate([np.tile(rows[kinds == kind], count) for kind, count in repeats.items()])


def min_snr_weight(t: Tensor, gamma: float) -> Tensor:
    """What the velocity loss is multiplied by, to be min(SNR, gamma) times the error of the clean image.

    On the linear path SNR = (t / (1 - t))^2 and the velocity's error is the clean image's over 1 - t.
    Source: Hang et al. 2023 (arXiv 2303.09556), section 3.4.
    """
    return torch.minimum(t**2, gamma * (1 - t) ** 2)


def out_of_memory(fault: Exception) -> bool:
    """Whether a fault says that the memory of the device, or of the machine, is used up."""
    return isinstance(fault, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(fault)


def short_attention(device: torch.device, tokens: int) -> AbstractContextManager[None]:
    """In it attention is computed by plain products where these are faster: on a CPU, for few tokens.

    Backwards, torch's fused attention takes 17 ms there where products of 64 tokens take 2.
    """
    if device.type != "cpu" or tokens > MOST_SHORT_TOKENS:
        return nullcontext()
    return sdpa_kernel(SDPBackend.MATH)


def precision(wanted: str) -> str:
    """Accelerate's name of a precision; "auto" is bf16 where the device multiplies it in hardware."""
    if wanted == "auto":
        if torch.cuda.is_available():
            wanted = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        else:
            has_units = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
            wanted = "bf16" if has_units() else "fp32"
    return {"fp32": "no"}.get(wanted, wanted)


def ramp(step: int, steps: int, warmup: int, cooldown: int) -> float:
    """Share of the learning rate at a step: linear up over `warmup`, linear down over the last `cooldown` steps."""
    up = min(1.0, (step + 1) / max(1, warmup))
    down = min(1.0, (steps - step) / max(1, cooldown))
    return up * down


def start_from(model: nn.Module, label_names: list[str], folder: str | Path) -> int:
    """Load the weights of a folder; label rows go where the names say, new names as in `grow_labels`.

    Returns the number of images those weights have seen.
    """
    weights = read_folder(folder)
    state = grow_labels(weights.state(), list(weights.labels or []), label_names)
    wanted = model.state_dict()
    for key, value in state.items():
        if key not in wanted or wanted[key].shape != value.shape:
            raise ValueError(f"{folder} does not fit the recipe's model: {key} has shape {tuple(value.shape)}")
    model.load_state_dict(state)
    return int(weights.about.get("images_seen", 0))


def take_what_fits(model: nn.Module, folder: str | Path, blocks: Sequence[int | None] | None = None) -> int:
    """Load those tensors of a weights folder whose names and shapes the model has; the others stay as drawn.

    blocks: for each block of the model the number of the folder's block that it starts from, or None; all by their own
    numbers where it is not given. Returns the number of images those weights have seen. Raises ValueError where nothing
    fits.
    """
    weights = read_folder(folder)
    wanted, given = model.state_dict(), weights.state()
    if blocks is not None:
        kept = {key: value for key, value in given.items() if not key.startswith("blocks.")}
        for mine, theirs in enumerate(blocks):
            start = f"blocks.{theirs}."
            kept |= {f"blocks.{mine}.{k.removeprefix(start)}": v for k, v in given.items() if k.startswith(start)}
        given = kept
    state = {k: v for k, v in given.items() if k in wanted and v.shape == wanted[k].shape}
    if not state:
        raise ValueError(f"no tensor of {folder} fits the recipe's model; leave start_from out")
    model.load_state_dict(state, strict=False)
    return int(weights.about.get("images_seen", 0))
