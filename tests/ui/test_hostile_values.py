"""Whatever a browser sends to an event of the page, it is answered, and nothing is raised."""

import inspect
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.utils import get_type_hints
from models import tiny_folder
from towers import small_tower
from waiting import finished

from zigdemo import zoo
from zigdemo.ui import runs

JUNK = [None, "x", "", [], ["x", 3], {}, {"value": 1}, -5, 10**30, float("nan"), True]


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    root = tmp_path_factory.mktemp("weights")
    tiny_folder(root / "tiny", scheme="zigzag-8")
    tiny_folder(root / "tiny-text", text=small_tower(root / "tower"))
    tiny_folder(root / "tiny-clips", frames=3, scheme="factorized-st", frame_position=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "WEIGHTS", root)
        import app

        yield [event for event in app.build_app().fns.values() if event.fn and event.api_visibility == "private"]


def arguments(event, junk):
    """The arguments of an event's function, with junk for every input and in every field of event data."""
    hints, values = get_type_hints(event.fn), iter([junk] * len(event.inputs))
    data = {name: junk for name in ("query", "queries", "model", "row", "column", "index", "value", "target")}
    for name, parameter in inspect.signature(event.fn).parameters.items():
        hint = hints.get(name)
        if hint is gr.Request:
            yield SimpleNamespace(session_hash="a page", query_params={}, headers={}, client=None)
        elif inspect.isclass(hint) and issubclass(hint, gr.EventData):
            yield SimpleNamespace(**data)
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            yield from values
        else:
            yield next(values, None)


async def settled(answer):
    return await answer


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_every_event_answers_junk(events, monkeypatch, junk):
    from zigdemo.ui import live

    monkeypatch.setattr(runs, "warn", lambda text: None)
    monkeypatch.setattr(live, "REST_SECONDS", 0.0)
    asked = 0
    for event in events:
        if not event.inputs or inspect.isasyncgenfunction(event.fn):
            continue
        asked += 1
        try:
            answer = event.fn(*arguments(event, junk))
            if inspect.isgenerator(answer):
                list(answer)
            elif inspect.iscoroutine(answer):
                finished(settled(answer))
        except gr.Error:
            pass
    assert asked > 50
