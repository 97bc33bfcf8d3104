"""What Gradio itself would refuse, with a traceback and a path, is one sentence for whoever sent it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest
from waiting import PATIENCE, until

from zigdemo.ui import borders

FILE = {"_type": "gradio.FileData"}


def answers(address, handler, values, event_data=None):
    """How a handler of the page answers values from a browser: success, and the error."""
    session = uuid.uuid4().hex
    body = {"data": values, "fn_index": handler["id"], "session_hash": session, "event_data": event_data}
    headers = {"content-type": "application/json"}
    asked = "queue/join" if handler["queue"] else "run/predict"
    request = urllib.request.Request(f"{address}gradio_api/{asked}", json.dumps(body).encode(), headers)
    try:
        urllib.request.urlopen(request).close()
    except urllib.error.HTTPError as refusal:
        return False, json.load(refusal)["error"]
    if not handler["queue"]:
        return True, None
    with urllib.request.urlopen(f"{address}gradio_api/queue/data?session_hash={session}", timeout=PATIENCE) as lines:
        for line in lines:
            message = json.loads(line[6:]) if line.startswith(b"data: {") else {}
            if message.get("msg") == "process_completed":
                return message["success"], message["output"].get("error")
    return None, None


@pytest.fixture(scope="module")
def draw(served):
    """The handler of the Draw button of pictures, and the values with which the page opens."""
    config = json.load(urllib.request.urlopen(f"{served}config"))
    usual = {one["id"]: one["props"].get("value") for one in config["components"]}
    kinds = {one["id"]: one["type"] for one in config["components"]}
    handler = next(
        one for one in config["dependencies"] if one["backend_fn"] and "image" in [kinds[n] for n in one["inputs"]]
        and one["queue"] and len(one["outputs"]) > 12
    )  # fmt: skip
    names = [
        next(one for one in config["components"] if one["id"] == n)["props"].get("label") for n in handler["inputs"]
    ]
    return handler, [usual[one] for one in handler["inputs"]], names


@pytest.mark.parametrize(
    "change",
    [{"Seed": 2**80}, {"Seed": "\ud800"}, {"Start from a picture": {"path": "/etc/passwd", "meta": FILE}},
     {"Start from a picture": "x"}, {"Start from a picture": 7}, "too few"],
    ids=str,
)  # fmt: skip
def test_what_no_browser_sends_is_one_sentence(served, draw, capfd, change):
    handler, values, names = draw
    values = values[:-3] if change == "too few" else [change.get(n, v) for n, v in zip(names, values, strict=True)]
    success, sentence = answers(served, handler, values)
    assert (
        success is False
        and 10 < len(sentence) < 200
        and "\n" not in sentence
        and "/" not in sentence.replace("docs/", "")
    )
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["update", "", False, None])
def test_no_value_of_a_visitor_passes_for_an_update_of_the_page(served, caplog, kind):
    """Some handlers give back what they were sent, as those of the examples."""
    config = json.load(urllib.request.urlopen(f"{served}config"))
    handlers = [one for one in config["dependencies"] if one["backend_fn"] and one["inputs"]]
    for handler in handlers:
        values = [{"__type__": kind, "value": "/etc/passwd", "visible": False} for _ in handler["inputs"]]
        assert answers(served, handler, values) == (False, borders.UNREADABLE)
    assert len(handlers) > 50 and "a request of the page failed" not in caplog.text


@pytest.mark.parametrize("path", ["/etc/passwd", "x" * 5000, "a\0b", "../x"], ids=lambda path: path[:12])
def test_an_event_with_a_file_that_nobody_has_uploaded_is_one_sentence(served, caplog, path):
    config = json.load(urllib.request.urlopen(f"{served}config"))
    clicks = [one for one in config["dependencies"] if one["backend_fn"] and one["collects_event_data"]]
    assert clicks
    for handler in clicks:
        values, event = [None] * len(handler["inputs"]), {"path": path, "meta": FILE, "index": [1, 1]}
        success, sentence = answers(served, handler, values, event)
        assert success is False and sentence in (borders.NO_UPLOAD, borders.UNREADABLE)
    assert "a request of the page failed" not in caplog.text


@pytest.mark.parametrize(
    "change",
    [{"Seed": -1}, {"Seed": 1e30}, {"Seed": None}, {"Seed": ""}, {"Steps": None}, {"Steps": "x"}, {"Guidance": []},
     {"Solver": "x"}, {"Scan scheme": {}}, {"Model": None}],
    ids=str,
)  # fmt: skip
def test_wrong_values_leave_the_buttons_live(served, draw, capfd, change):
    handler, values, names = draw
    success, fault = answers(served, handler, [change.get(n, v) for n, v in zip(names, values, strict=True)])
    assert (success, fault) == (True, None) and "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "content", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 40]
)
def test_a_file_that_is_no_picture_leaves_them_live_too(served, draw, capfd, content):
    handler, values, names = draw
    edge = uuid.uuid4().hex
    form = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n\r\n'.encode()
    request = urllib.request.Request(
        f"{served}gradio_api/upload", form + content + f"\r\n--{edge}--\r\n".encode(),
        {"content-type": f"multipart/form-data; boundary={edge}"},
    )  # fmt: skip
    path = json.load(urllib.request.urlopen(request))[0]
    picture = {"path": path, "orig_name": "x.png", "meta": FILE}
    values = [picture if name == "Start from a picture" else value for name, value in zip(names, values, strict=True)]
    assert answers(served, handler, values) == (True, None)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_program_that_is_terminated_leaves_no_folders_and_says_nothing(tmp_path):
    code = (
        "import os, signal, sys, app\n"
        "signal.signal(signal.SIGTERM, app.end)\n"
        "from zigdemo.ui.files import new_folder\n"
        "print(new_folder().parent, flush=True)\n"
        "signal.pause()\n"
    )
    folder = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    made = Path(process.stdout.readline().strip())
    assert made.is_dir() and made.is_relative_to(tmp_path)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and "terminate" not in said
    until(lambda: not made.exists())
