"""What every request passes before Gradio sees it: who asks, whether somebody listens, and how much may be sent."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from gradio.route_utils import API_PREFIX
from gradio.utils import get_upload_folder
from starlette.exceptions import HTTPException

from . import classroom, device
from .address import in_class
from .bounds import MEGABYTE, bounds
from .turns import VISITORS_PER_ADDRESS
from .visitors import COOKIE, COOKIE_SECONDS, LISTENERS, NO_COOKIE, address_of, joined, new_cookie, visitor_in

BROKEN_SECONDS = 900.0  # without a change, after which an unfinished upload is given up
DAY_SECONDS = 24 * 3600.0
FREE_BYTES = 2**28  # of the disk, below which nothing may be uploaded
TOO_LONG = "this request has more than {} MB; send less, and pictures as uploaded files"
TOO_MUCH = "you have uploaded {} MB today, as much as may be here; come back tomorrow, or run zigdemo on your machine"
DISK_FULL = "the disk of this machine is nearly full; try again later, or make room on it"
TOO_MUCH_IN_ALL = "visitors have uploaded as much as this machine keeps in a day; come back tomorrow"


class TooMuch(HTTPException):
    """More bytes than may be sent, with the sentence about it; inside Gradio's routes it is an answer too."""

    def __init__(self, sentence: str, status: int = 413) -> None:
        super().__init__(status, sentence)


class Uploads:
    """Bytes uploaded in the last day, by visitor; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._sent: dict[str, int] = {}
        self._in_all = 0

    def add(self, visitor: str, address: str, count: int) -> None:
        """Raises TooMuch once a visitor, an address of several, or all have sent more than they may."""
        with self._lock:
            if time.monotonic() - self._began > DAY_SECONDS:
                self._began, self._sent, self._in_all = time.monotonic(), {}, 0
            most = bounds()
            for who, times in ((visitor, 1), (f"near {address}", VISITORS_PER_ADDRESS)):
                if self._sent.get(who, 0) + count > times * most.upload_mb * MEGABYTE:
                    raise TooMuch(TOO_MUCH.format(most.upload_mb))
            if self._in_all + count > most.upload_in_all_mb * MEGABYTE:
                raise TooMuch(TOO_MUCH_IN_ALL)
            self._in_all += count
            for who in (visitor, f"near {address}"):
                self._sent[who] = self._sent.get(who, 0) + count


UPLOADS = Uploads()


class Door:
    """An ASGI application around that of the page."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "websocket":  # the page has none
            await receive()
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = joined((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        visitor = visitor_in(headers.get("cookie", ""))
        client = (scope.get("client") or (None,))[0]
        address = address_of(headers, client)
        who = visitor or f"{NO_COOKIE}{address}"
        is_secure = "https" in (scope.get("scheme"), headers.get("x-forwarded-proto"))
        begun = False

        async def answer(message: dict[str, Any]) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            if message["type"] == "http.response.start" and visitor is None and scope["path"] == "/":
                message["headers"] = [*message["headers"], (b"set-cookie", _cookie(is_secure).encode())]
            await send(message)

        if in_class():
            own = await classroom.answer(scope, headers, who, address, receive)
            if own is not None:
                await _send(answer, *own)
                return
        if device.is_for(scope["path"]):
            await device.answer(scope, receive, answer)
            return
        key = _stream_key(scope)
        try:
            counted = _counted(scope, headers, who, address, receive)
            with LISTENERS.listening(key) if key else nullcontext():
                await self.app(scope, counted, answer)
        except TooMuch as fault:
            if not begun:
                await _refuse(send, fault.detail, fault.status_code)


def _cookie(is_secure: bool) -> str:
    """The header that names a new visitor; across sites only where the connection allows it, as a Space is framed."""
    where = "SameSite=None; Secure; Partitioned" if is_secure else "SameSite=Lax"
    return f"{COOKIE}={new_cookie()}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; {where}"


def _stream_key(scope: dict[str, Any]) -> str | None:
    """The session or event whose news a request waits for; None for any other request."""
    parts = scope["path"].strip("/").split("/")
    if scope["method"] != "GET" or len(parts) < 3:
        return None
    if parts[-2:] == ["queue", "data"]:
        return parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [None])[0]
    return parts[-1] if "call" in parts[:-2] else None


def _counted(
    scope: dict[str, Any], headers: dict[str, str], visitor: str, address: str, receive: Callable[..., Any]
) -> Callable[..., Any]:
    """As `receive`, which raises TooMuch when more is sent than may be, as this does when more is announced."""
    is_upload = scope["method"] == "POST" and scope["path"].endswith(f"{API_PREFIX}/upload")
    most = bounds().body_mb * MEGABYTE
    told, so_far = headers.get("content-length", ""), 0
    if not is_upload and told.isdigit() and int(told[:18]) > most:
        raise TooMuch(TOO_LONG.format(most // MEGABYTE))
    if is_upload:
        _sweep(Path(get_upload_folder()))

    async def count() -> dict[str, Any]:
        nonlocal so_far
        message = await receive()
        size = len(message.get("body", b""))
        so_far += size
        if is_upload:
            UPLOADS.add(visitor, address, size)
        elif so_far > most:
            raise TooMuch(TOO_LONG.format(most // MEGABYTE))
        return message

    return count


def _sweep(folder: Path) -> None:
    """Delete what is left of uploads that broke off. Raises TooMuch if the disk is nearly full all the same."""
    for file in folder.glob("tmp*") if folder.is_dir() else ():
        with suppress(OSError):
            if file.is_file() and time.time() - file.stat().st_mtime > BROKEN_SECONDS:
                file.unlink()
    if shutil.disk_usage(folder if folder.is_dir() else tempfile.gettempdir()).free < FREE_BYTES:
        raise TooMuch(DISK_FULL, 507)


async def _refuse(send: Callable[..., Any], sentence: str, status: int = 413) -> None:
    await _send(send, status, {"content-type": "application/json"}, json.dumps({"detail": sentence}))


async def _send(send: Callable[..., Any], status: int, headers: dict[str, str], text: str) -> None:
    body = text.encode()
    pairs = [(name.encode(), value.encode()) for name, value in {**headers, "content-length": str(len(body))}.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
