"""Dependencies point one way: every room imports from rooms below it alone, also inside functions and type hints."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "zigdemo"
# From the ground up; rooms of one floor do not know each other.
FLOORS = (
    ("checks", "files"),
    ("devices", "huggingface"),
    ("scans",),
    ("ops",),
    ("backbones",),
    ("conditioning", "latents"),
    ("diffusion",),
    ("media",),
    ("zoo",),
    ("request",),
    ("pipeline",),
    ("data",),
    ("explain", "evaluation"),
    ("training",),
    ("ui",),
    ("web",),
    ("lesson",),
)
HEIGHT = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imports(path: Path) -> set[str]:
    """Dotted names of this package that a file imports, wherever in it."""
    here = ("zigdemo", *path.relative_to(PACKAGE).parent.parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.split(".")[0] == "zigdemo"}
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            start = ".".join([*base, *([node.module] if node.module else [])])
            if start.split(".")[0] == "zigdemo":
                found |= {f"{start}.{name.name}" for name in node.names}
    return found


def modules() -> dict[str, Path]:
    return {
        ".".join(("zigdemo", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }


ROOMS = sorted({path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")})


def test_every_room_has_its_floor():
    assert set(ROOMS) - {"__init__"} <= set(HEIGHT)


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "__init__"])
def test_a_room_imports_from_below_alone(room):
    paths = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").is_file() else (PACKAGE / room).rglob("*.py")
    for path in paths:
        for name in imports(path):
            other = name.split(".")[1]
            if other in HEIGHT and other != room:
                assert HEIGHT[other] < HEIGHT[room], f"{path.relative_to(PACKAGE)} imports {name}"


def test_there_is_no_circle_of_files():
    known = modules()
    arrows = {}
    for module, path in known.items():
        targets = {name if name in known else name.rpartition(".")[0] for name in imports(path)}
        # A package's door imports its files; a file that takes another by its full name does not need the door.
        arrows[module] = {target for target in targets if target in known and not module.startswith(f"{target}.")}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way[way.index(module) :], module))
        if module not in done:
            for target in sorted(arrows[module]):
                visit(target, (*way, module))
            done.add(module)

    for module in sorted(arrows):
        visit(module, ())


def test_gradio_is_the_pages_alone_and_training_needs_no_heavy_package():
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0]
        for node in ast.parse(path.read_text(encoding="utf-8")).body:  # at import time
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            roots = {name.split(".")[0] for name in names}
            assert room == "ui" or "gradio" not in roots, path
            assert room != "training" or not roots & {"gradio", "diffusers", "open_clip", "av"}, path
            assert not roots & {"onnx", "onnxruntime"}, path  # only for who exports for browsers
