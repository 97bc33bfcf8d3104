"""The folder that draws in a browser: graphs of models, tokenizer, scan orders, the runtime, a page, and an index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..conditioning.text import LITTLE_WORDS
from ..files import write_whole
from ..pipeline import Pipeline
from ..scans import SCHEMES, scan_scheme
from ..ui.languages import TABLES, language_script
from ..zoo.hub import DOWNLOADS
from . import graphs
from .runtime import FILES, runtime_files
from .storage import STORAGES, halve, quantise

ASSETS = TABLES.parent
CACHE = DOWNLOADS / "web"
SOLVER_NAMES = ("heun", "euler", "ddim")  # those of assets/web/solvers.js
PARTS = {"network": graphs.network_graph, "tower": graphs.tower_graph, "decoder": graphs.decoder_graph}
MOST_TOKENS = 256  # of a network that mixes them in order, whose steps are written out in its graph
MOST_STEPS = 50
SPACE = """---
title: zigdemo draws in the browser
emoji: 〰️
colorFrom: blue
colorTo: green
sdk: static
custom_headers:
  cross-origin-embedder-policy: require-corp
  cross-origin-opener-policy: same-origin
  cross-origin-resource-policy: cross-origin
---
Portraits drawn on the device of whoever looks at them, by diffusion networks that turn noise into a picture. No
server computes anything. Made by `python -m zigdemo.web export`; `python -m zigdemo.web serve FOLDER` shows it here.

| model | weights | to fetch by WebAssembly | by WebGPU |
|---|---|---|---|
"""
STORED = {
    "fp16": "half precision, as shipped",
    "int8": "bytes: slightly other pictures; those of `zigma-portraits` show as much of a prompt (0.980)",
}


def export(
    models: Sequence[str], out: Path, *, storage: str = "fp16", package: Path | None = None, cache: Path | None = None,
    page: str = "index.html", watch: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:  # fmt: skip
    """Write the folder `out` and return its index; graphs made before are taken from the cache.

    models: ids or folders, as `Pipeline.load` takes them. storage: of the weights, of STORAGES. package: see
    `runtime_files`. cache: of graphs, CACHE by default. page: the name of the page that draws. watch: called with a
    line about each model. A file of parts/ has a hash of its content in its name, so that what a browser kept is never
    out of date. Raises ValueError with one sentence.
    """
    if storage not in STORAGES:
        raise ValueError(f"unknown storage {storage!r}; choose one of {', '.join(STORAGES)}")
    runtime = runtime_files(package)
    out.mkdir(parents=True, exist_ok=True)
    files: dict[str, int] = {}

    def write(path: str, content: bytes) -> str:
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, content)
        files[path] = len(content)
        return path

    def hashed(stem: str, suffix: str, content: bytes) -> str:
        return write(f"parts/{stem}-{hashlib.sha256(content).hexdigest()[:12]}.{suffix}", content)

    for name, content in runtime.items():
        write(f"runtime/{name}", content)
    entries = {}
    for model in models:
        pipe = Pipeline.load(model, "cpu")
        check(pipe)
        watch(f"{pipe.folder.id} ...")
        entries[pipe.folder.id] = entry(pipe, storage, hashed, cache or CACHE)
    index = {
        "zigdemo": __version__,
        "runtime": {kind: dict(zip(("module", "binary"), (f"runtime/{name}" for name in pair), strict=True))
                    for kind, pair in FILES.items()},
        "models": entries,
        "files": files,
        "schemes": {name: scan_scheme(name).label for one in entries.values() for name in one["schemes"]},
        "most_steps": MOST_STEPS,
    }  # fmt: skip
    for path in sorted((ASSETS / "web").iterdir()):
        write_whole(out / (page if path.suffix == ".html" else path.name), path.read_bytes())
    for name in ("tokens.css", "language.css", "parts.js", "language.js"):
        write_whole(out / name, (ASSETS / name).read_bytes())
    write_whole(out / "tables.js", language_script())
    write_whole(out / "README.md", card(index))
    write_whole(out / "index.json", json.dumps(index, ensure_ascii=False, indent=1))
    _forget_others(out / "parts", files)
    return index


def download_bytes(index: dict[str, Any], model: str, backend: str) -> int:
    """What a browser fetches to draw with a model of an index, by a backend of its runtime."""
    entry = index["models"][model]
    paths = [*index["runtime"][backend].values(), *entry["parts"].values(), entry["tokenizer"], entry["scans"]]
    return sum(index["files"][path] for path in paths if path)


def card(index: dict[str, Any]) -> str:
    """The README of a folder, which is also the configuration of a static Space."""
    sizes = {name: [f"{download_bytes(index, name, one) / 1e6:.1f} MB" for one in FILES] for name in index["models"]}
    rows = [f"| `{name}` | {STORED[model['storage']]} | {' | '.join(sizes[name])} |\n"
            for name, model in index["models"].items()]  # fmt: skip
    return SPACE + "".join(rows)


def check(pipe: Pipeline) -> None:
    """Raises ValueError with one sentence for a model that browsers cannot draw with."""
    name, config = pipe.folder.id, pipe.network.config
    reason = None
    if pipe.text is None:
        reason = "is drawn by label, and the browser draws by prompt"
    elif pipe.frames:
        reason = "draws clips, and the browser draws pictures"
    elif pipe.folder.prediction != "velocity" or pipe.path.name != "linear" or pipe.folder.guided_channels is not None:
        reason = "does not predict the velocity on the linear path, which the solvers of the browser follow"
    elif pipe.folder.latents is None or pipe.folder.latents.kind != "tiny":
        reason = "has no tiny autoencoder, the only kind that the browser decodes with"
    elif not graphs.has_graph(config):
        reason = f"is a {pipe.folder.family} of a kind that the browser has no graph of"
    elif config.operator and config.grid[0] * config.grid[1] > MOST_TOKENS:
        reason = f"mixes {config.grid[0] * config.grid[1]} tokens in order, and a graph is for at most {MOST_TOKENS}"
    if reason:
        raise ValueError(f"{name} {reason}; choose a model such as zigma-portraits")


def entry(pipe: Pipeline, storage: str, hashed: Callable[[str, str, bytes], str], cache: Path) -> dict[str, Any]:
    """What the index says of a model; its files are written by `hashed(stem, suffix, content)`, which names them."""
    folder, config = pipe.folder, pipe.network.config
    stems = {"network": folder.id, "tower": pipe.text.name, "decoder": pipe.latents.name.rpartition("/")[2]}
    parts = {part: hashed(stems[part], "onnx", graph_bytes(pipe, part, storage, cache)) for part in PARTS}
    rows = {scheme: graphs.scan_rows(pipe, scheme) for scheme in schemes_of(pipe)}
    orders = {scheme: perm.tolist() for scheme, (perm, _) in rows.items()}
    scheme = getattr(config, "scheme", None)
    defaults = pipe.request(prompt="a portrait")
    return {
        "title": folder.id,
        "parts": parts,
        "tokenizer": hashed(f"{pipe.text.name}-words", "json", _json(tokenizer_content(pipe))),
        "scans": hashed("orders", "json", _json({"grid": config.grid, "orders": orders})) if orders else None,
        "schemes": list(orders),
        "scan": scheme if isinstance(scheme, str) else None,
        "learned": list(folder.schemes),
        "latents": {
            "shape": [config.in_channels, *config.size],
            "factor": pipe.latents.factor,
            "colours": colours(pipe),
        },
        "guided": config.null_label,
        "storage": storage,
        "weights": folder.sha256,
        "defaults": {
            "solver": defaults.solver if defaults.solver in SOLVER_NAMES else "euler",
            "steps": min(defaults.steps, MOST_STEPS),
            "guidance": defaults.guidance,
        },
        "examples": [str(prompt) for prompt in folder.about.get("examples", [])],
    }


def schemes_of(pipe: Pipeline) -> list[str]:
    """The scan schemes that a browser offers for a model, its own first; empty without a scan."""
    if not hasattr(pipe.network, "scans"):
        return []
    names = list(pipe.schemes)
    for family in SCHEMES.values():
        names += [name for name in family.examples if name not in names]
    return [name for name in names if _fits(pipe, name)]


def _fits(pipe: Pipeline, scheme: str) -> bool:
    try:
        pipe.network.scans(scheme)
    except ValueError:
        return False
    return True


def graph_bytes(pipe: Pipeline, part: str, storage: str, cache: Path) -> bytes:
    """The graph of a part of PARTS, from the cache if the same weights were exported by the same code before."""
    path = cache / f"{part}-{_key(pipe, part, storage)}.onnx"
    if not path.is_file():
        graph = PARTS[part](pipe)
        (halve if storage == "fp16" else quantise)(graph)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, graph.SerializeToString())
    return path.read_bytes()


def _key(pipe: Pipeline, part: str, storage: str) -> str:
    """A hash of all that determines a graph: weights, the code that computes and exports, torch, the storage."""
    weights = {"network": pipe.weights, "tower": pipe.text.sha256, "decoder": pipe.latents.sha256}[part]
    facts = [weights, storage, torch.__version__, repr(pipe.network.config), _code()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


@lru_cache
def _code() -> str:
    """A hash of the code that computes and exports."""
    here, digest = Path(__file__).resolve().parent, hashlib.sha256()
    for room in (here, here.parent / "backbones", here.parent / "conditioning", here.parent / "latents"):
        for path in sorted(room.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def tokenizer_content(pipe: Pipeline) -> dict[str, Any]:
    """What assets/web/tokens.js needs: the merges, and the words that the tower learned."""
    tower = pipe.text
    return {
        "context": tower.context,
        "merges": [" ".join(pair) for pair in tower.tokenizer.merges],
        "learned": sorted(tower.learned),
        "little": sorted(LITTLE_WORDS),
    }


def colours(pipe: Pipeline) -> dict[str, Any]:
    """The linear map of `preview` from a latent to its colour: matrix (3, channels) and offset (3,)."""
    channels = pipe.latents.channels
    basis = torch.cat([torch.zeros(1, channels), torch.eye(channels)])[..., None, None]
    offset, *columns = pipe.latents.preview(basis)[..., 0, 0]
    matrix = torch.stack([column - offset for column in columns], 1)
    return {"matrix": [[round(v, 6) for v in row] for row in matrix.tolist()], "offset": offset.tolist()}


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _forget_others(parts: Path, files: dict[str, int]) -> None:
    """Remove parts that an earlier export left."""
    for path in parts.iterdir():
        if f"parts/{path.name}" not in files:
            path.unlink()
