"""Does a picture look like what its text says? An offline score by the project's own small CLIP."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..conditioning import TextTower
from .retrieval import Retrieval


class ClipScore:
    """Texts and pictures as vectors of length 1 in one space, by a tower that has both halves.

    Raises ValueError for a tower that reads texts alone.
    """

    def __init__(self, tower: TextTower) -> None:
        if not hasattr(tower.clip_model, "visual"):
            raise ValueError(f"{tower.name} reads texts alone and cannot score pictures; use the tower emoji-clip")
        self.tower = tower
        self.size = tower.clip_model.visual.image_size

    @torch.no_grad()
    def embed_pictures(self, pictures: np.ndarray, batch: int = 64) -> Tensor:
        """Vectors (n, width) of pictures (n, S, S, 3) uint8, resized to what the tower sees."""
        parts = []
        for some in np.array_split(pictures, max(1, -(-len(pictures) // batch))):
            pixels = torch.from_numpy(np.array(some)).permute(0, 3, 1, 2) / 127.5 - 1
            if pixels.shape[-1] != self.size:
                pixels = F.interpolate(pixels, (self.size, self.size), mode="bilinear", antialias=True)
            pixels = pixels.to(self.tower.clip_model.logit_scale.device)
            parts.append(F.normalize(self.tower.clip_model.encode_image(pixels), dim=-1))
        return torch.cat(parts)

    def similarity(self, texts: Sequence[str], pictures: np.ndarray) -> np.ndarray:
        """Cosine of each text with its own picture, (n,), from -1 to 1; compare it with that of real pictures only."""
        return (self.tower.embed(texts) * self.embed_pictures(pictures)).sum(-1).cpu().numpy()

    def retrieval(self, texts: Sequence[str], targets: np.ndarray, gallery: Tensor) -> Retrieval:
        """Text to picture: whether, among all pictures, the nearest to each text is the one it means.

        targets: (n,) index into gallery of what each text means; gallery: (m, width) vectors of pictures.
        """
        return _ranked(self.tower.embed(texts), gallery, targets)

    def naming(self, pictures: np.ndarray, targets: np.ndarray, names: Sequence[str]) -> Retrieval:
        """Picture to text: whether, among all names, the nearest to each picture is its own.

        pictures: (n, S, S, 3) uint8; targets: (n,) index into names. The floor is `chance`; the ceiling is what the
        real pictures of the same targets score, which belongs beside every score of drawn ones.
        """
        return _ranked(self.embed_pictures(pictures), self.tower.embed(names), targets)


def _ranked(asked: Tensor, gallery: Tensor, targets: np.ndarray) -> Retrieval:
    """The rank of each target among the gallery by cosine, as shares of first and among five."""
    if len(asked) != len(targets):
        raise ValueError(f"{len(asked)} questions and {len(targets)} targets do not belong together")
    scores = asked @ gallery.T
    own = scores[torch.arange(len(asked)), torch.as_tensor(targets)]
    rank = (scores > own[:, None]).sum(1)
    return Retrieval(float((rank == 0).float().mean()), float((rank < 5).float().mean()), 1 / len(gallery), len(asked))
