"""A tiny model that browsers can draw with: velocity, text, latents; and programs of Node.js on the page's modules."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from autoencoders import small_autoencoder
from models import noisy, tiny_config
from towers import small_tower

from zigdemo.conditioning import TextSpec
from zigdemo.pipeline import Pipeline
from zigdemo.zoo import write_folder

WEB = Path(__file__).parents[2] / "assets/web"


@pytest.fixture(scope="session")
def tiny_portraits(tmp_path_factory):
    """tiny_portraits(family, prediction) -> its folder."""
    root = tmp_path_factory.mktemp("weights")
    tower, latents = small_tower(root / "tower"), small_autoencoder(root / "autoencoder", "tiny")

    def make(family="zigma", prediction="velocity", **changes):
        path = root / f"{family}-{prediction}-{len(list(root.iterdir()))}"
        settings = {"labels": 0, "text_width": tower.width, "in_channels": latents.channels, "size": (16, 20)}
        network = noisy(tiny_config(family, **{**settings, **changes}), 0.05)
        write_folder(
            path, network, prediction=prediction, labels=None, origin="untrained", about={"examples": ["a hat"]},
            card="# tiny\n", latents=latents, text=TextSpec(tower.name),
            defaults={"solver": "euler", "steps": 2, "guidance": 3.0},
        )  # fmt: skip
        return path

    return make


@pytest.fixture(scope="session")
def pipes(tiny_portraits):
    """pipes(family) -> a loaded pipeline, one for each family."""
    loaded = {}

    def load(family):
        if family not in loaded:
            loaded[family] = Pipeline.load(tiny_portraits(family), "cpu")
        return loaded[family]

    return load


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    """node(program, given) -> what it returns; the program imports the page's modules by `at(name)` and has `given`."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("Node.js is not installed")
    folder = shutil.copytree(WEB, tmp_path_factory.mktemp("node") / "web")
    (folder / "package.json").write_text('{"type": "module"}')

    def run(program, given=None):
        (folder / "given.json").write_text(json.dumps(given))
        script = 'import { readFileSync } from "node:fs";\n'
        script += f'const at = (name) => import("{folder.as_uri()}/" + name);\n'
        script += f"const given = JSON.parse(readFileSync({json.dumps(str(folder / 'given.json'))}));\n"
        script += f"const result = await (async () => {{ {program} }})(); console.log(JSON.stringify(result));"
        done = subprocess.run([path, "--input-type=module", "-e", script], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
