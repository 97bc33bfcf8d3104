"""Draws a person and the things around, flat, on a ground: from far to near, at twice the size and then reduced."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .body import Joints, Point, joints
from .looks import COLOURS, HAIRS, SCENES, SKINS, THINGS, Colour, Look, shaded
from .shots import Shot, Thing

OVERSAMPLING = 2
FAR = 0.82  # brightness of the limbs on the far side


@dataclass(frozen=True)
class Camera:
    """What is seen. centre: of the picture in the plane; span: the width of it, in heights of the body; is_mirrored."""

    centre: Point = (0.0, 0.55)
    span: float = 1.7
    is_mirrored: bool = False


class Canvas:
    """A square picture with the plane's coordinates."""

    def __init__(self, side: int, camera: Camera, ground: Colour) -> None:
        from PIL import Image, ImageDraw  # not needed by sets that are only read

        self.side, self.camera = side * OVERSAMPLING, camera
        self.image = Image.new("RGB", (self.side, self.side), ground)
        self.pen = ImageDraw.Draw(self.image)
        self.scale = self.side / camera.span

    def at(self, point: Point) -> Point:
        """Where a point of the plane is in the picture."""
        x = (point[0] - self.camera.centre[0]) * self.scale * (-1 if self.camera.is_mirrored else 1)
        return self.side / 2 + x, self.side / 2 - (point[1] - self.camera.centre[1]) * self.scale

    def line(self, points: tuple[Point, ...], width: float, colour: Colour) -> None:
        """A line with round ends and corners."""
        places, thick = [self.at(point) for point in points], max(1.0, width * self.scale)
        self.pen.line(places, fill=colour, width=max(1, round(thick)))
        for x, y in places:
            self.pen.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=colour)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        """A disc."""
        (x, y), far = self.at(centre), radius * self.scale
        self.pen.ellipse((x - far, y - far, x + far, y + far), fill=colour)

    def ring(self, centre: Point, radius: float, colour: Colour) -> None:
        """A circle."""
        (x, y), far = self.at(centre), radius * self.scale
        self.pen.ellipse((x - far, y - far, x + far, y + far), outline=colour, width=max(2, round(0.02 * self.scale)))

    def area(self, points: tuple[Point, ...], colour: Colour) -> None:
        """A filled polygon."""
        self.pen.polygon([self.at(point) for point in points], fill=colour)

    def thing(self, thing: Thing, own: Colour) -> None:
        """Something beside the person."""
        colour = own if thing.colour == "thing" else THINGS[thing.colour]
        if thing.kind == "line":
            self.line(thing.points, thing.width, colour)
        elif thing.kind == "area":
            self.area(thing.points, colour)
        else:
            {"disc": self.disc, "ring": self.ring}[thing.kind](thing.points[0], thing.width, colour)

    def reduced(self) -> np.ndarray:
        """The picture, uint8 (side, side, 3)."""
        return np.asarray(self.image.reduce(OVERSAMPLING))


def _ground(canvas: Canvas, look: Look) -> None:
    scene = SCENES[look.scene]
    camera = canvas.camera
    left, right = camera.centre[0] - camera.span, camera.centre[0] + camera.span
    canvas.area(((left, 0.04), (right, 0.04), (right, -2.0), (left, -2.0)), scene.floor)
    if look.scene == "gym":  # stripes that show a camera that moves
        for number in range(-4, 5):
            canvas.line(((0.5 * number, 0.04), (0.5 * number, 2.5)), 0.012, shaded(scene.wall, 0.93))
    elif look.scene == "court":
        canvas.line(((left, 0.34), (right, 0.34)), 0.02, shaded(scene.wall, 0.9))
    elif look.scene in ("field", "beach"):
        for number in range(-3, 4):
            canvas.disc((0.7 * number + 0.2, 0.08), 0.13, shaded(scene.floor, 0.9))
        canvas.area(((left, 0.04), (right, 0.04), (right, -0.1), (left, -0.1)), scene.floor)
    elif look.scene == "night":
        for number in range(-3, 4):
            canvas.disc((0.55 * number + 0.1, 1.2 + 0.12 * (number % 3)), 0.012, (240, 240, 210))


def _leg(canvas: Canvas, look: Look, body: Joints, side: int, brightness: float) -> None:
    thick = 0.085 * look.build.thickness
    cloth, skin = shaded(COLOURS[look.trousers], brightness), shaded(SKINS[look.skin], brightness)
    points = body.hips[side], body.knees[side], body.feet[side]
    canvas.line(points[1:], thick * 0.75, cloth if look.has_long_trousers else skin)
    canvas.line(points[:2], thick, cloth)
    (kx, ky), (fx, fy) = points[1:]
    along = (fx - kx, fy - ky)
    length = max(1e-6, (along[0] ** 2 + along[1] ** 2) ** 0.5)
    toe = (fx - 0.055 * along[1] / length, fy + 0.055 * along[0] / length)  # a shoe stands square to the shin
    canvas.line(((fx, fy), toe), thick * 0.7, shaded((60, 58, 66), brightness))


def _arm(canvas: Canvas, look: Look, body: Joints, side: int, brightness: float) -> None:
    thick = 0.06 * look.build.thickness
    cloth, skin = shaded(COLOURS[look.shirt], brightness * 0.93), shaded(SKINS[look.skin], brightness)
    points = body.shoulders[side], body.elbows[side], body.hands[side]
    canvas.line(points[1:], thick * 0.85, cloth if look.has_sleeves else skin)
    canvas.line(points[:2], thick, cloth)
    canvas.disc(points[2], thick * 0.55, skin)


def _torso(canvas: Canvas, look: Look, body: Joints, is_front: bool) -> None:
    shirt, thick = COLOURS[look.shirt], 0.13 * look.build.thickness
    if is_front:
        canvas.area((*body.shoulders, body.hips[1], body.hips[0]), shirt)
        canvas.line(body.shoulders, 0.07 * look.build.thickness, shirt)
        canvas.line(body.hips, 0.09 * look.build.thickness, COLOURS[look.trousers])
    else:
        canvas.line((body.hip, body.neck), thick, shirt)
        canvas.disc(body.hip, thick * 0.52, COLOURS[look.trousers])


def _head(canvas: Canvas, look: Look, body: Joints, is_front: bool) -> None:
    skin, hair, radius = SKINS[look.skin], HAIRS[look.hair], look.build.head
    (nx, ny), (hx, hy) = body.neck, body.head
    length = max(1e-6, ((hx - nx) ** 2 + (hy - ny) ** 2) ** 0.5)
    up = ((hx - nx) / length, (hy - ny) / length)
    aside = (up[1], -up[0])  # to where the person looks, or from the front to the right
    turned = 0.0 if is_front else 1.0
    canvas.line((body.neck, body.head), 0.05, shaded(skin, 0.9))

    def place(across: float, high: float) -> Point:
        return hx + radius * (across * aside[0] + high * up[0]), hy + radius * (across * aside[1] + high * up[1])

    if look.hair_style == "long":
        for across in (-0.8, 0.8) if is_front else (-0.55,):
            canvas.line((place(across, 0.2), place(across * 1.15, -1.05)), radius * (0.6 + 0.5 * turned), hair)
    if look.hair_style == "bun":
        canvas.disc(place(-0.8 * turned, 0.8 + 0.4 * (1 - turned)), radius * 0.45, hair)
    if look.hair_style != "bald":
        canvas.disc(place(-0.18 * turned, 0.2), radius * 1.08, hair)
    canvas.disc(place(0, 0) if look.hair_style == "bald" else place(0.12 * turned, -0.16), radius * 0.92, skin)
    for across in (-0.35, 0.35) if is_front else (0.55,):
        canvas.disc(place(across, -0.1), radius * 0.13, (44, 40, 44))


def draw_shot(shot: Shot, look: Look, camera: Camera, side: int = 128) -> np.ndarray:
    """One frame, uint8 (side, side, 3)."""
    pose = shot.pose
    canvas = Canvas(side, camera, SCENES[look.scene].wall)
    _ground(canvas, look)
    own, body = COLOURS[look.thing], joints(pose, look.build)
    for thing in shot.things:
        if not thing.is_before:
            canvas.thing(thing, own)
    far = 0.97 if pose.is_front else FAR
    _leg(canvas, look, body, 1, far)
    _arm(canvas, look, body, 1, far)
    _leg(canvas, look, body, 0, 1.0)
    _torso(canvas, look, body, pose.is_front)
    _head(canvas, look, body, pose.is_front)
    _arm(canvas, look, body, 0, 1.0)
    for thing in shot.things:
        if thing.is_before:
            canvas.thing(thing, own)
    return canvas.reduced()
