"""The server of an exported folder: types and headers that browsers insist on, and nothing outside the folder."""

import urllib.error
import urllib.request

import pytest

from zigdemo.web import server, serving


@pytest.fixture
def folder(tmp_path):
    for name in ("index.json", "index.html", "worker.js", "runtime/a.mjs", "runtime/a.wasm", "parts/a.onnx"):
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path / "out"


def headers(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.headers


def test_files_have_their_types_and_the_page_is_isolated(folder):
    types = {"/": "text/html", "/worker.js": "text/javascript", "/runtime/a.mjs": "text/javascript",
             "/runtime/a.wasm": "application/wasm", "/index.json": "application/json"}  # fmt: skip
    with serving(folder) as url:
        for path, kind in types.items():
            found = headers(url + path[1:])
            assert found["Content-Type"].startswith(kind)
            assert found["Cross-Origin-Opener-Policy"] == "same-origin"
            assert found["Cross-Origin-Embedder-Policy"] == "require-corp"
            assert found["Cache-Control"] == "no-cache"
        assert "immutable" in headers(url + "parts/a.onnx")["Cache-Control"]


def test_without_isolation_there_are_no_such_headers(folder):
    with serving(folder, isolated=False) as url:
        assert headers(url)["Cross-Origin-Embedder-Policy"] is None


@pytest.mark.parametrize("path", ["/../secret.txt", "/%2e%2e/secret.txt", "/parts/", "/nothing"])
def test_nothing_outside_and_no_listing(folder, path):
    with serving(folder) as url, pytest.raises(urllib.error.HTTPError) as fault:
        urllib.request.urlopen(url + path[1:], timeout=10)
    assert fault.value.code == 404


def test_a_taken_port_and_no_export_are_one_sentence(folder, tmp_path):
    with server(folder, port=0) as running:
        with pytest.raises(ValueError, match="cannot be used .*; give another --port or --host"):
            server(folder, port=running.server_address[1])
    with pytest.raises(ValueError, match="is no exported folder; run `python -m zigdemo.web export"):
        server(tmp_path)
    with pytest.raises(ValueError, match="give another --port"):
        server(folder, port=10**6)
