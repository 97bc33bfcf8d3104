"""The start of the page: served first, kernels compiled then, and a start that fails is one sentence."""

import threading
from types import SimpleNamespace

import httpx
import pytest

import app


class Page:
    """A page that is not served; it notes what is asked of it."""

    state_session_capacity = 1

    def __init__(self, events, warmed, fault=None):
        self.events, self.warmed, self.fault, self.app = events, warmed, fault, SimpleNamespace()

    def queue(self, **given):
        self._queue = SimpleNamespace()
        return self

    def launch(self, **settings):
        assert settings["prevent_thread_lock"] and not self.warmed.wait(0.2)
        if self.fault:
            raise self.fault
        self.events.append(("served", settings.get("server_port")))
        return None, "http://here/", None

    def block_thread(self):
        assert self.warmed.wait(60)
        self.events.append("blocks")


@pytest.fixture
def start(monkeypatch):
    """start(fault) -> a page and the list of its events, on which the compilation of kernels is noted too."""
    events, warmed = [], threading.Event()

    def warm_up():
        events.append("compiles")
        warmed.set()

    monkeypatch.setattr(app.backends, "warm_up", warm_up)

    def made(fault=None):
        page = Page(events, warmed, fault)
        monkeypatch.setattr(app, "build_app", lambda: page)
        return page, events, warmed

    return made


def test_kernels_are_compiled_once_the_page_is_served_and_the_program_goes_on_serving(start):
    _, events, _ = start()
    app.main("127.0.0.1", 7861)
    assert events == [("served", 7861), "compiles", "blocks"]


def test_who_asks_for_it_gets_the_page_back_at_once(start):
    page, events, warmed = start()
    assert app.launch(page, prevent_thread_lock=True)[1] == "http://here/"
    assert warmed.wait(60) and "blocks" not in events


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (OSError("Cannot find empty port in range: 7861-7861."), "port 7861 was taken meanwhile"),
        (httpx.ConnectError("[Errno 111] Connection refused"), "cannot reach the page"),
        (
            Exception("Couldn't start the app. Check your proxy settings to ensure localhost is accessible."),
            "cannot reach the page",
        ),
    ],
)
def test_a_start_that_fails_is_one_sentence_and_status_2(start, capsys, fault, sentence):
    start(fault)
    with pytest.raises(SystemExit) as left:
        app.main("127.0.0.1", 7861)
    said = capsys.readouterr().err
    assert left.value.code == 2 and sentence in said and said.count("\n") == 1


def test_an_error_of_ours_is_not_hidden(start):
    start(ValueError("a slip"))
    with pytest.raises(ValueError, match="a slip"):
        app.main("127.0.0.1", 7861)
