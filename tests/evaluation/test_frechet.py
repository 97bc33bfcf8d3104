"""Distances between sets of vectors, on sets whose answer is known."""

import numpy as np
import pytest
from extractors import corner_features
from hypothesis import given
from hypothesis.strategies import integers
from safetensors.numpy import save_file

from zigdemo.evaluation import FeatureMoments, Score, frechet_distance, kernel_distance, precision_recall
from zigdemo.evaluation.frechet import floor, frechet_score, kernel_score, precision_scores, reference_features
from zigdemo.evaluation.scores import score_table


def normal(count, width=8, seed=0, shift=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(shift, scale, (count, width))


def gaussian(mean, covariance, count=1000):
    """FeatureMoments that say exactly this."""
    mean, covariance = np.asarray(mean, float), np.asarray(covariance, float)
    return FeatureMoments(count, count * mean, (count - 1) * covariance + count * np.outer(mean, mean))


def test_gaussians_have_their_known_distance():
    a, b = gaussian([0, 0], np.diag([1, 4])), gaussian([3, 4], np.diag([9, 4]))
    assert frechet_distance(a, b) == pytest.approx(25 + (1 - 3) ** 2)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b))


def test_covariances_that_do_not_commute_agree_with_the_general_root():
    rng = np.random.default_rng(1)
    first, second = (m @ m.T for m in rng.normal(size=(2, 5, 5)))
    product = np.linalg.eigvals(first @ second)  # similar to a symmetric one: real and positive
    known = np.trace(first) + np.trace(second) - 2 * np.sqrt(product.real).sum()
    assert frechet_distance(gaussian(np.zeros(5), first), gaussian(np.zeros(5), second)) == pytest.approx(known)


def test_a_set_is_at_no_distance_from_itself_even_without_full_rank():
    few = FeatureMoments.of(100 * normal(5, 40))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-3 * np.trace(few.covariance) / 40)


@given(cut=integers(0, 30), seed=integers(0, 99))
def test_moments_of_parts_add_up_to_those_of_the_whole(cut, seed):
    whole, other = normal(30, 6, seed, shift=2), FeatureMoments.of(normal(40, 6, seed + 100))
    one, two = FeatureMoments.of(whole), FeatureMoments.of(whole[:cut]) + FeatureMoments.of(whole[cut:])
    assert two.count == one.count and np.abs(one.covariance - two.covariance).max() < 1e-10
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(two, other), abs=1e-10)


def test_equal_distributions_have_a_kid_of_zero_within_its_error():
    found = [kernel_distance(normal(200, seed=i), normal(200, seed=i + 50), subsets=30) for i in range(12)]
    outside = sum(abs(value) > 2 * error for value, error in found)
    assert outside <= 2 and abs(np.mean([value for value, _ in found])) < 0.02


def test_kid_of_unequal_distributions_is_the_mean_of_its_kernel():
    value, error = kernel_distance(normal(400), normal(400, seed=1, shift=1.0))
    # E k = E (x y / 8 + 1)^3: with xy/8 of mean m and variance v, nearly normal: (1 + m)^3 + 3 (1 + m) v
    known = (1 + 3 / 8) + (2**3 + 3 * 2 * 3 / 8) - 2 * (1 + 3 * 2 / 8)
    assert value == pytest.approx(known, rel=0.2) and 0 < error < 1


def test_precision_and_recall_know_equal_apart_and_collapsed():
    real = normal(100)
    assert precision_recall(real, real) == (1.0, 1.0)
    assert precision_recall(real, real + 1000) == (0.0, 0.0)
    collapsed = real[:1] + 1e-3 * normal(100, seed=1)
    true, varied = precision_recall(real, collapsed)
    assert true == 1.0 and varied <= 0.02


def test_precision_counts_exactly_what_is_near_enough():
    real, made = np.arange(6.0)[:, None], np.array([[2.5], [7.9], [8.1], [100.0]])
    assert precision_recall(real, made)[0] == 0.5  # 5 reaches its third neighbour at 2, so up to 8


def test_the_floor_falls_with_the_count_and_is_what_real_scores_against_real():
    real = normal(400)

    def measure(a, b):
        return frechet_distance(FeatureMoments.of(a), FeatureMoments.of(b))

    low, high = floor(measure, real, 150)[0], floor(measure, real, 20)[0]
    assert 0 < low < high
    assert floor(measure, real, 999)[2] == "real/real 200:200"
    assert floor(measure, real, 20, seed=3) == floor(measure, real, 20, seed=3)


def test_every_score_carries_its_count_floor_and_seed():
    features, real, made = corner_features(), normal(60, 6), normal(20, 6, seed=1, shift=1)
    scores = [frechet_score(features, real, FeatureMoments.of(made), 7), kernel_score(features, real, made, 7)]
    for score in scores + precision_scores(features, real, made, 7):
        assert (score.count, score.seed, score.floor_of) == (20, 7, "real/real 20:40")
        assert "on corners" in score.name and "n 20, floor" in str(score) and "seed 7" in str(score)
    assert scores[0].value > scores[0].floor and scores[1].error > 0
    assert score_table(scores).splitlines()[2].startswith("| Frechet distance on corners |")
    assert str(Score("a", 1.0, 2, 0.5, "guessing", 3, 0.1)) == "a: 1 ± 0.1 (n 2, floor 0.5 guessing, seed 3)"


def test_features_of_a_real_set_are_computed_once_and_never_mixed_up(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), dtype=np.uint8)
    features, calls = corner_features(), []
    object.__setattr__(features, "network", lambda x, own=features.network: calls.append(len(x)) or own(x))
    first = reference_features(features, pictures, tmp_path)
    assert np.array_equal(reference_features(features, pictures, tmp_path), first) and sum(calls) == 10
    reference_features(features, pictures[:9], tmp_path)
    assert sum(calls) == 19 and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "other", "nan"])
def test_damaged_statistics_are_made_anew(tmp_path, damage):
    pictures, features = np.zeros((4, 4, 4, 3), np.uint8), corner_features()
    first = reference_features(features, pictures, tmp_path)
    (file,) = tmp_path.iterdir()
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:20])
    else:
        save_file({"features": np.full((4, 6), np.nan, np.float32)} if damage == "nan" else {}, file)
    assert np.array_equal(reference_features(features, pictures, tmp_path), first)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: FeatureMoments.of(np.zeros(3)), "features must be finite vectors"),
        (lambda: FeatureMoments.of(np.full((3, 2), np.nan)), "with NaN in them"),
        (lambda: frechet_distance(FeatureMoments.of(normal(1)), FeatureMoments.of(normal(5))), "a has 1 vectors"),
        (
            lambda: frechet_distance(FeatureMoments.of(normal(5, 2)), FeatureMoments.of(normal(5, 3))),
            "use one extractor for both",
        ),
        (lambda: kernel_distance(normal(3), normal(9)), "real has 3 vectors; at least 4"),
        (lambda: precision_recall(normal(9, 2), normal(9, 3)), "real has width 2 and generated 3"),
    ],
)
def test_what_cannot_be_compared_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_a_floor_scores_a_part_against_what_does_not_hold_it():
    real = np.arange(100.0)[:, None]
    seen = []

    def measure(rest, part):
        seen.append((set(rest.ravel()), set(part.ravel())))
        return 0.0

    _, _, sizes = floor(measure, real, 30)
    assert sizes == "real/real 30:70" and len(seen) > 1
    assert all(not rest & part and len(rest | part) == 100 for rest, part in seen)
    assert floor(measure, real, 90)[2] == "real/real 50:50"
