"""Tensors of a safetensors file, read a part at a time, as what is mapped of a file counts as memory of the program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

MAPPED_BYTES = 2**27  # at a time


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file, opened. Raises ValueError if it is missing or no complete safetensors file."""
    try:
        with safe_open(path, "pt") as file:
            yield file
    except FileNotFoundError:
        raise ValueError(f"{path.parent} has no {path.name}; copy the weights file there again") from None
    except (SafetensorError, OSError) as fault:
        raise ValueError(f"{path} is damaged or not a safetensors file ({fault}); copy or download it again") from None


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor, without reading any. Errors as in `opened`."""
    with opened(path) as file:
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}


def tensor_copies(path: Path, device: str | torch.device) -> Iterator[tuple[str, Tensor]]:
    """Every tensor with its name, as float32 on a device; a copy, as the file may be overwritten while the page runs.

    Raises ValueError for NaN and infinity, and as in `opened`.
    """
    with opened(path) as file:
        names = list(file.keys())
    while names:
        with opened(path) as file:
            mapped = 0
            while names and mapped < MAPPED_BYTES:
                name = names.pop(0)
                stored = file.get_tensor(name)
                mapped += stored.nbytes
                copy = stored.to(device, torch.float32, copy=True)
                del stored
                if copy.numel() and not all(bool(end.isfinite()) for end in torch.aminmax(copy)):
                    raise ValueError(f"{name} in {path} holds NaN or infinity; the weights are damaged")
                yield name, copy
