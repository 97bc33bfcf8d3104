"""What a patch of a clip listens to: tokens are frame, row and column, and some layers mix only frames or only time."""

import numpy as np
import pytest
import torch
from recorded import read

from zigdemo.backbones import FAMILIES, build
from zigdemo.backbones.official import official_zigma
from zigdemo.explain import (
    NetworkCall,
    composed,
    gradient_influence,
    implicit_attention,
    mixings,
    order_field,
    patch_influence,
)

FRAMES, ROWS, COLUMNS = 3, 2, 3
TOKENS = FRAMES * ROWS * COLUMNS
TOKEN = 1 * ROWS * COLUMNS + 1 * COLUMNS + 0  # frame 1, row 1, column 0
NETWORKS = {
    "zigma": {"scheme": "factorized-sst", "state_size": 3},
    "zigzag3d": {"scheme": "zigzag3d-8", "state_size": 3},
    "bidirectional": {"scheme": "bidirectional", "state_size": 3},
    "dit": {"heads": 2},
    "dig": {"heads": 2, "conv": "none"},  # its convolution is no part of the matrices
}


def network(kind):
    torch.manual_seed(0)
    base = {"width": 16, "depth": 4, "size": (4 * ROWS, 4 * COLUMNS), "patch": 4, "frames": FRAMES}
    net = build(FAMILIES[kind if kind in FAMILIES else "zigma"].config(**base, **NETWORKS[kind])).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net.requires_grad_(False)


def network_call(net):
    x = torch.randn(1, FRAMES, 3, *net.config.size, generator=torch.Generator().manual_seed(1))
    return NetworkCall(x, torch.tensor([0.3]))


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_gradient_is_that_of_the_patch_in_its_frame(kind):
    net = network(kind)
    at = network_call(net)
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x, at.t)[0, 1, :, 4:8, 0:4], at.x)[:, :, :, 0]
    squares = jacobian.pow(2).sum((0, 1, 2, 4)).reshape(FRAMES, ROWS, 4, COLUMNS, 4)
    assert torch.allclose(gradient_influence(net, at, TOKEN, probes=None), squares.sum((2, 4)).sqrt(), rtol=1e-4)


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_is_heard_is_what_the_order_allows_and_the_gradient_too(kind):
    net = network(kind)
    at = network_call(net)
    seen = patch_influence(net, at, TOKEN, probes=None)
    assert seen.field.shape == (4, FRAMES, ROWS, COLUMNS) and seen.implicit.shape == seen.field.shape
    assert np.array_equal(seen.composed > 0, seen.field)
    assert not seen.gradient[~seen.field[-1]].any() and (seen.gradient[seen.field[-1]] > 0).all()


def frames_and_places(heard):
    heard = heard.reshape(FRAMES, ROWS * COLUMNS)
    return heard.any(1).nonzero().flatten().tolist(), heard.any(0).nonzero().flatten().tolist()


@pytest.mark.parametrize(("kind", "over_time"), [("zigma", [2]), ("dit", [1, 3]), ("dig", [1, 3])])
def test_a_layer_hears_its_own_frame_or_its_own_place(kind, over_time):
    net = network(kind)
    rows = implicit_attention(mixings(net, network_call(net)), [TOKEN])[:, 0] > 0
    for layer, heard in enumerate(rows):
        frames, places = frames_and_places(heard)
        assert places == [3] if layer in over_time else frames == [1]
    if kind == "dit":
        assert frames_and_places(rows[0])[1] == list(range(6)) and frames_and_places(rows[1])[0] == [0, 1, 2]


def test_every_second_layer_over_time_of_a_dig_hears_the_frames_behind():
    net = network("dig")
    rows = implicit_attention(mixings(net, network_call(net)), [TOKEN])[:, 0] > 0
    assert frames_and_places(rows[1])[0] == [0, 1] and frames_and_places(rows[3])[0] == [1, 2]


def test_attention_over_frames_then_time_reaches_everything_in_two_layers():
    field = order_field(network("dit"), TOKEN)
    assert field[0].sum() == ROWS * COLUMNS and field[0, 1].all() and field[1:].all()


@pytest.mark.parametrize("kind", NETWORKS)
def test_composed_rows_still_sum_to_one(kind):
    net = network(kind)
    whole = composed(mixings(net, network_call(net))).sum(-1)
    assert whole.shape == (4, TOKENS) and torch.allclose(whole, torch.ones_like(whole))


@pytest.mark.parametrize("token", [-1, TOKENS, None])
def test_a_patch_beyond_the_last_frame_is_one_sentence(token):
    with pytest.raises(ValueError, match="token, a patch in raster order, must be a whole number from 0 to 17"):
        gradient_influence(network("dit"), network_call(network("dit")), token)


def test_published_layers_that_mirror_time_are_one_sentence():
    net = official_zigma(read("zigma_video_sst")[1])
    x = torch.zeros(1, net.config.frames, net.config.in_channels, *net.config.size)
    for look in (lambda: mixings(net, NetworkCall(x, torch.zeros(1))), lambda: order_field(net, 0)):
        with pytest.raises(ValueError, match="put their outputs back mirrored"):
            look()
