"""The Samplers tab: what its players are given, its endpoints, and one sentence for every fault."""

import base64
import csv
import json
import math
from urllib.parse import quote

import gradio as gr
import numpy as np
import pytest
from models import tiny_folder
from pages import page_of

from zigdemo import zoo
from zigdemo.explain import clean_strip
from zigdemo.pipeline import Pipeline, Request
from zigdemo.ui import error_curve, texts
from zigdemo.ui.tabs import samplers
from zigdemo.ui.tabs.samplers import toy_paths
from zigdemo.ui.toys import FIRST, toy_data

RESULT = json.loads(error_curve.RESULTS.read_text(encoding="utf-8"))


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    return tiny_folder(tmp_path / "tiny")


def test_the_player_and_the_endpoint_tell_the_same_paths():
    data = json.loads(json.dumps(toy_data("ring", "euler", "ddpm", 4, None, 3)))
    found = toy_paths("ring", "euler", "ddpm", 4, None, 3)
    for drawn, told in zip(data["runs"], (found["ode"], found["sde"]), strict=True):
        states = np.frombuffer(base64.b64decode(drawn["states"]), "<i2").reshape(5, data["points"], 2)
        assert np.abs(states / data["scale"] - np.array(told["states"])).max() < 1 / data["scale"]
        assert drawn["times"] == told["times"] and drawn["nfe"] == told["nfe"] == 4
        assert drawn["score"] == told["score"] > 0
    assert data["floor"] == found["floor"] and data["noise_score"] == found["noise_score"]
    cells = len(data["frames"]) * data["cells"] ** 2
    assert len(base64.b64decode(data["density"])) == cells


@pytest.mark.parametrize(
    ("place", "value", "word"),
    [
        (0, "cube", "unknown toy 'cube'"),
        (0, None, "toy must be a name"),
        (1, ["heun"], "ODE solver must be a name"),
        (1, "ddpm", "unknown ODE solver"),
        (2, "heun", "unknown SDE solver"),
        (3, 0, "steps must be a whole number from 1 to 100, not 0"),
        (3, 1e9, "steps must be"),
        (3, math.nan, "steps must be"),
        (3, None, "steps must be a whole number from 1 to 100, not nothing"),
        (4, "loud", "unknown form"),
        (5, -1, "seed must be"),
    ],
)
def test_a_bad_setting_of_the_toy_is_one_sentence(place, value, word):
    settings = list(FIRST)
    settings[place] = value
    with pytest.raises(ValueError, match=word):
        toy_data(*settings)
    with pytest.raises(gr.Error, match=word):
        toy_paths(*settings)


def test_ancestral_solvers_have_no_form_to_choose():
    assert samplers._form_of("ddpm") == gr.update(visible=False, value=None)
    assert samplers._form_of("heun-sde")["value"] == "sigma"


def test_strips_start_from_the_same_noise_and_end_in_the_results(tiny):
    found = samplers.solver_strips("tiny", "hedgehog", "euler", "ddpm", 12, 2.0, 5)
    assert [strip["solver"] for strip in found] == ["euler", "ddpm"]
    assert found[0]["images"][0] == found[1]["images"][0], "both are asked at the same noise first"
    assert found[0]["images"][-1] != found[1]["images"][-1]
    assert found[0]["times"] == found[1]["times"] == [column / 7 for column in range(8)]
    for strip in found:
        pairs = [(t, called) for t, called in zip(strip["times"], strip["called"], strict=True) if called is not None]
        assert len(pairs) >= 7 and all(called <= t + 1e-6 for t, called in pairs), (
            "a picture from later than its column"
        )
    assert found[0]["nfe"] == 12 and all(image.startswith("data:image/png") for image in found[0]["images"])


def test_a_prediction_stays_until_the_next_and_the_last_column_is_what_is_generated(tiny):
    pipe, request = Pipeline(tiny), Request("tiny", label="hedgehog", count=1, solver="euler", steps=3)
    *_, strip = clean_strip(pipe, request)
    assert strip.called == pytest.approx([0, 0, 0, 1 / 3, 1 / 3, None, None, 1]), "the last step only has its end"
    assert [image is None for image in strip.images] == [False] * 5 + [True, True, False]
    assert texts.strips_html([("Euler", strip)]).count("t = 0.71") == 1, "also a column without a picture has its time"
    assert strip.images[-1].tobytes() == pipe(request).images[0].tobytes()
    with pytest.raises(ValueError, match="one picture"):
        next(clean_strip(pipe, Request("tiny", label="hedgehog", count=2)))


@pytest.mark.parametrize(
    "change",
    [{"model": "x"}, {"label": "unicorn"}, {"first": "magic"}, {"second": None}, {"steps": 251}, {"seed": -1}],
    ids=str,
)
def test_a_bad_setting_of_the_strips_is_one_sentence(tiny, change):
    good = {"model": "tiny", "label": "hedgehog", "first": "euler", "second": "heun", "steps": 2}
    with pytest.raises(gr.Error) as fault:
        samplers.solver_strips(**{**good, **change})
    assert 10 < len(fault.value.message) < 400 and "\n" not in fault.value.message


def test_only_solvers_that_the_model_allows_are_offered(tiny):
    assert {"heun", "ddpm", "heun-sde"} <= {name for _, name in samplers._model_solvers("tiny")}


@pytest.mark.parametrize("error", ["error", "before"])
def test_every_measured_solver_has_a_line_and_the_default_a_ring(error):
    svg = error_curve.curve_svg(RESULT, error)
    measured = [c for c in RESULT["curves"].values() if any(error in point for point in c["points"])]
    assert svg.count("<g clip-path") == svg.count('class="legend"') == len(measured) >= 7
    assert svg.count('class="default"') == 1
    points = sum(error in point for curve in measured for point in curve["points"])
    assert svg.count("data-tip=") == points and "Heun, 50 calls: " in svg


def test_no_two_solvers_look_alike_and_only_those_of_the_sde_are_dotted():
    styles = error_curve._styles(RESULT)
    assert (
        len({style.colour for style in styles.values()})
        == len({style.marker for style in styles.values()})
        == len(styles)
    )
    assert {style.dashes for style in styles.values()} > {""}
    for name, style in styles.items():
        assert (style.dashes in error_curve.SDE_DASHES) == RESULT["curves"][name]["stochastic"]


def test_all_numbers_are_in_the_table_to_save():
    rows = list(csv.DictReader(error_curve.csv_of(RESULT).splitlines()))
    assert len(rows) == sum(len(curve["points"]) for curve in RESULT["curves"].values())
    (heun,) = (row for row in rows if (row["solver"], row["steps"]) == ("heun", "25"))
    point = error_curve._default_point(RESULT)
    assert (heun["kind"], int(heun["network calls"]), float(heun["error"])) == ("ODE", point["nfe"], point["error"])
    assert quote(error_curve.csv_of(RESULT)) in error_curve.curves_html()


def test_the_shipped_measurement_is_of_the_default_of_requests():
    default = Request(RESULT["model"])
    assert RESULT["default"] == {"solver": default.solver, "steps": default.steps}
    assert error_curve._default_point(RESULT) is not None
    assert samplers.steps_against_error() == RESULT


def test_no_measurement_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(error_curve, "RESULTS", tmp_path / "none.json")
    assert "python -m benchmarks.solvers" in error_curve.curves_html()
    with pytest.raises(gr.Error, match=r"benchmarks\.solvers"):
        samplers.steps_against_error()


def test_the_tab_has_three_typed_endpoints(tiny):
    endpoints = page_of(samplers.build_samplers_tab).get_api_info()["named_endpoints"]
    assert set(endpoints) == {"/toy_paths", "/solver_strips", "/steps_against_error"}
    types = [parameter["python_type"]["type"] for parameter in endpoints["/toy_paths"]["parameters"]]
    assert types[:4] == ["str", "str", "str", "int"] and types[5] == "int"
