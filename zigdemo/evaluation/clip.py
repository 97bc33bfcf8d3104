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
        if not hasattr(tower.clip, "visual"):
            raise ValueError(f"{tower.name} reads texts alone and cannot score pictures; use the tower emoji-clip")
        self.tower = tower
        self.size = tower.clip.visual.image_size

    @torch.no_grad()
    def embed_pictures(self, pictures: np.ndarray, batch: int = 64) -> Tensor:
        """Vectors (n, width) of pictures (n, S, S, 3) uint8, resized to what the tower sees."""
        parts = []
        for some in np.array_split(pictures, max(1, -(-len(pictures) // batch))):
            pixels = torch.from_numpy(np.array(some)).permute(0, 3, 1, 2) / 127.5 - 1
            if pixels.shape[-1] != self.size:
                pixels = F.interpolate(pixels, (self.size, self.size), mode="bilinear", antialias=True)
            pixels = pixels.to(self.tower.clip.logit_scale.device)
            parts.append(F.normalize(self.tower.clip.encode_image(pixels), dim=-1))
        return torch.cat(parts)

    def similarity(self, texts: Sequence[str], pictures: np.ndarray) -> np.ndarray:
        """Cosine of each text with its own picture, (n,), from -1 to 1; compare it with that of real pictures only."""
        return (self.tower.embed(texts) * self.embed_pictures(pictures)).sum(-1).cpu().numpy()

    def beside_real(
        self, texts: Sequence[str], made: np.ndarray, targets: np.ndarray, real: np.ndarray
    ) -> tuple[Retrieval, Retrieval]:
        """`retrieval` of drawn pictures, and of the real ones in their place: the ceiling of the first.

        made: (n, S, S, 3) uint8, drawn for the texts; targets: (n,) index into real, (m, S, S, 3) uint8.
        """
        gallery = self.embed_pictures(real)
        drawn = self.retrieval(texts, self.embed_pictures(made), targets, gallery)
        return drawn, self.retrieval(texts, gallery[torch.as_tensor(targets)], targets, gallery)

    def retrieval(self, texts: Sequence[str], made: Tensor, targets: np.ndarray, gallery: Tensor) -> Retrieval:
        """For each text, the rank of its own picture among real ones.

        made: (n, width) vectors of the pictures drawn for the texts; targets: (n,) index into gallery of what each text
        means; gallery: (m, width) vectors of all real pictures, where the drawn one takes the place of its target. With
        the real pictures as `made` it is the ceiling of the score; `chance` is its floor.
        """
        if not len(texts) == len(made) == len(targets):
            raise ValueError(
                f"{len(texts)} texts, {len(made)} pictures and {len(targets)} targets do not belong together"
            )
        said = self.tower.embed(texts)
        own = (said * made).sum(-1)
        others = said @ gallery.T
        others[torch.arange(len(targets)), torch.as_tensor(targets)] = -2.0
        rank = (others > own[:, None]).sum(1)
        return Retrieval(
            float((rank == 0).float().mean()), float((rank < 5).float().mean()), 1 / len(gallery), len(texts)
        )
