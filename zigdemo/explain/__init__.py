"""Looking inside: cost, attention and influence in networks, and trajectories of solvers."""

from ..backbones import Cost
from .attention import AttentionMaps, Recorder, attends
from .complexity import cost
from .counting import counted_cost
from .effect import EffectMaps, EffectRecorder
from .influence import (
    CallRecorder,
    Influence,
    NetworkCall,
    composed,
    gradient_influence,
    implicit_attention,
    mixings,
    order_field,
    patch_influence,
)
from .mixing import Mixing
from .operators import OPERATORS, least_seconds, operator_call
from .terms import BLOCKS, SIZES
from .trajectories import EXTENT, Strip, ToyRun, Trajectory, clean_strip, toy_run
from .watch import RecordGroup

__all__ = [
    "AttentionMaps",
    "BLOCKS",
    "Cost",
    "EXTENT",
    "EffectMaps",
    "EffectRecorder",
    "Influence",
    "Mixing",
    "NetworkCall",
    "OPERATORS",
    "CallRecorder",
    "Recorder",
    "Strip",
    "RecordGroup",
    "SIZES",
    "ToyRun",
    "Trajectory",
    "attends",
    "clean_strip",
    "composed",
    "cost",
    "counted_cost",
    "gradient_influence",
    "implicit_attention",
    "least_seconds",
    "mixings",
    "operator_call",
    "order_field",
    "patch_influence",
    "toy_run",
]
