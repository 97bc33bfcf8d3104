"""The shared layers against recorded tables and what they mean."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from
from safetensors.numpy import load_file

from zigdemo.backbones.layers import (
    CrossAttention,
    LabelEmbedder,
    PatchEmbedder,
    TimeEmbedder,
    modulate,
    sincos_2d,
    timestep_features,
    unpatchify,
)

GOLDEN = load_file(Path(__file__).parents[1] / "golden" / "fixed_embeddings.safetensors")
few = settings(deadline=None, max_examples=30)
sides = integers(1, 9)


@pytest.mark.parametrize(("width", "side"), [(48, 8), (64, 4), (64, 7)])
def test_the_sine_table_is_the_official_one(width, side):
    wanted = GOLDEN[f"out.sincos2d_dim{width}_grid{side}"]
    table = sincos_2d(width, (side, side))
    assert table.dtype == np.float64
    np.testing.assert_allclose(table, wanted, rtol=1e-9, atol=1e-15)


@few
@given(rows=sides, columns=sides)
def test_the_first_half_of_the_sine_table_tells_the_column_and_the_second_the_row(rows, columns):
    table = sincos_2d(16, (rows, columns)).reshape(rows, columns, 16)
    assert (table[:, :, :8] == table[:1, :, :8]).all()
    assert (table[:, :, 8:] == table[:, :1, 8:]).all()
    assert len(np.unique(table.reshape(-1, 16), axis=0)) == rows * columns


def test_a_sine_table_of_an_odd_width_is_refused():
    with pytest.raises(ValueError, match="multiple of 4, not 30"):
        sincos_2d(30, (4, 4))


@pytest.mark.parametrize(("width", "scale"), [(255, 1), (256, 1), (256, 1000)])
def test_the_time_features_are_the_official_ones(width, scale):
    wanted = GOLDEN[f"out.timestep{width}{'_x1000' if scale > 1 else ''}"]
    times = scale * torch.from_numpy(GOLDEN["in.t"])
    features = timestep_features(times, width).numpy()
    # The last digits of exp, and so of large angles, differ from processor to processor.
    angles = times.numpy()[:, None] * 10000.0 ** -(np.arange(width // 2) / (width // 2))
    allowed = np.pad(np.tile(2e-6 * angles, 2), ((0, 0), (0, width % 2))) + 1e-4 * wanted.std()
    assert (np.abs(features - wanted) <= allowed).all()


def test_the_time_embedder_scales_the_time_first():
    torch.manual_seed(0)
    embed = TimeEmbedder(12, scale=1000.0)
    t = torch.rand(3)
    torch.testing.assert_close(embed(t), embed.mlp(timestep_features(1000 * t, 256)))


@few
@given(rows=sides, columns=sides, patch=sampled_from([1, 2, 4]), channels=integers(1, 4))
def test_unpatchify_puts_every_patch_back(rows, columns, patch, channels):
    x = torch.randn(2, channels, rows * patch, columns * patch)
    patches = F.unfold(x, patch, stride=patch).unflatten(1, (channels, patch * patch))
    tokens = patches.permute(0, 3, 2, 1).flatten(2)  # (batch, token, (row, column, channel) of the patch)
    assert torch.equal(unpatchify(tokens, (rows, columns), patch, channels), x)


@few
@given(rows=sides, columns=sides, patch=sampled_from([1, 2, 4]))
def test_a_token_of_the_patch_embedder_sees_its_own_patch_only_in_raster_order(rows, columns, patch):
    embed = PatchEmbedder(3, 8, patch)
    x = torch.zeros(1, 3, rows * patch, columns * patch)
    row, column = rows - 1, columns // 2
    plain = embed(x)
    x[0, :, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] = 1
    changed = (embed(x) != plain).any(-1)[0].nonzero().flatten().tolist()
    assert embed(x).shape == (1, rows * columns, 8)
    assert changed == [row * columns + column]


def test_modulate_with_zeros_changes_nothing():
    x, zero = torch.randn(2, 5, 4), torch.zeros(2, 4)
    assert torch.equal(modulate(x, zero, zero), x)
    torch.testing.assert_close(modulate(x, zero + 3, zero + 1), 2 * x + 3)


def test_cross_attention_does_not_mind_the_order_of_the_words_and_has_fixed_heads():
    attend = CrossAttention(24)
    x, words = torch.randn(2, 9, 24), torch.randn(2, 5, 24)
    torch.testing.assert_close(attend(x, words), attend(x, words.flip(1)), rtol=1e-4, atol=1e-5)
    assert attend.to_q.weight.shape == (8 * 64, 24)


def test_cross_attention_to_one_word_is_its_value():
    attend = CrossAttention(24)
    x, word = torch.randn(2, 9, 24), torch.randn(2, 1, 24)
    torch.testing.assert_close(attend(x, word), attend.to_out[0](attend.to_v(word)).expand(-1, 9, -1))


def test_label_dropout_takes_the_null_row_in_training_only():
    embed = LabelEmbedder(4, 8, null_label=True, dropout=1.0)
    label = torch.tensor([0, 1, 2, 3])
    assert torch.equal(embed(label), embed.embedding_table.weight[4].expand(4, -1))
    assert torch.equal(embed.eval()(label), embed.embedding_table.weight[:4])


def test_labels_are_never_dropped_where_there_is_no_null_row():
    embed = LabelEmbedder(4, 8, null_label=False, dropout=1.0)
    assert torch.equal(embed(torch.arange(4)), embed.embedding_table.weight)
