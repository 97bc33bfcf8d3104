"""Which patches a patch listens to: by gradient, by the matrices of the operators that mix tokens, by order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..backbones import DiG, ZigMa
from ..backbones.official.zigma import TimeMirrored
from ..checks import whole
from ..scans import ScanOrder, receptive_mask
from .mixing import Mixing, mixing_of
from .watch import FirstCalls, Watch, own_copy

if TYPE_CHECKING:
    from ..pipeline import Network, Request

MOST_PRODUCTS = 2**31  # terms of all matrices of a network, summed one by one, that `composed` agrees to: seconds
AT_ONCE = 16  # backward passes in a batch


@dataclass(frozen=True, eq=False)
class NetworkCall:
    """What a network was asked: x (1, channels, H, W) or of a clip (1, frames, channels, H, W), t (1,), cond (1, ...)
    or None, and the scan scheme.
    """

    x: Tensor
    t: Tensor
    cond: Tensor | None = None
    scheme: str | None = None


class CallRecorder(FirstCalls):
    """A `pipeline.Record` that keeps what the network is asked at each step for one picture, in `calls`."""

    def begin(self, network: nn.Module, request: Request) -> None:
        super().begin(network, request)
        self.calls: list[NetworkCall] = []

    def look(self, call: Network, place: int, x: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
        own = (own_copy(value, place) for value in (x, t, cond))
        self.calls.append(NetworkCall(*own, self.request.scan))
        return call(x, t, cond)


def _cell(network: nn.Module, token: int) -> tuple[int, int, int]:
    """Frame (0 in a picture), row and column of a patch; ValueError for one that does not exist."""
    grid = network.config.token_grid
    most = math.prod(grid) - 1
    whole("token, a patch in raster order,", token, 0, most)
    frame, place = divmod(token, math.prod(grid[-2:]))
    return frame, *divmod(place, grid[-1])


def _repeated(value: Tensor | None, count: int) -> Tensor | None:
    """One item as a batch of `count`, a tensor of its own."""
    return None if value is None else value.detach().repeat(count, *[1] * (value.ndim - 1))


def gradient_influence(
    network: nn.Module, network_call: NetworkCall, token: int, probes: int | None = 16, seed: int = 0
) -> Tensor:
    """How strongly the network's output at a patch depends on each patch of its input: (rows, columns), the frames of
    a clip in front.

    The Frobenius norm of the Jacobian of the patch's output numbers with respect to the input patch's. probes: vectors
    of random signs whose products with the Jacobian estimate it, the square without bias and with a relative error of
    at most sqrt(2 / probes), each a backward pass, AT_ONCE in a batch; None takes every output number and is exact.
    token: raster index. A variance predicted beside is left out. Raises ValueError for a patch that does not exist.
    Source: Hutchinson 1990 for the estimate.
    """
    frame, row, column = _cell(network, token)
    patch, channels = network.config.patch, network.config.in_channels
    numbers = channels * patch**2
    if probes is None:
        vectors = torch.eye(numbers)
    else:
        vectors = 2.0 * torch.randint(2, (probes, numbers), generator=torch.Generator().manual_seed(seed)) - 1
    squares = torch.zeros_like(network_call.x)
    for few in vectors.to(network_call.x).split(AT_ONCE):
        with torch.inference_mode(False), torch.enable_grad():
            x, t, cond = (_repeated(value, len(few)) for value in (network_call.x, network_call.t, network_call.cond))
            output = network(x.requires_grad_(), t, cond, scheme=network_call.scheme)
            own = output if output.ndim == 4 else output[:, frame]
            own = own[:, :channels, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
            squares += torch.autograd.grad(own.flatten(1), x, few)[0].pow(2).sum(0)
    by_patch = squares[0].sum(-3).unflatten(-1, (-1, patch)).unflatten(-3, (-1, patch)).sum((-3, -1))
    return (by_patch / (1 if probes is None else probes)).sqrt()


@torch.no_grad()
def mixings(network: nn.Module, network_call: NetworkCall) -> list[Mixing]:
    """The operators that mix the tokens, in the order they are called, each as an exact matrix; see `Mixing`.

    One a block, or one for each scan of it; attention to words is not among them. Raises ValueError for a published
    ZigMa of clips, whose layers over time put their outputs back mirrored.
    """
    _refuse_mirrored(network)
    layouts = _token_layouts(network, network_call.scheme)
    patches = math.prod(network.config.token_grid)
    found: list[Mixing] = []

    def look(layer: int, role: str, operator: Any, args: tuple, kwargs: dict) -> Tensor:
        if role != "words":
            found.append(mixing_of(operator, layer, patches, layouts[layer], args, kwargs))
        return operator(*args, **kwargs)

    with Watch(network.config, look):
        network(network_call.x, network_call.t, network_call.cond, scheme=network_call.scheme)
    return found


def _by_layer(found: list[Mixing]) -> list[list[Mixing]]:
    layers: dict[int, list[Mixing]] = {}
    for mixing in found:
        layers.setdefault(mixing.layer, []).append(mixing)
    return list(layers.values())


def implicit_attention(found: list[Mixing], tokens: list[int]) -> Tensor:
    """How strongly each layer mixes each token into those asked for: (layers, tokens asked, length), as in `Mixing`.

    The mean over all lanes of the absolute weights of the operators' matrices. tokens: raster indices. The short
    convolution in front of ZigMa's scan is no part of the matrix.
    Source: Ali et al. 2024 (arXiv 2403.01590), section 3, for the scan as a matrix.
    """
    layers = [torch.stack([one.strength(tokens) for one in layer]).mean(0) for layer in _by_layer(found)]
    return torch.stack(layers)


def composed(found: list[Mixing]) -> Tensor:
    """Implicit attention composed from the first layer on: (layers, n, n), row i of layer l for token i after it.

    n: patches, then any tokens of the condition. Each layer's rows are brought to the sum 1 and averaged with the
    identity for the residual stream, and multiplied with what is below. Raises ValueError where the matrices of all
    layers have more than MOST_PRODUCTS terms.
    Source: Abnar & Zuidema 2020 (arXiv 2005.00928), attention rollout.
    """
    terms = sum(one.terms for one in found)
    if terms > MOST_PRODUCTS:
        raise ValueError(
            f"composing these layers takes {terms:.1e} products, more than {MOST_PRODUCTS:.1e}; look at single layers "
            "or at a smaller picture"
        )
    size = found[0].length
    below, steps = torch.eye(size), []
    for layer in implicit_attention(found, list(range(size))):
        weights = layer.float().cpu() / layer.float().cpu().sum(1, keepdim=True).clamp_min(1e-30)
        below = (below + weights @ below) / 2
        steps.append(below)
    return torch.stack(steps)


@dataclass(frozen=True)
class _Layers:
    """The paths of a network's layers, asked for as those of a scheme are."""

    paths: list[tuple[ScanOrder, ...]]

    def scans(self, layer: int, grid: Any) -> tuple[ScanOrder, ...]:
        return self.paths[layer]


def _token_layouts(network: nn.Module, scheme: str | None) -> list[ScanOrder | None]:
    """How the patches lie in what each block's operator is given, None for raster order, which a ZigMa's always is.

    In runs where frames, or places over time, are given as a batch. Raises ValueError for a scheme it cannot have.
    """
    config, none = network.config, [None] * network.config.depth
    if isinstance(network, ZigMa):
        return none
    orders = network.orders(scheme)
    if not config.frames:
        return orders or none
    places = math.prod(config.grid)
    own = [order.perm for order in orders] or [np.arange(places)] * config.depth
    return [_of_clip(path, i, config.frames, isinstance(network, DiG)) for i, path in enumerate(own)]


def _of_clip(path: NDArray[np.int64], block: int, frames: int, turning: bool) -> ScanOrder:
    """Every frame along a path of its places in even blocks, each of these places over time in odd ones.

    turning: every second of the odd ones goes backwards in time.
    """
    first = np.arange(frames)[:: -1 if turning and block % 4 == 3 else 1] * len(path)
    if block % 2:
        return ScanOrder((path[:, None] + first).ravel(), len(path))
    return ScanOrder((first[:, None] + path).ravel(), frames)


def _paths(network: nn.Module, scheme: str | None) -> list[tuple[ScanOrder, ...]]:
    """The orders by which a patch hears another in each layer; none at all where it hears all others in every layer."""
    if isinstance(network, ZigMa):
        return network.scans(scheme)
    paths = [(order,) for order in _token_layouts(network, scheme) if order is not None]
    if isinstance(network, DiG):
        return paths
    return [(order, ScanOrder(order.perm[::-1], order.runs)) for (order,) in paths]  # attention hears both ways


def _refuse_mirrored(network: nn.Module) -> None:
    if any(isinstance(getattr(block, "mixer", None), TimeMirrored) for block in network.blocks):
        raise ValueError(
            "the layers over time of this published model put their outputs back mirrored, and what a patch listens to "
            "through them is not shown; choose a model of our own"
        )


def order_field(network: nn.Module, token: int, scheme: str | None = None) -> NDArray[np.bool_]:
    """Which patches can have reached a patch by the scan order alone, (layers, rows, columns), after each layer.

    Of clips (layers, frames, rows, columns). All of them at once where a layer mixes both ways, as attention does, in
    clips within its frame or its place. token: raster index. Raises ValueError as `mixings` does.
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
    """What a patch listens to: all maps (rows, columns), of clips (frames, rows, columns), those by layer with the
    layers in front; float32.

    composed is None where it would take too long, see `composed`.
    """

    token: int
    gradient: NDArray[np.float32]
    implicit: NDArray[np.float32]
    composed: NDArray[np.float32] | None
    field: NDArray[np.bool_]


def patch_influence(network: nn.Module, network_call: NetworkCall, token: int, probes: int | None = 16) -> Influence:
    """Everything about one patch at one network_call. token: raster index; errors as in `gradient_influence`."""
    gradient = gradient_influence(network, network_call, token, probes)
    found, grid = mixings(network, network_call), network.config.token_grid
    patches = math.prod(grid)

    def maps(rows: Tensor) -> NDArray[np.float32]:
        return rows[:, :patches].unflatten(1, grid).float().cpu().numpy()

    few = sum(one.terms for one in found) <= MOST_PRODUCTS
    return Influence(
        token,
        gradient.float().cpu().numpy(),
        maps(implicit_attention(found, [token])[:, 0]),
        maps(composed(found)[:, token]) if few else None,
        order_field(network, token, network_call.scheme),
    )
