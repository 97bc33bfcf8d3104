"""The exported folder that the page serves: its files behind the door, nothing else, and nothing without it."""

import asyncio
from types import SimpleNamespace

import pytest
from waiting import finished

from zigdemo.ui import device, estimates
from zigdemo.ui.door import Door


@pytest.fixture
def exported(tmp_path, monkeypatch):
    folder = tmp_path / "web"
    folder.mkdir()
    for name in ("index.json", "index.html", "panel.js"):
        (folder / name).write_text(name)
    (tmp_path / "secret.txt").write_text("secret")
    monkeypatch.setenv(device.FOLDER, str(folder))
    monkeypatch.setenv("ZIGDEMO_RUNS", str(tmp_path / "runs"))
    return folder


def asked(path):
    """Status, headers and text of the answer to a GET."""
    sent = []

    async def receive():
        await asyncio.Event().wait()  # nothing more comes

    async def send(message):
        sent.append(message)

    async def page(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the page"})

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "scheme": "http",
             "client": ("10.0.0.7", 1), "root_path": "", "extensions": {}}  # fmt: skip
    finished(Door(page)(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    text = b"".join(message.get("body", b"") for message in sent[1:]).decode()
    return SimpleNamespace(status=sent[0]["status"], headers=headers, text=text)


def test_files_of_the_folder_come_isolated_so_that_threads_may_share_memory(exported):
    answer = asked("/device/panel.js")
    assert (answer.status, answer.text) == (200, "panel.js") and "javascript" in answer.headers["content-type"]
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-embedder-policy"] == "require-corp"
    assert asked("/device/").text == "index.html"


@pytest.mark.parametrize("path", ["/device/nothing.js", "/device/../secret.txt", "/device/%2e%2e/secret.txt"])
def test_nothing_else_is_served(exported, path):
    answer = asked(path)
    assert answer.status == 404 and "secret" not in answer.text


def test_other_requests_are_the_page_s(exported, monkeypatch):
    assert asked("/devices").text == asked("/").text == "the page"
    (exported / "index.json").unlink()
    assert asked("/device/panel.js").text == "the page"
    monkeypatch.delenv(device.FOLDER)
    assert asked("/device/panel.js").text == "the page" and device.panel() is None


def test_a_folder_that_is_no_export_is_one_sentence(exported, monkeypatch):
    assert device.panel() == "device/panel.js"
    monkeypatch.setenv(device.FOLDER, str(exported.parent))
    with pytest.raises(ValueError, match="which is no exported folder; run `python -m zigdemo.web export"):
        device.folder()
    assert device.panel() is None and estimates.waiting_text(2, 9.0).endswith("one runs at a time.")  # gone since


def test_who_waits_hears_of_their_own_device_and_in_a_class_the_fold_is_open(exported, monkeypatch):
    assert estimates.waiting_text(2, 9.0).endswith("Your own device can draw meanwhile, in Draw and Compare.")
    assert "<details" in device.fold_html("scan") and " open>" not in device.fold_html("scan")
    monkeypatch.setenv("ZIGDEMO_CLASS", "1")
    assert " open><summary>" in device.fold_html("scan")
    monkeypatch.delenv(device.FOLDER)
    assert estimates.waiting_text(2, 9.0).endswith("one runs at a time.")
