"""The contract of a latent space, and the trivial one: pixels."""

from __future__ import annotations

import torch
from torch import Tensor


class Latents:
    """A space in which networks generate. Pixels are (batch, 3, H, W) in [-1, 1], latents (batch, channels, H/f, W/f).

    name: for provenance. channels: of the latents. factor: f, side of a latent in pixels. sha256: of the autoencoder's
    weights, None without one.
    """

    name: str
    channels: int
    factor: int
    sha256: str | None = None

    def encode(self, pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The latents of pixels: the mean, or with a generator a sample from the posterior."""
        raise NotImplementedError

    def decode(self, latents: Tensor, at_once: int = 1) -> Tensor:
        """The pixels of latents, not clamped.

        at_once: items per call of a network; with 1 an item does not depend on the rest of the batch.
        """
        raise NotImplementedError

    def preview(self, latents: Tensor) -> Tensor:
        """A cheap preview of latents, as pixels at any uniformly reduced size."""
        raise NotImplementedError

    def to_bytes(self, pixels: Tensor) -> Tensor:
        """uint8 (batch, H, W, 3) on the CPU, rounded as in the official sampling scripts."""
        return (127.5 * pixels + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu()


class PixelSpace(Latents):
    """No autoencoder: the network generates pixels."""

    name, channels, factor = "pixels", 3, 1

    def encode(self, pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return pixels

    def decode(self, latents: Tensor, at_once: int = 1) -> Tensor:
        return latents

    def preview(self, latents: Tensor) -> Tensor:
        return latents

    def to_bytes(self, pixels: Tensor) -> Tensor:
        """uint8 (batch, H, W, 3) on the CPU, rounded to the nearest level, the inverse of the scaling for training."""
        return ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu()


PIXELS = PixelSpace()
