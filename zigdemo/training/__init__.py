"""Training of the diffusion backbones: data sets, recipes, the trainer and its checkpoints."""
