"""Request -> stream of Steps -> Result: the one way anything is generated."""

from __future__ import annotations

import difflib
import platform
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from . import __version__, media, zoo
from .diffusion import PATHS, SolverStep, check_options, guided_velocity, item_noise, renoise, sample
from .ops import backends
from .scans import scan_scheme

MOST_STEPS, MOST_COUNT, MOST_SEED, MOST_GUIDANCE = 1000, 64, 2**32 - 1, 50.0
# Options that every solver takes, with their defaults and bounds: the shift of its times towards the noise, how far
# guidance's burnt colours are put back, and the share of a given picture's noise left out, see `Pipeline.stream`.
COMMON_OPTIONS = {"shift": (1.0, 0.05, 20.0), "rescale": (0.0, 0.0, 1.0), "start": (0.0, 0.0, 0.99)}


def _whole(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, not {value!r}")


def _number(name: str, value: object, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{name} must be a number from {least:g} to {most:g}, not {value!r}")


def _text(name: str, value: object, required: bool = False) -> None:
    if value is None and not required:
        return
    if not isinstance(value, str) or not value or len(value) > 1000:
        raise ValueError(f"{name} must be a text of 1 to 1000 characters, not {str(value)[:40]!r}")


@dataclass(frozen=True)
class Request:
    """What to generate; checked on construction, so that a Request that exists makes sense for some model.

    label, negative: class names (None: no condition). guidance acts while t, 0 noise to 1 data, is in
    guidance_interval. scan: a scan scheme, None for the model's own. size: (H, W) in pixels, None for the model's own.
    steps: updates of the solver. solver_options: the solver's own, see `diffusion.SAMPLERS`, and COMMON_OPTIONS.
    Raises ValueError with one sentence that names the setting.
    """

    model: str
    prompt: str | None = None
    label: str | None = None
    negative: str | None = None
    count: int = 4
    seed: int = 0
    solver: str = "heun"
    steps: int = 25
    guidance: float = 2.0
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    scan: str | None = None
    size: tuple[int, int] | None = None
    frames: int | None = None
    solver_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _text("model", self.model, required=True)
        for name in ("prompt", "label", "negative", "scan"):
            _text(name, getattr(self, name))
        _whole("count", self.count, 1, MOST_COUNT)
        _whole("seed", self.seed, 0, MOST_SEED)
        _whole("steps", self.steps, 1, MOST_STEPS)
        _number("guidance", self.guidance, 0.0, MOST_GUIDANCE)
        for name, length in (("guidance_interval", 2), ("size", 2)):
            value = getattr(self, name)
            if name == "size" and value is None:
                continue
            if not isinstance(value, tuple | list) or len(value) != length:
                raise ValueError(f"{name} must be two numbers, not {value!r}")
            object.__setattr__(self, name, tuple(value))
        for end in self.guidance_interval:
            _number("guidance_interval", end, 0.0, 1.0)
        if self.guidance_interval[0] > self.guidance_interval[1]:
            raise ValueError(f"guidance_interval must rise from 0, noise, to 1, data, not {self.guidance_interval}")
        for side in self.size or ():
            _whole("size", side, 1, 8192)
        if self.frames is not None:
            _whole("frames", self.frames, 1, 256)
        if self.scan is not None:
            scan_scheme(self.scan)
        if not isinstance(self.solver_options, dict):
            raise ValueError(f"solver_options must be a dict of names and values, not {self.solver_options!r}")
        for name, (_, least, most) in COMMON_OPTIONS.items():
            _number(name, self.common_option(name), least, most)
        check_options(self.solver, self.own_options)

    def common_option(self, name: str) -> float:
        """An option of COMMON_OPTIONS, or its default."""
        return self.solver_options.get(name, COMMON_OPTIONS[name][0])

    @property
    def own_options(self) -> dict[str, Any]:
        """The options that this solver alone has."""
        return {name: value for name, value in self.solver_options.items() if name not in COMMON_OPTIONS}

    @classmethod
    def from_metadata(cls, file: str | Path) -> Request:
        """The request inside a PNG made here; other weights or versions than now are a warning.

        Raises ValueError with one sentence where the file carries none, or one that makes no sense.
        """
        content = media.read_metadata(file)
        settings, name = content["request"], Path(file).name
        unknown = set(settings) - {entry.name for entry in fields(cls)}
        if unknown:
            raise ValueError(f"{name} has settings this version does not know: {', '.join(sorted(unknown))[:200]}")
        try:
            request = cls(**settings)
        except (TypeError, ValueError) as fault:
            raise ValueError(f"the settings inside {name} cannot be used: {fault}") from None
        _warn_of_changes(request, content["provenance"], name)
        return request


def _warn_of_changes(request: Request, provenance: dict[str, Any], name: str) -> None:
    try:
        weights = zoo.find(request.model).sha256
    except ValueError as fault:
        warnings.warn(f"{name} was made with a model that is not here: {fault}", stacklevel=3)
        return
    now = {"weights": weights, "zigdemo": __version__, "torch": torch.__version__}
    changed = [key for key, value in now.items() if key in provenance and provenance[key] != value]
    if changed:
        warnings.warn(
            f"{name} was made with other {' and '.join(changed)}; the picture may come out different", stacklevel=3
        )


@dataclass(frozen=True)
class Result:
    """What was generated: PIL images, or clips (uint8 (T, H, W, 3)), and everything needed to make them again."""

    images: list[Image.Image]
    clips: list[np.ndarray]
    request: Request
    provenance: dict[str, Any]
    seconds: float
    nfe: int
    record: Any = None


@dataclass(frozen=True)
class Step:
    """Progress after one solver step; preview is the clean image predicted on the way, result is set in the last."""

    index: int
    total: int
    nfe: int
    t: float
    preview: list[Image.Image]
    seconds_left: float
    result: Result | None = None


def to_images(x: Tensor) -> list[Image.Image]:
    """(batch, 3, H, W) in [-1, 1] as PIL images."""
    pixels = ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(picture) for picture in pixels]


def to_pixels(image: Image.Image, size: tuple[int, int]) -> Tensor:
    """A PIL image, its middle cut out and resized, as (1, 3, H, W) in [-1, 1]; transparent parts become white."""
    picture = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")
    pixels = np.asarray(ImageOps.fit(picture, size[::-1], Image.Resampling.LANCZOS), np.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)[None]


class Pipeline:
    """A loaded model; safe to use from several threads at once, as nothing of a request is kept in it."""

    def __init__(self, folder: zoo.ModelFolder, device: str | torch.device | None = None) -> None:
        self.folder = folder
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.network = folder.load(self.device)
        self._together = 8 if self.device.type == "cuda" else 1  # items a network call; one fills a CPU
        self.weights = folder.sha256
        self._stepped = getattr(folder.model, "stepped", False)  # its network takes the steps of a DDPM for times
        self.path = PATHS["ddpm" if self._stepped else "linear"]
        self._rows = {name: row for row, name in enumerate(folder.labels or ())}

    @classmethod
    def load(cls, name: str | Path, device: str | torch.device | None = None) -> Pipeline:
        """Load a shipped id or a model folder. Raises ValueError with one sentence where it cannot be."""
        return cls(zoo.find(name), device)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the classes the model knows, or None for a model without labels."""
        return self.folder.labels

    @property
    def schemes(self) -> tuple[str, ...]:
        """Scan schemes the model was trained with, none where it has no scan; others of the same kind of block run."""
        return self.folder.schemes

    def __call__(self, request: Request, image: Image.Image | None = None) -> Result:
        """Generate and wait for the result."""
        for step in self.stream(request, previews=False, image=image):
            result = step.result
        return result

    def stream(self, request: Request, previews: bool = True, image: Image.Image | None = None) -> Iterator[Step]:
        """Generate, yielding a Step after every solver step; the last one has the result. Closing stops the work.

        image: a picture to draw anew from part of the way: it is brought to the model's size, noised to the time of
        the option "start", and the solver goes on from there. Raises ValueError with one sentence, before any work,
        for a request this model cannot do, and for an image without a start or the other way round.
        """
        condition, null = self._condition(request)
        self._check(request)
        if (image is None) != (request.common_option("start") == 0):
            raise ValueError('the option "start" and a picture to start from belong together; give both or neither')
        clean = None if image is None else to_pixels(image, self.network.config.size)
        return self._steps(request, condition, null, previews, clean)

    @torch.inference_mode()
    def _steps(
        self, request: Request, condition: Tensor | None, null: Tensor | None, previews: bool, clean: Tensor | None
    ) -> Iterator[Step]:
        started = time.monotonic()
        groups = [self._solve(request, rows, condition, null, clean) for rows in self._groups(request.count)]
        keep = [slice(0, len(rows)) for rows in self._groups(request.count)]
        for index in range(request.steps):
            parts: list[SolverStep] = [next(group) for group in groups]
            last = index + 1 == request.steps
            seconds = time.monotonic() - started
            images, result, nfe = [], None, max(part.nfe for part in parts)
            if previews or last:
                rows = [(part.x if last else part.clean)[rows] for part, rows in zip(parts, keep, strict=True)]
                images = to_images(torch.cat(rows))
            if last:
                result = Result(images, [], request, self.provenance(), seconds, nfe)
            left = seconds / (index + 1) * (request.steps - index - 1)
            yield Step(index, request.steps, nfe, parts[0].time, images, left, result)

    def _groups(self, count: int) -> list[list[int]]:
        """Indices of the items that share a network call.

        A matrix product may round differently at another batch size; calls of one fixed size make the pixels of an
        item the same whatever the number of items beside it.
        """
        return [list(range(first, min(first + self._together, count))) for first in range(0, count, self._together)]

    def _solve(
        self, request: Request, rows: list[int], condition: Tensor | None, null: Tensor | None, clean: Tensor | None
    ) -> Iterator[SolverStep]:
        config, size = self.network.config, self._together
        filled = rows + [rows[-1]] * (size - len(rows))
        generators = [torch.Generator().manual_seed(request.seed + row) for row in filled]
        x = torch.stack([torch.randn(config.in_channels, *config.size, generator=each) for each in generators])
        start = request.common_option("start")
        if clean is not None:
            x, start = renoise(clean.expand_as(x), x, 1 - start, self.path)
        x = x.to(self.device)
        label = None if condition is None else condition.expand(size)
        other = None if null is None else null.expand(size)

        def network(x: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
            output = self.network(x, self.path.step_at(t) if self._stepped else t, cond, scheme=request.scan)
            return output[:, : config.in_channels]  # without a learned variance

        guidance = (request.guidance, request.guidance_interval)
        rescale = request.common_option("rescale")
        field = guided_velocity(
            network, self.folder.prediction, label, other, *guidance, rescale=rescale, path=self.path
        )
        shift = request.common_option("shift")
        run = sample(
            request.solver, field, x, request.steps, noise=item_noise(generators, x), start=start, shift=shift,
            **request.own_options,
        )  # fmt: skip
        with closing(run) as solver:
            yield from solver

    def _condition(self, request: Request) -> tuple[Tensor | None, Tensor | None]:
        """The label of a request and what guidance pushes away from, as (1,) int64 each."""
        if request.prompt is not None:
            raise ValueError(f"{self.folder.id} is drawn by label, not by prompt; give a label and no prompt")
        if self.labels is None:
            if request.label is not None or request.negative is not None:
                raise ValueError(f"{self.folder.id} knows no labels; leave label and negative empty")
            return None, None
        config = self.network.config
        null = len(self.labels) if config.null_label else None
        wanted = null if request.label is None else self._row(request.label)
        if wanted is None:
            raise ValueError(f"{self.folder.id} needs a label; choose one it knows, such as {self.labels[0]!r}")
        away = null if request.negative is None else self._row(request.negative)
        return tuple(None if row is None else torch.tensor([row], device=self.device) for row in (wanted, away))

    def _row(self, label: str) -> int:
        if label not in self._rows:
            near = difflib.get_close_matches(label, self._rows, n=3, cutoff=0.4) or list(self.labels[:3])
            raise ValueError(f"{self.folder.id} knows no label {label!r}; near it: {', '.join(near)}")
        return self._rows[label]

    def _check(self, request: Request) -> None:
        size = self.network.config.size
        if request.size is not None and request.size != size:
            raise ValueError(f"{self.folder.id} draws {size[0]} x {size[1]} pixels; leave size empty or give these")
        if request.frames is not None:
            raise ValueError(f"{self.folder.id} draws pictures, not clips; leave frames empty")
        if request.scan is not None:
            self.network.orders(request.scan)
        check_options(request.solver, request.own_options, self.path.name, self.folder.prediction)

    def provenance(self) -> dict[str, Any]:
        """What decides the pixels beside the request: versions, weights, device, backend."""
        kernel = self.network.config.operator
        return {
            "zigdemo": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "weights": self.weights,
            "origin": self.folder.origin,
            "device": str(self.device),
            "backend": backends.choose(kernel, "auto", self.device, torch.float32) if kernel else "torch",
        }
