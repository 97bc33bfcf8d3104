"""Looking inside: what the networks cost, where the solvers go."""

from .complexity import FORMULAS, Cost, cost, counted_cost
from .trajectories import EXTENT, Strip, ToyRun, Trajectory, clean_strip, toy_run

__all__ = [
    "EXTENT",
    "FORMULAS",
    "Cost",
    "Strip",
    "ToyRun",
    "Trajectory",
    "clean_strip",
    "cost",
    "counted_cost",
    "toy_run",
]
