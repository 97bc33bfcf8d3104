"""Runs end when nobody wants them: cancelled, closed, or left alone; and nothing computes outside the turn."""

import asyncio
import json
import threading
import time
import urllib.request

import gradio as gr
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from starlette.middleware import Middleware
from waiting import PATIENCE, finished, until

from zigdemo.ui import visitors, worker
from zigdemo.ui.door import Door
from zigdemo.ui.turns import CURRENT, TURNS, checkpoint
from zigdemo.ui.worker import TURN, in_turn


class Work:
    """Network calls without a network; counts those that are going on."""

    def __init__(self):
        self.begun, self.ended, self.now, self.most, self.lock = 0, 0, 0, 0, threading.Lock()

    def steps(self, count):
        self.begun += 1
        try:
            for number in range(count):
                checkpoint()
                with self.lock:
                    self.now += 1
                    self.most = max(self.most, self.now)
                time.sleep(0.01)
                with self.lock:
                    self.now -= 1
                yield number
        finally:
            self.ended += 1


@pytest.fixture(scope="module")
def work():
    return Work()


@pytest.fixture(scope="module")
def address(work):
    def call(count: int) -> int:
        """API: so many network calls."""
        return len(list(work.steps(count)))

    def shown(count: int):
        yield from work.steps(count)

    with gr.Blocks(analytics_enabled=False) as page:
        gr.api(in_turn(lambda count: count / 100)(call), api_name="call", **TURN)
        number, out = gr.Number(precision=0), gr.Number()
        gr.Button().click(in_turn(lambda count: count / 100)(shown), number, out, api_name="shown", **TURN)
    queue = page.queue(default_concurrency_limit=4)
    _, url, _ = queue.launch(
        prevent_thread_lock=True, quiet=True, max_threads=64, app_kwargs={"middleware": [Middleware(Door)]}
    )
    yield url
    page.close()


@pytest.fixture(autouse=True)
def quiet(work):
    yield
    until(lambda: work.begun == work.ended and len(TURNS) == 0)


def joined(address, count, name="call"):
    """A run that a program without a library asked for; its id."""
    request = urllib.request.Request(
        f"{address}gradio_api/call/{name}", json.dumps({"data": [count]}).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["event_id"]


def stream(address, event, name="call"):
    return urllib.request.urlopen(f"{address}gradio_api/call/{name}/{event}", timeout=PATIENCE)


def test_a_result_is_what_it_was_before_and_the_parameters_are_documented(address):
    client = Client(address, verbose=False)
    assert client.predict(3, api_name="/call") == 3 and client.predict(count=2, api_name="/call") == 2
    described = client.view_api(return_format="dict")["named_endpoints"]["/call"]
    assert [one["parameter_name"] for one in described["parameters"]] == ["count"]


@pytest.mark.parametrize("name", ["/call", "/shown"])
def test_a_cancelled_run_ends(address, work, name):
    client, begun = Client(address, verbose=False), work.begun
    job = client.submit(100_000, api_name=name)
    until(lambda: work.begun > begun)
    until(lambda: job.cancel() and work.begun == work.ended)  # again, as it may not know yet what to cancel


@pytest.mark.parametrize("name", ["call", "shown"])
def test_cancelling_again_and_again_gives_the_turn_back(address, work, name):
    begun, event = work.begun, joined(address, 100_000, name)
    answer = stream(address, event, name)
    until(lambda: work.begun > begun)
    config = json.load(urllib.request.urlopen(f"{address}config"))
    handler = next(one["id"] for one in config["dependencies"] if one["api_name"] == name)
    body = json.dumps({"session_hash": event, "fn_index": handler, "event_id": event}).encode()
    headers = {"content-type": "application/json"}
    threads = [
        threading.Thread(
            target=lambda: urllib.request.urlopen(
                urllib.request.Request(f"{address}gradio_api/cancel", body, headers)
            ).read()
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    until(lambda: work.begun == work.ended and len(TURNS) == 0)
    answer.close()
    assert Client(address, verbose=False).predict(2, api_name="/call") == 2


@pytest.mark.parametrize("name", ["call", "shown"])
def test_a_run_ends_when_its_listener_leaves(address, work, name):
    begun, event = work.begun, joined(address, 100_000, name)
    answer = stream(address, event, name)
    until(lambda: work.begun > begun)
    answer.close()
    until(lambda: work.begun == work.ended)


def test_a_run_that_nobody_ever_listens_to_ends(address, work, monkeypatch):
    monkeypatch.setattr(visitors, "UNHEARD_SECONDS", 0.3)
    begun = work.begun
    joined(address, 100_000)
    until(lambda: work.begun > begun and work.begun == work.ended)


def test_a_run_that_is_left_between_two_values_gives_the_turn_back(work, monkeypatch):
    monkeypatch.setattr(worker, "ABANDONED_SECONDS", 0.1)
    kept = []

    async def leave():
        run = worker.new_run(None, 1.0)
        TURNS.join(run)
        values = worker.steps_in_turn(None, run, work.steps(5))
        kept.append(values)  # so that nobody closes it
        await anext(values)
        while not run.ended.is_set():
            await asyncio.sleep(0.01)
        assert len(TURNS) == 0 and work.begun == work.ended
        return [value async for value in values]

    assert finished(leave()) == []


def test_one_that_leaves_while_it_waits_never_begins(address, work):
    first = stream(address, joined(address, 100_000))
    until(lambda: len(TURNS) == 1)
    second = stream(address, joined(address, 100_000))
    until(lambda: len(TURNS) == 2)
    begun = work.begun
    second.close()
    until(lambda: len(TURNS) == 1)
    assert work.begun == begun
    first.close()


def test_short_calls_are_answered_while_a_long_one_rests_and_never_two_at_a_time(address, work):
    long = stream(address, joined(address, 100_000))
    until(lambda: len(TURNS) == 1)
    work.most = 0
    clients = [Client(address, verbose=False) for _ in range(3)]
    jobs = [client.submit(20, api_name="/call") for client in clients]
    assert [job.result(PATIENCE) for job in jobs] == [20] * 3
    assert work.most == 1
    long.close()


def test_the_thread_knows_whose_work_it_does_and_a_fault_gives_the_turn_back():
    seen = []

    def fail():
        seen.append(CURRENT.get())
        assert TURNS.take(seen[0])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        finished(worker.in_turn_while(None, 1.0, lambda: False, fail))
    assert CURRENT.get() is None and len(TURNS) == 0 and seen[0].ended.is_set()


def test_too_many_are_refused_in_one_sentence(address, monkeypatch):
    monkeypatch.setenv("ZIGDEMO_MAX_WAITING", "1")
    long = stream(address, joined(address, 100_000))
    until(lambda: len(TURNS) == 1)
    with pytest.raises(AppError, match="1 runs of yours wait or draw already"):
        Client(address, verbose=False).predict(1, api_name="/call")
    long.close()


def test_the_page_is_told_its_place(address):
    long = stream(address, joined(address, 100_000))
    until(lambda: len(TURNS) == 1)
    run, lines = worker.new_run(None, 1000.0), []
    TURNS.join(run)

    async def wait():
        async for line in worker.steps_in_turn(None, run, iter([]), lambda line: line, "stopped"):
            lines.append(line)
            run.stop.set()

    finished(wait())
    assert lines[0].startswith("Waiting: one run is before this one, about ") and lines[-1] == "stopped"
    long.close()


def test_a_refused_estimate_leaves_it_to_the_function_to_say_what_is_wrong():
    def refuse(*values):
        raise ValueError("a very long sentence " * 20)

    assert finished(in_turn(refuse)(lambda value: f"{value} it is")(None, 1)) == "1 it is"
