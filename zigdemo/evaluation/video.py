"""Scores of clips: what their frames look like, what the whole looks like, and how much they move."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .features import Features, check_items
from .frechet import FeatureMoments, floor, frechet_distance, frechet_score
from .scores import Score

WINDOW, PASSES, COARSEST_PX = 7, 3, 12
FLATNESS = 3e-5  # added to squared gradients in [0, 1] a pixel: where there is nothing to follow, nothing moves


def mean_frame_difference(clips: np.ndarray) -> np.ndarray:
    """Mean absolute difference of frames that follow each other, (n,), in shares of full brightness.

    clips: (n, T, H, W, 3) uint8, T >= 2. A still has 0.
    """
    _check_moving(clips)
    return np.array([np.abs(np.diff(clip.astype(np.int16), axis=0)).mean() / 255 for clip in clips])


@torch.inference_mode()
def flow_energy(clips: np.ndarray) -> np.ndarray:
    """Mean squared speed of the optical flow over pixels and frames, (n,), in px^2 a frame^2.

    clips: (n, T, H, W, 3) uint8, T >= 2. Other than the frame difference, it is the same for faint and strong colours.
    """
    _check_moving(clips)
    found = []
    for clip in clips:
        grey = torch.from_numpy(np.array(clip)).float().mean(-1)[:, None] / 255
        found.append(float(optical_flow(grey[:-1], grey[1:]).square().sum(1).mean()))
    return np.array(found)


def optical_flow(before: Tensor, after: Tensor) -> Tensor:
    """Flow (n, 2, H, W) in pixels, x then y, with after(p + flow(p)) = before(p), from coarse to fine.

    before, after: (n, 1, H, W) in [0, 1]. Follows motions up to about an eighth of the side; plain surfaces stand.
    Source: Lucas & Kanade 1981, iterated on a pyramid as in Bouguet 2001.
    """
    height, width = before.shape[-2:]
    flow = before.new_zeros(len(before), 2, height, width)
    if min(height, width) >= 2 * COARSEST_PX:
        coarse = optical_flow(*(F.avg_pool2d(each, 2) for each in (before, after)))
        flow = 2 * F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    dy, dx = torch.gradient(before[:, 0], dim=(1, 2))
    xx, xy, yy = _windowed(dx * dx), _windowed(dx * dy), _windowed(dy * dy)
    determinant = (xx + FLATNESS) * (yy + FLATNESS) - xy * xy
    for _ in range(PASSES):
        change = before[:, 0] - _warped(after, flow)[:, 0]
        # The whole flow is solved for, not its change: a plain surface forgets what coarser levels spread over it.
        x = _windowed(dx * change) + xx * flow[:, 0] + xy * flow[:, 1]
        y = _windowed(dy * change) + xy * flow[:, 0] + yy * flow[:, 1]
        flow = torch.stack([(yy + FLATNESS) * x - xy * y, (xx + FLATNESS) * y - xy * x], 1) / determinant[:, None]
    return flow


def clip_scores(pictures: Features, clips: Features, real: np.ndarray, made: np.ndarray, seed: int = 0) -> list[Score]:
    """Frame-wise and video Frechet distance, frame difference and flow energy of made clips against real ones.

    pictures: features of the frames; clips: of whole clips, `over_time(pictures)` or I3D's. real, made: uint8
    (m, T, H, W, 3) and (n, T, H, W, 3). The frame-wise floor splits the clips, not the frames, as those of one clip are
    alike. The two measures of
    motion have those of the real clips beside them.
    Raises ValueError where the clips are of other lengths or sizes.
    """
    for each in (real, made):
        _check_moving(each)
    if real.shape[1:] != made.shape[1:]:
        raise ValueError(f"real clips are {real.shape[1:]} and made ones {made.shape[1:]}; give both the same shape")
    frames = pictures(real.reshape(-1, *real.shape[2:])).reshape(*real.shape[:2], -1)
    drawn = pictures(made.reshape(-1, *made.shape[2:]))

    def measure(a: np.ndarray, b: np.ndarray) -> float:
        return frechet_distance(*(FeatureMoments.of(each.reshape(-1, frames.shape[-1])) for each in (a, b)))

    value = measure(frames, drawn)
    low, spread, sizes = floor(measure, frames, len(made), seed)
    scores = [
        Score(f"frame-wise {pictures.distance}", value, len(made), low, f"{sizes} clips", seed, floor_error=spread),
        frechet_score(clips, clips(real), FeatureMoments.of(clips(made)), seed),
    ]
    for name, motion in (("mean frame difference", mean_frame_difference), ("flow energy (px^2)", flow_energy)):
        ours, theirs = motion(made), motion(real)
        means, errors = (float(ours.mean()), float(theirs.mean())), (_error(ours), _error(theirs))
        scores.append(Score(name, means[0], len(made), means[1], "real clips", seed, *errors))
    return scores


def _error(values: np.ndarray) -> float | None:
    """Standard error of the mean; None for one value."""
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None


def _check_moving(clips: np.ndarray) -> None:
    check_items(clips, clips=True)
    if clips.shape[1] < 2:
        raise ValueError("clips must have at least 2 frames; one frame does not move")


def _windowed(values: Tensor) -> Tensor:
    """Means over windows around every pixel, (n, H, W)."""
    side = WINDOW // 2
    return F.avg_pool2d(F.pad(values[:, None], (side,) * 4, mode="replicate"), WINDOW, stride=1)[:, 0]


def _warped(pictures: Tensor, flow: Tensor) -> Tensor:
    """Pictures (n, 1, H, W) read at every pixel plus its flow, between pixels linearly, over the edge its colour."""
    height, width = pictures.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([(x + flow[:, 0] + 0.5) * 2 / width - 1, (y + flow[:, 1] + 0.5) * 2 / height - 1], -1)
    return F.grid_sample(pictures, places, mode="bilinear", padding_mode="border", align_corners=False)
