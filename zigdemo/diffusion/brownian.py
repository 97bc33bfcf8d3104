"""One Brownian path read at any times, so that runs of an SDE with few and with many steps share their noise."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

from torch import Tensor

from .fields import Noise


class BrownianPath:
    """A Brownian path for each item, known at the given times.

    times: of all runs that will share it, in any order. draw: the next standard normal, (batch, ...), see `item_noise`.
    Two runs along it come nearer to each other as their steps get shorter (strong convergence), where runs with noise
    of their own would stay apart whatever their steps.
    """

    def __init__(self, times: Iterable[float], draw: Noise) -> None:
        stops = sorted(set(times))
        place = 0 * draw()
        self._places: dict[float, Tensor] = {stops[0]: place}
        for now, after in pairwise(stops):
            place = place + math.sqrt(after - now) * draw()
            self._places[after] = place

    def noise(self, times: list[float]) -> Noise:
        """For a solver that goes through these times and draws once a step: the step's increment, as a standard normal.

        Raises KeyError for a time that the path is not known at.
        """
        steps = pairwise(times)

        def draw() -> Tensor:
            now, after = next(steps)
            return (self._places[after] - self._places[now]) / math.sqrt(after - now)

        return draw
