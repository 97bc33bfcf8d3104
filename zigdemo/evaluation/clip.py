"""CLIP score: does a picture match its text? Computed offline with the small CLIP of this project."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..conditioning import TextTower
from .retrieval import Retrieval


class CLIPScore:
    """Unit embeddings of texts and pictures in one space, by a CLIP with both a text and an image tower.

    Raises ValueError for a tower without an image half.
    """

    def __init__(self, tower: TextTower) -> None:
        if not hasattr(tower.clip_model, "visual"):
            raise ValueError(f"{tower.name} has no image tower and cannot score pictures; use emoji-clip")
        self.tower = tower
        self.size = tower.clip_model.visual.image_size

    @torch.no_grad()
    def embed_pictures(self, pictures: np.ndarray, batch: int = 64) -> Tensor:
        """Embeddings (n, width) of pictures (n, S, S, 3) uint8, resized to the tower's input size."""
        parts = []
        for part in np.array_split(pictures, max(1, -(-len(pictures) // batch))):
            pixels = torch.from_numpy(np.array(part)).permute(0, 3, 1, 2) / 127.5 - 1
            if pixels.shape[-1] != self.size:
                pixels = F.interpolate(pixels, (self.size, self.size), mode="bilinear", antialias=True)
            pixels = pixels.to(self.tower.clip_model.logit_scale.device)
            parts.append(F.normalize(self.tower.clip_model.encode_image(pixels), dim=-1))
        return torch.cat(parts)

    def similarity(self, texts: Sequence[str], pictures: np.ndarray) -> np.ndarray:
        """Cosine similarity of each text and its picture, (n,); only comparable to that of real pictures."""
        return (self.tower.embed(texts) * self.embed_pictures(pictures)).sum(-1).cpu().numpy()

    def retrieval(self, texts: Sequence[str], targets: np.ndarray, gallery: Tensor) -> Retrieval:
        """Text-to-image retrieval: how often the picture nearest to a text is its own.

        targets: (n,) index into gallery of each text's picture; gallery: (m, width) embeddings of pictures.
        Raises ValueError for numbers of texts and targets that differ.
        """
        return _retrieval(self.tower.embed(texts), gallery, targets)

    def naming(self, pictures: np.ndarray, targets: np.ndarray, names: Sequence[str]) -> Retrieval:
        """Image-to-text retrieval: how often the name nearest to a picture is its own.

        pictures: (n, S, S, 3) uint8; targets: (n,) index into names. The floor is `chance`; the ceiling, to be reported
        with every score of generated pictures, is the score of the real pictures of the same targets.
        Raises ValueError for numbers of pictures and targets that differ.
        """
        return _retrieval(self.embed_pictures(pictures), self.tower.embed(names), targets)


def _retrieval(queries: Tensor, gallery: Tensor, targets: np.ndarray) -> Retrieval:
    """Top-1 and top-5 accuracy of finding each target in the gallery by cosine similarity."""
    if len(queries) != len(targets):
        raise ValueError(f"{len(queries)} queries and {len(targets)} targets do not match; give one target per query")
    scores = queries @ gallery.T
    target_scores = scores[torch.arange(len(queries)), torch.as_tensor(targets)]
    rank = (scores > target_scores[:, None]).sum(1)
    top1, top5 = float((rank == 0).float().mean()), float((rank < 5).float().mean())
    return Retrieval(top1, top5, 1 / len(gallery), len(queries))
