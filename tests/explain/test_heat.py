"""Heat maps: even steps of lightness, true values, and nothing that depends on a font."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers
from PIL import Image

from zigdemo.explain import heat


def lightness(colours):
    """CIE L* of sRGB bytes."""
    linear = np.asarray(colours) / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    y = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y)


def test_equal_steps_of_a_value_are_equal_steps_of_lightness():
    steps = np.diff(lightness(heat.colours(np.linspace(0, 1, 10))))
    assert steps.min() > 7 and steps.max() < 14


@given(floats(allow_nan=False))
def test_a_colour_is_found_for_every_value(value):
    assert heat.colours(value).shape == (3,)
    assert np.array_equal(heat.colours(value), heat.colours(np.clip(value, 0, 1)))


@given(rows=integers(1, 5), columns=integers(1, 5), by=integers(1, 4))
def test_whole_cells_keep_their_values(rows, columns, by):
    values = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    large = heat.upsampled(values, (by * rows, by * columns), smooth=False)
    assert np.array_equal(large, values.repeat(by, 0).repeat(by, 1))


def test_an_overlay_lets_the_picture_through_and_is_brightest_at_the_peak():
    picture = Image.new("RGB", (8, 8), "white")
    picture.paste("black", (4, 0, 8, 8))
    seen = np.asarray(heat.overlay(picture, [[0, 0], [1, 0.5]], 32, smooth=False), int)
    assert seen.shape == (32, 32, 3)
    assert (seen[0, 0] > seen[0, 31]).all()
    assert seen[31, 0].sum() == seen.sum(-1).max()
    flat = np.asarray(heat.overlay(picture, np.zeros((2, 2)), 32))
    assert np.isfinite(flat).all()


@pytest.mark.parametrize("size", [(64, 32), (30, 60)])
def test_a_mark_frames_one_cell_and_leaves_the_rest(size):
    picture = Image.new("RGB", size, "red")
    marked = np.asarray(heat.mark(picture, (1, 2), (4, 6)), int)
    changed = np.argwhere((marked != [255, 0, 0]).any(-1))
    (top, left), (bottom, right) = changed.min(0), changed.max(0)
    assert [top, left] == [round(size[1] / 4), round(size[0] / 3)]
    assert [bottom, right] == [round(size[1] / 2) - 1, round(size[0] / 2) - 1]
    assert np.asarray(picture).reshape(-1, 3).tolist() == [[255, 0, 0]] * (size[0] * size[1])


def test_a_sheet_holds_every_tile_whatever_its_caption():
    tile = Image.new("RGB", (20, 10), "blue")
    page = np.asarray(heat.sheet([(caption, tile) for caption in ("heart", "", "心", "a" * 300, "\u202e")]))
    assert (page == [0, 0, 255]).all(-1).sum() == 5 * 200


def test_a_veil_covers_what_is_not_shown_and_nothing_else():
    picture = Image.new("RGB", (8, 8), (200, 100, 50))
    seen = np.asarray(heat.veiled(picture, [[True, False], [False, True]], 16), int)
    assert (seen[:8, :8] == [200, 100, 50]).all() and (seen[8:, 8:] == [200, 100, 50]).all()
    assert (seen[:8, 8:] < [50, 50, 50]).all()
