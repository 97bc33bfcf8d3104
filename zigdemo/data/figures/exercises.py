"""Motions that go round: exercises, walking, riding. Each is a function of the phase, 0 to 1, and of a style.

Classes have the names of UCF101. Things that are held or stood on come with the pose, behind or before the person.
"""

from __future__ import annotations

import math

from .body import Pose
from .shots import STANDING, TURN, Shot, Style, area, disc, ellipse, lift, line, mix, ring, stride, wave


def jumping_jack(t: float, s: Style) -> Shot:
    """Arms and legs open and close with a hop."""
    open_ = lift(t)
    arm, leg = mix(0.15, 2.5 + 0.4 * s.a, open_), mix(0.05, 0.4 * s.size + 0.1, open_)
    hop = 0.05 * s.size * abs(wave(t))
    low = STANDING * math.cos(leg)
    return Shot(Pose((0, low + hop), arms=((arm, arm),) * 2, legs=((leg, leg),) * 2, is_front=True))


def body_weight_squats(t: float, s: Style) -> Shot:
    """Down to a seat in the air and up."""
    down = lift(t)
    height = mix(STANDING, 0.22 + 0.06 * (1 - s.size), down)
    hip = (-0.16 * down * s.size, height)
    reach = mix(0.1, 1.45, down if s.a > 0.3 else 1.0)
    foot = (0.02, 0.0)
    return Shot(Pose(hip, lean=0.55 * down, nod=-0.3 * down, arms=((reach, reach),) * 2, feet=(foot, (0.05, 0.0))))


def push_ups(t: float, s: Style) -> Shot:
    """Hands and feet stay, the chest goes down and up."""
    down = lift(t)
    chest = mix(0.33, 0.13, min(1.0, down * s.size))
    foot, hand = (-0.5, 0.02), (0.27, 0.0)
    span = 0.28 + 0.46
    lean = math.pi / 2 - math.asin((chest - 0.04) / span)
    hip = (foot[0] + 0.46 * math.sin(lean), foot[1] + 0.02 + 0.46 * math.cos(lean) + 0.02 * s.b * down)
    return Shot(Pose(hip, lean, -0.4, hands=(hand, (hand[0] + 0.02, 0.0)), feet=(foot, foot), elbows=1.0, knees=-1.0))


def pull_ups(t: float, s: Style) -> Shot:
    """Hands on a bar, the chin goes up to it."""
    up, bar = lift(t), 1.12
    grip = 0.14 + 0.06 * s.a
    hip = (0.01 * wave(t), mix(0.46, 0.46 + 0.27 * min(1.0, s.size), up))
    knee = 0.15 + 0.5 * s.b
    things = (
        line((-0.55, bar), (0.55, bar), colour="metal", width=0.03),
        line((-0.55, bar), (-0.55, 0), colour="metal"),
        line((0.55, bar), (0.55, 0), colour="metal"),
    )
    legs = ((0.06, -knee * 0.2),) * 2
    return Shot(Pose(hip, legs=legs, hands=((-grip, bar), (grip, bar)), elbows=-1.0, is_front=True), things)


def lunges(t: float, s: Style) -> Shot:
    """A long step down, left and right in turn."""
    down = lift(2 * t % 1)
    is_left = t % 1 < 0.5
    ahead, behind = (0.28 * s.size * down, 0.0), (-0.3 * s.size * down, 0.03 * down)
    hip = (0.0, mix(STANDING, 0.27, down))
    feet = (ahead, behind) if is_left else (behind, ahead)
    arm = 0.1 + 0.9 * s.a
    return Shot(Pose(hip, lean=0.08, arms=((arm * 0.4, 1.2 * s.a),) * 2, feet=feet))


def handstand_pushups(t: float, s: Style) -> Shot:
    """On the hands, the head goes down and up."""
    down = lift(t)
    height = mix(0.36, 0.2, min(1.0, down * s.size))
    hip = (0.0, height + 0.29)
    sway = 0.06 * wave(t) * s.a
    legs = ((math.pi + sway, math.pi - sway), (math.pi + sway + 0.05, math.pi - sway))
    wall = (line((-0.32, 0), (-0.32, 1.3), colour="wood", width=0.04),) if s.b > 0.5 else ()
    return Shot(Pose(hip, math.pi, 0.2, hands=((0.03, 0), (-0.03, 0)), legs=legs, elbows=1.0), wall)


def handstand_walking(t: float, s: Style) -> Shot:
    """On the hands, one after the other."""
    step = 0.13 * s.size
    left, right = (step * wave(t), 0.05 * max(0.0, wave(t, 0.25))), (-step * wave(t), 0.05 * max(0.0, -wave(t, 0.25)))
    hip, bend = (0.02, 0.62), 0.25 + 0.4 * s.a
    legs = ((math.pi - bend, math.pi + bend * 0.8), (math.pi + 0.1, math.pi + bend))
    return Shot(Pose(hip, math.pi + 0.04 * wave(t), 0.4, hands=(left, right), legs=legs, elbows=1.0))


def jump_rope(t: float, s: Style) -> Shot:
    """The rope comes round under the feet."""
    hop = 0.09 * s.size * max(0.0, wave(t, -0.25))
    turn = wave(t, 0.25)
    hands = (-0.26, 0.5 + hop), (0.26, 0.5 + hop)
    rope = tuple(
        (
            0.26 * math.cos(math.pi * u) * (1 + 0.5 * math.sin(math.pi * u)),
            0.5 + hop + (0.62 if turn > 0 else 0.52) * turn * math.sin(math.pi * u),
        )
        for u in [i / 14 for i in range(15)]
    )
    legs = ((0.05, -0.05 - hop),) * 2
    pose = Pose((0, STANDING + hop), hands=hands, legs=legs, elbows=1.0, is_front=True)
    return Shot(pose, (line(*rope, width=0.014, is_before=turn < 0.4),))


def hula_hoop(t: float, s: Style) -> Shot:
    """The hoop circles as the hip sways against it."""
    sway = 0.06 * s.size
    hip = (sway * wave(t), STANDING - 0.01)
    arm = 1.1 + 0.9 * s.a
    tilt = 0.05 * wave(t, 0.25)
    centre, wide = (hip[0] * -1.6, hip[1] + 0.03), 0.3 + 0.05 * s.b
    back = line(*((x, y + tilt * (x - centre[0])) for x, y in ellipse(centre, wide, 0.07, 0.0, 0.5)), width=0.022)
    front = line(
        *((x, y + tilt * (x - centre[0])) for x, y in ellipse(centre, wide, 0.07, 0.5, 1.0)),
        width=0.022,
        is_before=True,
    )
    feet = (-0.11, 0.0), (0.11, 0.0)
    pose = Pose(hip, lean=-sway * wave(t), arms=((arm, arm + 0.9),) * 2, feet=feet, is_front=True)
    return Shot(pose, (back, front))


def trampoline_jumping(t: float, s: Style) -> Shot:
    """High up with the arms, and into the net."""
    high = max(0.0, wave(t, -0.1)) * 0.34 * s.size
    sink = 0.05 * max(0.0, -wave(t, -0.1))
    arm = mix(0.3, 2.6, max(0.0, wave(t, -0.1)))
    tuck = 0.5 * s.a * max(0.0, wave(t, -0.1))
    net = 0.14
    things = (
        line((-0.6, net), (-0.25, net - sink), (0.25, net - sink), (0.6, net), colour="dark", width=0.025),
        *(line((x, net), (x * 1.08, 0), colour="metal") for x in (-0.58, 0.58)),
    )
    hip = (0.03 * wave(t, s.b), net + STANDING + high - sink)
    legs = ((0.08 + tuck, 0.08 - tuck),) * 2
    return Shot(Pose(hip, arms=((arm, arm),) * 2, legs=legs, is_front=True), things)


def swing(t: float, s: Style) -> Shot:
    """Forwards and back under two posts."""
    angle = 0.62 * s.size * wave(t)
    top, length = (0.0, 1.25), 0.95
    seat = (top[0] + length * math.sin(angle), top[1] - length * math.cos(angle))
    lean = -0.35 * wave(t, 0.25) - 0.1
    grip = (mix(seat[0], top[0], 0.3), mix(seat[1], top[1], 0.3))
    kick = 1.5 - 0.7 * wave(t, 0.25)
    legs = ((1.35 + angle, kick - 1.2 + angle),) * 2
    things = (
        line((-0.5, 0), (-0.2, 1.27), colour="wood"),
        line((0.5, 0), (0.2, 1.27), colour="wood"),
        line((-0.22, 1.27), (0.22, 1.27), colour="wood", width=0.03),
        line(top, seat, colour="dark", width=0.012, is_before=True),
        line((seat[0] - 0.09, seat[1] - 0.02), (seat[0] + 0.09, seat[1] - 0.02), colour="wood", width=0.03),
    )
    hip = (seat[0], seat[1] + 0.03)
    return Shot(Pose(hip, lean + angle * 0.5, hands=(grip, grip), legs=legs), things)


def wall_pushups(t: float, s: Style) -> Shot:
    """Leaning on a wall, near and away."""
    near = lift(t) * min(1.0, s.size)
    wall, foot = 0.5, -0.12 - 0.1 * s.a
    lean = mix(0.32, 0.52, near)
    hip = (foot + 0.47 * math.sin(lean), 0.47 * math.cos(lean))
    grip = (wall, 0.78 + 0.04 * s.b)
    pose = Pose(hip, lean, -0.1, hands=(grip, (wall, grip[1] - 0.03)), feet=((foot, 0), (foot - 0.03, 0)), knees=-1.0)
    return Shot(pose, (area((wall, 0), (wall + 0.6, 0), (wall + 0.6, 1.6), (wall, 1.6), colour="wood"),))


def bench_press(t: float, s: Style) -> Shot:
    """On the back, the bar goes up and down."""
    up, bench = lift(t), 0.24
    bar = (0.26, bench + mix(0.12, 0.37, up))
    things = (
        area((-0.2, bench - 0.03), (0.52, bench - 0.03), (0.52, bench), (-0.2, bench), colour="dark"),
        line((-0.1, bench), (-0.1, 0), colour="metal"),
        line((0.42, bench), (0.42, 0), colour="metal"),
        disc(bar, 0.11 + 0.04 * s.a, "metal", True),
        disc(bar, 0.02, "dark", True),
    )
    hip = (-0.02, bench + 0.05)
    feet = (-0.26, 0.0), (-0.2, 0.0)
    return Shot(Pose(hip, math.pi / 2, 0.0, hands=(bar, bar), feet=feet, elbows=1.0, knees=-1.0), things)


def boxing_speed_bag(t: float, s: Style) -> Shot:
    """Fists circle before a bag that swings fast."""
    fast = 2 * t
    bag = 0.3 * wave(fast) * s.size
    top = (0.3, 1.06)
    end = (top[0] + 0.2 * math.sin(bag + 0.2), top[1] - 0.2 * math.cos(bag))
    fists = tuple((0.22 + 0.05 * wave(t, turn), 0.85 + 0.04 * wave(t, turn + 0.25)) for turn in (0.0, 0.5))
    things = (
        area((0.12, 1.06), (0.48, 1.06), (0.48, 1.11), (0.12, 1.11), colour="wood"),
        line(top, end, colour="dark", width=0.012),
        disc(end, 0.06, "thing", True),
    )
    return Shot(Pose((-0.02, STANDING), 0.05, hands=fists, feet=((-0.12, 0), (0.1, 0))), things)


def punch(t: float, s: Style) -> Shot:
    """Left and right in turn, some at a bag."""
    left, right = max(0.0, wave(t)), max(0.0, -wave(t))
    high = 0.72 + 0.08 * s.a
    guard = (0.14, 0.74)
    hands = tuple((mix(guard[0], 0.36, one * s.size), mix(guard[1], high, one)) for one in (left, right))
    hip = (0.02 * wave(2 * t), STANDING - 0.03 + 0.01 * wave(2 * t))
    bag = 0.05 * (left + right) * s.c
    things = (
        (
            line((0.55 + bag, 1.4), (0.55 + bag, 1.1), colour="dark", width=0.012),
            area((0.47 + bag, 0.5), (0.63 + bag, 0.5), (0.63 + bag, 1.1), (0.47 + bag, 1.1)),
        )
        if s.b > 0.5
        else ()
    )
    return Shot(Pose(hip, 0.1 + 0.08 * (left + right), hands=hands, feet=((0.1, 0), (-0.14, 0))), things)


def rowing(t: float, s: Style) -> Shot:
    """The body swings back with the oar."""
    pull = lift(t)
    lean = mix(0.5, -0.35, pull) * s.size
    seat = mix(-0.06, 0.1, pull) * -1
    hip, deck = (seat, 0.2), 0.1
    grip = (mix(0.4, 0.12, pull) + seat, 0.4 + 0.05 * wave(t, 0.25))
    lock = (0.28, 0.22)
    far = 0.62
    blade = (lock[0] + far * (lock[0] - grip[0]) * 1.6, lock[1] - 0.24 - 0.1 * wave(t, 0.25))
    things = (
        area((-0.75, 0.14), (0.8, 0.14), (0.62, 0.0), (-0.6, 0.0), is_before=True),
        line(grip, lock, blade, colour="wood", width=0.018, is_before=True),
        area((-1.6, 0.05), (1.6, 0.05), (1.6, -0.6), (-1.6, -0.6), colour="water", is_before=True),
    )
    return Shot(Pose(hip, lean, hands=(grip, grip), feet=((0.42, deck), (0.42, deck))), things)


def biking(t: float, s: Style) -> Shot:
    """Feet go round with the pedals, and spokes with the wheels."""
    crank, radius, wheel = (0.02, 0.2), 0.07, 0.19
    feet = tuple((crank[0] + radius * wave(t, turn + 0.25), crank[1] - radius * wave(t, turn)) for turn in (0.0, 0.5))
    rear, front, saddle, bar = (-0.34, wheel), (0.42, wheel), (-0.12, 0.5), (0.32, 0.56)
    spokes = [
        line(
            (x - wheel * math.cos(TURN * (t * 2 + u)), y - wheel * math.sin(TURN * (t * 2 + u))),
            (x + wheel * math.cos(TURN * (t * 2 + u)), y + wheel * math.sin(TURN * (t * 2 + u))),
            colour="metal",
            width=0.008,
        )
        for x, y in (rear, front)
        for u in (0.0, 0.25)
    ]
    things = (
        *spokes,
        ring(rear, wheel, "dark"),
        ring(front, wheel, "dark"),
        line(rear, crank, saddle, rear),
        line(saddle, (0.3, 0.5), crank),
        line(front, (0.3, 0.5), bar),
        line((saddle[0] - 0.06, 0.51), (saddle[0] + 0.05, 0.51), colour="dark", width=0.03),
    )
    lean = 0.35 + 0.35 * s.a
    return Shot(Pose((saddle[0] + 0.01, 0.54), lean, -lean * 0.6, hands=(bar, bar), feet=feet), things)


def walking_with_dog(t: float, s: Style) -> Shot:
    """Both walk, a lead between them."""
    feet = stride(t, s.size), stride(t, s.size, 0.5)
    hip = (0.0, STANDING - 0.015 + 0.012 * wave(2 * t))
    hand = (0.2, 0.45 + 0.02 * wave(2 * t))
    arm = 0.45 * s.size * wave(t, 0.5)
    dog_x, high, body = 0.42 + 0.1 * s.a, 0.16, 0.24 + 0.05 * s.b
    trot = [0.05 * wave(2 * t, turn) for turn in (0.0, 0.5, 0.25, 0.75)]
    places = (dog_x, dog_x + 0.03, dog_x + body - 0.03, dog_x + body)
    legs = [
        line((x, high), (x + step, 0.0), colour="dark", width=0.03, is_before=True)
        for x, step in zip(places, trot, strict=True)
    ]
    neck = (dog_x + body + 0.06, high + 0.1)
    dog = (
        *legs,
        line((dog_x, high + 0.02), (dog_x + body, high + 0.02), colour="dark", width=0.09, is_before=True),
        disc(neck, 0.055, "dark", True),
        line(
            (dog_x - 0.02, high + 0.04), (dog_x - 0.1, high + 0.12 + 0.02 * wave(4 * t)), colour="dark", is_before=True
        ),
        line(hand, (mix(hand[0], neck[0], 0.5), 0.28), (neck[0] - 0.03, neck[1] - 0.02), width=0.01, is_before=True),
    )
    pose = Pose(hip, 0.04, arms=((arm, arm + 0.2), (0.0, 0.0)), hands=(None, hand), feet=feet)
    return Shot(pose, dog)


def skate_boarding(t: float, s: Style) -> Shot:
    """One foot on the board, the other pushes, with some."""
    push = max(0.0, wave(t))
    deck = 0.08
    foot = (mix(-0.1, -0.36, push), mix(deck, 0.0, min(1.0, 3 * push))) if s.a > 0.4 else (-0.16, deck)
    hip = (-0.02, deck + 0.4 - 0.05 * lift(t) * s.size)
    arm = 0.8 + 0.5 * wave(t, 0.3)
    things = (
        line(
            (-0.3, deck + 0.02),
            (-0.22, deck - 0.01),
            (0.22, deck - 0.01),
            (0.3, deck + 0.02),
            width=0.03,
            is_before=True,
        ),
        disc((-0.17, 0.03), 0.03, "dark", True),
        disc((0.17, 0.03), 0.03, "dark", True),
    )
    pose = Pose(hip, 0.3 + 0.1 * wave(t), -0.2, arms=((arm, arm + 0.3), (-arm, -arm)), feet=((0.14, deck), foot))
    return Shot(pose, things)
