"""Score a model or a folder against real data: `python -m zigdemo.evaluation zigma-emoji data/fluent-emoji`.

With `accelerate launch --multi_gpu --num_processes N -m zigdemo.evaluation ...`, also on CPUs alone, every process
draws and embeds a share, and the first one adds them up: Frechet distances are those of one process, to rounding. KID
takes its random subsets from another order.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from .. import __version__, zoo
from ..conditioning import SHIPPED_TOWER, TextSpec
from ..ops.heap import keep_freed_memory
from ..pipeline import Pipeline
from .clip import ClipScore
from .features import Features, load_features, over_time
from .frechet import FeatureMoments, frechet_score, kernel_score, precision_scores, reference_features
from .materials import Material, drawn, plan_draws, read_material
from .retrieval import label_retrieval
from .scores import Score, score_table
from .video import clip_scores

METRICS = ("frechet", "kid", "precision", "clip", "retrieval")
BY_LABEL = ("clip", "retrieval")  # need to know what each picture was to be
CACHE = Path("~/.cache/zigdemo/statistics")
DEFAULT_COUNT = 200


def evaluate(
    source: str,
    real: Material,
    features: Features,
    metrics: Sequence[str] = METRICS[:3],
    count: int | None = None,
    seed: int = 0,
    *,
    clip_features: Features | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    cache: Path | None = None,
) -> list[Score]:
    """Scores of a model, or of a folder of pictures or clips, against a real set; the same list in every process.

    count: items to draw (default 200), or to take at random from a folder (default all). clip_features: of whole clips,
    where `over_time(features)` is not wanted. steps, guidance: of a model, its own where not given. cache: folder that
    keeps the real set's features.
    Raises ValueError with one sentence for what does not fit together.
    """
    _check_metrics(metrics, real, _is_model(source))  # before anything is drawn
    made, rows = _made(source, real, count, seed, steps, guidance, PartialState())
    return score_share(made, rows, real, features, metrics, seed, clip_features=clip_features, cache=cache)


def score_share(
    made: np.ndarray, rows: np.ndarray | None, real: Material, features: Features, metrics: Sequence[str],
    seed: int = 0, *, clip_features: Features | None = None, cache: Path | None = None,
) -> list[Score]:  # fmt: skip
    """Scores of what all processes made, of which this one made `made`; the arguments else as those of `evaluate`.

    rows: (len(made),) int64, the real item that each was to be, or None where that is unknown.
    """
    _check_metrics(metrics, real, rows is not None)
    if real.clips != (made.ndim == 5):
        ours, theirs = ("clips", "pictures") if real.clips else ("pictures", "clips")
        raise ValueError(f"the data are {ours} and what is scored are {theirs}; give both of one kind")
    if real.clips:
        whole = _joined(made)
        return clip_scores(features, clip_features or over_time(features), np.asarray(real.items), whole, seed)
    vectors = features(made)
    state = PartialState()
    share = real.items[state.process_index :: state.num_processes]
    reference = _interleaved(gather_object([reference_features(features, share, cache)]))
    moments = gather_object([FeatureMoments.of(vectors)])
    scores: list[Score] = []
    if "frechet" in metrics:
        scores.append(frechet_score(features, reference, sum(moments[1:], moments[0]), seed))
    if "kid" in metrics or "precision" in metrics:
        everything = _joined(vectors)
        scores += [kernel_score(features, reference, everything, seed)] if "kid" in metrics else []
        scores += precision_scores(features, reference, everything, seed) if "precision" in metrics else []
    if set(metrics) & set(BY_LABEL):
        pictures, targets = _joined(made), _joined(rows)
        scores += _by_name(real, pictures, targets, seed) if "clip" in metrics else []
        scores += [_by_pixels(real, pictures, targets, seed)] if "retrieval" in metrics else []
    return scores


def _made(
    source: str,
    real: Material,
    count: int | None,
    seed: int,
    steps: int | None,
    guidance: float | None,
    state: PartialState,
) -> tuple[np.ndarray, np.ndarray | None]:
    """This process's share of the generated material, and the real item that each was to be, None where unknown."""
    mine = slice(state.process_index, None, state.num_processes)
    if not _is_model(source):
        items = read_material(source).items
        most = len(items) if count is None else count
        if not 0 < most <= len(items):
            raise ValueError(f"{source} has {len(items)} items; choose a count of 1 to {len(items)}, not {count}")
        return items[np.random.default_rng(seed).permutation(len(items))[:most][mine]], None
    pipe = Pipeline.load(source, state.device)
    draws = plan_draws(pipe, real, DEFAULT_COUNT if count is None else count, seed, steps, guidance)[mine]
    made = drawn(pipe, draws) if draws else np.zeros((0, *real.items.shape[1:]), np.uint8)
    return made, np.array([row for draw in draws for row in draw.rows], np.int64)


def _is_model(source: str) -> bool:
    return not Path(source).exists() or (Path(source) / zoo.CONFIG).is_file()


def _check_metrics(metrics: Sequence[str], real: Material, by_label: bool) -> None:
    unknown = [name for name in metrics if name not in METRICS]
    if unknown or not metrics:
        raise ValueError(f"unknown metric {unknown[0] if unknown else ''!r}; choose of {', '.join(METRICS)}")
    if real.clips and set(metrics) != {"frechet"}:
        raise ValueError("clips are scored by frechet alone; give --metrics frechet")
    if set(metrics) & set(BY_LABEL) and not (by_label and real.labels):
        raise ValueError(f"{' and '.join(BY_LABEL)} need to know what was to be drawn; give a model and a labelled set")


def _joined(part: np.ndarray) -> np.ndarray:
    """The shares of all processes one after another; one without items may have another shape."""
    parts = gather_object([part])
    return np.concatenate([each for each in parts if len(each)] or parts[:1])


def _interleaved(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Shares rows[rank::world] as the whole again."""
    whole = np.empty((sum(map(len, parts)), parts[0].shape[1]), parts[0].dtype)
    for rank, part in enumerate(parts):
        whole[rank :: len(parts)] = part
    return whole


def _by_name(real: Material, made: np.ndarray, rows: np.ndarray, seed: int) -> list[Score]:
    """Naming by the shipped tower among all labels, and the cosine of picture and label."""
    scorer = ClipScore(TextSpec(SHIPPED_TOWER).load(places=(zoo.WEIGHTS,)))
    names = list(dict.fromkeys(real.labels))
    place = {name: number for number, name in enumerate(names)}
    texts = [real.labels[row] for row in rows]
    targets, truth = np.array([place[text] for text in texts]), real.items[rows]
    ours, theirs = (scorer.naming(pictures, targets, names) for pictures in (made, truth))
    beside = f"guessing; real pictures {theirs.top1:.3f}"
    near, nearest = (scorer.similarity(texts, pictures).astype(np.float64) for pictures in (made, truth))
    return [
        Score(f"named right by {SHIPPED_TOWER}", ours.top1, len(made), ours.chance, beside, seed),
        Score(
            f"cosine to the label by {SHIPPED_TOWER}",
            float(near.mean()),
            len(made),
            float(nearest.mean()),
            "real pictures",
            seed,
        ),
    ]


def _by_pixels(real: Material, made: np.ndarray, rows: np.ndarray, seed: int) -> Score:
    found = label_retrieval(made, rows, np.asarray(real.items))
    return Score("label retrieval in pixels", found.top1, found.count, found.chance, "guessing", seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Score and print a table; a fault is one sentence and exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m zigdemo.evaluation", description=main.__doc__)
    parser.add_argument("source", help="a model, a folder of pictures, or an .npy file of pictures or clips")
    parser.add_argument("data", help="the real set: a prepared one, a folder of pictures, or an .npy file")
    parser.add_argument("--count", type=int, help=f"items (default: {DEFAULT_COUNT} of a model, all of a folder)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--features", default="auto", help="of pictures, or of the frames of clips (default: auto)")
    parser.add_argument("--weights", help="file of features that need one: inception, dinov2")
    parser.add_argument("--i3d", metavar="FILE", help="TorchScript of I3D, for the real FVD of clips")
    parser.add_argument("--metrics", help=f"some of {','.join(METRICS)} (default: the first three, of clips the first)")
    parser.add_argument("--steps", type=int, help="of the solver (default: the model's own)")
    parser.add_argument("--guidance", type=float, help="(default: the model's own)")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"keeps features of real sets (default: {CACHE})")
    parser.add_argument("--out", type=Path, default=Path("scores.json"), help="JSON to write (default: scores.json)")
    chosen = parser.parse_args(arguments)
    keep_freed_memory()
    state = PartialState(cpu=not torch.cuda.is_available())
    try:
        real = read_material(chosen.data)
        features = load_features(chosen.features, chosen.weights, state.device)
        clip_features = load_features("i3d", chosen.i3d, state.device) if chosen.i3d else None
        metrics = chosen.metrics.split(",") if chosen.metrics else METRICS[:1] if real.clips else METRICS[:3]
        scores = evaluate(
            chosen.source, real, features, metrics, chosen.count, chosen.seed, clip_features=clip_features,
            steps=chosen.steps, guidance=chosen.guidance, cache=chosen.cache.expanduser(),
        )  # fmt: skip
        if state.is_main_process:
            print(score_table(scores))
            settings = {key: str(value) for key, value in vars(chosen).items() if key not in ("cache", "out")}
            _write(chosen.out, settings, features, scores)
    except (ValueError, OSError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    state.destroy_process_group()  # one that just left could abort the others
    return 0


def _write(file: Path, settings: dict[str, str], features: Features, scores: Sequence[Score]) -> None:
    content: dict[str, Any] = {
        **settings,
        "features": features.name,
        "features_sha256": features.sha256,
        "scores": [asdict(score) for score in scores],
        "zigdemo": __version__,
        "torch": torch.__version__,
        "cpu": platform.machine(),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
