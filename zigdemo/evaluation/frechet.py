"""Distances between sets of feature vectors: Frechet, KID, precision and recall, each with its real/real floor."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from ..files import write_whole
from .features import Features
from .scores import Score

FLOOR_DRAWS = 5  # random splits of the real set, for the mean and the deviation of a floor
KID_SUBSETS, KID_MOST = 100, 1000  # as in Binkowski et al.
CACHE_VERSION = "1"  # to be increased when features change although the weights do not


@dataclass(frozen=True)
class FeatureMoments:
    """Count, sum and sum of outer products of feature vectors; moments of parts can be added.

    total: (width,) float64. outer: (width, width) float64.
    """

    count: int
    total: np.ndarray
    outer: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> FeatureMoments:
        """The moments of vectors (n, width), n >= 0. Raises ValueError for another shape, NaN or infinity."""
        x = _checked("features", features).astype(np.float64)
        return cls(len(x), x.sum(0), x.T @ x)

    def __add__(self, other: FeatureMoments) -> FeatureMoments:
        return FeatureMoments(self.count + other.count, self.total + other.total, self.outer + other.outer)

    @property
    def mean(self) -> np.ndarray:
        """Mean vector, (width,)."""
        return self.total / self.count

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance, (width, width)."""
        return (self.outer - np.outer(self.total, self.mean)) / (self.count - 1)


def frechet_distance(a: FeatureMoments, b: FeatureMoments) -> float:
    """Squared Frechet distance of two Gaussians with these moments: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2).

    Biased upwards for few vectors: compare it with the floor at the same counts. The trace of the root is computed as
    that of (C1^1/2 C2 C1^1/2)^1/2, which is symmetric and so stable for the rank-deficient covariances of few vectors.
    Raises ValueError for fewer than two vectors in a set or unequal widths.
    Source: Dowson & Landau 1982; Heusel et al. 2017 (arXiv 1706.08500), equation 6.
    """
    for name, each in (("a", a), ("b", b)):
        if each.count < 2:
            raise ValueError(f"{name} has {each.count} vectors; a covariance needs at least 2")
    if a.total.shape != b.total.shape:
        raise ValueError(f"a has features of width {len(a.total)} and b of {len(b.total)}; use one extractor for both")
    first, second = a.covariance, b.covariance
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(_positive(values))) @ vectors.T
    cross = np.sqrt(_positive(np.linalg.eigvalsh(root @ second @ root))).sum()
    distance = ((a.mean - b.mean) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * cross
    return float(max(distance, 0.0))


def kernel_distance(
    real: np.ndarray, generated: np.ndarray, subsets: int = KID_SUBSETS, seed: int = 0
) -> tuple[float, float]:
    """KID: the unbiased squared MMD with the kernel (x y / width + 1)^3, and its standard error.

    real: (m, width); generated: (n, width). The mean over random subsets of half the smaller set, at most 1000
    vectors. As subsets overlap, the error is from the delete-d jackknife (Shao & Wu 1989). Raises ValueError for fewer
    than 4 vectors.
    Source: Binkowski et al. 2018 (arXiv 1801.01401), section 4.
    """
    real, generated = _pair(real, generated, 4)
    least = min(len(real), len(generated))
    size = min(least // 2, KID_MOST)
    rng = np.random.default_rng(seed)
    estimates = []
    for _ in range(subsets):
        x, y = (each[rng.choice(len(each), size, replace=False)] for each in (real, generated))
        xx, yy, xy = ((p @ q.T / x.shape[1] + 1) ** 3 for p, q in ((x, x), (y, y), (x, y)))
        within = (xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / (size * (size - 1))
        estimates.append(within - 2 * xy.mean())
    return float(np.mean(estimates)), float(np.std(estimates) * (size / (least - size)) ** 0.5)


def precision_recall(real: np.ndarray, generated: np.ndarray, neighbours: int = 3) -> tuple[float, float]:
    """Precision, the share of generated vectors in the real manifold, and recall, the share of real in the generated.

    A set's manifold is the union of balls around its vectors that reach to their k-th nearest neighbour in the set.
    Raises ValueError for sets without a k-th neighbour.
    Source: Kynkaanniemi et al. 2019 (arXiv 1904.06991), equation 1, with its k = 3.
    """
    real, generated = _pair(real, generated, neighbours + 1)
    centre = real.mean(0)  # distances by inner products are more accurate near the origin
    real, generated = real - centre, generated - centre
    return _share_within(generated, real, neighbours), _share_within(real, generated, neighbours)


def _share_within(vectors: np.ndarray, reference: np.ndarray, neighbours: int) -> float:
    """Share of `vectors` in the manifold of `reference`, computed block by block."""
    radii = [
        np.partition(_distances(rows, reference), neighbours, axis=1)[:, neighbours] for rows in _blocks(reference)
    ]
    radius = np.concatenate(radii)
    return float(np.concatenate([(_distances(rows, reference) <= radius).any(1) for rows in _blocks(vectors)]).mean())


def _blocks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[first : first + 1024] for first in range(0, len(rows), 1024)]


def floor(
    measure: Callable[[np.ndarray, np.ndarray], float], real: np.ndarray, count: int, seed: int = 0
) -> tuple[float, float, str]:
    """The score of real vectors against other real ones, for `count` generated ones: mean, deviation, and the sizes.

    The real set is split at random, FLOOR_DRAWS times: `count` of it, at most half, are scored against the rest.
    """
    part = min(count, len(real) // 2)
    values = []
    for draw in range(FLOOR_DRAWS):
        rows = np.random.default_rng((seed, draw)).permutation(len(real))
        values.append(measure(real[rows[part:]], real[rows[:part]]))
    return float(np.mean(values)), float(np.std(values, ddof=1)), f"real/real {part}:{len(real) - part}"


def frechet_score(features: Features, real: np.ndarray, generated: FeatureMoments, seed: int = 0) -> Score:
    """Frechet distance of generated vectors, given by their moments, from real ones (n, width); errors as there."""

    def measure(a: np.ndarray, b: np.ndarray) -> float:
        return frechet_distance(FeatureMoments.of(a), FeatureMoments.of(b))

    value = frechet_distance(FeatureMoments.of(real), generated)
    low, spread, sizes = floor(measure, real, generated.count, seed)
    return Score(features.distance, value, generated.count, low, sizes, seed, floor_error=spread)


def kernel_score(features: Features, real: np.ndarray, generated: np.ndarray, seed: int = 0) -> Score:
    """KID of generated vectors (n, width) from real ones (m, width); errors as in `kernel_distance`."""
    value, error = kernel_distance(real, generated, seed=seed)
    low, spread, sizes = floor(lambda a, b: kernel_distance(a, b, seed=seed)[0], real, len(generated), seed)
    return Score(f"KID on {features.name}", value, len(generated), low, sizes, seed, error, spread)


def precision_scores(features: Features, real: np.ndarray, generated: np.ndarray, seed: int = 0) -> list[Score]:
    """Precision and recall of generated vectors (n, width); their baseline, that of real vectors, is below 1."""
    scores = []
    for which, (name, value) in enumerate(zip(("precision", "recall"), precision_recall(real, generated), strict=True)):
        low, spread, sizes = floor(lambda a, b, which=which: precision_recall(a, b)[which], real, len(generated), seed)
        scores.append(Score(f"{name} on {features.name}", value, len(generated), low, sizes, seed, floor_error=spread))
    return scores


def reference_features(features: Features, items: np.ndarray, cache: Path | None) -> np.ndarray:
    """The vectors (n, width) of a real set, cached in the folder `cache` under a hash of the data and the extractor.

    cache: None for no cache; damaged files in it are replaced. Raises OSError if it cannot be written.
    """
    if cache is None:
        return features(items)
    file = cache / f"{_key(features, items)}.safetensors"
    try:
        vectors = load_file(file)["features"]
        if vectors.shape == (len(items), features.width) and np.isfinite(vectors).all():
            return vectors
    except (OSError, SafetensorError, KeyError):
        pass
    vectors = features(items)
    cache.mkdir(parents=True, exist_ok=True)
    write_whole(file, save({"features": vectors}))
    return vectors


def _key(features: Features, items: np.ndarray) -> str:
    """A hash of the items and of all that determines their vectors, as the name of a cached file."""
    digest = hashlib.sha256("|".join((CACHE_VERSION, features.name, features.sha256, str(items.shape))).encode())
    for first in range(0, len(items), 256):
        digest.update(np.ascontiguousarray(items[first : first + 256]).data)
    return digest.hexdigest()


def _checked(name: str, features: np.ndarray) -> np.ndarray:
    """The same vectors. Raises ValueError unless they are finite and of shape (n, width)."""
    if features.ndim != 2 or not np.isfinite(features).all():
        raise ValueError(f"{name} must be finite vectors (n, width), not of shape {features.shape} or with NaN in them")
    return features


def _pair(real: np.ndarray, generated: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64. Raises ValueError for fewer than `least` vectors in a set and for unequal widths."""
    for name, each in (("real", real), ("generated", generated)):
        if len(_checked(name, each)) < least:
            raise ValueError(f"{name} has {len(each)} vectors; at least {least} are needed")
    if real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"real has width {real.shape[1]} and generated {generated.shape[1]}; use one extractor for both"
        )
    return real.astype(np.float64), generated.astype(np.float64)


def _positive(values: np.ndarray) -> np.ndarray:
    """Eigenvalues with those below the precision of the largest, which are rounding errors, set to 0."""
    least = len(values) * np.finfo(np.float64).eps * np.abs(values).max(initial=0.0)
    return np.where(values > least, values, 0.0)


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances (len(a), len(b))."""
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0.0)
