"""Looking inside the networks: what they cost, what their tokens attend to, which patches a patch listens to."""

from .attention import AttentionMaps, Recorder, attends
from .complexity import FORMULAS, Cost, cost, counted_cost
from .influence import (
    Influence,
    Moment,
    Moments,
    composed,
    gradient_influence,
    implicit_attention,
    mixings,
    order_field,
    patch_influence,
)
from .mixing import Mixing

__all__ = [
    "AttentionMaps",
    "Cost",
    "FORMULAS",
    "Influence",
    "Mixing",
    "Moment",
    "Moments",
    "Recorder",
    "attends",
    "composed",
    "cost",
    "counted_cost",
    "gradient_influence",
    "implicit_attention",
    "patch_influence",
    "mixings",
    "order_field",
]
