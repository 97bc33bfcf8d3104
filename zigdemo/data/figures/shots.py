"""What a motion gives: a pose with the things around it; and the curves and shapes that motions are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .body import Point, Pose

TURN = 2 * math.pi
STANDING = 0.47  # height of the hip of who stands


@dataclass(frozen=True)
class Style:
    """How somebody does it. size: of the motion, about 1. a, b, c: 0 to 1, for what a motion leaves open."""

    size: float = 1.0
    a: float = 0.5
    b: float = 0.5
    c: float = 0.5


@dataclass(frozen=True)
class Thing:
    """Something drawn beside a person: a line through points, a disc, a ring or an area.

    colour: of looks.THINGS, or "thing" for the clip's own. width: of lines, in heights of the body; radius of discs and
    rings.
    """

    kind: str
    points: tuple[Point, ...]
    colour: str = "thing"
    width: float = 0.02
    is_before: bool = False


@dataclass(frozen=True)
class Shot:
    """A pose with the things around it."""

    pose: Pose
    things: tuple[Thing, ...] = ()


def wave(phase: float, shift: float = 0.0) -> float:
    """A sine of period 1."""
    return math.sin(TURN * (phase + shift))


def lift(phase: float) -> float:
    """From 0 up to 1 and back in a period."""
    return 0.5 - 0.5 * math.cos(TURN * phase)


def mix(start: float, end: float, share: float) -> float:
    """Between two numbers."""
    return start + (end - start) * share


def line(*points: Point, colour: str = "thing", width: float = 0.02, is_before: bool = False) -> Thing:
    """A line through points."""
    return Thing("line", points, colour, width, is_before)


def disc(centre: Point, radius: float, colour: str = "thing", is_before: bool = False) -> Thing:
    """A disc."""
    return Thing("disc", (centre,), colour, radius, is_before)


def ring(centre: Point, radius: float, colour: str = "thing", is_before: bool = False) -> Thing:
    """A circle."""
    return Thing("ring", (centre,), colour, radius, is_before)


def area(*points: Point, colour: str = "thing", is_before: bool = False) -> Thing:
    """A filled polygon."""
    return Thing("area", points, colour, 0.0, is_before)


def ellipse(centre: Point, wide: float, high: float, first: float = 0.0, last: float = 1.0) -> tuple[Point, ...]:
    """Points of a part of an ellipse."""
    steps = [first + (last - first) * i / 16 for i in range(17)]
    return tuple((centre[0] + wide * math.cos(TURN * u), centre[1] + high * math.sin(TURN * u)) for u in steps)


def stride(t: float, size: float, shift: float = 0.0) -> Point:
    """The place of a foot of who walks on the spot."""
    return 0.16 * size * wave(t, shift), 0.06 * size * max(0.0, wave(t, shift + 0.25))
