"""Official checkpoint files, read without executing anything in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...checks import choice
from ...files import file_sha256
from .detect import family_said, find_family, find_settings, said_by
from .files import open_checkpoint
from .layouts import LAYOUTS
from .values import Refused, StoredTensor, plain

PREFIX = "module."  # of networks that were saved inside torch's DistributedDataParallel


@dataclass(frozen=True)
class OfficialCheckpoint:
    """What an official file holds, found out from names and shapes.

    family: "ZigMa", "DiT", "SiT" or "DiG". config: arguments of the official constructor. state_dict: official names,
    as stored, finite. args: the training settings in the file as plain data, or None. source: "file", its name, and
    "sha256" of it. notes: one sentence for each thing that was chosen or assumed.
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
    """Read a .pt, .pth or .safetensors file of ZigMa, DiT, SiT or DiG; nothing in it is executed.

    The file is a bare state dict or a training checkpoint (`model`, `ema`, `opt`, `args`, `train_steps`), of which the
    averaged weights `ema` are taken and the optimiser's are not read. family: needed where neither args nor the
    file's name tell DiT from SiT. settings: official constructor's arguments that neither weights nor args say, such as
    img_dim of a ZigMa without position table; they go before args. Raises ValueError with one sentence that names
    the file and the fault, for a file that is missing, damaged, no checkpoint, holds anything but data, or has weights
    that are not finite or do not fit together.
    """
    path = Path(path)
    if family is not None:
        choice("family", family, LAYOUTS)
    try:
        with open_checkpoint(path) as file:
            chosen, args, notes = _choose(file.content)
            shapes = {name: tensor.shape for name, tensor in chosen.items()}
            found = find_family(shapes, family or family_said(args, path.name))
            config, guesses = find_settings(found, shapes, {**said_by(found, args), **(settings or {})})
            state = file.tensors(chosen)
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
    return OfficialCheckpoint(found, config, state, args, source, (*notes, *guesses))


def _choose(content: Any) -> tuple[dict[str, StoredTensor], Any, list[str]]:
    """The weights to use, by name without prefix; args as plain data; what was chosen."""
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
