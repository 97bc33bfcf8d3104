"""Where the official files are published, and how they are fetched: resumable, shown, checked by a hash if known."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..checks import choice
from ..huggingface import check_hash, first_line, hub_file

DOWNLOADS = Path(os.environ.get("ZIGDEMO_DOWNLOADS", Path.home() / ".cache" / "zigdemo"))
TIMEOUT_SECONDS = 30.0
PIECE_BYTES = 2**20


@dataclass(frozen=True)
class Source:
    """A published file. repo: of the Hugging Face hub, else url. settings: what the file may not say of itself.

    sha256: of the file where its publisher states one; the hub's own hash is used besides. about: one phrase.
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
# Names and places as the projects' own pages and download scripts give them; none of them states a hash.
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


def fetch(name: str) -> Path:
    """The file of an entry of SOURCES, downloaded or from an earlier download; one that broke off is gone on with.

    Raises ValueError with one sentence that says what to do: no network, no access, no such file, a wrong checksum.
    """
    choice("official model", name, SOURCES)
    source = SOURCES[name]
    if source.repo:
        path = hub_file(source.repo, source.file, name, _by_hand(source))
    else:
        path = _from_url(name, source)
    if source.sha256:
        check_hash(path, source.sha256, name)
    return path


def _by_hand(source: Source) -> str:
    return f"get {source.file} some other way and run `python -m zigdemo.zoo import FILE`"


def _from_url(name: str, source: Source) -> Path:
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    path = DOWNLOADS / source.file
    part = path.with_name(f"{path.name}.part")
    if path.is_file():
        return path
    try:
        _download(source.url, part)
    except urllib.error.HTTPError as fault:
        raise ValueError(f"{source.file} of {name} is not given out ({fault.code}); {_by_hand(source)}") from None
    except (urllib.error.URLError, OSError, http.client.HTTPException) as fault:
        if part.is_file() and part.stat().st_size:
            raise ValueError(
                f"the download of {name} broke off after {part.stat().st_size:,} bytes; run it again to go on"
            ) from None
        host = urllib.parse.urlsplit(source.url).hostname
        raise ValueError(
            f"{name} is not on this machine and {host} cannot be reached ({first_line(fault)}); {_by_hand(source)}"
        ) from None
    os.replace(part, path)
    return path


def _download(url: str, part: Path) -> None:
    """Add to `part` what it lacks of a file, with a bar on stderr; OSError or HTTPException where it ends early."""
    from huggingface_hub.utils import tqdm

    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as fault:
        if fault.code == 416 and fault.headers.get("Content-Range") == f"bytes */{have}":  # all of it is here
            return
        raise
    with answer:
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if not goes_on:
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if goes_on else "wb") as file, tqdm(
            total=total, initial=have, unit="B", unit_scale=True, desc=part.stem
        ) as bar:  # fmt: skip
            while piece := answer.read(PIECE_BYTES):
                file.write(piece)
                bar.update(len(piece))
        if total is not None and part.stat().st_size != total:
            raise http.client.IncompleteRead(b"", total - part.stat().st_size)
