"""Scores of clips: appearance of the frames, appearance of the whole clip, and amount of motion."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .features import Features, check_items
from .frechet import FeatureMoments, floor, frechet_distance, frechet_score
from .scores import Score

# Of the optical flow: side of the window in pixels, updates at each scale, and the least side of the coarsest scale.
WINDOW, PASSES, COARSEST_PX = 7, 3, 12
FLATNESS = 3e-5  # regulariser added to squared gradients (values in [0, 1]): no flow without texture


def mean_frame_difference(clips: np.ndarray) -> np.ndarray:
    """Mean absolute difference of successive frames, (n,), as a share of full brightness.

    clips: (n, T, H, W, 3) uint8, T >= 2. 0 for a still. Raises ValueError for anything else.
    """
    _check_moving(clips)
    return np.array([np.abs(np.diff(clip.astype(np.int16), axis=0)).mean() / 255 for clip in clips])


@torch.inference_mode()
def flow_energy(clips: np.ndarray) -> np.ndarray:
    """Mean squared speed of the optical flow over pixels and frames, (n,), in px^2 per frame^2.

    clips: (n, T, H, W, 3) uint8, T >= 2. Unlike the frame difference it does not depend on contrast. Raises ValueError
    for anything else.
    """
    _check_moving(clips)
    energies = []
    for clip in clips:
        grey = torch.from_numpy(np.array(clip)).float().mean(-1)[:, None] / 255
        energies.append(float(optical_flow(grey[:-1], grey[1:]).square().sum(1).mean()))
    return np.array(energies)


def optical_flow(before: Tensor, after: Tensor) -> Tensor:
    """Flow (n, 2, H, W) in pixels, x then y, with after(p + flow(p)) = before(p), from coarse to fine.

    before, after: (n, 1, H, W) in [0, 1]. Tracks motions up to about an eighth of the side; textureless areas get none.
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
        # Solves for the flow, not its update, so that flow from coarser levels vanishes in textureless areas.
        x = _windowed(dx * change) + xx * flow[:, 0] + xy * flow[:, 1]
        y = _windowed(dy * change) + xy * flow[:, 0] + yy * flow[:, 1]
        flow = torch.stack([(yy + FLATNESS) * x - xy * y, (xx + FLATNESS) * y - xy * x], 1) / determinant[:, None]
    return flow


def clip_scores(
    pictures: Features, clips: Features, real: np.ndarray, generated: np.ndarray, seed: int = 0
) -> list[Score]:
    """Frame-wise and video Frechet distance, frame difference and flow energy of generated clips against real ones.

    pictures: features of frames; clips: of whole clips, `over_time(pictures)` or I3D. real, generated: uint8
    (m, T, H, W, 3) and (n, T, H, W, 3). The frame-wise floor splits the clips, not the frames, as frames of one clip
    are alike. The baseline of the two measures of motion is their value on the real clips.
    Raises ValueError if lengths or sizes of the clips differ.
    """
    for each in (real, generated):
        _check_moving(each)
    if real.shape[1:] != generated.shape[1:]:
        raise ValueError(
            f"real clips are {real.shape[1:]} and generated ones {generated.shape[1:]}; give both the same shape"
        )
    frames = pictures(real.reshape(-1, *real.shape[2:])).reshape(*real.shape[:2], -1)
    generated_frames = pictures(generated.reshape(-1, *generated.shape[2:]))

    def measure(a: np.ndarray, b: np.ndarray) -> float:
        return frechet_distance(*(FeatureMoments.of(each.reshape(-1, frames.shape[-1])) for each in (a, b)))

    value = measure(frames, generated_frames)
    low, spread, sizes = floor(measure, frames, len(generated), seed)
    scores = [
        Score(
            f"frame-wise {pictures.distance}", value, len(generated), low, f"{sizes} clips", seed, floor_error=spread
        ),
        frechet_score(clips, clips(real), FeatureMoments.of(clips(generated)), seed),
    ]
    for name, motion in (("mean frame difference", mean_frame_difference), ("flow energy (px^2)", flow_energy)):
        of_generated, of_real = motion(generated), motion(real)
        means, errors = (float(of_generated.mean()), float(of_real.mean())), (_error(of_generated), _error(of_real))
        scores.append(Score(name, means[0], len(generated), means[1], "real clips", seed, *errors))
    return scores


def _error(values: np.ndarray) -> float | None:
    """Standard error of the mean; None for one value."""
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None


def _check_moving(clips: np.ndarray) -> None:
    """Raises ValueError for anything but clips (n, T, H, W, 3) uint8 with T >= 2."""
    check_items(clips, clips=True)
    if clips.shape[1] < 2:
        raise ValueError("clips must have at least 2 frames; one frame does not move")


def _windowed(values: Tensor) -> Tensor:
    """Means over a window around every pixel, (n, H, W)."""
    side = WINDOW // 2
    return F.avg_pool2d(F.pad(values[:, None], (side,) * 4, mode="replicate"), WINDOW, stride=1)[:, 0]


def _warped(pictures: Tensor, flow: Tensor) -> Tensor:
    """Pictures (n, 1, H, W) sampled bilinearly at every pixel plus its flow; the border is repeated."""
    height, width = pictures.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([(x + flow[:, 0] + 0.5) * 2 / width - 1, (y + flow[:, 1] + 0.5) * 2 / height - 1], -1)
    return F.grid_sample(pictures, places, mode="bilinear", padding_mode="border", align_corners=False)
