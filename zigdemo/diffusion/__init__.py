"""Paths between noise and data, predictions on them, solvers of their ODE and SDE, guidance."""

from .brownian import BrownianPath
from .fields import Field, Noise, SolverStep, Velocity, item_noise
from .gaussian import Gaussian, stepped
from .guidance import guide, guided_velocity
from .interpolants import (
    PATHS,
    PREDICTIONS,
    WEIGHTINGS,
    Interpolant,
    clean_of,
    convert,
    draw_times,
    interpolate,
    path_velocity,
    prediction_loss,
    renoise,
    velocity_loss,
)
from .samplers import SAMPLERS, check_options, refusal, sample, shift_times, time_grid
from .sampling import Sampling, items_per_call, own_items, sample_items
from .sde import FORMS, LAST_STEPS, diffusion_rate, sde_times
from .solvers import SOLVERS, Solver, euler, heun, uniform_times
from .toys import TOYS, Mixture, cloud_distance

__all__ = [
    "BrownianPath",
    "FORMS",
    "Field",
    "Gaussian",
    "LAST_STEPS",
    "Mixture",
    "Noise",
    "PATHS",
    "PREDICTIONS",
    "Interpolant",
    "SAMPLERS",
    "SOLVERS",
    "Solver",
    "Sampling",
    "SolverStep",
    "TOYS",
    "Velocity",
    "WEIGHTINGS",
    "check_options",
    "clean_of",
    "cloud_distance",
    "convert",
    "diffusion_rate",
    "draw_times",
    "euler",
    "guide",
    "guided_velocity",
    "heun",
    "interpolate",
    "item_noise",
    "items_per_call",
    "own_items",
    "path_velocity",
    "prediction_loss",
    "refusal",
    "renoise",
    "sample",
    "sample_items",
    "sde_times",
    "shift_times",
    "stepped",
    "time_grid",
    "uniform_times",
    "velocity_loss",
]
