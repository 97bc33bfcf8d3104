"""Which backend runs where: the choice, the wish of the environment, and the report."""

import pytest
import torch

from zigdemo.ops import backends

FLOAT, CUDA, MPS, CPU = torch.float32, torch.device("cuda"), torch.device("mps"), torch.device("cpu")


def chosen(device, dtype=FLOAT):
    return {operator: backends.choose(operator, "auto", device, dtype) for operator in backends.OPERATORS}


def test_on_a_mac_something_correct_runs_and_is_named():
    wanted = {"selective_scan": "reference", "gated_linear_attention": "reference", "s4d_convolution": "fft"}
    assert chosen(MPS) == wanted
    lines = [line for line in backends.report("mps") if not line.available]
    assert lines and all("mps" in line.reason for line in lines)


def test_on_a_gpu_without_triton_or_compiled_packages_something_correct_runs_and_is_named(monkeypatch):
    monkeypatch.setattr(backends, "_import_fault", lambda module, install: f"{module} is not installed ({install})")
    monkeypatch.setattr(backends, "_fla_import_fault", lambda: "fla is not installed")
    assert chosen(CUDA)["selective_scan"] == chosen(CUDA)["gated_linear_attention"] == "reference"
    reasons = {line.backend: line.reason for line in backends.report("cuda") if line.operator == "selective_scan"}
    assert "triton is not installed" in reasons["triton"] and "requirements-gpu.txt" in reasons["mamba_ssm"]


def test_on_a_gpu_the_best_that_imports_is_taken(monkeypatch):
    monkeypatch.setattr(backends, "_import_fault", lambda module, install: None)
    monkeypatch.setattr(backends, "_fla_import_fault", lambda: None)
    found = chosen(CUDA)
    assert (found["selective_scan"], found["gated_linear_attention"]) == ("triton", "triton")
    assert chosen(CUDA, torch.float64)["selective_scan"] == "reference"


def test_the_interpreter_is_never_chosen_unasked(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(backends, "numba_fault", lambda: "numba is not installed")
    assert chosen(CPU)["selective_scan"] == "reference"


def test_the_environment_asks_every_operator_that_has_the_backend(monkeypatch):
    monkeypatch.setenv(backends.ENVIRONMENT, "fft")
    assert chosen(CPU)["s4d_convolution"] == "fft" and chosen(CPU)["selective_scan"] != "fft"
    monkeypatch.setenv(backends.ENVIRONMENT, "reference")
    assert set(chosen(CPU).values()) == {"reference"}
    assert all("asked for" in line.reason for line in backends.report() if line.chosen)


def test_a_wish_that_nothing_fulfils_is_one_sentence(monkeypatch):
    monkeypatch.setenv(backends.ENVIRONMENT, "magic")
    with pytest.raises(ValueError, match=r"ZIGDEMO_BACKEND is 'magic'; set it to auto or one of"):
        chosen(CPU)


def test_the_report_chooses_one_backend_an_operator_and_gives_every_reason():
    lines = backends.report()
    assert all(line.reason for line in lines)
    for operator, known in backends.OPERATORS.items():
        own = [line for line in lines if line.operator == operator]
        assert [line.backend for line in own] == [entry.name for entry in known]
        assert sum(line.chosen for line in own) == 1
