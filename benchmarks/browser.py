"""Portraits drawn in headless Chromium beside those of the pipeline: `python -m benchmarks.browser [MODEL ...]`

Claim: on two cores, by WebAssembly, a portrait with the model's default settings takes at most 20 seconds; over the
same held-out prompts and seeds the judge finds as many of the asked attributes as in the pipeline's pictures, within 2
points; the first download is at most 45 MB, the folder at most 80 MB. No request leaves the machine.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from zigdemo.data import held_out_prompts
from zigdemo.evaluation.judge import load_judge
from zigdemo.pipeline import Pipeline
from zigdemo.web import export, serving

RESULT = Path(__file__).parent / "results/browser.json"
PICTURES = 100
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]  # computed on the processor where there is none
OPEN = """async ([model, backend]) => {
  const device = await import("./device.js"), index = await device.readIndex(), started = performance.now();
  window.drawer = new device.Drawer(index);
  const opened = await window.drawer.load(model, backend, () => {});
  return { ...opened, needs: await device.needs(index, model, backend), whole: (performance.now() - started) / 1000 };
}"""
DRAW = """async (request) => {
  const started = performance.now(), { picture, calls, seconds } = await window.drawer.draw(request, () => {});
  const whole = (performance.now() - started) / 1000, { width, height, rgba } = picture;
  let text = "";
  for (const byte of rgba) text += String.fromCharCode(byte);
  return { calls, seconds, whole, width, height, rgba: btoa(text) };
}"""


@contextmanager
def opened(folder: Path, isolated: bool, flags: Sequence[str] = ()) -> Iterator[Any]:
    """A page of the folder in headless Chromium, for which there is no network but this server."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with serving(folder, isolated) as address, sync_playwright() as run:
        chromium = run.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        page = chromium.new_page()
        page.set_default_timeout(600_000)
        page.route("**/*", lambda route: route.continue_() if route.request.url.startswith(address) else route.abort())
        page.goto(address)
        yield page
        chromium.close()


def drawn(page: Any, model: str, backend: str, requests: Sequence[dict[str, Any]]) -> tuple[dict, list[dict]]:
    """How the model opened, and a result for every request."""
    start = page.evaluate(OPEN, [model, backend])
    results = []
    for number, request in enumerate(requests):
        results.append(page.evaluate(DRAW, request))
        print(f"\r{model} {backend} {number + 1}/{len(requests)}, {results[-1]['whole']:.2f} s", end="", flush=True)
    print()
    return start, results


def picture_of(result: dict[str, Any]) -> np.ndarray:
    """The picture of a result, (H, W, 3) uint8."""
    rgba = np.frombuffer(base64.b64decode(result["rgba"]), np.uint8)
    return rgba.reshape(result["height"], result["width"], 4)[..., :3]


def seconds_of(start: dict[str, Any], results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians by part over the pictures, the first one apart, as it warms up."""
    spent = [one["seconds"] for one in results]
    parts = {part: round(float(np.median([one[part] for one in spent])), 3) for part in spent[0]}
    whole = [one["whole"] for one in results]
    return {
        "threads": start["threads"], "opening": round(start["whole"], 2), "first_picture": round(whole[0], 2),
        "picture": round(float(np.median(whole)), 2), "slowest": round(max(whole), 2), **parts,
        "calls": results[0]["calls"],
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["zigma-portraits"])
    parser.add_argument("--count", type=int, default=PICTURES)
    parser.add_argument("--storage", default="fp16")
    parser.add_argument("--timed", type=int, default=8, help="pictures with one thread, and by WebGPU with --webgpu")
    parser.add_argument("--webgpu", action="store_true", help="also by WebGPU, on the processor if need be")
    parser.add_argument("--dry", action="store_true", help="do not keep the result")
    chosen = parser.parse_args(arguments)
    kept = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    judge, prompts = load_judge(), held_out_prompts(chosen.count)
    for model in chosen.models:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary, "web")
            index = export([model], folder, storage=chosen.storage)
            pipe = Pipeline.load(model, "cpu")
            name, entry = pipe.folder.id, index["models"][pipe.folder.id]
            requests = [{"prompt": one, "seed": seed, **entry["defaults"]} for seed, (one, _) in enumerate(prompts)]
            content: dict[str, Any] = {"storage": chosen.storage, "pictures": chosen.count, **entry["defaults"]}
            sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
            content["folder_mb"] = round(sum(sizes) / 1e6, 1)
            with opened(folder, isolated=True) as page:
                start, results = drawn(page, name, "wasm", requests)
            content["download_mb"] = round(start["needs"]["bytes"] / 1e6, 1)
            content["wasm"] = seconds_of(start, results)
            with opened(folder, isolated=False) as page:
                content["wasm_one_thread"] = seconds_of(*drawn(page, name, "wasm", requests[: chosen.timed]))
            if chosen.webgpu:
                with opened(folder, isolated=True, flags=WEBGPU) as page:
                    start, gpu = drawn(page, name, "webgpu", requests[: chosen.timed])
                content["webgpu_download_mb"] = round(start["needs"]["bytes"] / 1e6, 1)
                refused = {"backend": start["backend"], "refused": start.get("refused")}
                apart = levels(map(picture_of, gpu), map(picture_of, results))
                content["webgpu"] = {**seconds_of(start, gpu), **refused, "levels_from_wasm": apart}
        started = time.monotonic()
        asked = [pipe.request(prompt=one["prompt"], seed=one["seed"], count=1, solver=one["solver"], steps=one["steps"],
                              guidance=one["guidance"]) for one in requests]  # fmt: skip
        own = [np.asarray(pipe(request).images[0]) for request in asked]
        content["pipeline_seconds"] = round((time.monotonic() - started) / len(own), 2)
        attributes, pictures = [wanted for _, wanted in prompts], [picture_of(one) for one in results]
        content["shown"] = round(judge.obedience(np.stack(pictures), attributes).share, 4)
        content["shown_by_pipeline"] = round(judge.obedience(np.stack(own), attributes).share, 4)
        content["levels_from_pipeline"] = levels(pictures, own)
        content["machine"] = f"{os.cpu_count()} cores, {platform.machine()}"
        print(json.dumps({name: content}, indent=1))
        kept[f"{name} {chosen.storage}"] = content
        if not chosen.dry:
            RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


def levels(ones: Any, others: Any) -> dict[str, float]:
    """How far pictures are apart in levels of 255: the mean, and the most over all numbers."""
    gaps = [np.abs(one.astype(int) - other.astype(int)) for one, other in zip(ones, others, strict=False)]
    return {"mean": round(float(np.mean(gaps)), 3), "most": int(np.max(gaps))}


if __name__ == "__main__":
    sys.exit(main())
