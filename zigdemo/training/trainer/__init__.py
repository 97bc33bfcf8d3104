"""The training loop: recipe, steps, checkpoints, progress, samples."""
