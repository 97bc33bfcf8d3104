"""The *Cost* tab: what a block of every backbone takes against the number of tokens, by formula and measured."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from ...explain import OPERATORS, least_seconds, operator_call
from .. import runs, texts
from ..controls import build_actions, changes, connect
from ..costs import Curves, cost_json
from ..frame import Frame
from ..looking import Updates, stoppable
from ..runs import Run
from ..theme import mount_script
from ..turns import checkpoint

TAB = "cost"  # the id of the tab and of its runs
TOKENS = (256, 1024, 4096, 8192)  # measured here; attention among more takes seconds
SECONDS = 0.4  # for each of them, about
OUTPUTS = ("cost", "progress", "go", "stop")
_updates = partial(changes, OUTPUTS)


@stoppable(TAB, _updates)
def _measure(run: Run) -> Updates:
    """Time every operator here, on the processor, without gradients."""
    curves: Curves = {"forward": {}}
    todo = [(operator, tokens) for tokens in TOKENS for operator in OPERATORS]
    for done, (operator, tokens) in enumerate(todo):
        yield _updates(True, progress=texts.count_html(done, len(todo), "measurement", 0))
        if run.stop.is_set():
            return
        checkpoint()
        operator_call(operator, 16, training=False)()  # compiles, loads libraries
        call = operator_call(operator, tokens, training=False)
        call()
        seconds = least_seconds(call, SECONDS)
        curves["forward"].setdefault(operator, []).append({"tokens": tokens, "seconds": seconds, "peak_kb": 0})
        yield _updates(True, cost=cost_json(curves))
    yield _updates(False, texts.COST_MEASURED, cost=cost_json(curves))


def _stop(page: gr.Request) -> tuple[Any, ...]:
    runs.stop(page, TAB)
    return _updates(False, texts.COST_STOPPED)


def build_cost_tab(frame: Frame) -> None:
    """Lay the tab out; call inside its gr.Tab."""
    cost = gr.HTML(
        cost_json(),
        html_template='<div class="cost"></div>',
        js_on_load=mount_script("cost", "zigdemoCost"),
        apply_default_css=False,
        elem_id="cost",
    )
    with gr.Column(elem_id="cost-actions"):
        go, stop, progress = build_actions(texts.COST_READY, "cost-progress", "Measure here")
    connect(
        (go, stop, progress), [], [cost, progress, go, stop], _measure, _stop, _updates,
        seconds=lambda: 2 * SECONDS * len(TOKENS) * len(OPERATORS),
    )  # fmt: skip
