"""Scores of clips, on motions that are known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from extractors import corner_features

from zigdemo.evaluation import clip_scores, flow_energy, mean_frame_difference, over_time
from zigdemo.evaluation.video import optical_flow


def texture(side=96, seed=0):
    """A smooth random picture, (side, side) in [0, 1]."""
    coarse = torch.rand(1, 1, side // 8, side // 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)[0, 0]


def disc(x, side=64, radius=10):
    rows, columns = np.mgrid[:side, :side]
    dark = 1 / (1 + np.exp(((columns - x) ** 2 + (rows - side / 2) ** 2) ** 0.5 - radius))
    return np.repeat((255 * (1 - 0.8 * dark)).astype(np.uint8)[..., None], 3, -1)


def noise(count, frames=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, frames, 16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize(("x", "y"), [(1, 0), (0, -2), (3, 2), (-6, 4)])
def test_a_shift_is_found_by_the_flow(x, y):
    wide = texture()
    before, after = wide[16:80, 16:80], wide[16 - y : 80 - y, 16 - x : 80 - x]
    flow = optical_flow(before[None, None], after[None, None])[0, :, 8:-8, 8:-8]
    assert flow[0].median() == pytest.approx(x, abs=0.4) and flow[1].median() == pytest.approx(y, abs=0.4)


def test_energy_grows_with_the_square_of_speed_and_plain_surfaces_stand():
    clips = np.stack([np.stack([disc(24 + speed * t) for t in range(3)]) for speed in (0, 1, 2, 4)])
    still, slow, fast, faster = flow_energy(clips)
    assert still == 0 and fast / slow == pytest.approx(4, rel=0.25) and faster / fast == pytest.approx(4, rel=0.25)
    assert slow < 0.3  # of 1 px^2 were the whole picture moving; the disc is 8 % of it


def test_the_frame_difference_is_in_shares_of_full_brightness():
    clip = np.zeros((2, 3, 4, 4, 3), np.uint8)
    clip[1, 1] = 255
    assert mean_frame_difference(clip).tolist() == [0.0, 1.0]


def test_a_still_scores_as_real_by_the_frame_and_not_as_a_clip():
    real = noise(40)
    still = np.repeat(noise(40, 1, seed=1), 4, axis=1)
    pictures = corner_features()
    frames, clips, difference, energy = clip_scores(pictures, over_time(pictures), real, still, seed=3)
    assert frames.name == "frame-wise Frechet distance on corners" and frames.floor_of == "real/real 20:20 clips"
    assert clips.name == "video Frechet distance on corners" and clips.floor_of == "real/real 20:20"
    assert clips.value / clips.floor > 10 * frames.value / frames.floor
    assert difference.value == energy.value == 0 < min(difference.floor, energy.floor)
    assert all(score.count == 40 and score.seed == 3 for score in (frames, clips, difference, energy))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (noise(4, 1), "at least 2 frames"),
        (noise(4, 5), "give both the same shape"),
        (noise(4)[:, 0], "clips must be uint8"),
    ],
)
def test_clips_that_cannot_be_compared_are_named(made, said):
    with pytest.raises(ValueError, match=said):
        clip_scores(corner_features(), over_time(corner_features()), noise(4), made)
