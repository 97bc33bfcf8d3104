"""Official files are fetched from where they are published; here that is a folder and a server on this machine."""

import hashlib
import http.server
import threading
from fnmatch import fnmatch

import huggingface_hub
import pytest
from checkpoints import save, weights
from huggingface_hub import errors
from models import LABELS, tiny_folder

from zigdemo import zoo
from zigdemo.pipeline import Pipeline, Request
from zigdemo.zoo import hub
from zigdemo.zoo.hub import SOURCES, Source, fetch
from zigdemo.zoo.obtaining import obtain
from zigdemo.zoo.official import import_checkpoint

CONTENT = bytes(range(256)) * 4096


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT with byte ranges; notes what was asked; breaks off after `most` bytes."""

    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        if server.status != 200:
            return self.send_error(server.status)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            return self.end_headers()
        self.send_response(206 if asked and server.ranges else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        if asked and server.ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        self.wfile.write(CONTENT[start : start + server.most])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A running server; the id "there" of SOURCES is a file on it."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked, running.most, running.ranges, running.status = [], len(CONTENT), True, 200
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        monkeypatch.setattr(hub, "DOWNLOADS", tmp_path / "downloads")
        url = f"http://127.0.0.1:{running.server_port}/there.pt?key=1"
        monkeypatch.setitem(SOURCES, "there", Source("ZigMa", "there.pt", "a test", url=url))
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def hugging(tmp_path, monkeypatch):
    """The hub, as a function of (repo, file) to set."""
    monkeypatch.setitem(SOURCES, "hugged", Source("ZigMa", "a.pt", "a test", repo="someone/something"))

    def answer_with(answer):
        def download(repo, file):
            assert (repo, file) == ("someone/something", "a.pt")
            if isinstance(answer, Exception):
                raise answer
            return str(answer)

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)

    return answer_with


def faulty(kind):
    """An error of the hub's client, made without an answer of a server."""
    fault = kind.__new__(kind)
    Exception.__init__(fault, "first line\nsecond line")
    return fault


def sentence(name, words):
    with pytest.raises(ValueError, match=words) as refusal:
        fetch(name)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_every_entry_says_where_it_is():
    for source in SOURCES.values():
        assert bool(source.repo) != bool(source.url) and source.file.endswith(".pt")
    assert {source.file for source in SOURCES.values() if source.repo == "taohu/zigma"} == {
        "faceshq1024_0090000.pt",
        "landscape1024_0210000.pt",
        "churches256_0280000.pt",
        "zigzagN8_b1_pe2_coco14_bs48_0400000.pt",
    }


def test_a_file_is_downloaded_once(server):
    assert fetch("there").read_bytes() == CONTENT
    assert fetch("there").read_bytes() == CONTENT
    assert server.asked == [None]


def test_a_download_that_stopped_is_resumed(server, capsys):
    server.most = 300_000
    sentence("there", "stopped after 300,000 bytes; run it again to resume")
    sentence("there", "stopped after 600,000 bytes")
    server.most = len(CONTENT)
    path = fetch("there")
    assert path.read_bytes() == CONTENT and not list(path.parent.glob("*.part"))
    assert server.asked == [None, "bytes=300000-", "bytes=600000-"]
    assert "100%" in capsys.readouterr().err


def test_a_server_without_ranges_starts_again(server):
    server.most = 300_000
    sentence("there", "stopped after")
    server.ranges, server.most = False, len(CONTENT)
    assert fetch("there").read_bytes() == CONTENT


def test_a_whole_part_is_not_downloaded_again(server):
    hub.DOWNLOADS.mkdir()
    (hub.DOWNLOADS / "there.pt.part").write_bytes(CONTENT)
    assert fetch("there").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_forgotten(server, monkeypatch):
    wrong = Source("ZigMa", "there.pt", "a test", url=SOURCES["there"].url, sha256="0" * 64)
    monkeypatch.setitem(SOURCES, "there", wrong)
    sentence("there", "its checksum is wrong; run it again")
    assert not (hub.DOWNLOADS / "there.pt").exists()
    right = Source("ZigMa", "there.pt", "a test", url=wrong.url, sha256=hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(SOURCES, "there", right)
    assert fetch("there").read_bytes() == CONTENT


def test_a_refusing_or_missing_server_is_one_sentence(server, monkeypatch):
    server.status = 403
    sentence("there", r"not available \(403\)")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
        url = f"http://127.0.0.1:{closed.server_port}/x"
    monkeypatch.setitem(SOURCES, "there", Source("ZigMa", "there.pt", "a test", url=url))
    sentence("there", "127.0.0.1 cannot be reached .*zigdemo.zoo import FILE")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("GatedRepoError", "behind a gate: accept its terms at https://huggingface.co/someone/something and log in"),
        ("LocalEntryNotFoundError", "not on this machine and huggingface.co cannot be reached"),
        ("OfflineModeIsEnabled", "not on this machine and huggingface.co cannot be reached"),
        ("RepositoryNotFoundError", "has no a.pt"),
        ("EntryNotFoundError", "has no a.pt"),
        ("HfHubHTTPError", r"could not be fetched \(first line\); run it again"),
    ],
)
def test_the_hub_refuses_in_one_sentence(hugging, kind, words):
    hugging(faulty(getattr(errors, kind)))
    sentence("hugged", words)


def test_the_hubs_own_hash_is_checked(hugging, tmp_path):
    """Its cache holds a large file under its SHA-256, with a link of the file's name to it."""
    blob, link = tmp_path / hashlib.sha256(CONTENT).hexdigest(), tmp_path / "a.pt"
    blob.write_bytes(CONTENT)
    link.symlink_to(blob)
    hugging(link)
    assert fetch("hugged") == link
    blob.write_bytes(CONTENT[:-1])
    sentence("hugged", "checksum is wrong")
    assert not blob.exists()


def test_an_unknown_name_lists_the_known_ones():
    sentence("mona-lisa", "choose one of zigma-faceshq-1024")


def test_a_published_id_is_fetched_and_imported(hugging, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    with pytest.raises(ValueError, match="not here yet; run `python -m zigdemo.zoo import hugged`"):
        zoo.find("hugged")
    hugging(save(weights(), tmp_path / "a.pt"))
    assert import_checkpoint("hugged").id == "hugged"
    assert zoo.find("hugged").load()


def test_a_published_id_is_obtained_by_its_name(hugging, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    hugging(save(weights(), tmp_path / "a.pt"))
    assert obtain("hugged").id == "hugged"
    hugging(OSError("it was fetched again"))
    assert obtain("hugged") == zoo.find("hugged")


def hub_of(monkeypatch, repo, folder, fetched):
    """A hub with one repository, the content of a folder."""

    def download(asked, file):
        assert asked == repo
        fetched.append(file)
        if not (folder / file).is_file():
            raise faulty(errors.EntryNotFoundError)
        return str(folder / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)


def test_a_repository_of_the_hub_is_a_model_folder(tmp_path, monkeypatch):
    fetched, folder = [], tiny_folder(tmp_path / "tiny")
    hub_of(monkeypatch, "someone/tiny", folder.path, fetched)
    assert obtain("someone/tiny") == folder and fetched == ["config.json", "model.safetensors"]
    pipe = Pipeline.from_pretrained("someone/tiny", device="cpu")
    assert len(pipe(Request("someone/tiny", label=LABELS[0], count=1, steps=1)).images) == 1


def test_a_repository_that_is_no_model_folder_is_refused_before_its_weights(tmp_path, monkeypatch):
    fetched, folder = [], tiny_folder(tmp_path / "tiny")
    (folder.path / "config.json").write_text("{}")
    hub_of(monkeypatch, "someone/tiny", folder.path, fetched)
    with pytest.raises(ValueError, match="names no known family"):
        obtain("someone/tiny")
    assert fetched == ["config.json"]


def test_a_repository_out_of_reach_is_one_sentence(monkeypatch):
    def download(repo, file):
        raise faulty(errors.LocalEntryNotFoundError)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(ValueError, match="someone/tiny is not on this machine and huggingface.co cannot be reached"):
        Pipeline.load("someone/tiny")


def test_a_name_of_a_stranger_starts_no_download(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_: pytest.fail("it was fetched"))
    with pytest.raises(ValueError, match="unknown model"):
        zoo.find("someone/tiny")


class Api:
    """A hub that notes what is uploaded."""

    fault = None
    uploads: list = []

    def create_repo(self, repo, *, private, exist_ok):
        if self.fault:
            raise self.fault
        return f"https://huggingface.co/{repo}"

    def upload_folder(self, *, repo_id, folder_path, allow_patterns, commit_message):
        paths = [p for p in sorted(folder_path.iterdir()) if any(fnmatch(p.name, one) for one in allow_patterns)]
        self.uploads.append((repo_id, [p.name for p in paths]))


def test_a_folder_is_pushed_with_config_weights_and_card_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    folder = tiny_folder(tmp_path / "tiny")
    for name in ("grid.png", "secret.txt"):
        (folder.path / name).write_bytes(b"x")
    address = Pipeline.load(folder.path, device="cpu").push_to_hub("me/tiny", private=True)
    assert address == "https://huggingface.co/me/tiny"
    assert Api.uploads.pop() == ("me/tiny", ["README.md", "config.json", "grid.png", "model.safetensors"])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("LocalTokenNotFoundError", "run `hf auth login` once"),
        ("OfflineModeIsEnabled", "huggingface.co cannot be reached"),
        ("HfHubHTTPError", r"could not be pushed to me/tiny \(first line\)"),
    ],
)
def test_a_push_that_cannot_be_done_is_one_sentence(tmp_path, monkeypatch, kind, words):
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(Api, "fault", faulty(getattr(errors, kind)))
    with pytest.raises(ValueError, match=words):
        tiny_folder(tmp_path / "tiny").push("me/tiny")
    with pytest.raises(ValueError, match="owner/name"):
        tiny_folder(tmp_path / "tiny").push("tiny")
