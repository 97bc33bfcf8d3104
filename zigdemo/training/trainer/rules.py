"""Starting weights of a run, and small functions of its steps: splits, schedules, loss weights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...backbones import BackboneConfig
from ...data import ClipSet, ImageSet
from ...data.latents import LatentSet
from ...latents import Latents
from ...zoo import read_folder
from .lora import grow_labels
from .recipe import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator

MOST_SHORT_TOKENS = 256  # per image, for `short_attention`


def split(count: int, held_out: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and held-out rows, both sorted; the latter do not depend on the seed of the run.

    Raises ValueError if nothing is left to train on.
    """
    if held_out >= count:
        raise ValueError(f"held_out {held_out} leaves nothing of {count} images to train on; lower it")
    held_out_rows = np.sort(np.random.default_rng(0).permutation(count)[:held_out])
    return np.setdiff1d(np.arange(count), held_out_rows), held_out_rows


def check_sizes(recipe: Recipe, data: ImageSet | ClipSet | LatentSet, config: BackboneConfig, space: Latents) -> None:
    """Raises ValueError for data that do not have the size of the network, or latents of another autoencoder."""
    factor = 1 if isinstance(data, LatentSet) else space.factor
    if config.size != (data.size // factor,) * 2 or data.size % factor:
        expected = tuple(side * factor for side in config.size)
        raise ValueError(
            f"{recipe.data} has size {data.size} and the model expects {expected}; prepare it with "
            f"--size {expected[0]} or change model.size"
        )
    if config.in_channels != space.channels:
        raise ValueError(f"model.in_channels must be {space.channels}, as {space.name} has; or leave it out")
    if isinstance(data, LatentSet) and data.sha256 != space.sha256:
        raise ValueError(f"the latents in {recipe.data} were made by other weights of {space.name}; prepare them again")


def check_batch(recipe: Recipe, accelerator: Accelerator) -> None:
    """Raises ValueError for a batch that the processes cannot split, and for Muon on sharded weights."""
    processes = accelerator.num_processes
    parts = processes * recipe.accumulate
    if recipe.batch % parts:
        raise ValueError(
            f"batch {recipe.batch} cannot be split over {processes} processes and {recipe.accumulate} accumulation "
            f"steps; use a multiple of {parts}"
        )
    if recipe.muon_lr and accelerator.distributed_type.value == "FSDP":
        raise ValueError("muon_lr needs whole matrices, which FSDP shards; leave muon_lr out")


def rows_by_share(rows: np.ndarray, groups: list[str], shares: dict[str, float]) -> np.ndarray:
    """The rows, repeated so that each group has its share of them; groups without a share split the rest.

    Raises ValueError for a group without rows.
    """
    if not shares:
        return rows
    kinds = np.array([groups[row] if groups[row] in shares else "" for row in rows])
    all_shares = {**shares, "": 1 - sum(shares.values())}
    counts = {kind: int((kinds == kind).sum()) for kind in all_shares}
    for kind, share in all_shares.items():
        if share > 0 and not counts[kind]:
            raise ValueError(f"shares gives {share:.0%} to group {kind or 'of all others'!r}, which has no images")
    density = {kind: share / counts[kind] for kind, share in all_shares.items() if share > 0}
    repeats = {kind: round(value / min(density.values())) for kind, value in density.items()}
    return np.concatenate([np.tile(rows[kinds == kind], count) for kind, count in repeats.items()])


def min_snr_weight(t: Tensor, gamma: float) -> Tensor:
    """Factor that turns the velocity loss into min(SNR, gamma) times the squared error of the clean image.

    On the linear path SNR = (t / (1 - t))^2, and the velocity's error is that of the clean image divided by 1 - t.
    Source: Hang et al. 2023 (arXiv 2303.09556), section 3.4.
    """
    return torch.minimum(t**2, gamma * (1 - t) ** 2)


def out_of_memory(fault: Exception) -> bool:
    """Whether an exception means that the memory of the device or of the machine is exhausted."""
    return isinstance(fault, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(fault)


def short_attention(device: torch.device, tokens: int) -> AbstractContextManager[None]:
    """A context in which attention uses plain matrix products where these are faster: on a CPU, for few tokens.

    For 64 tokens the backward pass of torch's fused attention takes 17 ms there, that of plain products 2 ms.
    """
    if device.type != "cpu" or tokens > MOST_SHORT_TOKENS:
        return nullcontext()
    return sdpa_kernel(SDPBackend.MATH)


def precision(name: str) -> str:
    """Accelerate's name of a precision; "auto" is bf16 where the device supports it in hardware."""
    if name == "auto":
        if torch.cuda.is_available():
            name = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        else:
            has_units = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
            name = "bf16" if has_units() else "fp32"
    return {"fp32": "no"}.get(name, name)


def ramp(step: int, steps: int, warmup: int, cooldown: int) -> float:
    """Factor of the learning rate at a step: linear rise over `warmup`, linear fall over the last `cooldown` steps."""
    up = min(1.0, (step + 1) / max(1, warmup))
    down = min(1.0, (steps - step) / max(1, cooldown))
    return up * down


def start_from(model: nn.Module, label_names: list[str], folder: str | Path) -> int:
    """Load the weights of a folder; label rows are matched by name, new names start as in `grow_labels`.

    Returns the number of images those weights were trained on. Raises ValueError if they do not fit the model.
    """
    weights = read_folder(folder)
    state = grow_labels(weights.state(), list(weights.labels or []), label_names)
    target = model.state_dict()
    for key, value in state.items():
        if key not in target or target[key].shape != value.shape:
            raise ValueError(f"{folder} does not fit the recipe's model: {key} has shape {tuple(value.shape)}")
    model.load_state_dict(state)
    return int(weights.about.get("images_seen", 0))


def take_what_fits(model: nn.Module, folder: str | Path, blocks: Sequence[int | None] | None = None) -> int:
    """Load the tensors of a weights folder whose names and shapes match the model; the others keep their random init.

    blocks: for each block of the model the index of the folder's block to start from, or None; by default the same
    index. Returns the number of images those weights were trained on. Raises ValueError if nothing fits.
    """
    weights = read_folder(folder)
    target, source = model.state_dict(), weights.state()
    if blocks is not None:
        mapped = {key: value for key, value in source.items() if not key.startswith("blocks.")}
        for block, source_block in enumerate(blocks):
            prefix = f"blocks.{source_block}."
            mapped |= {
                f"blocks.{block}.{key.removeprefix(prefix)}": value
                for key, value in source.items()
                if key.startswith(prefix)
            }
        source = mapped
    state = {key: value for key, value in source.items() if key in target and value.shape == target[key].shape}
    if not state:
        raise ValueError(f"no tensor of {folder} fits the recipe's model; leave start_from out")
    model.load_state_dict(state, strict=False)
    return int(weights.about.get("images_seen", 0))
