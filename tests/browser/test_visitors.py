"""Two browsers are two visitors: neither sees, uses or reaches what the other has trained or drawn."""

import json
import re
import shutil
import urllib.error
import urllib.request

import pytest
from models import tiny_folder
from pages import serving, show_tab
from waiting import until

from zigdemo.ui import visitors

pytestmark = pytest.mark.browser
JOB = "20260101-000000-0123456789abcdef"


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A page that many share, on which a model was trained by a visitor who does not exist yet."""
    monkeypatch.setenv("SPACE_ID", "someone/zigdemo")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "127.0.0.1")
    monkeypatch.setenv("ZIGDEMO_RUNS", str(tmp_path / "runs"))
    visitors._key.cache_clear()
    tiny_folder(tmp_path / "weights/tiny")
    with serving(tmp_path / "weights") as url:
        yield url, tmp_path
    visitors._key.cache_clear()


def visitor_of(page):
    cookies = {one["name"]: one["value"] for one in page.context.cookies()}
    return cookies[visitors.COOKIE].partition(".")[0]


def trained(folder, owner):
    """The model and the run that a visitor has trained."""
    shutil.copytree(folder / "weights/tiny", folder / "weights/ada-secret")
    run = folder / "runs" / JOB
    run.mkdir(parents=True)
    (run / "plan.json").write_text(json.dumps({"model": "tiny", "name": "ada-secret", "owner": owner}))


def models_seen(page):
    show_tab(page, "Pictures")
    page.reload()
    box = page.get_by_label("Model", exact=True).locator("visible=true").first
    box.click()
    names = page.locator("ul[role=listbox] li").all_inner_texts()
    page.keyboard.press("Escape")
    return " ".join(names)


def test_a_trained_model_is_its_owners_alone(shared, browser):
    url, folder = shared
    ada, eve = (browser.new_context().new_page() for _ in range(2))
    for page in (ada, eve):
        page.goto(url)
        page.locator("button").locator("visible=true").first.wait_for()
    assert visitor_of(ada) != visitor_of(eve)
    trained(folder, visitor_of(ada))
    until(lambda: models_seen(ada), lambda names: "ada-secret" in names)
    assert "ada-secret" not in models_seen(eve)
    eve.goto(f"{url}?place=pictures&model=ada-secret")
    eve.get_by_text("is not installed").first.wait_for()
    eve.goto(f"{url}?place=cards")
    eve.locator("#models article, #models .card").first.wait_for()
    assert "ada-secret" not in eve.content()
    for page in (ada, eve):
        page.context.close()


def test_a_program_cannot_draw_with_it_nor_read_its_name_in_a_refusal(shared, browser):
    url, folder = shared
    ada = browser.new_context().new_page()
    ada.goto(url)
    trained(folder, visitor_of(ada))
    cookie = "; ".join(f"{one['name']}={one['value']}" for one in ada.context.cookies())
    assert "hedgehog" in labels(url, "ada-secret", cookie)
    refused = labels(url, "ada-secret-", None)
    assert "unknown model" in refused and "ada-secret'" not in refused.replace("'ada-secret-'", "")
    assert "unknown model" in labels(url, "ada-secret", None)
    ada.context.close()


def labels(url, model, cookie):
    """What the endpoint of labels answers."""
    headers = {"content-type": "application/json", **({"cookie": cookie} if cookie else {})}
    body = json.dumps({"data": [model]}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}gradio_api/call/labels", body, headers)) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{url}gradio_api/call/labels/{event}") as answer:
        return answer.read().decode()


@pytest.mark.parametrize(
    "guess",
    ["{pictures}/ada-secret.zip", "{folder}/weights/ada-secret/model.safetensors", "{folder}/runs/visitors.key",
     "{folder}/runs/" + JOB + "/plan.json", "/etc/passwd", "{pictures}", "{pictures}/../x"],
)  # fmt: skip
def test_a_guessed_address_opens_nothing(shared, browser, guess):
    from zigdemo.ui.files import pictures_folder

    url, folder = shared
    page = browser.new_context().new_page()
    page.goto(url)
    trained(folder, visitor_of(page))
    path = guess.format(pictures=pictures_folder(), folder=folder)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{url}gradio_api/file={path}")
    assert refused.value.code in (403, 404)
    page.context.close()


def test_the_folders_of_drawings_cannot_be_guessed(tmp_path):
    from zigdemo.ui.files import new_folder

    names = {new_folder().name for _ in range(8)}
    assert len(names) == 8 and all(re.fullmatch("[0-9a-f]{32}", name) for name in names)
