"""Interpolants between noise and data, solvers that follow them, and guidance."""

from .guidance import guided_velocity
from .interpolants import (
    PREDICTIONS,
    clean_of,
    draw_times,
    interpolate,
    velocity_loss,
    velocity_of,
)
from .solvers import SOLVERS, Solver, SolverStep, Velocity, euler, heun, uniform_times

__all__ = [
    "PREDICTIONS",
    "SOLVERS",
    "Solver",
    "SolverStep",
    "Velocity",
    "clean_of",
    "draw_times",
    "euler",
    "guided_velocity",
    "heun",
    "interpolate",
    "uniform_times",
    "velocity_loss",
    "velocity_of",
]
