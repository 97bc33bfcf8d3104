"""The lesson: short steps, numbers read from the benchmarks, and one file that asks for nothing from outside."""

import json
import re

import pytest

from zigdemo import lesson
from zigdemo.scans import receptive_mask, scan_scheme
from zigdemo.ui import tabs
from zigdemo.ui.lesson import data, export
from zigdemo.ui.lesson.steps import MINUTES, MOST_WORDS, STEPS


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.stage)
def test_a_step_is_short_asks_something_and_leads_to_a_tab(step):
    assert len(step.text.split()) <= MOST_WORDS and step.question.endswith("?") and step.notes
    assert step.place in [tab.id for tab in tabs.TABS]
    assert f"function {step.stage}(" in (export.ASSETS / "lesson_stages.js").read_text(encoding="utf-8")


def test_the_lesson_has_nine_steps_in_ten_minutes():
    assert len(STEPS) == 9 and sum(step.minutes for step in STEPS) == MINUTES == 10


def test_orders_are_those_of_the_networks():
    for name, orders in data.orders().items():
        scheme = scan_scheme(name)
        assert len(orders) == scheme.paths
        assert orders[-1] == scheme.order(layer=scheme.paths - 1, grid=(8, 8)).perm.tolist()


def test_what_the_notes_say_of_reach_is_so():
    grid = (data.SIDE, data.SIDE)
    assert receptive_mask(scan_scheme("sweep"), 8, grid, 0).sum() == 1
    assert not receptive_mask(scan_scheme("zigzag-8"), 2, grid, 0).all()
    assert receptive_mask(scan_scheme("zigzag-8"), 3, grid, 0).all()


def test_a_claim_is_decided_where_its_mean_is_farther_from_zero_than_its_deviation(tmp_path, monkeypatch):
    rows = {row["case"]: row for row in data.claims()}
    assert rows["random-8"]["decided"] and not rows["sweep"]["decided"]
    losses = {"zigzag-8": (1.0, 1.0), "sweep": (1.1, 1.1), "hilbert-8": (0.9, 1.2)}
    pairs = [(case, *one) for case, pair in losses.items() for one in enumerate(pair)]
    runs = [{"case": case, "seed": seed, "held_out_loss": loss} for case, seed, loss in pairs]
    monkeypatch.setattr(data, "CLAIMS", tmp_path / "claims.json")
    data.CLAIMS.write_text(json.dumps({"runs": runs}))
    found = {row["case"]: (round(row["mean"]), row["decided"]) for row in data.claims()}
    assert found == {"sweep": (10, True), "hilbert-8": (5, False)}
    data.CLAIMS.write_text("{")
    assert data.claims() == []


def test_the_file_is_small_and_names_no_address_outside():
    html = export.lesson_html()
    assert len(html.encode()) < export.MOST_BYTES
    assert set(re.findall(r"https?://([^/\"' )]+)", html)) <= {"www.w3.org"}
    assert html.count("<script") == html.count("</script>") == 2
    inside = html.split('id="lesson-data">')[1].split("</script>")[0]
    assert len(json.loads(inside)["steps"]) == 9


def test_no_text_can_end_the_element_that_holds_the_data():
    html = export.lesson_html(json.dumps({"words": "</script><script>alert(1)</script>"}))
    assert html.count("</script>") == 2


def test_the_command_writes_the_file_and_says_what_is_wrong(tmp_path, capsys):
    assert lesson.main(["export", str(tmp_path / "lesson.html")]) == 0
    assert (tmp_path / "lesson.html").stat().st_size > 100_000 and "MB" in capsys.readouterr().out
    assert lesson.main(["export", str(tmp_path / "gone" / "lesson.html"), "--prompt", ""]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_portrait_of_one_s_own_stands_in_the_first_and_the_last_step():
    own = data.own_results("a smiling person with green hair", 3)
    content = json.loads(data.lesson_json(exported=True, **own))
    assert content["picture"].startswith("data:image/webp") and "green" in content["words"]
