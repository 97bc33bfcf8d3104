"""The scan player in a real browser."""

from pathlib import Path

import pytest
from pages import show_tab
from PIL import Image
from playwright.sync_api import expect

from zigdemo.scans import order_receptive_field, scan_scheme

pytestmark = pytest.mark.browser
# Pause is pressed in the same moment: a busy machine could let it play to the end before a click comes.
PAUSED_AFTER_34 = """() => {
    const player = document.querySelector(".scan-player"), pause = player.querySelector("[aria-label=Pause]")
    return pause && player.dataset.position > 34 && (pause.click(), true)
}"""


def open_tab(visit, url, width=1280, height=900):
    page = visit(url, width, height)
    show_tab(page, "Scan paths")
    page.wait_for_selector(".scan-player[data-position]")
    return page


def position(page):
    return int(page.get_attribute(".scan-player", "data-position"))


def cell(page):
    return int(page.get_attribute(".scan-player", "data-cell"))


def test_it_shows_zigzag_8_at_once_as_eight_panels(visit, served):
    page = open_tab(visit, served)
    expect(page.locator(".scan-panel")).to_have_count(8)
    assert position(page) == 63 and cell(page) == 56
    expect(page.locator(".scan-measures")).to_contain_text("100.0 %", use_inner_text=True)
    page.locator(".scan-panel").nth(1).click()
    assert cell(page) == 7, "the second path goes down the columns and ends at the top right"


def test_play_step_scrub_and_keys_move_along_the_path(visit, served):
    page = open_tab(visit, served)
    page.get_by_role("button", name="To the start").click()
    assert (position(page), cell(page)) == (0, 0)
    for _ in range(8):
        page.get_by_role("button", name="One step forward").click()
    assert (position(page), cell(page)) == (8, 15), "the snake turns at the end of the first row"
    page.focus(".scan-main")
    page.keyboard.press("ArrowLeft")
    assert position(page) == 7
    page.locator(".scan-scrub").fill("30")
    assert position(page) == 30
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(PAUSED_AFTER_34)
    here = position(page)
    page.wait_for_timeout(300)
    assert position(page) == here


def test_hover_tells_when_a_cell_is_read(visit, served):
    page = open_tab(visit, served)
    box = page.locator(".scan-main").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.99, box["y"] + box["height"] * 3 / 16)
    expect(page.locator(".scan-status")).to_contain_text("step 9 of 64 reads row 2, column 8", use_inner_text=True)


def test_another_scheme_or_grid_is_drawn_and_a_wrong_one_is_one_sentence(visit, served):
    page = open_tab(visit, served)
    box = page.get_by_role("combobox", name="Scan scheme")
    box.fill("random-3")
    box.press("Enter")
    page.wait_for_function("document.querySelectorAll('.scan-panel').length === 3")
    box.fill("nonsense")
    box.press("Enter")
    page.wait_for_selector("text=unknown scan scheme")
    expect(page.locator(".scan-panel")).to_have_count(3)


def test_it_fits_a_phone(visit, served):
    page = open_tab(visit, served, width=390)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def type_number(page, label, value):
    box = page.get_by_label(f"number input for {label}")
    box.fill(value)
    box.press("Enter")


def test_space_plays_and_no_step_asks_the_server(visit, served):
    page, calls = visit(served), []
    with page.expect_request(lambda one: "/queue/join" in one.url and "euler-maruyama" in (one.post_data or "")):
        show_tab(page, "Scan paths")  # whose place draws the paths of the samplers, once
    page.wait_for_selector(".scan-player[data-position]")
    page.on("request", lambda request: calls.append(request.url) if "/queue/join" in request.url else None)
    page.focus(".scan-main")
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    page.wait_for_function("Number(document.querySelector('.scan-player').dataset.position) > 3")
    page.keyboard.press(" ")
    page.wait_for_selector(".scan-player [aria-label=Play]")
    page.locator(".scan-panel").nth(5).click()
    page.keyboard.press("End")
    assert position(page) == 63
    assert calls == [], "playing called Python"


def test_one_cell_has_its_index_in_every_panel(visit, served):
    page = open_tab(visit, served)
    box = page.locator(".scan-main").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    expect(page.locator(".scan-tip")).to_have_text("1", use_inner_text=True)
    captions = page.locator(".scan-caption").all_inner_texts()
    assert captions[0] == "layer 1: 1" and captions[6] == "layer 7: 57" and len(captions) == 8
    page.mouse.click(box["x"] + box["width"] / 2 + 4, box["y"] + 4)
    assert position(page) == 4, "a click goes to the place of that cell"


def test_the_layer_slider_wraps_around_the_paths(visit, served):
    page = open_tab(visit, served)
    page.locator(".scan-layer").fill("9")
    expect(page.locator(".scan-layer-text")).to_have_text("Layer 10 uses path 2 of 8", use_inner_text=True)
    expect(page.locator(".scan-panel").nth(1)).to_have_attribute("aria-pressed", "true")
    assert cell(page) == 7


@pytest.mark.parametrize("value", ["0", "65", ""])
def test_a_wrong_grid_is_one_sentence_and_the_picture_stays(visit, served, value):
    page = open_tab(visit, served)
    type_number(page, "Rows", value)
    page.wait_for_selector("text=The number of rows must be a whole number from 1 to 64")
    expect(page.locator(".scan-player")).to_have_attribute("data-grid", "8x8")
    expect(page.locator(".scan-panel")).to_have_count(8)
    type_number(page, "Rows", "5")
    page.wait_for_selector(".scan-player[data-grid='5x8']")
    assert page.get_by_text("must be a whole number").count() == 0


def test_the_largest_grid_plays_on_and_jumps_are_told(visit, served):
    page = open_tab(visit, served)
    type_number(page, "Rows", "64")
    type_number(page, "Columns", "64")
    page.wait_for_selector(".scan-player[data-grid='64x64']")
    assert position(page) == 4095
    box = page.get_by_role("combobox", name="Scan scheme")
    box.fill("sweep")
    box.press("Enter")
    page.wait_for_selector(".scan-player[data-scheme='sweep']")
    expect(page.locator(".scan-panel")).to_have_count(0)
    expect(page.locator(".scan-measures")).to_contain_text("63", use_inner_text=True)
    expect(page.locator(".scan-measures")).to_contain_text("64 cells", use_inner_text=True)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("Number(document.querySelector('.scan-player').dataset.position) > 100")


def test_less_motion_means_few_frames(visit, served):
    page = open_tab(visit, served)
    page.emulate_media(reduced_motion="reduce")
    milliseconds = page.evaluate(
        """async () => {
          const root = document.querySelector(".scan-player"), seen = new Map();
          root.scanPlayer.go(0);
          await new Promise((done) => {
            const note = () => {
              if (!seen.has(root.dataset.position)) seen.set(root.dataset.position, performance.now());
              if (seen.size === 4 || !root.scanPlayer.playing) done();
            };
            new MutationObserver(note).observe(root, {attributes: true, attributeFilter: ["data-position"]});
            root.scanPlayer.play();
          });
          const times = [...seen.values()];
          return times.at(-1) - times[0];
        }"""
    )
    assert milliseconds > 600, "three frames came in less than a fifth of a second each"


@pytest.mark.parametrize(("kind", "start"), [("PNG", b"\x89PNG"), ("SVG", b"<svg xmlns=")])
def test_the_picture_can_be_saved(visit, served, kind, start, tmp_path):
    page = open_tab(visit, served)
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Save {kind}").click()
    assert download.value.suggested_filename == f"zigzag-8-8x8-layer1.{kind.lower()}"
    download.value.save_as(tmp_path / "picture")
    assert (tmp_path / "picture").read_bytes().startswith(start)


def test_the_player_survives_a_visit_to_another_tab(visit, served):
    page = open_tab(visit, served)
    page.get_by_role("button", name="To the start").click()
    show_tab(page, "Pictures")
    show_tab(page, "Scan paths")
    page.wait_for_selector(".scan-main")
    expect(page.locator(".scan-main")).to_have_count(1)
    expect(page.locator(".scan-panel")).to_have_count(8)
    assert page.evaluate("document.querySelector('.scan-main').width") > 100


def choose(page, scheme):
    box = page.get_by_role("combobox", name="Scan scheme")
    box.fill(scheme)
    box.press("Enter")
    page.wait_for_selector(f".scan-player[data-scheme='{scheme}']")


def test_a_stack_of_frames_plays_all_runs_at_once(visit, served):
    page = open_tab(visit, served)
    assert page.get_by_label("number input for Frames").count() == 0, "an image has none"
    choose(page, "factorized-sst")
    type_number(page, "Frames", "4")
    page.wait_for_selector(".scan-player[data-grid='4x8x8']")
    expect(page.locator(".scan-layer-text")).to_have_text(
        "Layer 1 uses path 1 of 12: each frame on its own", use_inner_text=True
    )
    assert position(page) == 63 and "8 frames" not in page.inner_text(".scan-status")
    page.locator(".scan-scrub").fill("8")
    expect(page.locator(".scan-status")).to_have_text(
        "Layer 1, step 9 of 64 reads row 2, column 8 of all 4 frames", use_inner_text=True
    )
    page.locator(".scan-panel").nth(2).click()
    page.get_by_role("button", name="To the end").click()
    assert position(page) == 3, "a location has as many steps as there are frames"
    expect(page.locator(".scan-status")).to_have_text(
        "Layer 3, step 4 of 4 reads frame 4 at all 64 places", use_inner_text=True
    )
    expect(page.locator(".scan-measures")).to_contain_text("64 of 4 steps", use_inner_text=True)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('.scan-player').dataset.position === '2'")


def test_a_cell_of_a_frame_is_found_and_the_way_through_time_has_no_jump(visit, served):
    page = open_tab(visit, served, width=390)
    choose(page, "zigzag3d-8")
    expect(page.locator(".scan-panel")).to_have_count(8)
    expect(page.locator(".scan-measures")).to_contain_text("100.0 %", use_inner_text=True)
    expect(page.locator(".scan-legend")).to_contain_text("no jump", use_inner_text=True)
    spot = page.evaluate(
        """() => {
          const { canvas, sheet } = document.querySelector(".scan-player").scanPlayer.view;
          canvas.scrollIntoView({ block: "center" });
          const box = canvas.getBoundingClientRect(), scale = box.width / canvas.width;
          const [x, y] = sheet.centre(7 * 64 + 3 * 8 + 5);
          return [box.left + x * scale, box.top + y * scale];
        }"""
    )
    page.mouse.move(*spot)
    expect(page.locator(".scan-status")).to_contain_text("reads frame 8, row 4, column 6", use_inner_text=True)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_a_stack_can_be_saved_as_svg(visit, served, tmp_path):
    page = open_tab(visit, served)
    choose(page, "factorized-st")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save SVG").click()
    assert download.value.suggested_filename == "factorized-st-8x8x8-layer1.svg"
    download.value.save_as(tmp_path / "picture")
    text = (tmp_path / "picture").read_text()
    assert text.count("<rect") == 512 and text.count("<line") == 8 * 63 and "frame 8" in text


def test_play_and_the_scrubber_are_above_the_fold(visit, served):
    page = open_tab(visit, served, 1280, 800)
    for width, height in ((1280, 800), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function("width => document.querySelector('.scan-player').clientWidth < width", arg=width)
        page.wait_for_timeout(300)  # for the canvas to follow
        for control in (".scan-play", ".scan-scrub", ".scan-speed"):
            box = page.locator(control).bounding_box()
            assert box["y"] + box["height"] < height, f"{control} needs scrolling"
        assert page.evaluate("window.scrollY") == 0 and page.locator(".scan-main").bounding_box()["width"] >= 200


def test_pointing_at_a_patch_does_not_freeze_a_playing_path(visit, served):
    page = open_tab(visit, served)
    box = page.locator(".scan-main").bounding_box()
    page.get_by_role("button", name="To the start").click()
    page.locator(".scan-speed").select_option("0.25")
    page.get_by_role("button", name="Play").click()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.wait_for_function("document.querySelector('.scan-tip').textContent === '1'")
    page.wait_for_function("document.querySelector('.scan-player').dataset.position > 2")
    told = page.evaluate(
        "[document.querySelector('.scan-status').textContent, document.querySelector('.scan-player').dataset.position]"
    )
    assert f"step {int(told[1]) + 1} of 64" in told[0] and page.get_by_role("button", name="Pause").count() == 1


def test_the_reach_of_a_patch_is_that_of_the_measures(visit, served):
    page = open_tab(visit, served)
    for scheme in ("zigzag-8", "sweep", "bidirectional", "factorized-st"):
        choose(page, scheme)
        grid = tuple(int(side) for side in page.get_attribute(".scan-player", "data-grid").split("x"))
        counts = page.evaluate(
            """([token, layers]) => {
              const { paths, data } = document.querySelector(".scan-player").scanPlayer;
              const masks = layers.map((k) => zigdemoScanMeasures.reached(paths, data.scans > 1, token, k));
              return masks.map((mask) => mask.reduce((a, b) => a + b, 0));
            }""",
            [10, [0, 1, 2, 5, 8]],
        )
        assert counts == [order_receptive_field(scan_scheme(scheme), layers, grid)[10] for layers in (0, 1, 2, 5, 8)]


def test_a_sweep_stays_short_and_the_sentences_say_it(visit, served):
    page = open_tab(visit, served)
    near, reach = page.locator(".scan-figure p").all()
    expect(near).to_contain_text("at most 4 in the scan: 2.3", use_inner_text=True)
    expect(near).to_contain_text("in a sweep 3.3", use_inner_text=True)
    page.mouse.click(*spot_of(page, 1))
    page.locator(".scan-layer").fill("7")
    page.mouse.move(0, 0)
    expect(reach).to_contain_text(
        "64 of 64 patches can have reached row 1, column 2 at depth 8; in a sweep 2", use_inner_text=True
    )
    choose(page, "sweep")
    page.mouse.click(*spot_of(page, 1))
    page.mouse.move(0, 0)
    expect(page.locator(".scan-layer-text")).to_have_text(
        "Layer 8 reads in this order, as every layer does", use_inner_text=True
    )
    expect(reach).to_contain_text(
        "2 of 64 patches can have reached row 1, column 2 at depth 8; more layers of a sweep add none",
        use_inner_text=True,
    )


def spot_of(page, cell):
    """Where a patch is in the window."""
    return page.evaluate(
        """(cell) => {
          const { canvas, sheet } = document.querySelector(".scan-player").scanPlayer.view;
          const box = canvas.getBoundingClientRect(), scale = box.width / canvas.width, [x, y] = sheet.centre(cell);
          return [box.left + x * scale, box.top + y * scale];
        }""",
        cell,
    )


def test_the_path_is_laid_over_a_picture_and_saved_with_it(visit, served, tmp_path):
    page = open_tab(visit, served)
    calls = []
    page.on("request", lambda request: calls.append(request.url) if "/upload" in request.url else None)
    page.get_by_role("button", name="A portrait").click()
    page.wait_for_selector(".scan-player[data-over=example]")
    Image.new("RGB", (30, 20), (250, 10, 20)).save(tmp_path / "red.png")
    (tmp_path / "text.png").write_text("no picture")
    page.set_input_files(".scan-pictures input", tmp_path / "red.png")
    page.wait_for_selector(".scan-player[data-over=yours]")
    page.locator(".scan-scrub").fill("31")
    pixel = """(cell) => {
      const { canvas, sheet } = document.querySelector(".scan-player").scanPlayer.view, edge = sheet.cell * 0.8;
      return [...canvas.getContext("2d").getImageData(sheet.x(cell) + edge, sheet.y(cell) + edge, 1, 1).data];
    }"""
    assert page.evaluate(pixel, 9)[:3] == [250, 10, 20] and min(page.evaluate(pixel, 62)[:3]) > 180, (
        "unread patches are veiled"
    )
    with page.expect_download() as download:
        page.get_by_role("button", name="Save SVG").click()
    assert "data:image/png" in Path(download.value.path()).read_text()
    page.set_input_files(".scan-pictures input", tmp_path / "text.png")
    page.wait_for_selector("text=cannot read this file as a picture")
    expect(page.locator(".scan-player")).to_have_attribute("data-over", "yours")
    assert calls == [], "the picture left the browser"


def test_the_playing_path_is_saved_as_a_small_gif(visit, served):
    page = open_tab(visit, served)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save GIF").click()
    assert download.value.suggested_filename == "zigzag-8-8x8-layer1.gif"
    path = Path(download.value.path())
    with Image.open(path) as gif:
        assert gif.n_frames == 64 and gif.info["loop"] == 0 and path.stat().st_size < 150_000
        first = gif.convert("RGB").getpixel((gif.width // 2 + 20, gif.height - 8))
        gif.seek(63)
        last, seconds = gif.convert("RGB").getpixel((gif.width // 2 + 20, gif.height - 8)), gif.info["duration"] / 1000
    assert min(first) > 200 and last[2] < 100, "the last row is pale at first and yellow in the end"
    assert seconds > 1, "the whole path stays for a while"
