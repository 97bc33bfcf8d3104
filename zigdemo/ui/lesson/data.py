"""What the lesson shows: orders, recorded results of the shipped models, and what the benchmarks measured."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from typing import Any

from ...scans import scan_scheme
from .. import examples
from ..costs import RESULTS, cost_json
from ..texts import data_url
from ..toys import FIRST, toy_data
from ..word_maps import draw, picture_html
from .steps import MINUTES, STEPS

SIDE = 8  # patches
SCHEMES = ("sweep", "zigzag-1", "zigzag-8")
CLAIMS = RESULTS / "claims.json"
CASES = ("zigzag-2", "bidirectional", "sweep", "hilbert-8", "zigzag-1", "random-8", "shuffled-1")
AGAINST = "zigzag-8"
PAPERS = (  # Hu et al., ECCV 2024: Frechet distance over 5,000 pictures, lower is better
    ("MultiModal-CelebA, 256 px", (("sweep", 158.1), ("zigzag-1", 65.7), ("zigzag-8", 45.5))),
    ("MS COCO", (("sweep", 195.1), ("zigzag-1", 73.1), ("bidirectional", 60.2), ("zigzag-8", 41.8))),
)


def orders() -> dict[str, list[list[int]]]:
    """By scheme, its orders of a grid of SIDE x SIDE: raster indices of the patches in the order of reading."""
    found = {}
    for name in SCHEMES:
        scheme = scan_scheme(name)
        found[name] = [scheme.order(layer=layer, grid=(SIDE, SIDE)).perm.tolist() for layer in range(scheme.paths)]
    return found


def claims() -> list[dict[str, Any]]:
    """How much higher the loss of every case is than that of AGAINST with the same seed: percent, mean and deviation.

    decided: whether the mean is farther from 0 than the deviation. Empty without the results.
    """
    try:
        runs = json.loads(CLAIMS.read_text(encoding="utf-8"))["runs"]
    except (OSError, ValueError, KeyError):
        return []
    losses = {(run["case"], run["seed"]): run["held_out_loss"] for run in runs}
    rows = []
    for case in CASES:
        beyond = [
            100 * (loss / losses[AGAINST, seed] - 1)
            for (name, seed), loss in losses.items()
            if name == case and (AGAINST, seed) in losses
        ]
        if len(beyond) > 1:
            mean, spread = statistics.mean(beyond), statistics.stdev(beyond)
            rows.append({"case": case, "mean": mean, "spread": spread, "decided": abs(mean) > spread})
    return rows


def own_results(prompt: str, seed: int) -> dict[str, str]:
    """A portrait of one's own for `lesson_json`, and what its words do. Raises ValueError with one sentence."""
    drawing = draw(examples.PORTRAITS, prompt, None, seed)
    return {"picture": data_url(drawing.picture, "WEBP"), "lit": examples.lighter(picture_html(drawing))}


def lesson_json(
    exported: bool = False, picture: str | None = None, lit: str | None = None, device: str | None = None
) -> str:
    """All that assets/lesson.js needs. exported: whether there is no page around it. picture, lit: of `own_results`.

    device: the address of assets/web/panel.js, by which three steps let the reader draw, if there is one.
    """
    compared, maps = examples.compared(), examples.maps()
    content = {
        "steps": [asdict(step) for step in STEPS],
        "minutes": MINUTES,
        "exported": exported,
        "picture": picture or examples.example_picture(),
        "side": SIDE,
        "orders": orders(),
        "matrix": None if compared is None else json.loads(compared.view),
        "claims": {"against": AGAINST, "rows": claims(), "papers": PAPERS},
        "cost": json.loads(cost_json()),
        "toy": toy_data(*FIRST),
        "words": lit or (None if maps is None else maps.lit),
        "device": device,
    }
    return json.dumps(content)
