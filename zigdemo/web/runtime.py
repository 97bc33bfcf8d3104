"""The runtime that draws in browsers: the files of onnxruntime-web, fetched by npm once and kept."""

from __future__ import annotations

import base64
import hashlib
import tarfile
import tempfile
from pathlib import Path

from ..data.programs import run_program
from ..files import write_whole
from ..zoo.hub import DOWNLOADS

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
# As the registry states it; a package that differs is not used.
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
# By what computes: the script with the interface, and the WebAssembly that it loads.
FILES = {
    "wasm": ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
    "webgpu": ("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"),
}
TIMEOUT_SECONDS = 600
LICENSE = f"""{PACKAGE} {VERSION}, Copyright (c) Microsoft Corporation, MIT License.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def packed_name() -> str:
    """The name that `npm pack` gives the package."""
    return f"{PACKAGE}-{VERSION}.tgz"


def runtime_files(package: Path | None = None, cache: Path = DOWNLOADS) -> dict[str, bytes]:
    """The files of FILES by name, and the license.

    package: the packed package, for a machine without a network; by default the one in the cache, else `npm pack`
    fetches it there. Raises ValueError with one sentence if it cannot be fetched or is another one.
    """
    if package is None:
        package = cache / packed_name()
        if not package.is_file():
            _fetch(package)
    try:
        content = package.read_bytes()
    except OSError as fault:
        raise ValueError(f"{package} cannot be read ({fault.strerror}); give the file of `npm pack`") from None
    if "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode() != INTEGRITY:
        raise ValueError(f"{package} is not {PACKAGE} {VERSION} as published; remove it, and it is fetched again")
    names = [name for pair in FILES.values() for name in pair]
    with tarfile.open(package) as archive:
        files = {name: archive.extractfile(f"package/dist/{name}").read() for name in names}
    return {**files, "LICENSE.txt": LICENSE.encode()}


def _fetch(package: Path) -> None:
    """Let npm fetch the package into the cache."""
    with tempfile.TemporaryDirectory(prefix="zigdemo-web-") as folder:
        command = ["npm", "pack", "--ignore-scripts", "--loglevel=error", f"{PACKAGE}@{VERSION}"]
        try:
            run_program(command, Path(folder), TIMEOUT_SECONDS, "Node.js", f"fetch {PACKAGE}", "--runtime FILE")
        except RuntimeError as fault:
            raise ValueError(str(fault)) from None
        package.parent.mkdir(parents=True, exist_ok=True)
        write_whole(package, (Path(folder) / package.name).read_bytes())
