"""Text towers: prompts to features, by open_clip, which is imported when a tower is loaded."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..checks import shown
from ..files import file_sha256, find_part, replacing_files
from ..huggingface import hub_file
from .tokens import Prompt, Tokenizer

CONFIG, TENSORS = "open_clip_config.json", "open_clip_model.safetensors"  # as open_clip names them
SHIPPED_TOWER = "emoji-clip"
MOST_CACHED = 64  # prompts whose features a tower keeps; 15 MB for CLIP ViT-L/14
MOST_CONFIG_BYTES = 2**20
# Words that say nothing of what is to be drawn, so that not having learned them is no loss.
LITTLE_WORDS = frozenset(
    "the and with who has have that for are was her his their its this but very one some from over into please has can "
    "you see shown like really just nice kind sort".split()
)
# open_clip builds both towers of a CLIP; where only texts are read, this stands in for the image tower.
NO_PICTURES = {"layers": 1, "width": 64, "patch_size": 32, "image_size": 32}


@dataclass(frozen=True)
class TextSpec:
    """Which text tower a model reads prompts by; said without loading it.

    tower: id of a tower beside the weights (or an absolute path), a folder as `write_tower` makes; with `pretrained` an
    architecture of open_clip. pretrained: open_clip's tag of its weights. Raises ValueError naming the field.
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
        """The spec that a model's config has under "text". Raises ValueError with one sentence."""
        known = {entry.name for entry in fields(cls)}
        if not isinstance(content, dict) or set(content) - known or "tower" not in content:
            raise ValueError(f"text must have tower, and of the rest only {', '.join(sorted(known))}")
        return cls(**content)

    def content(self) -> dict[str, Any]:
        """What `read` reads, for JSON."""
        return asdict(self)

    def load(self, device: str | torch.device = "cpu", places: Sequence[Path] = ()) -> TextTower:
        """The tower in float32, fetched where it is a pretrained one that is not here.

        places: folders that a tower's id is looked up in. Raises ValueError with one sentence: unknown, not here and no
        network, damaged.
        """
        if self.pretrained:
            return _pretrained(self).to(device)
        if folder := find_part(self.tower, places, CONFIG):
            return read_tower(folder).to(device)
        raise ValueError(
            f"the text tower {self.tower!r} is not here; copy its folder beside the model's, or use a model on the "
            f"shipped tower {SHIPPED_TOWER}"
        )


# What the published ZigMa text models were trained on: its last hidden state, 77 x 768.
CLIP_L = TextSpec("ViT-L-14", "openai")


def hidden_states(clip: nn.Module, ids: Tensor) -> Tensor:
    """The text tower's last layer after its norm, (batch, length, width), from ids (batch, length) int64.

    clip: a CLIP of open_clip. A shorter length than the context gives the same numbers where the mask is causal.
    """
    length = ids.shape[1]
    x = clip.token_embedding(ids) + clip.positional_embedding[:length]
    mask = None if clip.attn_mask is None else clip.attn_mask[:length, :length]
    return clip.ln_final(clip.transformer(x, attn_mask=mask))


class TextTower:
    """A loaded tower; safe to use from several threads.

    clip: a CLIP of open_clip, in eval mode. width: of the features. context: tokens of a prompt. sha256: of its
    weights. learned: the words of the captions it learned from, where its folder lists them; empty where any word may
    mean something to it.
    """

    def __init__(self, clip: nn.Module, name: str, sha256: str, learned: Collection[str] = ()) -> None:
        self.clip, self.name, self.sha256, self.learned = clip, name, sha256, frozenset(learned)
        self.context, self.width = clip.positional_embedding.shape
        self.tokenizer = Tokenizer(self.context, clip.token_embedding.num_embeddings)
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def to(self, device: str | torch.device) -> TextTower:
        """The same tower on a device."""
        self.clip.to(device)
        return self

    def prompt(self, text: str) -> Prompt:
        """The tokens and words of a text."""
        return self.tokenizer(text)

    def caution(self, text: str) -> str | None:
        """One sentence where a text has words that the tower never learned, else None."""
        if not self.learned:
            return None
        words = [word for word in self.prompt(text).words if word.isalpha() and len(word) > 2]
        strange = [word for word in dict.fromkeys(words) if word not in self.learned and word not in LITTLE_WORDS]
        if not strange:
            return None
        named = ", ".join(word[:30] for word in strange[:5]) + (" and others" if len(strange) > 5 else "")
        return f"{self.name} has never learned the word{'s' * (len(strange) > 1)} {named}: the model draws the rest"

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Features of every token of texts, (batch, context, width), not cached."""
        return self._hidden([self.prompt(text) for text in texts])

    @torch.no_grad()
    def _hidden(self, prompts: Sequence[Prompt]) -> Tensor:
        ids = torch.tensor([prompt.ids for prompt in prompts], device=self.clip.positional_embedding.device)
        return hidden_states(self.clip, ids)

    def features(self, text: str, strengths: Mapping[str, float] | None = None) -> Tensor:
        """Features (1, context, width) of one text, the last ones kept; strengths: factors of some of its words.

        A word in `strengths`, or several in a row, has the features of its tokens multiplied wherever it occurs.
        Raises ValueError for words that the text does not have.
        """
        with self._lock:
            found = self._kept.pop(text, None)
        if found is None:
            found = self.encode([text])
        with self._lock:
            self._kept[text] = found
            while len(self._kept) > MOST_CACHED:
                self._kept.popitem(last=False)
        if not strengths:
            return found.clone()  # nobody may write into what is kept
        return found * self._factors(self.prompt(text), strengths).to(found)[None, :, None]

    def _factors(self, prompt: Prompt, strengths: Mapping[str, float]) -> Tensor:
        factors = torch.ones(self.context)
        word_of = torch.tensor(prompt.word_of)
        for wanted, factor in strengths.items():
            words = self.prompt(wanted).words
            starts = [i for i in range(len(prompt.words)) if words and prompt.words[i : i + len(words)] == words]
            if not starts:
                known = ", ".join(prompt.words) or "it is empty"
                raise ValueError(f"strengths name {wanted[:40]!r}, which is not in the prompt; its words are: {known}")
            for start in starts:
                factors[(word_of >= start) & (word_of < start + len(words))] *= factor
        return factors

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """One vector of length 1 a text, (batch, embedding width), to be compared with those of pictures."""
        prompts = [self.prompt(text) for text in texts]
        return pooled(self.clip, self._hidden(prompts), torch.tensor([prompt.length - 1 for prompt in prompts]))


def pooled(clip: nn.Module, hidden: Tensor, ends: Tensor) -> Tensor:
    """The projected features of each text's first end token, of length 1: (batch, embedding width)."""
    at_end = hidden[torch.arange(len(hidden), device=hidden.device), ends.to(hidden.device)]
    return F.normalize(at_end @ clip.text_projection, dim=-1)


def build_clip(settings: Mapping[str, Any]) -> nn.Module:
    """A CLIP of open_clip by its model_cfg: embed_dim, vision_cfg, text_cfg, quick_gelu. Raises ValueError."""
    import open_clip

    known = ("embed_dim", "vision_cfg", "text_cfg", "quick_gelu")
    try:
        return open_clip.CLIP(**{key: settings[key] for key in known if key in settings})
    except (TypeError, AssertionError, RuntimeError, ZeroDivisionError) as fault:
        raise ValueError(f"open_clip cannot build this model_cfg: {str(fault).splitlines()[0]}") from None


def write_tower(path: str | Path, clip: nn.Module, settings: Mapping[str, Any], about: dict, card: str) -> TextTower:
    """Write a CLIP as a folder that open_clip reads too, in fp16, every file aside first and then renamed.

    settings: the model_cfg it was built by. about: free facts.
    """
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    # Counters of batch norms are of no use afterwards, and overflow fp16.
    state = {k: v.detach().cpu().half().contiguous() for k, v in clip.state_dict().items() if v.is_floating_point()}
    content = json.dumps({"model_cfg": dict(settings), "about": about}, indent=1, ensure_ascii=False)
    with replacing_files(path, (TENSORS, CONFIG, "README.md")) as (tensors, config, readme):
        save_file(state, tensors, metadata={"format": "pt"})
        config.write_text(content, encoding="utf-8")
        readme.write_text(card, encoding="utf-8")
    return read_tower(path)


def read_tower(path: str | Path) -> TextTower:
    """Read a folder of `write_tower`, both towers. Raises ValueError with one sentence for anything that is off."""
    path = Path(path)
    try:
        settings, about = read_settings(path)
        learned = about.get("words")
        words = [word for word in learned if isinstance(word, str)] if isinstance(learned, list) else []
        return _filled(build_clip(settings), path / TENSORS, path.name, "", words)
    except (ValueError, OSError, RecursionError) as fault:
        raise ValueError(f"the text tower in {path} cannot be used: {str(fault).splitlines()[0]}") from None


def read_settings(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model_cfg and the free facts that a folder of `write_tower` says of itself. Raises ValueError, OSError."""
    file = Path(path) / CONFIG
    if file.stat().st_size > MOST_CONFIG_BYTES:
        raise ValueError("its config is far too long")
    content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("model_cfg"), dict):
        raise ValueError(f"its {CONFIG} has no model_cfg")
    about = content.get("about")
    return content["model_cfg"], about if isinstance(about, dict) else {}


def _pretrained(spec: TextSpec) -> TextTower:
    """A published tower of open_clip, its text half alone."""
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
    clip = build_clip({**settings, "vision_cfg": NO_PICTURES, "quick_gelu": quick})
    del clip.visual
    return _filled(clip, file, name, "text." if settings.get("custom_text") else "")


def _filled(clip: nn.Module, file: Path, name: str, prefix: str, learned: Collection[str] = ()) -> TextTower:
    """A tower with the weights of a safetensors file, whose keys of the text tower start with `prefix`."""
    wanted, state = clip.state_dict(), {}
    try:
        with safe_open(file, "pt") as tensors:
            stored = set(tensors.keys())
            for key, value in wanted.items():
                if not value.is_floating_point():
                    state[key] = value
                    continue
                own = next((k for k in (key, prefix + key) if k in stored), None)
                if own is None:
                    raise ValueError(f"{file} lacks {key}")
                state[key] = tensors.get_tensor(own).to(torch.float32, copy=True)
                if state[key].shape != value.shape or not state[key].isfinite().all():
                    raise ValueError(f"{key} of {file} has another shape, NaN or infinity")
    except FileNotFoundError:
        raise ValueError(f"there is no {file}") from None
    except (SafetensorError, OSError) as fault:
        raise ValueError(f"{file} is damaged or not a safetensors file ({fault})") from None
    clip.load_state_dict(state)
    return TextTower(clip.requires_grad_(False).eval(), name, file_sha256(file), learned)
