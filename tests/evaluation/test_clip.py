"""The offline score of text and picture, on vectors whose answer is known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from towers import small_tower

from zigdemo.evaluation import CLIPScore


@pytest.fixture(scope="module")
def score(tmp_path_factory):
    return CLIPScore(small_tower(tmp_path_factory.mktemp("towers") / "small"))


def pictures(count, size=32):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def test_vectors_have_length_one_and_do_not_depend_on_the_batch(score):
    real = pictures(7)
    found = score.embed_pictures(real)
    assert torch.allclose(found.norm(dim=-1), torch.ones(7), atol=1e-5)
    assert torch.allclose(found, score.embed_pictures(real, batch=2), atol=1e-5)
    assert score.embed_pictures(pictures(2, 64)).shape == found[:2].shape


def test_texts_that_lie_on_their_pictures_score_one_and_the_opposite_nothing(score, monkeypatch):
    vectors = F.normalize(torch.randn(10, 16, generator=torch.Generator().manual_seed(0)), dim=-1)
    for sign, share in ((1, 1.0), (-1, 0.0)):
        monkeypatch.setattr(score.tower, "embed", lambda texts, sign=sign: sign * vectors[: len(texts)])
        found = score.retrieval(["x"] * 4, np.arange(4), vectors)
        assert (found.top1, found.top5, found.chance, found.count) == (share, share, 0.1, 4)


def test_a_picture_is_named_by_the_text_nearest_to_it(score, monkeypatch):
    real = pictures(8)
    monkeypatch.setattr(score.tower, "embed", lambda names: score.embed_pictures(real))
    found = score.naming(real[[3, 5]], np.array([3, 5]), ["a name"] * 8)
    assert (found.top1, found.top5, found.chance, found.count) == (1.0, 1.0, 0.125, 2)


def test_the_similarity_of_a_text_is_that_of_its_own_picture(score):
    found = score.similarity(["a", "b"], pictures(2))
    assert found.shape == (2,) and (np.abs(found) <= 1).all()
    assert found[1] == pytest.approx(score.similarity(["b"], pictures(2)[1:])[0], abs=1e-5)


def test_what_does_not_belong_together_is_named(score):
    with pytest.raises(ValueError, match="1 queries and 2 targets do not match"):
        score.retrieval(["a"], np.arange(2), torch.eye(4, 16))
