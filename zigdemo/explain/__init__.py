"""Looking inside the networks: what they cost."""

from .complexity import FORMULAS, Cost, cost, counted_cost

__all__ = ["FORMULAS", "Cost", "cost", "counted_cost"]
