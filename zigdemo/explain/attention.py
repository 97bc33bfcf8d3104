"""Attention of image tokens to words, label or time, recorded during sampling and then averaged."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..backbones import family_of
from .heat import overlay, sheet
from .watch import FirstCalls, Watch

if TYPE_CHECKING:
    from ..pipeline import Network, Request

Words = Sequence[tuple[str, Sequence[int]]]  # each word with the indices of its tokens


def attend(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """softmax(q k^T scale) v and the softmax itself; arguments as in torch's attention.

    q, k, v: (batch, heads, length, width). Returns (batch, heads, queries, width) and (batch, heads, queries, keys).
    """
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    probabilities = scores.softmax(-1)
    return probabilities.to(v.dtype) @ v, probabilities


def attends(config: Any) -> bool:
    """Whether a network of this config has attention to its condition."""
    return family_of(config)[1].reads_words(config) is not None


class Recorder(FirstCalls):
    """Records the attention probabilities from the tokens of one picture to the tokens of its condition.

    Pass it to `Pipeline.stream` as `record`; afterwards `maps` has the result of one network call per step. The blocks
    use the recorded probabilities themselves, so the picture is the same up to rounding.
    item: index of the picture in the request. most_bytes: memory limit in float32 on the CPU; if not all steps fit,
    every k-th one is kept, with the smallest k that fits. During a layer its probabilities for the whole network call
    exist as well, for an in-context DiT between all tokens. `begin` raises ValueError for a network without attention
    to its condition, recording if not even one step fits.
    """

    def __init__(self, item: int = 0, most_bytes: int = 2**28) -> None:
        super().__init__(item)
        self.most_bytes = most_bytes

    def begin(self, network: nn.Module, request: Request) -> None:
        super().begin(network, request)
        if not attends(network.config):
            raise ValueError("this model has no attention to words or labels; choose a text model with cross-attention")
        self._every, self._kept, self._times = 1, {}, {}

    def look(self, call: Network, place: int, x: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
        if self.index % self._every:
            return call(x, t, cond)
        config, layers = self.network.config, []
        words_role = family_of(config)[1].reads_words(config)
        in_context = words_role != "words"  # the words are tokens among the patches
        patches = math.prod(config.token_grid)

        def look(layer: int, role: str, operator: Any, args: tuple, kwargs: dict) -> Tensor:
            if role != words_role:
                return operator(*args, **kwargs)
            output, probabilities = attend(*args, **kwargs)
            item = probabilities[place]
            if in_context:
                before = item.shape[-1] - patches
                item = item[:, before:, :before]
            layers.append(item.float().cpu())
            return output

        with Watch(config, look):
            output = call(x, t, cond)
        self._keep(torch.stack(layers), float(t[place]))
        return output

    def _keep(self, probabilities: Tensor, time: float) -> None:
        """Store the probabilities of a step, (layers, heads, patches, tokens); the first decides how many fit."""
        if not self._kept:
            fitting = self.most_bytes // probabilities.nbytes
            if fitting == 0:
                raise ValueError(
                    f"one step of attention maps takes {probabilities.nbytes:,} bytes and most_bytes allows "
                    f"{self.most_bytes:,}; allow more"
                )
            self._every = -(-self.request.steps // fitting)
        self._kept[self.index], self._times[self.index] = probabilities, time

    @property
    def maps(self) -> AttentionMaps:
        """The maps recorded so far. Raises ValueError before the first step."""
        if not getattr(self, "_kept", None):
            raise ValueError("nothing was recorded yet; draw a picture with this recorder first")
        config = self.network.config
        return AttentionMaps(
            torch.stack(list(self._kept.values())),
            tuple(self._kept),
            tuple(self._times.values()),
            config.token_grid,
            family_of(config)[1].before_words,
        )


def _checked_indices(name: str, selection: Collection[int] | None, count: int) -> list[int]:
    """Sorted indices, all for None. Raises ValueError for indices that do not exist and for an empty selection."""
    indices = list(range(count)) if selection is None else sorted(set(selection))
    if not indices or indices[0] < 0 or indices[-1] >= count:
        raise ValueError(f"{name} must be some of 0 to {count - 1}, not {list(selection or ())[:20]}")
    return indices


def recorded_positions(recorded: Sequence[int], steps: Collection[int] | None) -> list[int]:
    """Positions of `steps` in `recorded`, rising steps of a solver; all for None.

    If none of them was recorded, the last recorded step before them. Raises ValueError for negative or no steps.
    """
    positions = list(range(len(recorded)))
    if steps is None:
        return positions
    requested = set(_checked_indices("steps", steps, max(recorded[-1], *steps, 0) + 1))
    matches = [i for i in positions if recorded[i] in requested]
    return matches or [max((i for i in positions if recorded[i] <= min(requested)), default=0)]


@dataclass(frozen=True)
class AttentionMaps:
    """Recorded probabilities, float32 (recorded steps, layers, heads, patches, tokens of the condition).

    They sum to 1 over the last axis, except for in-context DiTs, which also attend to patches. steps: recorded steps of
    the solver; times: t of the network calls; grid: (rows, columns) of patches, for clips (frames, rows, columns);
    leading: names of the tokens in front of the words.
    """

    probabilities: Tensor
    steps: tuple[int, ...]
    times: tuple[float, ...]
    grid: tuple[int, ...]
    leading: tuple[str, ...] = ()

    def tokens(self, words: Words) -> list[tuple[str, tuple[int, ...]]]:
        """All tokens of the condition by name: leading tokens, words, and the rest as "other tokens".

        words: each with the indices of its tokens in the text features; a label is [("label", [0])].
        """
        first, count = len(self.leading), self.probabilities.shape[-1]
        tokens = [(name, (i,)) for i, name in enumerate(self.leading)]
        tokens += [(word, tuple(first + i for i in indices)) for word, indices in words]
        rest = sorted(set(range(count)) - {i for _, indices in tokens for i in indices})
        return tokens + ([("other tokens", tuple(rest))] if rest else [])

    def map(
        self,
        tokens: Collection[int],
        layers: Collection[int] | None = None,
        steps: Collection[int] | None = None,
        heads: Collection[int] | None = None,
    ) -> Tensor:
        """A map on the grid: the sum over `tokens`, averaged over layers, steps and heads (None for all).

        steps: of the solver, see `recorded_positions`. Raises ValueError for an index that does not exist.
        """
        shape = self.probabilities.shape
        part = self.probabilities[recorded_positions(self.steps, steps)]
        part = part[:, _checked_indices("layers", layers, shape[1])][:, :, _checked_indices("heads", heads, shape[2])]
        return part[..., _checked_indices("tokens", tokens, shape[4])].sum(-1).mean((0, 1, 2)).unflatten(0, self.grid)

    def save_npz(self, path: str | Path, words: Words = ()) -> Path:
        """Write probabilities, steps, times, grid and token names as arrays."""
        names = np.full(self.probabilities.shape[-1], "", dtype=object)
        for name, indices in self.tokens(words):
            names[list(indices)] = name
        path = Path(path)
        np.savez_compressed(
            path,
            probabilities=self.probabilities.numpy(),
            steps=np.array(self.steps),
            times=np.array(self.times),
            grid=np.array(self.grid),
            tokens=names.astype(str),
        )
        return path

    def word_sheet(
        self, picture: Image.Image | Sequence[Image.Image], words: Words, side: int = 160, **selection: Any
    ) -> Image.Image:
        """The map of every word over the picture or each frame of a clip, captioned and side by side.

        Colours span the range of each word over all frames, which its caption gives. selection: arguments of `map`.
        """
        frames, tiles = [picture] if isinstance(picture, Image.Image) else picture, []
        for name, indices in self.tokens(words):
            values = self.map(indices, **selection).numpy().reshape(len(frames), *self.grid[-2:])
            low, peak = float(values.min()), float(values.max())
            for number, (frame, frame_values) in enumerate(zip(frames, values, strict=True), 1):
                caption = f"{name} {low:.2f} to {peak:.2f}" if number == 1 else f"frame {number}"
                tiles.append((caption, overlay(frame, frame_values, side, low=low, peak=peak)))
        return sheet(tiles)
