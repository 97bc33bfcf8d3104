"""Device and precision are chosen, shown, or refused in one sentence."""

from dataclasses import replace

import pytest
import torch
from models import LABELS, tiny_folder

from zigdemo.backbones import DiTConfig, ZigMaConfig, build
from zigdemo.devices import choose_device, choose_dtype, lower_blocks
from zigdemo.ops import backends
from zigdemo.pipeline import Pipeline, Request

CPU = torch.device("cpu")
SMALL = {"width": 32, "depth": 3, "size": (16, 16), "patch": 4, "labels": 3}
CONFIGS = [
    ZigMaConfig(**SMALL),
    ZigMaConfig(**SMALL, scheme="bidirectional", position="none", skip="normalised"),
    *(DiTConfig(**SMALL, heads=2, conditioning=kind) for kind in ("adaln-zero", "cross-attention", "in-context")),
]


def test_auto_is_the_best_that_is_here():
    assert choose_device() == choose_device("auto") == torch.device("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_dtype(None, CPU) == choose_dtype("auto", CPU) == "fp32"


@pytest.mark.parametrize("name", ["gpu", "meta", "cuda:x", 3.5, ""])
def test_an_unknown_device_is_one_sentence(name):
    with pytest.raises(ValueError, match="unknown device .*choose one of auto, cpu, cuda, mps"):
        choose_device(name)


def test_a_device_that_is_not_here_is_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "cuda:1", "mps"):
        with pytest.raises(ValueError, match=f"device '{name}' is not here"):
            choose_device(name)


def test_half_precision_goes_where_the_device_has_it(monkeypatch):
    with pytest.raises(ValueError, match="'fp16' needs a GPU"):
        choose_dtype("fp16", CPU)
    with pytest.raises(ValueError, match="unknown dtype 'int8'; choose one of auto, fp32, bf16, fp16"):
        choose_dtype("int8", CPU)
    for has, chosen in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, has=has: has)
        assert choose_dtype("auto", torch.device("cuda")) == chosen
    with pytest.raises(ValueError, match="'bf16' is not in the hardware"):
        choose_dtype("bf16", torch.device("cuda"))
    assert choose_dtype("fp16", torch.device("cuda")) == "fp16"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{type(config).__name__} {config.mixing}")
def test_half_precision_keeps_the_answer_and_what_matters_in_float32(config):
    torch.manual_seed(0)
    network = build(config).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    x, t, label = torch.randn(2, 3, 16, 16), torch.rand(2), torch.tensor([0, 2])
    exact, seen = network(x, t, label), {}
    lower_blocks(network, CPU, "bf16")
    for name, module in network.named_modules():
        module.register_forward_hook(lambda module, given, out, name=name: seen.setdefault(name, out))
    low = network(x, t, label)
    assert low.dtype == torch.float32 and 0 < (low - exact).std() < 0.02 * exact.std()
    for name in ("t_embedder", "y_embedder", "x_embedder", "final_layer"):
        assert seen[name].dtype == torch.float32
    halved = [name for name, value in network.named_parameters() if value.dtype == torch.bfloat16]
    assert halved and all(name.startswith("blocks.") and name.endswith("weight") for name in halved)
    assert not any("norm" in name or "conv" in name for name in halved)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the GPU kernels are interpreted on a machine without a GPU")
@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_the_gpu_kernels_take_what_half_precision_gives_them(monkeypatch, dtype):
    pytest.importorskip("triton", reason="needs triton")
    monkeypatch.setenv(backends.ENVIRONMENT, "triton")
    torch.manual_seed(0)
    network = build(replace(CONFIGS[0], depth=1)).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    given = torch.randn(1, 3, 16, 16), torch.rand(1), torch.tensor([1])
    exact = network(*given)
    assert (lower_blocks(network, CPU, dtype)(*given) - exact).std() < 0.02 * exact.std()


def test_a_pipeline_says_its_device_and_precision(tmp_path):
    folder = tiny_folder(tmp_path / "tiny")
    request = Request("tiny", label=LABELS[0], count=1, steps=2)
    made = [Pipeline.load(folder.path, "cpu", dtype)(request) for dtype in ("fp32", "bf16")]
    assert [result.provenance["dtype"] for result in made] == ["fp32", "bf16"]
    assert made[0].provenance["device"] == "cpu" and made[0].images[0] != made[1].images[0]


def test_a_refused_device_or_precision_is_known_before_anything_is_read():
    with pytest.raises(ValueError, match="'fp16' needs a GPU"):
        Pipeline.load("nothing of this name", "cpu", "fp16")
