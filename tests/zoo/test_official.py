"""An official checkpoint becomes a model folder that draws what the checkpoint drew."""

import argparse
import json

import pytest
import torch
from checkpoints import TINY, save, small_weights, training_checkpoint, weights
from safetensors.torch import load_file

from zigdemo import zoo
from zigdemo.backbones.official import build_official
from zigdemo.conditioning import CLIP_L
from zigdemo.latents import AUTOENCODERS
from zigdemo.pipeline import Pipeline, Request
from zigdemo.zoo.__main__ import main
from zigdemo.zoo.official import import_checkpoint

CLASSES = {**TINY, "in_channels": 3, "scan_type": "v2", "num_classes": 3}


@pytest.fixture(autouse=True)
def shelf(tmp_path, monkeypatch):
    """An empty weights folder."""
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    return tmp_path / "weights"


@pytest.fixture
def file(tmp_path):
    return save(training_checkpoint(argparse.Namespace(model={"params": TINY})), tmp_path / "0400000.pt")


def test_an_imported_model_is_the_official_one(file):
    folder = import_checkpoint(file, "tiny")
    assert folder == zoo.find("tiny") and [entry.id for entry in zoo.available()] == ["tiny"]
    assert (folder.family, folder.origin, folder.prediction) == ("ZigMa official", "official", "velocity")
    assert folder.schemes == ("zigzag-4",) and folder.labels is None
    network, same = folder.load(), build_official("ZigMa", TINY, weights())
    x, t = torch.randn(2, 4, 4, 4), torch.rand(2)
    assert torch.equal(network(x, t), same(x, t).detach())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_weights_keep_their_numbers(file):
    folder = import_checkpoint(file)
    assert folder.id == "0400000"
    stored = load_file(folder.path / zoo.TENSORS)
    assert stored.keys() == weights().keys()
    assert all(torch.equal(stored[key], value) for key, value in weights().items())
    card = (folder.path / "README.md").read_text()
    assert folder.about["sha256"] in card and "trained for 400,000 steps" in card
    assert folder.latents == AUTOENCODERS["sd-vae-ft-ema"]


def test_an_imported_model_draws(tmp_path):
    import_checkpoint(save(weights(**CLASSES), tmp_path / "classes.pt"))
    pipe = Pipeline.load("classes", device="cpu")
    assert pipe.labels == ("class 0", "class 1", "class 2") and pipe.schemes == ("bidirectional",)
    requests = [Request("classes", label=label, count=1, steps=2) for label in ("class 0", "class 2")]
    pictures = [pipe(request).images[0] for request in requests]
    assert pictures[0].size == (4, 4) and pictures[0].tobytes() != pictures[1].tobytes()
    with pytest.raises(ValueError, match="needs a label"):
        pipe(Request("classes", count=1, steps=2))


def test_views_and_shared_weights_are_written_whole(tmp_path):
    state, both = weights(), torch.randn(32)
    state |= {"norm_f.weight": both[:16], "blocks.0.norm.weight": both[16:], "blocks.1.norm.weight": both[16:]}
    stored = load_file(import_checkpoint(save(state, tmp_path / "a.pt")).path / zoo.TENSORS)
    assert all(torch.equal(stored[key], value) for key, value in state.items())


def test_paths_that_no_scheme_has_are_noted(tmp_path):
    path = save(weights(), tmp_path / "a.pt")
    folder = import_checkpoint(path, settings={"scan_type": "hilbertN8"})
    assert any("leave scan empty" in note for note in folder.about["notes"])
    assert len(folder.load().paths) == 8


def test_the_command_imports_and_says_what_it_assumed(tmp_path, capsys):
    path = save(weights(use_pe=0), tmp_path / "old.pt")
    assert main(["import", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {path} is refused: it has no pos_embed")
    assert main(["import", str(path), "--name", "mine", "--set", "img_dim=4", "--set", "scan_type=zigzagN2"]) == 0
    assert "mine: ZigMa official" in capsys.readouterr().out
    assert zoo.find("mine").model.settings["scan_type"] == "zigzagN2"
    assert main(["import", str(path), "--name", "mine", "--set", "img_dim=4"]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("../out", {}, "name must be letters"),
        ("", {}, "name must be letters"),
        ("x", {"settings": {"scan_type": "randomN2"}}, "at random"),
        ("x", {"settings": {"scan_type": "zigzagN99"}}, "cannot be built"),
        ("x", {"family": "DiT"}, "not of DiT"),
    ],
)
def test_what_cannot_be_imported_leaves_nothing_behind(tmp_path, shelf, name, options, words):
    path = save(weights(), tmp_path / "a.pt")
    with pytest.raises(ValueError, match=words):
        import_checkpoint(path, name, **options)
    assert not shelf.exists()


SMALL = {"hidden_size": 24, "depth": 2, "input_size": 8, "num_classes": 3, "num_heads": 2}


@pytest.mark.parametrize("family", ["DiT", "SiT", "DiG"])
def test_every_family_is_imported_and_draws(tmp_path, family):
    state = {key: 0.1 * value for key, value in small_weights(family, {**SMALL, "in_channels": 3}).items()}
    folder = import_checkpoint(save(state, tmp_path / f"{family}-tiny.pt"), "tiny", settings={"num_heads": 2})
    assert folder.family == f"{family} official" and folder.schemes == ()
    assert folder.prediction == ("velocity" if family == "SiT" else "noise")
    pipe = Pipeline.load("tiny", device="cpu")
    requests = [Request("tiny", label=label, count=1, steps=3) for label in ("class 0", "class 2")]
    asked = []
    pipe.network.register_forward_pre_hook(lambda network, args: asked.append(float(args[1].max())))
    pictures = [pipe(request).images[0] for request in requests]
    assert max(asked) <= 1 if family == "SiT" else max(asked) == 999  # a time, or a step of a DDPM
    assert pictures[0].size == (8, 8) and pictures[0].tobytes() != pictures[1].tobytes()
    with pytest.raises(ValueError, match="leave scheme 'zigzag-8' out|leave 'zigzag-8' out"):
        pipe(Request("tiny", label="class 0", count=1, steps=3, scan="zigzag-8"))


@pytest.mark.parametrize(
    ("family", "prediction", "interpolant"), [("DiT", "noise", "ddpm"), ("SiT", "velocity", "linear")]
)
def test_dit_and_sit_say_what_they_predict_and_how_they_are_guided(tmp_path, family, prediction, interpolant):
    path = save(small_weights(family, SMALL), tmp_path / "x.pt")
    folder = import_checkpoint(path, family=family, settings={"num_heads": 2})
    assert (folder.prediction, folder.interpolant, folder.guided_channels) == (prediction, interpolant, 3)
    assert folder.latents == AUTOENCODERS["sd-vae-ft-ema"] and folder.schemes == () and len(folder.labels) == 3


def test_a_text_model_has_the_autoencoder_of_stable_diffusion_and_the_texts_of_clip(tmp_path):
    text = weights(has_text=True, d_context=8)
    folder = import_checkpoint(save(text, tmp_path / "x.pt"))
    assert folder.latents == AUTOENCODERS["sd-v1-5"] and folder.text == CLIP_L


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depth": 10**12}, r"asks for [\d,]{16,} weights, more than 4,000,000,000"),
        ({"embed_dim": 10**6}, r"asks for [\d,]{13,} weights"),
        ({"depth": 20_000}, "do not belong together"),
        ({"depth": "many"}, "depth in the config of ZigMa must be a whole number"),
        ({"img_dim": None}, "lacks 'img_dim'"),
        ({"patch_size": 4}, "lacks|belong together|they do not"),
        ({"scan_type": "spiral"}, "scan type 'spiral'"),
        ({"colour": 1}, "unknown setting 'colour'"),
        ({"num_classes": -3}, "num_classes"),
        ({"ssm_cfg": 3}, "ssm_cfg"),
    ],
    ids=str,
)
def test_a_folder_whose_config_was_changed_is_refused(file, changes, words):
    path = import_checkpoint(file, "tiny").path / zoo.CONFIG
    content = json.loads(path.read_text())
    content["model"] = {key: value for key, value in {**content["model"], **changes}.items() if value is not None}
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=words) as refusal:
        zoo.read_folder(path.parent).load()
    assert "\n" not in str(refusal.value)
