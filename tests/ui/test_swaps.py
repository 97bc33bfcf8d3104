"""One thing of a prompt changed with a click: what is offered, and what is shown of it."""

import numpy as np
from PIL import Image

from zigdemo.pipeline import Request
from zigdemo.ui import swaps, words
from zigdemo.ui.tabs import pictures as tab


def test_a_prompt_of_a_portrait_offers_changes_and_others_none():
    offers = swaps.offers(Request("m", prompt="red hair, a blue hoodie"))
    assert [swap.kind for swap in offers] == ["hairColor", "clothesColor", "clothes"]
    row, *buttons = swaps.buttons(offers)
    assert row["visible"] and len(buttons) == swaps.MOST_SWAPS
    assert [button["visible"] for button in buttons] == [True] * 3 + [False] * 3
    assert buttons[0]["value"] == "red hair → green hair"
    assert swaps.offers(Request("m", label="red heart")) == [] and swaps.offers(Request("m")) == []


def test_a_click_brings_the_changed_prompt_and_what_it_is_compared_with():
    assert tab._swap(1, ["a", "b"], ["one.png"]) == ("b", ["one.png"])
    prompt, before = tab._swap(5, ["a"], None)
    assert before == [] and prompt is tab.SKIP


def test_before_after_and_difference_are_shown_in_rows(tmp_path):
    old, new = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "red")
    new.paste("blue", (0, 0, 4, 8))
    old.save(tmp_path / "old.png")
    html = swaps.change_html([str(tmp_path / "old.png")], [new])
    assert html.count("<img") == 3 and "What changed" in html
    changed = np.asarray(swaps.difference(old, new)).sum(-1)
    assert changed[:, :4].min() > changed[:, 4:].max()
    assert swaps.change_html([str(tmp_path / "gone.png")], [new]) == ""
    assert swaps.change_html([str(tmp_path / "old.png")] * 2, [new]) == ""
    assert swaps.change_html([str(tmp_path / "old.png")], [Image.new("RGB", (9, 8))]) == ""


def test_words_with_a_map_can_be_pointed_at_and_reached_by_keys():
    html = words.lit_html(Image.new("RGB", (8, 8)), [("red", [[0, 1], [2, 3]]), (",", None), ("<b>", [[1, 1], [1, 1]])])
    assert html.count('tabindex="0"') == 2 and html.count("veil veil-") == 2 and "<span>,</span>" in html
    assert "&lt;b&gt;" in html and "<b>" not in html
