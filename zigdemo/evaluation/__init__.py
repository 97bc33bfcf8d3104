"""Scores of generated pictures and clips, each with a baseline (its floor)."""

from .clip import CLIPScore
from .features import Features, load_features, over_time
from .frechet import FeatureMoments, frechet_distance, kernel_distance, precision_recall
from .retrieval import Retrieval, class_retrieval, label_retrieval
from .scores import Score
from .video import clip_scores, flow_energy, mean_frame_difference

__all__ = [
    "CLIPScore",
    "Features",
    "FeatureMoments",
    "Retrieval",
    "Score",
    "class_retrieval",
    "clip_scores",
    "flow_energy",
    "frechet_distance",
    "kernel_distance",
    "label_retrieval",
    "load_features",
    "mean_frame_difference",
    "over_time",
    "precision_recall",
]
