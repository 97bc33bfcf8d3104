"""Many strangers at once: mixed work, junk, cancelling and leaving; nothing is lost, mixed up, or kept.

`python -m benchmarks.soak --clients 20 --minutes 10` starts the page with the shipped models, on this machine, beside
the clients. It asserts: no failure but those that were asked for, no result of somebody else, the same pixels for the
same request, bounded memory, disk and threads, short work that is quick under load, and like waits for like work.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from zigdemo import media
from zigdemo.ui.rest import REST_SECONDS

from .fuzz import lines_of
from .page import served

PORT = 7875
URL = f"http://127.0.0.1:{PORT}"
API = f"{URL}/gradio_api"
RESULT = Path(__file__).parent / "results/soak.json"
ANSWER_SECONDS = 600.0
MODEL = "zigma-portraits"
PROMPTS = ("a smiling person with red hair", "a sad man with a black beard", "a person in a green jacket")
# Weights of what a client does next; a visit is mostly short.
KINDS = {"one": 10, "four": 4, "long": 1, "compare": 1, "attention": 2, "influence": 2, "clip": 1, "strips": 1,
         "path": 4, "junk": 3, "upload": 1, "cancel": 2, "leave": 2}  # fmt: skip
ARRIVAL_SECONDS = 40.0  # in which the clients come; all at once is measured by itself, see `at_once`
THINK_SECONDS = (5.0, 40.0)  # between two requests of a client
QUICK, CLIP = [None, None, "euler", 4, 3.0, 0], ["zigma-actions", "Biking", None]
FAIR = 3.0  # times another visitor's p95, for one picture
IDLE_SECONDS = 2.0  # until the processor is idle, after a run was cancelled or left


def call_of(kind: str, rng: random.Random) -> tuple[str, list[Any]]:
    """The endpoint and the values of a request."""
    prompt, seed = rng.choice(PROMPTS), rng.randrange(6)
    settings = [MODEL, None, None]
    more = [None, 0.0, 1.0, None, None, 0.4, prompt, None]
    calls: dict[str, tuple[str, list[Any]]] = {
        "one": ("generate", [*settings, "euler", 4, 3.0, seed, 1, *more]),
        "four": ("generate", [*settings, "euler", 8, 3.0, seed, 4, *more]),
        "long": ("generate", [*settings, "heun", 25, 3.0, seed, 8, *more]),
        "compare": ("compare", [MODEL, "steps", ["2", "4"], "seed", ["0", str(seed)], prompt, *QUICK]),
        "attention": ("attention", [MODEL, prompt, 4, seed]),
        "influence": ("influence", [MODEL, None, None, 2, 3, None, 4, seed, prompt, 0]),
        "clip": ("generate_clip", [*CLIP, "euler", 6, 2.0, seed, 1, None, "gif"]),
        "strips": ("solver_strips", [MODEL, None, "euler", "heun", 6, 2.0, seed, prompt]),
        "path": ("scan_order", ["zigzag-8", 8, 8, seed, 1]),
        "junk": ("generate", [rng.choice([MODEL, "x", None, 7]), None, "x", "magic", -1, 1e30, -1, 99, *more]),
    }  # fmt: skip
    return calls["long" if kind in ("cancel", "leave") else kind]


class Client(threading.Thread):
    """A visitor with a cookie of its own, which asks, thinks and asks again until the end."""

    def __init__(self, number: int, end: float, report: Report) -> None:
        super().__init__(daemon=True)
        self.rng, self.end, self.report, self.number = random.Random(number), end, report, number
        self.http = httpx.Client(timeout=ANSWER_SECONDS)

    def run(self) -> None:
        """Until the end."""
        time.sleep(self.rng.uniform(0.0, ARRIVAL_SECONDS))
        self.http.get(URL)
        while time.monotonic() < self.end:
            kind = self.rng.choices(list(KINDS), list(KINDS.values()))[0]
            try:
                self.ask(kind)
            except Exception as fault:  # counted, and told at the end
                self.report.failures.append(f"{kind}: {type(fault).__name__}: {fault}")
            time.sleep(self.rng.uniform(*THINK_SECONDS))

    def ask(self, kind: str) -> None:
        """One request of a kind."""
        if kind == "upload":
            files = {"files": ("x.png", self.rng.randbytes(200_000))}
            self.http.post(f"{API}/upload", files=files).raise_for_status()
            self.report.times["upload"].append((self.number, 0.0))
            return
        name, values = call_of(kind, self.rng)
        started = time.monotonic()
        joined = self.http.post(f"{API}/call/{name}", json={"data": values})
        joined.raise_for_status()
        address = f"{API}/call/{name}/{joined.json()['event_id']}"
        wanted, event = kind not in ("cancel", "leave"), ""
        with self.http.stream("GET", address) as answer:
            if not wanted:  # closes the stream, in the middle of the work or of the wait
                time.sleep(self.rng.uniform(0.0, 3.0))
                self.report.times[kind].append((self.number, time.monotonic() - started))
                return
            for line in lines_of(answer):
                event = line.removeprefix("event: ") if line.startswith("event: ") else event
                if line.startswith("data: ") and event in ("complete", "error"):
                    content = json.loads(line.removeprefix("data: "))
                    break
            else:
                raise RuntimeError("the stream ended without an answer")
        if (event == "error") != (kind == "junk"):
            raise RuntimeError(f"{event}: {str(content)[:200]}")
        self.report.times[kind].append((self.number, time.monotonic() - started))
        self.report.spans.append((kind, started, time.monotonic()))
        if name == "generate" and kind != "junk":
            self.compare(values, content)

    def compare(self, values: list[Any], content: list[Any]) -> None:
        """The pictures carry what was asked for, and have the pixels that they had before."""
        files = [self.http.get(f"{API}/file={path}").content for path in _paths(content)]
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            Path(file.name).write_bytes(files[0])
            request = media.read_metadata(file.name)["request"]
        if (request["seed"], request["prompt"], request["count"]) != (values[6], values[14], values[7]):
            raise RuntimeError("a result of somebody else")
        digest = hashlib.sha256(b"".join(files)).hexdigest()
        known = self.report.pixels.setdefault(json.dumps(values), digest)
        if known != digest:
            raise RuntimeError("other pixels for the same request")


def _paths(content: Any) -> list[str]:
    """The paths of all files in an answer."""
    if isinstance(content, dict):
        return [content["path"]] if "path" in content else []
    return [path for one in content for path in _paths(one)] if isinstance(content, list) else []


class Report:
    """What the clients saw. times: (client, seconds) by kind. spans: (kind, begin, end) of every answer."""

    def __init__(self) -> None:
        self.times: dict[str, list[tuple[int, float]]] = collections.defaultdict(list)
        self.spans: list[tuple[str, float, float]] = []
        self.failures: list[str] = []
        self.pixels: dict[str, str] = {}


def at_once(count: int) -> dict[str, float]:
    """Seconds of the first and the last of so many clients that ask for a picture at the same moment."""
    report = Report()
    clients = [Client(number, 0.0, report) for number in range(count)]
    for client in clients:
        client.http.get(URL)  # for a cookie, as those without one count as a single visitor
    threads = [threading.Thread(target=client.ask, args=("one",)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = [each for _, each in report.times["one"]]
    return {"first": round(min(seconds), 2), "last": round(max(seconds), 2)}


def slowest(report: Report, kind: str, count: int = 5) -> list[dict[str, Any]]:
    """The slowest answers of a kind, and what else was asked for meanwhile, to find out what they waited for."""
    ours = sorted((span for span in report.spans if span[0] == kind), key=lambda span: span[1] - span[2])[:count]
    return [
        {"seconds": round(end - begin, 2),
         "meanwhile": sorted(other for other, a, b in report.spans if a < end and b > begin and (a, b) != (begin, end))}
        for _, begin, end in ours
    ]  # fmt: skip


def alone() -> dict[str, float]:
    """Seconds of every kind with nobody else, warm."""
    report = Report()
    client = Client(0, 0.0, report)
    client.http.get(URL)
    kinds = [kind for kind in KINDS if kind not in ("junk", "upload", "cancel", "leave")]
    for kind in kinds * 3:
        client.ask(kind)
    return {kind: min(seconds for _, seconds in report.times[kind]) for kind in kinds}


def until_idle(process: psutil.Process) -> float:
    """Seconds until the server computes nothing any more."""
    started = time.monotonic()
    while process.cpu_percent(0.2) > 30:
        if time.monotonic() - started > 60:
            break
    return max(0.0, time.monotonic() - started - 0.2)


def seconds_until_idle(process: psutil.Process) -> dict[str, float]:
    """How long the processor computes on after a run of every kind was left in its middle."""
    found, http = {}, httpx.Client(timeout=ANSWER_SECONDS)
    rng = random.Random(1)
    slow: dict[str, Callable[[], tuple[str, list[Any]]]] = {
        "generate": lambda: call_of("long", rng),
        "generate_clip": lambda: ("generate_clip", [*CLIP, "heun", 50, 2.0, 0, 4, None, "gif"]),
        "compare": lambda: ("compare", [MODEL, "steps", [str(n) for n in range(40, 46)], "seed", ["0", "1"], PROMPTS[0],
                                        None, None, "heun", 25, 3.0, 0]),
        "attention": lambda: ("attention", [MODEL, PROMPTS[0], 100, 0]),
        "influence": lambda: ("influence", [MODEL, None, None, 2, 3, None, 200, 0, PROMPTS[0], 0]),
        "solver_strips": lambda: ("solver_strips", [MODEL, None, "heun", "rk4", 100, 2.0, 0, PROMPTS[0]]),
    }  # fmt: skip
    for kind, make in slow.items():
        name, values = make()
        event = http.post(f"{API}/call/{name}", json={"data": values}).json()["event_id"]
        with http.stream("GET", f"{API}/call/{name}/{event}") as answer:
            time.sleep(2.5)
            busy = process.cpu_percent(0.5)
            answer.close()
        found[kind] = round(until_idle(process), 2) if busy > 30 else -1.0
    return found


def state(process: psutil.Process, folders: list[Path]) -> dict[str, float]:
    """What the server holds."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return {
        "rss_mb": process.memory_info().rss >> 20,
        "threads": process.num_threads(),
        "disk_mb": sum(file.stat().st_size for file in files) >> 20,
    }


def percentile(values: list[float], share: float) -> float:
    """The value below which a share of them lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> None:
    """Soak, and say what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--dry", action="store_true", help="do not keep the result")
    arguments = parser.parse_args()
    with tempfile.TemporaryFile("w+") as log, tempfile.TemporaryDirectory() as folder:
        process = served(PORT, log, TMPDIR=folder, GRADIO_TEMP_DIR=f"{folder}/gradio")
        server = psutil.Process(process.pid)
        try:
            usual = alone()
            before, left = state(server, [Path(folder)]), seconds_until_idle(server)
            together = at_once(arguments.clients)
            report, end = Report(), time.monotonic() + 60 * arguments.minutes
            clients = [Client(number, end, report) for number in range(1, arguments.clients + 1)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            idle = until_idle(server)
            time.sleep(REST_SECONDS + 5)
            after = state(server, [Path(folder)])
        finally:
            process.terminate()
            process.wait()
        log.seek(0)
        said = log.read()
    kinds = {}
    for kind, pairs in sorted(report.times.items()):
        seconds = [each for _, each in pairs]
        kinds[kind] = {
            "requests": len(seconds), "alone": round(usual.get(kind, 0.0), 2),
            "p50": round(statistics.median(seconds), 2), "p95": round(percentile(seconds, 0.95), 2),
        }  # fmt: skip
    own = [[each for number, each in report.times["one"] if number == client.number] for client in clients]
    of_clients = {share: [percentile(one, share) for one in own if len(one) >= 5] for share in (0.5, 0.95)}
    result = {
        "clients": arguments.clients, "minutes": arguments.minutes, "kinds": kinds, "failures": len(report.failures),
        "tracebacks": said.count("Traceback"), "idle_after_leaving": left, "idle_after_all": round(idle, 2),
        "before": before, "after": after, "slowest_one": slowest(report, "one"),
        "one_picture_all_at_once": together,
        "one_picture_by_client": {
            f"p{100 * share:.0f}": [round(end(seconds, default=0), 2) for end in (min, max)]
            for share, seconds in of_clients.items()
        },
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    print("\n".join(report.failures[:20]))
    if "Traceback" in said:
        print(said[said.index("Traceback") :][:4000])
    if not arguments.dry:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    assert not report.failures and "Traceback" not in said
    assert max(left.values()) <= IDLE_SECONDS
    least, most = result["one_picture_by_client"]["p95"]
    assert most <= FAIR * least, f"one visitor's slow pictures take {most} s, another's {least}"


if __name__ == "__main__":
    main()
