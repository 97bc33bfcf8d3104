"""From a run to a model folder: weights, scores, pictures and cards."""
