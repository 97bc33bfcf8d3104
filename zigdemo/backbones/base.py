"""The contract of a backbone: the fields of every config, and what the rest of the program knows about a family.

A backbone is a module with a config, a network and a cost formula, and one entry in `families.FAMILIES`. Its network is
called as network(x, t, cond, scheme=None). x: (batch, channels, H, W), for clips (batch, frames, channels, H, W). t:
(batch,) in [0, 1], from noise to data. cond: labels (batch,) int64, text features (batch, words, text_width), or None.
A network has `config`, `blocks`, `checkpointing` (recompute blocks in the backward pass) and `orders(scheme=None)`, the
scan order of every layer, empty if it has no scan. Either a block reorders the tokens before its operators,
or they get raster order and the orders themselves; then the network has `scans(scheme=None)` too, all orders of every
layer. In clips, DiT and DiG mix within frames in even blocks, and along time in odd ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from ..checks import number
from .checks import check_sizes, checked_size


@dataclass(frozen=True)
class BackboneConfig:
    """The fields all backbones share; each adds its own and sets its defaults.

    size: (H, W) of the input, pixels or latents, multiples of patch. frames: of a clip, 0 for pictures. labels: number
    of classes, 0 for none. null_label: for guidance, one more row in the label table; with text, training on empty
    prompts. label_dropout: share of the labels or captions that training drops. text_width: width of the text features,
    0 for none. refine: hidden channels of two 3x3 convolutions that smooth the seams between patches, 0 for none.
    """

    in_channels: int = 3
    size: tuple[int, int] = (64, 64)
    frames: int = 0
    patch: int = 8
    width: int = 384
    depth: int = 12
    labels: int = 0
    null_label: bool = True
    label_dropout: float = 0.1
    text_width: int = 0
    refine: int = 0

    scheme: ClassVar[Any] = None  # of the scans, if it can be chosen
    operator: ClassVar[str | None] = None  # of zigdemo.ops, which mixes the tokens

    def __post_init__(self) -> None:
        check_sizes(self, ("in_channels", "patch", "width", "depth"), least=1)
        check_sizes(self, ("frames", "labels", "text_width", "refine"), least=0)
        object.__setattr__(self, "size", checked_size(self.size, self.patch))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens in a frame."""
        return self.size[0] // self.patch, self.size[1] // self.patch

    @property
    def token_grid(self) -> tuple[int, ...]:
        """(rows, columns) of tokens, for clips (frames, rows, columns)."""
        return (self.frames, *self.grid) if self.frames else self.grid

    @property
    def out_channels(self) -> int:
        """Channels of the output."""
        return self.in_channels

    @property
    def patch_outputs(self) -> int:
        """Numbers that the final layer makes for a patch."""
        return self.patch**2 * self.in_channels

    @property
    def mixing(self) -> str:
        """How tokens are mixed, in a few words for a model card."""
        raise NotImplementedError

    @property
    def parameters(self) -> int:
        """Number of weights, counted without allocating any."""
        raise NotImplementedError


@dataclass(frozen=True)
class VarianceConfig(BackboneConfig):
    """The fields of backbones that may also predict the variance of a DDPM step, as DiT does.

    learn_sigma: the final layer has twice the channels, the second half for the variance; drop_sigma: that half is
    computed but not returned, as in SiT. time_scale: factor of t before its sine features.
    """

    learn_sigma: bool = False
    drop_sigma: bool = False
    time_scale: float = 1000.0

    def __post_init__(self) -> None:
        super().__post_init__()
        number("time_scale", self.time_scale, above=0, most=1e6)
        if self.drop_sigma and not self.learn_sigma:
            raise ValueError("drop_sigma drops what learn_sigma adds; set learn_sigma too")
        if self.refine and self.out_channels != self.in_channels:
            raise ValueError("refine mends a picture and cannot mend a variance; leave refine or learn_sigma out")

    @property
    def out_channels(self) -> int:
        """Channels of the output."""
        return self.in_channels * (2 if self.learn_sigma and not self.drop_sigma else 1)

    @property
    def patch_outputs(self) -> int:
        """Numbers that the final layer makes for a patch."""
        return super().patch_outputs * (2 if self.learn_sigma else 1)


@dataclass(frozen=True)
class Cost:
    """weights: number of them; macs: multiply-adds per forward pass; activation_bytes: kept for the backward pass."""

    weights: int
    macs: int
    activation_bytes: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.weights + other.weights, self.macs + other.macs, self.activation_bytes + other.activation_bytes
        )

    @classmethod
    def total(cls, costs: Iterable[Cost]) -> Cost:
        """The sum of costs; for a whole network Cost.total(cost(config).values())."""
        return sum(costs, cls(0, 0, 0))


@dataclass(frozen=True)
class Family:
    """What the program knows about a backbone: how to build it, what its operators do and what it costs.

    roles: config -> what the operators of a block do, in the order of their calls: "scan", "linear attention",
    "convolution", "self-attention", or "words" for attention to the condition. cost: (config, batch, words) -> cost of
    every layer. sizes: published sizes by name, each a few config fields. mixer: (title, sentence) about the mixing
    matrix. in_order: whether a patch sees only the patches before it in the scan. reads_words: config -> the role
    through which patches attend to the condition, or None. before_words: tokens in front of the words there.
    """

    config: type[BackboneConfig]
    network: type[nn.Module]
    roles: Callable[[Any], tuple[str, ...]]
    cost: Callable[[Any, int, int], dict[str, Cost]]
    sizes: dict[str, dict[str, int]]
    mixer: tuple[str, str]
    in_order: bool = False
    reads_words: Callable[[Any], str | None] = lambda config: None
    before_words: tuple[str, ...] = ()
