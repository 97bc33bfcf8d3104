"""Text towers: the recorded features of transformers' CLIP, caching that changes nothing, words made stronger."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import text
from safetensors import safe_open
from safetensors.torch import save_file
from towers import SETTINGS, small_tower

from zigdemo.conditioning import CLIP_L, TextSpec, TextTower
from zigdemo.conditioning import text as towers
from zigdemo.conditioning.text import build_clip, hidden_states, read_tower

GOLDEN = Path(__file__).parents[1] / "golden" / "clip_text_hidden.safetensors"
PARTS = {"self_attn.out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2"}
PARTS |= {"mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    return small_tower(tmp_path_factory.mktemp("towers") / "small")


def from_transformers(state, layers):
    """transformers' names of a CLIP text model as open_clip's."""
    found = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
    }
    for end in ("weight", "bias"):
        found[f"ln_final.{end}"] = state[f"final_layer_norm.{end}"]
        for i in range(layers):
            old, new = f"encoder.layers.{i}", f"transformer.resblocks.{i}"
            three = [state[f"{old}.self_attn.{part}_proj.{end}"] for part in "qkv"]
            found[f"{new}.attn.in_proj_{end}"] = torch.cat(three)
            found |= {f"{new}.{b}.{end}": state[f"{old}.{a}.{end}"] for a, b in PARTS.items()}
    return found


def test_the_last_hidden_state_is_that_of_transformers_clip():
    """As the published ZigMa text models were trained: every position, the end tokens that pad the text too."""
    with safe_open(GOLDEN, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
        config = json.loads(file.metadata()["json"])["config"]
    text_cfg = {
        "context_length": config["max_position_embeddings"],
        "vocab_size": config["vocab_size"],
        "width": config["hidden_size"],
        "heads": config["num_attention_heads"],
        "layers": config["num_hidden_layers"],
        "mlp_ratio": config["intermediate_size"] / config["hidden_size"],
    }
    clip = build_clip({"embed_dim": 8, "vision_cfg": towers.NO_PICTURES, "text_cfg": text_cfg, "quick_gelu": True})
    state = {key.removeprefix("sd."): value for key, value in tensors.items() if key.startswith("sd.")}
    lacking, unknown = clip.load_state_dict(from_transformers(state, text_cfg["layers"]), strict=False)
    assert not unknown and all(key.startswith(("visual.", "text_projection", "logit_scale")) for key in lacking)
    golden = tensors["out.last_hidden_state"]
    with torch.no_grad():
        found = hidden_states(clip.eval(), tensors["in.ids"])
    assert (found - golden).abs().max() <= 1e-4 * golden.std()


@settings(max_examples=20, deadline=None)
@given(said=text(max_size=30))
def test_kept_features_are_those_that_are_not_kept(tower, said):
    fresh = tower.encode([said])
    assert torch.equal(tower.features(said), fresh) and torch.equal(tower.features(said), fresh)
    assert fresh.shape == (1, 16, 24) and fresh.isfinite().all()


def test_what_is_kept_is_bounded_and_nobody_can_write_into_it(tower):
    for i in range(towers.MOST_CACHED + 10):
        tower.features(f"cat {i}")
    assert len(tower._cache) == towers.MOST_CACHED
    before = tower.features("cat").clone()
    tower.features("cat").zero_()
    assert torch.equal(tower.features("cat"), before)


def test_a_text_has_the_same_features_alone_and_among_longer_ones(tower):
    alone = tower.encode(["cat"])
    together = tower.encode(["a happy cat with a red hat", "cat"])[1:]
    assert torch.allclose(alone, together, atol=1e-5)


def test_strength_scales_the_tokens_of_a_word_and_no_others(tower):
    said = "a blue hedgehog"
    plain, strong = tower.features(said), tower.features(said, {"Hedgehog": 2.0, "a blue": 0.5})
    word_of = tower.prompt(said).word_of
    for position, word in enumerate(word_of):
        factor = {0: 0.5, 1: 0.5, 2: 2.0}.get(word, 1.0)
        assert torch.equal(strong[0, position], factor * plain[0, position])
    with pytest.raises(ValueError, match="'dog', which is not in the prompt; its words are: a, blue, hedgehog"):
        tower.features(said, {"dog": 2.0})


def test_embeddings_have_length_one_and_tell_texts_apart(tower):
    found = tower.embed(["red heart", "blue heart", "red heart"])
    assert torch.allclose(found.norm(dim=-1), torch.ones(3)) and torch.equal(found[0], found[2])
    assert not torch.allclose(found[0], found[1])


def test_a_folder_is_looked_up_by_id_and_survives_its_file(tower, tmp_path):
    folder = small_tower(tmp_path / "mine")
    again = TextSpec("mine").load(places=[tmp_path / "elsewhere", tmp_path])
    assert torch.equal(again.features("cat"), folder.features("cat")) and again.sha256 == folder.sha256
    assert TextSpec.read(TextSpec("mine").content()) == TextSpec("mine")


def pretrained(tmp_path, monkeypatch, prefix):
    """A published tower of open_clip's format, in small; keys of the text tower have a prefix."""
    import open_clip

    cfg = {**SETTINGS, "custom_text": bool(prefix)}
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: cfg if name == "Tiny" else None)
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda name, tag: {"hf_hub": "me/tiny/", "quick_gelu": True})
    torch.manual_seed(1)
    clip = build_clip({**SETTINGS, "quick_gelu": True}).eval()
    parts = ("visual", "logit_scale")
    state = {key if key.startswith(parts) else prefix + key: value for key, value in clip.state_dict().items()}
    save_file(state, tmp_path / "tiny.safetensors")
    monkeypatch.setattr(towers, "hub_file", lambda *_: tmp_path / "tiny.safetensors")
    return TextTower(clip, "whole", "")


@pytest.mark.parametrize("prefix", ["", "text."])
def test_a_pretrained_tower_is_read_by_name_without_its_image_half(tmp_path, monkeypatch, prefix):
    whole = pretrained(tmp_path, monkeypatch, prefix)
    found = TextSpec("Tiny", "openai").load()
    assert torch.equal(found.features("a red heart"), whole.features("a red heart"))
    assert not hasattr(found.clip_model, "visual") and found.name == "Tiny (openai)"


def test_without_a_network_one_sentence_names_what_is_missing_and_the_shipped_tower(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=r"text tower ViT-L-14 \(openai\) is not on this machine.*emoji-clip") as fault:
        CLIP_L.load()
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (TextSpec("nowhere"), "'nowhere' is not here.*emoji-clip"),
        (TextSpec("ViT-L-14", "nobody"), "no weights 'nobody' of 'ViT-L-14'.*openai"),
        (TextSpec("Nonsense", "openai"), "no weights 'openai' of 'Nonsense'"),
        (TextSpec("ViT-B-16-SigLIP", "webli"), "does not read CLIP's tokens"),
    ],
)
def test_a_tower_that_is_not_there_is_one_sentence(spec, word):
    with pytest.raises(ValueError, match=word) as fault:
        spec.load()
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("content", [None, "emoji-clip", {}, {"tower": 3}, {"tower": "a", "size": 1}])
def test_a_spec_that_makes_no_sense_is_refused(content):
    with pytest.raises(ValueError, match="tower"):
        TextSpec.read(content)


def test_a_damaged_folder_is_one_sentence(tmp_path):
    small_tower(tmp_path / "bad")
    file, config = (tmp_path / "bad" / name for name in (towers.TENSORS, towers.CONFIG))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot be used.*damaged"):
        TextSpec("bad").load(places=[tmp_path])
    file.write_bytes(whole)
    changed = json.loads(config.read_text())
    changed["model_cfg"]["text_cfg"]["width"] = 48
    config.write_text(json.dumps(changed))
    with pytest.raises(ValueError, match="cannot be used.*another shape"):
        TextSpec("bad").load(places=[tmp_path])
    config.write_text("[]")
    with pytest.raises(ValueError, match="no model_cfg"):
        TextSpec("bad").load(places=[tmp_path])


def test_strengths_leave_the_kept_features_as_they_were(tmp_path):
    tower = small_tower(tmp_path / "tower")
    before = tower.features("red hair")
    strong = tower.features("red hair", {"red": 3.0})
    assert not torch.equal(strong, before) and torch.equal(tower.features("red hair"), before)


def test_a_tower_that_lists_what_it_learned_cautions_of_other_words(tmp_path):
    folder = tmp_path / "tower"
    small_tower(folder)
    assert read_tower(folder).caution("a cat on the moon") is None  # any word may mean something to it
    file = folder / "open_clip_config.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "about": {"words": ["red", "hair", 3]}}))
    tower = read_tower(folder)
    assert tower.caution("red hair with the hair") is None and tower.caution("") is None
    said = tower.caution("a red cat, the moon and moon")
    assert "never learned the words cat, moon" in said and "\n" not in said
    assert len(tower.caution(" ".join(f"{'w' * n}ord" for n in range(1, 14)))) < 300
    for words in ("red", {"red": 1}):
        file.write_text(json.dumps({**content, "about": {"words": words}}))
        assert read_tower(folder).caution("cat") is None
