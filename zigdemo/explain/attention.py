"""Attention of a picture's tokens to the words, the label or the time: recorded while it is drawn, then summed up."""

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
    """softmax(q k^T scale) v, and the softmax itself that was multiplied; arguments as torch's own attention has them.

    q, k, v: (batch, heads, length, width). Returns (batch, heads, queries, width) and (batch, heads, queries, keys).
    """
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    probabilities = scores.softmax(-1)
    return probabilities.to(v.dtype) @ v, probabilities


def attends(config: Any) -> bool:
    """Whether a network of this config has attention to its condition that can be recorded."""
    return family_of(config)[1].reads_words(config) is not None


class Recorder(FirstCalls):
    """Records the probabilities with which the tokens of one picture attend to the tokens of its condition.

    Give it to `Pipeline.stream` as `record`; afterwards `maps` has what was seen, one network call a step. The blocks
    multiply the very probabilities that are kept, and so the picture is the same up to rounding.
    item: which picture of the request. most_bytes: bound of what is kept, in float32 on the CPU; where all steps do not
    fit, every k-th is kept, with the least k that fits, and ValueError says so where not even one fits. While a layer
    is computed its probabilities for the whole network call exist once more, for an in-context DiT those between all
    tokens. Raises ValueError for a network without attention to a condition.
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
        read_by = family_of(config)[1].reads_words(config)
        in_context = read_by != "words"  # the words are tokens among the patches
        patches = math.prod(config.token_grid)

        def look(layer: int, role: str, operator: Any, args: tuple, kwargs: dict) -> Tensor:
            if role != read_by:
                return operator(*args, **kwargs)
            output, probabilities = attend(*args, **kwargs)
            own = probabilities[place]
            if in_context:
                before = own.shape[-1] - patches
                own = own[:, before:, :before]
            layers.append(own.float().cpu())
            return output

        with Watch(config, look):
            output = call(x, t, cond)
        self._keep(torch.stack(layers), float(t[place]))
        return output

    def _keep(self, seen: Tensor, time: float) -> None:
        """Keep a step, (layers, heads, patches, tokens); the first decides how many fit."""
        if not self._kept:
            fitting = self.most_bytes // seen.nbytes
            if fitting == 0:
                raise ValueError(
                    f"one step of attention maps takes {seen.nbytes:,} bytes and most_bytes allows "
                    f"{self.most_bytes:,}; allow more"
                )
            self._every = -(-self.request.steps // fitting)
        self._kept[self.index], self._times[self.index] = seen, time

    @property
    def maps(self) -> AttentionMaps:
        """What was recorded so far. Raises ValueError before the first step."""
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


def _chosen(name: str, wanted: Collection[int] | None, count: int) -> list[int]:
    """The wanted indices, all for None; ValueError for one that does not exist or for none at all."""
    indices = list(range(count)) if wanted is None else sorted(set(wanted))
    if not indices or indices[0] < 0 or indices[-1] >= count:
        raise ValueError(f"{name} must be some of 0 to {count - 1}, not {list(wanted or ())[:20]}")
    return indices


def kept_places(kept: Sequence[int], steps: Collection[int] | None) -> list[int]:
    """Places in `kept`, rising steps of a solver, of the wanted steps, all for None; of the last one before them where
    none of these was kept. Raises ValueError for a step below 0 or for none at all.
    """
    places = list(range(len(kept)))
    if steps is None:
        return places
    asked = set(_chosen("steps", steps, max(kept[-1], *steps, 0) + 1))
    found = [i for i in places if kept[i] in asked]
    return found or [max((i for i in places if kept[i] <= min(asked)), default=0)]


@dataclass(frozen=True)
class AttentionMaps:
    """Recorded probabilities, float32 (steps kept, layers, heads, patches, tokens of the condition).

    Over the last axis they sum to 1, except where a DiT attends to its patches beside them ("in-context"). steps: of
    the solver, those that were kept; times: what the network was told as time there; grid: (rows, columns) of the
    patches, of clips (frames, rows, columns); leading: what stands in front of the words.
    """

    probabilities: Tensor
    steps: tuple[int, ...]
    times: tuple[float, ...]
    grid: tuple[int, ...]
    leading: tuple[str, ...] = ()

    def tokens(self, words: Words) -> list[tuple[str, tuple[int, ...]]]:
        """Every token of the condition under a name: what leads, the words, and what is left as "other tokens".

        words: each with the indices of its tokens in the text features, a label as [("label", [0])].
        """
        first, count = len(self.leading), self.probabilities.shape[-1]
        named = [(name, (i,)) for i, name in enumerate(self.leading)]
        named += [(word, tuple(first + i for i in indices)) for word, indices in words]
        left = sorted(set(range(count)) - {i for _, indices in named for i in indices})
        return named + ([("other tokens", tuple(left))] if left else [])

    def map(
        self,
        tokens: Collection[int],
        layers: Collection[int] | None = None,
        steps: Collection[int] | None = None,
        heads: Collection[int] | None = None,
    ) -> Tensor:
        """Shaped as the grid: the sum over `tokens`, the mean over layers, steps and heads, all of them where None.

        steps: of the solver; where none of these was kept, the last one before them stands for them. Raises ValueError
        for an index that does not exist.
        """
        shape = self.probabilities.shape
        part = self.probabilities[kept_places(self.steps, steps)]
        part = part[:, _chosen("layers", layers, shape[1])][:, :, _chosen("heads", heads, shape[2])]
        return part[..., _chosen("tokens", tokens, shape[4])].sum(-1).mean((0, 1, 2)).unflatten(0, self.grid)

    def save_npz(self, path: str | Path, words: Words = ()) -> Path:
        """Write everything as arrays: probabilities, steps, times, grid, and the name of every token."""
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
        self, picture: Image.Image | Sequence[Image.Image], words: Words, side: int = 160, **chosen: Any
    ) -> Image.Image:
        """The map of every word over the picture, or over each frame of a clip, side by side under its name.

        Each is coloured from its own least value to its largest, of all frames, which are written beside the name.
        chosen: as in `map`.
        """
        frames, tiles = [picture] if isinstance(picture, Image.Image) else picture, []
        for name, indices in self.tokens(words):
            values = self.map(indices, **chosen).numpy().reshape(len(frames), *self.grid[-2:])
            low, peak = float(values.min()), float(values.max())
            for number, (frame, own) in enumerate(zip(frames, values, strict=True), 1):
                caption = f"{name} {low:.2f} to {peak:.2f}" if number == 1 else f"frame {number}"
                tiles.append((caption, overlay(frame, own, side, low=low, peak=peak)))
        return sheet(tiles)
