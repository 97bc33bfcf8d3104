"""Looking inside: what the networks cost, where the solvers go."""

from .complexity import FORMULAS, Cost, cost, counted_cost
from .trajectories import EXTENT, ToyRun, Trajectory, toy_run

__all__ = ["EXTENT", "FORMULAS", "Cost", "ToyRun", "Trajectory", "cost", "counted_cost", "toy_run"]
