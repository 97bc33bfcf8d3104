"""Scan schemes by name: the order in which each layer of a network reads the tokens of a grid."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from math import prod
from numbers import Integral
from threading import Lock
from typing import Literal
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from ..checks import is_whole, shown, whole
from . import paths2d, paths3d

Block = Literal["single", "bidirectional", "parallel"]
Axis = Literal["all", "space", "time"]
Grid = tuple[int, ...]
# The part of a name after its stem: a number or a word; 1 if there is none.
Choice = int | str

MAX_TOKENS = 2**24
MAX_LETTERS = 16
# Larger orders are not cached: 256 of this size take 256 MiB.
MAX_CACHED_TOKENS = 2**16


@dataclass(frozen=True, eq=False)
class ScanOrder:
    """A permutation of the tokens of a grid, hashed by identity so that it can be a cache key.

    perm: (L,) int64, perm[k] is the raster index of the k-th token visited. runs: number of equal pieces of the order,
    each scanned separately, with state and convolution reset at its start. inverse: (L,) int64, the position of each
    token in the scan; perm[inverse] == inverse[perm] == arange(L). Both arrays are read-only. is_identity: whether
    this is the raster order in one run. Raises ValueError if perm is no permutation or runs does not divide L.
    """

    perm: NDArray[np.int64]
    runs: int = 1
    inverse: NDArray[np.int64] = field(init=False, repr=False)
    is_identity: bool = field(init=False)

    def __post_init__(self) -> None:
        array = np.asarray(self.perm)
        if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
            raise ValueError(
                f"a scan order is a 1-D array of integers, but got shape {array.shape} of {array.dtype};"
                " give the raster index of each token in the order visited"
            )
        perm = array.astype(np.int64, copy=True)
        raster = np.arange(perm.size, dtype=np.int64)
        if perm.min() != 0 or perm.max() != perm.size - 1 or np.bincount(perm).max() != 1:
            raise ValueError(
                f"a scan order visits every token once, but this one of {perm.size} tokens does not;"
                f" give a permutation of 0 to {perm.size - 1}"
            )
        if not is_whole(self.runs, 1, kind=Integral) or perm.size % self.runs:
            raise ValueError(
                f"runs={shown(self.runs)} does not cut a scan order of {perm.size} tokens into equal pieces"
            )
        inverse = np.empty_like(perm)
        inverse[perm] = raster
        perm.setflags(write=False)
        inverse.setflags(write=False)
        object.__setattr__(self, "perm", perm)
        object.__setattr__(self, "runs", int(self.runs))
        object.__setattr__(self, "inverse", inverse)
        object.__setattr__(self, "is_identity", self.runs == 1 and bool(np.array_equal(perm, raster)))

    def __len__(self) -> int:
        return self.perm.size

    # A copied network (such as an EMA) shares the cached order; only unpickling makes a new one.
    def __copy__(self) -> ScanOrder:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> ScanOrder:
        return self

    def __reduce__(self) -> tuple[type[ScanOrder], tuple[NDArray[np.int64], int]]:
        return ScanOrder, (self.perm, self.runs)


@dataclass(frozen=True)
class SchemeFamily:
    """One entry of the table of schemes; k is the number or word in the name, 1 if there is none.

    label: for people, `{k}` stands for k. walk: (path, k, *grid) -> permutation. paths: k -> number of layer orders.
    scans: k -> number of orders in one layer. runs: (path, k, *grid) -> number of separately scanned pieces of the
    walk. axis: (path, k) -> what a layer scans. block: the kind of block the network needs. dimensions: of the grids
    it is for, 2 or 3. numbers: allowed k, None for names without a number. letters: allowed in a word, "" for names
    without a word. examples: names for a menu.
    """

    label: str
    walk: Callable[..., NDArray[np.int64]]
    paths: Callable[[Choice], int] = lambda k: 1
    scans: Callable[[Choice], int] = lambda k: 1
    runs: Callable[..., int] = lambda path, k, *grid: 1
    axis: Callable[[int, Choice], Axis] = lambda path, k: "all"
    block: Block = "single"
    dimensions: tuple[int, ...] = (2,)
    numbers: Sequence[int] | None = None
    letters: str = ""
    examples: tuple[str, ...] = ()

    def takes(self, k: Choice | None) -> bool:
        """Whether a name of this family may end in k; None stands for a bare stem."""
        if self.letters:
            return isinstance(k, str) and len(k) <= MAX_LETTERS and set(k) <= set(self.letters)
        return k is None if self.numbers is None else isinstance(k, int) and k in self.numbers


SCHEMES: dict[str, SchemeFamily] = {
    "sweep": SchemeFamily(
        "Sweep",
        lambda path, k, *grid: paths2d.sweep_walk(*grid),
        examples=("sweep",),
    ),
    "zigzag-K": SchemeFamily(
        "Zigzag ×{k}",
        lambda path, k, height, width: paths2d.zigzag_walk(path, height, width),
        paths=lambda k: k,
        numbers=(1, 2, 4, 8),
        examples=("zigzag-1", "zigzag-2", "zigzag-4", "zigzag-8"),
    ),
    "hilbert-K": SchemeFamily(
        "Hilbert curve ×{k}",
        lambda path, k, height, width: paths2d.hilbert_walk(path, height, width),
        paths=lambda k: k,
        numbers=range(1, 9),
        examples=("hilbert-1", "hilbert-2", "hilbert-4", "hilbert-8"),
    ),
    "random-K": SchemeFamily(
        "Random ×{k}",
        lambda path, k, height, width: paths2d.random_walk(path, height, width),
        paths=lambda k: k,
        numbers=range(1, 65),
        examples=("random-1", "random-8"),
    ),
    "shuffled-G": SchemeFamily(
        "Shuffled zigzag ×8, runs of {k}",
        lambda path, k, height, width: paths2d.shuffled_walk(path, k, height, width),
        paths=lambda k: 8,
        numbers=range(1, 2**16 + 1),
        examples=("shuffled-1", "shuffled-4", "shuffled-16", "shuffled-64"),
    ),
    "bidirectional": SchemeFamily(
        "Bidirectional sweep",
        lambda path, k, *grid: paths2d.sweep_walk(*grid)[:: -1 if path else 1],
        scans=lambda k: 2,
        block="bidirectional",
        dimensions=(2, 3),
        examples=("bidirectional",),
    ),
    "parallel-K": SchemeFamily(
        "Parallel zigzag, {k} scans in one block",
        lambda path, k, height, width: paths2d.zigzag_walk(path, height, width),
        scans=lambda k: k,
        block="parallel",
        numbers=range(1, 9),
        examples=("parallel-2", "parallel-4", "parallel-8"),
    ),
    "sweep3d": SchemeFamily(
        "3-D sweep",
        lambda path, k, *grid: paths2d.sweep_walk(*grid),
        dimensions=(3,),
        examples=("sweep3d",),
    ),
    "zigzag3d-K": SchemeFamily(
        "3-D zigzag ×{k}",
        lambda path, k, *grid: paths3d.zigzag3d_walk(path, *grid),
        paths=lambda k: k,
        dimensions=(3,),
        numbers=(1, 2, 4, 8),
        examples=("zigzag3d-1", "zigzag3d-2", "zigzag3d-4", "zigzag3d-8"),
    ),
    "factorized-WORD": SchemeFamily(
        "Space and time in turn: {k}",
        paths3d.factorized_walk,
        paths=paths3d.factorized_paths,
        runs=paths3d.factorized_runs,
        axis=lambda path, word: "space" if word[path % len(word)] == "s" else "time",
        dimensions=(3,),
        letters="st",
        examples=("factorized-st", "factorized-sst", "factorized-sstt"),
    ),
}


@dataclass(frozen=True, eq=False)
class ScanScheme:
    """A named rule that gives every layer its scan order; get one from `scan_scheme`.

    name: as given to `scan_scheme`. label: for people. block: the kind of block the network needs. paths: number of
    layer orders; layer i uses order i mod paths. dimensions: of the grids it is for, 2 for (H, W), 3 for (T, H, W).
    """

    name: str
    label: str
    block: Block
    paths: int
    dimensions: tuple[int, ...]
    _family: SchemeFamily = field(repr=False)
    _choice: Choice = field(repr=False)

    @property
    def at_once(self) -> int:
        """Number of parallel scans in a layer."""
        return self._family.scans(self._choice)

    def axis(self, layer: int) -> Axis:
        """What a layer (0, 1, ...) scans: each frame ("space"), each location over time ("time"), or all at once."""
        return self._family.axis(whole("layer", layer, 0, kind=Integral) % self.paths, self._choice)

    def order(self, layer: int, grid: Sequence[int]) -> ScanOrder:
        """The order of a layer on a grid (H, W) or (T, H, W); the first one if a layer has several.

        The same scheme, layer mod paths and grid give the same object. Raises ValueError for a bad layer or grid.
        """
        return self.scans(layer=layer, grid=grid)[0]

    def scans(self, layer: int, grid: Sequence[int]) -> tuple[ScanOrder, ...]:
        """All orders of a layer: one for single blocks, two sweeps for bidirectional ones, k zigzags for parallel ones.

        Raises ValueError as `order` does.
        """
        path = whole("layer", layer, 0, kind=Integral) % self.paths
        sizes = self._check_grid(grid)
        first = path * self.at_once
        return tuple(_order(self, first + scan, sizes) for scan in range(self.at_once))

    def _check_grid(self, grid: Sequence[int]) -> Grid:
        sizes = check_grid(grid)
        if len(sizes) not in self.dimensions:
            use, shape = ("images", "(H, W)") if 2 in self.dimensions else ("videos", "(T, H, W)")
            raise ValueError(f"scan scheme {self.name!r} is for {use}, not for grid {grid!r}; give {shape}")
        return sizes

    def __reduce__(self) -> tuple[Callable[[str], ScanScheme], tuple[str]]:
        return scan_scheme, (self.name,)


def scan_scheme(name: str) -> ScanScheme:
    """The scan scheme of that name, always the same object. Raises ValueError listing the valid names."""
    return _scheme(name if isinstance(name, str) else repr(name))


@cache
def _scheme(name: str) -> ScanScheme:
    match = re.fullmatch(r"([a-z0-9]+)(?:-([1-9][0-9]{0,7}|[a-z]+))?", name)
    stem, tail = match.groups() if match else (None, None)
    k = int(tail) if tail and tail.isdigit() else tail
    for key, family in SCHEMES.items():
        if key.partition("-")[0] == stem and family.takes(k):
            k = 1 if k is None else k
            return ScanScheme(
                name, family.label.format(k=k), family.block, family.paths(k), family.dimensions, family, k
            )
    raise ValueError(f"unknown scan scheme {shown(name)}; choose one of {', '.join(map(_spell, SCHEMES))}")


def _spell(key: str) -> str:
    """A key of SCHEMES for an error message: `sweep`, `zigzag-K (K 1, 2, 4, 8)`, `random-K (K 1 to 64)`."""
    numbers, letters = SCHEMES[key].numbers, SCHEMES[key].letters
    if letters:
        return f"{key} (a word of 1 to {MAX_LETTERS} letters {' and '.join(letters)})"
    if numbers is None:
        return key
    span = f"{numbers[0]} to {numbers[-1]}" if isinstance(numbers, range) else ", ".join(map(str, numbers))
    return f"{key} ({key[-1]} {span})"


def check_grid(grid: Sequence[int]) -> Grid:
    """The grid as plain integers, (H, W) or (T, H, W). Raises ValueError if it is none or has over 2**24 tokens."""
    advice = "give (H, W) or (T, H, W) as whole numbers >= 1"
    try:
        sizes = tuple(operator.index(size) for size in grid)
    except TypeError:
        raise ValueError(f"grid {grid!r} is not made of whole numbers; {advice}") from None
    if len(sizes) not in (2, 3) or min(sizes) < 1 or any(isinstance(size, bool) for size in grid):
        raise ValueError(f"grid {grid!r} is no grid of tokens; {advice}")
    if prod(sizes) > MAX_TOKENS:
        raise ValueError(f"grid {grid!r} has {prod(sizes)} tokens; use at most {MAX_TOKENS}")
    return sizes


# Whatever is in use anywhere is found here: an order stays the same object for as long as somebody has it.
_alive: WeakValueDictionary[tuple[str, int, Grid], ScanOrder] = WeakValueDictionary()
_alive_lock = Lock()


def _after_fork() -> None:
    """In a forked process nobody holds the lock, though a thread of its parent may have."""
    global _alive_lock
    _alive_lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _order(scheme: ScanScheme, path: int, grid: Grid) -> ScanOrder:
    find = _cached_order if prod(grid) <= MAX_CACHED_TOKENS else _find_order
    return find(scheme, path, grid)


def _find_order(scheme: ScanScheme, path: int, grid: Grid) -> ScanOrder:
    key = (scheme.name, path, grid)
    with _alive_lock:
        order = _alive.get(key)
        if order is None:
            family, choice = scheme._family, scheme._choice
            order = ScanOrder(family.walk(path, choice, *grid), family.runs(path, choice, *grid))
            _alive[key] = order
        return order


_cached_order = lru_cache(maxsize=256)(_find_order)
