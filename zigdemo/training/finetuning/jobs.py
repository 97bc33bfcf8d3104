"""Fine-tunings that run by themselves: each a process of its own, whose whole state is its folder.

Whoever looks at a folder knows how far its run is; so the page that started one may be closed, or end. A folder has
plan.json (what was asked), data (the pictures as they were read), run (the trainer's folder), process.json (who runs
it) and said.txt (what that wrote).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import yaml

from ... import zoo
from ...checks import choice, whole
from ...data.folders import Pictures
from ...data.preparation import write_image_set
from ..trainer.checkpoints import checkpoints
from ..trainer.lora import METHODS

PLAN, PROCESS, SAID, STOP, PROMPTS = "plan.json", "process.json", "said.txt", "stop", "prompts.txt"
MOST_PROMPTS, PROMPT_LENGTH = 5000, 300
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
PROGRAM = Path(__file__).resolve().parents[3]  # where `python -m zigdemo...` finds the package
_STARTING = threading.Lock()  # two presses of a button start one run
ENDED = ("done", "stopped", "failed", "lost")


@dataclass(frozen=True)
class Plan:
    """What a person asked for.

    model: an id to start from. name: of the new model. steps: None by the data. prompts: what a model of texts is to
    go on drawing, of which `rehearse` are drawn once.
    """

    model: str
    name: str
    method: str = "lora"
    steps: int | None = None
    batch: int = 32
    rehearse: int = 256
    prompts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompts", tuple(self.prompts))  # a list in a file
        if len(self.prompts) > MOST_PROMPTS or not all(_is_line(prompt) for prompt in self.prompts):
            raise ValueError(f"give {MOST_PROMPTS:,} prompts at most, one a line of {PROMPT_LENGTH} characters at most")
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise ValueError("the name of the new model must be of letters, digits and - _ ., 60 at most")
        choice("method", self.method, METHODS)
        if self.steps is not None:
            whole("steps", self.steps, 1, 100_000)
        whole("batch", self.batch, 1, 1024)
        whole("rehearse", self.rehearse, 0, 100_000)


@dataclass(frozen=True)
class JobStatus:
    """How far a run is.

    state: "starting", "running", "paused", "stopping", or of ENDED: "done"; "stopped", with a model of what there was
    by then, if anything; "failed", with a sentence; "lost", where its process is gone. `go_on` mends what has no
    model. losses: (step, mean loss). sample: the newest picture of samples. model: the folder of the result, once it
    is there.
    """

    state: str
    step: int
    steps: int
    seconds_left: float | None
    losses: list[tuple[int, float]]
    sample: Path | None
    sentence: str
    model: Path | None


@dataclass(frozen=True)
class Job:
    """A run by its folder."""

    folder: Path

    @property
    def plan(self) -> Plan:
        """What was asked. Raises ValueError where the folder is none of a run."""
        try:
            return Plan(**json.loads((self.folder / PLAN).read_text(encoding="utf-8")))
        except (OSError, TypeError, json.JSONDecodeError, UnicodeDecodeError):
            raise ValueError(f"there is no fine-tuning {self.folder.name} here any more; start a new one") from None

    @property
    def run(self) -> Path:
        """The trainer's folder."""
        return self.folder / "run"

    @property
    def out(self) -> Path:
        """The folder of the new model."""
        return zoo.WEIGHTS / self.plan.name

    def process(self) -> psutil.Process | None:
        """The process that works on it; None where it has ended, though another one may have its number now."""
        try:
            said = json.loads((self.folder / PROCESS).read_text(encoding="utf-8"))
            found = psutil.Process(int(said["pid"]))
            alive = abs(found.create_time() - said["created"]) < 1 and found.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, TypeError, KeyError, psutil.NoSuchProcess):
            return None
        return found if alive else None

    def status(self) -> JobStatus:
        """How far it is, from its folder alone."""
        plan, process = self.plan, self.process()
        losses, left = _losses(self.run / "metrics.jsonl")
        step, steps = losses[-1][0] if losses else 0, _steps(self.run / "recipe.yaml")
        sample = max((self.run / "samples").glob("*.png"), default=None)
        done = (self.out / zoo.CONFIG).is_file()
        if process is not None and not done:
            state = "paused" if _paused(process) else "running" if losses else "starting"
            if (self.folder / STOP).is_file():
                state = "stopping"
            return JobStatus(state, step, steps, left, losses, sample, "", None)
        if done:
            made = zoo.read_folder(self.out).about.get("steps", steps)
            state = "done" if not isinstance(made, int) or made >= steps else "stopped"
            return JobStatus(state, step, steps, None, losses, sample, "", self.out)
        if (self.folder / STOP).is_file():
            kept = "it goes on from its last checkpoint" if checkpoints(self.run) else "there was nothing to keep yet"
            return JobStatus(
                "stopped", step, steps, None, losses, sample, f"Stopped while it was starting; {kept}.", None
            )
        errors = [line for line in _said(self.folder).splitlines() if line.startswith("error: ")]
        if errors:
            return JobStatus("failed", step, steps, None, losses, sample, errors[-1].removeprefix("error: "), None)
        sentence = f"The process of {plan.name} is gone; Go on starts from its last checkpoint."
        return JobStatus("lost", step, steps, None, losses, sample, sentence, None)

    def pause(self) -> None:
        """Let the process rest where it is; its memory stays."""
        if process := self.process():
            process.suspend()

    def resume(self) -> None:
        """Let it work again."""
        if process := self.process():
            process.resume()

    def stop(self) -> None:
        """Ask it to end after the step it is in and to write the model as it is by then; paused or not."""
        if process := self.process():
            (self.folder / STOP).touch()
            process.terminate()  # the trainer takes it as a polite request
            process.resume()

    def go_on(self) -> None:
        """Start the process again from its last checkpoint. Raises ValueError where it still works or is done."""
        seen = self.status()
        if seen.model or seen.state not in ENDED:
            raise ValueError(f"the fine-tuning is {seen.state}; there is nothing to go on with")
        refuse_a_second(self.folder.parent)
        (self.folder / STOP).unlink(missing_ok=True)
        self._start(resume=bool(checkpoints(self.run)))

    def _start(self, resume: bool) -> None:
        plan = self.plan
        if not resume:
            shutil.rmtree(self.run, ignore_errors=True)
        command = [sys.executable, "-m", "zigdemo.training.finetune", plan.model, self.folder / "data", self.out]
        command += ["--run", self.run, "--method", plan.method, "--batch", plan.batch, "--rehearse", plan.rehearse]
        command += [*(("--steps", plan.steps) if plan.steps else ()), *(("--resume",) if resume else ())]
        if plan.prompts:
            (self.folder / PROMPTS).write_text("\n".join(plan.prompts), encoding="utf-8")
            command += ["--prompts", self.folder / PROMPTS]
        environment = {**os.environ, "ZIGDEMO_WEIGHTS": str(zoo.WEIGHTS), "PYTHONUNBUFFERED": "1"}
        settings = {"cwd": PROGRAM, "env": environment, "stdin": subprocess.DEVNULL, "start_new_session": True}
        with (self.folder / SAID).open("wb") as said:
            child = subprocess.Popen(list(map(str, command)), stdout=said, stderr=said, **settings)
        process = psutil.Process(child.pid)
        if os.name == "posix":
            process.nice(5)  # so that the page stays quick
        who = {"pid": child.pid, "created": process.create_time()}
        (self.folder / PROCESS).write_text(json.dumps(who), encoding="utf-8")
        threading.Thread(target=child.wait, daemon=True).start()  # so that no zombie is left


def start(folder: Path, plan: Plan, pictures: Pictures) -> Job:
    """Start a fine-tuning in a new folder. pictures: as `read_pictures` gives them, at the size of the model.

    Raises ValueError with one sentence where another one runs beside it, or a model of that name is there.
    """
    with _STARTING:
        refuse_a_second(folder.parent)
        if (zoo.WEIGHTS / plan.name).exists():
            raise ValueError(f"there is a model named {plan.name} already; choose another name")
        job = Job(folder)
        folder.mkdir(parents=True)
        write_image_set(folder / "data", pictures.images, pictures.samples(), {"dataset": "fine-tuning"})
        (folder / PLAN).write_text(json.dumps(asdict(plan)), encoding="utf-8")
        job._start(resume=False)
    return job


def jobs(root: Path) -> Iterator[Job]:
    """The runs in a folder, the newest first."""
    found = [folder for folder in root.glob("*/") if (folder / PLAN).is_file()]
    for folder in sorted(found, key=lambda folder: -(folder / PLAN).stat().st_mtime):
        try:
            Job(folder).status()
        except ValueError:  # damaged, or of another version
            continue
        yield Job(folder)


def refuse_a_second(root: Path) -> None:
    """Raise ValueError where a run in the folder is at work or paused: two would halve each other's speed."""
    for job in jobs(root):
        if job.process() is not None and job.status().state not in ENDED:
            raise ValueError("a fine-tuning is running here already; wait until it is done, or stop it")


def clean(root: Path, seconds: float, models: bool = False) -> None:
    """Delete runs that ended and began longer ago than that. models: and what they made, which stays otherwise."""
    for job in jobs(root):
        if job.status().state in ENDED and time.time() - (job.folder / PLAN).stat().st_mtime > seconds:
            if models:
                shutil.rmtree(job.out, ignore_errors=True)
            shutil.rmtree(job.folder, ignore_errors=True)


def _is_line(prompt: object) -> bool:
    return isinstance(prompt, str) and len(prompt) <= PROMPT_LENGTH and len(prompt.splitlines()) == 1


def _paused(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def _losses(file: Path) -> tuple[list[tuple[int, float]], float | None]:
    """Steps with their losses, and the seconds left by the last of them; lines that are half written are left out."""
    found: list[tuple[int, float]] = []
    left = None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return found, left
    for line in lines:
        try:
            said = json.loads(line)
            found.append((int(said["step"]), float(said["loss"])))
            left = float(said["seconds_left"])
        except (ValueError, TypeError, KeyError):
            continue
    return found, left


def _steps(recipe: Path) -> int:
    """The steps a run will have; 0 before it has begun."""
    try:
        return int(yaml.safe_load(recipe.read_text(encoding="utf-8"))["steps"])
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return 0


def _said(folder: Path) -> str:
    """What its process wrote, the end of it."""
    try:
        return (folder / SAID).read_text(encoding="utf-8", errors="replace")[-20_000:]
    except OSError:
        return ""
