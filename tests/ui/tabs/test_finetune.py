"""The Fine-tune tab: what was given is read and shown, faults are sentences, and nothing that was given is lost."""

import json
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from models import LABELS, tiny_folder
from PIL import Image
from towers import small_tower

from zigdemo import zoo
from zigdemo.data.folders import Pictures
from zigdemo.training.finetuning.jobs import Job, JobStatus
from zigdemo.ui import tuning
from zigdemo.ui.files import runs_folder
from zigdemo.ui.tabs import finetune as tab


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A tiny model among the weights, and a folder of three pictures, one of which is none."""
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setattr(tab.runs.gr, "Warning", lambda said: None)
    tiny_folder(tmp_path / "weights/tiny")
    tiny_folder(tmp_path / "weights/tiny-clips", frames=3, scheme="factorized-st", frame_position=True)
    (tmp_path / "given").mkdir()
    for name in ("a red ball", "b_2"):
        Image.new("RGB", (40, 30), "red").save(tmp_path / f"given/{name}.png")
    (tmp_path / "given/text.png").write_text("no picture")
    return tmp_path / "given"


def here_page():
    """A request of who sits at this machine."""
    return SimpleNamespace(client=SimpleNamespace(host="127.0.0.1"), headers={"host": "127.0.0.1:7860"})


def test_files_a_zip_and_a_folder_are_read_alike(here, tmp_path):
    files = sorted(map(str, here.iterdir()))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
        for file in files:
            packed.write(file, file.rsplit("/", 1)[-1])
    for given in ((files, None), ([str(tmp_path / "all.zip")], None), (None, f" {here} ")):
        found, preview, line, steps = tab._preview(here_page(), "tiny", *given, " ball ")
        assert found.labels == ["ball", "ball"] and found.images.shape == (2, 16, 16, 3)
        assert preview.count("<figure>") == 2 and preview.count("data:image/png") == 2
        assert "**2 pictures**, label: ball." in line and "text.png" in preview and "text.png" not in line
        assert steps["placeholder"] == "automatic: 200"


def test_two_files_of_a_name_both_stay(here, tmp_path):
    (tmp_path / "other").mkdir()
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "other/b_2.png")
    found = tuning.read("tiny", [str(here / "b_2.png"), str(tmp_path / "other/b_2.png")], None, "x")
    assert len(found.images) == 2 and not np.array_equal(*found.images)


@pytest.mark.parametrize(
    ("model", "files", "folder", "said"),
    [
        ("tiny", None, None, "give pictures first"),
        ("tiny", None, "  ", "give pictures first"),
        ("tiny", None, "/nowhere/at/all", "nowhere"),
        ("tiny-clips", None, ".", "cannot be fine-tuned here"),
        ("../tiny", None, ".", "cannot be fine-tuned here"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(here, model, files, folder, said):
    found, preview, line, steps = tab._preview(here_page(), model, files, folder, None)
    assert steps["placeholder"] == "automatic" and "value" not in steps
    assert found is None and preview == "" and said in line.replace("\\", "") and "\n" not in line


def test_strangers_give_no_paths_and_little(here, monkeypatch):
    monkeypatch.setenv("SPACE_ID", "someone/zigdemo")
    with pytest.raises(ValueError, match="only who sits at this machine may name its folders"):
        tuning.read("tiny", None, str(here), None, is_stranger=True)
    many = Pictures(np.zeros((201, 16, 16, 3), np.uint8), ["x"] * 201, [""] * 201)
    monkeypatch.setattr(tuning, "read_pictures", lambda *given: many)
    with pytest.raises(ValueError, match="these are 201 pictures; give 200 at most here"):
        tuning.read("tiny", ["x.png"], None, None)
    assert tuning.plan_of("tiny", "mine", "lora", None, None, None, many)[0].steps == 600
    with pytest.raises(ValueError, match="steps must be a whole number from 1 to 600, not 601"):
        tuning.plan_of("tiny", "mine", "lora", 601.0, None, None, many)
    with pytest.raises(ValueError, match="batch must be a whole number from 1 to 64, not 65"):
        tuning.plan_of("tiny", "mine", "lora", None, 65, None, many)
    assert tab.earlier_runs() == []


def pictures(count=20):
    return Pictures(np.zeros((count, 16, 16, 3), np.uint8), ["x"] * count, [""] * count)


def test_a_plan_has_the_trainers_own_steps_where_none_are_given(here):
    plan, asked = tuning.plan_of("tiny", " mine ", "lora", None, 8.0, None, pictures())
    assert (plan.name, plan.steps, plan.batch) == ("mine", 300, 8) and asked.steps == 300
    for typed, steps in ((" ", 300), ("", 300), (" 40 ", 40)):
        assert tuning.plan_of("tiny", "mine", "lora", typed, 8, None, pictures())[0].steps == steps
    for changes in (
        {"steps": 1.5},
        {"steps": "0"},
        {"steps": "many"},
        {"steps": "9" * 5000},
        {"batch": -1},
        {"name": "a/b"},
        {"method": "x"},
    ):
        given = {"name": "mine", "method": "lora", "steps": 5, "batch": 4, **changes}
        with pytest.raises(ValueError, match=r"must be|unknown"):
            tuning.plan_of("tiny", given["name"], given["method"], given["steps"], given["batch"], None, pictures())


def test_the_empty_box_of_steps_shows_what_a_plan_takes(here, monkeypatch):
    for count in (1, 20, 500, 100_000):
        taken = tuning.plan_of("tiny", "mine", "lora", None, 8, None, pictures(count))[0].steps
        assert tab._steps_box(count)["placeholder"] == f"automatic: {taken:,}"
    monkeypatch.setenv("SPACE_ID", "someone/zigdemo")
    assert tab._steps_box(100_000)["placeholder"] == "automatic: 600"


def test_a_new_model_is_named_after_the_one_it_starts_from_unless_a_name_was_typed(here, tmp_path):
    assert tuning.new_name("tiny") == "my-tiny" == tuning.new_name("my-tiny")
    (tmp_path / "weights/my-tiny").mkdir()
    assert tuning.new_name("tiny") == "my-tiny-2"
    assert len(tuning.new_name("x" * 60)) <= 60
    for name in ("my-tiny-2", "", " "):
        assert tab._of_model("tiny", name)[1] == "my-tiny-2"
    assert tab._of_model("tiny", "mine")[1] == tab.SKIP


def named(values):
    return dict(zip(tab.OUTPUTS, values, strict=True))


def test_start_says_what_is_wrong_and_changes_nothing_else(here):
    found = named(tab._start(here_page(), pictures(), "tiny", "tiny", "lora", 2, 2, None))
    assert "a model named tiny already" in found["line"]
    assert all(found[key] == tab.SKIP for key in tab.OUTPUTS if key != "line")
    assert list(tab._start(here_page(), None, "tiny", "mine", "lora", 2, 2, None)) == [tab.SKIP] * len(
        tab.OUTPUTS
    )  # the look said why


@pytest.mark.parametrize("name", [None, "", "../../etc", "nothing-here", 7])
def test_a_name_that_is_no_run_shows_nothing_and_opens_no_path(here, name):
    found = named(tab._status_updates(name))
    assert found["job"] is None and found["timer"].active is False and found["line"] == tab.SKIP
    assert named(tab._press(name, "Stop"))["line"]
    assert tab._pack(name) == tab.SKIP and tab._use(name) == (tab.SKIP, tab.SKIP)


def test_each_state_has_its_line_and_its_buttons(here, monkeypatch):
    folder = runs_folder() / "one"
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"model": "tiny", "name": "mine"}))
    for state, left, said in (
        ("starting", None, "reads the pictures"),
        ("running", 130.0, "step 4 of 9, loss 0.500, about 2 minutes left"),
        ("paused", None, "paused at step 4 of 9"),
        ("stopping", None, "stops after the current step"),
        ("failed", None, "a \\*sentence"),
        ("lost", None, "a \\*sentence"),
        ("done", None, "in the list of models"),
    ):
        model = folder if state == "done" else None
        seen = JobStatus(state, 4, 9, left, [(1, 1.0), (4, 0.5)], None, "a *sentence", model)
        monkeypatch.setattr(Job, "status", lambda self, seen=seen: seen)
        found = named(tab._status_updates("one"))
        going = state in ("starting", "running", "paused", "stopping")
        assert said in found["line"] and found["timer"].active == going
        assert [found[key]["visible"] for key in ("pause", "stop")] == [going and state != "stopping", going]
        assert found["go_on"]["visible"] == (state in ("failed", "lost"))
        assert found["use"]["visible"] == found["pack"]["visible"] == (state == "done")
        assert found["pause"]["value"] == ("Resume" if state == "paused" else "Pause")
        assert "<path" in found["curve"] and "9 steps" in found["curve"]


def test_the_text_of_a_stranger_is_text(here):
    strange = Pictures(np.zeros((1, 16, 16, 3), np.uint8), ["<b>[x](http://a)</b>"], [""], ["![x](http://b).png: none"])
    line, preview = tuning.look_line(strange), tuning.look_html(strange)
    assert "](http" not in line and "<b>" not in line and "<b>" not in preview


def test_the_estimate_is_measured_here(here):
    lines = list(tab._estimate(pictures(4), "tiny", "", "lora", 3, 2, None))
    assert lines[0].startswith("Trying") and "3 steps: about" in lines[1] and "GB here" in lines[1]
    assert "there are no pictures yet" in next(iter(tab._estimate(None, "tiny", "", "lora", 3, 2, None)))
    assert zoo.find("tiny").labels == tuple(LABELS)


def test_a_model_of_texts_keeps_what_it_is_told_and_is_offered_the_names_of_its_data(here, tmp_path):
    tiny_folder(tmp_path / "weights/words", text=small_tower(tmp_path / "weights/emoji-clip"))
    assert "words" in [name for _, name in tuning.starts()]
    assert tab._prompts_box("tiny")["visible"] is False and tuning.rehearsal_prompts("words") == []
    for name, about in (("tiny", {"data": "emoji"}), ("words", {"data": "emoji"})):
        config = tmp_path / "weights" / name / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "about": about}))
    assert tab._prompts_box("words") == {"value": "\n".join(LABELS), "visible": True}
    plan, asked = tuning.plan_of("words", "mine", "lora", 5, 4, "a\n\n  b c \n", pictures())
    assert plan.prompts == asked.prompts == ("a", "b c")
    assert tuning.plan_of("tiny", "mine", "lora", 5, 4, "a", pictures())[0].prompts == ()
    with pytest.raises(ValueError, match="one a line of 300 characters at most"):
        tuning.plan_of("words", "mine", "lora", 5, 4, "x" * 301, pictures())
