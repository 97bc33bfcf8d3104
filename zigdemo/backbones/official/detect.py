"""Which official network a set of weights belongs to, and with which constructor's arguments."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from ...checks import is_whole
from .layouts import layout, misfit

NAMED_BY = {  # a weight that only this family has
    "ZigMa": "blocks.0.mixer.A_log",
    "DiG": "blocks.0.attn.gk_proj.0.weight",
    "DiT": "blocks.0.attn.qkv.weight",
}
TWINS = ("DiT", "SiT")  # the same names and shapes
HEADS = {384: 6, 768: 12, 1024: 16, 1152: 16}  # of DiT and SiT by width; no shape tells
SAID_BY_ARGS = {
    "ZigMa": ("img_dim", "scan_type", "use_pe", "video_frames"),
    "DiT": ("num_heads", "num_classes"),
    "SiT": ("num_heads", "num_classes"),
    "DiG": ("num_classes", "bid_mode", "if_quad_dir", "if_in_block_conv"),
}


class _Found:
    """Shapes by name, asked for with the number of dimensions they must have."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = shapes

    def shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        """The shape of a weight; ValueError where it is missing or of another kind."""
        if name not in self.shapes:
            raise ValueError(f"it lacks {name!r}")
        shape = self.shapes[name]
        if len(shape) != dimensions or 0 in shape:
            raise ValueError(f"{name} in it has shape {tuple(shape)}, not {dimensions} sizes of at least 1")
        return shape

    def depth(self) -> int:
        """Number of blocks."""
        numbers = [int(match[1]) for name in self.shapes if (match := re.match(r"blocks\.(\d{1,9})\.", name))]
        depth = max(numbers, default=-1) + 1
        if depth > len(self.shapes):
            raise ValueError(f"it has a block {depth - 1} and only {len(self.shapes)} weights")
        return depth

    def side(self, frames: int = 1) -> int:
        """Tokens along one side of the square that the position table is for."""
        tokens = self.shape("pos_embed", 3)[1]
        side = math.isqrt(tokens // frames)
        if side * side * frames != tokens:
            raise ValueError(f"pos_embed in it is for {tokens} tokens, which are no {frames} squares")
        return side


def find_family(shapes: Mapping[str, tuple[int, ...]], said: str | None) -> str:
    """The family of names and shapes. said: what args, file name or caller say; it decides between DiT and SiT.

    Raises ValueError with a clause about "it" for none of the families, for another one than `said`, and for DiT or
    SiT where nothing is said.
    """
    family = next((family for family, name in NAMED_BY.items() if name in shapes), None)
    if family is None:
        first = ", ".join(list(shapes)[:3])
        raise ValueError(f"its {len(shapes)} weights ({first:.150}, ...) are of no official ZigMa, DiT, SiT or DiG")
    if family in TWINS:
        if said is None:
            raise ValueError("it is a DiT or a SiT, which have the same weights; say which with family=")
        family = said if said in TWINS else family
    if said is not None and said != family:
        raise ValueError(f"its weights are those of {family}, not of {said}")
    return family


def find_settings(
    family: str, shapes: Mapping[str, tuple[int, ...]], said: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Official constructor's arguments (those that differ from the defaults, and the sizes), and notes on guesses.

    said: what is known from elsewhere; it is used only for what names and shapes leave open. Raises ValueError with a
    clause about "it" where something stays open or any name or shape differs from what the arguments lead to.
    """
    known = {name: value for name, value in said.items() if value is not None}
    settings, notes = DETECTORS[family](_Found(shapes), known)
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


def _zigma(found: _Found, known: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    notes = []
    width, channels, patch, _ = found.shape("x_embedder.proj.weight", 4)
    inner, state = found.shape("blocks.0.mixer.A_log", 2)
    ssm = {
        "d_state": state,
        "d_conv": found.shape("blocks.0.mixer.conv1d.weight", 3)[2],
        "expand": inner // width,
        "dt_rank": found.shape("blocks.0.mixer.dt_proj.weight", 2)[1],
    }
    ssm = _but_defaults(ssm, {"d_state": 16, "d_conv": 4, "expand": 2, "dt_rank": math.ceil(width / 16)})
    timed = "temporal_pos_embedding" in found.shapes
    frames = found.shape("temporal_pos_embedding", 3)[1] if timed else _whole(known, "video_frames")
    if "pos_embed" in found.shapes:
        size = patch * found.side(frames or 1)
    elif _whole(known, "img_dim"):
        size = known["img_dim"]
    else:
        raise ValueError("it has no pos_embed and says no image size; give settings={'img_dim': ...}, in latent pixels")
    scan = str(known.get("scan_type", "zigzagN8"))
    if "blocks.0.mixer.A_b_log" in found.shapes:
        scan = "v2"
    elif "scan_type" not in known:
        notes.append("the scan type is in no weight and nothing says it; zigzagN8, the published one, is assumed")
    settings = {"img_dim": size, "in_channels": channels, "patch_size": patch, "embed_dim": width}
    settings |= {"depth": found.depth(), "scan_type": scan}
    if "pos_embed" in found.shapes:
        settings["use_pe"] = 1 if known.get("use_pe") == 1 else 2
    if frames:
        settings["video_frames"] = frames
    if timed:
        settings["tpe"] = True
    if "blocks.0.msa.to_q.weight" in found.shapes:
        settings |= {"has_text": True, "d_context": found.shape("y_embedder.weight", 2)[1]}
    elif "y_embedder.embedding_table.weight" in found.shapes:
        settings["num_classes"] = found.shape("y_embedder.embedding_table.weight", 2)[0]
    if "norm_f.bias" in found.shapes:
        settings["rms_norm"] = False
    if ssm:
        settings["ssm_cfg"] = ssm
    return settings, notes


def _labels_and_sizes(found: _Found, known: Mapping[str, Any]) -> dict[str, Any]:
    """What DiT and DiG have in common."""
    width, channels, patch, _ = found.shape("x_embedder.proj.weight", 4)
    outputs = found.shape("final_layer.linear.weight", 2)[0]
    settings = {"input_size": patch * found.side(), "patch_size": patch, "in_channels": channels}
    settings |= {"hidden_size": width, "depth": found.depth(), "num_classes": 0}
    settings["learn_sigma"] = outputs == 2 * patch**2 * channels
    if "y_embedder.embedding_table.weight" in found.shapes:
        rows = found.shape("y_embedder.embedding_table.weight", 2)[0]
        dropped = _whole(known, "num_classes") != rows  # one more row than classes, for guidance
        settings["num_classes"] = rows - dropped
        if not dropped:
            settings["class_dropout_prob"] = 0.0
    return settings


def _dit(found: _Found, known: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    settings = _labels_and_sizes(found, known)
    width = settings["hidden_size"]
    heads = _whole(known, "num_heads") or HEADS.get(width, 0)
    if not heads:
        raise ValueError("its number of attention heads is in no weight; give settings={'num_heads': ...}")
    if width % heads:
        raise ValueError(f"its width {width} is no multiple of num_heads {heads}")
    settings["num_heads"] = heads
    ratio = found.shape("blocks.0.mlp.fc1.weight", 2)[0] / width
    return settings | _but_defaults({"mlp_ratio": ratio}, {"mlp_ratio": 4.0}), []


def _dig(found: _Found, known: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    settings = _labels_and_sizes(found, known)
    width = settings["hidden_size"]
    values = found.shape("blocks.0.attn.v_proj.weight", 2)[0]
    settings["num_heads"] = values // found.shape("blocks.0.attn.g_norm_swish_gate.weight", 1)[0]
    expand = {"expand_k": found.shape("blocks.0.attn.q_proj.weight", 2)[0] / width, "expand_v": values / width}
    settings |= _but_defaults(expand, {"expand_k": 0.5, "expand_v": 1})
    convolution = "blocks.0.dw_conv.weight" in found.shapes
    settings |= {"bid_mode": known.get("bid_mode", "layer"), "if_dw_conv": convolution}
    settings["if_quad_dir"] = bool(known.get("if_quad_dir", True))
    if convolution:
        kernel = found.shape("blocks.0.dw_conv.weight", 4)[2]
        settings |= _but_defaults({"conv_kernel_size": kernel}, {"conv_kernel_size": 3})
        settings |= _but_defaults(
            {"if_in_block_conv": bool(known.get("if_in_block_conv"))}, {"if_in_block_conv": False}
        )
    if "blocks.0.norm1.weight" in found.shapes:
        settings["if_rms_norm"] = True
    if any(name.endswith("skip_linear.weight") for name in found.shapes):
        settings["if_skip"] = True
    notes = []
    if not {"bid_mode", "if_quad_dir"} <= known.keys():
        notes.append("the scan directions are in no weight; four directions by layer, the published ones, are assumed")
    return settings, notes


DETECTORS: dict[str, Callable[[_Found, Mapping[str, Any]], tuple[dict[str, Any], list[str]]]] = {
    "ZigMa": _zigma,
    "DiT": _dit,
    "SiT": _dit,
    "DiG": _dig,
}


def said_by(family: str | None, args: Any) -> dict[str, Any]:
    """Settings that a checkpoint's args (plain data) give for what the weights leave open.

    ZigMa keeps its constructor's arguments under model.params, with interpolations such as "${data.video_frames}";
    DiG names its factory, such as DiG-S/2-bid-layer-dwconv-qdir.
    """
    if not isinstance(args, dict):
        return {}
    model = args.get("model")
    place = model.get("params", model) if isinstance(model, dict) else args
    said = {name: _resolved(place.get(name), args) for name in SAID_BY_ARGS[family]} if isinstance(place, dict) else {}
    if family == "DiG" and isinstance(model, str) and (match := re.search(r"[-_]bid[-_](layer|seq)", model)):
        said |= {"bid_mode": match[1], "if_quad_dir": "qdir" in model}
    return {name: value for name, value in said.items() if isinstance(value, str | int | float)}


def _resolved(value: Any, args: dict[str, Any]) -> Any:
    """What an interpolation to another setting stands for; anything else as it is."""
    match = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
    if match is None:
        return value
    for name in match[1].split("."):
        args = args.get(name) if isinstance(args, dict) else None
    return None if isinstance(args, str) and args.startswith("${") else args


def family_said(args: Any, file_name: str) -> str | None:
    """DiT, SiT or DiG as the args or, where these are silent, the file's name say it; None where neither does."""
    model = args.get("model") if isinstance(args, dict) else None
    for text in (model if isinstance(model, str) else "", file_name):
        match = re.search(r"(?<![A-Za-z])(DiT|SiT)(?![A-Za-z])", text, re.IGNORECASE)
        if match:
            return next(family for family in TWINS if family.lower() == match[1].lower())
    if isinstance(args, dict) and "path_type" in args:  # a setting of SiT's training that DiT has not
        return "SiT"
    return None
