"""Label retrieval on pictures whose answer is known."""

import numpy as np
import pytest

from zigdemo.evaluation import label_retrieval


def pictures(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)


def test_the_real_pictures_themselves_score_one():
    real = pictures(20)
    found = label_retrieval(real[3:9], np.arange(3, 9), real)
    assert (found.top1, found.top5, found.chance, found.count) == (1.0, 1.0, 0.05, 6)


def test_unrelated_pictures_score_near_chance():
    found = label_retrieval(pictures(400, 1), np.arange(400) % 20, pictures(20))
    assert found.top1 < 0.15 and found.top5 < 0.4


def test_fine_noise_does_not_hide_a_picture():
    real = pictures(20).astype(int)
    noisy = np.clip(real + np.random.default_rng(2).integers(-40, 41, real.shape), 0, 255).astype(np.uint8)
    assert label_retrieval(noisy, np.arange(20), real.astype(np.uint8)).top1 == 1.0


def test_shapes_that_do_not_belong_together_are_named():
    with pytest.raises(ValueError, match="do not belong together"):
        label_retrieval(pictures(2), np.arange(3), pictures(4))
