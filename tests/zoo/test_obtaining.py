"""What is put among the weights by a name or a path: a repository, a folder, a checkpoint; without a network."""

import json

import huggingface_hub
import pytest
from checkpoints import save, weights
from huggingface_hub import errors
from huggingface_hub.utils import tqdm
from models import tiny_folder

from zigdemo import zoo
from zigdemo.zoo.obtaining import install


@pytest.fixture(autouse=True)
def shelf(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    return tmp_path / "weights"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """The folder that is someone/tiny on the hub; its list `bars` has the bars that downloads were given."""
    folder, bars = tiny_folder(tmp_path / "elsewhere" / "tiny"), []

    def download(repo, file, tqdm_class=None):
        assert repo == "someone/tiny"
        bars.append(tqdm_class)
        if not (folder.path / file).is_file():
            raise errors.LocalEntryNotFoundError("not here")
        return str(folder.path / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return folder.path, bars


def test_a_repository_becomes_a_model_of_the_list_and_never_an_official_one(repository, shelf):
    path, bars = repository
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "origin": "official"}))
    folder = install("someone/tiny", bar=tqdm)
    assert folder.id == "tiny" and folder.origin == "yours" and [one.id for one in zoo.available()] == ["tiny"]
    assert set(bars) == {tqdm} and (shelf / "tiny" / "README.md").is_file()
    with pytest.raises(ValueError, match="tiny is installed already; give this one another name"):
        install("someone/tiny")
    assert install("someone/tiny", "second").origin == "yours" and len(zoo.available()) == 2


def test_a_folder_and_a_checkpoint_are_taken_by_their_paths(tmp_path, shelf):
    tiny_folder(tmp_path / "mine")
    assert install(str(tmp_path / "mine")).path == shelf / "mine"
    file = save(weights(), tmp_path / "run.pt")
    assert install(str(file), "named").family == "ZigMa official" and (shelf / "named").is_dir()


def test_what_is_missing_or_cannot_be_used_is_one_sentence_and_leaves_nothing(tmp_path, shelf):
    with pytest.raises(ValueError, match="is no file or folder here; give a path, owner/name"):
        install("nonsense")
    with pytest.raises(ValueError, match="is not a model folder"):
        install(str(tmp_path))
    folder = tiny_folder(tmp_path / "mine")
    for name in ("..", "a/b"):
        with pytest.raises(ValueError, match="cannot be called"):
            install(str(folder.path), name)
    (folder.path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="has no model.safetensors"):
        install(str(folder.path))
    assert not shelf.exists() or list(shelf.iterdir()) == []
