"""Thousands of requests nobody means well, to every handler of the page: each is answered, in one sentence, unharmed.

`python -m benchmarks.fuzz` starts the page with the shipped models and sends values made by hypothesis, from what the
page says about its handlers, private ones too. It fails for a traceback in the log, a fault inside, an answer that
names a path of the machine or is no sentence, a request without an answer, and a server that grows. Every handler is
first asked what the page would ask it, so that what is loaded and kept for later is no growth.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from .page import served

PORT = 7874
URL = f"http://127.0.0.1:{PORT}"
RESULT = Path(__file__).parent / "results/fuzz.json"
ANSWER_SECONDS = 120.0
LONGEST_SENTENCE = 200
GROWTH = 1.1  # of the server's memory, between half of the requests and all of them, each after a rest
INSIDE = "Something went wrong"  # what a visitor is told of a fault of the program
REST_SECONDS = 8.0  # after which the page has given back what it can
SMALL = {"ZIGDEMO_MAX_PICTURES": "1", "ZIGDEMO_MAX_STEPS": "3", "ZIGDEMO_MAX_CELLS": "2", "ZIGDEMO_MAX_WAITING": "64"}
SECRETS = (os.path.expanduser("~"), tempfile.gettempdir(), "/etc/", "site-packages", str(Path(__file__).parents[1]))

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([-1, 0, 0.5, 1e30, 2**31, 2**63, "", " ", "x", "../..", "/etc/passwd", "<img src=x onerror=x()>",
                     "zigma-portraits", "heun", "dopri5", "zigzag-8", "a" * 5000, "\u202e\x00", "1e999"]),
    st.text(max_size=40),
)  # fmt: skip
FILES = st.sampled_from(["/etc/passwd", "../x", "C:\\x", "http://127.0.0.1:1/x.png", "x" * 300, ""]).map(
    lambda path: {"path": path, "meta": {"_type": "gradio.FileData"}}
)
JUNK = st.one_of(
    SCALARS,
    FILES,
    st.lists(SCALARS | FILES, max_size=5),
    st.dictionaries(st.sampled_from(["path", "url", "value", "data", "model", "__type__"]), SCALARS, max_size=3),
)


def asked(client: httpx.Client, handler: dict[str, Any], values: list[Any], event_data: Any) -> tuple[str, str]:
    """What became of a request: how it ended, and the sentence about it."""
    body = {"data": values, "fn_index": handler["id"], "session_hash": uuid.uuid4().hex[:12], "event_data": event_data}
    try:
        text = json.dumps(body)
    except ValueError:
        return "no JSON", ""
    headers = {"content-type": "application/json"}
    if not handler["queue"]:
        answer = client.post(f"{URL}/gradio_api/run/predict", content=text, headers=headers)
        return ("answered", "") if answer.status_code == 200 else ("refused", _sentence(answer.json()))
    joined = client.post(f"{URL}/gradio_api/queue/join", content=text, headers=headers)
    if joined.status_code != 200:
        return "refused", _sentence(joined.json())
    address = f"{URL}/gradio_api/queue/data?session_hash={body['session_hash']}"
    with client.stream("GET", address) as lines:
        for line in lines_of(lines):
            message = json.loads(line.removeprefix("data: ")) if line.startswith("data: {") else {}
            if message.get("msg") == "process_completed":
                output = message.get("output") or {}
                return ("answered", "") if message["success"] else ("refused", _sentence(output))
    return "no answer", ""


def lines_of(answer: httpx.Response) -> Iterator[str]:
    """The lines of a stream, as browsers split them: httpx also splits at the controls that a value may contain."""
    rest = b""
    for part in answer.iter_bytes():
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in whole)


def _sentence(content: Any) -> str:
    found = content.get("error") or content.get("detail") if isinstance(content, dict) else content
    return found if isinstance(found, str) else json.dumps(found)


def ask_many(
    client: httpx.Client, handlers: list[dict[str, Any]], usual: dict[int, Any], count: int, number: int,
    outcomes: collections.Counter, faults: list[tuple[str, str, str, list[Any]]],
) -> None:  # fmt: skip
    """Ask `count` times, by random number `number`; counts the outcomes and collects what is wrong with the answers.

    usual: the value of every component as the page opens, which half of the values are.
    """

    @seed(number)
    @settings(
        max_examples=count, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def ask(data: Any) -> None:
        handler = data.draw(st.sampled_from(handlers))
        more = data.draw(st.sampled_from([0, 0, 0, 0, 1, -1]))
        values = [usual.get(one) if data.draw(st.booleans()) else data.draw(JUNK) for one in handler["inputs"]]
        values = values[:more] if more < 0 else values + [None] * more
        name = handler["api_name"] if isinstance(handler["api_name"], str) else f"handler {handler['id']}"
        try:
            outcome, sentence = asked(client, handler, values, data.draw(st.none() | JUNK))
        except (httpx.HTTPError, ValueError, TypeError) as fault:
            outcome, sentence = "no answer", f"{type(fault).__name__}: {fault}"
        outcomes[outcome] += 1
        if outcome == "no answer":
            faults.append((name, "no answer", sentence, values))
        if sentence.startswith(INSIDE):
            faults.append((name, "a fault inside", sentence, values))
        said_by_visitor = json.dumps(values, ensure_ascii=False)  # which a sentence may quote
        if any(secret in sentence and secret not in said_by_visitor for secret in SECRETS) or "\n" in sentence:
            faults.append((name, "a path or no sentence", sentence, values))
        elif len(sentence) > LONGEST_SENTENCE:
            faults.append((name, "too long", sentence, values))

    ask()


def main() -> None:
    """Ask, count and complain."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="other requests for another seed")
    parser.add_argument("--dry", action="store_true", help="do not keep the result")
    arguments = parser.parse_args()
    outcomes, faults, memory = collections.Counter(), [], []
    with tempfile.TemporaryFile("w+") as log, httpx.Client(timeout=ANSWER_SECONDS) as client:
        process = served(PORT, log, **SMALL)
        try:
            config = client.get(f"{URL}/config").json()
            usual = {one["id"]: one["props"].get("value") for one in config["components"]}
            handlers = [one for one in config["dependencies"] if one["backend_fn"]]
            for handler in handlers:
                asked(client, handler, [usual.get(one) for one in handler["inputs"]], None)
            for half in range(2):
                count = arguments.requests // 2
                ask_many(client, handlers, usual, count, 2 * arguments.seed + half, outcomes, faults)
                time.sleep(REST_SECONDS)
                memory.append(psutil.Process(process.pid).memory_info().rss)
            alive = process.poll() is None
        finally:
            process.terminate()
            process.wait()
        log.seek(0)
        said = log.read()
    tracebacks = said.count("Traceback (most recent call last)")
    inside = collections.Counter(re.findall(r"a request of the page failed: (.*)", said))
    half, late = memory
    result = {
        "requests": sum(outcomes.values()), "seed": arguments.seed, "outcomes": dict(outcomes),
        "tracebacks": tracebacks, "inside": sum(inside.values()), "faults": len(faults),
        "memory_mb": {"after half": half >> 20, "after all": late >> 20}, "alive": alive,
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    for name, what, sentence, values in faults[:40]:
        print(f"{name}: {what}: {sentence[:300]}\n    {json.dumps(values)[:300]}")
    for line, count in inside.most_common(40):
        print(f"{count} x {line}")
    if tracebacks:
        print(said[said.index("Traceback") :][:6000])
    if not arguments.dry:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if faults or tracebacks or inside or not alive or late > GROWTH * half:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
