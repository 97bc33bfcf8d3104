"""Small autoencoders with random weights, saved as diffusers saves them."""

from pathlib import Path

import torch

from zigdemo.latents import AutoencoderSpec


def small_autoencoder(path: Path, kind: str = "kl", channels: int = 4, **changes: object) -> AutoencoderSpec:
    """Factor 2 (kl) or 8 (tiny), of few weights."""
    from diffusers import AutoencoderKL, AutoencoderTiny

    torch.manual_seed(0)
    if kind == "kl":
        network = AutoencoderKL(
            **{
                "block_out_channels": (8, 16),
                "down_block_types": ("DownEncoderBlock2D",) * 2,
                "up_block_types": ("UpDecoderBlock2D",) * 2,
                "norm_num_groups": 4,
                "layers_per_block": 1,
                "latent_channels": channels,
                "sample_size": 16,
                **changes,
            }
        )
    else:
        widths, depths = (8,) * 4, (1,) * 4
        network = AutoencoderTiny(
            **{
                "encoder_block_out_channels": widths,
                "decoder_block_out_channels": widths,
                "num_encoder_blocks": depths,
                "num_decoder_blocks": depths,
                "latent_channels": channels,
                **changes,
            }
        )
    network.save_pretrained(path)
    return AutoencoderSpec(kind, str(path), channels=channels, factor=2 if kind == "kl" else 8)
