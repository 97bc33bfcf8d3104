"""Animated Fluent Emoji of people in motion, as labelled clips: from a prepared tar file or the npm packages.

Each emoji has one animation: it is the same for all skin tones and almost the same for all genders, so clips of one
group are not independent samples.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from .fluent_emoji import MAX_PICTURE_PX, Runner, packed, padded, read_archive, run_npm

PACKAGES = tuple((f"@lobehub/fluent-emoji-anim-{part}", "1.0.0") for part in (1, 2, 3, 4))
FRAMES, FRAMES_PER_SECOND = 24, 8
PREPARED_PX, ORIGINAL_PX = 64, 256
MOST_FRAMES = 240  # of a source; the longest has 97

# Code point of the emoji: its class, named as in UCF101, and its name; {} is the person.
ACTIONS = {
    "1f3c2": ("Snowboarder", "snowboarder"),
    "1f3c3": ("Running", "{} running"),
    "1f3c4": ("Surfing", "{} surfing"),
    "1f3c7": ("HorseRacing", "horse racing"),
    "1f3ca": ("Swimming", "{} swimming"),
    "1f3cb": ("LiftingWeights", "{} lifting weights"),
    "1f3cc": ("Golfing", "{} golfing"),
    "1f44b": ("WavingHand", "waving hand"),
    "1f44f": ("ClappingHands", "clapping hands"),
    "1f481": ("TippingHand", "{} tipping hand"),
    "1f483": ("Dancing", "woman dancing"),
    "1f486": ("GettingMassage", "{} getting massage"),
    "1f487": ("GettingHaircut", "{} getting haircut"),
    "1f57a": ("Dancing", "man dancing"),
    "1f645": ("GesturingNO", "{} gesturing NO"),
    "1f646": ("GesturingOK", "{} gesturing OK"),
    "1f647": ("Bowing", "{} bowing"),
    "1f64b": ("RaisingHand", "{} raising hand"),
    "1f64c": ("RaisingHand", "raising hands"),
    "1f6a3": ("RowingBoat", "{} rowing boat"),
    "1f6b4": ("Biking", "{} biking"),
    "1f6b5": ("MountainBiking", "{} mountain biking"),
    "1f6b6": ("Walking", "{} walking"),
    "1f926": ("Facepalming", "{} facepalming"),
    "1f937": ("Shrugging", "{} shrugging"),
    "1f938": ("Cartwheeling", "{} cartwheeling"),
    "1f939": ("Juggling", "{} juggling"),
    "1f93d": ("PlayingWaterPolo", "{} playing water polo"),
    "1f93e": ("PlayingHandball", "{} playing handball"),
    "1f9af": ("WhiteCane", "{} with white cane"),
    "1f9bc": ("MotorizedWheelchair", "{} in motorized wheelchair"),
    "1f9bd": ("ManualWheelchair", "{} in manual wheelchair"),
    "1f9cd": ("Standing", "{} standing"),
    "1f9d6": ("InSteamyRoom", "{} in steamy room"),
    "1f9d7": ("Climbing", "{} climbing"),
    "1f9d8": ("InLotusPosition", "{} in lotus position"),
    "26f9": ("BouncingBall", "{} bouncing ball"),
}
# The classes with clear motion; many of the others sway by a pixel.
MOVING = (
    *("Running", "Surfing", "Swimming", "LiftingWeights", "Golfing", "Dancing", "RowingBoat", "Biking"),
    *("MountainBiking", "Walking", "Cartwheeling", "Juggling", "PlayingHandball", "PlayingWaterPolo", "Climbing"),
    *("BouncingBall", "HorseRacing", "Snowboarder", "WavingHand", "ClappingHands"),
)
SKIN_TONES = {f"1f3f{tone}" for tone in "bcdef"}
WHO = {"2640": "woman", "2642": "man", "1f469": "woman", "1f468": "man", "1f9d1": "person"}
JOINERS = {"200d", "fe0f"}


@dataclass(frozen=True)
class ActionClip:
    """One looping clip. group: code point of the action. source: file name of the animation without its suffix.

    frames: (24, size, size, 3) uint8.
    """

    key: str
    label: str
    name: str
    group: str
    source: str
    frames: np.ndarray


def action(source: str) -> tuple[str, str, str] | None:
    """Class, name and group of an emoji by its code points, such as 1f3c4-1f3fb-200d-2640-fe0f; None for others."""
    points = [point for point in source.split("-") if point not in JOINERS | SKIN_TONES]
    who = [WHO[point] for point in points if point in WHO]
    rest = [point for point in points if point not in WHO]
    if len(rest) != 1 or rest[0] not in ACTIONS or len(who) > 1:
        return None
    label, name = ACTIONS[rest[0]]
    return label, name.format(*who or ["person"]), rest[0]


def read_tar(path: Path, size: int, labels: Iterable[str]) -> tuple[list[ActionClip], list[str]]:
    """Clips of some classes from a prepared tar file (CLASS/SOURCE.webp and .json per clip), sorted by key.

    Returns the clips, and the names of skipped members with reasons: unreadable ones, and those whose description does
    not match the code points. Raises ArchiveError, see `read_archive`.
    """
    pictures: dict[str, bytes] = {}
    texts: dict[str, bytes] = {}
    for name, data in read_archive(path):
        key, _, suffix = name.rpartition(".")
        if suffix in ("webp", "json"):
            (pictures if suffix == "webp" else texts)[key] = data
    skipped = [f"{key}.json (no clip)" for key in texts if key not in pictures]
    members = []
    for key, webp in pictures.items():
        problem = _problem(texts.get(key), action(PurePosixPath(key).name))
        if problem:
            skipped.append(f"{key}.webp ({problem})")
        else:
            members.append((PurePosixPath(key).name, webp))
    return _clips(members, size, labels, skipped)


def _problem(text: bytes | None, expected: tuple[str, str, str] | None) -> str | None:
    """What is wrong with the description of a clip; None if it matches the code points."""
    if text is None:
        return "no description"
    try:
        description: Any = json.loads(text)
    except (ValueError, RecursionError):
        return "unreadable description"
    if (
        expected is None
        or not isinstance(description, dict)
        or (description.get("class"), description.get("name")) != expected[:2]
    ):
        return "the description does not match the emoji"
    return None


def read_npm(size: int, labels: Iterable[str], run: Runner | None = None) -> tuple[list[ActionClip], list[str]]:
    """Clips of some classes from the npm packages (about 700 MB, fetched one by one), sorted by key.

    run: called with npm's arguments and the working folder; by default it starts the installed npm. Returns the clips,
    and the names of skipped ones with reasons. Raises ArchiveError for unusable packages, RuntimeError if npm fails.
    """
    clips: list[ActionClip] = []
    skipped: list[str] = []
    for package in PACKAGES:
        with tempfile.TemporaryDirectory(prefix="fluent-actions-") as folder:
            temporary = Path(folder)
            (run or run_npm)(
                ["pack", "--ignore-scripts", "--loglevel=error", "--fetch-retries=1", "@".join(package)], temporary
            )
            members = (
                (PurePosixPath(name).stem, data)
                for name, data in read_archive(packed(temporary, package))
                if PurePosixPath(name).match("package/assets/*.webp")
            )
            package_clips, package_skipped = _clips(members, size, labels, [])
        clips += package_clips
        skipped += package_skipped
    return sorted(clips, key=lambda clip: clip.key), skipped


def _clips(
    members: Iterable[tuple[str, bytes]], size: int, labels: Iterable[str], skipped: list[str]
) -> tuple[list[ActionClip], list[str]]:
    labels, clips = set(labels), []
    for source, webp in members:
        description = action(source)
        if description is None or description[0] not in labels:
            continue
        label, name, group = description
        try:
            clips.append(ActionClip(f"{label}/{source}", label, name, group, source, open_clip(webp, size)))
        except ValueError as error:
            skipped.append(f"{source}.webp ({error})")
    return sorted(clips, key=lambda clip: clip.key), skipped


def open_clip(webp: bytes, size: int) -> np.ndarray:
    """24 evenly spaced frames of an animated WebP on white, as (24, size, size, 3) uint8.

    Frame i is number floor(i n / 24) of n, so that a loop stays a loop. Raises ValueError if the file is damaged, too
    large, too long, too short or smaller than `size`.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(webp), formats=["WEBP"]) as picture:
            count = getattr(picture, "n_frames", 1)
            if max(picture.size) > MAX_PICTURE_PX or count > MOST_FRAMES:
                raise ValueError(f"{count} frames of {picture.width} x {picture.height} px are too many or too large")
            if count < FRAMES or max(picture.size) < size:
                raise ValueError(
                    f"{count} frames of {picture.width} px are too few or too small for {FRAMES} of {size} px"
                )
            frames = []
            for number in range(FRAMES):
                picture.seek(number * count // FRAMES)
                frames.append(padded(picture, size))
    except (OSError, EOFError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("unreadable clip") from error
    return np.stack(frames)
