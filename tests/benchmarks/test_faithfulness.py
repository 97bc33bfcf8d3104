"""The pieces of the faithfulness benchmark say what they claim."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers

from benchmarks.faithfulness import drawn_patches, moved_patches, painted, sign_test, summary


@given(rows=integers(1, 6), columns=integers(1, 6), seed=integers(0, 99))
def test_moved_patches_are_as_many_and_keep_their_distances(rows, columns, seed):
    dice = np.random.default_rng(seed)
    patches = dice.choice(rows * columns, dice.integers(1, rows * columns + 1), replace=False)
    moved = moved_patches(patches, (rows, columns), dice)
    assert len(set(moved)) == len(patches) and moved.min() >= 0 and moved.max() < rows * columns
    down = (moved // columns - patches // columns) % rows
    right = (moved % columns - patches % columns) % columns
    assert len(set(down)) == len(set(right)) == 1


def test_only_the_patches_asked_for_are_painted_and_white_ones_are_not_drawn():
    picture = np.zeros((4, 6, 3), np.uint8)
    white = painted(picture, np.array([0, 5]), (2, 3))
    assert (white[:2, :2] == 255).all() and (white[2:, 4:] == 255).all() and white.sum() == 2 * 4 * 3 * 255
    assert list(drawn_patches(white, (2, 3))) == [1, 2, 3, 4] and not picture.any()


def test_soft_edges_fade_and_take_no_more_than_hard_ones():
    picture = np.zeros((32, 32, 3), np.uint8)
    hard, soft = (painted(picture, np.array([5]), (4, 4), edge_px=edge) for edge in (0, 2))
    assert set(np.unique(hard)) == {0, 255} and len(np.unique(soft)) > 10
    assert soft.mean() == pytest.approx(hard.mean(), rel=0.02)


def test_a_summary_counts_the_prompts_at_which_a_map_falls_more():
    one = {"effect": 0.3, "anywhere": 0.1, "on the object": 0.3, "effect, moved": 0.2}
    other = {"effect": 0.1, "anywhere": 0.0, "on the object": 0.2, "effect, moved": 0.2}
    found = summary([one, other], ["effect"])
    assert found["mean fall"]["effect"] == pytest.approx(0.2)
    assert found["standard error"]["effect"] == pytest.approx(0.1)
    assert {name: each["prompts"] for name, each in found["map falls more"]["effect"].items()} == {
        "anywhere": 2,
        "on the object": 0,
        "effect, moved": 1,
    }


@pytest.mark.parametrize(
    ("better", "count", "p"), [(5, 10, 1.0), (10, 10, 2 / 1024), (0, 10, 2 / 1024), (6, 8, 0.2890625)]
)
def test_the_sign_test_counts_coins(better, count, p):
    assert sign_test(better, count) == pytest.approx(p)
