"""Who asks: a visitor is a signed, random cookie, or the address of a program that has none; and who still listens."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from gradio.context import LocalContext
from starlette.requests import cookie_parser

from ..files import write_whole
from .address import is_shared, on_space
from .files import runs_folder

COOKIE = "zigdemo-visitor"
NO_COOKIE = "at "  # before the address of a visitor without a cookie
COOKIE_SECONDS = 400 * 24 * 3600
PROXIES_NAME = "ZIGDEMO_PROXIES"  # how many proxies stand before the page; their headers count then
PROXIED = ("x-forwarded-for", "x-real-ip", "forwarded")
VALUE = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{32}")
UNHEARD_SECONDS = 30.0  # that a run waits for its first listener
LOST_SECONDS = 0.4  # without a listener, after which it was lost
MOST_KEYS = 10_000


@cache
def _key() -> bytes:
    """The secret that signs cookies: kept beside the runs, so that they have the same owners after a new start."""
    file = runs_folder() / "visitors.key"
    with suppress(OSError):
        if file.is_file() and len(key := file.read_bytes()) == 32:
            return key
    key = secrets.token_bytes(32)
    with suppress(OSError):  # a folder that cannot be written to: owners are known until the program ends
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, key)
        file.chmod(0o600)
    return key


def signature(name: str) -> str:
    """What only this program can write under a name."""
    return hmac.new(_key(), name.encode(), hashlib.sha256).hexdigest()[:32]


def new_cookie() -> str:
    """The value of a new visitor's cookie."""
    name = secrets.token_hex(16)
    return f"{name}.{signature(name)}"


def visitor_in(cookies: str) -> str | None:
    """The visitor that a Cookie header names; None if it names none that this program signed."""
    value = cookie_parser(cookies).get(COOKIE, "")
    if not VALUE.fullmatch(value):
        return None
    name, _, signed = value.partition(".")
    return name if hmac.compare_digest(signed, signature(name)) else None


def address_of(headers: Mapping[str, str], client: str | None) -> str:
    """The address of who asks; forwarding headers count as far as ZIGDEMO_PROXIES says, by one on a Space."""
    text = os.environ.get(PROXIES_NAME, "1" if on_space() else "0")
    proxies = int(text) if text.isascii() and text.isdigit() else 0
    forwarded = [part.strip() for part in headers.get("x-forwarded-for", "").split(",") if part.strip()]
    if proxies and forwarded:
        return forwarded[-min(proxies, len(forwarded))][:60]
    return (client or "nobody")[:60]


def visitor_of(page: gr.Request | None) -> str:
    """Who makes a request of the page or of a program."""
    if page is None:
        return "nobody"
    return visitor_in(joined(page.headers).get("cookie", "")) or f"{NO_COOKIE}{address_of_page(page)}"


def address_of_page(page: gr.Request | None) -> str:
    """The address of who makes a request of the page or of a program."""
    return "" if page is None else address_of(joined(page.headers), getattr(page.client, "host", None))


def joined(headers: Any) -> dict[str, str]:
    """Headers by name, those that came several times in one line: cookies by semicolons, others by commas."""
    found: dict[str, str] = {}
    for name, value in headers.items() if hasattr(headers, "items") else headers:
        name = name.lower()
        found[name] = f"{found[name]}{'; ' if name == 'cookie' else ','}{value}" if name in found else value
    return found


def current_visitor() -> str:
    """Who made the request that is being answered."""
    return visitor_of(LocalContext.request.get(None))


def is_stranger(page: gr.Request) -> bool:
    """Whether a request may come from somebody else than who sits at this machine; in doubt, it does.

    The address that was asked for counts too: behind a tunnel or a proxy, everybody seems to come from here.
    """
    asked = urlsplit(f"//{page.headers.get('host', '')}").hostname
    proxied = any(name in page.headers for name in PROXIED)
    return is_shared() or proxied or not (is_here(getattr(page.client, "host", None)) and is_here(asked))


def is_here(host: str | None) -> bool:
    """Whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


class Listeners:
    """The streams that are open to pages and programs, by session or event; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[str, tuple[int, float]] = OrderedDict()  # how many; when that changed

    @contextmanager
    def listening(self, key: str) -> Iterator[None]:
        """A stream is open."""
        self._count(key, 1)
        try:
            yield
        finally:
            self._count(key, -1)

    def _count(self, key: str, change: int) -> None:
        with self._lock:
            count, _ = self._open.pop(key, (0, 0.0))
            self._open[key] = count + change, time.monotonic()
            while len(self._open) > MOST_KEYS:
                self._open.popitem(last=False)

    def is_lost(self, keys: tuple[str | None, ...], since: float) -> bool:
        """Whether nobody hears any more what began at a time: the stream was closed, or never opened."""
        now = time.monotonic()
        with self._lock:
            found = [self._open[key] for key in keys if key in self._open]
        if any(count > 0 for count, _ in found):
            return False
        last = max((changed for _, changed in found), default=0.0)
        return now - last > LOST_SECONDS if last > since else now - since > UNHEARD_SECONDS


LISTENERS = Listeners()
