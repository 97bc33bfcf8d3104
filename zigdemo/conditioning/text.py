"""Text towers: features of prompts, by open_clip, which is imported when a tower is loaded."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..checks import read_fields, shown
from ..files import file_sha256, find_part, replacing_files
from ..huggingface import hub_file
from .tokens import Prompt, Tokenizer

CONFIG, TENSORS = "open_clip_config.json", "open_clip_model.safetensors"  # as open_clip names them
SHIPPED_TOWER = "emoji-clip"
MOST_CACHED = 64  # prompts whose features a tower caches; 15 MB for CLIP ViT-L/14
MOST_CONFIG_BYTES = 2**20
# Words that describe nothing to draw, so that a tower need not know them.
LITTLE_WORDS = frozenset(
    "the and with who has have that for are was her his their its this but very one some from over into please has can "
    "you see shown like really just nice kind sort".split()
)
# open_clip builds both towers of a CLIP; this tiny image tower is used if only texts are read.
NO_PICTURES = {"layers": 1, "width": 64, "patch_size": 32, "image_size": 32}


@dataclass(frozen=True)
class TextSpec:
    """The text tower of a model, named without loading it.

    tower: id of a tower folder beside the weights (or an absolute path), as `write_tower` writes it; with `pretrained`
    an architecture of open_clip. pretrained: open_clip's tag of its weights. Raises ValueError naming the field.
    """

    tower: str
    pretrained: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.tower, str) or not 0 < len(self.tower) <= 1000:
            raise ValueError(f"tower of a text model must be a name or a folder, not {shown(self.tower)}")
        if not isinstance(self.pretrained, str) or len(self.pretrained) > 100:
            raise ValueError(f"pretrained must be a tag of open_clip's weights, not {shown(self.pretrained)}")

    @classmethod
    def read(cls, content: Any) -> TextSpec:
        """The spec under "text" in a model's config. Raises ValueError with one sentence."""
        return read_fields("text", content, cls, ["tower"])

    def content(self) -> dict[str, Any]:
        """The content that `read` reads, for JSON."""
        return asdict(self)

    def load(self, device: str | torch.device = "cpu", places: Sequence[Path] = ()) -> TextTower:
        """The tower in float32; a pretrained one is downloaded if needed.

        places: folders in which a tower's id is looked up. Raises ValueError with one sentence if it is unknown,
        damaged or cannot be downloaded.
        """
        if self.pretrained:
            return _pretrained(self).to(device)
        if folder := find_part(self.tower, places, CONFIG):
            return read_tower(folder).to(device)
        raise ValueError(
            f"the text tower {self.tower!r} is not here; copy its folder beside the model's, or use a model on the "
            f"shipped tower {SHIPPED_TOWER}"
        )


# The published ZigMa text models were trained on its last hidden state, 77 x 768.
CLIP_L = TextSpec("ViT-L-14", "openai")


def hidden_states(clip_model: nn.Module, ids: Tensor) -> Tensor:
    """Output of the text tower's last layer and norm, (batch, length, width), from ids (batch, length) int64.

    clip_model: a CLIP of open_clip. With a causal mask a length shorter than the context gives the same values.
    """
    length = ids.shape[1]
    x = clip_model.token_embedding(ids) + clip_model.positional_embedding[:length]
    mask = None if clip_model.attn_mask is None else clip_model.attn_mask[:length, :length]
    return clip_model.ln_final(clip_model.transformer(x, attn_mask=mask))


class TextTower:
    """A loaded tower, thread-safe.

    clip_model: a CLIP of open_clip, in eval mode. width: of the features. context: tokens of a prompt. sha256: of the
    weights. learned: words of the training captions, if its folder lists them; empty if it may know any word.
    """

    def __init__(self, clip_model: nn.Module, name: str, sha256: str, learned: Collection[str] = ()) -> None:
        self.clip_model, self.name, self.sha256, self.learned = clip_model, name, sha256, frozenset(learned)
        self.context, self.width = clip_model.positional_embedding.shape
        self.tokenizer = Tokenizer(self.context, clip_model.token_embedding.num_embeddings)
        self._cache: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def to(self, device: str | torch.device) -> TextTower:
        """The same tower on a device."""
        self.clip_model.to(device)
        return self

    def prompt(self, text: str) -> Prompt:
        """The tokens and words of a text."""
        return self.tokenizer(text)

    def caution(self, text: str) -> str | None:
        """One sentence if a text has words that the tower never learned, else None."""
        if not self.learned:
            return None
        words = [word for word in self.prompt(text).words if word.isalpha() and len(word) > 2]
        unknown = [word for word in dict.fromkeys(words) if word not in self.learned and word not in LITTLE_WORDS]
        if not unknown:
            return None
        names = ", ".join(word[:30] for word in unknown[:5]) + (" and others" if len(unknown) > 5 else "")
        return f"{self.name} has never learned the word{'s' * (len(unknown) > 1)} {names}: the model draws the rest"

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Features of all tokens of the texts, (batch, context, width), not cached."""
        return self._hidden([self.prompt(text) for text in texts])

    @torch.no_grad()
    def _hidden(self, prompts: Sequence[Prompt]) -> Tensor:
        ids = torch.tensor([prompt.ids for prompt in prompts], device=self.clip_model.positional_embedding.device)
        return hidden_states(self.clip_model, ids)

    def features(self, text: str, strengths: Mapping[str, float] | None = None) -> Tensor:
        """Features (1, context, width) of one text, cached.

        strengths: factors for the features of a word, or of several consecutive words, wherever they occur. Raises
        ValueError for words that are not in the text.
        """
        with self._lock:
            features = self._cache.pop(text, None)
        if features is None:
            features = self.encode([text])
        with self._lock:
            self._cache[text] = features
            while len(self._cache) > MOST_CACHED:
                self._cache.popitem(last=False)
        if not strengths:
            return features.clone()  # the cached tensor must not be modified
        return features * self._factors(self.prompt(text), strengths).to(features)[None, :, None]

    def _factors(self, prompt: Prompt, strengths: Mapping[str, float]) -> Tensor:
        factors = torch.ones(self.context)
        word_of = torch.tensor(prompt.word_of)
        for phrase, factor in strengths.items():
            words = self.prompt(phrase).words
            starts = [i for i in range(len(prompt.words)) if words and prompt.words[i : i + len(words)] == words]
            if not starts:
                vocabulary = ", ".join(prompt.words) or "it is empty"
                raise ValueError(
                    f"strengths name {phrase[:40]!r}, which is not in the prompt; its words are: {vocabulary}"
                )
            for start in starts:
                factors[(word_of >= start) & (word_of < start + len(words))] *= factor
        return factors

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """One unit vector per text, (batch, embedding width), comparable with those of pictures."""
        prompts = [self.prompt(text) for text in texts]
        return pooled(self.clip_model, self._hidden(prompts), torch.tensor([prompt.length - 1 for prompt in prompts]))


def pooled(clip_model: nn.Module, hidden: Tensor, ends: Tensor) -> Tensor:
    """Normalised projection of the features at each text's first end token: (batch, embedding width)."""
    at_end = hidden[torch.arange(len(hidden), device=hidden.device), ends.to(hidden.device)]
    return F.normalize(at_end @ clip_model.text_projection, dim=-1)


def build_clip(settings: Mapping[str, Any]) -> nn.Module:
    """A CLIP of open_clip from its model_cfg: embed_dim, vision_cfg, text_cfg, quick_gelu.

    Raises ValueError if open_clip cannot build it.
    """
    import open_clip

    keys = ("embed_dim", "vision_cfg", "text_cfg", "quick_gelu")
    try:
        return open_clip.CLIP(**{key: settings[key] for key in keys if key in settings})
    except (TypeError, AssertionError, RuntimeError, ZeroDivisionError) as fault:
        raise ValueError(f"open_clip cannot build this model_cfg: {str(fault).splitlines()[0]}") from None


def write_tower(
    path: str | Path, clip_model: nn.Module, settings: Mapping[str, Any], about: dict, card: str
) -> TextTower:
    """Write a CLIP in fp16 as a folder that open_clip reads too, each file under a temporary name first.

    settings: the model_cfg it was built from. about: free-form facts.
    """
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    # Counters of batch norms are not needed any more, and overflow fp16.
    state = {
        k: v.detach().cpu().half().contiguous() for k, v in clip_model.state_dict().items() if v.is_floating_point()
    }
    content = json.dumps({"model_cfg": dict(settings), "about": about}, indent=1, ensure_ascii=False)
    with replacing_files(path, (TENSORS, CONFIG, "README.md")) as (tensors, config, readme):
        save_file(state, tensors, metadata={"format": "pt"})
        config.write_text(content, encoding="utf-8")
        readme.write_text(card, encoding="utf-8")
    return read_tower(path)


def read_tower(path: str | Path) -> TextTower:
    """Read a folder of `write_tower`, both towers. Raises ValueError with one sentence for any defect."""
    path = Path(path)
    try:
        settings, about = read_settings(path)
        caption_words = about.get("words")
        words = [word for word in caption_words if isinstance(word, str)] if isinstance(caption_words, list) else []
        return _with_weights(build_clip(settings), path / TENSORS, path.name, "", words)
    except (ValueError, OSError, RecursionError) as fault:
        raise ValueError(f"the text tower in {path} cannot be used: {str(fault).splitlines()[0]}") from None


def read_settings(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model_cfg and the free-form facts in a folder of `write_tower`. Raises ValueError and OSError."""
    file = Path(path) / CONFIG
    if file.stat().st_size > MOST_CONFIG_BYTES:
        raise ValueError("its config is far too long")
    content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("model_cfg"), dict):
        raise ValueError(f"its {CONFIG} has no model_cfg")
    about = content.get("about")
    return content["model_cfg"], about if isinstance(about, dict) else {}


def _pretrained(spec: TextSpec) -> TextTower:
    """A published tower of open_clip, only its text half."""
    import open_clip

    name = f"{spec.tower} ({spec.pretrained})"
    weights = open_clip.get_pretrained_cfg(spec.tower, spec.pretrained)
    if not weights or not weights.get("hf_hub"):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(spec.tower)[:8]) or "none; ViT-L-14 has some"
        raise ValueError(f"open_clip has no weights {spec.pretrained!r} of {spec.tower!r} on the hub; it has {tags}")
    settings = open_clip.get_model_config(spec.tower)
    text = settings["text_cfg"]
    if text.get("hf_model_name") or text.get("hf_tokenizer_name") or text.get("tokenizer_mode"):
        raise ValueError(f"the text tower {name} does not read CLIP's tokens; choose one that does, such as ViT-L-14")
    file = hub_file(
        weights["hf_hub"].rstrip("/"),
        TENSORS,
        f"the text tower {name}",
        f"fetch it once with a network, or use a model on the shipped tower {SHIPPED_TOWER}",
    )
    quick = weights.get("quick_gelu", settings.get("quick_gelu", False))
    clip_model = build_clip({**settings, "vision_cfg": NO_PICTURES, "quick_gelu": quick})
    del clip_model.visual
    return _with_weights(clip_model, file, name, "text." if settings.get("custom_text") else "")


def _with_weights(
    clip_model: nn.Module, file: Path, name: str, prefix: str, learned: Collection[str] = ()
) -> TextTower:
    """A tower with the weights of a safetensors file, where keys of the text tower start with `prefix`."""
    expected, state = clip_model.state_dict(), {}
    try:
        with safe_open(file, "pt") as tensors:
            stored_keys = set(tensors.keys())
            for key, value in expected.items():
                if not value.is_floating_point():
                    state[key] = value
                    continue
                stored_key = next((k for k in (key, prefix + key) if k in stored_keys), None)
                if stored_key is None:
                    raise ValueError(f"{file} lacks {key}")
                state[key] = tensors.get_tensor(stored_key).to(torch.float32, copy=True)
                if state[key].shape != value.shape or not state[key].isfinite().all():
                    raise ValueError(f"{key} of {file} has another shape, NaN or infinity")
    except FileNotFoundError:
        raise ValueError(f"there is no {file}") from None
    except (SafetensorError, OSError) as fault:
        raise ValueError(f"{file} is damaged or not a safetensors file ({fault})") from None
    clip_model.load_state_dict(state)
    return TextTower(clip_model.requires_grad_(False).eval(), name, file_sha256(file), learned)
