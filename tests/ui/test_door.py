"""What every request passes: a cookie for new visitors, bounds on what is sent, and notice of who listens."""

import json
from types import SimpleNamespace

import pytest
from waiting import finished

from zigdemo.ui import door, visitors
from zigdemo.ui.door import Door, TooMuch, Uploads, _stream_key
from zigdemo.ui.visitors import COOKIE, new_cookie


@pytest.fixture(autouse=True)
def key(tmp_path, monkeypatch):
    monkeypatch.setenv("ZIGDEMO_RUNS", str(tmp_path))
    monkeypatch.setattr(door, "UPLOADS", Uploads())
    visitors._key.cache_clear()
    yield
    visitors._key.cache_clear()


def asked(method="GET", path="/", body=(b"",), scheme="http", **headers):
    """The answer to a request whose body comes in parts: its status, headers and text, and how much was read."""
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": pairs, "scheme": scheme,
             "client": ("10.0.0.7", 1)}  # fmt: skip
    parts, sent, read = iter(body), [], []

    async def receive():
        return {"type": "http.request", "body": next(parts, b""), "more_body": True}

    async def send(message):
        sent.append(message)

    async def page(scope, receive, send):
        for _ in body:
            read.append(len((await receive())["body"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the page"})

    finished(Door(page)(scope, receive, send))
    names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return SimpleNamespace(status=sent[0]["status"], headers=names, text=sent[1]["body"].decode(), read=sum(read))


def test_a_new_visitor_gets_a_cookie_that_scripts_cannot_read_and_a_known_one_keeps_his():
    given = asked().headers["set-cookie"]
    assert given.startswith(f"{COOKIE}=") and "HttpOnly" in given and "SameSite=Lax" in given
    assert "set-cookie" not in asked(cookie=f"{COOKIE}={new_cookie()}").headers
    assert "set-cookie" in asked(cookie=f"{COOKIE}=forged").headers
    assert "set-cookie" not in asked(path="/gradio_api/info").headers


@pytest.mark.parametrize("change", [{"scheme": "https"}, {"x_forwarded_proto": "https"}])
def test_a_framed_page_on_a_safe_connection_gets_it_too(change):
    assert "SameSite=None; Secure; Partitioned" in asked(**change).headers["set-cookie"]


@pytest.mark.parametrize("told", [True, False])
def test_a_body_is_bounded_whether_its_length_is_told_or_not(monkeypatch, told):
    monkeypatch.setenv("ZIGDEMO_MAX_BODY_MB", "1")
    body = [b"x" * 2**18] * 8
    headers = {"content_length": str(sum(map(len, body)))} if told else {}
    answer = asked("POST", "/gradio_api/queue/join", body, **headers)
    assert answer.status == 413 and "more than 1 MB" in json.loads(answer.text)["detail"]
    assert answer.read <= 2**20 and (answer.read == 0) == told
    assert asked("POST", "/gradio_api/queue/join", body[:3]).text == "the page"


@pytest.mark.parametrize("length", ["", "-1", "x", "9" * 400, "1e9"])
def test_a_false_length_harms_nobody(length):
    assert asked("POST", "/gradio_api/queue/join", [b"x"], content_length=length).status in (200, 413)


def test_uploads_are_bounded_by_visitor_and_in_all(monkeypatch):
    monkeypatch.setenv("ZIGDEMO_MAX_UPLOAD_MB", "1")
    monkeypatch.setenv("ZIGDEMO_MAX_UPLOAD_IN_ALL_MB", "2")
    one, two, three = (f"{COOKIE}={new_cookie()}" for _ in range(3))
    whole = [b"x" * 10**5] * 9
    assert asked("POST", "/gradio_api/upload", whole, cookie=one).status == 200
    refused = asked("POST", "/gradio_api/upload", whole, cookie=one)
    assert refused.status == 413 and "you have uploaded 1 MB today" in refused.text
    assert asked("POST", "/gradio_api/upload", whole, cookie=two).status == 200
    assert "as much as this machine keeps" in asked("POST", "/gradio_api/upload", whole, cookie=three).text


def test_a_day_later_it_begins_again(monkeypatch):
    monkeypatch.setenv("ZIGDEMO_MAX_UPLOAD_MB", "1")
    now, uploads = [0.0], Uploads()
    uploads._began = 0.0
    monkeypatch.setattr(door, "time", SimpleNamespace(monotonic=lambda: now[0]))
    uploads.add("a", "1", 10**6)
    with pytest.raises(TooMuch):
        uploads.add("a", "1", 1)
    now[0] += door.DAY_SECONDS + 1
    uploads.add("a", "1", 10**6)


def test_a_disk_that_is_nearly_full_takes_no_files_and_says_so(monkeypatch):
    monkeypatch.setattr(door.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    answer = asked("POST", "/gradio_api/upload", [b"x"])
    assert answer.status == 507 and "disk" in answer.text and "/" not in json.loads(answer.text)["detail"]
    assert asked("POST", "/gradio_api/queue/join", [b"x"]).status == 200


@pytest.mark.parametrize(
    ("path", "query", "key"),
    [("/gradio_api/queue/data", b"session_hash=abc", "abc"), ("/gradio_api/call/generate/e1", b"", "e1"),
     ("/gradio_api/call/v2/generate/e1", b"", "e1"), ("/gradio_api/queue/data", b"", None), ("/", b"", None),
     ("/gradio_api/file=x/y", b"", None), ("/gradio_api/heartbeat/abc", b"", None)],
)  # fmt: skip
def test_streams_are_known_by_their_address(path, query, key):
    assert _stream_key({"method": "GET", "path": path, "query_string": query}) == key
    assert _stream_key({"method": "POST", "path": path, "query_string": query}) is None
