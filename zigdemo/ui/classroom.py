"""A class on one laptop: an address with a QR code and a PIN on the teacher's screen, and a list of who waits."""

from __future__ import annotations

import base64
import hmac
import ipaddress
import json
import os
import secrets
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from html import escape
from typing import Any
from urllib.parse import parse_qs

import psutil
import segno
from starlette.requests import cookie_parser

from .address import CLASS_NAME
from .turns import TURNS
from .visitors import PROXIED, is_here, signature

COOKIE = "zigdemo-class"
PIN_DIGITS = 6
TEACHER, LIST, ENTER = "/class", "/class/list", "/class/enter"
TRIES, TRIES_IN_ALL, TRIES_SECONDS = 10, 200, 60.0
NAME_LENGTH, MOST_NAMES, MOST_FORM_BYTES = 24, 1000, 4096
STYLE = """<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root { color-scheme: light dark; font: 18px/1.5 system-ui, sans-serif; }
body { max-width: 72rem; margin: 1.5rem auto; padding: 0 1rem; }
main { display: flex; flex-wrap: wrap; gap: 1.5rem 3rem; align-items: flex-start; }
main > :last-child { flex: 1 1 20rem; min-width: 0; } main p { margin: 0 0 .6rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin: 1.2rem 0 .2rem; }
.far { font-size: clamp(1.6rem, 4vw, 3rem); font-weight: 600; overflow-wrap: anywhere; }
svg { display: block; width: min(24rem, 85vw); height: auto; background: #fff; }
table { border-collapse: collapse; min-width: 20rem; } td, th { text-align: left; padding: .3rem 1rem .3rem 0; }
input, button { font: inherit; padding: .5rem .8rem; min-height: 2.75rem; } label { display: block; margin: 1rem 0; }
.wrong { color: #b91c1c; } @media (prefers-color-scheme: dark) { .wrong { color: #fca5a5; } }
</style>"""
TEACHER_PAGE = """<h1>Class</h1><main><div role="img" aria-label="QR code of the address">{code}</div>
<div><p class="far">{first}</p>{others}<p class="far">PIN {pin}</p>
<p>Phones and laptops in the same network open this address, or scan the code, which has the PIN.
<a href="/">Open the page</a></p>
<h2>Who draws and waits</h2>
<table><thead><tr><th>Name</th><th>Does</th><th>Work left</th></tr></thead><tbody aria-live="polite"></tbody></table>
</div></main>"""
SCRIPT = """<script>
const rows = document.querySelector("tbody");
async function look() {
  try {
    const runs = await (await fetch("/class/list")).json();
    rows.replaceChildren(...(runs.length ? runs : [["Nobody waits.", "", ""]]).map((cells) => {
      const row = document.createElement("tr");
      row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
      return row;
    }));
  } catch { rows.replaceChildren(); }
  setTimeout(look, 2000);
}
look();
</script>"""


def begin_class() -> str:
    """Serve a class from now on; the PIN, a new one unless ZIGDEMO_CLASS has one already."""
    pin = os.environ.get(CLASS_NAME, "")
    if not (pin.isascii() and pin.isdigit() and len(pin) >= 4):
        pin = "".join(secrets.choice("0123456789") for _ in range(PIN_DIGITS))
    os.environ[CLASS_NAME] = pin
    return pin


def addresses() -> list[str]:
    """This machine's IPv4 addresses in its networks, those of private networks first."""
    found = [one.address for each in psutil.net_if_addrs().values() for one in each if one.family == socket.AF_INET]
    usable = [ipaddress.ip_address(one) for one in found]
    usable = [one for one in usable if not one.is_loopback and not one.is_link_local]
    return [str(one) for one in sorted(usable, key=lambda one: not one.is_private)]


class Tries:
    """Wrong PINs of the last minute; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wrong: list[tuple[float, str]] = []

    def may(self, address: str) -> bool:
        """Whether somebody at an address may try once more."""
        with self._lock:
            self._wrong = [one for one in self._wrong if time.monotonic() - one[0] < TRIES_SECONDS]
            return len(self._wrong) < TRIES_IN_ALL and sum(who == address for _, who in self._wrong) < TRIES

    def wrong(self, address: str) -> None:
        """They tried, and were wrong."""
        with self._lock:
            self._wrong.append((time.monotonic(), address))


class Names:
    """What pupils call themselves, by visitor; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: OrderedDict[str, str] = OrderedDict()

    def learn(self, visitor: str, name: str) -> None:
        """A visitor has a name."""
        with self._lock:
            self._names[visitor] = name
            while len(self._names) > MOST_NAMES:
                self._names.popitem(last=False)

    def of(self, visitor: str) -> str:
        """The name of a visitor, for the teacher."""
        return self._names.get(visitor) or (
            "This machine" if visitor.startswith("at 127.") else f"Guest {visitor[-4:]}"
        )


TRIED, NAMES = Tries(), Names()


def pass_of(name: str) -> str:
    """The value of the cookie of who has entered the PIN, with the name they gave."""
    told = base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")
    return f"{told}.{signature(f'{os.environ[CLASS_NAME]} {told}')}"


def name_in(cookies: str) -> str | None:
    """The name in a pass, perhaps empty; None without a pass of this class."""
    try:
        told, _, signed = cookie_parser(cookies).get(COOKIE, "").partition(".")
        if not hmac.compare_digest(signed.encode(), signature(f"{os.environ[CLASS_NAME]} {told}").encode()):
            return None
        return base64.urlsafe_b64decode(told + "=" * (-len(told) % 4)).decode()[:NAME_LENGTH]
    except ValueError:
        return None


def is_teacher(headers: Mapping[str, str], client: str | None) -> bool:
    """Whether a request comes from the machine that serves the class."""
    host = headers.get("host", "").rpartition(":")[0].strip("[]") or headers.get("host", "")
    return is_here(client) and is_here(host) and not any(name in headers for name in PROXIED)


async def answer(
    scope: dict[str, Any], headers: Mapping[str, str], visitor: str, address: str, receive: Callable[..., Any]
) -> tuple[int, dict[str, str], str] | None:
    """The answer, as status, headers and text, to what a class does not hand on to the page; None for what it does."""
    path, is_get = scope["path"], scope["method"] in ("GET", "HEAD")
    if is_teacher(headers, (scope.get("client") or (None,))[0]):
        if path == TEACHER and is_get:
            return _html(200, teacher_page((scope.get("server") or ("", 0))[1]))
        return (200, {"content-type": "application/json"}, json.dumps(waiting())) if path == LIST else None
    name = name_in(headers.get("cookie", ""))
    if name is not None:
        NAMES.learn(visitor, name)
        return _html(404, "<p>This page is for the teacher.</p>") if path in (TEACHER, LIST) else None
    given = parse_qs(scope["query_string"].decode("latin-1"))
    if path == ENTER and scope["method"] == "POST":
        given = parse_qs(await _form(receive))
    elif not (path == "/" and is_get):
        return 401, {"content-type": "application/json"}, json.dumps({"detail": "enter the PIN of the class first"})
    pin, name = (given.get(key, [""])[0] for key in ("pin", "name"))
    if not pin:
        return _html(200, enter_page(""))
    if not TRIED.may(address):
        return _html(429, enter_page("Too many wrong PINs; wait a minute."))
    if not hmac.compare_digest(pin.strip().encode(), os.environ[CLASS_NAME].encode()):
        TRIED.wrong(address)
        return _html(403, enter_page("That is not the PIN on the screen."))
    cookie = f"{COOKIE}={pass_of(name.strip()[:NAME_LENGTH])}; Path=/; HttpOnly; SameSite=Lax"
    return 303, {"location": "/", "set-cookie": cookie}, ""


async def _form(receive: Callable[..., Any]) -> str:
    body, more = b"", True
    while more and len(body) <= MOST_FORM_BYTES:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body[:MOST_FORM_BYTES].decode("utf-8", "replace")


def _html(status: int, text: str) -> tuple[int, dict[str, str], str]:
    page = f'<!doctype html><html lang="en"><title>zigdemo: class</title>{STYLE}<body>{text}</body></html>'
    return status, {"content-type": "text/html; charset=utf-8", "cache-control": "no-store"}, page


def enter_page(fault: str) -> str:
    """Where a pupil enters the PIN."""
    wrong = f'<p class="wrong" role="alert">{escape(fault)}</p>' if fault else ""
    return (
        f'<h1>zigdemo</h1>{wrong}<form method="post" action="{ENTER}">'
        '<label>PIN, on the teacher\'s screen<br><input name="pin" inputmode="numeric" autocomplete="off" required '
        "autofocus></label><label>Your name, for the list of who waits (may stay empty)<br>"
        f'<input name="name" maxlength="{NAME_LENGTH}" autocomplete="off"></label><button>Enter</button></form>'
    )


def teacher_page(port: int) -> str:
    """Address, QR code, PIN and who waits, to be shown to the class."""
    here, pin = addresses(), os.environ[CLASS_NAME]
    if not here:
        return "<h1>Class</h1><p>This machine is in no network; connect it to one, and reload this page.</p>"
    first = f"http://{here[0]}:{port}/"
    others = "".join(f"<p>or http://{one}:{port}/</p>" for one in here[1:4])
    code = segno.make(f"{first}?pin={pin}", error="m").svg_inline(border=2, omitsize=True)
    return TEACHER_PAGE.format(code=code, first=first, others=others, pin=pin) + SCRIPT


def waiting() -> list[list[str]]:
    """Name, what they do, and seconds of work left of everybody who draws or waits, in turn."""
    return [
        [NAMES.of(run.visitor), "draws" if is_running else "waits", f"about {max(1, round(run.seconds_left))} s"]
        for run, is_running in TURNS.listed()
    ]
