"""The contract of a backbone: what every config says, and what the rest of the program is told of a family.

A backbone is a module with a config, a network and a cost formula, and one entry in `families.FAMILIES`. Its network is
called as network(x, t, cond, scheme=None): x (batch, channels, H, W), of clips (batch, frames, channels, H, W); t
(batch,) in [0, 1], 0 noise and 1 data; cond labels (batch,) int64, text features (batch, words, text_width), or None.
It has `config`, `checkpointing` (compute blocks again in the backward pass), `blocks`, and `orders(scheme=None)`, the
path of every layer, empty where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from .checks import check_sizes, checked_size


@dataclass(frozen=True)
class BackboneConfig:
    """What the configs of all backbones share; each adds its own and sets its defaults.

    size: (H, W) of the input, pixels or latents, each a multiple of patch. frames: of a clip, 0 for pictures. labels:
    number of classes, 0 for none. null_label: for guidance, one more row in the label table, or with text, trained with
    empty prompts in between. label_dropout: share of labels or captions that training replaces by none. text_width:
    width of the text features, 0 for none. refine: channels of a two-layer 3x3 convolution that mends the seams between
    patches; 0 for none.
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

    scheme: ClassVar[Any] = None  # of the scans, where one can be chosen
    operator: ClassVar[str | None] = None  # of zigdemo.ops, which does the mixing

    def __post_init__(self) -> None:
        check_sizes(self, ("in_channels", "patch", "width", "depth"), least=1)
        check_sizes(self, ("frames", "labels", "text_width", "refine"), least=0)
        object.__setattr__(self, "size", checked_size(self.size, self.patch))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens, in each frame."""
        return self.size[0] // self.patch, self.size[1] // self.patch

    @property
    def token_grid(self) -> tuple[int, ...]:
        """Rows and columns of tokens, for clips with the frames in front."""
        return (self.frames, *self.grid) if self.frames else self.grid

    @property
    def out_channels(self) -> int:
        """Channels of what the network returns."""
        raise NotImplementedError

    @property
    def mixing(self) -> str:
        """How the tokens meet, in a few words for a model card."""
        raise NotImplementedError

    @property
    def parameters(self) -> int:
        """Number of weights, counted without allocating any."""
        raise NotImplementedError


@dataclass(frozen=True)
class Cost:
    """weights: how many; macs: multiply-adds of a forward pass; activation_bytes: kept for the backward pass."""

    weights: int
    macs: int
    activation_bytes: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.weights + other.weights, self.macs + other.macs, self.activation_bytes + other.activation_bytes
        )

    @classmethod
    def total(cls, costs: Iterable[Cost]) -> Cost:
        """The sum, such as a whole network's: Cost.total(cost(config).values())."""
        return sum(costs, cls(0, 0, 0))


@dataclass(frozen=True)
class Family:
    """What the program is told of a backbone: how to build it, what its operators do, what it costs, how it is called.

    roles: of a config, what the operators of one block do, in the order it calls them: "scan", "linear attention",
    "convolution", "self-attention", or "words" for attention to the condition. cost: (config, batch, words) -> the cost
    of every layer. sizes: the published ones by name, each some of the config's fields. mixer: (title, sentence) of how
    its tokens mix, seen as a matrix. in_order: whether a patch sees only those before it on a path. reads_words: of a
    config, the role through which patches attend to the condition, None where they do not. before_words: what stands in
    front of the words there.
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
