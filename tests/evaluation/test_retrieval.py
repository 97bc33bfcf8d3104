"""Label retrieval on pictures whose answer is known."""

import numpy as np
import pytest

from zigdemo.evaluation import class_retrieval, label_retrieval


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
    with pytest.raises(ValueError, match="do not match"):
        label_retrieval(pictures(2), np.arange(3), pictures(4))


def moving_clips():
    """Two classes of two clips that go round: a bar that moves to the right, and one that moves down."""
    frames = np.zeros((4, 8, 16, 16, 3), np.uint8)
    for turn in range(8):
        for variant in range(2):
            frames[variant, turn, :, 2 * turn : 2 * turn + 2] = 255 - 60 * variant
            frames[2 + variant, turn, 2 * turn : 2 * turn + 2] = 255 - 60 * variant
    return frames, np.array([0, 0, 1, 1])


def test_a_clip_is_found_in_its_class_wherever_it_begins():
    real, labels = moving_clips()
    made = np.stack([np.roll(clip, -start, axis=0)[:5] for clip, start in zip(real, (3, 0, 6, 5), strict=True)])
    found = class_retrieval(made, labels, real, labels)
    assert (found.top1, found.chance, found.count) == (1.0, 0.5, 4)
    swapped = class_retrieval(made, 1 - labels, real, labels)
    assert (swapped.top1, swapped.top5) == (0.0, 1.0)


def test_a_clip_that_goes_backwards_is_farther_away_than_one_that_goes_forwards():
    real, _ = moving_clips()
    both = np.stack([real[0, ::-1], real[0]])
    assert class_retrieval(real[:1], np.array([1]), both, np.array([0, 1])).top1 == 1.0


def test_clips_of_other_shapes_are_refused():
    real, labels = moving_clips()
    with pytest.raises(ValueError, match="do not match"):
        class_retrieval(real, labels, real[:, :4], labels)
