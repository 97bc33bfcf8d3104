"""Scan orders: the sequence in which a network reads the tokens of an image or a clip."""

from .measures import Measures, measure, order_receptive_field, receptive_mask
from .paths2d import gilbert_rank
from .schemes import SCHEMES, ScanOrder, ScanScheme, scan_scheme

__all__ = [
    "SCHEMES",
    "Measures",
    "ScanOrder",
    "ScanScheme",
    "gilbert_rank",
    "measure",
    "order_receptive_field",
    "receptive_mask",
    "scan_scheme",
]
