"""Official checkpoint files, small and made on the spot, for the tests that read them."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from zigdemo.backbones.official import official_zigma, read_checkpoint
from zigdemo.backbones.official.layouts import layout

TINY = {"img_dim": 4, "in_channels": 4, "embed_dim": 16, "depth": 2, "scan_type": "zigzagN4", "use_pe": 2}


def weights(seed=0, **changes):
    """Random weights of a tiny official ZigMa."""
    torch.manual_seed(seed)
    return {key: torch.randn(value.shape) for key, value in official_zigma({**TINY, **changes}).state_dict().items()}


def small_weights(family, config):
    """Random weights of any family, by its layout."""
    torch.manual_seed(0)
    return {key: torch.randn(shape) for key, shape in layout(family, config).shapes().items()}


def training_checkpoint(args, state=None, prefix=""):
    """A dict as the official training scripts save it, with an AdamW that has taken a step."""
    ema = state or weights()
    parameters = [nn.Parameter(torch.randn_like(value)) for value in ema.values()]
    optimiser = torch.optim.AdamW(parameters, lr=1e-4)
    sum(p.sum() for p in parameters).backward()
    optimiser.step()
    return {
        "model": OrderedDict({prefix + key: torch.full_like(value, 7) for key, value in ema.items()}),
        "ema": OrderedDict({prefix + key: value for key, value in ema.items()}),
        "opt": optimiser.state_dict(),
        "args": args,
        "train_steps": 400_000,
        "best_fid": np.float64(31.0),
    }


def save(content, path, **options):
    torch.save(content, path, **options)
    return path


def assert_holds(checkpoint, state):
    assert checkpoint.state_dict.keys() == state.keys()
    for key, value in state.items():
        assert torch.equal(checkpoint.state_dict[key], value)


def refused(path, words, **options):
    """The one sentence with which a file is refused; it names the file."""
    with pytest.raises(ValueError, match=words) as refusal:
        read_checkpoint(path, **options)
    sentence = str(refusal.value)
    assert str(path) in sentence and "\n" not in sentence and len(sentence) < len(str(path)) + 400
    return sentence
