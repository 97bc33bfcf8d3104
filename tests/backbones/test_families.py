"""The contract of `backbones.base`, held for every entry of the table: a new backbone is tested by being listed."""

import pytest
import torch
from models import LABELS, noisy, tiny_config

from zigdemo.backbones import FAMILIES, build
from zigdemo.backbones.presets import preset
from zigdemo.explain import Cost, cost, counted_cost
from zigdemo.training.trainer.recipe import RECIPES, load_recipe

every = pytest.mark.parametrize("family", FAMILIES)
CONDITIONS = {"labels": {}, "words": {"labels": 0, "text_width": 6}, "nothing": {"labels": 0}}


def inputs(config):
    cond = torch.tensor([0, len(LABELS)]) if config.labels else None
    cond = torch.randn(2, 4, config.text_width) if config.text_width else cond
    return torch.randn(2, config.in_channels, *config.size), torch.tensor([0.2, 0.9]), cond


@every
@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
def test_it_draws_what_its_config_says_under_every_condition(family, condition):
    config = tiny_config(family, **condition)
    output = noisy(config)(*inputs(config))
    assert output.shape == (2, config.out_channels, *config.size) and output.isfinite().all()


@every
@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
def test_its_formula_is_the_count_and_its_config_knows_its_weights(family, condition):
    config = tiny_config(family, depth=4, refine=3, **condition)
    formula, counted = cost(config, 2, 4), counted_cost(config, 2, 4)
    assert formula.keys() == counted.keys()
    for layer, found in counted.items():
        assert vars(formula[layer]) == pytest.approx(vars(found), rel=0.02), layer
    weights = sum(parameter.numel() for parameter in build(config).parameters())
    assert config.parameters == weights == Cost.total(formula.values()).weights


@every
def test_recomputed_blocks_give_the_same_gradients(family):
    config, gradients = tiny_config(family), []
    for recompute in (False, True):
        network = noisy(config)
        network.checkpointing = recompute
        torch.manual_seed(1)
        network(*inputs(config)).square().mean().backward()
        gradients.append([parameter.grad for parameter in network.parameters() if parameter.requires_grad])
    for plain, same in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, same)


@every
def test_every_layer_has_its_order_or_none_has_one_and_a_wrong_scheme_is_one_sentence(family):
    network = build(tiny_config(family))
    assert len(network.orders()) in (0, network.config.depth) and len(network.blocks) == network.config.depth
    with pytest.raises(ValueError, match="nonsense"):
        network.orders("nonsense")


@every
def test_it_has_sizes_words_for_the_page_and_a_recipe(family):
    entry = FAMILIES[family]
    assert all(preset(family, name).parameters > 10**6 for name in entry.sizes) and entry.sizes
    assert all(entry.mixer) and tiny_config(family).mixing
    assert family in {load_recipe(path).model["family"] for path in RECIPES.glob("*.yaml")}
