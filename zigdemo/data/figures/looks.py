"""How persons and places look: colours, clothes, hair and scenes, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .body import Build

Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (214, 60, 56),
    "orange": (235, 137, 52),
    "yellow": (240, 200, 66),
    "green": (74, 160, 88),
    "blue": (62, 110, 200),
    "purple": (134, 86, 178),
    "pink": (232, 130, 168),
    "white": (242, 240, 236),
    "black": (48, 46, 52),
    "grey": (140, 142, 148),
}
SKINS: dict[str, Colour] = {
    "light": (246, 211, 184),
    "tan": (222, 172, 130),
    "brown": (166, 112, 74),
    "dark": (104, 68, 48),
}
HAIRS: dict[str, Colour] = {
    "black": (40, 34, 36),
    "brown": (104, 66, 40),
    "blond": (226, 190, 110),
    "red": (178, 78, 40),
    "grey": (170, 168, 166),
}
HAIR_STYLES = ("short", "long", "bun", "bald")
THINGS: dict[str, Colour] = {
    "wood": (150, 106, 66),
    "metal": (120, 124, 134),
    "dark": (58, 56, 62),
    "water": (86, 158, 206),
    "white": (250, 250, 248),
    "red": (214, 60, 56),
    "orange": (232, 126, 48),
    "yellow": (214, 226, 70),
    "cloth": (92, 120, 186),
}


@dataclass(frozen=True)
class Scene:
    """A place. wall, floor: its colours above and below the ground line. words: after "in", "on" or "at"."""

    wall: Colour
    floor: Colour
    words: str


SCENES: dict[str, Scene] = {
    "room": Scene((232, 224, 212), (188, 158, 128), "in a room"),
    "gym": Scene((206, 214, 224), (166, 170, 178), "in a gym"),
    "field": Scene((176, 214, 240), (122, 178, 96), "on a field"),
    "court": Scene((214, 222, 232), (206, 132, 84), "on a court"),
    "beach": Scene((190, 224, 244), (236, 214, 160), "on a beach"),
    "night": Scene((62, 66, 98), (84, 88, 104), "at night"),
    "plain": Scene((248, 248, 246), (248, 248, 246), ""),
    "water": Scene((184, 218, 242), (86, 158, 206), "on the water"),
}


@dataclass(frozen=True)
class Look:
    """One person in one place; the names are those of COLOURS, SKINS, HAIRS, HAIR_STYLES and SCENES."""

    build: Build
    skin: str
    hair: str
    hair_style: str
    shirt: str
    trousers: str
    has_sleeves: bool
    has_long_trousers: bool
    thing: str
    scene: str


NEAR = 60  # colours that are less apart are hard to tell


def draw_look(rng: np.random.Generator, scenes: tuple[str, ...]) -> Look:
    """A look at random, in one of some scenes; clothes and what is held differ from each other and from the ground."""

    def one(names: object) -> str:
        return str(rng.choice(list(names)))

    def near(value: float, spread: float = 0.07) -> float:
        return value * float(rng.uniform(1 - spread, 1 + spread))

    usual = Build()
    leg, arm = near(1.0, 0.05), near(1.0, 0.06)
    build = Build(
        torso=near(usual.torso, 0.05),
        head=near(usual.head, 0.1),
        upper_arm=usual.upper_arm * arm,
        forearm=usual.forearm * arm,
        thigh=usual.thigh * leg,
        shin=usual.shin * leg,
        shoulders=near(usual.shoulders, 0.12),
        hips=near(usual.hips, 0.12),
        thickness=near(1.0, 0.18),
    )
    scene = one(scenes)
    grounds = SCENES[scene].wall, SCENES[scene].floor
    clear = [name for name, colour in COLOURS.items() if all(apart(colour, ground) > NEAR for ground in grounds)]
    shirt, trousers, thing = (str(name) for name in rng.choice(clear, 3, replace=False))
    return Look(
        build,
        one(SKINS),
        one(HAIRS),
        one(HAIR_STYLES),
        shirt,
        trousers,
        bool(rng.random() < 0.4),
        bool(rng.random() < 0.6),
        thing,
        scene,
    )


def apart(one: Colour, other: Colour) -> int:
    """How far two colours are from each other: the sum of the differences of their parts."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


def shaded(colour: Colour, share: float) -> Colour:
    """A colour made darker, below 1, or lighter, above."""
    return tuple(int(min(255, max(0, part * share))) for part in colour)  # type: ignore[return-value]
