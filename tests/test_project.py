"""The project's own papers are in order."""

import json
import re
from pathlib import Path

import pytest
import yaml
from lowest import REQUIREMENTS, lowest
from mutations import MUTATIONS, with_slip

from zigdemo.zoo import read_folder

ROOT = Path(__file__).parent.parent
FOLDERS = sorted(
    path.parent
    for path in (ROOT / "weights").glob("*/config.json")
    if (path.parent / "model.safetensors").is_file()
    and json.loads(path.read_text(encoding="utf-8"))["origin"] != "official"  # imported by whoever works here
)


def test_the_readme_is_a_space():
    front = yaml.safe_load((ROOT / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert front["sdk"] == "gradio" and re.fullmatch(r"6\.\d+\.\d+", front["sdk_version"])
    assert front["license"] == "apache-2.0" and isinstance(front["models"], list)
    assert (ROOT / front["app_file"]).is_file() and len(front["short_description"]) <= 60
    assert front["title"] and front["python_version"] in ("3.10", "3.11", "3.12", "3.13")


def test_the_readme_gives_every_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = ("make demo", "make test", "make test-new-examples", "make test-lowest")
    for command in (*commands, "pip install -r requirements.txt && python app.py"):
        assert command in text


def test_what_needs_a_compiler_is_optional():
    required = (ROOT / "requirements.txt").read_text()
    for package in ("mamba-ssm", "causal-conv1d", "flash-linear-attention", "triton"):
        assert package not in required and package in (ROOT / "requirements-gpu.txt").read_text()


def test_every_requirement_has_a_lowest_version_that_can_be_tested():
    assert len(lowest(REQUIREMENTS.read_text(encoding="utf-8"))) >= 10
    assert lowest("torch>=2.8  # no more\n\ngradio>=6.27,<7\n") == ["torch==2.8", "gradio==6.27"]
    with pytest.raises(ValueError, match="'numpy<3' names no lowest version"):
        lowest("numpy<3")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_still_finds_its_line_and_its_tests(mutation):
    assert with_slip(mutation, ROOT) != (ROOT / mutation.file).read_text(encoding="utf-8")
    assert (ROOT / mutation.tests).exists()


def test_weights_are_small_enough_for_a_clone():
    files = [path for path in (ROOT / "weights").rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) <= 16 * 2**20
    assert sum(path.stat().st_size for path in files) <= 220 * 2**20


@pytest.mark.parametrize("part", ["pictures-f8", "portraits-text", "portraits-judge", "emoji-clip"])
def test_parts_of_models_have_a_card_with_scores_and_attribution(part):
    card = (ROOT / "weights" / part / "README.md").read_text(encoding="utf-8")
    assert "NOTICE" in card and "|" in card and ("MIT" in card or "CC BY" in card)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_shipped_weights_are_small_carded_and_honest(folder):
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "## Scores" in card and ("MIT" in card or "CC BY" in card)
    assert (folder / "grid.png").is_file() or (folder / "grid.webp").is_file()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["origin"] == "shipped (toy)" and config["id"] == folder.name
    assert sum(weight.numel() for weight in read_folder(folder).load().parameters()) > 10**6
