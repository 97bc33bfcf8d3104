"""Conversion of official checkpoints to model folders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import __version__, zoo
from ..backbones.official import OfficialCheckpoint, OfficialConfig, read_checkpoint
from ..conditioning import CLIP_L
from ..huggingface import fill_card
from ..latents import AUTOENCODERS
from .classes import numbered_label
from .hub import SOURCES, Bar, Source, fetch

TEMPLATE = Path(__file__).parent / "cards/official.md"
# What the published networks of a family predict, on which path, and how many channels their guidance acts on.
PREDICTION = {
    "ZigMa": {"prediction": "velocity"},
    "SiT": {"prediction": "velocity", "guided_channels": 3},
    "DiT": {"prediction": "noise", "interpolant": "ddpm", "guided_channels": 3},
    "DiG": {"prediction": "noise", "interpolant": "ddpm", "guided_channels": 3},
}


def import_checkpoint(
    file: str | Path,
    name: str | None = None,
    *,
    family: str | None = None,
    settings: Mapping[str, Any] | None = None,
    bar: Bar | None = None,
) -> zoo.ModelFolder:
    """Convert an official checkpoint to a model folder among the weights, which then loads under its name.

    file: a checkpoint file, or an id of SOURCES, which is downloaded first. name: of the folder; by default the id or
    the name of the file. family, settings: as in `read_checkpoint`. bar: as in `fetch`. The values of the weights do
    not change. Raises ValueError with one sentence if the file is refused, cannot be built or the name is taken.
    """
    source = SOURCES.get(str(file))
    if name is None:
        name = str(file) if source else Path(file).stem
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,79}", name):
        raise ValueError(f"name must be letters, digits, '.', '_' and '-', not {name[:90]!r}; give one with --name")
    path = zoo.WEIGHTS / name
    if (path / zoo.CONFIG).exists():
        raise ValueError(f"{path} exists already; give another name with --name, or remove it")
    if source:
        file, family = fetch(str(file), bar), family or source.family
        settings = {**source.settings, **(settings or {})}
    checkpoint = read_checkpoint(file, family=family, settings=settings)
    config = OfficialConfig(checkpoint.family, checkpoint.config)
    with torch.device("meta"):
        network = config.build()
    notes, scheme = [*checkpoint.notes], network.config.scheme
    pairs = zip(network.orders(), network.orders(scheme), strict=True)
    if any(published.runs != standard.runs or (published.perm != standard.perm).any() for published, standard in pairs):
        notes.append(f"its scan paths are not those of {scheme}, which only stands for them; leave scan empty")
    latents = None
    if network.config.in_channels == 4:
        latents = AUTOENCODERS["sd-v1-5" if getattr(network.config, "text_width", 0) else "sd-vae-ft-ema"]
    content = {
        "id": name,
        "family": f"{checkpoint.family} official",
        "model": checkpoint.config,
        **PREDICTION[checkpoint.family],
        "labels": [numbered_label(i) for i in range(config.labels)] or None,
        "schemes": [] if scheme is None else [scheme],
        "origin": "official",
        "latents": None if latents is None else latents.content(),
        "text": CLIP_L.content() if getattr(network.config, "text_width", 0) else None,
        "about": {**checkpoint.source, "notes": notes, "zigdemo": __version__},
    }
    card = _card(name, checkpoint, config, notes, source)
    path.mkdir(parents=True, exist_ok=True)
    return zoo.write_files(path, content, _unshared(checkpoint.state_dict), card)


def _unshared(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors without shared memory, as safetensors requires; copied only if needed."""
    tensors: dict[str, Tensor] = {}
    addresses: set[int] = set()
    for key, value in state.items():
        is_whole = value.is_contiguous() and value.untyped_storage().nbytes() == value.nbytes
        tensor = (
            value
            if is_whole and value.data_ptr() not in addresses
            else value.clone(memory_format=torch.contiguous_format)
        )
        addresses.add(tensor.data_ptr())
        tensors[key] = tensor
    return tensors


def _card(
    name: str, checkpoint: OfficialCheckpoint, config: OfficialConfig, notes: list[str], source: Source | None
) -> str:
    """The README.md of an imported model. source: where its file was fetched, None for a file that was given."""
    repo = source.repo if source else None
    return fill_card(
        TEMPLATE,
        {"base_model": repo, "tags": ["zigdemo", "diffusion", checkpoint.family.lower()]},
        name=name,
        family=checkpoint.family,
        parameters=f"{config.parameters:,}",
        settings=", ".join(f"{key} {value}" for key, value in checkpoint.config.items()),
        source=source,
        place=f"https://huggingface.co/{repo}" if repo else source and source.url,
        checkpoint=checkpoint,
        version=__version__,
        notes=notes,
    )
