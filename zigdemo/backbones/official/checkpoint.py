"""Official checkpoint files, read without executing their content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...checks import choice
from ...files import file_sha256
from .detect import family_hint, find_family, find_settings, settings_hint
from .files import open_checkpoint
from .layouts import LAYOUTS
from .values import Refused, StoredTensor, plain

PREFIX = "module."  # of networks saved inside torch's DistributedDataParallel


@dataclass(frozen=True)
class OfficialCheckpoint:
    """The content of an official file, identified by names and shapes.

    family: "ZigMa", "DiT", "SiT" or "DiG". config: arguments of the official constructor. state_dict: official names,
    as stored, finite. args: training settings in the file as plain data, or None. source: name of the "file" and its
    "sha256". notes: one sentence per choice or assumption.
    """

    family: str
    config: dict[str, Any]
    state_dict: dict[str, Tensor]
    args: Any
    source: dict[str, str]
    notes: tuple[str, ...]


def read_checkpoint(
    path: str | Path, *, family: str | None = None, settings: Mapping[str, Any] | None = None
) -> OfficialCheckpoint:
    """Read a .pt, .pth or .safetensors file of ZigMa, DiT, SiT or DiG without executing its content.

    The file is a bare state dict or a training checkpoint (`model`, `ema`, `opt`, `args`, `train_steps`); of the latter
    the averaged weights `ema` are used, and the optimiser's state is not read. family: needed if neither args nor the
    file name distinguish DiT from SiT. settings: official constructor's arguments that are not determined by weights or
    args, such as img_dim of a ZigMa without position table; they override args. Raises ValueError with one sentence
    that names file and fault if the file is missing, damaged, no checkpoint, contains anything but data, or has weights
    that are not finite or not consistent.
    """
    path = Path(path)
    if family is not None:
        choice("family", family, LAYOUTS)
    try:
        with open_checkpoint(path) as file:
            weights, args, notes = _choose(file.content)
            shapes = {name: tensor.shape for name, tensor in weights.items()}
            detected = find_family(shapes, family or family_hint(args, path.name))
            config, guesses = find_settings(detected, shapes, {**settings_hint(detected, args), **(settings or {})})
            state = file.tensors(weights)
        for name, value in state.items():
            if not value.is_floating_point():
                raise Refused(f"{name} in it has numbers of type {value.dtype}, which are no weights")
            if not torch.isfinite(value).all():
                raise Refused(f"{name} in it holds NaN or infinity; the weights are damaged")
        source = {"file": path.name, "sha256": file_sha256(path)}
    except OSError as fault:
        raise ValueError(f"{path} cannot be read: {fault.strerror or fault}") from None
    except ValueError as fault:
        raise ValueError(f"{path} is refused: {fault}") from None
    return OfficialCheckpoint(detected, config, state, args, source, (*notes, *guesses))


def _choose(content: Any) -> tuple[dict[str, StoredTensor], Any, list[str]]:
    """The weights to use, by name without prefix; args as plain data; notes on the choice."""
    if not isinstance(content, dict) or not content:
        raise Refused(f"it holds a {type(content).__name__} and no state dict")
    notes, args = [], None
    weights = content
    if not any(isinstance(value, StoredTensor) for value in content.values()):
        part = next((name for name in ("ema", "model") if isinstance(content.get(name), dict) and content[name]), None)
        if part is None:
            raise Refused(f"it has neither weights nor 'ema' or 'model', but {', '.join(map(str, content)):.100}")
        weights = content[part]
        notes.append("the averaged weights (ema) are used" if part == "ema" else "it has no ema; its model is used")
        args = plain(content.get("args"))
        if isinstance(content.get("train_steps"), int):
            notes.append(f"trained for {content['train_steps']:,} steps")
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, StoredTensor):
            raise Refused(f"{str(name)[:100]!r} among its weights is a {type(value).__name__}, not a tensor")
    if all(name.startswith(PREFIX) for name in weights):
        weights = {name.removeprefix(PREFIX): value for name, value in weights.items()}
    return weights, args, notes
