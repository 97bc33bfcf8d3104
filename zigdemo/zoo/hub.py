"""Official files and their download: resumable, with a progress bar, checked against a hash if known."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ..checks import choice
from ..huggingface import check_hash, first_line, hub_file

DOWNLOADS = Path(os.environ.get("ZIGDEMO_DOWNLOADS", Path.home() / ".cache" / "zigdemo"))
TIMEOUT_SECONDS = 30.0
PIECE_BYTES = 2**20
Bar: TypeAlias = type  # of a progress bar, a subclass of tqdm; what its `update` raises ends a download


@dataclass(frozen=True)
class Source:
    """A published file. repo: on the Hugging Face hub, else url. settings: those the file may not contain.

    sha256: of the file if its publisher states one; the hub's own hash is also checked. about: a short description.
    """

    family: str
    file: str
    about: str
    repo: str | None = None
    url: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    sha256: str | None = None


ZIGMA, DIT = "taohu/zigma", "https://dl.fbaipublicfiles.com/DiT/models"
SIT = "https://www.dl.dropboxusercontent.com/scl/fi/as9oeomcbub47de5g4be0/SiT-XL-2-256.pt"
# Names and addresses from the projects' pages and download scripts, none of which states a hash.
SOURCES = {
    "zigma-faceshq-1024": Source(
        "ZigMa", "faceshq1024_0090000.pt", "FacesHQ, 1024 px", repo=ZIGMA, settings={"img_dim": 128}
    ),
    "zigma-landscape-1024": Source(
        "ZigMa", "landscape1024_0210000.pt", "Landscape HQ, 1024 px", repo=ZIGMA, settings={"img_dim": 128}
    ),
    "zigma-churches-256": Source("ZigMa", "churches256_0280000.pt", "LSUN churches, 256 px", repo=ZIGMA),
    "zigma-coco-256": Source(
        "ZigMa", "zigzagN8_b1_pe2_coco14_bs48_0400000.pt", "MS COCO with text, 256 px", repo=ZIGMA
    ),
    "dit-xl-2-256": Source(
        "DiT", "DiT-XL-2-256x256.pt", "ImageNet, 256 px", url=f"{DIT}/DiT-XL-2-256x256.pt", settings={"num_heads": 16}
    ),
    "dit-xl-2-512": Source(
        "DiT", "DiT-XL-2-512x512.pt", "ImageNet, 512 px", url=f"{DIT}/DiT-XL-2-512x512.pt", settings={"num_heads": 16}
    ),
    "sit-xl-2-256": Source(
        "SiT", "SiT-XL-2-256x256.pt", "ImageNet, 256 px", url=f"{SIT}?rlkey=uxzxmpicu46coq3msb17b9ofa&dl=0",
        settings={"num_heads": 16},
    ),
}  # fmt: skip


def fetch(name: str, bar: Bar | None = None) -> Path:
    """The file of an entry of SOURCES, downloaded if needed; a partial download is resumed.

    bar: shows the progress, in place of a bar in the terminal. Raises ValueError with one sentence that says what to
    do: no network, no access, no such file, a wrong checksum.
    """
    choice("official model", name, SOURCES)
    source = SOURCES[name]
    if source.repo:
        path = hub_file(source.repo, source.file, name, _manual_advice(source), bar)
    else:
        path = _from_url(name, source, bar)
    if source.sha256:
        check_hash(path, source.sha256, name)
    return path


def _manual_advice(source: Source) -> str:
    return f"download {source.file} by other means and run `python -m zigdemo.zoo import FILE`"


def _from_url(name: str, source: Source, bar: Bar | None) -> Path:
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    path = DOWNLOADS / source.file
    part = path.with_name(f"{path.name}.part")
    if path.is_file():
        return path
    try:
        _download(source.url, part, bar)
    except urllib.error.HTTPError as fault:
        raise ValueError(f"{source.file} of {name} is not available ({fault.code}); {_manual_advice(source)}") from None
    except (urllib.error.URLError, OSError, http.client.HTTPException) as fault:
        if part.is_file() and part.stat().st_size:
            raise ValueError(
                f"the download of {name} stopped after {part.stat().st_size:,} bytes; run it again to resume"
            ) from None
        host = urllib.parse.urlsplit(source.url).hostname
        raise ValueError(
            f"{name} is not on this machine and {host} cannot be reached ({first_line(fault)}); "
            f"{_manual_advice(source)}"
        ) from None
    os.replace(part, path)
    return path


def _download(url: str, part: Path, bar: Bar | None) -> None:
    """Download the rest of a partial file, with a progress bar; OSError or HTTPException if it ends early."""
    from huggingface_hub.utils import tqdm

    offset = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={offset}-"} if offset else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as fault:
        if fault.code == 416 and fault.headers.get("Content-Range") == f"bytes */{offset}":  # already complete
            return
        raise
    with response:
        resumes = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
        if not resumes:
            offset = 0
        length = response.headers.get("Content-Length")
        total = offset + int(length) if length else None
        with part.open("ab" if resumes else "wb") as file, (bar or tqdm)(
            total=total, initial=offset, unit="B", unit_scale=True, desc=part.stem
        ) as progress:  # fmt: skip
            while piece := response.read(PIECE_BYTES):
                file.write(piece)
                progress.update(len(piece))
        if total is not None and part.stat().st_size != total:
            raise http.client.IncompleteRead(b"", total - part.stat().st_size)
