"""The spaces in which networks generate: pixels, or the latents of an autoencoder."""

from __future__ import annotations

from .autoencoders import AUTOENCODERS, Autoencoder, AutoencoderSpec, folder_spec, named_spec
from .spaces import PIXELS, Latents, PixelSpace

__all__ = [
    "AUTOENCODERS",
    "Autoencoder",
    "AutoencoderSpec",
    "Latents",
    "PIXELS",
    "PixelSpace",
    "folder_spec",
    "named_spec",
]
