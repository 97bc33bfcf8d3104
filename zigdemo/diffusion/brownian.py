"""A Brownian path, so that runs of an SDE with few and with many steps share their noise."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

from torch import Tensor

from .fields import Noise


class BrownianPath:
    """An independent Brownian path for each item, known at the given times.

    times: of all runs that share it, in any order. draw: the next standard normal, (batch, ...), see `item_noise`.
    Two runs on the same path converge to each other as their steps get shorter (strong convergence); with independent
    noise they would not.
    """

    def __init__(self, times: Iterable[float], draw: Noise) -> None:
        stops = sorted(set(times))
        place = 0 * draw()
        self._places: dict[float, Tensor] = {stops[0]: place}
        for now, after in pairwise(stops):
            place = place + math.sqrt(after - now) * draw()
            self._places[after] = place

    def noise(self, times: list[float]) -> Noise:
        """Noise for a solver that uses these times and draws once per step: the increments, scaled to standard normals.

        Drawing raises KeyError for a time at which the path is not known.
        """
        steps = pairwise(times)

        def draw() -> Tensor:
            now, after = next(steps)
            return (self._places[after] - self._places[now]) / math.sqrt(after - now)

        return draw
