"""Fine-tuning in a real browser: pictures, preview, start, a reload in the middle, and the new model in Draw."""

import io
import re
import tarfile
import zipfile

import pytest
from models import tiny_folder
from pages import serving, show_tab
from PIL import Image
from playwright.sync_api import expect

from zigdemo import zoo
from zigdemo.training.finetuning.jobs import jobs
from zigdemo.ui.files import runs_folder

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
    page.wait_for_selector("#finetune-look .left-out >> text=1 file left out")
    expect(page.locator("#finetune-look figure")).to_have_count(3)
    page.locator("#finetune-name textarea, #finetune-name input").fill("bricks")
    page.get_by_role("button", name="More: what learns").click()
    steps = page.locator("#finetune-steps :is(input, textarea)")
    expect(steps).to_have_value("")
    expect(steps).to_have_attribute("placeholder", "automatic: 200")
    steps.fill("20000")
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
    page.get_by_role("button", name="Draw with it").click()
    page.wait_for_selector("#preview")
    expect(page.get_by_label("Model").locator("visible=true")).to_have_value(re.compile("^bricks"))
    page.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_selector("#result img")
    assert "brick" in zoo.read_folder(tmp_path / "weights/bricks").labels
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_a_messy_upload_shows_what_is_learned_and_what_is_not_before_the_start(visit, page_of_its_own, tmp_path):
    def png(colour):
        out = io.BytesIO()
        Image.new("RGB", (24, 24), colour).save(out, "PNG")
        return out.getvalue()

    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        archive.writestr("dog/a.png", png("red"))
        archive.writestr("__MACOSX/dog/._a.png", b"x")
    with zipfile.ZipFile(tmp_path / "mac.zip", "w") as archive:  # the name in UTF-8 bytes without the flag
        archive.writestr("~~~~~~~~/b.png", png("blue"))
    packed = (tmp_path / "mac.zip").read_bytes().replace(b"~~~~~~~~", "коты".encode())
    (tmp_path / "mac.zip").write_bytes(packed)
    with tarfile.open(tmp_path / "three.tar.gz", "w:gz") as archive:
        for name, content in (("c.png", png("green")), ("c.txt", b"a green field")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    (tmp_path / "phone.heic").write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00")
    (tmp_path / "Shot at 10.20.30.png").write_bytes(png("yellow"))
    (tmp_path / "Shot at 10.20.30.txt").write_text("a yellow wall")
    (tmp_path / "Shot at 10.45.11.png").write_bytes(png("black"))
    page = visit(page_of_its_own)
    show_tab(page, "Fine-tune")
    names = ("one.zip", "mac.zip", "three.tar.gz", "phone.heic", "Shot at 10.20.30.png", "Shot at 10.20.30.txt")
    files = [str(tmp_path / name) for name in (*names, "Shot at 10.45.11.png")]
    page.locator("#finetune-files input[type=file]").set_input_files(files)
    page.wait_for_selector("#finetune-look figure >> text=a yellow wall")
    labels = page.locator("#finetune-look figure").all_inner_texts()
    assert sorted(labels) == sorted(["dog", "коты", "a green field", "a yellow wall", "Shot at 10.45"])
    page.locator("#finetune-look summary").click()
    reasons = page.locator("#finetune-look .left-out li").all_inner_texts()
    assert len(reasons) == 2 and "phone.heic" in reasons[0] + reasons[1] and "no data" in reasons[0] + reasons[1]
    assert str(tmp_path) not in page.locator("#finetune-look").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
