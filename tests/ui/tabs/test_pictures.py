"""What the page's values become."""

import json
import math

import pytest
from hypothesis import given
from hypothesis.strategies import floats, sampled_from, tuples
from models import tiny_folder
from towers import small_tower

from zigdemo import zoo
from zigdemo.diffusion import SAMPLERS
from zigdemo.ops import backends
from zigdemo.pipeline import Pipeline, Request
from zigdemo.ui import settings
from zigdemo.ui.api import generate
from zigdemo.ui.footer import backend_table, footer_text
from zigdemo.ui.more import SOLVER_OPTIONS, note, of_solver
from zigdemo.ui.tabs import pictures as tab
from zigdemo.ui.tabs.scan_paths import scan_data

VALUES = {
    "model": "m",
    "label": "a",
    "scan": None,
    "solver": "heun",
    "steps": 5.0,
    "guidance": 1.0,
    "seed": 2.0,
    "count": 3.0,
}


def test_whole_floats_of_the_page_become_numbers():
    request = settings.to_request(**VALUES)
    assert (request.steps, request.seed, request.count) == (5, 2, 3)


@pytest.mark.parametrize("name", ["steps", "seed", "count", "guidance"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e30, None])
def test_what_is_no_number_is_one_sentence(name, value):
    with pytest.raises(ValueError, match=name):
        settings.to_request(**{**VALUES, name: value})


def test_a_model_without_a_scan_hides_the_control(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "tiny", family="dit")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    assert settings.scheme_choices("tiny") == []
    _, _, _, _, scan, *_ = tab._model_updates("tiny", "heun", 25, 2.0)
    assert scan["visible"] is False and scan["value"] is None


@pytest.mark.parametrize("solver", SAMPLERS)
def test_a_solver_gets_its_own_options_and_no_others(solver):
    changed = {"form": "linear", "strength": 2, "last_step": "euler", "last_size": 0.1, "eta": 0.5, "rtol": 0.1}
    request = settings.to_request(**{**VALUES, "solver": solver}, **changed)
    own = SAMPLERS[solver].options
    assert request.solver_options == {name: value for name, value in changed.items() if name in own}
    assert settings.to_request(**{**VALUES, "solver": solver}, **settings.OPTIONS).solver_options == {}


@pytest.mark.parametrize("solver", SAMPLERS)
def test_what_a_solver_does_not_have_is_grey_and_said(solver):
    own = SAMPLERS[solver].options
    _, *updates = of_solver(solver)
    assert {name for name, update in zip(SOLVER_OPTIONS, updates, strict=True) if update["interactive"]} == own.keys()
    assert ("Grey below" in note(solver)) == ("form" not in own)


def test_a_solver_whose_package_is_missing_says_so(monkeypatch):
    monkeypatch.setattr("zigdemo.diffusion.solvers.find_spec", lambda name: None)
    choices = {name: text for text, name in settings.solver_choices()}
    assert choices["dopri5"].endswith("needs torchdiffeq, not installed") and choices["heun"] == "Heun"
    with pytest.raises(ValueError, match="torchdiffeq, which is not installed"):
        settings.to_request(**{**VALUES, "solver": "dopri5"})


@given(
    solver=sampled_from(sorted(SAMPLERS)),
    guide=tuples(floats(0, 1), floats(0, 1)).map(sorted),
    shift=sampled_from([1.0, 0.5, 3.0]),
    strength=floats(0, 5),
    start=sampled_from([0.0, 0.3]),
)
def test_the_controls_show_a_request_and_give_it_back(solver, guide, shift, strength, start):
    options = {"shift": shift, "strength": strength, "start": start}
    request = settings.to_request(
        **{**VALUES, "solver": solver}, guide_from=guide[0], guide_to=guide[1], negative="b", **options
    )
    assert settings.to_request(**settings.shown_values(request)) == request


def test_a_link_restores_options(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "tiny")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    query = {"model": "tiny", "solver": "heun-sde", "strength": "2", "form": "linear", "guide_to": "0.5", "shift": "-1"}
    request, left_out = settings.from_link(query)
    assert request.solver_options == {"strength": 2, "form": "linear"} and request.guidance_interval == (0, 0.5)
    assert len(left_out) == 1 and "shift" in left_out[0]


def test_schemes_say_whether_the_model_was_trained_with_them(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "tiny")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    choices = dict((name, text) for text, name in settings.scheme_choices("tiny"))
    assert choices["zigzag-8"].endswith("trained with it") and "not trained" in choices["hilbert-8"]
    assert "bidirectional" not in choices and "parallel-4" not in choices


def test_a_scheme_that_another_model_of_its_kind_was_trained_with_names_that_model(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "tiny")
    tiny_folder(tmp_path / "swept", scheme="sweep")
    tiny_folder(tmp_path / "other", scheme="hilbert-8", labels=0)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    choices = dict((name, text) for text, name in settings.scheme_choices("tiny"))
    assert list(choices)[:2] == ["zigzag-8", "sweep"] and "; swept is" in choices["sweep"]
    assert choices["hilbert-8"].endswith("not trained with this scan")
    assert "; tiny is" in dict((name, text) for text, name in settings.scheme_choices("swept"))["zigzag-8"]


@pytest.mark.parametrize(("scheme", "panels"), [("sweep", 1), ("zigzag-8", 8), ("random-20", 16), ("parallel-4", 4)])
def test_the_player_gets_every_distinct_path_up_to_sixteen(scheme, panels):
    data = scan_data(scheme, 5, 7)
    assert len(data["orders"]) == len(data["measures"]) == panels
    assert all(sorted(order) == list(range(35)) for order in data["orders"])


@pytest.mark.parametrize("side", [0, 65, None, math.nan, 2.5, math.inf])
def test_a_grid_out_of_bounds_is_one_sentence(side):
    with pytest.raises((ValueError, OverflowError)):
        scan_data("sweep", side, 4)


def test_the_footer_names_backend_threads_and_versions():
    text = footer_text()
    for word in ("selective scan", "threads", "torch", "gradio", "zigdemo"):
        assert word in text


def test_the_table_says_of_every_backend_whether_it_runs_and_why():
    table, lines = backend_table(), backends.report()
    assert table.count("**runs**") == len(backends.OPERATORS)
    for line in lines:
        assert f"| {line.backend} |" in table and line.reason in table


def with_defaults(path, monkeypatch, **more):
    """Two models, of which one has defaults and examples of its own."""
    tiny_folder(path / "tiny")
    tiny_folder(path / "own")
    content = json.loads((path / "own/config.json").read_text())
    content |= {"defaults": {"solver": "euler", "steps": 4}, **more}
    (path / "own/config.json").write_text(json.dumps(content))
    monkeypatch.setattr(zoo, "WEIGHTS", path)


def test_a_model_is_drawn_by_its_own_defaults_where_none_are_named(tmp_path, monkeypatch):
    with_defaults(tmp_path, monkeypatch)
    assert settings.defaults("tiny") == {"solver": "heun", "steps": 25, "guidance": 2.0}
    assert settings.with_defaults("own", None, None, None) == ("euler", 4, 2.0)
    assert settings.with_defaults("own", "heun", None, 0.0) == ("heun", 4, 0.0)
    _, line = generate("own", label="red heart", count=1)
    assert "4 network calls" in line


def test_choosing_a_model_brings_its_defaults_unless_others_were_chosen(tmp_path, monkeypatch):
    with_defaults(tmp_path, monkeypatch)
    assert settings.defaults_for("own", "heun", 25, 2.0) == {"solver": "euler", "steps": 4, "guidance": 2.0}
    assert settings.defaults_for("tiny", "euler", 4, 2.0)["steps"] == 25
    assert settings.defaults_for("own", "heun", 50, 2.0) == {"solver": "heun", "steps": 50, "guidance": 2.0}


def test_a_link_means_what_it_meant_whatever_model_comes_first_now(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "zigma-emoji")
    with_defaults(tmp_path, monkeypatch)
    monkeypatch.setattr(settings, "FIRST", ("own",))
    request, _ = settings.from_link({"seed": "3"})
    assert (request.model, request.solver, request.steps, request.seed) == ("zigma-emoji", "heun", 25, 3)
    request, _ = settings.from_link({"model": "own"})
    assert (request.model, request.solver, request.steps) == ("own", "heun", 25)


def test_examples_are_the_models_own_where_it_has_some(tmp_path, monkeypatch):
    with_defaults(tmp_path, monkeypatch)
    assert settings.examples("own") == ["red heart", "hedgehog"]
    tower = small_tower(tmp_path / "tower")
    tiny_folder(tmp_path / "words", text=tower)
    assert settings.examples("words") == list(settings.SUGGESTIONS)
    content = json.loads((tmp_path / "words/config.json").read_text())
    for own, shown in ((["red hair", 3, ""], ["red hair"]), ("red", list(settings.SUGGESTIONS))):
        (tmp_path / "words/config.json").write_text(json.dumps({**content, "about": {"examples": own}}))
        assert settings.examples("words") == shown


@pytest.mark.parametrize(
    "defaults",
    [[], {"solver": "magic"}, {"solver": ["heun"]}, {"steps": 0}, {"steps": 2.5}, {"steps": True}, {"guidance": -1},
     {"guidance": "2"}, {"seed": 1}],
    ids=str,
)  # fmt: skip
def test_defaults_that_make_no_sense_are_one_sentence(tmp_path, monkeypatch, defaults):
    with_defaults(tmp_path, monkeypatch, defaults=defaults)
    with pytest.raises(ValueError, match="defaults") as fault:
        zoo.read_folder(tmp_path / "own")
    assert "\n" not in str(fault.value)


def test_the_newest_pictures_come_first_in_the_history(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "tiny")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    earlier = tmp_path / "earlier.png"
    earlier.write_bytes(b"x")
    request = settings.to_request(**{**VALUES, "model": "tiny", "label": "red heart", "count": 2, "steps": 1})
    *_, step = Pipeline.load("tiny").stream(request)
    shown = dict(zip(tab.OUTPUTS, tab._result_updates(step, [str(earlier), "gone.png"], []), strict=True))
    assert shown["history"] == [*shown["files"], str(earlier)] == shown["past"] and len(shown["files"]) == 2


def test_a_scan_that_another_model_was_trained_with_offers_that_model(tmp_path, monkeypatch):
    tiny_folder(tmp_path / "tiny", scheme="zigzag-8")
    tiny_folder(tmp_path / "tiny-sweep", scheme="sweep")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    assert "tiny-sweep, trained with" in tab._twin_offer("tiny", "sweep")["value"]
    for scan in ("zigzag-8", "hilbert-8", "", None):
        assert tab._twin_offer("tiny", scan)["visible"] is False
    chosen = {**settings.shown_values(Request("tiny", label="hedgehog", steps=3, seed=5)), "scan": "sweep", "count": 2}
    *shown, offer, _ = tab._use_twin(*(chosen[name] for name in settings.NAMES))
    values = dict(zip(settings.NAMES, shown, strict=False))
    assert values["model"] == "tiny-sweep" and values["scan"]["value"] == "sweep" and offer["visible"] is False
    assert (values["label"]["value"], values["steps"], values["seed"], values["count"]) == ("hedgehog", 3, 5, 2)
    assert tab._use_twin(*(chosen[name] if name != "scan" else None for name in settings.NAMES))[
        : len(tab.NO_CHANGE)
    ] == (tab.NO_CHANGE)
