"""Figures on disk: as a prepared set of clips or of their latents, or as videos in UCF101's own layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...latents import AutoencoderSpec
from ...media.decoding import import_av
from ..clips import CLIPS, rank_motion
from ..latents import LATENTS, SHARD_CLIPS, Encoder, describe_latents, save_shards
from ..prepared import check_choice, check_replaceable, describe, replacing, sample_lines
from . import CLASSES, FRAMES, FRAMES_PER_SECOND, Figure, figures
from .pool import Piece, Plan, drawn

PER_GROUP = 4  # videos of a group in UCF101's layout, here of one person in one place
TEST_SHARE = 7 / 25  # of the groups of a class, as in UCF101, whose first split tests on the first seven


def prepare_figures(
    out: Path,
    count: int,
    seed: int = 0,
    side: int = 128,
    labels: Sequence[str] | None = None,
    workers: int | None = 1,
) -> tuple[int, dict[str, float]]:
    """Write clips as a clip set into the folder `out`; returns their number and the mean motion of each class.

    workers: processes that draw, None for one per core; the clips are the same for any number. Raises ValueError for an
    unknown class, fewer clips than classes, and if `out` is something else.
    """
    check_replaceable(out, CLIPS)
    plan, lines, motions = Plan(count, seed, _chosen(count, labels), side, workers), [], []
    with replacing(out, CLIPS) as fresh:
        for piece in drawn(plan, fresh / CLIPS.array_file):
            _note(piece, lines, motions)
        del piece  # the file of its clips must not be open when the folder is renamed, for Windows
        describe(fresh, CLIPS, lines, _info(plan, motions))
    return count, rank_motion(motions)


def prepare_figure_latents(
    out: Path,
    spec: AutoencoderSpec,
    count: int,
    seed: int = 0,
    side: int = 128,
    labels: Sequence[str] | None = None,
    workers: int | None = 1,
    places: Sequence[Path] = (),
    half: bool = False,
) -> tuple[int, dict[str, float]]:
    """As `prepare_figures` and then `prepare_latents`, but without the clips on disk: they are encoded as they come.

    Latents are those of the two steps. places, half: as in `prepare_latents`. Raises ValueError as both do.
    """
    check_replaceable(out, LATENTS)
    plan, lines, motions = Plan(count, seed, _chosen(count, labels), side, workers), [], []
    encoder = Encoder(spec, places, half)

    def pieces(file: Path) -> Iterator[np.ndarray]:
        for piece in drawn(plan, file, places=2 * plan.processes):
            _note(piece, lines, motions)
            yield encoder(piece.clips)

    with replacing(out, LATENTS) as fresh:
        save_shards(fresh, "latents", pieces(fresh / "drawn.npy"), SHARD_CLIPS)
        (fresh / "drawn.npy").unlink()
        describe_latents(fresh, sample_lines(lines), _info(plan, motions), encoder)
    return count, rank_motion(motions)


def _note(piece: Piece, lines: list[dict[str, Any]], motions: list[tuple[str, float]]) -> None:
    """Add the samples and the motions of a piece to those before."""
    for figure, value in zip(piece.figures, piece.motions, strict=True):
        number = len(lines)
        line = {"key": f"{figure.label}/{number:05}", "label": figure.label, "name": figure.caption}
        group = f"{figure.label}_{number:05}"
        lines.append({**line, "group": group, "loops": False, "attributes": figure.attributes})
        motions.append((figure.label, value))


def _info(plan: Plan, motions: list[tuple[str, float]]) -> dict[str, Any]:
    """The facts of a set of figures for its info file."""
    return {
        "dataset": "figures", "size": plan.side, "count": plan.count, "frames": FRAMES,
        "frames_per_second": FRAMES_PER_SECOND, "seed": plan.seed, "motion": rank_motion(motions),
        "licence": "none needed: drawn by this program",
    }  # fmt: skip


def write_layout(out: Path, count: int, seed: int = 0, side: int = 128, labels: Sequence[str] | None = None) -> int:
    """Write clips as .avi files in UCF101's layout, with its lists; returns their number.

    UCF-101/CLASS/v_CLASS_g01_c01.avi and so on, and ucfTrainTestlist. Videos of a group show one person in one place.
    The lists of split 1 test on the first groups, as the official ones do, and train on one group at least. Raises
    ValueError for an unknown class, fewer clips than classes, a folder with something in it, and without PyAV.
    """
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} has something in it; choose an empty or a new folder")
    chosen = _chosen(count, labels)
    (lists := out / "ucfTrainTestlist").mkdir(parents=True)
    numbers = {label: number for number, label in enumerate(sorted(chosen), 1)}
    made: dict[str, int] = dict.fromkeys(chosen, 0)
    parts: dict[str, list[str]] = {"train": [], "test": []}
    leaders: dict[str, Figure] = {}
    groups = -(-count // (len(chosen) * PER_GROUP))
    test_groups = min(groups - 1, max(1, round(TEST_SHARE * groups)))
    for figure in figures(count, seed, chosen):
        label, place = figure.label, made[figure.label]
        group, number = place // PER_GROUP + 1, place % PER_GROUP + 1
        leaders[label] = figure if number == 1 else leaders[label]
        same = replace(figure, look=leaders[label].look)
        name = f"{label}/v_{label}_g{group:02}_c{number:02}.avi"
        path = out / "UCF-101" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_avi(path, same.frames(side=side))
        made[label] += 1
        parts["test" if group <= test_groups else "train"].append(name)
    (lists / "classInd.txt").write_text("".join(f"{number} {label}\n" for label, number in numbers.items()))
    train = [f"{name} {numbers[name.partition('/')[0]]}" for name in parts["train"]]
    (lists / "trainlist01.txt").write_text("".join(f"{line}\n" for line in train))
    (lists / "testlist01.txt").write_text("".join(f"{name}\n" for name in parts["test"]))
    return count


def write_avi(path: Path, frames: Iterable[np.ndarray]) -> None:
    """Write frames (H, W, 3) uint8 as a video as UCF101's are: MPEG-4 in AVI. Raises ValueError without PyAV."""
    av = import_av()
    with av.open(str(path), "w", format="avi") as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream("mpeg4", rate=round(FRAMES_PER_SECOND))
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())


def _chosen(count: int, labels: Sequence[str] | None) -> tuple[str, ...]:
    if labels is not None:
        check_choice("label", labels, list(CLASSES), "figures")
    chosen = CLASSES if labels is None else tuple(label for label in CLASSES if label in set(labels))
    if count < len(chosen):
        raise ValueError(f"{count} clips are fewer than the {len(chosen)} classes; choose more of them, or --labels")
    return chosen
