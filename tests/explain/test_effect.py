"""What a word changes is the difference of two calls, and asking leaves the picture as it was."""

import numpy as np
import pytest
import torch
from models import tiny_folder
from PIL import Image
from towers import small_tower

from zigdemo import zoo
from zigdemo.explain import EffectMaps, EffectRecorder, Recorder, RecordGroup, effect
from zigdemo.pipeline import Pipeline, Request

PROMPT = "a watermelon heart"
WORDS = [("heart", (3,))]
REQUEST = Request("tiny", prompt=PROMPT, count=2, steps=4, seed=3)


@pytest.fixture(scope="module", params=["zigma", "dit"])
def pipe(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("weights")
    changes = {"conditioning": "cross-attention"} if request.param == "dit" else {}
    tiny_folder(root / "tiny", request.param, text=small_tower(root / "tower"), **changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "WEIGHTS", root)
        yield Pipeline.load("tiny")


def drawn(pipe, record=None):
    return [np.asarray(image) for image in pipe(REQUEST, record=record).images]


@pytest.mark.parametrize("item", [0, 1])
def test_asking_again_changes_no_pixel_and_attention_is_recorded_beside_it(pipe, item):
    effects, attention, alone = EffectRecorder(pipe.words(PROMPT), item), Recorder(item), Recorder(item)
    assert np.array_equal(drawn(pipe, effects), drawn(pipe))
    drawn(pipe, alone)
    drawn(pipe, RecordGroup(attention, effects))
    assert torch.equal(attention.maps.probabilities, alone.maps.probabilities)
    assert effects.maps.values.shape == (4, 5, 4, 4)
    assert (effects.maps.values > 0).all()


def test_the_effect_is_the_difference_to_a_call_without_the_word(pipe):
    seen = []

    class Kept(EffectRecorder):
        def look(self, call, place, x, t, cond):
            seen.append((x[:1].clone(), t[:1].clone(), cond[:1].clone()))
            return super().look(call, place, x, t, cond)

    words = pipe.words(PROMPT)
    record = Kept(words)
    drawn(pipe, record)
    x, t, cond = seen[0]
    without = cond.clone()
    without[:, words[3][1]] = 0
    with torch.inference_mode():
        change = (pipe.network(x, t, cond) - pipe.network(x, t, without)).abs().mean(1)[0]
    wanted = change.reshape(4, 4, 4, 4).mean((1, 3))
    torch.testing.assert_close(record.maps.map([3], [0], beside_others=False), wanted, atol=1e-5, rtol=1e-4)


def test_a_word_that_the_network_cannot_hear_changes_nothing(pipe):
    record = EffectRecorder([("nothing", ())])
    drawn(pipe, record)
    assert record.maps.values.abs().max() < 1e-5


def test_few_steps_are_asked_and_stand_for_those_between(pipe):
    record = EffectRecorder(pipe.words(PROMPT), most_steps=2)
    drawn(pipe, record)
    maps = record.maps
    assert maps.steps == (0, 2)
    assert torch.equal(maps.map([1], [1]), maps.map([1], [0]))
    torch.testing.assert_close(maps.map([1, 2]), maps.map([1]) + maps.map([2]))
    for wrong in ([], [9], [-1]):
        with pytest.raises(ValueError, match="words must be some of"):
            maps.map(wrong)


def test_a_word_is_shown_where_it_changes_more_than_the_others_do():
    easily = torch.tensor([[1.0, 1.0], [1.0, 9.0]])  # one patch is changed by every word
    own = torch.tensor([[2.0, 1.0], [1.0, 1.0]])
    values = torch.stack([easily * own, easily * 5, easily * 0])[None]
    maps = EffectMaps(values, (0,), (("red", (1,)), ("a", (2,)), ("lost", ())))
    assert maps.map([0], beside_others=False).argmax() == 3
    red, a, lost = maps.map([0]), maps.map([1]), maps.map([2])
    assert red[0, 0] / red[0, 1] > 3 and red[0, 0] > red[1, 1] / 4 > easily[0, 0] * 2
    assert a[0, 0] < a[0, 1] and not lost.any() and torch.isfinite(red).all()
    alone = EffectMaps(values[:, :1], (0,), maps.words[:1])
    torch.testing.assert_close(alone.map([0]), easily * own)
    even = EffectMaps(easily.expand(1, 2, 2, 2), (0,), maps.words[:2])
    torch.testing.assert_close(even.map([1]), easily)
    clip = EffectMaps(values.unsqueeze(2).expand(-1, -1, 4, -1, -1), (0,), maps.words)
    torch.testing.assert_close(clip.map([0])[1], red)


def test_the_maps_are_written_as_arrays_and_as_a_sheet(tmp_path):
    maps = EffectMaps(torch.rand(2, 2, 4, 4), (0, 3), (("red", (1,)), ("heart", (2, 3))))
    with np.load(maps.save_npz(tmp_path / "effect.npz")) as kept:
        assert kept["values"].shape == (2, 2, 4, 4)
        assert list(kept["words"]) == ["red", "heart"]
    assert maps.word_sheet([Image.new("RGB", (16, 16))], side=80).width > 160


def test_a_model_of_labels_and_an_empty_record_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    tiny_folder(tmp_path / "labels")
    with pytest.raises(ValueError, match="takes no prompt"):
        Pipeline.load("labels")(Request("labels", label="hedgehog", count=1, steps=1), record=EffectRecorder(WORDS))
    with pytest.raises(ValueError, match="nothing was recorded"):
        _ = EffectRecorder(WORDS).maps


def test_many_words_are_asked_in_parts_and_none_is_refused(pipe, monkeypatch):
    words = pipe.words(PROMPT)
    whole, parts = EffectRecorder(words), EffectRecorder(words)
    drawn(pipe, whole)
    monkeypatch.setattr(effect, "MOST_TOGETHER", 2)
    drawn(pipe, parts)
    torch.testing.assert_close(parts.maps.values, whole.maps.values, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="at least one word"):
        EffectRecorder([])
