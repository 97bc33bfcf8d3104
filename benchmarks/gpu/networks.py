"""Whole networks on a GPU: seconds of a forward pass against the number of tokens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import torch
from torch import nn

from zigdemo.backbones import FAMILIES, build
from zigdemo.backbones.presets import preset
from zigdemo.devices import lower_blocks

from .kernels import seconds

SIDES = (32, 64, 128)  # tokens along one side: 1,024, 4,096 and 16,384
LABELS, CHANNELS, PATCH = 1000, 4, 2


def networks(side: int, device: torch.device, dry: bool) -> Iterator[tuple[str, nn.Module]]:
    """The largest published size of every family, one after the other, in bf16 where there is a GPU."""
    for family, entry in FAMILIES.items():
        names = list(entry.sizes)
        name = names[0] if dry else next((one for one in ("XL/2", "L/2", "L") if one in names), names[-1])
        given = {"in_channels": CHANNELS, "size": (PATCH * side, PATCH * side), "labels": LABELS}
        config = preset(family, name, **({**given, "depth": 1, "width": 96, "patch": PATCH} if dry else given))
        with torch.device(device):
            network = build(config).eval().requires_grad_(False)
        network = network.to(device)  # tables that come from NumPy
        yield f"{family} {name}", lower_blocks(network, device, "fp32" if dry else "bf16")
        del network


def table(device: torch.device, dry: bool) -> Iterator[dict]:
    """Seconds and peak memory of a forward pass, by network and number of tokens, row by row."""
    for side in (4,) if dry else SIDES:
        for name, network in networks(side, device, dry):
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            size = network.config.size
            x = torch.randn(1, CHANNELS, *size, device=device)
            t, y = torch.full((1,), 0.5, device=device), torch.zeros(1, dtype=torch.int64, device=device)
            row: dict = {"network": name, "tokens": side * side}
            row["weights"] = sum(one.numel() for one in network.parameters())
            try:
                with torch.inference_mode():
                    started = time.perf_counter()
                    network(x, t, y)
                    row["first"] = time.perf_counter() - started
                    row["seconds"] = seconds(partial(network, x, t, y), device, 1 if dry else 5)
            except torch.OutOfMemoryError:
                row["seconds"] = None
            if device.type == "cuda":
                row["peak_bytes"] = torch.cuda.max_memory_allocated()
            print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
            del network  # before the next is built, whose peak would count it
            yield row
