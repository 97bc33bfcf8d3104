"""The official ZigMa on our network, with its scan paths and quirks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from ...scans import ScanOrder, gilbert_rank, scan_scheme
from ..mamba import Mamba
from ..zigma import ZigMa, ZigMaConfig, mixer_settings
from .settings import checked_settings

ZIGMA_NEEDED = ("img_dim", "in_channels", "embed_dim", "depth", "scan_type")
ZIGMA_DEFAULTS: dict[str, Any] = {
    "patch_size": 1,
    "use_pe": 0,
    "tpe": False,
    "video_frames": 0,
    "num_classes": -1,
    "has_text": False,
    "d_context": 0,
    "rms_norm": True,
    "norm_epsilon": 1e-5,
    "ssm_cfg": None,
}
ZIGMA_IGNORED = (
    "n_context_token",
    "drop_path",
    "drop_path_rate",
    "fused_add_norm",
    "residual_in_fp32",
    "initializer_cfg",
    "use_checkpoint",
    "device",
    "dtype",
)
SSM_DEFAULTS: dict[str, Any] = {
    "d_state": 16,
    "d_conv": 4,
    "expand": 2,
    "dt_rank": "auto",
    "conv_bias": True,
    "bias": False,
}
SSM_IGNORED = ("dt_min", "dt_max", "dt_init", "dt_scale", "dt_init_floor", "use_fast_path", "device", "dtype")
# use_pe 3 was meant as one table per layer, but is neither trained nor saved: all zeros.
POSITION_OF_USE_PE = {0: "none", 1: "sincos", 2: "learned", 3: "none"}
SCAN_TYPES = (
    "zigzagN1 to zigzagN8, hilbertN1 to hilbertN8, randomN with the number of paths, v2, or with video_frames v2 and "
    "zzvideo_ with a word of s and t that has both"
)


class TimeMirrored(Mamba):
    """A published layer over time: it restores the output in the order of the other direction, mirrored in time."""

    def __init__(self, frames: int, *settings: Any) -> None:
        super().__init__(*settings)
        self.frames = frames

    def forward(self, tokens: Tensor, *orders: ScanOrder) -> Tensor:
        """As Mamba, with the outputs of each location in reverse order of the frames."""
        return super().forward(tokens, *orders).unflatten(1, (self.frames, -1)).flip(1).flatten(1, 2)


class OfficialZigMa(ZigMa):
    """ZigMa as published: layer i scans along path i mod k, for any number k of arbitrary permutations.

    paths: the k orders, None for those of the config's scheme. A scheme in the call overrides them, as in ZigMa.
    """

    def __init__(self, config: ZigMaConfig, paths: list[ScanOrder] | None) -> None:
        super().__init__(config)
        self.paths = paths
        for name, block, layer in zip(config.schemes, self.blocks, range(config.depth), strict=True):
            if scan_scheme(name).axis(layer) == "time":
                block.mixer = TimeMirrored(config.frames, *mixer_settings(config))

    def scans(self, scheme: str | None = None) -> list[tuple[ScanOrder, ...]]:
        """The orders of every layer: the published ones, or those of a scheme for the same kind of block."""
        if scheme is not None or self.paths is None:
            return super().scans(scheme)
        paths = [self.paths[i % len(self.paths)] for i in range(self.config.depth)]
        return [(path, ScanOrder(path.perm[::-1])) if len(self.config.scans) == 2 else (path,) for path in paths]

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, *, scheme: str | None = None) -> Tensor:
        """x: (batch, channels, H, W), for clips (batch, frames, channels, H, W); t: (batch,) in [0, 1]; y: labels
        (batch,) or text features (batch, words, d_context), ignored by a model that has neither. Returns the velocity,
        a tensor like x. Raises ValueError as ZigMa does.
        """
        return super().forward(x, t, y, scheme=scheme)


def official_zigma(config: Mapping[str, Any], paths: ArrayLike | None = None) -> OfficialZigMa:
    """The official ZigMa of constructor arguments `config`, freshly initialised.

    Arguments and errors as in `build_official`.
    """
    settings = checked_settings("ZigMa", config, ZIGMA_NEEDED, ZIGMA_DEFAULTS, ZIGMA_IGNORED)
    ssm = checked_settings("ssm_cfg", settings["ssm_cfg"] or {}, (), SSM_DEFAULTS, SSM_IGNORED)
    frames = settings["video_frames"]
    if settings["tpe"] and not frames:
        raise ValueError("tpe is a vector for each frame of a video; give video_frames with it")
    if frames and settings["use_pe"] == 1:
        raise ValueError("the published sine table (use_pe 1) is for pictures; give use_pe 0, 2 or 3 for a video")
    if not ssm["conv_bias"] or ssm["bias"]:
        raise ValueError("ssm_cfg must keep conv_bias True and bias False, as every published ZigMa does")
    if settings["use_pe"] not in list(POSITION_OF_USE_PE):
        raise ValueError(f"use_pe {settings['use_pe']!r} is unknown; choose one of 0, 1, 2, 3")
    if settings["has_text"] and not settings["d_context"]:
        raise ValueError("a ZigMa with has_text needs d_context, the width of its text features")
    ours = ZigMaConfig(
        in_channels=settings["in_channels"],
        size=(settings["img_dim"], settings["img_dim"]),
        frames=frames,
        patch=settings["patch_size"],
        width=settings["embed_dim"],
        depth=settings["depth"],
        scheme=_nearest_scheme(settings["scan_type"], frames),
        labels=0 if settings["num_classes"] in (-1, None) else settings["num_classes"],
        null_label=False,
        text_width=settings["d_context"] if settings["has_text"] else 0,
        position=POSITION_OF_USE_PE[settings["use_pe"]],
        frame_position=bool(settings["tpe"]),
        state_size=ssm["d_state"],
        taps=ssm["d_conv"],
        expand=ssm["expand"],
        step_rank=0 if ssm["dt_rank"] == "auto" else ssm["dt_rank"],
        rms_norm=settings["rms_norm"],
        norm_epsilon=settings["norm_epsilon"],
        skip="normalised",
        zero_final=False,
        drop_path=0.1,
    )
    if frames and paths is not None:
        raise ValueError(f"scan type {settings['scan_type']!r} has its own paths; leave paths= out")
    return OfficialZigMa(ours, None if frames else zigma_paths(settings["scan_type"], ours.grid[0], paths))


def zigma_paths(scan_type: str, side: int, paths: ArrayLike | None = None) -> list[ScanOrder]:
    """The official paths of a scan type over side x side tokens.

    The hilbertN types gather with the table of ranks along the curve, so they follow its inverse, with jumps; the
    variants are the table rotated by 0, 90, 180 and 270 degrees, each followed by its transpose. paths:
    (k, side * side), required for randomN, as checkpoints do not contain its paths. Raises ValueError for an unknown
    type or bad paths.
    """
    kind, count = _parse(scan_type)
    if kind == "random":
        if paths is None:
            raise ValueError(
                f"scan type {scan_type!r} drew its paths at random and saved them nowhere; "
                f"give them as paths=, {count} permutations of the {side * side} tokens"
            )
        table = np.asarray(paths)
        if table.shape != (count, side * side):
            raise ValueError(
                f"paths of scan type {scan_type!r} must have shape {(count, side * side)}, not {table.shape}"
            )
        return [ScanOrder(path) for path in table]
    if paths is not None:
        raise ValueError(f"scan type {scan_type!r} has its own paths; leave paths= out")
    if kind == "hilbert":
        rank = gilbert_rank(side, side)
        tables = [table for turns in range(4) for table in (np.rot90(rank, turns), np.rot90(rank, turns).T)]
        return [ScanOrder(table.ravel()) for table in tables[:count]]
    scheme = scan_scheme("zigzag-8" if kind == "zigzag" else "bidirectional")
    return [scheme.order(layer=i, grid=(side, side)) for i in range(count)]


def _parse(scan_type: str) -> tuple[str, int]:
    """Kind and number of paths of an official scan type. Raises ValueError listing the supported ones."""
    match = re.fullmatch(r"(zigzag|hilbert|random)N([1-9][0-9]{0,3})", str(scan_type))
    if scan_type == "v2":
        return "v2", 1
    if match is None or (match[1] != "random" and int(match[2]) > 8):
        raise ValueError(f"scan type {scan_type!r} of ZigMa cannot be built; choose one of {SCAN_TYPES}")
    return match[1], int(match[2])


def _nearest_scheme(scan_type: str, frames: int) -> str:
    """Our scheme with the same paths, else one for the same kind of block, whose paths the network overrides."""
    video = re.fullmatch(r"(?:zz)?video_([st]{2,16})", str(scan_type))
    if frames and video and len(set(video[1])) == 2:
        return f"factorized-{video[1]}"
    if video or (frames and scan_type != "v2"):
        raise ValueError(
            f"scan type {scan_type!r} of ZigMa with video_frames {frames} cannot be built; choose one of {SCAN_TYPES}"
        )
    kind, count = _parse(scan_type)
    if kind == "v2":
        return "bidirectional"
    return f"zigzag-{count}" if kind == "zigzag" and count in (1, 2, 4, 8) else "sweep"
