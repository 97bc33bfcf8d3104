"""Matrices of pictures: what varies, which cells cannot be, what is kept, and the files that bring a matrix back."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import pytest
from models import tiny_folder
from PIL import Image

from zigdemo import zoo
from zigdemo.media import read_metadata
from zigdemo.pipeline import Pipeline, Request
from zigdemo.ui import runs
from zigdemo.ui.compare import sheets
from zigdemo.ui.compare.axes import AXES, BASE, MOST_CELLS, NOTHING, make_matrix, read_matrix
from zigdemo.ui.compare.cells import Cells
from zigdemo.ui.compare.pairs import pair_matrix
from zigdemo.ui.compare.presets import PRESETS, available_presets, preset_matrix
from zigdemo.ui.compare.view import view_json
from zigdemo.ui.estimates import Speeds
from zigdemo.ui.tabs import compare as tab


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Two ZigMa trained with different scans, a DiT of the same labels, and a clip model."""
    tiny_folder(tmp_path / "tiny", scheme="zigzag-8")
    tiny_folder(tmp_path / "tiny-sweep", scheme="sweep")
    tiny_folder(tmp_path / "tiny-clips", frames=3, scheme="factorized-st", frame_position=True)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    return tmp_path


def small(rows="seed", row_values=("0", "1"), columns="steps", column_values=("1", "2"), **base):
    return make_matrix({"model": "tiny", "solver": "euler", **base}, rows, row_values, columns, column_values)


def drawn(matrix, cells=None):
    cells = cells or Cells()
    return {(c.row, c.column): cells.draw(c.request, lambda: False) for c in matrix.cells() if c.request is not None}


def test_cells_differ_in_what_their_sides_vary_and_share_the_rest(weights):
    matrix = small(guidance=3.0)
    requests = {(cell.row, cell.column): cell.request for cell in matrix.cells()}
    assert requests[1, 0].seed == 1 and requests[1, 0].steps == 1
    assert requests[0, 1].seed == 0 and requests[0, 1].steps == 2
    assert {(r.model, r.guidance, r.label, r.count) for r in requests.values()} == {("tiny", 3.0, "red heart", 1)}


def test_the_diagonal_comes_first(weights):
    matrix = small(row_values=("0", "1", "2"), column_values=("1", "2", "3"))
    assert [(cell.row, cell.column) for cell in matrix.cells()][:3] == [(0, 0), (1, 1), (2, 2)]


def test_trained_and_read_find_the_twins(weights):
    matrix = make_matrix({"model": "tiny"}, "trained", ("zigzag-8", "sweep"), "read", ("zigzag-8", "sweep"))
    found = {(cell.row, cell.column): (cell.request.model, cell.request.scan) for cell in matrix.cells()}
    assert found == {
        (0, 0): ("tiny", None), (0, 1): ("tiny", "sweep"), (1, 0): ("tiny-sweep", "zigzag-8"),
        (1, 1): ("tiny-sweep", None),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("axis", "value", "reason"),
    [
        ("backbone", "dig", "no dig is installed that draws the same as tiny"),
        ("trained", "hilbert-8", "no zigma is installed that draws the same and was trained with hilbert-8"),
        ("read", "bidirectional", "tiny cannot read bidirectional"),
        ("read", "nonsense", "tiny cannot read nonsense"),
        ("model", "../tiny", "unknown model"),
        ("solver", "magic", "solver"),
        ("steps", "many", "steps must be a number, not 'many'"),
        ("steps", "2.5", "steps"),
        ("guidance", "-1", "guidance"),
        ("guidance", "nan", "guidance"),
        ("seed", "-1", "seed"),
    ],
)
def test_a_cell_that_cannot_be_says_why_and_the_others_stand(weights, axis, value, reason):
    good = {"backbone": "zigma", "trained": "zigzag-8", "read": "sweep", "model": "tiny", "solver": "euler",
            "steps": "2", "guidance": "1", "seed": "0"}[axis]  # fmt: skip
    right, wrong = make_matrix({"model": "tiny"}, axis, (good, value), NOTHING, ()).cells()
    assert right.request is not None and wrong.request is None
    assert reason in wrong.reason and "\n" not in wrong.reason


@pytest.mark.parametrize(
    ("sides", "sentence"),
    [
        (("seed", ("0",), "seed", ("1",)), "vary the same thing"),
        (("colour", ("0",), NOTHING, ()), "rows"),
        (("seed", (), NOTHING, ()), "at least one value"),
        (("seed", range(13), NOTHING, ()), "at most 12"),
        (("seed", range(7), "steps", range(1, 7)), f"at most {MOST_CELLS}"),
    ],
)
def test_a_matrix_that_cannot_be_is_one_sentence(weights, sides, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_matrix({"model": "tiny"}, *sides)


def test_a_picture_is_drawn_once_and_anew_for_other_weights(weights, monkeypatch):
    matrix, cells = small(), Cells()
    first = drawn(matrix, cells)
    monkeypatch.setattr(Pipeline, "stream", lambda *_, **__: pytest.fail("drawn again"))
    assert drawn(matrix, cells) == first
    monkeypatch.undo()
    monkeypatch.setattr(zoo, "WEIGHTS", weights)
    assert all(cells.kept(cell.request) for cell in matrix.cells())
    tiny_folder(weights / "tiny", scheme="zigzag-8")
    assert not any(cells.kept(cell.request) for cell in matrix.cells())


def test_stopping_leaves_a_cell_out(weights):
    assert Cells().draw(next(small().cells()).request, lambda: True) is None


def test_the_price_is_that_of_what_is_not_kept(weights, monkeypatch):
    monkeypatch.setattr(tab, "CELLS", Cells())
    monkeypatch.setattr(tab, "SPEEDS", Speeds())
    matrix = small(column_values=("1", "20"))
    assert 0 < tab._seconds(matrix) < 60
    drawn(small(column_values=("1",)), tab.CELLS)
    assert 0.9 < tab._seconds(matrix) / tab._seconds(small(column_values=("20",))) < 1.1
    drawn(matrix, tab.CELLS)
    assert tab._seconds(matrix) == 0


def test_a_matrix_returns_from_its_png_and_its_link(weights, tmp_path):
    matrix = small(seed=7)
    paths = sheets.save_sheets(matrix, drawn(matrix), tmp_path)
    png = next(path for path in paths if path.endswith(".png"))
    assert read_matrix(read_metadata(png)["request"]["matrix"]) == matrix
    link = json.loads(view_json(matrix, {}))["link"]
    assert read_matrix(link) == matrix
    with pytest.raises(ValueError, match="is a matrix of the Compare tab; drop it there"):
        runs.read_request(png)


@pytest.mark.parametrize(
    "text",
    [None, 3, "", "{", "[]", "{}", '{"base": 1, "rows": ["seed", []], "columns": ["steps", []]}', "[" * 9000,
     '{"base": {"model": 5}, "rows": ["seed", ["0"]], "columns": ["nothing", []]}',
     '{"base": {"model": "tiny"}, "rows": ["seed", [{}]], "columns": ["nothing", []]}',
     '{"base": {"model": "tiny"}, "rows": ["seed", "0"], "columns": "nothing"}'],
)  # fmt: skip
def test_a_stranger_s_matrix_is_one_sentence(weights, text):
    with pytest.raises(ValueError, match="holds no matrix"):
        read_matrix(text)


def test_a_matrix_of_strange_settings_is_refused_or_its_cells_say_why(weights):
    base = {"model": "tiny", "steps": "x", "scan": [1], "label": {}}
    text = json.dumps({"base": base, "rows": ["seed", ["0"]], "columns": ["nothing", []]})
    try:
        assert all(cell.request is None for cell in read_matrix(text).cells())
    except ValueError as fault:
        assert "\n" not in str(fault)


def test_the_sheet_has_real_text_a_table_and_a_program_that_runs(weights, tmp_path, monkeypatch):
    matrix = small(label="hedgehog")
    places = drawn(matrix)
    paths = {path.rpartition(".")[2]: path for path in sheets.save_sheets(matrix, places, tmp_path)}
    svg = open(paths["svg"], encoding="utf-8").read()
    assert svg.count("<image ") == 4 and ">Seed × Steps</text>" in svg and "hedgehog" in svg
    rows = list(csv.DictReader(io.StringIO(open(paths["csv"], encoding="utf-8").read())))
    assert [(row["row"], row["column"], row["steps"]) for row in rows][1] == ("0", "2", "2")
    assert all(float(row["seconds"]) > 0 for row in rows)
    with Image.open(paths["png"]) as sheet:
        assert sheet.width > 4 * 128
    monkeypatch.chdir(tmp_path)
    exec(compile(open(paths["py"], encoding="utf-8").read(), "matrix.py", "exec"), {})
    with Image.open(tmp_path / "03.png") as again, Image.open(places[1, 0].path) as shown:
        assert again.convert("RGB").tobytes() == shown.convert("RGB").tobytes()


def test_a_text_in_the_table_is_no_formula(weights):
    text = sheets.table_csv(small(rows="words", row_values=("=1+1",)), {})
    assert "'=1+1" in text and "\n=1+1" not in text


def test_of_similar_prompts_the_headings_tell_what_is_new():
    words = sheets._new_words
    assert words("long red hair and glasses", "long green hair and glasses") == "… green …"
    assert words("red heart", "a blue dog") == "a blue dog"


def states(updates):
    """The state of every cell in the last view that a run showed."""
    views = [one["view"] for one in (dict(zip(tab.OUTPUTS, each, strict=True)) for each in updates)]
    cells = json.loads([view for view in views if isinstance(view, str)][-1])["cells"]
    return [[cell["state"] for cell in row] for row in cells]


def test_one_cell_is_drawn_alone_and_kept_for_the_rest(weights, monkeypatch):
    monkeypatch.setattr(tab, "CELLS", Cells())
    assert states(tab._drawn(small(), tab.runs.Run(), (1, 0))) == [["waiting", "waiting"], ["done", "waiting"]]
    updates = list(tab._drawn(small(), tab.runs.Run()))
    assert states(updates) == [["done"] * 2] * 2 and "3 of them drawn" in updates[-1][tab.OUTPUTS.index("progress")]


def test_a_cell_is_skipped_before_and_while_it_is_drawn(weights, monkeypatch):
    monkeypatch.setattr(tab, "CELLS", Cells())
    run = tab.runs.Run(skipped={(0, 0)})
    drawing = tab._drawn(small(), run)
    next(drawing)
    next(drawing)  # the first cell that is not skipped has begun
    run.skipped.add((1, 1))
    assert states(list(drawing)) == [["waiting", "done"], ["done", "waiting"]]


def test_a_click_skips_while_the_matrix_is_drawn_and_else_names_the_cell():
    page, click = SimpleNamespace(session_hash="a page"), SimpleNamespace(row=1, column=0)
    assert tab._choose_cell(page, click) == (1, 0)
    with tab.runs.track(page, tab.TAB) as run:
        assert tab._choose_cell(page, click) == gr.skip() and run.skipped == {(1, 0)}
    assert tab._choose_cell(page, SimpleNamespace(row="x", column=0)) == gr.skip()


@pytest.mark.parametrize(
    ("changes", "rows", "columns"),
    [({"seed": 4}, NOTHING, ("seed", ("0", "4"))),
     ({"seed": 4, "steps": 3}, ("steps", ("2", "3")), ("seed", ("0", "4"))),
     ({"scan": "hilbert-8"}, NOTHING, ("read", ("zigzag-8", "hilbert-8"))),
     ({"label": "hedgehog", "guidance": 1.5}, ("guidance", ("2", "1.5")), ("words", ("red heart", "hedgehog"))),
     ({"model": "tiny-sweep"}, ("model", ("tiny", "tiny-sweep")), ("read", ("zigzag-8", "sweep")))],
)  # fmt: skip
def test_two_results_stand_on_the_diagonal_of_what_they_differ_in(weights, changes, rows, columns):
    one = Request("tiny", label="red heart", solver="euler", steps=2)
    two = replace(one, **changes)
    matrix = pair_matrix(one, two)
    assert matrix.rows == ((NOTHING, ("",)) if rows == NOTHING else rows) and matrix.columns == columns
    corners = (matrix.by_rows[0].request, matrix.by_rows[-1].request)
    assert [replace(request, scan=None) for request in corners] == [replace(r, scan=None, count=1) for r in (one, two)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({}, "nothing"), ({"seed": 1, "steps": 3, "guidance": 0.0}, "steps, guidance and seed; choose two")],
)
def test_two_results_that_no_matrix_can_hold_are_refused_in_a_sentence(weights, changes, reason):
    one = Request("tiny", label="red heart", solver="euler", steps=2)
    with pytest.raises(ValueError, match=reason):
        pair_matrix(one, replace(one, **changes))


def test_presets_suit_what_is_installed(weights):
    labels = [preset.label for preset in available_presets()]
    assert "Trained with × read with" in labels and "Backbones side by side" not in labels
    matrix = preset_matrix(PRESETS[0])
    assert matrix.rows == ("trained", ("zigzag-8", "sweep")) and matrix.columns == ("read", ("zigzag-8", "sweep"))
    assert preset_matrix(PRESETS[3], {"model": "tiny-sweep", "seed": 7}).base["model"] == "tiny-sweep"
    assert preset_matrix(PRESETS[3], {"model": "tiny-sweep", "seed": 7}).base["seed"] == 7


def test_clips_are_compared_as_pictures_are(weights, tmp_path, monkeypatch):
    matrix = make_matrix({"model": "tiny-clips", "solver": "euler", "steps": 1}, "seed", ("0", "1"), NOTHING, ())
    places = drawn(matrix)
    with Image.open(places[1, 0].path) as clip:
        assert clip.format == "WEBP" and clip.n_frames == 3
    assert sheets.sheet_svg(matrix, places).count("<image ") == 2
    monkeypatch.chdir(tmp_path)
    exec(compile(sheets.program(matrix), "matrix.py", "exec"), {})
    with Image.open(tmp_path / "02.webp") as again:
        assert again.n_frames == 3


def test_every_axis_offers_values_that_its_model_can_have(weights):
    base = make_matrix({"model": "tiny"}, NOTHING, (), NOTHING, ()).base
    assert set(BASE) == set(base)
    for name, axis in AXES.items():
        for cell in make_matrix(base, name, axis.offer(base), NOTHING, ()).cells():
            assert cell.request is not None, (name, cell.reason)


@pytest.mark.parametrize("seed", [[1], {"a": 1}, "x", float("inf")])
def test_seeds_are_offered_after_a_whole_number_alone(seed):
    from zigdemo.ui.compare.axes import _offer_seeds

    assert _offer_seeds({"seed": 5}) == _offer_seeds({"seed": 5.0}) == ["5", "6", "7", "8"]
    with pytest.raises(ValueError, match="seed must be a whole number"):
        _offer_seeds({"seed": seed})
