"""The one function that draws items: every item its own noise and condition, whatever is drawn beside it."""

from __future__ import annotations

import pytest
import torch

from zigdemo.diffusion import Sampling, own_items, sample_items, sampling

CPU = torch.device("cpu")


def pull(x, t, cond):
    """The clean image is the condition."""
    return cond[:, :, None].expand_as(x) - x  # any field that depends on all three will do


def drawn(seeds, cond, null=None, network=pull, **settings):
    chosen = Sampling(**{"steps": 3, "guidance": 1.0, **settings})
    for parts in sample_items(network, (2, 3), seeds, cond, null, chosen, prediction="velocity", device=CPU):
        last = parts
    return own_items([part.x for part in last], len(seeds))


@pytest.mark.parametrize("size", [1, 3, 8])
def test_an_item_does_not_depend_on_what_is_drawn_beside_it(monkeypatch, size):
    monkeypatch.setattr(sampling, "items_per_call", lambda *settings: size)
    cond = torch.arange(10.0).reshape(5, 2)
    whole = drawn([7, 8, 9, 10, 11], cond)
    assert whole.shape == (5, 2, 3)
    for row, seed in enumerate([7, 8, 9, 10, 11]):
        assert torch.equal(whole[row], drawn([seed], cond[row : row + 1])[0])


def test_one_row_of_a_condition_stands_for_all_items():
    cond = torch.tensor([[1.0, 2.0]])
    assert torch.equal(drawn([0, 1], cond), drawn([0, 1], cond.expand(2, 2)))


@pytest.mark.parametrize(
    "device, shape, solver, size",
    [
        ("cuda", (4, 128, 128), "heun", 8), ("cuda", (4, 16, 16), "dopri5", 8), ("cpu", (4, 16, 16), "heun", 4),
        ("cpu", (3, 64, 64), "euler-maruyama", 4), ("cpu", (3, 128, 128), "heun", 1),
        ("cpu", (16, 3, 64, 64), "heun", 1), ("cpu", (4, 16, 16), "dopri5", 1),
    ],
)  # fmt: skip
def test_small_items_share_a_call_on_the_cpu_unless_their_steps_would_depend_on_each_other(device, shape, solver, size):
    assert sampling.items_per_call(torch.device(device), shape, solver) == size


def test_calls_on_the_cpu_have_no_copies():
    sizes = []

    def network(x, t, cond):
        sizes.append(len(x))
        return pull(x, t, cond)

    assert len(drawn(range(6), torch.zeros(1, 2), network=network, solver="euler")) == 6
    assert sizes == [4, 2] * 3  # two groups, three steps


def test_every_call_on_a_gpu_has_one_size_and_copies_are_cut_off(monkeypatch):
    class Cuda:
        """Stands for a GPU where there is none: what is moved there stays."""

        type = "cuda"

    monkeypatch.setattr(torch.Tensor, "to", lambda self, *where, **more: self)
    monkeypatch.setattr(sampling, "PER_CALL_GPU", 4)
    monkeypatch.setitem(globals(), "CPU", Cuda())
    sizes = []

    def network(x, t, cond):
        sizes.append(len(x))
        return pull(x, t, cond)

    assert len(drawn(range(6), torch.zeros(1, 2), network=network, solver="euler")) == 6
    assert sizes == [4] * 6  # two groups, three steps


def test_guidance_pushes_away_from_the_null_condition_within_its_interval():
    cond, null = torch.ones(1, 2), torch.zeros(1, 2)
    plain, strong = drawn([0], cond, null), drawn([0], cond, null, guidance=3.0)
    assert not torch.allclose(plain, strong)
    assert torch.allclose(drawn([0], 3 * cond), strong, atol=1e-5)  # the field is linear in the condition
    early = drawn([0], cond, null, guidance=3.0, interval=(0.0, 0.2))
    assert not torch.allclose(early, strong) and not torch.allclose(early, plain)
    assert torch.equal(drawn([0], cond, null, guidance=3.0, interval=(0.95, 1.0), steps=1, solver="euler"), drawn(
        [0], cond, steps=1, solver="euler"))  # fmt: skip


def test_the_end_of_the_interval_is_inside_it():
    cond, null = torch.ones(1, 2), torch.zeros(1, 2)
    settings = {"steps": 2, "solver": "euler", "guidance": 3.0}  # asked at t = 0 and t = 0.5
    whole = drawn([0], cond, null, interval=(0.0, 0.5), **settings)
    assert torch.equal(whole, drawn([0], cond, null, interval=(0.0, 1.0), **settings))
    assert not torch.equal(whole, drawn([0], cond, null, interval=(0.0, 0.4), **settings))


def test_a_clean_item_to_start_from_is_kept_the_more_the_later_the_start():
    clean = torch.full((1, 2, 3), 5.0)
    away = []
    for start in (0.2, 0.9):
        chosen = Sampling("euler", 1, 1.0, start=start)
        still = sample_items(lambda x, t, cond: 0 * x, (2, 3), [0], None, None, chosen, prediction="velocity",
                             device=CPU, clean=clean)  # fmt: skip
        away.append((next(still)[0].x - clean).abs().mean())
    assert away[1] < away[0] / 5


def test_closing_stops_every_group_and_a_watch_sees_its_own_rows(monkeypatch):
    monkeypatch.setattr(sampling, "items_per_call", lambda *settings: 2)
    seen = []

    def watch(call, rows):
        seen.append(rows)
        return call

    run = sample_items(pull, (2, 3), [0, 1, 2], torch.zeros(1, 2), None, Sampling(steps=5, guidance=1.0),
                       prediction="velocity", device=CPU, watch=watch)  # fmt: skip
    assert len(next(run)) == 2 and seen == [[0, 1], [2]]
    run.close()
    with pytest.raises(StopIteration):
        next(run)
