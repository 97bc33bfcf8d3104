"""Train a small CLIP on emoji: `python -m zigdemo.training.clip RECIPE OUT [--set key=value ...]`."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...conditioning import TextTower, Tokenizer, hidden_states, write_tower
from ...conditioning.text import build_clip, pooled
from ...data import ImageSet
from ...data.emoji_captions import held_out_caption, synonym_caption, training_caption, usable_keywords
from ...evaluation import CLIPScore
from ...huggingface import fill_card
from ...ops.heap import keep_freed_memory
from ..publishing.card import CARDS, commit, millions
from ..trainer.processes import place
from ..trainer.recipe import read_settings
from ..trainer.rules import ramp
from .command import run_command

TEACHER_TOKENS = 24  # texts for the teacher are truncated to this


@dataclass(frozen=True)
class CLIPRecipe:
    """All settings of the training of a small CLIP: together with the data they determine its weights.

    data: a prepared image folder; exclude: patterns of label names to leave out. model: model_cfg of open_clip.
    teacher: a folder of a sentence encoder in transformers' format; the text tower is also trained to predict its
    sentence embeddings (`teacher_weight`) of captions and of common words of CLIP's vocabulary; null for none. shift,
    noise, blur: strength of the augmentations: largest shift as a share of the side, largest standard deviation, share
    of pictures.
    """

    name: str
    data: str
    model: dict
    exclude: list[str] = field(default_factory=list)
    teacher: str | None = None
    teacher_weight: float = 2.0
    teacher_texts: int = 20000
    steps: int = 1000
    batch: int = 192
    lr: float = 1e-3
    warmup: int = 50
    weight_decay: float = 0.05
    shift: float = 0.08
    noise: float = 0.15
    blur: float = 0.3
    seed: int = 0
    log_every: int = 20


def augment(pictures: Tensor, recipe: CLIPRecipe) -> Tensor:
    """Augmentation that imitates generated pictures: shift, scale, tint, blur, noise; (batch, 3, S, S) in [-1, 1]."""
    count = len(pictures)
    size = 1 + 0.15 * (2 * torch.rand(count) - 1)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = size
    theta[:, :, 2] = 2 * recipe.shift * (2 * torch.rand(count, 2) - 1)
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
    moved = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    soft = F.interpolate(F.avg_pool2d(moved, 2), scale_factor=2, mode="bilinear")
    moved = torch.where(torch.rand(count, 1, 1, 1) < recipe.blur, soft, moved)
    tint = 1 + 0.1 * torch.randn(count, 3, 1, 1)
    level = recipe.noise * torch.rand(count, 1, 1, 1) ** 2
    return ((moved - 1) * tint + 1 + level * torch.randn_like(moved)).clamp(-1.2, 1.2)


def token_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Token ids (batch, length of the longest text) and the index of each text's end token."""
    prompts = [tokenizer(text) for text in texts]
    ends = torch.tensor([prompt.length - 1 for prompt in prompts])
    return torch.tensor([prompt.ids for prompt in prompts])[:, : int(ends.max()) + 1], ends


def lesson_texts(data: ImageSet, count: int, rng: np.random.Generator) -> list[str]:
    """Texts for the teacher: captions, keywords, common words, and names combined with a colour or another name."""
    from open_clip.tokenizer import SimpleTokenizer

    words = [token[:-4] for token in SimpleTokenizer().encoder if token.endswith("</w>")]
    common = [word for word in words if word.isascii() and word.isalpha() and len(word) > 2][:8000]
    names = data.label_names
    keys = {key for name, words in zip(names, data.keywords, strict=True) for key in usable_keywords(name, words)}
    texts = [*names, *sorted(keys), *common]
    colours = ("red", "blue", "green", "yellow", "pink", "purple", "orange", "black", "white", "golden", "happy", "sad")
    while len(texts) < count:
        row = int(rng.integers(len(names)))
        caption = training_caption(names[row], data.groups[row], data.keywords[row], rng)
        mixed = f"{rng.choice(colours)} {names[row]}", f"{names[row]} with {names[rng.integers(len(names))]}"
        texts += [caption, mixed[0], mixed[1], f"{rng.choice(common)} {rng.choice(common)}"]
    return texts[:count] if count < len(texts) else texts


@torch.no_grad()
def teacher_vectors(folder: str, texts: Sequence[str], batch: int = 256) -> Tensor:
    """Sentence embeddings of length 1, the mean over a text's tokens, (texts, width) float32."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # so that texts of a batch have similar lengths
    embeddings = torch.empty(len(texts), model.config.hidden_size)
    for first in range(0, len(order), batch):
        rows = order[first : first + batch]
        words = tokenizer(
            [texts[i] for i in rows], padding=True, truncation=True, max_length=TEACHER_TOKENS, return_tensors="pt"
        )
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model(**words).last_hidden_state.float()
        mask = words["attention_mask"][:, :, None]
        embeddings[rows] = F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    return embeddings


def train(recipe: CLIPRecipe, out: str | Path) -> dict[str, Any]:
    """Train a CLIP and write the folder `out`; returns facts and scores.

    Raises ValueError for unusable data, FloatingPointError if the loss is not finite.
    """
    keep_freed_memory()
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    data = ImageSet.load(recipe.data, exclude=recipe.exclude)
    pictures = torch.from_numpy(np.array(data.images)).permute(0, 3, 1, 2) / 127.5 - 1
    clip_model = build_clip(recipe.model)
    clip_model.visual.to(memory_format=torch.channels_last)  # halves the time of its convolutions on a CPU
    tokenizer = Tokenizer(clip_model.context_length, clip_model.vocab_size)
    texts = lesson_texts(data, recipe.teacher_texts, rng) if recipe.teacher else []
    teacher_embeddings = teacher_vectors(recipe.teacher, texts) if texts else torch.empty(0, 1)
    if texts:
        print(f"the teacher has embedded {len(texts)} texts", flush=True)
    head = nn.Linear(clip_model.ln_final.normalized_shape[0], teacher_embeddings.shape[1])
    optimizer = _optimizer(clip_model, head, recipe)
    started, order = time.monotonic(), np.empty(0, np.int64)
    for step in range(recipe.steps):
        if len(order) < recipe.batch:
            order = rng.permutation(len(data))
        rows, order = order[: recipe.batch], order[recipe.batch :]
        captions = [training_caption(data.label_names[r], data.groups[r], data.keywords[r], rng) for r in rows]
        lessons = rng.integers(len(texts), size=recipe.batch // 2) if texts else np.empty(0, np.int64)
        batches = [token_ids(tokenizer, batch) for batch in (captions, [texts[i] for i in lessons]) if batch]
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * ramp(step, recipe.steps, recipe.warmup, recipe.steps // 2)
        with torch.autocast("cpu", torch.bfloat16):
            augmented = augment(pictures[rows], recipe)
        loss, similarity, accuracy = losses(clip_model, head, augmented, batches, teacher_embeddings[lessons])
        (loss + recipe.teacher_weight * (1 - similarity)).backward()
        nn.utils.clip_grad_norm_(clip_model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"the loss is {loss.item()} at step {step}; lower lr (now {recipe.lr:g})")
        if (step + 1) % recipe.log_every == 0:
            minutes = (time.monotonic() - started) / (step + 1) * (recipe.steps - step - 1) / 60
            print(
                f"step {step + 1}: loss {loss.item():.3f}, accuracy {accuracy:.2f}, "
                f"cosine to the teacher {similarity.item():.3f}, {minutes:.0f} min left",
                flush=True,
            )
    return _write(out, clip_model.eval(), recipe, data)


def _optimizer(clip_model: nn.Module, head: nn.Module, recipe: CLIPRecipe) -> torch.optim.Optimizer:
    """AdamW, with weight decay of the matrices of the CLIP only."""
    decayed = [p for p in clip_model.parameters() if p.ndim > 1]
    undecayed = [p for p in clip_model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": [*undecayed, *head.parameters()]}]
    return torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=0.0, betas=(0.9, 0.98))


def losses(
    clip_model: nn.Module, head: nn.Module, pictures: Tensor, batches: Sequence[tuple[Tensor, Tensor]], taught: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The contrastive loss of pictures and captions, the similarity to the teacher, and the share matched right.

    pictures: (batch, 3, S, S) in [-1, 1]. batches: token ids and ends of the captions, then of the teacher's texts if
    there is one. taught: (texts, width), its embeddings of these, which `head` predicts; the similarity is their mean
    cosine, 0 without a teacher. Source of the loss: Radford et al. 2021 (arXiv 2103.00020), figure 3.
    """
    with torch.autocast("cpu", torch.bfloat16):
        image_features = clip_model.visual(pictures.contiguous(memory_format=torch.channels_last))
        hidden = [hidden_states(clip_model, ids).float() for ids, _ in batches]
    text_features = pooled(clip_model, hidden[0], batches[0][1])
    scale = clip_model.logit_scale.exp().clamp(max=100)
    scores = scale * F.normalize(image_features.float(), dim=-1) @ text_features.T
    targets = torch.arange(len(pictures))
    loss = (F.cross_entropy(scores, targets) + F.cross_entropy(scores.T, targets)) / 2
    similarity = torch.zeros(())
    if len(batches) > 1:
        end_features = hidden[1][torch.arange(len(taught)), batches[1][1]]
        similarity = F.cosine_similarity(head(end_features), taught, dim=-1).mean()
    return loss, similarity, (scores.argmax(1) == targets).float().mean()


def _write(out: str | Path, clip_model: nn.Module, recipe: CLIPRecipe, data: ImageSet) -> dict[str, Any]:
    """Write the folder of a trained CLIP, first to score it, then with its scores; returns facts and scores."""
    about = {"data": Path(recipe.data).name, "images": len(data), "steps": recipe.steps, "batch": recipe.batch}
    tower = write_tower(out, clip_model, recipe.model, about, "# in work\n")
    about |= {"teacher": Path(recipe.teacher).name if recipe.teacher else None, "retrieval": scores_of(tower, data)}
    about["commit"] = commit()
    write_tower(out, clip_model, recipe.model, about, card(Path(out).name, recipe, about, clip_model))
    return about


def scores_of(tower: TextTower, data: ImageSet, seed: int = 1) -> dict[str, dict[str, float]]:
    """Retrieval among all real pictures, as shares from 0 to 1: names by picture, pictures by name or new phrasing."""
    score, pictures = CLIPScore(tower), np.asarray(data.images)
    gallery = score.embed_pictures(pictures)
    retrievals = {"pictures to names": score.naming(pictures, data.labels, data.label_names)}
    kinds = {"names": lambda name, *_: name, "held-out templates": held_out_caption, "synonyms": synonym_caption}
    for kind, phrase in kinds.items():
        rng = np.random.default_rng(seed)
        texts = [phrase(*facts, rng) for facts in zip(data.label_names, data.groups, data.keywords, strict=True)]
        rows = np.array([row for row, text in enumerate(texts) if text is not None])
        retrievals[f"{kind} to pictures"] = score.retrieval([texts[row] for row in rows], rows, gallery)
    return {
        kind: {"top1": round(r.top1, 4), "top5": round(r.top5, 4), "n": r.count, "floor": round(r.chance, 5)}
        for kind, r in retrievals.items()
    }


def card(name: str, recipe: CLIPRecipe, about: dict[str, Any], clip_model: nn.Module) -> str:
    """The README.md of the tower's folder."""
    text = recipe.model["text_cfg"]
    return fill_card(
        CARDS / "emoji-tower.md",
        {"license": "apache-2.0", "tags": ["zigdemo", "clip", "open_clip"]},
        name=name,
        millions=millions(clip_model),
        pictures=f"{about['images']:,}",
        teacher_texts=f"{recipe.teacher_texts:,}",
        text=text,
        merges=f"{text['vocab_size'] - 514:,}",
        recipe=recipe,
        steps=f"{recipe.steps:,}",
        lr=f"{recipe.lr:g}",
        compute=f"{place()}, bf16",
        about=about,
    )


def main(arguments: list[str] | None = None) -> int:
    """Train a small CLIP from a recipe; an input error is one sentence and exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m zigdemo.training.clip", description=main.__doc__)
    parser.add_argument("recipe", help="a YAML file, see zigdemo/training/recipes/towers")
    parser.add_argument("out", help="output folder, such as weights/emoji-clip")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting")
    options = parser.parse_args(arguments)
    return run_command(lambda: train(read_settings(options.recipe, CLIPRecipe, options.set), options.out))


if __name__ == "__main__":
    sys.exit(main())
