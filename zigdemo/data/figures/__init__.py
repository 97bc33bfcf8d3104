"""Drawn people who do what UCF101's people do: any number of labelled clips from a seed, without a download.

A clip is a person of fifteen joints with proportions, colours, clothes and hair at random, in a scene, seen by a camera
that may drift, in one motion with its own speed, phase, size and style. Classes have UCF101's names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import exercises, sports
from .drawing import Camera, draw_shot
from .looks import SCENES, Look, draw_look
from .shots import Shot, Style

SIDE_PX, FRAMES, FRAMES_PER_SECOND = 128, 16, 8.0


@dataclass(frozen=True)
class Motion:
    """A class of clips.

    shot: pose and things at a phase or progress. words: what "a person" does. turns: fewest and most rounds in a clip,
    None for what happens once. centre, span: of the camera. scenes: where it happens. drift: the most that the camera
    moves sideways.
    """

    shot: Callable[[float, Style], Shot]
    words: str
    turns: tuple[float, float] | None = (1.0, 2.0)
    centre: tuple[float, float] = (0.0, 0.55)
    span: float = 1.6
    scenes: tuple[str, ...] = ("room", "gym", "field", "plain", "beach")
    drift: float = 0.12


OUTSIDE, INSIDE = ("field", "beach", "plain", "night"), ("room", "gym", "plain")
MOTIONS: dict[str, Motion] = {
    "Archery": Motion(sports.archery, "shoots with a bow", None, (0.12, 0.55), scenes=("field", "gym", "plain")),
    "BasketballDunk": Motion(sports.basketball_dunk, "dunks a basketball", None, (0.0, 0.72), 1.9, ("court", "gym")),
    "BenchPress": Motion(exercises.bench_press, "presses a barbell on a bench", (1.0, 2.0), (0.1, 0.4), 1.4, INSIDE),
    "Biking": Motion(exercises.biking, "rides a bicycle", (1.5, 3.0), (0.04, 0.5), 1.6, OUTSIDE, 0.5),
    "BodyWeightSquats": Motion(exercises.body_weight_squats, "does squats"),
    "Bowling": Motion(sports.bowling, "bowls", None, (0.2, 0.5), 1.9, ("gym", "room", "plain")),
    "BoxingSpeedBag": Motion(exercises.boxing_speed_bag, "boxes a speed bag", (2.0, 4.0), (0.1, 0.62), 1.3, INSIDE),
    "CleanAndJerk": Motion(sports.clean_and_jerk, "lifts a barbell overhead", None, (0.0, 0.6), 1.6, INSIDE),
    "Diving": Motion(sports.diving, "dives from a board", None, (-0.1, 0.75), 2.3, ("water",), 0.0),
    "GolfSwing": Motion(sports.golf_swing, "swings a golf club", None, (0.1, 0.55), 1.7, ("field", "plain")),
    "HandstandPushups": Motion(
        exercises.handstand_pushups, "does push-ups in a handstand", (1.0, 2.0), (0.0, 0.6), 1.7
    ),
    "HandstandWalking": Motion(
        exercises.handstand_walking, "walks on the hands", (1.0, 2.5), (0.0, 0.6), 1.7, drift=0.5
    ),
    "HighJump": Motion(sports.high_jump, "jumps over a bar", None, (0.05, 0.62), 2.1, ("field", "gym", "plain")),
    "HulaHoop": Motion(exercises.hula_hoop, "spins a hula hoop", (1.5, 3.0)),
    "JavelinThrow": Motion(sports.javelin_throw, "throws a javelin", None, (0.05, 0.6), 1.9, ("field", "plain")),
    "JumpRope": Motion(exercises.jump_rope, "jumps rope", (2.0, 4.0), (0.0, 0.58), 1.7),
    "JumpingJack": Motion(exercises.jumping_jack, "does jumping jacks", (1.5, 3.0), (0.0, 0.6), 1.7),
    "Lunges": Motion(exercises.lunges, "does lunges", (0.7, 1.5)),
    "PullUps": Motion(exercises.pull_ups, "does pull-ups at a bar", (1.0, 2.0), (0.0, 0.68), 1.7, INSIDE),
    "Punch": Motion(exercises.punch, "throws punches", (1.5, 3.0), (0.1, 0.6), 1.5, INSIDE),
    "PushUps": Motion(exercises.push_ups, "does push-ups", (1.0, 2.5), (-0.05, 0.3), 1.5),
    "Rowing": Motion(exercises.rowing, "rows a boat", (1.0, 2.0), (0.0, 0.35), 1.8, ("water",), 0.4),
    "SkateBoarding": Motion(exercises.skate_boarding, "rides a skateboard", (1.0, 2.0), drift=0.5, scenes=OUTSIDE),
    "SoccerJuggling": Motion(sports.soccer_juggling, "juggles a football", (2.0, 3.0), (0.1, 0.55), 1.5),
    "Swing": Motion(exercises.swing, "sits on a swing", (0.8, 1.6), (0.0, 0.68), 1.9, OUTSIDE, 0.0),
    "TennisSwing": Motion(sports.tennis_swing, "plays tennis", None, (0.1, 0.58), 1.6, ("court", "field", "plain")),
    "TrampolineJumping": Motion(
        exercises.trampoline_jumping, "jumps on a trampoline", (1.0, 2.5), (0.0, 0.75), 2.0, OUTSIDE
    ),
    "WalkingWithDog": Motion(exercises.walking_with_dog, "walks a dog", (1.0, 2.0), (0.15, 0.5), 1.6, OUTSIDE, 0.5),
    "WallPushups": Motion(exercises.wall_pushups, "does push-ups against a wall", (1.0, 2.0), (0.12, 0.6), 1.6, INSIDE),
}
CLASSES = tuple(MOTIONS)


@dataclass(frozen=True)
class Figure:
    """A clip, not yet drawn: its class, how somebody does it, how everything looks and is seen.

    rounds: of the motion in the clip, or the share of it that what happens once takes. start: the phase of the first
    frame, or of what happens once the time before it begins, as a share of the clip.
    """

    label: str
    style: Style
    look: Look
    camera: Camera
    drift: float
    rounds: float
    start: float

    @property
    def attributes(self) -> dict[str, str]:
        """What a caption can mention, as in `captions.FIGURE_KINDS`."""
        look = self.look
        hair = {} if look.hair_style == "bald" else {"hairColor": look.hair}
        legs = "trousers" if look.has_long_trousers else "shorts"
        clothes = {"skin": look.skin, "shirt": look.shirt, "trousers": look.trousers, "legs": legs}
        return {"label": self.label, "hairStyle": look.hair_style, **hair, **clothes, "scene": look.scene}

    @property
    def caption(self) -> str:
        """What the clip shows."""
        look, words = self.look, [MOTIONS[self.label].words, SCENES[self.look.scene].words]
        hair = "bald" if look.hair_style == "bald" else f"{look.hair}-haired"
        article = "an" if look.shirt == "orange" else "a"
        return " ".join(filter(None, [f"a {hair} person in {article} {look.shirt} shirt", *words]))

    def frames(self, count: int = FRAMES, side: int = SIDE_PX) -> np.ndarray:
        """The clip, uint8 (count, side, side, 3)."""
        motion, frames = MOTIONS[self.label], []
        for number in range(count):
            share = number / count
            phase = self.start + self.rounds * share
            if motion.turns is None:
                phase = min(1.0, max(0.0, (share - self.start) / self.rounds))
            x = self.camera.centre[0] + self.drift * (share - 0.5)
            camera = Camera((x, self.camera.centre[1]), self.camera.span, self.camera.is_mirrored)
            frames.append(draw_shot(motion.shot(phase, self.style), self.look, camera, side))
        return np.stack(frames)


def draw_figure(rng: np.random.Generator, label: str) -> Figure:
    """A clip of a class at random. Raises ValueError for a class that is not in CLASSES."""
    if label not in MOTIONS:
        raise ValueError(f"no figure does {label!r}; choose one of {', '.join(CLASSES)}")
    motion = MOTIONS[label]
    style = Style(float(rng.uniform(0.8, 1.15)), *(float(value) for value in rng.random(3)))
    look = draw_look(rng, motion.scenes)
    place = (motion.centre[0] + float(rng.uniform(-0.1, 0.1)), motion.centre[1] + float(rng.uniform(-0.05, 0.05)))
    camera = Camera(place, motion.span * float(rng.uniform(0.92, 1.15)), bool(rng.random() < 0.5))
    drift = float(rng.uniform(-motion.drift, motion.drift))
    if motion.turns is None:
        return Figure(label, style, look, camera, drift, float(rng.uniform(0.75, 1.0)), float(rng.uniform(0.0, 0.12)))
    return Figure(label, style, look, camera, drift, float(rng.uniform(*motion.turns)), float(rng.random()))


def figure_at(number: int, seed: int = 0, labels: tuple[str, ...] = CLASSES) -> Figure:
    """Clip `number` of those of a seed; the classes take turns."""
    return draw_figure(np.random.default_rng((seed, number)), labels[number % len(labels)])


def figures(count: int, seed: int = 0, labels: tuple[str, ...] = CLASSES) -> list[Figure]:
    """So many clips, of each class in turn; clip i depends on the seed, i and the labels alone."""
    return [figure_at(number, seed, labels) for number in range(count)]
