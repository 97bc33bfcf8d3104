"""What a patch listens to agrees with finite answers: Jacobians, outputs of the blocks, the order of the scan."""

import pytest
import torch
from models import tiny_folder

from zigdemo.backbones import FAMILIES, build
from zigdemo.explain import (
    CallRecorder,
    NetworkCall,
    composed,
    gradient_influence,
    implicit_attention,
    mixings,
    order_field,
    patch_influence,
)
from zigdemo.pipeline import Pipeline, Request

SETTINGS = {
    **dict.fromkeys(FAMILIES, {}),
    "zigma": {"state_size": 3},
    "bidirectional": {"state_size": 3, "scheme": "bidirectional"},
    "dit": {"heads": 2},
    "in-context": {"heads": 2, "conditioning": "in-context"},
    "cross-attention": {"heads": 2, "conditioning": "cross-attention"},
    "dig": {"heads": 2, "depth": 4},
    "diffussm": {"modes": 3},
}


def family(kind):
    return {"bidirectional": "zigma", "in-context": "dit", "cross-attention": "dit"}.get(kind, kind)


def network(kind, size=(16, 24)):
    torch.manual_seed(0)
    base = {"width": 16, "depth": 3, "size": size, "patch": 4, "labels": 3}
    net = build(FAMILIES[family(kind)].config(**{**base, **SETTINGS[kind]})).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net.requires_grad_(False)


def network_call(net, scheme=None):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 3, *net.config.size, generator=generator)
    return NetworkCall(x, torch.tensor([0.3]), torch.tensor([1]), scheme)


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_exact_gradient_is_the_norm_of_the_jacobian_and_probes_come_near(kind):
    net = network(kind, size=(8, 12))
    at = network_call(net)
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x, at.t, at.cond)[0, :, 4:8, 8:12], at.x)[:, :, :, 0]
    expected = jacobian.pow(2).sum((0, 1, 2, 3)).unflatten(1, (3, 4)).unflatten(0, (2, 4)).sum((1, 3)).sqrt()
    exact = gradient_influence(net, at, 5, probes=None)
    assert torch.allclose(exact, expected, rtol=1e-4)
    probed = gradient_influence(net, at, 5, probes=64)
    assert torch.allclose(probed, exact, rtol=0.35)


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_captured_operator_is_the_matrix_of_the_very_call(kind):
    net = network(kind)
    found = mixings(net, network_call(net))
    scans = 2 if kind == "bidirectional" else 1
    assert [one.layer for one in found] == [i for i in range(net.config.depth) for _ in range(scans)]
    rows = implicit_attention(found, [7, 0])
    assert rows.shape == (net.config.depth, 2, 24 + 2 * (kind == "in-context"))
    assert rows.isfinite().all() and (rows >= 0).all()


@pytest.mark.parametrize("scheme", ["zigzag-8", "hilbert-4", "random-3"])
def test_a_scan_hears_exactly_those_before_it_in_its_order(scheme):
    net = network("zigma")
    found = mixings(net, network_call(net, scheme))
    for layer, order in enumerate(net.orders(scheme)):
        heard = implicit_attention(found, [9])[layer, 0] > 0
        assert heard.tolist() == [bool(place <= order.inverse[9]) for place in order.inverse]


@pytest.mark.parametrize("kind", SETTINGS)
def test_only_what_the_order_allows_is_heard_in_the_end(kind):
    net = network(kind)
    at = network_call(net)
    field, maps = order_field(net, 9), composed(mixings(net, at))[:, 9, :24]
    assert field.shape == (net.config.depth, 4, 6) and field[:, 1, 3].all()
    assert torch.equal(maps > 0, torch.from_numpy(field).flatten(1))
    whole = composed(mixings(net, at)).sum(-1)
    assert torch.allclose(whole, torch.ones_like(whole))


def test_the_gradient_stays_inside_the_order_receptive_field():
    net = network("zigma")
    for token in (0, 9, 23):
        gradient = gradient_influence(net, network_call(net, "sweep"), token)
        field = torch.from_numpy(order_field(net, token, "sweep")[-1])
        assert (gradient[~field] == 0).all() and gradient[field].min() > 0


def test_too_much_to_compose_is_said_and_the_rest_is_still_shown(monkeypatch):
    net = network("zigma")
    monkeypatch.setattr("zigdemo.explain.influence.MOST_PRODUCTS", 1000)
    with pytest.raises(ValueError, match="look at single layers"):
        composed(mixings(net, network_call(net)))
    seen = patch_influence(net, network_call(net), 9, probes=2)
    assert seen.composed is None and seen.implicit.shape == (3, 4, 6) and seen.gradient.shape == (4, 6)


@pytest.mark.parametrize("token", [-1, 24, 1.0, None, True])
def test_a_patch_that_does_not_exist_is_one_sentence(token):
    net = network("dit")
    with pytest.raises(ValueError, match="token, a patch in raster order, must be a whole number from 0 to 23"):
        patch_influence(net, network_call(net), token)


@pytest.mark.parametrize("kind", SETTINGS)
def test_moments_replay_what_the_network_was_asked_while_drawing(kind, tmp_path):
    pipe = Pipeline.load(tiny_folder(tmp_path / "tiny", family(kind), **SETTINGS[kind]).path, device="cpu")
    request = Request("tiny", label="hedgehog", count=3, steps=3, seed=4)
    record = CallRecorder(item=1)
    steps = list(pipe.stream(request, record=record))
    assert steps[-1].result.record is record and len(record.calls) == 3
    alone = CallRecorder()
    pipe(Request("tiny", label="hedgehog", count=1, steps=3, seed=5), record=alone)
    for mine, other in zip(record.calls, alone.calls, strict=True):
        assert torch.equal(mine.t, other.t) and torch.equal(mine.cond, other.cond)
        torch.testing.assert_close(mine.x, other.x, atol=1e-4, rtol=1e-4)  # items of a call differ by rounding
    assert torch.equal(record.calls[0].x, alone.calls[0].x)
    assert [float(one.t) for one in record.calls] == sorted(float(one.t) for one in record.calls)
    seen = patch_influence(pipe.network, record.calls[1], 5, probes=2)
    assert seen.gradient.shape == (4, 4) and (seen.gradient >= 0).all() and seen.gradient.max() > 0
    assert seen.field[-1].sum() >= (seen.implicit[-1] > 0).sum()


def test_an_item_that_is_not_drawn_is_one_sentence(tmp_path):
    pipe = Pipeline.load(tiny_folder(tmp_path / "tiny").path)
    with pytest.raises(ValueError, match="item 2 is not among the 2 pictures"):
        pipe.stream(Request("tiny", label="hedgehog", count=2), record=CallRecorder(item=2))
