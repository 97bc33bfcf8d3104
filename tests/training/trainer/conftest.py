"""A prepared set of four pictures of noise, one a label."""

from __future__ import annotations

import numpy as np
import pytest

from zigdemo.data.preparation import write_image_set


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    samples = [{"key": str(row), "label": "abcd"[row], "group": "", "keywords": []} for row in range(4)]
    folder = tmp_path_factory.mktemp("data") / "set"
    write_image_set(folder, images, samples, {"dataset": "noise"})
    return str(folder)
