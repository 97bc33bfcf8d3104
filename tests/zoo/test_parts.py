"""A model's autoencoder and tower go where the model goes."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatch

import huggingface_hub
import numpy as np
import pytest
from autoencoders import small_autoencoder
from huggingface_hub import errors
from models import tiny_folder
from towers import small_tower

from zigdemo import zoo
from zigdemo.conditioning import TextSpec
from zigdemo.data import ImageSet
from zigdemo.latents import AutoencoderSpec
from zigdemo.pipeline import Pipeline, Request
from zigdemo.training.finetuning.finetune import Tuning, finetune
from zigdemo.zoo.obtaining import obtain
from zigdemo.zoo.parts import named_parts

pytest.importorskip("diffusers", reason="diffusers is not installed")


@pytest.fixture
def model(tmp_path, monkeypatch) -> zoo.ModelFolder:
    """A model "words" that draws latents of "ae" and reads by "tower", all three among the weights."""
    weights = tmp_path / "weights"
    monkeypatch.setattr(zoo, "WEIGHTS", weights)
    spec = replace(small_autoencoder(weights / "ae"), source="ae")
    tower = small_tower(weights / "tower")
    return tiny_folder(weights / "words", latents=spec, text=tower, size=(8, 8), patch=2)


def drawn(path) -> np.ndarray:
    pipe = Pipeline.load(path, device="cpu")
    return np.asarray(pipe(Request(pipe.folder.id, prompt="red hair", count=1, steps=1)).images[0])


def files_under(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_only_ids_are_parts():
    kl, words = AutoencoderSpec("kl", "ae"), TextSpec("tower")
    assert [part.id for part in named_parts(kl, words)] == ["ae", "tower"]
    assert named_parts(replace(kl, source="someone/vae"), TextSpec("ViT-L-14", "openai")) == []
    assert named_parts(replace(kl, source="/abs/vae"), TextSpec("../up")) == [] == named_parts(None, None)


def test_a_fine_tuned_model_in_another_folder_draws_on_its_own(model, tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    new = ImageSet(images, ["a red robot"], np.zeros(3, np.int64), ["new"] * 3, [[]] * 3)
    tuning = Tuning(steps=2, batch=2, rehearse=2, prompts=("red hair", "blue hair"))
    tuned = finetune(model.path, new, tmp_path / "far/mine", tuning, run=tmp_path / "run")
    assert tuned.latents == model.latents and tuned.text == model.text
    assert {"ae", "tower"} <= {path.name for path in tuned.path.iterdir()}
    assert not (tmp_path / "run/data/images.npy").exists()  # encoded once, not in every step
    before = drawn(tuned.path)
    (tmp_path / "far").rename(tmp_path / "moved")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "elsewhere")
    assert (drawn(tmp_path / "moved/mine") == before).all()


def test_a_push_takes_the_parts_along_and_a_load_brings_them(model, tmp_path, monkeypatch):
    hub = tmp_path / "hub"
    (model.path / "secret.txt").write_text("x")

    class Api:
        def create_repo(self, repo, *, private, exist_ok):
            return f"https://huggingface.co/{repo}"

        def upload_folder(self, *, repo_id, folder_path, allow_patterns, commit_message):
            for name in files_under(folder_path):
                if any(fnmatch(name, pattern) for pattern in allow_patterns):
                    (hub / name).parent.mkdir(parents=True, exist_ok=True)
                    (hub / name).write_bytes((folder_path / name).read_bytes())

    def download(repo, file):
        if not (hub / file).is_file():
            fault = errors.EntryNotFoundError.__new__(errors.EntryNotFoundError)
            Exception.__init__(fault, "gone")
            raise fault
        return str(hub / file)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    model.push("me/words")
    assert "ae/diffusion_pytorch_model.safetensors" in files_under(hub) and "secret.txt" not in files_under(hub)
    before = drawn("words")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "elsewhere")
    assert (drawn("me/words") == before).all()
    (hub / "ae/config.json").unlink()
    with pytest.raises(ValueError, match="has no ae/config.json"):
        obtain("me/words")
