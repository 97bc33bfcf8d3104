"""Detection of the official network of a set of weights, and of its constructor's arguments."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from ...checks import is_whole
from .layouts import layout, misfit

SIGNATURES = {  # a weight that only this family has
    "ZigMa": "blocks.0.mixer.A_log",
    "DiG": "blocks.0.attn.gk_proj.0.weight",
    "DiT": "blocks.0.attn.qkv.weight",
}
TWINS = ("DiT", "SiT")  # with the same names and shapes
HEADS = {384: 6, 768: 12, 1024: 16, 1152: 16}  # of DiT and SiT by width, as no shape depends on it
ARGS_SETTINGS = {
    "ZigMa": ("img_dim", "scan_type", "use_pe", "video_frames"),
    "DiT": ("num_heads", "num_classes"),
    "SiT": ("num_heads", "num_classes"),
    "DiG": ("num_classes", "bid_mode", "if_quad_dir", "if_in_block_conv"),
}


class _Shapes:
    """Shapes by name, with checks of their number of dimensions."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = shapes

    def shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        """The shape of a weight. Raises ValueError if it is missing or has other dimensions."""
        if name not in self.shapes:
            raise ValueError(f"it lacks {name!r}")
        shape = self.shapes[name]
        if len(shape) != dimensions or 0 in shape:
            raise ValueError(f"{name} in it has shape {tuple(shape)}, not {dimensions} sizes of at least 1")
        return shape

    def depth(self) -> int:
        """Number of blocks. Raises ValueError if it exceeds the number of weights."""
        numbers = [int(match[1]) for name in self.shapes if (match := re.match(r"blocks\.(\d{1,9})\.", name))]
        depth = max(numbers, default=-1) + 1
        if depth > len(self.shapes):
            raise ValueError(f"it has a block {depth - 1} and only {len(self.shapes)} weights")
        return depth

    def side(self, frames: int = 1) -> int:
        """Side of the square grid of the position table, in tokens. Raises ValueError if it is not square."""
        tokens = self.shape("pos_embed", 3)[1]
        side = math.isqrt(tokens // frames)
        if side * side * frames != tokens:
            raise ValueError(f"pos_embed in it is for {tokens} tokens, which are no {frames} squares")
        return side


def find_family(shapes: Mapping[str, tuple[int, ...]], hint: str | None) -> str:
    """The family of these names and shapes. hint: from args, file name or caller; it decides between DiT and SiT.

    Raises ValueError with a clause about "it" for an unknown family, for one that contradicts the hint, and for DiT or
    SiT without a hint.
    """
    family = next((family for family, name in SIGNATURES.items() if name in shapes), None)
    if family is None:
        first = ", ".join(list(shapes)[:3])
        raise ValueError(f"its {len(shapes)} weights ({first:.150}, ...) are of no official ZigMa, DiT, SiT or DiG")
    if family in TWINS:
        if hint is None:
            raise ValueError("it is a DiT or a SiT, which have the same weights; say which with family=")
        family = hint if hint in TWINS else family
    if hint is not None and hint != family:
        raise ValueError(f"its weights are those of {family}, not of {hint}")
    return family


def find_settings(
    family: str, shapes: Mapping[str, tuple[int, ...]], hints: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Arguments of the official constructor (sizes, and others that are not default), and notes on assumptions.

    hints: settings from elsewhere, used only if names and shapes do not determine them. Raises ValueError with a clause
    about "it" if a setting remains unknown, or if a name or shape contradicts the arguments.
    """
    known_hints = {name: value for name, value in hints.items() if value is not None}
    settings, notes = DETECTORS[family](_Shapes(shapes), known_hints)
    fault = misfit(layout(family, settings).shapes(), shapes, f"a {family} of its size")
    if fault:
        raise ValueError(f"it {fault}")
    return settings, notes


def _whole(known: Mapping[str, Any], name: str) -> int:
    """A whole number that is said, or 0."""
    value = known.get(name)
    return value if is_whole(value, 1) else 0


def _but_defaults(settings: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in defaults or defaults[name] != value}


def _zigma(weights: _Shapes, hints: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    notes = []
    width, channels, patch, _ = weights.shape("x_embedder.proj.weight", 4)
    inner, state = weights.shape("blocks.0.mixer.A_log", 2)
    ssm = {
        "d_state": state,
        "d_conv": weights.shape("blocks.0.mixer.conv1d.weight", 3)[2],
        "expand": inner // width,
        "dt_rank": weights.shape("blocks.0.mixer.dt_proj.weight", 2)[1],
    }
    ssm = _but_defaults(ssm, {"d_state": 16, "d_conv": 4, "expand": 2, "dt_rank": math.ceil(width / 16)})
    timed = "temporal_pos_embedding" in weights.shapes
    frames = weights.shape("temporal_pos_embedding", 3)[1] if timed else _whole(hints, "video_frames")
    if "pos_embed" in weights.shapes:
        size = patch * weights.side(frames or 1)
    elif _whole(hints, "img_dim"):
        size = hints["img_dim"]
    else:
        raise ValueError("it has no pos_embed and says no image size; give settings={'img_dim': ...}, in latent pixels")
    scan = str(hints.get("scan_type", "zigzagN8"))
    if "blocks.0.mixer.A_b_log" in weights.shapes:
        scan = "v2"
    elif "scan_type" not in hints:
        notes.append("the scan type is in no weight and nothing says it; zigzagN8, the published one, is assumed")
    settings = {"img_dim": size, "in_channels": channels, "patch_size": patch, "embed_dim": width}
    settings |= {"depth": weights.depth(), "scan_type": scan}
    if "pos_embed" in weights.shapes:
        settings["use_pe"] = 1 if hints.get("use_pe") == 1 else 2
    if frames:
        settings["video_frames"] = frames
    if timed:
        settings["tpe"] = True
    if "blocks.0.msa.to_q.weight" in weights.shapes:
        settings |= {"has_text": True, "d_context": weights.shape("y_embedder.weight", 2)[1]}
    elif "y_embedder.embedding_table.weight" in weights.shapes:
        settings["num_classes"] = weights.shape("y_embedder.embedding_table.weight", 2)[0]
    if "norm_f.bias" in weights.shapes:
        settings["rms_norm"] = False
    if ssm:
        settings["ssm_cfg"] = ssm
    return settings, notes


def _labels_and_sizes(weights: _Shapes, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that DiT and DiG share."""
    width, channels, patch, _ = weights.shape("x_embedder.proj.weight", 4)
    outputs = weights.shape("final_layer.linear.weight", 2)[0]
    settings = {"input_size": patch * weights.side(), "patch_size": patch, "in_channels": channels}
    settings |= {"hidden_size": width, "depth": weights.depth(), "num_classes": 0}
    settings["learn_sigma"] = outputs == 2 * patch**2 * channels
    if "y_embedder.embedding_table.weight" in weights.shapes:
        rows = weights.shape("y_embedder.embedding_table.weight", 2)[0]
        dropped = _whole(hints, "num_classes") != rows  # one more row than classes, for guidance
        settings["num_classes"] = rows - dropped
        if not dropped:
            settings["class_dropout_prob"] = 0.0
    return settings


def _dit(weights: _Shapes, hints: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    settings = _labels_and_sizes(weights, hints)
    width = settings["hidden_size"]
    heads = _whole(hints, "num_heads") or HEADS.get(width, 0)
    if not heads:
        raise ValueError("its number of attention heads is in no weight; give settings={'num_heads': ...}")
    if width % heads:
        raise ValueError(f"its width {width} is no multiple of num_heads {heads}")
    settings["num_heads"] = heads
    ratio = weights.shape("blocks.0.mlp.fc1.weight", 2)[0] / width
    return settings | _but_defaults({"mlp_ratio": ratio}, {"mlp_ratio": 4.0}), []


def _dig(weights: _Shapes, hints: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    settings = _labels_and_sizes(weights, hints)
    width = settings["hidden_size"]
    values = weights.shape("blocks.0.attn.v_proj.weight", 2)[0]
    settings["num_heads"] = values // weights.shape("blocks.0.attn.g_norm_swish_gate.weight", 1)[0]
    expand = {"expand_k": weights.shape("blocks.0.attn.q_proj.weight", 2)[0] / width, "expand_v": values / width}
    settings |= _but_defaults(expand, {"expand_k": 0.5, "expand_v": 1})
    convolution = "blocks.0.dw_conv.weight" in weights.shapes
    settings |= {"bid_mode": hints.get("bid_mode", "layer"), "if_dw_conv": convolution}
    settings["if_quad_dir"] = bool(hints.get("if_quad_dir", True))
    if convolution:
        kernel = weights.shape("blocks.0.dw_conv.weight", 4)[2]
        settings |= _but_defaults({"conv_kernel_size": kernel}, {"conv_kernel_size": 3})
        settings |= _but_defaults(
            {"if_in_block_conv": bool(hints.get("if_in_block_conv"))}, {"if_in_block_conv": False}
        )
    if "blocks.0.norm1.weight" in weights.shapes:
        settings["if_rms_norm"] = True
    if any(name.endswith("skip_linear.weight") for name in weights.shapes):
        settings["if_skip"] = True
    notes = []
    if not {"bid_mode", "if_quad_dir"} <= hints.keys():
        notes.append("the scan directions are in no weight; four directions by layer, the published ones, are assumed")
    return settings, notes


DETECTORS: dict[str, Callable[[_Shapes, Mapping[str, Any]], tuple[dict[str, Any], list[str]]]] = {
    "ZigMa": _zigma,
    "DiT": _dit,
    "SiT": _dit,
    "DiG": _dig,
}


def settings_hint(family: str | None, args: Any) -> dict[str, Any]:
    """Settings in a checkpoint's args (plain data) that the weights do not determine.

    ZigMa has its constructor's arguments under model.params, with interpolations such as "${data.video_frames}"; DiG
    has the name of its factory, such as DiG-S/2-bid-layer-dwconv-qdir.
    """
    if not isinstance(args, dict):
        return {}
    model = args.get("model")
    place = model.get("params", model) if isinstance(model, dict) else args
    hints = (
        {name: _resolved(place.get(name), args) for name in ARGS_SETTINGS[family]} if isinstance(place, dict) else {}
    )
    if family == "DiG" and isinstance(model, str) and (match := re.search(r"[-_]bid[-_](layer|seq)", model)):
        hints |= {"bid_mode": match[1], "if_quad_dir": "qdir" in model}
    return {name: value for name, value in hints.items() if isinstance(value, str | int | float)}


def _resolved(value: Any, args: dict[str, Any]) -> Any:
    """The value of an interpolation of another setting; anything else unchanged."""
    match = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
    if match is None:
        return value
    for name in match[1].split("."):
        args = args.get(name) if isinstance(args, dict) else None
    return None if isinstance(args, str) and args.startswith("${") else args


def family_hint(args: Any, file_name: str) -> str | None:
    """DiT or SiT according to args or else the file name; None if neither says it."""
    model = args.get("model") if isinstance(args, dict) else None
    for text in (model if isinstance(model, str) else "", file_name):
        match = re.search(r"(?<![A-Za-z])(DiT|SiT)(?![A-Za-z])", text, re.IGNORECASE)
        if match:
            return next(family for family in TWINS if family.lower() == match[1].lower())
    if isinstance(args, dict) and "path_type" in args:  # a training setting that only SiT has
        return "SiT"
    return None
