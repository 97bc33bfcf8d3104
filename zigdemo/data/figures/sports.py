"""Motions that happen once: throws, jumps, strokes. Each is a function of progress, 0 to 1, and of a style."""

from __future__ import annotations

import math

from .body import Point, Pose
from .shots import STANDING, TURN, Shot, Style, area, disc, line, mix, ring, stride


def ease(t: float, start: float, end: float) -> float:
    """From 0 before `start` smoothly to 1 after `end`."""
    u = min(1.0, max(0.0, (t - start) / (end - start)))
    return u * u * (3 - 2 * u)


def keys(t: float, *points: tuple[float, float]) -> float:
    """A value that goes smoothly through (time, value) pairs."""
    value = points[0][1]
    for (start, before), (end, after) in zip(points, points[1:], strict=False):
        if t >= start:
            value = mix(before, after, ease(t, start, end))
    return value


def clean_and_jerk(t: float, s: Style) -> Shot:
    """From the floor to the shoulders, and over the head."""
    bar = keys(t, (0.05, 0.13), (0.4, 0.76), (0.55, 0.76), (0.8, 1.12))
    low = keys(t, (0.05, 1.0), (0.35, 0.0), (0.42, 0.5 * s.size), (0.55, 0.0), (0.65, 0.25), (0.78, 0.0))
    hip = (0.0, mix(STANDING, 0.24, low))
    wide = 0.15 + 0.05 * s.a
    plate = 0.13 + 0.03 * s.b
    things = (
        line((-0.62, bar), (0.62, bar), colour="metal", width=0.022, is_before=True),
        *(line((x, bar - plate), (x, bar + plate), colour="thing", width=0.06, is_before=True) for x in (-0.52, 0.52)),
    )
    feet = (-0.13, 0.0), (0.13, 0.0)
    hands = ((-wide, bar), (wide, bar))
    return Shot(Pose(hip, hands=hands, feet=feet, elbows=-1.0, is_front=True), things)


def golf_swing(t: float, s: Style) -> Shot:
    """The club goes back and up, and through the ball."""
    back = keys(t, (0.05, 0.0), (0.4, 2.3 * s.size), (0.45, 2.3 * s.size), (0.62, 0.0), (0.85, -2.5 * s.size))
    grip = (-0.26 * math.sin(back), 0.56 + 0.24 * (1 - math.cos(back)))
    club = back * 1.35
    head = (grip[0] - 0.5 * math.sin(club), grip[1] - 0.5 * math.cos(club))
    struck = ease(t, 0.6, 1.0)
    ball = (0.02 + 1.4 * struck, 0.015 + 0.5 * math.sin(0.5 * math.pi * struck)) if t > 0.6 else (0.02, 0.015)
    things = (
        line(grip, head, colour="metal", width=0.014, is_before=True),
        disc(head, 0.025, "dark", True),
        disc(ball, 0.022, "white", True),
    )
    hip, feet = (0.03 * math.sin(-back), STANDING - 0.03), ((-0.13, 0.0), (0.13, 0.0))
    return Shot(Pose(hip, -0.08 * math.sin(back), hands=(grip, grip), feet=feet, is_front=True), things)


def tennis_swing(t: float, s: Style) -> Shot:
    """The arm goes back and forward as the ball comes."""
    arm = keys(t, (0.0, -0.6), (0.35, -1.7 * s.size), (0.62, 1.9), (0.85, 2.6))
    lower = keys(t, (0.0, -0.3), (0.35, -2.2), (0.62, 1.8), (0.85, 3.6))
    hip = (keys(t, (0.1, -0.06), (0.7, 0.06)), STANDING - 0.04)
    lean = keys(t, (0.2, -0.05), (0.7, 0.2))
    shoulder = (hip[0] + 0.29 * math.sin(lean), hip[1] + 0.29 * math.cos(lean))
    elbow = (shoulder[0] + 0.16 * math.sin(arm), shoulder[1] - 0.16 * math.cos(arm))
    hand = (elbow[0] + 0.16 * math.sin(lower), elbow[1] - 0.16 * math.cos(lower))
    tip = (hand[0] + 0.17 * math.sin(lower), hand[1] - 0.17 * math.cos(lower))
    racket = (hand[0] + 0.25 * math.sin(lower), hand[1] - 0.25 * math.cos(lower))
    hit = 0.58
    ball = (mix(1.1, 0.36, t / hit), 0.8 - 0.1 * s.a) if t < hit else (mix(0.36, 1.4, (t - hit) / 0.4), 0.82)
    things = (
        line(hand, tip, colour="dark", width=0.02, is_before=True),
        ring(racket, 0.085, "thing", True),
        disc(ball, 0.028, "yellow", True),
    )
    pose = Pose(hip, lean, arms=((0.9, 1.4), (arm, lower)), feet=((0.16, 0.0), (-0.16, 0.0)))
    return Shot(pose, things)


def basketball_dunk(t: float, s: Style) -> Shot:
    """A run, a jump, and the ball through the rim."""
    run, jump = ease(t, 0.0, 0.4), math.sin(math.pi * min(1.0, max(0.0, (t - 0.38) / 0.5)))
    x = mix(-0.75, 0.22, ease(t, 0.0, 0.65))
    up = ease(t, 0.38, 0.6)
    hip = (x, STANDING + 0.36 * s.size * jump)
    rim = (0.5, 1.2)
    high = ease(t, 0.4, 0.62) * (1 - ease(t, 0.66, 0.8))
    hand = (x + mix(0.2, 0.26, high), hip[1] + mix(0.12, 0.62, high))
    dunked = t > 0.66
    ball = (rim[0] - 0.06, rim[1] - 1.15 * ease(t, 0.66, 0.95)) if dunked else (hand[0] + 0.03, hand[1] + 0.04)
    feet = tuple(
        (x + (1 - up) * dx, max(0.0, hip[1] - STANDING) + (1 - up) * dy)
        for dx, dy in (stride(2.5 * run, 1.1), stride(2.5 * run, 1.1, 0.5))
    )
    things = (
        line((0.72, 0.0), (0.72, 1.5), colour="metal", width=0.03),
        line((0.66, 1.12), (0.66, 1.5), colour="white", width=0.04),
        line((rim[0] - 0.12, rim[1]), (0.66, rim[1]), colour="red", width=0.025, is_before=True),
        disc(ball, 0.06, "orange", True),
    )
    return Shot(Pose(hip, 0.12 - 0.2 * jump, hands=(None, hand), arms=((0.5, 0.9), (0, 0)), feet=feet), things)


def bowling(t: float, s: Style) -> Shot:
    """Steps, a low swing, and the ball rolls to the pins."""
    walk, x = ease(t, 0.0, 0.55), mix(-0.5, 0.0, ease(t, 0.0, 0.6))
    arm = keys(t, (0.0, 0.4), (0.3, -1.1 * s.size), (0.4, -1.1 * s.size), (0.62, 0.5), (0.8, 1.5))
    low = keys(t, (0.3, 0.0), (0.6, 1.0))
    hip, lean = (x, mix(STANDING - 0.02, 0.3, low)), mix(0.1, 0.75, low)
    shoulder = (hip[0] + 0.29 * math.sin(lean), hip[1] + 0.29 * math.cos(lean))
    hand = (shoulder[0] + 0.31 * math.sin(arm), shoulder[1] - 0.31 * math.cos(arm))
    rolled = ease(t, 0.6, 1.1)
    ball = (hand[0], max(0.07, hand[1] - 0.05)) if t < 0.6 else (mix(x + 0.15, 1.3, rolled), 0.07)
    steps = stride(1.5 * walk, 1.0), stride(1.5 * walk, 1.0, 0.5)
    ahead = (
        (x + 0.24 * low + (1 - low) * steps[0][0], (1 - low) * steps[0][1]),
        (x - 0.36 * low + (1 - low) * steps[1][0], (1 - low) * steps[1][1] + 0.05 * low),
    )
    pins = tuple(
        line((0.95 + 0.06 * i, 0.0), (0.95 + 0.06 * i + 0.1 * ease(t, 0.85, 1.0), 0.14), colour="white", width=0.03)
        for i in range(3)
    )
    pose = Pose(hip, lean, -0.5 * lean, arms=((-0.8, -0.5), (arm, arm)), feet=ahead)
    return Shot(pose, (*pins, disc(ball, 0.07, "thing", True)))


def archery(t: float, s: Style) -> Shot:
    """The string is drawn, and the arrow flies."""
    draw = ease(t, 0.1, 0.5) * (t < 0.68)
    bow = (0.33, 0.77)
    grip = (mix(0.27, -0.02, draw * s.size), 0.78)
    tall = 0.3 + 0.06 * s.a
    curve = [(bow[0] + 0.05 - 0.12 * u * u, bow[1] + tall * u) for u in (i / 6 - 1 for i in range(13))]
    ends = curve[0], curve[-1]
    middle = grip if t < 0.68 else (ends[0][0] + 0.01 * math.sin(40 * t), bow[1])
    flown = ease(t, 0.68, 0.95) * 1.6
    arrow = (middle[0], middle[0] + 0.42) if t < 0.68 else (0.2 + flown, 0.62 + flown)
    things = (
        line(*curve, colour="wood", width=0.02, is_before=True),
        line(ends[0], middle, ends[1], colour="metal", width=0.007, is_before=True),
        line((arrow[0], bow[1]), (arrow[1], bow[1]), colour="dark", width=0.01, is_before=True),
    )
    pose = Pose((0, STANDING), -0.03, hands=((bow[0], bow[1]), grip), feet=((0.12, 0), (-0.14, 0)), elbows=1.0)
    return Shot(pose, things)


def diving(t: float, s: Style) -> Shot:
    """Off the board, once over, into the water."""
    board = 0.75
    out, turn = ease(t, 0.12, 0.7), ease(t, 0.2, 0.72)
    rise = 0.3 * s.size * math.sin(math.pi * min(1.0, max(0.0, (t - 0.12) / 0.45)))
    fall = max(0.0, (t - 0.45)) ** 2 * 5.2
    hip = (mix(-0.42, 0.28, out), board + STANDING + rise - fall)
    bend = math.sin(math.pi * turn) * (0.6 + s.a)
    lean = mix(0.05, 2.95, turn)
    legs = ((lean - 0.0 - bend, lean - bend),) * 2 if t > 0.12 else ((0, 0), (0, 0))
    arm = mix(0.4, math.pi + lean, ease(t, 0.1, 0.35))
    splash = ease(t, 0.8, 0.9)
    drops = [
        disc((0.3 + 0.12 * (i - 2) * splash, 0.12 * splash * (2.2 - abs(i - 2))), 0.025, "white", True)
        for i in range(5)
    ]
    things = (
        area((-1.2, board), (-0.28, board), (-0.28, board - 0.04), (-1.2, board - 0.04), colour="metal"),
        line((-0.7, board), (-0.7, -0.5), colour="metal", width=0.05),
        area((-1.6, 0.0), (1.6, 0.0), (1.6, -0.9), (-1.6, -0.9), colour="water", is_before=True),
        *(drops if t > 0.8 else ()),
    )
    return Shot(Pose(hip, lean, arms=((arm, arm),) * 2, legs=legs), things)


def high_jump(t: float, s: Style) -> Shot:
    """A run, and backwards over the bar."""
    x = mix(-0.9, 0.75, t)
    air = math.sin(math.pi * min(1.0, max(0.0, (t - 0.38) / 0.5)))
    hip = (x, STANDING + 0.52 * s.size * air)
    turn = ease(t, 0.42, 0.85)
    lean = mix(0.15, -1.9, turn)
    run = 1 - ease(t, 0.36, 0.44)
    feet: tuple[Point | None, Point | None] = (None, None)
    if run > 0.5:
        feet = tuple((x + dx, dy) for dx, dy in (stride(3 * t, 1.2), stride(3 * t, 1.2, 0.5)))
    knee = mix(0.2, 1.3, turn)
    legs = ((lean + 1.7 * turn + knee * 0.4, lean + 0.6 * turn),) * 2
    bar = 0.72 + 0.1 * s.a
    things = (
        line((0.12, 0), (0.12, bar + 0.1), colour="metal", width=0.025),
        line((0.3, 0), (0.3, bar + 0.05), colour="metal", width=0.025, is_before=True),
        line((0.12, bar), (0.3, bar - 0.05), colour="thing", width=0.03, is_before=True),
        area((0.42, 0), (1.3, 0), (1.3, 0.26), (0.42, 0.26), colour="cloth", is_before=True),
    )
    return Shot(
        Pose(hip, lean, 0.2, arms=((lean + 2.6, lean + 2.9), (lean - 0.6, lean - 0.4)), legs=legs, feet=feet), things
    )


def javelin_throw(t: float, s: Style) -> Shot:
    """A run, the arm comes over, the javelin flies."""
    x = mix(-0.45, 0.05, ease(t, 0.0, 0.6))
    arm = keys(t, (0.0, -1.9), (0.45, -2.2 * s.size), (0.66, 1.6), (0.85, 0.6))
    lower = keys(t, (0.0, -2.6), (0.45, -1.9), (0.66, 1.9), (0.85, 0.4))
    hip, lean = (x, STANDING - 0.03), keys(t, (0.2, 0.05), (0.45, -0.25), (0.7, 0.4))
    shoulder = (hip[0] + 0.29 * math.sin(lean), hip[1] + 0.29 * math.cos(lean))
    elbow = (shoulder[0] + 0.16 * math.sin(arm), shoulder[1] - 0.16 * math.cos(arm))
    hand = (elbow[0] + 0.16 * math.sin(lower), elbow[1] - 0.16 * math.cos(lower))
    gone = ease(t, 0.6, 1.05)
    middle = hand if t < 0.6 else (hand[0] + 1.5 * gone, shoulder[1] + 0.25 + 0.35 * gone - 0.2 * gone * gone)
    tilt = mix(0.32, 0.1, gone)
    ends = tuple(
        (middle[0] + side * 0.42 * math.cos(tilt), middle[1] + side * 0.42 * math.sin(tilt)) for side in (-1, 1)
    )
    run = ease(t, 0.0, 0.55)
    feet = (
        (x + 0.2 * run + (1 - run) * stride(2 * t, 1.0)[0], 0.0),
        (x - 0.2 * run + (1 - run) * stride(2 * t, 1.0, 0.5)[0], 0.0),
    )
    pose = Pose(hip, lean, arms=((1.2, 1.5), (arm, lower)), feet=feet)
    return Shot(pose, (line(*ends, colour="metal", width=0.014, is_before=True),))


def soccer_juggling(t: float, s: Style) -> Shot:
    """The ball is kept up by a foot."""
    kick = max(0.0, math.sin(TURN * t - 0.6)) ** 2
    high = abs(math.sin(math.pi * t))
    ball = (0.26, 0.2 + 0.45 * s.size * high)
    foot = (mix(0.06, 0.24, kick), mix(0.0, 0.17, kick))
    arm = 0.5 + 0.4 * s.a
    pose = Pose((-0.02, STANDING - 0.01), -0.05, 0.3, arms=((arm, arm + 0.4), (-arm, -arm)), feet=((-0.04, 0), foot))
    return Shot(pose, (disc(ball, 0.06, "white", True),))
