"""A fine-tuning runs by itself: its folder says how far it is, whoever started it."""

import json
import shutil
import time

import numpy as np
import psutil
import pytest
from models import LABELS, tiny_folder
from towers import small_tower
from waiting import until as wait_until

from zigdemo import zoo
from zigdemo.data.folders import Pictures
from zigdemo.training.finetuning import jobs
from zigdemo.training.finetuning.jobs import Job, Plan


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder for runs, with a tiny model among the weights."""
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    tiny_folder(tmp_path / "weights/tiny")
    yield tmp_path / "runs"
    for job in jobs.jobs(tmp_path / "runs"):
        if process := job.process():
            process.kill()


def pictures(count=4):
    images = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), np.uint8)
    return Pictures(images, ["blob"] * count, ["noise"] * count)


def plan(name="mine", **changes):
    return Plan("tiny", name, batch=4, rehearse=2, **{"steps": 4, **changes})


def until(job, right):
    """What is seen once it is right."""
    return wait_until(job.status, right)


def test_a_run_ends_with_a_model_and_is_known_by_its_folder_alone(root):
    job = jobs.start(root / "one", plan(), pictures())
    job.pause()  # or it might be done before the second asks
    until(job, lambda seen: seen.state == "paused")
    with pytest.raises(ValueError, match="is already running"):
        jobs.start(root / "two", plan("other"), pictures())
    assert not (root / "two").exists()
    job.resume()
    seen = until(Job(root / "one"), lambda seen: seen.state in jobs.ENDED)
    assert seen.state == "done" and seen.step == seen.steps == 4 and seen.sample.is_file()
    assert [step for step, _ in seen.losses] == [1, 2, 3, 4]
    assert zoo.find("mine").labels == (*LABELS, "blob") and seen.model == zoo.WEIGHTS / "mine"
    with pytest.raises(ValueError, match="is done; there is nothing to continue"):
        job.go_on()
    with pytest.raises(ValueError, match="there is a model named mine already"):
        jobs.start(root / "two", plan(), pictures())
    jobs.clean(root, 3600)
    assert [one.folder.name for one in jobs.jobs(root)] == ["one"]
    jobs.clean(root, -1)
    assert list(jobs.jobs(root)) == [] and zoo.find("mine")
    with pytest.raises(ValueError, match="no fine-tuning one any more"):
        job.status()
    jobs.start(root / "three", plan("other", steps=1), pictures())
    until(Job(root / "three"), lambda seen: seen.state == "done")
    jobs.clean(root, -1, models=True)
    assert not (zoo.WEIGHTS / "other").exists() and zoo.find("mine")


def test_a_run_pauses_is_lost_goes_on_and_stops(root):
    job = jobs.start(root / "one", plan(steps=6000), pictures())
    assert job.status().state in ("starting", "running")
    first = until(job, lambda seen: seen.step > 4)
    assert first.state == "running" and first.seconds_left > 0
    job.pause()
    paused = until(job, lambda seen: seen.state == "paused")
    time.sleep(0.5)
    assert job.status().step <= paused.step + 1
    job.resume()
    until(job, lambda seen: seen.step > paused.step + 1)

    until(job, lambda seen: list((job.run / "checkpoints").glob("*.pt")))
    job.process().kill()
    lost = until(job, lambda seen: seen.state == "lost")
    assert "Go on" in lost.sentence and lost.model is None
    job.go_on()
    until(job, lambda seen: seen.step > lost.step)
    job.stop()
    seen = until(job, lambda seen: seen.state in jobs.ENDED)
    assert seen.state == "stopped" and zoo.read_folder(seen.model).about["steps"] < 6000


def test_what_goes_wrong_is_a_sentence_and_can_be_tried_again(root):
    job = jobs.start(root / "one", plan(), pictures())
    job.stop()
    seen = until(job, lambda seen: seen.state in jobs.ENDED)
    assert seen.state == "stopped" and seen.model is None and "while starting" in seen.sentence
    shutil.move(job.folder / "data", job.folder / "gone")
    job.go_on()
    seen = until(job, lambda seen: seen.state in jobs.ENDED)
    assert seen.state == "failed" and "data" in seen.sentence and "Traceback" not in seen.sentence
    shutil.move(job.folder / "gone", job.folder / "data")
    job.go_on()
    assert until(job, lambda seen: seen.state in jobs.ENDED).state == "done"


def test_another_process_with_the_same_number_is_not_taken_for_it(root):
    (root / "one").mkdir(parents=True)
    job = Job(root / "one")
    mine = psutil.Process()
    for created, alive in ((mine.create_time(), True), (mine.create_time() - 100, False)):
        (root / "one/process.json").write_text(json.dumps({"pid": mine.pid, "created": created}))
        assert (job.process() is not None) == alive
    (root / "one/process.json").write_text("{")
    assert job.process() is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "../x"}, "letters, digits"),
        ({"name": ""}, "letters, digits"),
        ({"method": "all"}, "unknown method 'all'"),
        ({"steps": 0}, "steps must be a whole number"),
        ({"steps": 1.5}, "steps must be a whole number"),
        ({"batch": None}, "batch must be a whole number"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Plan(**{"model": "tiny", "name": "mine", **changes})


def test_a_model_of_texts_rehearses_the_prompts_of_its_plan(root, tmp_path):
    tiny_folder(tmp_path / "weights/words", text=small_tower(tmp_path / "weights/emoji-clip"))
    asked = Plan("words", "told", steps=1, batch=4, rehearse=2, prompts=["a red ball", "a café", "a dog"])
    job = jobs.start(root / "one", asked, pictures())
    assert job.plan == asked and until(job, lambda seen: seen.state in jobs.ENDED).state == "done"
    said = (root / "one/run/data/samples.jsonl").read_text(encoding="utf-8")
    assert sum(f'"{prompt}"' in said for prompt in asked.prompts) == 2 and zoo.find("told").text is not None
