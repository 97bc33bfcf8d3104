"""What each word of a prompt changes in the picture: the network's prediction against the one without the word."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from .attention import kept_places
from .heat import overlay, sheet
from .watch import FirstCalls

if TYPE_CHECKING:
    from ..pipeline import Network, Request

MOST_TOGETHER = 8  # words a network call, which bounds its memory
Words = Sequence[tuple[str, Sequence[int]]]  # each word with the indices of its tokens


class EffectRecorder(FirstCalls):
    """Asks the network again without each word, at the states of one picture as it is drawn, which does not change it.

    A word is taken out by features of zero, as a strength of 0 in a request does it. Give it to `Pipeline.stream` as
    `record`; afterwards `maps` has what was seen. One more item of a network call for each word, at `most_steps` steps
    evenly spread. Each word is left out alone, so that effects do not add up to a whole. Raises ValueError for no
    words, and for a network that is not conditioned on text.
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
            raise ValueError("this model is not drawn by words; choose one that is drawn by a prompt")
        self._every = -(-request.steps // self.most_steps)
        self._kept: dict[int, Tensor] = {}

    def look(self, call: Network, place: int, x: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
        output = call(x, t, cond)
        if self.index % self._every:
            return output
        config, own, changes = self.network.config, slice(place, place + 1), []
        for first in range(0, len(self.words), MOST_TOGETHER):
            some = self.words[first : first + MOST_TOGETHER]
            without = cond[own].repeat(len(some), 1, 1)
            for row, (_, tokens) in enumerate(some):
                without[row, list(tokens)] = 0
            repeated = x[own].expand(len(some), *x.shape[1:])
            changes.append(output[own] - call(repeated, t[own].expand(len(some)), without))
        # Channels beyond those of the input are a learned variance.
        patch, changed = config.patch, torch.cat(changes).narrow(-3, 0, config.in_channels).abs().mean(-3)
        patches = changed.unflatten(-2, (-1, patch)).unflatten(-1, (-1, patch)).mean((-3, -1))
        self._kept[self.index] = patches.float().cpu()
        return output

    @property
    def maps(self) -> EffectMaps:
        """What was recorded so far. Raises ValueError before the first step."""
        if not getattr(self, "_kept", None):
            raise ValueError("nothing was recorded yet; draw a picture with this recorder first")
        return EffectMaps(torch.stack(list(self._kept.values())), tuple(self._kept), self.words)


@dataclass(frozen=True)
class EffectMaps:
    """Mean absolute change of the network's prediction in each patch, (steps kept, words, rows, columns), of clips with
    frames before the rows. steps: of the solver, those that were kept. words: each with the indices of its tokens.
    """

    values: Tensor
    steps: tuple[int, ...]
    words: tuple[tuple[str, tuple[int, ...]], ...]

    def map(self, words: Collection[int], steps: Collection[int] | None = None, beside_others: bool = True) -> Tensor:
        """(rows, columns): what each of the words, by their places, changes, summed up, and the mean over the steps.

        steps: of the solver, None for all. beside_others: weigh the change in a patch by the square of the word's
        share in it among all recorded words (1 for an even share); without, every word shows where the picture is
        easily changed at all.
        Where none of the steps was kept, the last one before them stands for them. Raises ValueError for a word or step
        that does not exist.
        """
        chosen = sorted(set(words))
        if not chosen or chosen[0] < 0 or chosen[-1] >= len(self.words):
            raise ValueError(f"words must be some of 0 to {len(self.words) - 1}, not {list(words)[:20]}")
        changes = self.values[kept_places(self.steps, steps)]
        if beside_others:
            changes = changes * _share(changes) ** 2
        return changes[:, chosen].sum(1).mean(0)

    def save_npz(self, path: str | Path) -> Path:
        """Write everything as arrays: values, steps and the words."""
        path = Path(path)
        words = np.array([word for word, _ in self.words])
        np.savez_compressed(path, values=self.values.numpy(), steps=np.array(self.steps), words=words)
        return path

    def word_sheet(self, frames: Sequence[Image.Image], side: int = 160, **chosen: Any) -> Image.Image:
        """The map of every word over the picture, side by side under its name, all on one scale from nothing.

        frames: the picture alone, or those of a clip, of which the middle one is shown.
        """
        picture = frames[len(frames) // 2]
        maps = [self.map([place], **chosen).numpy() for place in range(len(self.words))]
        maps = [one.reshape(-1, *one.shape[-2:])[len(frames) // 2] for one in maps]
        peak = max(float(one.max()) for one in maps)
        tiles = [
            (word, overlay(picture, one, side, peak=peak)) for (word, _), one in zip(self.words, maps, strict=True)
        ]
        return sheet(tiles)


def _share(changes: Tensor) -> Tensor:
    """Each word's share in a patch, 1 where it is even, of changes (steps, words, rows, columns).

    Each word is measured by its own mean first, so that a strong word does not take the patches of all others.
    """
    relative = changes / changes.mean(tuple(range(2, changes.ndim)), keepdim=True).clamp_min(1e-12)
    return relative * changes.shape[1] / relative.sum(1, keepdim=True).clamp_min(1e-12)
