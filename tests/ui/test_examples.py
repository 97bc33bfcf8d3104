"""The results that the page opens with are those of the shipped weights, and open with all their settings."""

import json

from zigdemo import media, zoo
from zigdemo.pipeline import Request
from zigdemo.ui import examples
from zigdemo.ui.compare.axes import read_matrix


def test_the_pictures_were_made_by_the_shipped_weights():
    paths = examples.pictures()
    assert len(paths) == len(examples.PROMPTS)
    prompts = set()
    for path in paths:
        request = Request.from_metadata(path)
        prompts.add(request.prompt)
        assert media.read_metadata(path)["provenance"]["weights"] == zoo.installed(request.model).sha256
    assert len(prompts) == len(paths)


def test_the_matrix_was_made_by_the_shipped_weights():
    content = json.loads((examples.EXAMPLES / examples.COMPARED).read_text(encoding="utf-8"))
    assert content["weights"] == {name: zoo.installed(name).sha256 for name in content["weights"]}
    shown = json.loads(examples.compared().view)
    assert all(cell["state"] in ("done", "impossible") for row in shown["cells"] for cell in row)
    assert read_matrix(json.dumps(content["matrix"])) == examples.compared().matrix


def test_the_clip_was_made_by_the_shipped_weights():
    result, files = examples.clip()
    provenance = media.read_metadata(files[0]["mp4"])["provenance"]
    assert provenance["weights"] == zoo.installed(result.request.model).sha256


def test_nothing_is_shown_for_models_that_are_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    assert examples.pictures() == [] and examples.clip() is None and examples.compared() is None
