"""A model of clips draws clips, alike however the request is split, and says what it cannot do."""

import numpy as np
import pytest
from models import tiny_folder
from PIL import Image

from zigdemo import zoo
from zigdemo.pipeline import Pipeline, Request

MODELS = {
    "zigma": {"scheme": "factorized-st", "frame_position": True},
    "dit": {},
    "dig": {},
}


@pytest.fixture(scope="module", params=MODELS)
def pipe(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("weights")
    tiny_folder(root / "tiny", family=request.param, frames=3, **MODELS[request.param])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "WEIGHTS", root)
        yield Pipeline.load("tiny")


def test_clips_come_out_and_look_alike_in_singles(pipe):
    request = Request("tiny", label="hedgehog", count=2, seed=7, steps=3, frames=3)
    result = pipe(request)
    assert result.images == []
    assert [(clip.shape, clip.dtype) for clip in result.clips] == [((3, 16, 16, 3), np.uint8)] * 2
    second = pipe(Request("tiny", label="hedgehog", count=1, seed=8, steps=3)).clips
    assert np.array_equal(result.clips[1], second[0])
    assert not np.array_equal(result.clips[0], second[0])


def test_steps_show_clips_and_their_middle_frames(pipe):
    for step in pipe.stream(Request("tiny", label="hedgehog", count=2, steps=2)):
        assert len(step.clips) == 2
        for picture, clip in zip(step.preview, step.clips, strict=True):
            assert np.array_equal(np.asarray(picture), clip[1])


def test_another_number_of_frames_or_a_picture_to_start_from_is_refused(pipe):
    assert pipe.frames == 3
    with pytest.raises(ValueError, match="clips of 3 frames"):
        pipe(Request("tiny", label="hedgehog", frames=4))
    anew = Request("tiny", label="hedgehog", solver_options={"start": 0.5})
    with pytest.raises(ValueError, match="draws clips"):
        pipe(anew, Image.new("RGB", (16, 16)))


def test_a_scan_of_clips_can_be_chosen_and_one_of_pictures_cannot(pipe):
    if not pipe.schemes:
        pytest.skip("this backbone has no scan")
    request = {"model": "tiny", "label": "hedgehog", "count": 1, "steps": 2}
    assert pipe(Request(**request, scan="zigzag3d-8")).clips
    with pytest.raises(ValueError, match="images"):
        pipe(Request(**request, scan="zigzag-8"))
