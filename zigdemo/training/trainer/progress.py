"""Progress of a run: metrics.jsonl, console and trackers; and stopping on signals."""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .checkpoints import cut_metrics
from .recipe import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator


def check_trackers(names: list[str]) -> None:
    """Check that the packages of trackers are installed. Raises ValueError for one that is not."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ValueError(f"tracker {name} is not installed; run `pip install {name}` or remove it from trackers")


class Journal:
    """Logs metrics to metrics.jsonl, the console and the recipe's trackers; a context manager around the run.

    With several processes only the main one writes.
    """

    def __init__(self, recipe: Recipe, accelerator: Accelerator, folder: Path, step: int) -> None:
        self.accelerator, self.file, self.steps, self.bar = accelerator, folder / "metrics.jsonl", recipe.steps, None
        self.main = accelerator.is_main_process
        if self.main:
            cut_metrics(self.file, step)
        if recipe.trackers:
            config = {key: value for key, value in asdict(recipe).items() if isinstance(value, int | float | str)}
            accelerator.init_trackers(recipe.name, config=config)

    def __enter__(self) -> Journal:
        if self.main and sys.stdout.isatty() and importlib.util.find_spec("rich"):
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            self.bar = Progress(*columns)
            self.task = self.bar.add_task("training", total=self.steps)
            self.bar.start()
        return self

    def __exit__(self, *fault: object) -> None:
        if self.bar:
            self.bar.stop()
        if self.accelerator.log_with:
            self.accelerator.end_training()

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Write one line of values at a step; the numbers among them also go to the trackers."""
        if not self.main:
            return
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self.accelerator.log_with:
            self.accelerator.log({k: v for k, v in values.items() if isinstance(v, int | float)}, step=step)

    def training(self, step: int, loss: float, speed: float, left: float) -> None:
        """Log the mean loss since the last line. speed: images per second; left: seconds to the last step."""
        values = {"loss": round(loss, 5), "images_per_second": round(speed, 1), "seconds_left": round(left)}
        self.write(step, values)
        summary = f"loss {loss:.4f}, {speed:.0f} images/s"
        if self.bar:
            self.bar.update(self.task, completed=step, description=summary)
        else:
            self.say(f"step {step}: {summary}, {left / 60:.0f} min left")

    def say(self, sentence: str) -> None:
        """Print a sentence to the console."""
        if self.main:
            (self.bar.console.print if self.bar else print)(sentence)


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM calls `stop`, a second one has its usual effect.

    In another thread than the main one, which cannot handle signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: object) -> None:
        stop()
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
