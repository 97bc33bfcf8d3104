"""Autoencoders in the format of diffusers, which is imported only to load one."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checks import choice, read_fields, shown, whole
from ..files import file_sha256, find_part
from ..huggingface import hub_file, is_repository
from .spaces import Latents

KINDS = {"kl": "AutoencoderKL", "tiny": "AutoencoderTiny"}  # the class names of diffusers
CONFIG, TENSORS = "config.json", "diffusion_pytorch_model.safetensors"
TILED_FROM_PX = 1024 * 1024  # pictures with at least so many pixels are processed in overlapping tiles
SWATCH_PX = 64  # side of the uniformly coloured pictures to which previews are fitted
MOST_CONFIG_BYTES = 2**20


@dataclass(frozen=True)
class AutoencoderSpec:
    """The autoencoder of a model's latents, named without loading it.

    kind: of KINDS. source: id of a folder in diffusers' format beside the weights (or an absolute path), else
    owner/name on huggingface.co. subfolder: inside the source. channels, factor: of its latents. Raises ValueError
    naming the field.
    """

    kind: str
    source: str
    subfolder: str = ""
    channels: int = 4
    factor: int = 8

    def __post_init__(self) -> None:
        choice("kind of autoencoder", self.kind, KINDS)
        if not isinstance(self.source, str) or not self.source or len(self.source) > 1000:
            raise ValueError(f"source of an autoencoder must be owner/name or a folder, not {shown(self.source)}")
        parts = self.subfolder.split("/") if isinstance(self.subfolder, str) else [".."]
        if self.subfolder and any(part in ("..", "") for part in parts):
            raise ValueError(f"subfolder of an autoencoder must be a folder inside it, not {shown(self.subfolder)}")
        for name in ("channels", "factor"):
            whole(f"{name} of an autoencoder", getattr(self, name), 1, 1024)

    @classmethod
    def read(cls, content: Any) -> AutoencoderSpec:
        """The spec under "latents" in a model's config. Raises ValueError with one sentence."""
        return read_fields("latents", content, cls, ["kind", "source"])

    def content(self) -> dict[str, Any]:
        """The content that `read` reads, for JSON."""
        return asdict(self)

    def load(self, device: str | torch.device = "cpu", places: Sequence[Path] = ()) -> Autoencoder:
        """The autoencoder in float32, downloaded if needed. places: folders in which an id is looked up.

        Raises ValueError with one sentence if it cannot be downloaded, is damaged, has no safetensors or does not match
        this spec.
        """
        folder = self.find(places) or self._download()
        try:
            network = _read(folder, KINDS[self.kind])
        except (ValueError, OSError, RuntimeError, KeyError, TypeError) as fault:
            reason = (str(fault).splitlines() or [type(fault).__name__])[0][:200]
            raise ValueError(f"the autoencoder in {folder} cannot be used: {reason}") from None
        autoencoder = Autoencoder(network.to(device), self, file_sha256(folder / TENSORS))
        if (autoencoder.channels, autoencoder.factor) != (self.channels, self.factor):
            raise ValueError(
                f"the autoencoder in {folder} has {autoencoder.channels} channels and factor {autoencoder.factor}, "
                f"where the model needs {self.channels} and {self.factor}; give another source"
            )
        return autoencoder

    def find(self, places: Sequence[Path]) -> Path | None:
        """The local folder with its two files, or None."""
        source = find_part(self.source, places, f"{self.subfolder}/{CONFIG}" if self.subfolder else CONFIG)
        return None if source is None else source / self.subfolder

    def _download(self) -> Path:
        """The folder with its two downloaded files."""
        if Path(self.source).is_absolute():
            raise ValueError(f"there is no autoencoder folder {self.source}; give a folder or owner/name")
        if not is_repository(self.source):
            raise ValueError(
                f"the autoencoder {self.source!r} is not here; copy its folder beside the model's, or give owner/name"
            )
        prefix = f"{self.subfolder}/" if self.subfolder else ""
        otherwise = "fetch it once with a network, or choose a model that draws pixels, such as zigma-emoji"
        paths = [hub_file(self.source, prefix + file, self.source, otherwise) for file in (CONFIG, TENSORS)]
        return paths[0].parent


def folder_spec(name: str, places: Sequence[Path] = ()) -> AutoencoderSpec:
    """The spec of an autoencoder folder (a path, or an id in the places), read from its config.

    A name that is no local folder is an AutoencoderKL on huggingface.co. Raises ValueError for an invalid config.
    """
    folder = Path(name).resolve() if (Path(name) / CONFIG).is_file() else find_part(name, places, CONFIG)
    if folder is None:
        return AutoencoderSpec("kl", name)
    content = _config(folder)
    kind = next((kind for kind, title in KINDS.items() if title == content.get("_class_name")), None)
    if kind is None:
        raise ValueError(f"{folder} is no autoencoder: its {CONFIG} must be that of one of {', '.join(KINDS.values())}")
    widths = content.get("block_out_channels" if kind == "kl" else "decoder_block_out_channels")
    if not isinstance(widths, list) or not widths:
        raise ValueError(f"{folder} is no autoencoder: its {CONFIG} names no channels of blocks")
    source = str(folder) if Path(name).resolve() == folder else name
    return AutoencoderSpec(kind, source, channels=content.get("latent_channels"), factor=2 ** (len(widths) - 1))


AUTOENCODERS = {
    "sd-vae-ft-ema": AutoencoderSpec("kl", "stabilityai/sd-vae-ft-ema"),
    "sd-vae-ft-mse": AutoencoderSpec("kl", "stabilityai/sd-vae-ft-mse"),
    # The mirror of runwayml/stable-diffusion-v1-5, which the official scripts name and which was taken down.
    "sd-v1-5": AutoencoderSpec("kl", "stable-diffusion-v1-5/stable-diffusion-v1-5", "vae"),
    "taesd": AutoencoderSpec("tiny", "madebyollin/taesd"),
}


def named_spec(name: str, places: Sequence[Path] = ()) -> AutoencoderSpec:
    """The spec of one of AUTOENCODERS, or as of `folder_spec`."""
    return AUTOENCODERS.get(name) or folder_spec(name, places)


def _config(folder: Path) -> dict[str, Any]:
    """The parsed config of a folder. Raises ValueError if it is too long or no object."""
    config = folder / CONFIG
    if config.stat().st_size > MOST_CONFIG_BYTES:
        raise ValueError(f"its {CONFIG} is far larger than a config")
    content = json.loads(config.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"its {CONFIG} is no object")
    return content


def _read(folder: Path, kind: str) -> nn.Module:
    """The network in a folder in diffusers' format: safetensors only, all weights present and finite, float32."""
    config, weights = folder / CONFIG, folder / TENSORS
    if not config.is_file() or not weights.is_file():
        raise ValueError(f"it needs {CONFIG} and {TENSORS}, files of other names are not read")
    if _config(folder).get("_class_name") != kind:
        raise ValueError(f"its {CONFIG} is not that of an {kind}")
    import diffusers

    network, loading = getattr(diffusers, kind).from_pretrained(
        folder, use_safetensors=True, local_files_only=True, output_loading_info=True, torch_dtype=torch.float32
    )
    absent = loading["missing_keys"] or loading["unexpected_keys"] or loading["mismatched_keys"]
    if absent:
        raise ValueError(f"its config and its weights do not belong together, see {sorted(map(str, absent))[0]}")
    if not all(value.isfinite().all() for value in network.state_dict().values()):
        raise ValueError("its weights hold NaN or infinity")
    return network.requires_grad_(False).eval()


class Autoencoder(Latents):
    """AutoencoderKL or AutoencoderTiny of diffusers, with latents scaled as networks trained on them expect.

    network: in eval mode. Pictures are processed one at a time, large ones in tiles, so that neither memory nor results
    depend on the batch size. Thread-safe.
    """

    def __init__(self, network: nn.Module, spec: AutoencoderSpec, sha256: str) -> None:
        self.network, self.sha256 = network.to(memory_format=torch.channels_last), sha256  # faster on CPUs
        self.name = "/".join(filter(None, (spec.source, spec.subfolder)))
        self.channels = network.config.latent_channels
        widths = network.config.block_out_channels if spec.kind == "kl" else network.config.decoder_block_out_channels
        self.factor = 2 ** (len(widths) - 1)
        self.scale, self.shift = network.config.scaling_factor, network.config.shift_factor or 0.0
        self._has_posterior = spec.kind == "kl"
        self._lock = threading.Lock()  # tiling is a setting of the network

    def _tiled(self, pixels: int) -> None:
        self.network.use_tiling = pixels >= TILED_FROM_PX

    @torch.inference_mode()
    def encode(self, pixels: Tensor, generator: torch.Generator | None = None, at_once: int = 1) -> Tensor:
        """Scaled latents. generator: to sample the posterior of an AutoencoderKL; without one, its mean. at_once:
        pictures per call of the network, on which the last digits may depend.

        Raises ValueError if the sides are no multiples of the factor, or for a tiny autoencoder with a generator.
        """
        if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.shape[2] % self.factor or pixels.shape[3] % self.factor:
            raise ValueError(
                f"pixels must be (batch, 3, H, W) with sides that are multiples of {self.factor}, "
                f"not {tuple(pixels.shape)}"
            )
        if generator is not None and not self._has_posterior:
            raise ValueError(f"{self.name} has no spread to sample from; leave generator out")
        parts = []
        with self._lock:
            self._tiled(pixels.shape[2] * pixels.shape[3])
            for item in pixels.to(self.network.device, torch.float32).split(at_once):
                output = self.network.encode(item)
                if not self._has_posterior:
                    parts.append(output.latents)
                else:
                    posterior = output.latent_dist
                    parts.append(posterior.mode() if generator is None else posterior.sample(generator))
        return (torch.cat(parts) - self.shift) * self.scale

    @torch.inference_mode()
    def decode(self, latents: Tensor, at_once: int = 1) -> Tensor:
        """Pixels (batch, 3, H, W) of scaled latents, not clamped. at_once: as in `encode`.

        Raises ValueError for a wrong number of channels.
        """
        if latents.ndim != 4 or latents.shape[1] != self.channels:
            raise ValueError(f"latents must be (batch, {self.channels}, H, W), not {tuple(latents.shape)}")
        latents = latents.to(self.network.device, torch.float32) / self.scale + self.shift
        with self._lock:
            self._tiled(latents.shape[2] * latents.shape[3] * self.factor**2)
            return torch.cat([self.network.decode(item).sample for item in latents.split(at_once)])

    @cached_property
    def _colours(self) -> tuple[Tensor, Tensor]:
        """Matrix (3, channels) and offset (3,) from a latent to its colour.

        Fitted by least squares to uniform pictures in the colours at the corners, faces and centre of the RGB cube.
        """
        cube = torch.tensor(list(product((-1.0, 0.0, 1.0), repeat=3)))
        colours = cube[(cube == 0).sum(1) != 1]
        size = max(SWATCH_PX, 4 * self.factor)
        latents = self.encode(colours[:, :, None, None].expand(-1, -1, size, size)).cpu()
        centre = latents[:, :, latents.shape[2] // 2, latents.shape[3] // 2]
        inputs = torch.cat([centre, torch.ones(len(centre), 1)], 1).double()
        # Slight ridge regularisation, as uniform colours may not span all directions of the latents.
        squares = (
            inputs.T @ inputs + 1e-3 * len(inputs) * torch.diag(torch.tensor([1.0] * self.channels + [0.0])).double()
        )
        solution = torch.linalg.solve(squares, inputs.T @ colours.double()).float()
        return solution[:-1].T, solution[-1]

    def preview(self, latents: Tensor) -> Tensor:
        """A colour for each latent, (batch, 3, H/f, W/f), by a linear map instead of the decoder."""
        matrix, offset = self._colours
        return torch.einsum("oc,bchw->bohw", matrix, latents.float().cpu()) + offset[:, None, None]
