"""A class enters with the PIN on the teacher's screen; only this machine sees that screen and who waits."""

import json
from types import SimpleNamespace

import pytest
from waiting import finished

from zigdemo.ui import classroom, visitors
from zigdemo.ui.address import CLASS_NAME
from zigdemo.ui.classroom import COOKIE, Tries, name_in, pass_of
from zigdemo.ui.turns import Run, Turns

PIN = "271828"


@pytest.fixture(autouse=True)
def lesson(tmp_path, monkeypatch):
    monkeypatch.setenv("ZIGDEMO_RUNS", str(tmp_path))
    monkeypatch.setenv(CLASS_NAME, PIN)
    monkeypatch.setattr(classroom, "TRIED", Tries())
    visitors._key.cache_clear()
    yield
    visitors._key.cache_clear()


def asked(path="/", query="", method="GET", form="", client="192.168.1.9", host="192.168.1.5:7860", **headers):
    """Status, headers and text of the answer; None for what the page answers."""
    scope = {"path": path, "query_string": query.encode(), "method": method, "client": (client, 1),
             "server": ("0.0.0.0", 7860)}  # fmt: skip

    async def receive():
        return {"body": form.encode()}

    headers = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = finished(classroom.answer(scope, headers, "a visitor", client, receive))
    return answer and SimpleNamespace(status=answer[0], headers=answer[1], text=answer[2])


def teacher(path, **more):
    return asked(path, client="127.0.0.1", host="127.0.0.1:7860", **more)


def test_a_pupil_without_the_pin_sees_the_form_alone():
    assert 'name="pin"' in asked().text
    for path in ("/config", "/gradio_api/queue/join", "/gradio_api/file=x", "/class", "/class/list", "/theme.css"):
        refused = asked(path)
        assert refused.status == 401 and "enter the PIN" in refused.text
    assert asked("/gradio_api/queue/join", method="POST").status == 401


@pytest.mark.parametrize(
    "given",
    [{"query": f"pin={PIN}"}, {"path": "/class/enter", "method": "POST", "form": f"pin=+{PIN}+&name=Ada"}],
    ids=["the code", "the form"],
)
def test_the_pin_opens_the_page_and_the_pass_is_known_again(given):
    entered = asked(**given)
    assert (entered.status, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"].partition(";")[0]
    assert asked(cookie=cookie) is None and asked("/gradio_api/queue/join", method="POST", cookie=cookie) is None
    assert asked("/class", cookie=cookie).status == asked("/class/list", cookie=cookie).status == 404


@pytest.mark.parametrize("pin", ["000000", "x", "é", "9" * 999, PIN + "0"])
def test_a_wrong_pin_is_told(pin):
    refused = asked("/class/enter", method="POST", form=f"pin={pin}")
    assert refused.status == 403 and "not the PIN" in refused.text and "set-cookie" not in refused.headers


def test_pins_cannot_be_tried_for_ever():
    for _ in range(classroom.TRIES):
        asked(query="pin=1")
    assert asked(query=f"pin={PIN}").status == 429
    assert asked(query=f"pin={PIN}", client="192.168.1.10").status == 303


@pytest.mark.parametrize("forged", ["", "x", ".", f"QWRh.{'0' * 32}", "é.é", "a" * 9999])
def test_a_forged_pass_and_one_of_another_pin_open_nothing(monkeypatch, forged):
    assert name_in(f"{COOKIE}={forged}") is None
    earlier = pass_of("Ada")
    monkeypatch.setenv(CLASS_NAME, "314159")
    assert name_in(f"{COOKIE}={earlier}") is None and name_in(f"{COOKIE}={pass_of('Ada')}") == "Ada"


def test_the_teacher_needs_no_pin_and_sees_address_code_and_pin(monkeypatch):
    monkeypatch.setattr(classroom, "addresses", lambda: ["192.168.1.5", "10.0.0.5"])
    page = teacher("/class").text
    assert "http://192.168.1.5:7860/" in page and "http://10.0.0.5:7860/" in page and PIN in page and "<svg" in page
    assert teacher("/") is None
    assert asked("/class", client="127.0.0.1", host="evil.example").status == 401
    assert teacher("/class", x_forwarded_for="1.2.3.4").status == 401


def test_a_machine_in_no_network_says_so(monkeypatch):
    monkeypatch.setattr(classroom, "addresses", list)
    assert "in no network" in teacher("/class").text


def test_who_draws_and_waits_is_listed_by_name_and_names_are_only_text(monkeypatch):
    room = Turns()
    monkeypatch.setattr(classroom, "TURNS", room)
    first, second, third = Run("a visitor", 2.0), Run("b" * 32, 60.0), Run("at 127.0.0.1", 70.0)
    for run in (first, second, third):
        room.join(run)
    room.take(first)
    cookie = asked(query=f"pin={PIN}&name=<b>Ada</b>").headers["set-cookie"].partition(";")[0]
    asked(cookie=cookie)
    listed = json.loads(teacher("/class/list").text)
    assert [row[:2] for row in listed] == [["<b>Ada</b>", "draws"], ["Guest bbbb", "waits"], ["This machine", "waits"]]
    assert "textContent" in classroom.SCRIPT and "innerHTML" not in classroom.SCRIPT
