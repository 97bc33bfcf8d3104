"""Fine-tuning in a real browser: pictures, preview, start, a reload in the middle, and the new model in Generate."""

import pytest
from models import tiny_folder
from pages import serving, show_tab
from PIL import Image

from zigdemo import zoo
from zigdemo.training.finetuning.jobs import jobs
from zigdemo.ui.tuning import runs_folder

pytestmark = pytest.mark.browser


@pytest.fixture
def page_of_its_own(tmp_path):
    tiny_folder(tmp_path / "weights/tiny")
    with serving(tmp_path / "weights") as url:
        yield url
        for job in jobs(runs_folder()):
            if process := job.process():
                process.kill()


def test_new_pictures_become_a_model_though_the_page_is_reloaded(visit, page_of_its_own, tmp_path):
    for number in range(3):
        Image.new("RGB", (32, 32), (200, 40 * number, 30)).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_text("no picture")
    page = visit(page_of_its_own)
    show_tab(page, "Fine-tune")
    page.locator("#finetune-label textarea, #finetune-label input").fill("brick")
    page.locator("#finetune-files input[type=file]").set_input_files([str(tmp_path / f"{i}.png") for i in range(4)])
    page.wait_for_selector("#finetune-look figure >> text=brick")
    page.wait_for_selector("#finetune-said >> text=3.png")
    assert page.locator("#finetune-look figure").count() == 3
    page.locator("#finetune-name textarea, #finetune-name input").fill("bricks")
    page.get_by_role("button", name="More: what learns").click()
    page.get_by_label("Steps", exact=True).locator("visible=true").fill("20000")
    page.get_by_label("Pictures per step").fill("4")
    page.locator("#finetune-start").click()
    page.wait_for_selector("#finetune-curve path")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_selector("#finetune-line >> text=paused at step")
    page.reload()
    page.wait_for_selector("button")
    show_tab(page, "Fine-tune")
    page.wait_for_selector("#finetune-line >> text=paused at step")
    page.get_by_role("button", name="Resume").click()
    page.wait_for_selector("#finetune-line >> text=of 20,000, loss")
    page.get_by_role("button", name="Stop").locator("visible=true").click()
    page.get_by_role("button", name="Use it in Generate").click()
    page.wait_for_selector("#preview")
    assert page.get_by_label("Model").locator("visible=true").input_value().startswith("bricks")
    page.get_by_role("button", name="Generate", exact=True).click()
    page.wait_for_selector("#result img")
    assert "brick" in zoo.read_folder(tmp_path / "weights/bricks").labels
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
