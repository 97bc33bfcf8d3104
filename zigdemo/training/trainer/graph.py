"""The forward and backward pass of a training step as one CUDA graph: a step of a small network is mostly launches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

WARM_UPS = 3  # calls before the capture, in which kernels are compiled and libraries make their plans


def graph_fault(
    device: torch.device, *, processes: int, parts: int, drop_path: float, scales: bool, checkpointing: bool
) -> str | None:
    """Why the steps of a run cannot be one graph, or None if they can.

    processes: of the run. parts: of a batch. scales: whether the loss is scaled, as fp16 needs.
    """
    if device.type != "cuda":
        return f"it runs on {device.type}"
    if processes > 1:
        return "several processes exchange their gradients"
    if parts > 1:
        return "a batch comes in parts (accumulate)"
    if scales:
        return "fp16 scales the loss as it goes; bf16 does not"
    if checkpointing or drop_path:
        return "checkpointing and drop path need the state of the random generator in every step"
    return None


class StepGraph:
    """Captured once; a call copies a batch in, replays, and leaves the gradients in the weights' `grad`.

    gradients: computes the loss of a batch and adds the gradients; it must not wait for the device. weights: all that
    get gradients; these tensors stay the same from call to call, so they must not be set to None. batch: the first one,
    for the shapes.
    """

    def __init__(
        self, gradients: Callable[..., Tensor], weights: Sequence[nn.Parameter], batch: Sequence[Tensor]
    ) -> None:
        self._batch = [value.clone() for value in batch]
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                gradients(*self._batch)
        torch.cuda.current_stream().wait_stream(aside)
        for weight in weights:
            weight.grad = None  # so that the captured backward pass writes them instead of adding
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._loss = gradients(*self._batch)

    def __call__(self, batch: Sequence[Tensor]) -> Tensor:
        """The loss of a batch, a scalar; the gradients are new."""
        for place, value in zip(self._batch, batch, strict=True):
            place.copy_(value)
        self._graph.replay()
        return self._loss.clone()
