"""Autoencoders in diffusers' format: scaled as trained, one item at a time, refused in one sentence."""

import json

import huggingface_hub
import pytest
import torch
from autoencoders import small_autoencoder
from huggingface_hub import errors
from safetensors.torch import load_file, save_file

from zigdemo.latents import AUTOENCODERS, PIXELS, AutoencoderSpec, autoencoders, folder_spec


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    root = tmp_path_factory.mktemp("vae")
    return {kind: small_autoencoder(root / kind, kind) for kind in ("kl", "tiny")}


@pytest.fixture
def spec(tmp_path):
    return small_autoencoder(tmp_path / "vae")


def pictures(count=2, side=32, seed=0):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_pixels_are_their_own_latents():
    x = pictures()
    assert PIXELS.encode(x) is x and PIXELS.decode(x) is x and (PIXELS.channels, PIXELS.factor) == (3, 1)
    levels = torch.arange(256).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert torch.equal(PIXELS.to_bytes(levels / 127.5 - 1), levels.permute(0, 2, 3, 1).byte())


def test_latents_are_scaled_means_as_the_networks_on_them_were_trained(specs):
    from diffusers import AutoencoderKL

    x, latents = pictures(), specs["kl"].load()
    plain = AutoencoderKL.from_pretrained(specs["kl"].source).eval()
    with torch.no_grad():
        mean = plain.encode(x).latent_dist.mean
        assert torch.allclose(latents.encode(x), 0.18215 * mean, rtol=1e-4, atol=1e-6)
        back = plain.decode(mean).sample
    assert torch.allclose(latents.decode(0.18215 * mean), back, rtol=1e-4, atol=1e-5)


def test_another_scale_and_shift_are_the_models_own(tmp_path):
    plain = small_autoencoder(tmp_path / "a", scaling_factor=1.0).load()
    moved = small_autoencoder(tmp_path / "b", scaling_factor=0.5, shift_factor=0.25).load()
    x = pictures()
    assert torch.allclose(moved.encode(x), (plain.encode(x) - 0.25) * 0.5, atol=1e-6)
    assert torch.allclose(moved.decode(moved.encode(x)), plain.decode(plain.encode(x)), atol=1e-5)


def test_a_generator_draws_from_the_posterior_again_the_same(specs):
    latents, x = specs["kl"].load(), pictures()
    a, b, other = (latents.encode(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, other) and not torch.equal(a, latents.encode(x))
    with pytest.raises(ValueError, match="no spread to sample from"):
        specs["tiny"].load().encode(x, torch.Generator())


@pytest.mark.parametrize("kind", ["kl", "tiny"])
def test_shapes_follow_factor_and_channels(specs, kind):
    latents = specs[kind].load()
    f = latents.factor
    z = latents.encode(pictures(3, side=8 * f))
    assert z.shape == (3, 4, 8, 8) and latents.decode(z).shape == (3, 3, 8 * f, 8 * f)
    assert latents.preview(z).shape == (3, 3, 8, 8) and len(latents.sha256) == 64
    with pytest.raises(ValueError, match=f"multiples of {f}"):
        latents.encode(torch.zeros(1, 3, 8 * f + 1, 8 * f))
    with pytest.raises(ValueError, match=r"must be \(batch, 4, H, W\)"):
        latents.decode(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("kind", ["kl", "tiny"])
def test_an_items_pixels_do_not_depend_on_its_company(specs, kind):
    latents = specs[kind].load()
    z = torch.randn(3, 4, 8, 8)
    assert torch.equal(latents.decode(z)[1:2], latents.decode(z[1:2]))


@pytest.mark.parametrize("kind", ["kl", "tiny"])
def test_large_pictures_go_in_tiles_that_agree_with_the_whole(specs, kind, monkeypatch):
    latents = specs[kind].load()
    side = 32 if kind == "kl" else 1024  # larger than a tile of the network's own
    z = torch.randn(1, 4, side // latents.factor, side // latents.factor)
    calls = []
    monkeypatch.setattr(latents.network.decoder, "register_forward_hook", latents.network.decoder.register_forward_hook)
    latents.network.decoder.register_forward_hook(lambda *_: calls.append(1))
    monkeypatch.setattr(autoencoders, "TILED_FROM_PX", side * side + 1)
    whole = latents.decode(z)
    assert len(calls) == 1
    monkeypatch.setattr(autoencoders, "TILED_FROM_PX", side * side)
    tiled = latents.decode(z)
    assert len(calls) > 2 and tiled.shape == whole.shape
    assert (tiled - whole).abs().mean() < 0.5 * whole.std()  # norms see a tile each, so near, not equal
    latents.decode(z[..., : side // latents.factor // 2])
    assert not latents.network.use_tiling


def test_pixels_are_rounded_as_the_official_scripts_do(specs):
    x = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.999, 1.0, 3.0]).reshape(1, 1, 1, 7).expand(1, 3, 1, 7)
    assert specs["kl"].load().to_bytes(x)[0, 0, :, 0].tolist() == [0, 0, 64, 128, 255, 255, 255]


def test_a_preview_tells_plain_colours_apart_where_the_latents_do(specs, monkeypatch):
    latents = specs["kl"].load()
    mix = torch.tensor([[0.5, 0.2, 0.0], [0.0, 0.4, 0.1], [0.3, 0.0, -0.6], [0.1, 0.1, 0.1]])
    monkeypatch.setattr(latents, "encode", lambda x: torch.einsum("oc,bchw->bohw", mix, x)[:, :, ::2, ::2] + 0.1)
    colours = torch.tensor([[1.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-0.7, 0.2, 0.9]])
    seen = latents.preview(latents.encode(colours[:, :, None, None].expand(-1, -1, 4, 4)))
    assert (seen - colours[:, :, None, None]).abs().max() < 0.1


def refused(spec, words):
    with pytest.raises(ValueError, match=words) as fault:
        spec.load()
    assert "\n" not in str(fault.value) and len(str(fault.value)) < 500


def test_what_is_damaged_foreign_or_no_safetensors_is_refused(spec, tmp_path):
    folder = tmp_path / "vae"
    config, weights = folder / autoencoders.CONFIG, folder / autoencoders.TENSORS
    said, state, whole = json.loads(config.read_text()), load_file(weights), weights.read_bytes()
    state = {key: value.clone() for key, value in state.items()}
    first = next(key for key in state if key.endswith("weight"))
    save_file({key: value for key, value in state.items() if key != first}, weights)
    refused(spec, "do not belong together")
    save_file({**state, first: torch.full_like(state[first], torch.nan)}, weights)
    refused(spec, "NaN")
    save_file({**state, first: torch.zeros(1, 2, 3)}, weights)
    refused(spec, "cannot be used")
    weights.write_bytes(whole[:-100])
    refused(spec, "cannot be used")
    torch.save(state, weights)
    refused(spec, "cannot be used")
    weights.rename(folder / "diffusion_pytorch_model.bin")
    refused(spec, "files of other names are not read")
    weights.write_bytes(whole)
    for text in ("{", "[]", "{}", json.dumps({**said, "_class_name": "AutoencoderDC"})):
        config.write_text(text)
        refused(spec, "cannot be used")
    config.write_text(json.dumps({**said, "block_out_channels": [10**7, 10**7]}))
    refused(spec, "cannot be used")


def test_an_autoencoder_of_other_channels_or_factor_is_refused(spec):
    for changes in ({"channels": 8}, {"factor": 8}):
        refused(AutoencoderSpec("kl", spec.source, **{"channels": 4, "factor": 2, **changes}), "where the model needs")


def test_an_id_is_looked_up_in_the_places_in_their_order_and_never_where_the_program_runs(spec, tmp_path, monkeypatch):
    named = AutoencoderSpec("kl", "vae", factor=2)
    small_autoencoder(tmp_path / "second/vae", channels=6)
    assert named.load(places=(tmp_path / "none", tmp_path, tmp_path / "second")).channels == 4
    with pytest.raises(ValueError, match="has 6 channels"):
        named.load(places=(tmp_path / "second", tmp_path))
    monkeypatch.chdir(tmp_path)
    refused(named, "'vae' is not here; copy its folder beside the model's")


def test_the_spec_of_a_folder_is_read_from_its_config(spec, tmp_path):
    small_autoencoder(tmp_path / "tiny", "tiny", 5)
    assert folder_spec("tiny", (tmp_path,)) == AutoencoderSpec("tiny", "tiny", channels=5, factor=8)
    assert folder_spec(str(tmp_path / "vae")) == spec
    assert folder_spec("someone/model") == AutoencoderSpec("kl", "someone/model")
    (tmp_path / "tiny/config.json").write_text('{"_class_name": "UNet"}')
    with pytest.raises(ValueError, match="is no autoencoder"):
        folder_spec("tiny", (tmp_path,))


def test_an_id_is_fetched_from_the_hub_or_says_what_to_do(spec, tmp_path, monkeypatch):
    asked = []

    def download(repo, file):
        asked.append((repo, file))
        return str(tmp_path / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    found = AutoencoderSpec("kl", "someone/model", "vae", factor=2).load()
    assert found.name == "someone/model/vae"
    assert asked == [("someone/model", f"vae/{name}") for name in (autoencoders.CONFIG, autoencoders.TENSORS)]
    for kind, words in (
        ("LocalEntryNotFoundError", "stabilityai/sd-vae-ft-ema is not on this machine and huggingface.co cannot be"),
        ("GatedRepoError", "behind a gate: accept its terms at https://huggingface.co/stabilityai/sd-vae-ft-ema"),
    ):
        fault = getattr(errors, kind).__new__(getattr(errors, kind))
        Exception.__init__(fault, "first line")

        def refuse(repo, file, fault=fault):
            raise fault

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
        refused(AUTOENCODERS["sd-vae-ft-ema"], words)


@pytest.mark.parametrize(
    "content",
    [
        None, [], {}, {"kind": "kl"}, {"kind": "gan", "source": "a/b"}, {"kind": "kl", "source": ""},
        {"kind": "kl", "source": 3}, {"kind": "kl", "source": "a/b", "evil": 1},
        {"kind": "kl", "source": "a", "factor": 0},
        {"kind": "kl", "source": "a", "subfolder": "../x"}, {"kind": "kl", "source": "a", "subfolder": "/x"},
        {"kind": ["kl"], "source": "a"}, {"kind": "kl", "source": "a", "channels": True},
    ],
    ids=str,
)  # fmt: skip
def test_a_spec_that_makes_no_sense_is_one_sentence(content):
    with pytest.raises(ValueError) as fault:
        AutoencoderSpec.read(content)
    assert "\n" not in str(fault.value)


def test_a_spec_survives_json():
    for spec in AUTOENCODERS.values():
        assert AutoencoderSpec.read(json.loads(json.dumps(spec.content()))) == spec
