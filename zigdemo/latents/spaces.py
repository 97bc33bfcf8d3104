"""The contract of a latent space, and the one without an autoencoder: pixels."""

from __future__ import annotations

import torch
from torch import Tensor


class Latents:
    """A space that networks draw in. Pixels are (batch, 3, H, W) in [-1, 1], latents (batch, channels, H/f, W/f).

    name: for provenance. channels: of the latents. factor: f, pixels a latent covers along each side. sha256: of the
    autoencoder's weights, None without one.
    """

    name: str
    channels: int
    factor: int
    sha256: str | None = None

    def encode(self, pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The latents of pixels: the mean, or with a generator a sample where the space has a spread."""
        raise NotImplementedError

    def decode(self, latents: Tensor) -> Tensor:
        """The pixels of latents, not clamped; an item's do not depend on what else is in the batch."""
        raise NotImplementedError

    def preview(self, latents: Tensor) -> Tensor:
        """A cheap look at latents, as pixels of any size that shrinks the picture evenly."""
        raise NotImplementedError

    def to_bytes(self, pixels: Tensor) -> Tensor:
        """uint8 (batch, H, W, 3) on the CPU, by the rounding of the official sampling scripts."""
        return (127.5 * pixels + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu()


class PixelSpace(Latents):
    """No autoencoder: the network draws pixels."""

    name, channels, factor = "pixels", 3, 1

    def encode(self, pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return pixels

    def decode(self, latents: Tensor) -> Tensor:
        return latents

    def preview(self, latents: Tensor) -> Tensor:
        return latents

    def to_bytes(self, pixels: Tensor) -> Tensor:
        """uint8 (batch, H, W, 3) on the CPU, to the nearest level, as the pictures were scaled for training."""
        return ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu()


PIXELS = PixelSpace()
