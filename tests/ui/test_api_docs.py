"""The examples of docs/api.md run, and its table of bounds is the one in the code."""

import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from waiting import PATIENCE

from zigdemo.ui.bounds import OPEN, PREFIX, STRICT, Bounds

TEXT = (Path(__file__).resolve().parents[2] / "docs/api.md").read_text(encoding="utf-8")
SMALL = {
    "zigma-portraits": "tiny",
    "zigma-emoji": "tiny",
    'prompt="a smiling person with red hair"': 'label="hedgehog"',
}


def example(language, number=0):
    """An example of a language, for the small models of the tests."""
    code = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)[number]
    for shipped, small in SMALL.items():
        code = code.replace(shipped, small)
    return code


def output(command, code):
    result = subprocess.run([*command], input=code, capture_output=True, text=True, timeout=PATIENCE)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_python_draws(served):
    said = output([sys.executable, "-"], example("python").replace("http://127.0.0.1:7860", served.rstrip("/")))
    assert "2 pictures in" in said and said.count(".png") == 2


def test_python_cancels(served):
    code = example("python", 1).replace("http://127.0.0.1:7860", served.rstrip("/"))
    assert "Traceback" not in output(
        [sys.executable, "-"], code.replace('model="tiny"', 'model="tiny", label="hedgehog"')
    )


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js on this machine")
def test_javascript_reads_an_order(served):
    code = example("js").replace("http://127.0.0.1:7860", served.rstrip("/"))
    assert '"perm"' in output(["node", "--input-type=module", "-"], code)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_curl_lists_labels(served):
    assert "hedgehog" in output(["sh"], example("sh").replace("http://127.0.0.1:7860", served.rstrip("/")))


def test_every_bound_is_in_the_table():
    for one in fields(Bounds):
        row = f"| `{PREFIX}{one.name.upper()}` | {getattr(OPEN, one.name):,} | {getattr(STRICT, one.name):,} | "
        assert row in TEXT
