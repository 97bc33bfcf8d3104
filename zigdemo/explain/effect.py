"""The effect of each word of a prompt: the network's prediction compared with the one without the word."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from .attention import recorded_positions
from .heat import overlay, sheet
from .watch import FirstCalls

if TYPE_CHECKING:
    from ..pipeline import Network, Request

MOST_TOGETHER = 8  # words per network call, to limit memory
Words = Sequence[tuple[str, Sequence[int]]]  # each word with the indices of its tokens


class EffectRecorder(FirstCalls):
    """Evaluates the network without each word at the states of one picture during sampling, without changing it.

    A word is removed by setting its features to zero, as a strength of 0 in a request does. Pass the recorder to
    `Pipeline.stream` as `record`; afterwards `maps` has the result. It costs one more network evaluation per word, at
    up to `most_steps` evenly spaced steps. Words are removed one at a time, so their effects do not add up. Raises
    ValueError without words, and in `begin` for a network without text.
    """

    def __init__(self, words: Words, item: int = 0, most_steps: int = 8) -> None:
        super().__init__(item)
        if not words:
            raise ValueError("words must name at least one word of the prompt")
        self.words = tuple((word, tuple(indices)) for word, indices in words)
        self.most_steps = most_steps

    def begin(self, network: nn.Module, request: Request) -> None:
        super().begin(network, request)
        if not getattr(network.config, "text_width", 0):
            raise ValueError("this model takes no prompt; choose a text model")
        self._every = -(-request.steps // self.most_steps)
        self._kept: dict[int, Tensor] = {}

    def look(self, call: Network, place: int, x: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
        output = call(x, t, cond)
        if self.index % self._every:
            return output
        config, item, changes = self.network.config, slice(place, place + 1), []
        for first in range(0, len(self.words), MOST_TOGETHER):
            chunk = self.words[first : first + MOST_TOGETHER]
            without = cond[item].repeat(len(chunk), 1, 1)
            for row, (_, tokens) in enumerate(chunk):
                without[row, list(tokens)] = 0
            repeated = x[item].expand(len(chunk), *x.shape[1:])
            changes.append(output[item] - call(repeated, t[item].expand(len(chunk)), without))
        # Channels beyond those of the input are the learned variance.
        patch, changed = config.patch, torch.cat(changes).narrow(-3, 0, config.in_channels).abs().mean(-3)
        patches = changed.unflatten(-2, (-1, patch)).unflatten(-1, (-1, patch)).mean((-3, -1))
        self._kept[self.index] = patches.float().cpu()
        return output

    @property
    def maps(self) -> EffectMaps:
        """The maps recorded so far. Raises ValueError before the first step."""
        if not getattr(self, "_kept", None):
            raise ValueError("nothing was recorded yet; draw a picture with this recorder first")
        return EffectMaps(torch.stack(list(self._kept.values())), tuple(self._kept), self.words)


@dataclass(frozen=True)
class EffectMaps:
    """Mean absolute change of the prediction per patch, (recorded steps, words, rows, columns), for clips
    (recorded steps, words, frames, rows, columns). steps: recorded steps of the solver. words: each with the indices of
    its tokens.
    """

    values: Tensor
    steps: tuple[int, ...]
    words: tuple[tuple[str, tuple[int, ...]], ...]

    def map(self, words: Collection[int], steps: Collection[int] | None = None, beside_others: bool = True) -> Tensor:
        """The total effect of the words with these indices, averaged over steps: (rows, columns).

        steps: of the solver, None for all, see `recorded_positions`. beside_others: weight the change in a patch by the
        square of the word's share in it among all recorded words (1 for an even share); without it every word
        highlights the patches that change easily. Raises ValueError for a word or step that does not exist.
        """
        indices = sorted(set(words))
        if not indices or indices[0] < 0 or indices[-1] >= len(self.words):
            raise ValueError(f"words must be some of 0 to {len(self.words) - 1}, not {list(words)[:20]}")
        changes = self.values[recorded_positions(self.steps, steps)]
        if beside_others:
            changes = changes * _share(changes) ** 2
        return changes[:, indices].sum(1).mean(0)

    def save_npz(self, path: str | Path) -> Path:
        """Write values, steps and words as arrays."""
        path = Path(path)
        words = np.array([word for word, _ in self.words])
        np.savez_compressed(path, values=self.values.numpy(), steps=np.array(self.steps), words=words)
        return path

    def word_sheet(self, frames: Sequence[Image.Image], side: int = 160, **selection: Any) -> Image.Image:
        """The map of every word over the picture, captioned and side by side, on a common scale from 0.

        frames: one picture, or the frames of a clip, of which the middle one is shown. selection: arguments of `map`.
        """
        picture = frames[len(frames) // 2]
        maps = [self.map([place], **selection).numpy() for place in range(len(self.words))]
        maps = [word_map.reshape(-1, *word_map.shape[-2:])[len(frames) // 2] for word_map in maps]
        peak = max(float(word_map.max()) for word_map in maps)
        tiles = [
            (word, overlay(picture, word_map, side, peak=peak))
            for (word, _), word_map in zip(self.words, maps, strict=True)
        ]
        return sheet(tiles)


def _share(changes: Tensor) -> Tensor:
    """Each word's share in the change of a patch, 1 if even, from changes (steps, words, rows, columns).

    Words are first normalised by their mean, so that a strong word does not dominate all patches.
    """
    relative = changes / changes.mean(tuple(range(2, changes.ndim)), keepdim=True).clamp_min(1e-12)
    return relative * changes.shape[1] / relative.sum(1, keepdim=True).clamp_min(1e-12)
