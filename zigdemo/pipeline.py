"""Request -> stream of Steps -> Result: the only way anything is generated."""

from __future__ import annotations

import difflib
import gc
import platform
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from . import __version__, zoo
from .backbones.checks import item_shape
from .conditioning import TextTower
from .devices import DTYPES, choose_device, choose_dtype, lower_blocks, memory_bytes
from .diffusion import PATHS, SolverStep, check_options, own_items, sample_items
from .latents import PIXELS
from .media import on_white
from .ops import backends
from .request import MOST_COUNT, MOST_GUIDANCE, MOST_SEED, MOST_STEPS, Request, check_condition, request_for
from .zoo.obtaining import obtain

__all__ = [
    "PipelineCache",
    "MOST_COUNT",
    "MOST_GUIDANCE",
    "MOST_SEED",
    "MOST_STEPS",
    "Pipeline",
    "Record",
    "Request",
    "Result",
    "Step",
    "request_for",
    "to_pixels",
]

MEMORY_SHARE = 0.25  # of the memory that loaded models may take in a PipelineCache
Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # (x, t, condition) -> prediction


@dataclass(frozen=True)
class Result:
    """Generated PIL images, or clips (uint8 (T, H, W, 3)), with everything needed to reproduce them."""

    images: list[Image.Image]
    clips: list[np.ndarray]
    request: Request
    provenance: dict[str, Any]
    seconds: float
    nfe: int
    record: Record | None = None


@dataclass(frozen=True)
class Step:
    """Progress after one solver step; result is set in the last step.

    preview: the predicted clean images, for clips their middle frames; clips: uint8 (T, H, W, 3) each.
    """

    index: int
    total: int
    nfe: int
    t: float
    preview: list[Image.Image]
    seconds_left: float
    result: Result | None = None
    clips: list[np.ndarray] = field(default_factory=list)


class Record(Protocol):
    """An observer of a run, such as those in `explain`; `Result.record` has it in the end.

    begin: called once, before the first network call. next_step: called before each solver step. watch: returns a
    replacement of `call` for the items `rows`, with the same results.
    """

    def begin(self, network: nn.Module, request: Request) -> None: ...

    def next_step(self, index: int) -> None: ...

    def watch(self, call: Network, rows: list[int]) -> Network: ...


def to_pixels(image: Image.Image, size: tuple[int, int]) -> Tensor:
    """A PIL image, cropped to its centre and resized, as (1, 3, H, W) in [-1, 1]; transparency becomes white."""
    pixels = np.asarray(ImageOps.fit(on_white(image), size[::-1], Image.Resampling.LANCZOS), np.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)[None]


class Pipeline:
    """A loaded model; thread-safe, as it keeps no state of a request. Raises ValueError if its parts do not match."""

    def __init__(
        self, folder: zoo.ModelFolder, device: str | torch.device | None = None, dtype: str | None = None
    ) -> None:
        self.folder = folder
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.latents = folder.load_latents(self.device)  # first, as it may be missing without a network
        self.network = lower_blocks(folder.load(self.device), self.device, self.dtype)
        if self.network.config.in_channels != self.latents.channels:
            raise ValueError(
                f"{folder.id} draws {self.network.config.in_channels} channels and {self.latents.name} has "
                f"{self.latents.channels}; name its autoencoder under 'latents' in {folder.path / zoo.CONFIG}"
            )
        self.text = folder.load_text(self.device)
        width = getattr(self.network.config, "text_width", 0)
        if width != (0 if self.text is None else self.text.width):
            tower = "no tower" if self.text is None else f"{self.text.name}, which makes {self.text.width},"
            raise ValueError(
                f"{folder.id} takes text features of width {width} and {folder.path / zoo.CONFIG} names {tower} "
                "under 'text'; correct it"
            )
        self.weights = folder.sha256
        self.path = PATHS[folder.interpolant]
        self._rows = {name: row for row, name in enumerate(folder.labels or ())}

    @classmethod
    def load(cls, name: str | Path, device: str | torch.device | None = None, dtype: str | None = None) -> Pipeline:
        """Load a shipped or official id, a model folder, or owner/name of huggingface.co, downloaded if needed.

        device: "auto" (also None), "cpu", "cuda" or "mps". dtype: "auto", "fp32", "bf16" or "fp16", see `lower_blocks`.
        Raises ValueError with one sentence if it cannot be loaded.
        """
        choose_dtype(dtype, choose_device(device))  # before any download
        return cls(obtain(name), device, dtype)

    @property
    def modules(self) -> list[nn.Module]:
        """The networks it holds: its own, and those of its autoencoder and tower where it has them."""
        parts = (self.network, getattr(self.latents, "network", None), self.text and self.text.clip_model)
        return [part for part in parts if part is not None]

    from_pretrained = load  # the name it has in other libraries

    def push_to_hub(self, repo: str, private: bool = False) -> str:
        """Upload the model folder to owner/name on huggingface.co and return its address, see `ModelFolder.push`."""
        return self.folder.push(repo, private)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the model's classes, or None for a model without labels."""
        return self.folder.labels

    @property
    def schemes(self) -> tuple[str, ...]:
        """Scan schemes it was trained with, empty without a scan; others for the same kind of block also run."""
        return self.folder.schemes

    def words(self, prompt: str) -> list[tuple[str, list[int]]]:
        """The words of a prompt, including start and end, each with the positions of its tokens in the features.

        Raises ValueError for a model without text.
        """
        if self.text is None:
            raise ValueError(f"{self.folder.id} has no text conditioning; choose a model that takes a prompt")
        tokens = self.text.prompt(prompt)
        words = [(word, [i for i, of in enumerate(tokens.word_of) if of == n]) for n, word in enumerate(tokens.words)]
        return [(tokens.pieces[0], [0]), *words, (tokens.pieces[-1], [tokens.length - 1])]

    @property
    def frames(self) -> int | None:
        """Frames of its clips, None for a model of pictures."""
        return self.network.config.frames or None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures in pixels."""
        rows, columns = self.network.config.size
        return rows * self.latents.factor, columns * self.latents.factor

    def request(self, **settings: Any) -> Request:
        """A request for this model, with its default solver, steps and guidance; see `request_for`."""
        return request_for(self.folder, **settings)

    def __call__(self, request: Request, image: Image.Image | None = None, record: Record | None = None) -> Result:
        """Generate and wait for the result; arguments and errors as in `stream`."""
        for step in self.stream(request, previews=False, image=image, record=record):
            result = step.result
        return result

    def stream(
        self, request: Request, previews: bool = True, image: Image.Image | None = None, record: Record | None = None,
        decoded: bool = False, before_call: Callable[[], None] | None = None,
    ) -> Iterator[Step]:  # fmt: skip
        """Generate, yielding a Step after every solver step; the last one has the result. Closing stops the work.

        previews: whether steps have pictures; decoded: those of latents as sharp as the result rather than sketched.
        image: a picture to start from: it is resized to the model's size and noised to the time of the option "start",
        where the solver starts. record: an observer, see `Record`. before_call: called before every network call and
        every decoding; what it raises ends the work. Raises ValueError with one sentence, before any work, for a
        request the model cannot fulfil, and unless image and start are given together.
        """
        condition, null = self._condition(request)
        self._check(request)
        if (image is None) != (request.common_option("start") == 0):
            raise ValueError('the option "start" and a picture to start from belong together; give both or neither')
        if image is not None and self.frames:
            raise ValueError(
                f"{self.folder.id} draws clips and cannot start from a picture; leave start and the picture out"
            )
        clean = None if image is None else self._encode(image)
        if record is not None:
            record.begin(self.network, request)
        return self._steps(request, condition, null, previews, clean, record, decoded, before_call)

    @torch.inference_mode()
    def _steps(
        self, request: Request, condition: Tensor | None, null: Tensor | None, previews: bool, clean: Tensor | None,
        record: Record | None, decoded: bool, before_call: Callable[[], None] | None,
    ) -> Iterator[Step]:  # fmt: skip
        started = time.monotonic()
        with closing(self._parts(request, condition, null, clean, record, before_call)) as run:
            for index in range(request.steps):
                if record is not None:
                    record.next_step(index)
                parts = next(run)
                is_last = index + 1 == request.steps
                seconds = time.monotonic() - started
                images, clips, result, nfe = [], [], None, max(part.nfe for part in parts)
                if previews or is_last:
                    states = [part.x if is_last else part.clean for part in parts]
                    own = own_items(states, request.count)
                    images, clips = self._shown(own, is_last or decoded, before_call)
                if is_last:
                    seconds = time.monotonic() - started  # with decoding
                    pictures = [] if clips else images
                    result = Result(pictures, clips, request, self.provenance(), seconds, nfe, record)
                seconds_left = seconds / (index + 1) * (request.steps - index - 1)
                yield Step(index, request.steps, nfe, parts[0].time, images, seconds_left, result, clips)

    @torch.inference_mode()
    def _encode(self, image: Image.Image) -> Tensor:
        return self.latents.encode(to_pixels(image, self.size).to(self.device)).cpu()

    def _shown(
        self, state: Tensor, decoded: bool, before_call: Callable[[], None] | None
    ) -> tuple[list[Image.Image], list[np.ndarray]]:
        """The pictures of a state and no clips, or the middle frames of its clips and the clips."""
        frames = self.network.config.frames
        if not frames:
            return self._images(state, decoded, before_call), []
        pictures = self._images(state.flatten(0, 1), decoded, before_call)
        clips = [pictures[first : first + frames] for first in range(0, len(pictures), frames)]
        arrays = [np.stack([np.asarray(picture) for picture in clip]) for clip in clips]
        return [clip[frames // 2] for clip in clips], arrays

    def _images(self, state: Tensor, decoded: bool, before_call: Callable[[], None] | None) -> list[Image.Image]:
        """Latents as pictures of the final size, decoded one by one or sketched."""
        pixels = self._decode(state, before_call) if decoded else self.latents.preview(state)
        pictures = [Image.fromarray(picture) for picture in self.latents.to_bytes(pixels).numpy()]
        size = (state.shape[-1] * self.latents.factor, state.shape[-2] * self.latents.factor)
        return [picture if picture.size == size else picture.resize(size) for picture in pictures]

    def _decode(self, state: Tensor, before_call: Callable[[], None] | None) -> Tensor:
        pixels = []
        for item in state.split(1):
            if before_call is not None and self.latents is not PIXELS:
                before_call()
            pixels.append(self.latents.decode(item))
        return torch.cat(pixels)

    def _parts(
        self, request: Request, condition: Tensor | None, null: Tensor | None, clean: Tensor | None,
        record: Record | None, before_call: Callable[[], None] | None,
    ) -> Iterator[list[SolverStep]]:  # fmt: skip
        """The solver steps of all groups of items that share network calls."""

        def network(x: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
            if before_call is not None:
                before_call()
            return self.network(x, t, cond, scheme=request.scan)

        return sample_items(
            network,
            item_shape(self.network.config),
            [request.seed + row for row in range(request.count)],
            condition,
            null,
            request.sampling,
            prediction=self.folder.prediction,
            device=self.device,
            path=self.path,
            guided_channels=self.folder.guided_channels,
            clean=clean,
            watch=None if record is None else record.watch,
        )

    def _condition(self, request: Request) -> tuple[Tensor | None, Tensor | None]:
        """The conditions of a request to guide towards and away from: labels (1,) int64, or text features (1, ...)."""
        check_condition(self.folder, request)
        if self.text is not None:
            return self._text_condition(request, self.text)
        if self.labels is None:
            return None, None
        config = self.network.config
        null = len(self.labels) if config.null_label else None
        cond_row = null if request.label is None else self._row(request.label)
        if cond_row is None:
            raise ValueError(f"{self.folder.id} needs a label; choose one it knows, such as {self.labels[0]!r}")
        null_row = null if request.negative is None else self._row(request.negative)
        return tuple(None if row is None else torch.tensor([row], device=self.device) for row in (cond_row, null_row))

    def _text_condition(self, request: Request, text: TextTower) -> tuple[Tensor, Tensor | None]:
        """The features of prompt and negative prompt, with the empty text as their default.

        A model that was trained without empty texts is guided only if there is a negative prompt.
        """
        for prompt in (request.prompt, request.negative):
            warning = None if prompt is None else text.prompt(prompt).warning
            if warning:
                warnings.warn(warning, stacklevel=4)
        features = text.features(request.prompt or "", request.strengths)
        if request.negative is None and not self.network.config.null_label:
            return features, None
        return features, text.features(request.negative or "")

    def _row(self, label: str) -> int:
        if label not in self._rows:
            near = difflib.get_close_matches(label, self._rows, n=3, cutoff=0.4) or list(self.labels[:3])
            raise ValueError(f"{self.folder.id} knows no label {label!r}; near it: {', '.join(near)}")
        return self._rows[label]

    def _check(self, request: Request) -> None:
        size = self.size
        if request.size is not None and request.size != size:
            raise ValueError(f"{self.folder.id} draws {size[0]} x {size[1]} pixels; leave size empty or give these")
        if request.frames not in (None, self.frames):
            what = f"clips of {self.frames} frames; leave frames empty or give these" if self.frames else None
            raise ValueError(f"{self.folder.id} draws {what or 'pictures, not clips; leave frames empty'}")
        if request.scan is not None:
            self.network.orders(request.scan)
        check_options(request.solver, request.own_options, self.path.name, self.folder.prediction)

    def provenance(self) -> dict[str, Any]:
        """What determines the pixels, apart from the request: versions, weights, device, precision, backend."""
        operator = self.network.config.operator
        return {
            "zigdemo": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "weights": self.weights,
            "origin": self.folder.origin,
            "latents": self.latents.name,
            "latents_weights": self.latents.sha256,
            "text": None if self.text is None else self.text.name,
            "text_weights": None if self.text is None else self.text.sha256,
            "device": str(self.device),
            "dtype": self.dtype,
            "backend": backends.choose(operator, "auto", self.device, DTYPES[self.dtype]) if operator else "torch",
        }


class PipelineCache:
    """Loaded pipelines, as many as fit a memory budget; the least recently used is dropped first.

    Autoencoders and towers of equal weights are shared. A run that is still going keeps its own model until it ends.
    most_bytes: of all weights together, MEMORY_SHARE of the machine's memory (or the GPU's) by default; the newest
    model stays whatever it takes.
    """

    def __init__(self, most_bytes: int | None = None) -> None:
        self.most_bytes = most_bytes
        self._lock = threading.Lock()
        self._loaded: OrderedDict[Path, tuple[tuple[int, ...], Pipeline]] = OrderedDict()  # least recently used first

    def get(self, folder: zoo.ModelFolder) -> Pipeline:
        """The pipeline of a model folder, reloaded if its files were replaced. Errors as in `Pipeline`."""
        with self._lock:
            stamp, pipe = self._loaded.pop(folder.path, (None, None))
            if pipe is None or stamp != folder.stamp:
                pipe, stamp = None, folder.stamp
                self._make_room(folder.model.parameters * 4)
                pipe = self._with_shared_parts(Pipeline(folder))
            self._loaded[folder.path] = stamp, pipe
            self._make_room(0)
            return pipe

    @property
    def nbytes(self) -> int:
        """Bytes of all loaded weights, shared ones once."""
        parts = {id(part): part for _, pipe in self._loaded.values() for part in pipe.modules}
        return sum(weight.nbytes for part in parts.values() for weight in (*part.parameters(), *part.buffers()))

    def _with_shared_parts(self, pipe: Pipeline) -> Pipeline:
        for _, other in self._loaded.values():
            if pipe.latents.sha256 == other.latents.sha256:
                pipe.latents = other.latents
            if pipe.text and other.text and pipe.text.sha256 == other.text.sha256:
                pipe.text = other.text
        return pipe

    def _make_room(self, nbytes: int) -> None:
        """Drop what was not used for longest until `nbytes` more fit, but never the one used last."""
        most = memory_bytes(choose_device()) * MEMORY_SHARE if self.most_bytes is None else self.most_bytes
        before = len(self._loaded)
        while len(self._loaded) > (0 if nbytes else 1) and self.nbytes + nbytes > most:
            self._loaded.popitem(last=False)
        if len(self._loaded) < before:
            gc.collect()  # a network may refer to itself, as one in half precision does
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
