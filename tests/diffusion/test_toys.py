"""The distance between clouds: known shifts, and nothing between a cloud and itself."""

import math

import pytest
import torch

from zigdemo.diffusion import TOYS, cloud_distance


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.6, 0.0), (0.0, -0.6), (0.3, 0.4)], ids=str)
def test_a_shifted_cloud_is_away_by_the_mean_of_its_shift_over_all_directions(shift):
    cloud = TOYS["ring"]().sample(64, torch.Generator().manual_seed(0))
    expected = 2 / math.pi * math.hypot(*shift)
    moved = cloud_distance(cloud + torch.tensor(shift, dtype=cloud.dtype), cloud)
    assert moved.item() == pytest.approx(expected, rel=2e-3)


def test_the_order_of_the_points_and_copies_of_all_of_them_change_nothing():
    cloud, other = TOYS["pair"]().sample(80, torch.Generator().manual_seed(1)).split(40)
    distance = cloud_distance(cloud, other)
    torch.testing.assert_close(cloud_distance(cloud.flip(0), other.repeat(3, 1)), distance)


@pytest.mark.parametrize(("cloud", "truth"), [(3, 10), (0, 10)])
def test_a_truth_that_is_no_multiple_is_refused(cloud, truth):
    with pytest.raises(ValueError, match=f"10 true points are no multiple of the {cloud} points"):
        cloud_distance(torch.zeros(cloud, 2), torch.zeros(truth, 2))
