"""The named endpoints, as a program uses them; every fault is one sentence."""

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from zigdemo import media
from zigdemo.pipeline import Request
from zigdemo.ui import runs


@pytest.fixture(scope="module")
def client(served, tmp_path_factory):
    return Client(served, verbose=False, download_files=str(tmp_path_factory.mktemp("files")))


GOOD = {"model": "tiny", "label": "hedgehog", "scan": None, "solver": "euler", "steps": 2, "guidance": 2.0, "seed": 3}
CLIP = {"model": "tiny-clips", "label": "hedgehog", "solver": "euler", "steps": 2, "seed": 3}


def refused(client, *arguments, **settings):
    """The sentence a call is refused with: one, as it stands, about what was asked."""
    with pytest.raises(AppError) as fault:
        client.predict(*arguments, **settings)
    sentence = fault.value.message
    assert 10 < len(sentence) <= runs.LONGEST_SENTENCE and "\n" not in sentence and "Traceback" not in sentence
    assert sentence[0] not in "\"'" or sentence[0] != sentence[-1], "a text of Python, and not a sentence"
    assert "Something went wrong" not in sentence
    return sentence


def test_generate_returns_pictures_that_carry_their_request(client):
    files, line = client.predict(**GOOD, count=2, api_name="/generate")
    assert len(files) == 2 and "2 network calls" in line
    wanted = Request("tiny", label="hedgehog", solver="euler", steps=2, seed=3, count=2)
    assert Request.from_metadata(files[1]) == wanted and media.read_metadata(files[1])["index"] == 1


def test_options_and_a_picture_to_start_from_reach_the_solver(client, tmp_path):
    Image.new("RGB", (40, 20), "red").save(tmp_path / "red.png")
    given = {**GOOD, "solver": "euler-maruyama", "options": {"form": "linear", "shift": 2.0}, "negative": "red heart"}
    picture = {"image": handle_file(tmp_path / "red.png"), "start": 0.5}
    files, _ = client.predict(**given, **picture, guide_to=0.5, count=1, api_name="/generate")
    request = Request.from_metadata(files[0])
    assert request.solver_options == {"form": "linear", "shift": 2.0, "start": 0.5}
    assert (request.negative, request.guidance_interval) == ("red heart", (0.0, 0.5))


def test_a_file_of_the_server_is_not_read_as_a_picture(client, tmp_path):
    Image.new("RGB", (40, 20), "red").save(tmp_path / "secret.png")
    with pytest.raises(AppError, match="uploaded|allowed"):
        client.predict(**GOOD, count=1, image={"path": str(tmp_path / "secret.png")}, api_name="/generate")


@pytest.mark.parametrize(
    "image",
    [3, 0.5, "x", "", [], [1], {}, {"path": None}, {"path": 7}, {"path": "x" * 5000}, {"path": "a\0b"}, True],
    ids=lambda image: str(image)[:12],
)
def test_what_is_no_upload_is_one_sentence(client, image):
    sentence = refused(client, **GOOD, count=1, image=image, api_name="/generate")
    assert "upload" in sentence or "not what is asked for" in sentence


def test_models_and_labels_are_listed(client):
    model, of_clips = client.predict(api_name="/models")
    assert (model["id"], model["origin"], model["frames"]) == ("tiny", "untrained", None)
    assert (of_clips["id"], of_clips["frames"]) == ("tiny-clips", 3)
    assert client.predict("tiny", api_name="/labels") == ["red heart", "hedgehog", "grinning face"]


def test_an_order_is_given(client):
    found = client.predict("zigzag-8", 2, 3, 0, api_name="/scan_order")
    assert found["perm"] == [0, 1, 2, 5, 4, 3] and found["jumps"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"model": "nothing"},
        {"model": "../tiny"},
        {"model": "tiny-clips"},
        {"label": "unicorn horn"},
        {"scan": "nonsense"},
        {"scan": "bidirectional"},
        {"solver": "magic"},
        {"steps": 0},
        {"steps": 10_000},
        {"guidance": -1.0},
        {"seed": -1},
        {"seed": 2**80},
        {"count": 0},
        {"count": 1000},
        {"negative": "unicorn horn"},
        {"guide_from": 2.0},
        {"options": {"colour": 1}},
        {"options": {"shift": 0}},
        {"solver": "ddim", "options": {"eta": 2}},
    ],
    ids=str,
)
def test_a_wrong_setting_is_one_sentence_and_the_next_call_works(client, change):
    refused(client, **{**GOOD, "count": 1, **change}, api_name="/generate")
    assert client.predict(**GOOD, count=1, api_name="/generate")[0]


@pytest.mark.parametrize(
    "arguments", [("nonsense", 4, 4, 0), ("sweep", 0, 4, 0), ("sweep", 4, 65, 0), ("sweep", 4, 4, -1)]
)
def test_a_wrong_order_is_one_sentence(client, arguments):
    refused(client, *arguments, api_name="/scan_order")


@pytest.mark.parametrize(
    ("name", "settings"),
    [("draw", {}), ("labels", {}), ("influence", {}), ("attention", {"prompt": "a cat"}),
     ("generate", {**GOOD, "count": 1}), ("generate_clip", CLIP), ("compare", {"rows": "seed", "row_values": ["0"]})],
)  # fmt: skip
def test_what_was_typed_is_quoted_once(client, name, settings):
    sentence = refused(client, **{**settings, "model": "a\\b"}, api_name=f"/{name}")
    assert repr("a\\b") in sentence


@pytest.mark.parametrize("kind", ["mp4", "png"])
def test_generate_clip_returns_clips_that_carry_their_request(client, kind):
    if kind == "mp4":
        pytest.importorskip("av")
    found, line = client.predict(**CLIP, count=2, kind=kind, api_name="/generate_clip")
    assert len(found) == 2 and line.startswith("2 clips in") and "2 network calls" in line
    assert Request.from_metadata(found[1]) == Request(**CLIP, count=2)
    assert media.read_clip(found[0]).shape[0] == 3


@pytest.mark.parametrize(
    "change",
    [{"model": "tiny"}, {"model": "../tiny-clips"}, {"label": "unicorn"}, {"scan": "zigzag-8"}, {"count": 5},
     {"count": 0}, {"steps": 10_000}, {"kind": "exe"}, {"prompt": "a cat"}],
    ids=str,
)  # fmt: skip
def test_a_wrong_setting_of_a_clip_is_one_sentence(client, change):
    refused(client, **{**CLIP, **change}, api_name="/generate_clip")


def test_compare_returns_cells_that_carry_their_requests_and_the_files_of_the_whole(client):
    cells, files = client.predict(
        "tiny", "seed", ["0", "1"], "steps", ["1", "nonsense"], label="hedgehog", solver="euler", api_name="/compare"
    )
    assert [(cell["row"], cell["column"]) for cell in cells if "file" in cell] == [(0, 0), (1, 0)]
    assert all("must be a number" in cell["reason"] for cell in cells if "file" not in cell)
    assert [path.rpartition(".")[2] for path in files] == ["png", "svg", "csv", "py"]
    assert "matrix" in media.read_metadata(files[0])["request"]


@pytest.mark.parametrize(
    "arguments",
    [("nothing", "seed", ["0"]), ("tiny", "colour", ["0"]), ("tiny", "seed", []), ("tiny", "seed", "0"),
     ("tiny", "seed", [str(n) for n in range(40)]), ("tiny", "seed", ["0"], "seed", ["1"])],
    ids=str,
)  # fmt: skip
def test_a_matrix_that_cannot_be_is_one_sentence(client, arguments):
    refused(client, *arguments, api_name="/compare")


def test_one_picture_by_the_first_models_own_settings(client):
    path = client.predict(label="hedgehog", seed=4, api_name="/draw")
    request = media.read_metadata(path)["request"]
    assert (request["model"], request["label"], request["seed"], request["count"]) == ("tiny", "hedgehog", 4, 1)
    with pytest.raises(AppError, match="nowhere"):
        client.predict(model="nowhere", api_name="/draw")


ENDPOINTS = {
    "/generate", "/models", "/labels", "/generate_clip", "/compare", "/scan_order", "/influence", "/attention",
    "/toy_paths", "/solver_strips", "/steps_against_error", "/draw",
}  # fmt: skip


def test_every_endpoint_is_described_with_its_types_and_nothing_else_is_public(client):
    described = client.view_api(return_format="dict")["named_endpoints"]
    assert set(described) == ENDPOINTS
    for name, endpoint in described.items():
        types = [one["python_type"]["type"] for one in (*endpoint["parameters"], *endpoint["returns"])]
        assert types and not any("Any" in one for one in types), name
        assert "description" in endpoint and endpoint["description"].strip(), name
