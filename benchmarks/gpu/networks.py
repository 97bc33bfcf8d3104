"""Whole networks on a GPU: seconds of a forward pass against the number of tokens, and where a training step goes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity
from torch.profiler import profile as torch_profile

from zigdemo.backbones import FAMILIES, build
from zigdemo.backbones.presets import preset
from zigdemo.devices import lower_blocks
from zigdemo.zoo import WEIGHTS, read_folder

from .kernels import seconds

SIDES = (32, 64, 128)  # tokens along one side: 1,024, 4,096 and 16,384
LABELS, CHANNELS, PATCH = 1000, 4, 2
BATCH, STEPS = 512, 10
MOST_KERNELS = 12  # told of a profile


def networks(side: int, device: torch.device, dry: bool) -> Iterator[tuple[str, nn.Module]]:
    """The largest published size of every family, one after the other, in bf16 where there is a GPU."""
    for family, entry in FAMILIES.items():
        names = list(entry.sizes)
        name = names[0] if dry else next((one for one in ("XL/2", "L/2", "L") if one in names), names[-1])
        given = {"in_channels": CHANNELS, "size": (PATCH * side, PATCH * side), "labels": LABELS}
        config = preset(family, name, **({**given, "depth": 1, "width": 96, "patch": PATCH} if dry else given))
        with torch.device(device):
            network = build(config).eval().requires_grad_(False)
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
                    row["seconds"] = seconds(lambda n=network, a=(x, t, y): n(*a), device, 1 if dry else 5)
            except torch.OutOfMemoryError:
                row["seconds"] = None
            if device.type == "cuda":
                row["peak_bytes"] = torch.cuda.max_memory_allocated()
            print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
            yield row


def profile(device: torch.device, dry: bool) -> dict:
    """How busy the GPU is in training steps of zigma-portraits' network, and with which kernels, in seconds a step."""
    network = build(read_folder(WEIGHTS / "zigma-portraits").model).to(device).train()
    batch = 2 if dry else BATCH
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=device.type == "cuda")
    config = network.config
    x = torch.randn(batch, config.in_channels, *config.size, device=device)
    t, text = torch.rand(batch, device=device), torch.randn(batch, 48, config.text_width, device=device)

    def step() -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = (network(x, t, text) - x).square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return loss

    for _ in range(1 if dry else 5):
        step()
    count = 1 if dry else STEPS
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    whole = seconds(step, device, count)
    with torch_profile(activities=kinds) as found:
        for _ in range(count):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize()
    name = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    events = [event for event in found.key_averages() if device.type != "cuda" or _is_kernel(event)]
    events.sort(key=lambda event: -getattr(event, name))
    busy = sum(getattr(event, name) for event in events) / count / 1e6
    print(f"a step takes {1e3 * whole:.1f} ms, of which kernels {1e3 * busy:.1f} ms", flush=True)
    return {
        "batch": batch, "step_seconds": whole, "kernel_seconds": busy, "busy": busy / whole,
        "kernels": {event.key[:80]: getattr(event, name) / count / 1e6 for event in events[:MOST_KERNELS]},
    }  # fmt: skip


def _is_kernel(event: object) -> bool:
    """Whether an event of a profile is of the GPU itself: operators of the CPU are given the same seconds again."""
    return getattr(event, "device_type", None) == DeviceType.CUDA and not getattr(event, "is_user_annotation", False)
