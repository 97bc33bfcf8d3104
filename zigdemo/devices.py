"""Device and precision of a network, chosen automatically or by name."""

from __future__ import annotations

import os

import psutil
import torch
from torch import nn

from .checks import choice, shown

DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Whether the GPU is lent call by call to another process, as on a ZeroGPU Space: this one, which torch shows it to,
# computes on the CPU.
LENT_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def choose_device(name: str | torch.device | None = None) -> torch.device:
    """The device of a name, as in DEVICES or "cuda:1"; None and "auto" choose CUDA if available, else the CPU.

    Apple's GPU is used only by name, as the scans have no kernels for it. Raises ValueError for an unknown or
    unavailable device.
    """
    has_cuda = torch.cuda.is_available()
    if name is None or name == "auto":
        return torch.device("cuda" if has_cuda and not LENT_GPU else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in DEVICES:
        raise ValueError(f"unknown device {shown(name)}; choose one of {', '.join(DEVICES)}")
    if device.type == "cuda" and (device.index or 0) >= (torch.cuda.device_count() if has_cuda else 0):
        raise ValueError(f"device {str(device)!r} is not here: torch sees no such GPU; choose 'cpu' or 'auto'")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device 'mps' is not here: torch sees no Apple GPU; choose 'cpu' or 'auto'")
    return device


def memory_bytes(device: torch.device) -> int:
    """All the memory of a device, of the machine where it has none of its own."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return psutil.virtual_memory().total


def choose_dtype(name: str | None, device: torch.device) -> str:
    """The precision of a name of DTYPES; None and "auto" choose bf16 on a CUDA GPU that supports it, else fp32.

    Raises ValueError for a precision that is unknown or not supported by the device.
    """
    has_bf16 = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    if name is None or name == "auto":
        return "bf16" if device.type == "cuda" and has_bf16 else "fp32"
    choice("dtype", name, ("auto", *DTYPES))
    if name == "fp16" and device.type == "cpu":
        raise ValueError("dtype 'fp16' needs a GPU; on the CPU choose 'fp32', or 'bf16' where it is fast")
    if name == "bf16" and not has_bf16:
        raise ValueError(f"dtype 'bf16' is not in the hardware of {device}; choose 'fp16' or 'fp32'")
    return name


def lower_blocks(network: nn.Module, device: torch.device, dtype: str) -> nn.Module:
    """Run the matrix products in the blocks of a network in half precision, and store their weights in it.

    Inputs and outputs, embeddings of time and condition, the residual stream, norms, the parameters of recurrences and
    the final layer stay in float32. With fp32 the network is unchanged.
    """
    if dtype == "fp32":
        return network
    half = DTYPES[dtype]
    for block in network.blocks:
        for module in block.modules():
            if isinstance(module, nn.Linear):  # once, as autocast would round them in every call
                module.weight = nn.Parameter(module.weight.to(half), requires_grad=False)
        block.forward = torch.autocast(device.type, half)(block.forward)
    return network
