"""Train the emoji's own CLIP: `python -m zigdemo.training.clip RECIPE OUT [--set key=value ...]`."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...conditioning import TextTower, Tokenizer, hidden_states, write_tower
from ...conditioning.text import build_clip, pooled
from ...data import ImageSet
from ...data.emoji_captions import held_out_caption, synonym_caption, training_caption, usable_keywords
from ...evaluation import ClipScore
from ...huggingface import fill_card
from ...ops.heap import keep_freed_memory
from ..publishing.card import CARDS, commit, millions, place
from ..trainer.recipe import read_settings
from ..trainer.rules import ramp

TEACHER_TOKENS = 24  # of a text that the teacher reads


@dataclass(frozen=True)
class ClipRecipe:
    """What decides the weights of a small CLIP, with the data and the seed.

    data: a prepared image folder; exclude: patterns of label names to leave out. model: model_cfg of open_clip.
    teacher: a folder of a sentence encoder in transformers' format, whose sentence vectors the text tower is to predict
    too (`teacher_weight`), for the captions and for common words of CLIP's vocabulary; null for none. shift, noise,
    blur: most of what is done to the pictures: share of the side, standard deviation, share of pictures.
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


def augment(pictures: Tensor, recipe: ClipRecipe) -> Tensor:
    """Moved, resized, tinted, blurred and noisy pictures, as generated ones are: (batch, 3, S, S) in [-1, 1]."""
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
    """Ids (batch, length of the longest) and the place of each text's end."""
    prompts = [tokenizer(text) for text in texts]
    ends = torch.tensor([prompt.length - 1 for prompt in prompts])
    return torch.tensor([prompt.ids for prompt in prompts])[:, : int(ends.max()) + 1], ends


def lesson_texts(data: ImageSet, count: int, rng: np.random.Generator) -> list[str]:
    """What the teacher is asked: captions, keywords, common words, and names with a colour or another name's word."""
    from open_clip.tokenizer import SimpleTokenizer

    whole = [token[:-4] for token in SimpleTokenizer().encoder if token.endswith("</w>")]
    common = [word for word in whole if word.isascii() and word.isalpha() and len(word) > 2][:8000]
    names = data.label_names
    keys = {key for name, found in zip(names, data.keywords, strict=True) for key in usable_keywords(name, found)}
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
    """Sentence vectors of length 1, the mean over a text's tokens, (texts, width) float32."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # texts of a batch then are about as long
    found = torch.empty(len(texts), model.config.hidden_size)
    for first in range(0, len(order), batch):
        rows = order[first : first + batch]
        words = tokenizer(
            [texts[i] for i in rows], padding=True, truncation=True, max_length=TEACHER_TOKENS, return_tensors="pt"
        )
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model(**words).last_hidden_state.float()
        mask = words["attention_mask"][:, :, None]
        found[rows] = F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    return found


def train(recipe: ClipRecipe, out: str | Path) -> dict:
    """Train and write the folder `out`; returns the scores. Source of the loss: arXiv 2103.00020, figure 3."""
    keep_freed_memory()
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    data = ImageSet.load(recipe.data, exclude=recipe.exclude)
    pictures = torch.from_numpy(np.array(data.images)).permute(0, 3, 1, 2) / 127.5 - 1
    clip = build_clip(recipe.model)
    clip.visual.to(memory_format=torch.channels_last)  # half the time of its convolutions on a CPU
    tokenizer = Tokenizer(clip.context_length, clip.vocab_size)
    texts = lesson_texts(data, recipe.teacher_texts, rng) if recipe.teacher else []
    answers = teacher_vectors(recipe.teacher, texts) if texts else torch.empty(0, 1)
    if texts:
        print(f"the teacher has read {len(texts)} texts", flush=True)
    head = nn.Linear(clip.ln_final.normalized_shape[0], answers.shape[1])
    decayed = [p for p in clip.parameters() if p.ndim > 1]
    plain = [p for p in clip.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": [*plain, *head.parameters()]}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=0.0, betas=(0.9, 0.98))
    started, order = time.monotonic(), np.empty(0, np.int64)
    for step in range(recipe.steps):
        if len(order) < recipe.batch:
            order = rng.permutation(len(data))
        rows, order = order[: recipe.batch], order[recipe.batch :]
        captions = [training_caption(data.label_names[r], data.groups[r], data.keywords[r], rng) for r in rows]
        asked = rng.integers(len(texts), size=recipe.batch // 2) if texts else np.empty(0, np.int64)
        batches = [token_ids(tokenizer, said) for said in (captions, [texts[i] for i in asked]) if said]
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * ramp(step, recipe.steps, recipe.warmup, recipe.steps // 2)
        with torch.autocast("cpu", torch.bfloat16):
            seen = clip.visual(augment(pictures[rows], recipe).contiguous(memory_format=torch.channels_last))
            hidden = [hidden_states(clip, ids).float() for ids, _ in batches]
        read = pooled(clip, hidden[0], batches[0][1])
        scores = clip.logit_scale.exp().clamp(max=100) * F.normalize(seen.float(), dim=-1) @ read.T
        own = torch.arange(len(rows))
        loss = (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2
        agreed = torch.zeros(())
        if texts:
            at_end = hidden[1][torch.arange(len(asked)), batches[1][1]]
            agreed = F.cosine_similarity(head(at_end), answers[asked], dim=-1).mean()
        (loss + recipe.teacher_weight * (1 - agreed)).backward()
        nn.utils.clip_grad_norm_(clip.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"the loss is {loss.item()} at step {step}; lower lr (now {recipe.lr:g})")
        if (step + 1) % recipe.log_every == 0:
            right = (scores.argmax(1) == own).float().mean()
            minutes = (time.monotonic() - started) / (step + 1) * (recipe.steps - step - 1) / 60
            print(
                f"step {step + 1}: loss {loss.item():.3f}, right {right:.2f}, like the teacher {agreed.item():.3f}, "
                f"{minutes:.0f} min left",
                flush=True,
            )
    about = {"data": Path(recipe.data).name, "images": len(data), "steps": recipe.steps, "batch": recipe.batch}
    tower = write_tower(out, clip.eval(), recipe.model, about, "# in work\n")
    about |= {"teacher": Path(recipe.teacher).name if recipe.teacher else None, "retrieval": scores_of(tower, data)}
    about["commit"] = commit()
    write_tower(out, clip, recipe.model, about, card(Path(out).name, recipe, about, clip))
    return about


def scores_of(tower: TextTower, data: ImageSet, seed: int = 1) -> dict:
    """Retrieval among all real pictures: of their names, and of names and kept away phrasings of them."""
    score, pictures = ClipScore(tower), np.asarray(data.images)
    gallery = score.embed_pictures(pictures)
    found = {"pictures to names": score.naming(pictures, data.labels, data.label_names)}
    kinds = {"names": lambda name, *_: name, "held-out templates": held_out_caption, "synonyms": synonym_caption}
    for kind, phrase in kinds.items():
        rng = np.random.default_rng(seed)
        said = [phrase(*one, rng) for one in zip(data.label_names, data.groups, data.keywords, strict=True)]
        rows = np.array([row for row, text in enumerate(said) if text is not None])
        found[f"{kind} to pictures"] = score.retrieval([said[row] for row in rows], rows, gallery)
    return {
        kind: {"top1": round(one.top1, 4), "top5": round(one.top5, 4), "n": one.count, "floor": round(one.chance, 5)}
        for kind, one in found.items()
    }


def card(name: str, recipe: ClipRecipe, about: dict, clip: nn.Module) -> str:
    """The README.md of the tower's folder."""
    text = recipe.model["text_cfg"]
    return fill_card(
        CARDS / "emoji-tower.md",
        {"license": "apache-2.0", "tags": ["zigdemo", "clip", "open_clip"]},
        name=name,
        millions=millions(clip),
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
    """Train by a recipe; a fault of the input is one sentence and exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m zigdemo.training.clip", description=main.__doc__)
    parser.add_argument("recipe", help="a YAML file, see zigdemo/training/recipes/towers")
    parser.add_argument("out", help="folder to write, such as weights/emoji-clip")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting")
    chosen = parser.parse_args(arguments)
    try:
        about = train(read_settings(chosen.recipe, ClipRecipe, chosen.set), chosen.out)
    except (ValueError, FloatingPointError, OSError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    print(json.dumps(about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
