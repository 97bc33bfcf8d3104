"""Training of the diffusion backbones: recipes, the trainer, fine-tuning, and the publication of models."""
