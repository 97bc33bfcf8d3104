"""Models of texts: a prompt draws, alike every time, and what cannot be is one sentence."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from autoencoders import small_autoencoder
from checkpoints import save, weights
from hypothesis import given, settings
from hypothesis.strategies import dictionaries, floats, text
from models import tiny_folder
from PIL import Image
from towers import small_tower

from zigdemo import media, zoo
from zigdemo.latents import AUTOENCODERS
from zigdemo.pipeline import Pipeline, Request
from zigdemo.zoo import official
from zigdemo.zoo.official import import_checkpoint

BASE = Request("words", prompt="a red heart", count=1, steps=3, seed=4)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    tower = small_tower(folder / "tower")
    tiny_folder(folder / "words", text=tower)
    tiny_folder(folder / "dit", family="dit", text=tower, conditioning="cross-attention")
    tiny_folder(folder / "labels")
    return folder


@pytest.fixture(scope="module")
def pipe(root):
    return Pipeline.load(root / "words")


def pixels(result):
    return np.stack([np.asarray(image) for image in result.images])


def test_a_prompt_draws_the_same_pixels_every_time_and_another_prompt_others(pipe):
    drawn = pixels(pipe(BASE))
    assert np.array_equal(drawn, pixels(pipe(BASE))) and np.array_equal(drawn, pixels(Pipeline(pipe.folder)(BASE)))
    assert not np.array_equal(drawn, pixels(pipe(replace(BASE, prompt="a blue heart"))))
    two = pixels(pipe(replace(BASE, count=2)))
    assert np.abs(two[:1].astype(int) - drawn).max() <= 1  # pictures share calls, which may change a level by rounding


def test_the_page_and_the_file_know_the_tower(pipe):
    provenance = pipe(BASE).provenance
    assert provenance["text"] == "tower" and provenance["text_weights"] == pipe.text.sha256
    json.dumps(provenance)


def test_a_dit_with_cross_attention_draws_by_prompt_too(root):
    pipe = Pipeline.load(root / "dit")
    assert not np.array_equal(pixels(pipe(BASE)), pixels(pipe(replace(BASE, prompt="a cat"))))


def test_no_prompt_is_the_empty_prompt_and_guidance_then_changes_nothing(pipe):
    nothing = pixels(pipe(replace(BASE, prompt=None)))
    stronger = pixels(pipe(replace(BASE, prompt=None, guidance=6.0)))
    assert np.abs(nothing.astype(int) - stronger).max() <= 1


def test_guidance_pushes_away_from_the_empty_prompt_or_from_the_negative_one(pipe):
    """Guidance by its formula, on the features of prompt and negative prompt."""
    z = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(4))[None]
    for negative in (None, "a cat"):
        request = replace(BASE, negative=negative, guidance=3.0, steps=1, solver="euler")
        both = torch.cat([pipe.text.features("a red heart"), pipe.text.features(negative or "")])
        with torch.no_grad():
            wanted, away = pipe.network(torch.cat([z, z]), torch.zeros(2), both).chunk(2)
        clean = (away + 3.0 * (wanted - away)).clamp(-1, 1)
        expected = ((clean + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        assert np.abs(pixels(pipe(request)).astype(int) - expected).max() <= 1


def test_the_strength_of_a_word_changes_the_picture_and_one_does_not(pipe):
    drawn = pixels(pipe(BASE))
    assert np.array_equal(drawn, pixels(pipe(replace(BASE, strengths={"red": 1.0}))))
    assert not np.array_equal(drawn, pixels(pipe(replace(BASE, strengths={"red": 3.0}))))


def test_a_long_prompt_is_cut_with_a_warning_and_a_short_one_is_not(pipe):
    with pytest.warns(UserWarning, match="longer than the 16 tokens"):
        pipe.stream(replace(BASE, prompt="cat " * 50))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipe.stream(BASE)


@settings(max_examples=30, deadline=None)
@given(
    prompt=text(min_size=1, max_size=80),
    negative=text(min_size=1, max_size=80),
    strengths=dictionaries(text(min_size=1, max_size=10), floats(0, 5), max_size=3),
)
def test_any_prompt_survives_its_file(tmp_path_factory, root, prompt, negative, strengths):
    request = Request("words", prompt=prompt, negative=negative, strengths=strengths)
    file = tmp_path_factory.mktemp("files") / media.file_name(request.settings, 0)
    media.save_png(Image.new("RGB", (8, 8)), file, request.settings, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "WEIGHTS", root)
        assert Request.from_metadata(file) == request


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"label": "red heart"}, "by prompt, not by label"),
        ({"strengths": {"dog": 2.0}}, "'dog', which is not in the prompt"),
    ],
)
def test_what_a_model_of_texts_cannot_do_is_one_sentence(pipe, changes, word):
    with pytest.raises(ValueError, match=word) as fault:
        pipe.stream(replace(BASE, **changes))
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"strengths": ["red"]}, "strengths must be a dict"),
        ({"strengths": {"red": 9.0}}, "strength of 'red' must be a number from 0 to 5"),
        ({"strengths": {"red": "much"}}, "strength of 'red'"),
        ({"strengths": {"": 1.0}}, "a word in strengths"),
        ({"strengths": {"red": 1.0}, "prompt": None}, "give a prompt"),
        ({"prompt": ""}, "prompt must be a text"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(changes, word):
    with pytest.raises(ValueError, match=word):
        replace(BASE, **changes)


def test_a_model_of_labels_takes_no_prompt(root):
    with pytest.raises(ValueError, match="drawn by label, not by prompt"):
        Pipeline.load(root / "labels").stream(Request("labels", prompt="a red heart"))


def test_a_model_and_its_tower_must_belong_together(root, tmp_path):
    tiny_folder(tmp_path / "wide", labels=0, text_width=8)
    with pytest.raises(ValueError, match="width 8 and .* names no tower under 'text'"):
        Pipeline.load(tmp_path / "wide")
    config = tmp_path / "wide" / zoo.CONFIG
    content = json.loads(config.read_text())
    for tower, word in (({"tower": str(root / "tower")}, "makes 24, under 'text'"), ({"tower": "gone"}, "is not here")):
        config.write_text(json.dumps({**content, "text": tower}))
        with pytest.raises(ValueError, match=word):
            Pipeline.load(tmp_path / "wide")
    config.write_text(json.dumps({**content, "text": "tower"}))
    with pytest.raises(ValueError, match="text must have tower"):
        Pipeline.load(tmp_path / "wide")


def test_an_official_model_of_texts_draws_what_the_network_says_of_its_clip(root, tmp_path, monkeypatch):
    """The published code has no guidance and no empty captions: one plain call a step, unless a negative is given."""
    from zigdemo.conditioning import TextSpec

    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    monkeypatch.setattr(official, "CLIP_L", TextSpec(str(root / "tower")))
    monkeypatch.setitem(AUTOENCODERS, "sd-v1-5", small_autoencoder(tmp_path / "vae"))
    state = weights(has_text=True, d_context=24)
    pipe = Pipeline(import_checkpoint(save(state, tmp_path / "x.pt")), "cpu")
    calls = []
    forward = pipe.network.forward
    monkeypatch.setattr(pipe.network, "forward", lambda x, *a, **k: calls.append(len(x)) or forward(x, *a, **k))
    pipe(Request("x", prompt="a red heart", count=1, steps=2, solver="euler", guidance=4.0))
    assert calls == [1, 1]
    pipe(Request("x", prompt="a red heart", negative="a cat", count=1, steps=2, solver="euler", guidance=4.0))
    assert calls == [1, 1, 2, 2]
