"""The Cost tab: what its script is sent, and what is measured here."""

import json

import pytest
from pages import page_of

from zigdemo.explain.operators import OPERATORS
from zigdemo.explain.terms import BLOCKS
from zigdemo.ui import costs
from zigdemo.ui.tabs import cost as tab


class Page:
    session_hash = "a page"


def test_the_script_is_sent_all_terms_and_what_was_measured():
    data = json.loads(costs.cost_json())
    assert list(data["blocks"]) == list(BLOCKS) and set(data["colour_of"]) == {*OPERATORS, *costs.NETWORK_OF}
    assert [run["of"] for run in data["measured"]] == ["operator", "network", "gpu"]
    for run in data["measured"][:2]:
        assert set(run["curves"]) == {"forward", "training"} and "threads" in run["machine"]
        assert set(run["curves"]["forward"]) <= set(data["colour_of"])
    dit = data["measured"][1]["curves"]["training"]["DiT"]
    assert dit[0]["tokens"] == 256 and 0 < dit[0]["seconds"] < dit[-1]["seconds"]
    on_gpu = data["measured"][2]
    assert "H200" in on_gpu["machine"] and set(on_gpu["curves"]["forward"]) == set(costs.NETWORK_OF)
    for points in on_gpu["curves"]["forward"].values():
        assert [point["tokens"] for point in points] == [1024, 4096, 16384]
    sent = data["blocks"]["dit"]["terms"][1]
    assert sent["formula"] == "2M²D" and sent["monomials"] == [[2, {"M": 2, "D": 1}]]


def test_the_page_opens_without_the_results_of_the_benchmark(tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "RESULTS", tmp_path)
    assert costs.measured() == [] and json.loads(costs.cost_json())["measured"] == []


def measuring(monkeypatch):
    monkeypatch.setattr(tab, "TOKENS", (64, 256))
    monkeypatch.setattr(tab, "SECONDS", 0.001)
    return tab._measure(Page)


def test_every_operator_is_timed_here_and_stands_beside_what_was_measured_before(monkeypatch):
    *_, last = [dict(zip(tab.OUTPUTS, one, strict=True)) for one in measuring(monkeypatch)]
    run = json.loads(last["cost"])["measured"][-1]
    assert "measured here" in run["machine"] and set(run["curves"]["forward"]) == set(OPERATORS)
    for points in run["curves"]["forward"].values():
        assert [point["tokens"] for point in points] == [64, 256] and all(point["seconds"] > 0 for point in points)
    assert last["go"]["interactive"] and not last["stop"]["interactive"]


def test_stop_ends_the_measurement_and_keeps_what_there_is(monkeypatch):
    measurement = measuring(monkeypatch)
    for _ in range(2):
        shown = dict(zip(tab.OUTPUTS, next(measurement), strict=True))
    tab.runs.RUNS[Page.session_hash, tab.TAB].stop.set()
    rest = [dict(zip(tab.OUTPUTS, one, strict=True)) for one in measurement]
    assert len(json.loads(shown["cost"])["measured"]) == 4 and rest[-1]["go"]["interactive"] and len(rest) <= 2


@pytest.mark.parametrize("preset", costs.PRESETS, ids=lambda preset: preset[0])
def test_presets_have_sizes_that_the_sliders_reach(preset):
    _, tokens, width, state = preset
    assert 16 <= tokens <= 2**18 and 64 <= width <= 2048 and 4 <= state <= 64


def test_the_tab_can_be_built_alone():
    assert any(block.elem_id == "cost" for block in page_of(tab.build_cost_tab).blocks.values())
