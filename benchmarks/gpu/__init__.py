"""Measurements on a machine with a GPU, in parts with a time limit each; `benchmarks/gpu.sh OUT` runs them all."""
