"""Token orders: in which sequence a scanning network reads the tokens of an image."""

from zigdemo.scans.measures import Measures, measure, order_receptive_field, receptive_mask
from zigdemo.scans.paths2d import gilbert_rank
from zigdemo.scans.schemes import SCHEMES, ScanOrder, ScanScheme, scan_scheme

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
