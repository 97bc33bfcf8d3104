"""Checks shared by the backbones: each refuses a wrong value with one sentence that names it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

MOST = 2**20  # bound of every size in a config, so that a hostile one cannot overflow


def whole(config: Any, names: Iterable[str], least: int) -> None:
    """Every named field must be a whole number of at least `least`."""
    for name in names:
        _whole(name, getattr(config, name), least)


def _whole(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MOST:
        raise ValueError(f"{name} must be a whole number from {least} to {MOST}, not {value!r}")


def positive(config: Any, most: Mapping[str, float]) -> None:
    """Every named field must be a number above 0 and at most what is given for it."""
    for name, top in most.items():
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= top:
            raise ValueError(f"{name} must be a number above 0 and at most {top:g}, not {value!r}")


def switches(config: Any, names: Iterable[str]) -> None:
    """Every named field must be True or False."""
    for name in names:
        if not isinstance(getattr(config, name), bool):
            raise ValueError(f"{name} must be true or false, not {getattr(config, name)!r}")


def checked_variance(config: Any) -> None:
    """drop_sigma needs learn_sigma, and refine an output that is a picture."""
    if config.drop_sigma and not config.learn_sigma:
        raise ValueError("drop_sigma drops what learn_sigma adds; set learn_sigma too")
    if config.refine and config.out_channels != config.in_channels:
        raise ValueError("refine mends a picture and cannot mend a variance; leave refine or learn_sigma out")


def one_of(config: Any, name: str, known: tuple[str, ...]) -> None:
    """The field must be one of the known names."""
    if getattr(config, name) not in known:
        raise ValueError(f"{name} {getattr(config, name)!r} is unknown; choose one of {', '.join(known)}")


def checked_size(size: object, patch: int) -> tuple[int, int]:
    """(height, width) as a tuple, two multiples of the patch size."""
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise ValueError(f"size must be two whole numbers (height, width), not {size!r}")
    for side in size:
        _whole("size", side, least=1)
    if any(side % patch for side in size):
        raise ValueError(f"size {tuple(size)} must be two multiples of the patch size {patch}")
    return tuple(size)


def item_shape(config: Any) -> tuple[int, ...]:
    """The shape of what a network of this config draws: (channels, H, W), or (frames, channels, H, W)."""
    return (*((config.frames,) if config.frames else ()), config.in_channels, *config.size)


def fits(config: Any, x: Tensor) -> None:
    """x must be a batch of what the network was built for."""
    wanted = item_shape(config)
    if tuple(x.shape[1:]) != wanted:
        raise ValueError(f"x must be (batch, {', '.join(map(str, wanted))}), not {tuple(x.shape)}")
