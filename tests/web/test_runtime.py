"""The runtime's files: only the published package, from the cache or by npm."""

import io
import re
import tarfile

import pytest

from zigdemo.web import runtime


def packed(path, content):
    """A package with these files under package/dist."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in content.items():
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A package that passes for the published one."""
    import base64
    import hashlib

    names = [name for pair in runtime.FILES.values() for name in pair]
    path = packed(tmp_path / "given.tgz", {name: name.encode() for name in names})
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    monkeypatch.setattr(runtime, "INTEGRITY", f"sha512-{digest}")
    return path


def test_the_files_come_with_their_license(published):
    files = runtime.runtime_files(published)
    assert files["ort-wasm-simd-threaded.wasm"] == b"ort-wasm-simd-threaded.wasm"
    assert b"MIT" in files["LICENSE.txt"] and len(files) == 5


def test_npm_is_asked_once(published, tmp_path, monkeypatch):
    calls = []

    def npm(command, folder, *rest):
        calls.append(command)
        (folder / runtime.packed_name()).write_bytes(published.read_bytes())

    monkeypatch.setattr(runtime, "run_program", npm)
    cache = tmp_path / "cache"
    assert runtime.runtime_files(cache=cache) == runtime.runtime_files(cache=cache) == runtime.runtime_files(published)
    assert len(calls) == 1 and calls[0][-1] == f"{runtime.PACKAGE}@{runtime.VERSION}"


def test_another_package_is_refused(tmp_path):
    path = packed(tmp_path / "other.tgz", {})
    with pytest.raises(ValueError, match=f"other.tgz is not onnxruntime-web {re.escape(runtime.VERSION)} as published"):
        runtime.runtime_files(path)


def test_a_failing_npm_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="npm was not found; install Node.js or pass --runtime FILE"):
        runtime.runtime_files(cache=tmp_path / "cache")
    with pytest.raises(ValueError, match="absent.tgz cannot be read"):
        runtime.runtime_files(tmp_path / "absent.tgz")
