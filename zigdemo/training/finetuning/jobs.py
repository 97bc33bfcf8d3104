"""Background fine-tuning jobs: each is a separate process whose state is entirely in its folder.

The state of a job can be read from its folder alone, so the page that started it may be closed or restarted. A folder
contains plan.json (the settings), data (the pictures as read), run (the trainer's run folder), process.json (process
id and start time) and said.txt (output of the process).
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

PLAN, PROCESS, LOG, STOP, PROMPTS = "plan.json", "process.json", "said.txt", "stop", "prompts.txt"
MOST_PROMPTS, PROMPT_LENGTH = 5000, 300
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
PROGRAM = Path(__file__).resolve().parents[3]  # working directory in which `python -m zigdemo...` finds the package
_STARTING = threading.Lock()  # so that pressing a button twice starts one run
ENDED = ("done", "stopped", "failed", "lost")


@dataclass(frozen=True)
class Plan:
    """Settings of a job.

    model: id of the model to start from. name: of the new model. steps: None: depends on the number of pictures.
    prompts: for a text-conditional model, the prompts to rehearse, `rehearse` of them. owner: whose it is, where many
    share the machine. Raises ValueError with one sentence for a setting out of bounds.
    """

    model: str
    name: str
    method: str = "lora"
    steps: int | None = None
    batch: int = 32
    rehearse: int = 256
    prompts: tuple[str, ...] = ()
    owner: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompts", tuple(self.prompts))  # JSON has lists
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
    """Progress of a job.

    state: "starting", "running", "paused", "stopping", or one of ENDED: "done"; "stopped", with a model of the weights
    so far, if there were any; "failed", with a sentence; "lost", if its process is gone. `go_on` continues a job
    without a model. losses: (step, mean loss). sample: the latest grid of samples. model: the folder of the result,
    once it exists.
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
    """A job, given by its folder."""

    folder: Path

    @property
    def plan(self) -> Plan:
        """The settings. Raises ValueError if the folder is not that of a job."""
        try:
            return Plan(**json.loads((self.folder / PLAN).read_text(encoding="utf-8")))
        except (OSError, TypeError, json.JSONDecodeError, UnicodeDecodeError):
            raise ValueError(f"there is no fine-tuning {self.folder.name} any more; start a new one") from None

    @property
    def run(self) -> Path:
        """The trainer's run folder."""
        return self.folder / "run"

    @property
    def out(self) -> Path:
        """The folder of the new model."""
        return zoo.WEIGHTS / self.plan.name

    def process(self) -> psutil.Process | None:
        """The running process of the job; None if it has ended, even if its process id was reused."""
        try:
            record = json.loads((self.folder / PROCESS).read_text(encoding="utf-8"))
            process = psutil.Process(int(record["pid"]))
            alive = abs(process.create_time() - record["created"]) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, TypeError, KeyError, psutil.NoSuchProcess):
            return None
        return process if alive else None

    def status(self) -> JobStatus:
        """The progress, read from the folder. Raises ValueError if the folder is not that of a job."""
        plan, process = self.plan, self.process()
        losses, seconds_left = _losses(self.run / "metrics.jsonl")
        step, steps = losses[-1][0] if losses else 0, _steps(self.run / "recipe.yaml")
        sample = max((self.run / "samples").glob("*.png"), default=None)
        done = (self.out / zoo.CONFIG).is_file()
        if process is not None and not done:
            state = "paused" if _paused(process) else "running" if losses else "starting"
            if (self.folder / STOP).is_file():
                state = "stopping"
            return JobStatus(state, step, steps, seconds_left, losses, sample, "", None)
        if done:
            finished_steps = zoo.read_folder(self.out).about.get("steps", steps)
            state = "done" if not isinstance(finished_steps, int) or finished_steps >= steps else "stopped"
            return JobStatus(state, step, steps, None, losses, sample, "", self.out)
        if (self.folder / STOP).is_file():
            rest = "it can continue from its last checkpoint" if checkpoints(self.run) else "nothing was saved yet"
            return JobStatus("stopped", step, steps, None, losses, sample, f"Stopped while starting; {rest}.", None)
        errors = [line for line in _log_text(self.folder).splitlines() if line.startswith("error: ")]
        if errors:
            return JobStatus("failed", step, steps, None, losses, sample, errors[-1].removeprefix("error: "), None)
        sentence = f"The process of {plan.name} is gone; Go on continues from its last checkpoint."
        return JobStatus("lost", step, steps, None, losses, sample, sentence, None)

    def pause(self) -> None:
        """Suspend the process; it keeps its memory."""
        if process := self.process():
            process.suspend()

    def resume(self) -> None:
        """Resume the suspended process."""
        if process := self.process():
            process.resume()

    def stop(self) -> None:
        """Make it end after the current step and write the model as it is then, even if it is paused."""
        if process := self.process():
            (self.folder / STOP).touch()
            process.terminate()  # the trainer stops after the current step
            process.resume()

    def go_on(self) -> None:
        """Restart the process from its last checkpoint. Raises ValueError if it is running or done."""
        status = self.status()
        if status.model or status.state not in ENDED:
            raise ValueError(f"the fine-tuning is {status.state}; there is nothing to continue")
        refuse_a_second(self.folder.parent)
        (self.folder / STOP).unlink(missing_ok=True)
        self._start(resume=bool(checkpoints(self.run)))

    def delete(self) -> None:
        """Delete the model and everything else of the job. Raises ValueError while it is running."""
        if (state := self.status().state) not in ENDED:
            raise ValueError(f"the fine-tuning is {state}; stop it first")
        shutil.rmtree(self.out, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, resume: bool) -> None:
        """Start the process and record it. resume: from the last checkpoint, else the run folder is emptied first."""
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
        with (self.folder / LOG).open("wb") as log:
            child = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, **settings)
        process = psutil.Process(child.pid)
        if os.name == "posix":
            process.nice(5)  # so that the page stays responsive
        record = {"pid": child.pid, "created": process.create_time()}
        (self.folder / PROCESS).write_text(json.dumps(record), encoding="utf-8")
        threading.Thread(target=child.wait, daemon=True).start()  # reaps the child, so that it leaves no zombie


def start(folder: Path, plan: Plan, pictures: Pictures) -> Job:
    """Start a fine-tuning in a new folder. pictures: as returned by `read_pictures`, at the model's resolution.

    Raises ValueError with one sentence if another one is running in the parent folder or a model of that name exists.
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
    """The jobs in a folder, newest first."""
    folders = [folder for folder in root.glob("*/") if (folder / PLAN).is_file()]
    for folder in sorted(folders, key=lambda folder: -(folder / PLAN).stat().st_mtime):
        try:
            Job(folder).status()
        except ValueError:  # damaged, or of another version
            continue
        yield Job(folder)


def refuse_a_second(root: Path) -> None:
    """Check that no job in the folder is running or paused, as two at once would halve each other's speed.

    Raises ValueError if one is.
    """
    for job in jobs(root):
        if job.process() is not None and job.status().state not in ENDED:
            raise ValueError("another fine-tuning is already running; wait until it is done, or stop it")


def clean(root: Path, seconds: float, models: bool = False) -> None:
    """Delete ended jobs that were started more than `seconds` ago. models: also delete the models they made."""
    for job in jobs(root):
        if job.status().state in ENDED and time.time() - (job.folder / PLAN).stat().st_mtime > seconds:
            if models:
                shutil.rmtree(job.out, ignore_errors=True)
            shutil.rmtree(job.folder, ignore_errors=True)


def _is_line(prompt: object) -> bool:
    """Whether a prompt is one line of at most PROMPT_LENGTH characters."""
    return isinstance(prompt, str) and len(prompt) <= PROMPT_LENGTH and len(prompt.splitlines()) == 1


def _paused(process: psutil.Process) -> bool:
    """Whether a process is suspended; False if it has just ended."""
    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def _losses(file: Path) -> tuple[list[tuple[int, float]], float | None]:
    """Steps with their losses, and the seconds left according to the last line; incomplete lines are skipped."""
    losses: list[tuple[int, float]] = []
    seconds_left = None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return losses, seconds_left
    for line in lines:
        try:
            values = json.loads(line)
            losses.append((int(values["step"]), float(values["loss"])))
            seconds_left = float(values["seconds_left"])
        except (ValueError, TypeError, KeyError):
            continue
    return losses, seconds_left


def _steps(recipe: Path) -> int:
    """The total steps of a run; 0 before its recipe is written."""
    try:
        return int(yaml.safe_load(recipe.read_text(encoding="utf-8"))["steps"])
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return 0


def _log_text(folder: Path) -> str:
    """The end of the output of a job's process."""
    try:
        return (folder / LOG).read_text(encoding="utf-8", errors="replace")[-20_000:]
    except OSError:
        return ""
