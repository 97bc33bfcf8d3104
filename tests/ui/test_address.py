"""Where the page is served: what the environment asks for, and one sentence for what cannot be."""

import errno
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from zigdemo.ui import address

APP = Path(__file__).parents[2] / "app.py"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in (*address.PORT_NAMES, address.HOST_NAME, "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def taken():
    """A port of this machine that is in use."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_port_and_host_come_from_the_environment(monkeypatch):
    assert (address.server_name(), address.server_port()) == ("127.0.0.1", 7860)
    monkeypatch.setenv("SPACE_ID", "someone/zigdemo")
    assert address.server_name() == "0.0.0.0"
    for name, value in (("GRADIO_SERVER_PORT", "7871"), ("GRADIO_SERVER_NAME", "localhost"), ("PORT", " ")):
        monkeypatch.setenv(name, value)
    assert (address.server_name(), address.server_port()) == ("localhost", 7871)
    monkeypatch.setenv("PORT", "7872")
    assert address.server_port() == 7872


@pytest.mark.parametrize("name", address.PORT_NAMES)
@pytest.mark.parametrize("text", ["abc", "99999", "0", "-1", "1e3", "٣", "9" * 5000])
def test_a_port_is_a_number_from_1_to_65535(monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(ValueError, match=f"{name} must be a whole number from 1 to 65535") as fault:
        address.server_address()
    assert len(str(fault.value)) < 250


def test_a_port_that_gradio_would_read_is_checked_though_another_counts(monkeypatch):
    monkeypatch.setenv("PORT", "7872")
    monkeypatch.setenv("GRADIO_SERVER_PORT", "abc")
    with pytest.raises(ValueError, match="GRADIO_SERVER_PORT must be"):
        address.server_address()


def test_a_port_in_use_and_a_host_that_is_none_say_what_to_do(monkeypatch, taken):
    monkeypatch.setenv("PORT", str(taken))
    with pytest.raises(ValueError, match=f"port {taken} is in use; .*PORT={taken + 1} python app.py"):
        address.server_address()
    for name, sentence in (("no.such.host.invalid", "no host is named"), ("x" * 300, "no host is named"),
                           ("192.0.2.1", "192.0.2.1 is no address of this machine")):  # fmt: skip
        monkeypatch.setenv("GRADIO_SERVER_NAME", name)
        with pytest.raises(ValueError, match=sentence + ".*GRADIO_SERVER_NAME to 127.0.0.1"):
            address.server_address()


@pytest.mark.parametrize(
    ("number", "sentence"), [(errno.EACCES, "from 1024 on"), (errno.ENOBUFS, "cannot be used .*no space")]
)
def test_a_port_that_may_not_be_used_says_what_to_do(monkeypatch, number, sentence):
    def bind(*given):
        raise OSError(number, "no space")

    monkeypatch.setattr(address.socket.socket, "bind", bind)
    with pytest.raises(ValueError, match=f"(?s){sentence}.*PORT=7860 python app.py"):
        address.server_address()


def test_a_free_port_is_free_afterwards(monkeypatch, taken):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("PORT", str(port))
    assert address.server_address() == ("127.0.0.1", port) == address.server_address()


@pytest.mark.parametrize("name", ["PORT", "GRADIO_SERVER_PORT"])
def test_the_program_says_it_in_one_line_and_leaves_with_status_2(monkeypatch, name):
    monkeypatch.setenv(name, "abc")
    ended = subprocess.run([sys.executable, str(APP)], capture_output=True, text=True, check=False)
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith("zigdemo cannot start: ") and ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "spared", [{}, {"no_proxy": "a.example, b.example"}, {"NO_PROXY": "a.example,b.example"}], ids=str
)
def test_the_page_reaches_itself_where_a_proxy_is_set_and_what_was_spared_stays(monkeypatch, spared):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, spared.get(name, ""))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    address.go_round_proxies("192.168.1.5")
    for host in ("localhost", "127.0.0.1", "192.168.1.5", *(["a.example", "b.example"] if spared else [])):
        assert urllib.request.proxy_bypass(host)
    assert not urllib.request.proxy_bypass("huggingface.co")
