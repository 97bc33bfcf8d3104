"""Adding models from the page: for the owner alone, with its progress; every fault is one sentence; no network."""

import threading
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import errors
from models import tiny_folder

from zigdemo import zoo
from zigdemo.ui import adding, runs
from zigdemo.ui.adding import OUTPUTS, add, is_stranger, official_choices, on_the_page, read_settings


def visitor(client="127.0.0.1", host="127.0.0.1:7860", **headers):
    """A request of the page."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(
        client=SimpleNamespace(host=client), headers={"host": host, **headers}, session_hash="a page"
    )


@pytest.fixture(autouse=True)
def shelf(tmp_path, monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    return tmp_path / "weights"


def added(*, page=None, official="", what="", name="", settings=""):
    """The updates after Import, by name."""
    run = add(lambda: "the cards", page or visitor(), official, what, name, settings)
    return [dict(zip(OUTPUTS, one, strict=True)) for one in run]


@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1:7860", "[::1]:7860", "localhost"])
def test_who_sits_here_is_no_stranger(client, host):
    assert not is_stranger(visitor(client, host))


@pytest.mark.parametrize(
    "page",
    [
        visitor("192.168.1.5"),
        visitor("8.8.8.8", "localhost"),
        visitor(host="abc.gradio.live"),
        visitor(host="192.168.1.2:7860"),
        visitor(host=""),
        visitor(host="localhost.example.org"),
        visitor(x_forwarded_for="8.8.8.8"),
        visitor(forwarded="for=127.0.0.1"),
        SimpleNamespace(client=None, headers={"host": "localhost"}),
    ],
    ids=lambda page: str(page.headers),
)
def test_everybody_else_is(page):
    assert is_stranger(page)


def test_strangers_are_refused_in_one_sentence_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(adding, "install", lambda *_, **__: pytest.fail("it was looked for"))
    (last,) = added(page=visitor("10.0.0.9"), what=str(tmp_path))
    assert "Only whoever sits at this machine" in last["progress"] and last["go"]["interactive"]
    monkeypatch.setenv("SPACE_ID", "someone/space")
    assert "Only whoever sits at this machine" in added(what=str(tmp_path))[-1]["progress"]


def test_a_folder_is_added_and_every_list_has_it(tmp_path, shelf):
    tiny_folder(tmp_path / "mine")
    last = added(what=f"  {tmp_path / 'mine'} ", name="named")[-1]
    assert "named is installed: zigma" in last["progress"] and last["cards"] == "the cards" and last["what"] == ""
    assert [value for _, value in last["model"]["choices"]] == ["named"] and (shelf / "named").is_dir()
    assert len(official_choices()) == 1 + len(adding.SOURCES) and last["go"]["interactive"]


def test_a_download_tells_how_far_it_is_and_ends_on_stop(monkeypatch):
    asked = threading.Event()

    def download(repo, file, tqdm_class):
        bar = tqdm_class(total=200 * 10**6, initial=0, disable=True)
        bar.update(50 * 10**6)
        assert asked.wait(60)
        bar.update(1)
        pytest.fail("Stop was pressed")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    lines = []
    for one in add(lambda: "", visitor(), "zigma-churches-256", "", "", ""):
        lines.append(dict(zip(OUTPUTS, one, strict=True))["progress"])
        if "50 of 200 MB" in lines[-1]:
            runs.RUNS["a page", adding.JOB].stop.set()
            asked.set()
    assert any("50 of 200 MB" in line for line in lines) and "what was downloaded is kept" in lines[-1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "choose an official model"),
        ({"what": "nonsense"}, "is no file or folder here"),
        ({"what": "someone/gone"}, "huggingface.co cannot be reached"),
        ({"official": "zigma-churches-256"}, "huggingface.co cannot be reached"),
        ({"what": "nonsense", "settings": "num_heads"}, "settings are written like family=DiT, num_heads=16"),
    ],
)
def test_every_fault_is_one_sentence(monkeypatch, given, words):
    def refuse(*_, **__):
        raise errors.LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    last = added(**given)[-1]
    assert words in last["progress"] and "Something went wrong" not in last["progress"] and last["go"]["interactive"]


def test_a_full_disk_is_a_sentence_too(monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(adding, "install", full)
    assert "could not be imported" in added(what="x")[-1]["progress"]


def test_settings_and_sentences_are_those_of_the_page():
    assert read_settings("family=DiT, num_heads = 16") == {"family": "DiT", "num_heads": 16} and read_settings("") == {}
    assert on_the_page("give settings={'num_heads': ...}") == "give num_heads=... under Settings"
    assert on_the_page("give another name with --name, or remove it") == "give another name under Name, or remove it"
