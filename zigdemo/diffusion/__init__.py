"""Paths between noise and data, predictions on them, ODE and SDE solvers, guidance and likelihood."""

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
    training_span,
    velocity_loss,
    velocity_of,
)
from .likelihood import Likelihood, bits_per_dimension, invert, item_signs, log_likelihood, renoise
from .samplers import SAMPLERS, check_options, refusal, resolution_shift, sample, shift_times, time_grid
from .sampling import Sampling, items_per_call, own_items, sample_items
from .sde import FORMS, LAST_STEPS, diffusion_rate, sde_times
from .solvers import SOLVERS, Solver, euler, heun, uniform_times
from .toys import TOYS, Mixture

__all__ = [
    "BrownianPath",
    "FORMS",
    "Field",
    "Gaussian",
    "LAST_STEPS",
    "Likelihood",
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
    "bits_per_dimension",
    "check_options",
    "clean_of",
    "convert",
    "diffusion_rate",
    "draw_times",
    "euler",
    "guide",
    "guided_velocity",
    "heun",
    "interpolate",
    "invert",
    "item_noise",
    "item_signs",
    "items_per_call",
    "log_likelihood",
    "own_items",
    "path_velocity",
    "prediction_loss",
    "refusal",
    "renoise",
    "resolution_shift",
    "sample",
    "sample_items",
    "sde_times",
    "shift_times",
    "stepped",
    "time_grid",
    "training_span",
    "uniform_times",
    "velocity_loss",
    "velocity_of",
]
