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
from .values import Opaque, Refused, StoredTensor, plain

# What the wrappers of torch (compile, DistributedDataParallel, FSDP, checkpointing) add to the names of weights.
WRAPPERS = ("_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
PARTS = (
    "ema", "model_ema", "ema_state_dict", "ema_model", "model", "state_dict", "model_state_dict", "module", "network",
    "net",
)  # fmt: skip
MOST_NESTED = 4


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
    if isinstance(content, Opaque):
        raise Refused(f"it holds a whole {content.kind}, not its weights; save its state_dict()")
    if not isinstance(content, dict) or not content:
        raise Refused(f"it holds a {type(content).__name__} and no state dict")
    notes: list[str] = []
    weights, path = _find_weights(content)
    if weights is None:
        raise Refused(f"it has neither weights nor 'ema' or 'model', but {', '.join(map(str, content)):.100}")
    if path:
        notes.append(
            "the averaged weights (ema) are used" if "ema" in path[0] else f"it has no ema; its {path[0]} is used"
        )
    args = plain(content.get("args")) if path else None
    if path and isinstance(content.get("train_steps"), int):
        notes.append(f"trained for {content['train_steps']:,} steps")
    strange = next(((name, value) for name, value in weights.items() if isinstance(value, Opaque | dict)), None)
    if strange is not None:
        kind = strange[1].kind if isinstance(strange[1], Opaque) else "dict"
        raise Refused(f"{str(strange[0])[:100]!r} among its weights is a {kind}, not a tensor")
    tensors = {name: value for name, value in weights.items() if isinstance(value, StoredTensor)}
    if any(not isinstance(name, str) for name in tensors):
        raise Refused("a weight in it has a name that is not text")
    named = {
        ".".join(part for part in name.split(".") if part not in WRAPPERS): value for name, value in tensors.items()
    }
    if len(named) < len(tensors):
        raise Refused("two weights in it have one name once those of wrappers are taken off; save one network alone")
    return named, args, notes


def _without_wrappers(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _find_weights(content: dict[Any, Any], depth: int = 0) -> tuple[dict[Any, Any] | None, tuple[str, ...]]:
    """The dictionary of weights in a checkpoint and the names it is under: of PARTS, the first that has tensors."""
    for part in PARTS if depth < MOST_NESTED else ():
        if isinstance(content.get(part), dict):
            weights, path = _find_weights(content[part], depth + 1)
            if weights is not None:
                return weights, (part, *path)
    has_tensors = any(isinstance(value, StoredTensor) for value in content.values())
    return (content, ()) if has_tensors else (None, ())
