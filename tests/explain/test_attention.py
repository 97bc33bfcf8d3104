"""What is recorded is what the blocks multiplied, and looking changes nothing."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers
from models import LABELS, tiny_folder
from PIL import Image

from zigdemo.backbones import FAMILIES, build
from zigdemo.explain import AttentionMaps, Recorder
from zigdemo.explain.attention import attend
from zigdemo.explain.watch import Watch
from zigdemo.pipeline import Pipeline, Request

WORDS = 5
TEXT_NETWORKS = {
    "zigma": ("zigma", {"state_size": 3, "text_width": 12}),
    "dit": ("dit", {"heads": 2, "text_width": 12, "conditioning": "cross-attention"}),
    "labels": ("dit", {"heads": 2, "labels": 3, "conditioning": "cross-attention"}),
    "in-context": ("dit", {"heads": 2, "labels": 3, "conditioning": "in-context"}),
}
few = settings(deadline=None, max_examples=25)


def network(kind):
    torch.manual_seed(0)
    family, changes = TEXT_NETWORKS[kind]
    net = build(FAMILIES[family].config(width=32, depth=3, size=(16, 24), patch=4, **changes)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net.requires_grad_(False)


def asked(kind, batch=2):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 3, 16, 24, generator=generator)
    text = torch.randn(batch, WORDS, 12, generator=generator)
    return x, torch.full((batch,), 0.4), text if kind in ("zigma", "dit") else torch.arange(batch)


def recorded(kind, item=0, steps=1, **options):
    """A network called once a step as the pipeline does it; the maps, and how far the output moved."""
    net, recorder = network(kind), Recorder(item, **options)
    recorder.begin(net, Request("tiny", count=2, steps=steps))
    inputs = asked(kind)
    for index in range(steps):
        recorder.next_step(index)
        call = recorder.watch(net, [0, 1])
        output = call(*inputs)
        call(*inputs)  # a second stage of the solver, which is not kept
    return recorder.maps, (output - net(*inputs)).abs().max()


@pytest.mark.parametrize("kind", TEXT_NETWORKS)
def test_recording_changes_nothing_and_keeps_every_layer_and_head(kind):
    maps, moved = recorded(kind)
    tokens = {"zigma": WORDS, "dit": WORDS + 1, "labels": 2, "in-context": 2}[kind]
    heads = 8 if kind == "zigma" else 2
    assert maps.probabilities.shape == (1, 3, heads, 24, tokens) and maps.grid == (4, 6)
    assert moved <= 1e-6 and maps.times == pytest.approx((0.4,))
    assert maps.leading == (() if kind == "zigma" else ("time",))


@pytest.mark.parametrize(("family", "changes"), [(family, more) for family, more in TEXT_NETWORKS.values()][:2])
def test_a_clip_has_a_map_for_each_frame_of_what_its_tokens_attend_to(family, changes):
    torch.manual_seed(0)
    more = {"scheme": "factorized-st"} if family == "zigma" else {}
    config = FAMILIES[family].config(width=32, depth=2, size=(8, 12), patch=4, frames=3, **changes, **more)
    net, recorder = build(config).eval().requires_grad_(False), Recorder()
    x, found = torch.randn(1, 3, 3, 8, 12), []
    recorder.begin(net, Request("tiny", count=1, steps=1))
    text = torch.randn(1, WORDS, 12)
    recorder.watch(net, [0])(x, torch.tensor([0.4]), text)

    def look(layer, role, operator, args, kwargs):
        if role == "words":
            found.append(attend(*args)[1][0])
        return operator(*args, **kwargs)

    with Watch(config, look):
        net(x, torch.tensor([0.4]), text)
    maps = recorder.maps
    assert maps.grid == (3, 2, 3) and torch.allclose(maps.probabilities[0], torch.stack(found), atol=1e-6)
    frame = torch.stack(found).mean((0, 1))[6:12, 2].reshape(2, 3)
    assert torch.allclose(maps.map([2])[1], frame, atol=1e-6), "frame 1 are the second six tokens"
    page = maps.word_sheet([Image.new("RGB", (12, 8), "white")] * 3, [("a", [0])], side=48)
    assert page.width * page.height > 6 * 48 * 32


@pytest.mark.parametrize("kind", ["zigma", "dit", "labels"])
def test_over_the_tokens_of_the_condition_the_maps_sum_to_one(kind):
    maps, _ = recorded(kind)
    whole = maps.probabilities.sum(-1)
    assert torch.allclose(whole, torch.ones_like(whole), atol=1e-6)
    everything = maps.map(range(maps.probabilities.shape[-1]))
    assert torch.allclose(everything, torch.ones(4, 6), atol=1e-5)


def test_in_context_a_patch_keeps_something_for_the_patches():
    maps, _ = recorded("in-context")
    share = maps.probabilities.sum(-1)
    assert (share > 0).all() and (share < 1).all()


@pytest.mark.parametrize("kind", TEXT_NETWORKS)
def test_recorded_maps_times_the_values_are_what_the_block_computes(kind):
    maps, _ = recorded(kind, item=1)
    net, inputs, found = network(kind), asked(kind), []

    def look(layer, role, operator, args, kwargs):
        output = operator(*args, **kwargs)
        if role == ("self-attention" if kind == "in-context" else "words"):
            found.append((args, output))
        return output

    with Watch(net.config, look):
        net(*inputs)
    for kept, (args, output) in zip(maps.probabilities[0], found, strict=True):
        values = args[2][1]
        if kind == "in-context":
            whole = attend(*args)[1][1]
            assert torch.allclose(whole[:, 2:, :2], kept, atol=1e-5)
        else:
            assert torch.allclose(kept @ values, output[1], atol=1e-5)


@few
@given(queries=integers(1, 9), keys=integers(1, 9), masked=booleans(), seed=integers(0, 2**32 - 1))
def test_attend_is_torchs_own_attention(queries, keys, masked, seed):
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(2, 3, n, 4, generator=generator) for n in (queries, keys, keys))
    mask = torch.rand(queries, keys, generator=generator) < 0.7 if masked else None
    if masked:
        mask[:, 0] = True
    output, probabilities = attend(q, k, v, attn_mask=mask)
    assert torch.allclose(output, F.scaled_dot_product_attention(q, k, v, attn_mask=mask), atol=1e-6)
    assert torch.equal(output, probabilities @ v) and (mask is None or (probabilities[..., ~mask] == 0).all())


def test_memory_is_bounded_by_keeping_every_kth_step_and_refused_where_none_fits():
    whole, _ = recorded("zigma", steps=7)
    assert whole.steps == tuple(range(7))
    one = whole.probabilities[0].nbytes
    for most, kept in ((7 * one, 7), (7 * one - 1, 4), (3 * one, 3), (one, 1)):
        thinned, _ = recorded("zigma", steps=7, most_bytes=most)
        assert len(thinned.steps) == kept and thinned.probabilities.nbytes <= most
        assert torch.equal(thinned.probabilities, whole.probabilities[list(thinned.steps)])
    with pytest.raises(ValueError, match="one step of attention maps takes .* allow more"):
        recorded("zigma", most_bytes=one - 1)


def some_maps(steps=(0, 2, 4), layers=2, heads=3, tokens=4, leading=()):
    values = torch.rand(len(steps), layers, heads, 6, tokens, generator=torch.Generator().manual_seed(0))
    return AttentionMaps(values / values.sum(-1, keepdim=True), steps, (0.0, 0.3, 0.6), (2, 3), leading)


def test_a_map_is_the_sum_over_tokens_and_the_mean_over_the_rest():
    maps = some_maps()
    expected = maps.probabilities[1:, :1, [0, 2]][..., [1, 3]].sum(-1).mean((0, 1, 2)).reshape(2, 3)
    assert torch.allclose(maps.map([1, 3], layers=[0], steps=range(2, 5), heads=[0, 2]), expected)
    assert torch.equal(maps.map([1], steps=[3]), maps.map([1], steps=[2])), "a step left out is the one before it"
    assert torch.equal(maps.map([1], steps=[9]), maps.map([1], steps=[4]))


@pytest.mark.parametrize("chosen", [{"tokens": [4]}, {"tokens": []}, {"layers": [2]}, {"heads": [-1]}, {"steps": []}])
def test_a_choice_that_does_not_exist_is_one_sentence(chosen):
    with pytest.raises(ValueError, match=f"{next(iter(chosen))} must be some of 0 to"):
        some_maps().map(**{"tokens": [0], **chosen})


def test_every_token_has_a_name():
    words = [("start", [0]), ("watermelon", [1, 2])]
    assert some_maps().tokens(words) == [("start", (0,)), ("watermelon", (1, 2)), ("other tokens", (3,))]
    assert some_maps(leading=("time",)).tokens(words) == [("time", (0,)), ("start", (1,)), ("watermelon", (2, 3))]


def test_maps_are_exported_whole_and_as_a_sheet(tmp_path):
    maps, words = some_maps(), [("start", [0]), ("心", [1, 2])]
    file = maps.save_npz(tmp_path / "maps.npz", words)
    with np.load(file) as found:
        assert np.array_equal(found["probabilities"], maps.probabilities.numpy())
        assert found["tokens"].tolist() == ["start", "心", "心", "other tokens"]
        assert found["steps"].tolist() == [0, 2, 4] and found["grid"].tolist() == [2, 3]
    page = maps.word_sheet(Image.new("RGB", (24, 16), "white"), words, side=96, layers=[1])
    assert page.width > 2 * 96 and page.height > 2 * 64


def test_a_model_that_attends_to_no_words_and_a_recorder_that_saw_nothing_are_one_sentence(tmp_path):
    pipe = Pipeline.load(tiny_folder(tmp_path / "tiny").path)
    with pytest.raises(ValueError, match="no attention to words or labels"):
        pipe.stream(Request("tiny", label="hedgehog"), record=Recorder())
    with pytest.raises(ValueError, match="nothing was recorded"):
        Recorder().maps  # noqa: B018


def pixels(result):
    return np.stack([np.asarray(image) for image in result.images]).astype(int)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("conditioning", ["cross-attention", "in-context"])
def test_the_pipeline_records_the_half_with_the_condition_and_draws_the_same(conditioning, guidance, tmp_path):
    pipe = Pipeline.load(tiny_folder(tmp_path / "tiny", "dit", conditioning=conditioning).path, device="cpu")
    request = Request("tiny", label=LABELS[1], count=2, steps=3, seed=2, guidance=guidance)
    plain, recorder = pipe(request), Recorder(item=1)
    assert np.abs(pixels(pipe(request, record=recorder)) - pixels(plain)).max() <= 1
    assert np.array_equal(pixels(pipe(request)), pixels(plain)), "after recording, not a bit differs"
    maps = recorder.maps
    assert maps.steps == (0, 1, 2) and maps.leading == ("time",) and maps.probabilities.shape[-1] == 2
    other = Recorder()
    pipe(Request("tiny", label=LABELS[1], count=1, steps=3, seed=3, guidance=1.0), record=other)
    assert torch.allclose(maps.probabilities[0], other.maps.probabilities[0], atol=1e-6)
