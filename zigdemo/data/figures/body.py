"""A person of fifteen joints in the plane: a pose says the angles or where hands and feet are, and the joints follow.

Lengths are in heights of the body, x to where the person looks, y up from the ground. An angle is that of a limb from
straight down: 0 hangs, pi / 2 points forward, pi up. Seen from the front, the left limbs are mirrored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Point = tuple[float, float]
Limb = tuple[float, float]  # the angles of its upper and its lower part
LEFT, RIGHT = 0, 1


@dataclass(frozen=True)
class Build:
    """Lengths of a body of height 1, and how thick its limbs are."""

    torso: float = 0.29
    neck: float = 0.04
    head: float = 0.075  # its radius
    upper_arm: float = 0.16
    forearm: float = 0.16
    thigh: float = 0.245
    shin: float = 0.235
    shoulders: float = 0.105  # half their width, seen from the front
    hips: float = 0.06
    thickness: float = 1.0


@dataclass(frozen=True)
class Pose:
    """Where the body is and how it is bent.

    hip: of the pelvis. lean: of the torso, 0 upright, positive forward. nod: of the head beside that. arms, legs: of
    the left and the right limb, angles of upper and lower part. hands, feet: places to reach for instead of angles,
    None where the angles hold. elbows, knees: the side to which they give then, 1 or -1. is_front: seen from the front.
    """

    hip: Point = (0.0, 0.48)
    lean: float = 0.0
    nod: float = 0.0
    arms: tuple[Limb, Limb] = ((0.1, 0.2), (-0.1, 0.0))
    legs: tuple[Limb, Limb] = ((0.0, 0.0), (0.0, 0.0))
    hands: tuple[Point | None, Point | None] = (None, None)
    feet: tuple[Point | None, Point | None] = (None, None)
    elbows: float = -1.0
    knees: float = 1.0
    is_front: bool = False


@dataclass(frozen=True)
class Joints:
    """The places of the joints; of limbs those of the left and the right."""

    hip: Point
    neck: Point
    head: Point
    shoulders: tuple[Point, Point]
    elbows: tuple[Point, Point]
    hands: tuple[Point, Point]
    hips: tuple[Point, Point]
    knees: tuple[Point, Point]
    feet: tuple[Point, Point]


def along(start: Point, angle: float, length: float, side: float = 1.0) -> Point:
    """The point at some length from another, at an angle from straight down."""
    return start[0] + side * length * math.sin(angle), start[1] - length * math.cos(angle)


def reach(start: Point, target: Point, first: float, second: float, bend: float) -> tuple[Point, Point]:
    """The joint between and the end of a limb of two parts that reaches for a target, or as far as it can."""
    x, y = target[0] - start[0], target[1] - start[1]
    far = math.hypot(x, y) or 1e-6
    length = min(max(far, abs(first - second) + 1e-6), first + second - 1e-6)
    opening = math.acos((first**2 + length**2 - second**2) / (2 * first * length))
    angle = math.atan2(y, x) + bend * opening
    joint = start[0] + first * math.cos(angle), start[1] + first * math.sin(angle)
    return joint, (start[0] + x * length / far, start[1] + y * length / far)


def joints(pose: Pose, build: Build) -> Joints:
    """The joints of a body in a pose."""
    neck = pose.hip[0] + build.torso * math.sin(pose.lean), pose.hip[1] + build.torso * math.cos(pose.lean)
    tilt = pose.lean + pose.nod
    rise = build.neck + build.head
    head = neck[0] + rise * math.sin(tilt), neck[1] + rise * math.cos(tilt)
    across = (math.cos(pose.lean), -math.sin(pose.lean)) if pose.is_front else (0.0, 0.0)

    def pair(centre: Point, width: float) -> tuple[Point, Point]:
        left = centre[0] - width * across[0], centre[1] - width * across[1]
        return left, (centre[0] + width * across[0], centre[1] + width * across[1])

    shoulders, hips = pair(neck, build.shoulders), pair(pose.hip, build.hips)
    ends: dict[str, list[tuple[Point, Point]]] = {"arms": [], "legs": []}
    for name, roots, first, second, targets, bend in (
        ("arms", shoulders, build.upper_arm, build.forearm, pose.hands, pose.elbows),
        ("legs", hips, build.thigh, build.shin, pose.feet, pose.knees),
    ):
        for side in (LEFT, RIGHT):
            mirror = -1.0 if pose.is_front and side == LEFT else 1.0
            target = targets[side]
            if target is not None:
                ends[name].append(reach(roots[side], target, first, second, bend * mirror))
                continue
            upper, lower = getattr(pose, name)[side]
            joint = along(roots[side], upper, first, mirror)
            ends[name].append((joint, along(joint, lower, second, mirror)))
    (elbows, hands), (knees, feet) = (tuple(zip(*ends[name], strict=True)) for name in ("arms", "legs"))
    return Joints(pose.hip, neck, head, shoulders, elbows, hands, hips, knees, feet)
