"""The page's noise is torch's, number by number."""

import numpy as np
import pytest
import torch

from zigdemo.request import MOST_SEED

DRAW = "const { normals } = await at('noise.js'); return given.map(([seed, count]) => [...normals(seed, count)]);"


def test_the_twister_is_the_published_one(node):
    words = node("const { twister } = await at('noise.js'); const next = twister(5489); let last = 0;"
                 " for (let i = 0; i < 10000; i++) last = next(); return last;")  # fmt: skip
    assert words == 4123659995  # the 10,000th word of MT19937 by the C++ standard


@pytest.mark.parametrize("count", [16, 17, 31, 32, 2048, 5000])
def test_noise_is_that_of_torch(node, count):
    seeds = [0, 1, 42, 2**31, MOST_SEED]
    for seed, numbers in zip(seeds, node(DRAW, [[seed, count] for seed in seeds]), strict=True):
        expected = torch.randn(count, generator=torch.Generator().manual_seed(seed)).numpy()
        # Box and Muller on vectors round otherwise; a wrong word of the twister would change a number by about 1.
        np.testing.assert_allclose(numbers, expected, rtol=0, atol=2e-6)


def test_fewer_numbers_than_a_block_are_refused(node):
    sentence = node("const { normals } = await at('noise.js');"
                    " try { normals(0, 15); } catch (fault) { return fault.message; }")  # fmt: skip
    assert sentence == "count must be a whole number of at least 16, not 15"
