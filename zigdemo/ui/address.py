"""Where the page is served: host name and port from the environment, tried before anything else is done."""

from __future__ import annotations

import argparse
import errno
import os
import socket
import sys
from typing import NoReturn

MOST_PORT = 65535
USUAL_PORT = 7860
PORT_NAMES = ("PORT", "GRADIO_SERVER_PORT")  # the first that is set counts; Gradio fails if the other is no number
HOST_NAME = "GRADIO_SERVER_NAME"
CLASS_NAME = "ZIGDEMO_CLASS"  # set, to its PIN, while the page serves a class


def read_arguments() -> None:
    """Read the command line: `--class` serves a class. SystemExit for anything else."""
    parser = argparse.ArgumentParser(prog="python app.py", description="The page, on this machine alone.")
    parser.add_argument(
        "--class", dest="serves_class", action="store_true", help="serve a class in this network, with a PIN"
    )
    if parser.parse_args().serves_class:
        os.environ.setdefault(CLASS_NAME, "yes")


def on_space() -> bool:
    """Whether this is a Hugging Face Space."""
    return "SPACE_ID" in os.environ


def in_class() -> bool:
    """Whether the page serves a class."""
    return bool(os.environ.get(CLASS_NAME))


def is_shared() -> bool:
    """Whether others than who sits at this machine use it: on a Space, in a class, or at an address of a network."""
    name = os.environ.get(HOST_NAME, "").strip()
    return on_space() or in_class() or not (name in ("", "localhost", "::1", "[::1]") or name.startswith("127."))


def server_port() -> int:
    """The port that the environment asks for. Raises ValueError with one sentence for anything but a port."""
    ports = [_port(name) for name in PORT_NAMES if os.environ.get(name, "").strip()]
    return ports[0] if ports else USUAL_PORT


def _port(name: str) -> int:
    """The port in a variable of the environment."""
    text = os.environ[name].strip()
    port = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MOST_PORT)) else 0
    if not 1 <= port <= MOST_PORT:
        raise ValueError(
            f"{name} must be a whole number from 1 to {MOST_PORT}, not {text[:60]!r}; "
            f"for example: {name}={USUAL_PORT + 1} python app.py"
        )
    return port


def server_name() -> str:
    """The host name that the environment asks for; else all of a Space's or a class's, or this machine alone."""
    return os.environ.get(HOST_NAME, "").strip() or ("0.0.0.0" if on_space() or in_class() else "127.0.0.1")


def server_address() -> tuple[str, int]:
    """Host name and port, both of which can be served on. Raises ValueError with one sentence that says what to do."""
    name, port = server_name(), server_port()
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(name.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise ValueError(
            f"no host is named {name[:60]!r}; set {HOST_NAME} to 127.0.0.1, or to 0.0.0.0 to serve other machines too"
        ) from None
    with socket.socket(family, kind, protocol) as attempt:
        if os.name == "posix":  # elsewhere this would share a port in use
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(place)
        except OSError as fault:
            raise ValueError(_reason(fault, name, port)) from None
    return name, port


def _reason(fault: OSError, name: str, port: int) -> str:
    """Why the port cannot be served on, and what to do."""
    if fault.errno == errno.EADDRINUSE:
        other = port + 1 if port < MOST_PORT else USUAL_PORT
        return f"port {port} is in use; stop what uses it, or take another: PORT={other} python app.py"
    if fault.errno == errno.EACCES:
        return f"port {port} may not be used by this user; take one from 1024 on: PORT={USUAL_PORT} python app.py"
    if fault.errno == errno.EADDRNOTAVAIL:
        return f"{name} is no address of this machine; set {HOST_NAME} to 127.0.0.1, or to 0.0.0.0 for all of them"
    return f"port {port} of {name} cannot be used ({fault.strerror}); take another: PORT={USUAL_PORT} python app.py"


def refuse(sentence: str) -> NoReturn:
    """Say on stderr why the page cannot be served, and leave with status 2."""
    print(f"zigdemo cannot start: {sentence}.", file=sys.stderr)
    raise SystemExit(2)


def address_or_exit() -> tuple[str, int]:
    """As `server_address`; what is wrong with it is said on stderr and ends the program."""
    try:
        return server_address()
    except ValueError as fault:
        refuse(str(fault))


def go_round_proxies(name: str) -> None:
    """Reach `name` and this machine directly, also where a proxy is set: Gradio asks its own page once it runs."""
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = [*spared.split(","), "localhost", "127.0.0.1", name]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(dict.fromkeys(filter(None, map(str.strip, names))))
