"""Which patches influence a patch: by gradients, by the matrices of the mixing operators, and by scan order."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..backbones import family_of
from ..backbones.official.zigma import TimeMirrored
from ..checks import whole
from ..scans import ScanOrder, receptive_mask
from .mixing import Mixing, mixing_of
from .watch import FirstCalls, Watch, own_copy

if TYPE_CHECKING:
    from ..pipeline import Network, Request

MOST_PRODUCTS = 2**31  # limit of `composed` on the terms of all matrices of a network: a few seconds
AT_ONCE = 16  # backward passes per batch, which bounds the memory


@dataclass(frozen=True, eq=False)
class NetworkCall:
    """Arguments of a network call: x (1, channels, H, W), for a clip (1, frames, channels, H, W), t (1,), cond (1, ...)
    or None, and the scan scheme.
    """

    x: Tensor
    t: Tensor
    cond: Tensor | None = None
    scheme: str | None = None


class CallRecorder(FirstCalls):
    """A `pipeline.Record` that stores the network call of each step for one picture in `calls`."""

    def begin(self, network: nn.Module, request: Request) -> None:
        super().begin(network, request)
        self.calls: list[NetworkCall] = []

    def look(self, call: Network, place: int, x: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
        arguments = (own_copy(value, place) for value in (x, t, cond))
        self.calls.append(NetworkCall(*arguments, self.request.scan))
        return call(x, t, cond)


def _cell(network: nn.Module, token: int) -> tuple[int, int, int]:
    """Frame (0 in a picture), row and column of a patch. Raises ValueError if it does not exist."""
    grid = network.config.token_grid
    most = math.prod(grid) - 1
    whole("token, a patch in raster order,", token, 0, most)
    frame, place = divmod(token, math.prod(grid[-2:]))
    return frame, *divmod(place, grid[-1])


def _repeated(value: Tensor | None, count: int) -> Tensor | None:
    """One item copied to a batch of `count`."""
    return None if value is None else value.detach().repeat(count, *[1] * (value.ndim - 1))


def gradient_influence(
    network: nn.Module, network_call: NetworkCall, token: int, probes: int | None = 16, seed: int = 0
) -> Tensor:
    """How strongly the output at a patch depends on each input patch: (rows, columns), for clips with frames in front.

    This is the Frobenius norm of the Jacobian between output patch and input patch. token: raster index of the output
    patch. probes: number of random sign vectors for an estimate whose square is unbiased with a relative error of at
    most sqrt(2 / probes), one backward pass each, AT_ONCE per batch; None computes every row of the Jacobian exactly.
    A learned variance is ignored. Raises ValueError for a patch that does not exist. Source: Hutchinson 1990.
    """
    frame, row, column = _cell(network, token)
    patch, channels = network.config.patch, network.config.in_channels
    numbers = channels * patch**2
    if probes is None:
        vectors = torch.eye(numbers)
    else:
        vectors = 2.0 * torch.randint(2, (probes, numbers), generator=torch.Generator().manual_seed(seed)) - 1
    squares = torch.zeros_like(network_call.x)
    for chunk in vectors.to(network_call.x).split(AT_ONCE):
        with torch.inference_mode(False), torch.enable_grad():
            x, t, cond = (_repeated(value, len(chunk)) for value in (network_call.x, network_call.t, network_call.cond))
            output = network(x.requires_grad_(), t, cond, scheme=network_call.scheme)
            patch_output = output if output.ndim == 4 else output[:, frame]
            patch_output = patch_output[
                :, :channels, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch
            ]
            squares += torch.autograd.grad(patch_output.flatten(1), x, chunk)[0].pow(2).sum(0)
    by_patch = squares[0].sum(-3).unflatten(-1, (-1, patch)).unflatten(-3, (-1, patch)).sum((-3, -1))
    return (by_patch / (1 if probes is None else probes)).sqrt()


@torch.no_grad()
def mixings(network: nn.Module, network_call: NetworkCall) -> list[Mixing]:
    """The operators that mix tokens, in order of their calls, as exact matrices; see `Mixing`.

    One per block, or per scan of a block, without attention to words. Raises ValueError for a published ZigMa of clips,
    whose layers over time mirror their outputs, and for a backbone without such an operator.
    """
    _refuse_mirrored(network)
    layouts = _token_layouts(network, network_call.scheme)
    patches = math.prod(network.config.token_grid)
    matrices: list[Mixing] = []

    def look(layer: int, role: str, operator: Any, args: tuple, kwargs: dict) -> Tensor:
        if role != "words":
            matrices.append(mixing_of(operator, layer, patches, layouts[layer], args, kwargs))
        return operator(*args, **kwargs)

    with Watch(network.config, look):
        network(network_call.x, network_call.t, network_call.cond, scheme=network_call.scheme)
    if not matrices:
        raise ValueError(
            f"{family_of(network.config)[0]} has no operator that mixes patches as a matrix, so its layers cannot be "
            "shown; choose a model of another backbone"
        )
    return matrices


def _by_layer(matrices: list[Mixing]) -> list[list[Mixing]]:
    """The matrices of each layer, which has several if its block has several scans."""
    layers: dict[int, list[Mixing]] = {}
    for mixing in matrices:
        layers.setdefault(mixing.layer, []).append(mixing)
    return list(layers.values())


def implicit_attention(matrices: list[Mixing], tokens: list[int]) -> Tensor:
    """How strongly each layer mixes every token into the given ones: (layers, given tokens, length), as in `Mixing`.

    This is the mean over all lanes of the absolute weights in the operators' matrices. tokens: raster indices. The
    short convolution before ZigMa's scan is not included.
    Source: Ali et al. 2024 (arXiv 2403.01590), section 3, for the scan as a matrix.
    """
    layers = [torch.stack([mixing.strength(tokens) for mixing in layer]).mean(0) for layer in _by_layer(matrices)]
    return torch.stack(layers)


def composed(matrices: list[Mixing]) -> Tensor:
    """Implicit attention composed from the first layer up: (layers, n, n), row i of layer l for token i after it.

    n: patches, then tokens of the condition. The rows of each layer are normalised to sum 1, averaged with the identity
    for the residual stream, and multiplied with the layers below. Raises ValueError if the matrices of all layers have
    more than MOST_PRODUCTS terms.
    Source: Abnar & Zuidema 2020 (arXiv 2005.00928), attention rollout.
    """
    terms = sum(mixing.terms for mixing in matrices)
    if terms > MOST_PRODUCTS:
        raise ValueError(
            f"composing these layers takes {terms:.1e} products, more than {MOST_PRODUCTS:.1e}; look at single layers "
            "or at a smaller picture"
        )
    size = matrices[0].length
    below, steps = torch.eye(size), []
    for layer in implicit_attention(matrices, list(range(size))):
        weights = layer.float().cpu() / layer.float().cpu().sum(1, keepdim=True).clamp_min(1e-30)
        below = (below + weights @ below) / 2
        steps.append(below)
    return torch.stack(steps)


@dataclass(frozen=True)
class _Layers:
    """The scan orders of a network's layers, with the interface of a scheme."""

    paths: list[tuple[ScanOrder, ...]]

    def scans(self, layer: int, grid: Any) -> tuple[ScanOrder, ...]:
        """The orders of a layer, whatever the grid."""
        return self.paths[layer]


def _token_layouts(network: nn.Module, scheme: str | None) -> list[ScanOrder | None]:
    """Order of the patches in the input of each block's operator, None for raster order, also if it gets orders itself.

    It has runs if frames, or locations over time, form a batch. Raises ValueError for an unsupported scheme.
    """
    config, none = network.config, [None] * network.config.depth
    if hasattr(network, "scans"):
        return none
    orders = network.orders(scheme)
    if not config.frames:
        return orders or none
    places = math.prod(config.grid)
    paths, in_order = [order.perm for order in orders] or [np.arange(places)] * config.depth, _in_order(network)
    return [_of_clip(path, i, config.frames, in_order) for i, path in enumerate(paths)]


def _in_order(network: nn.Module) -> bool:
    """Whether a patch is influenced only by those before it in the order, as in linear attention."""
    return family_of(network.config)[1].in_order


def _of_clip(path: NDArray[np.int64], block: int, frames: int, alternating: bool) -> ScanOrder:
    """In even blocks every frame along a path, in odd blocks every location over time.

    alternating: every second odd block runs backward in time.
    """
    first = np.arange(frames)[:: -1 if alternating and block % 4 == 3 else 1] * len(path)
    if block % 2:
        return ScanOrder((path[:, None] + first).ravel(), len(path))
    return ScanOrder((first[:, None] + path).ravel(), frames)


def _paths(network: nn.Module, scheme: str | None) -> list[tuple[ScanOrder, ...]]:
    """The orders in which patches influence each other in each layer; empty if all influence all in every layer."""
    if hasattr(network, "scans"):
        return network.scans(scheme)
    paths = [(order,) for order in _token_layouts(network, scheme) if order is not None]
    if _in_order(network):
        return paths
    # Attention works in both directions, as if each order were also read backwards.
    return [(order, ScanOrder(order.perm[::-1], order.runs)) for (order,) in paths]


def _refuse_mirrored(network: nn.Module) -> None:
    """Raises ValueError for a network whose layers over time mirror their outputs, as the published ZigMa of clips."""
    if any(isinstance(getattr(block, "mixer", None), TimeMirrored) for block in network.blocks):
        raise ValueError(
            "the layers over time of this published model put their outputs back mirrored, so the influence on a patch "
            "cannot be shown; choose one of our own models"
        )


def order_field(network: nn.Module, token: int, scheme: str | None = None) -> NDArray[np.bool_]:
    """Which patches can influence a patch after each layer, by scan order alone: (layers, rows, columns).

    For clips (layers, frames, rows, columns). Layers that mix in both directions, such as attention, connect all
    patches, in clips those of a frame or a location. token: raster index. Raises ValueError as `mixings` does, and
    for a patch that does not exist.
    """
    _cell(network, token)
    _refuse_mirrored(network)
    grid, depth = network.config.token_grid, network.config.depth
    paths = _paths(network, scheme)
    if not paths:
        return np.ones((depth, *grid), dtype=bool)
    layers = _Layers(paths)
    return np.stack([receptive_mask(layers, count, grid, token).reshape(grid) for count in range(1, depth + 1)])


@dataclass(frozen=True, eq=False)
class Influence:
    """What influences a patch: float32 maps (rows, columns), for clips (frames, rows, columns), if by layer with layers
    in front.

    composed is None if it would take too long, see `composed`.
    """

    token: int
    gradient: NDArray[np.float32]
    implicit: NDArray[np.float32]
    composed: NDArray[np.float32] | None
    field: NDArray[np.bool_]


def patch_influence(
    network: nn.Module, network_call: NetworkCall, token: int, probes: int | None = 16,
    before_part: Callable[[], None] = lambda: None,
) -> Influence:  # fmt: skip
    """All influences on one patch in a network call. token: raster index. Errors as in `order_field`.

    before_part: called before each of the larger computations; what it raises ends them.
    """
    before_part()
    gradient = gradient_influence(network, network_call, token, probes)
    before_part()
    matrices, grid = mixings(network, network_call), network.config.token_grid
    patches = math.prod(grid)

    def maps(rows: Tensor) -> NDArray[np.float32]:
        return rows[:, :patches].unflatten(1, grid).float().cpu().numpy()

    before_part()
    implicit = maps(implicit_attention(matrices, [token])[:, 0])
    before_part()
    is_feasible = sum(mixing.terms for mixing in matrices) <= MOST_PRODUCTS
    return Influence(
        token,
        gradient.float().cpu().numpy(),
        implicit,
        maps(composed(matrices)[:, token]) if is_feasible else None,
        order_field(network, token, network_call.scheme),
    )
