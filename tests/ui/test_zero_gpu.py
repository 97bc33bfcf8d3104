"""On a ZeroGPU Space long runs go to a process that is forked for them: plain data crosses, and Stop reaches it.

The package `spaces` works only on such a Space. Its stand-in here forks, pickles and stops as the real one does.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from models import tiny_folder

from zigdemo.ui import zero_gpu

ROOT = Path(__file__).parents[2]
SPACES = """
import multiprocessing, pickle

def GPU(duration):
    def decorate(task):
        def call(*args):
            seconds.append(duration(*args))
            fork = multiprocessing.get_context("fork")
            values, stop, given = fork.Queue(), fork.Event(), pickle.dumps(args)
            def work():
                for value in task(*pickle.loads(given)):
                    values.put(pickle.dumps(value))
                    if stop.is_set():
                        break
                values.put(None)
            process = fork.Process(target=work, daemon=True)
            process.start()
            try:
                while (value := values.get()) is not None:
                    yield pickle.loads(value)
            finally:
                stop.set()
                process.join()
        return call
    return decorate

seconds = []
"""
PROGRAM = """
import json
import torch
torch.set_num_threads(1)
import spaces
from zigdemo.devices import choose_device
from zigdemo.pipeline import Request
from zigdemo.ui import runs, zero_gpu
from zigdemo.ui.turns import CURRENT, TURNS, Run

zero_gpu.DEVICE = "cpu"
run, other = Run("a", 60.0), Run("b", 0.1)
for one in (run, other):
    TURNS.join(one)
CURRENT.set(run)

def drawn(stop_after=1000, **settings):
    steps, turns, fault = [], 0, None
    request = Request("tiny", **{"label": "red heart", "steps": 5, "count": 2, "seed": 3, **settings})
    try:
        for step in runs._computed(runs._pipeline(request), request, run.stop.is_set, image=None, record=None):
            steps.append(step)
            turns += TURNS.take(other)
            if len(steps) == stop_after:
                run.stop.set()
    except ValueError as error:
        fault = str(error)
    run.stop.clear()
    result = steps[-1].result if steps else None
    return {"steps": len(steps), "turns of others": turns, "refused": fault, "forks": len(spaces.seconds),
            "pixels": result and [image.tobytes().hex() for image in result.images]}

answer = {"device": str(choose_device()), "nothing": zero_gpu.is_worth_it(0.1)}
TURNS.leave(other)
answer["here"] = drawn()
TURNS.join(other)
zero_gpu.WORTH_SECONDS = 0.0
answer["lent"] = drawn()
answer["stopped"] = drawn(1, steps=200)
answer["refused"] = drawn(label="no such label")
print(json.dumps({**answer, "seconds": spaces.seconds}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What a program on such a Space saw: a short run, a long one, a stopped one, and one that is refused."""
    folder = tmp_path_factory.mktemp("zero")
    tiny_folder(folder / "weights/tiny")
    (folder / "spaces.py").write_text(SPACES)
    env = dict(os.environ, SPACES_ZERO_GPU="true", ZIGDEMO_WEIGHTS=str(folder / "weights"), OMP_NUM_THREADS="1",
               PYTHONPATH=f"{folder}{os.pathsep}{ROOT}", CUDA_VISIBLE_DEVICES="")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_short_run_is_computed_here_on_the_cpu(seen):
    assert seen["device"] == "cpu" and not seen["nothing"]
    assert seen["here"]["forks"] == 0 and seen["here"]["steps"] == 5


def test_a_long_run_is_computed_in_another_process_with_the_same_pixels_while_others_have_the_turn(seen):
    assert seen["lent"]["forks"] == 1 and seen["lent"]["steps"] == 5
    assert seen["lent"]["pixels"] == seen["here"]["pixels"]
    assert seen["lent"]["turns of others"] > 0


def test_stop_ends_it_at_the_next_step(seen):
    assert seen["stopped"]["steps"] == 1 and seen["stopped"]["pixels"] is None


def test_what_is_refused_is_one_sentence_before_a_gpu_is_asked_for(seen):
    assert "no such label" in seen["refused"]["refused"] and seen["refused"]["forks"] == 2


def test_the_gpu_is_asked_for_as_long_as_the_estimate_says(seen):
    assert len(seen["seconds"]) == 2 and all(20 <= seconds <= 120 for seconds in seen["seconds"])


def test_elsewhere_nothing_of_it_is_used():
    assert not zero_gpu.is_lent() and not zero_gpu.is_worth_it(1e9)
