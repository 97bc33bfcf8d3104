"""A visitor is known by a cookie that nobody can forge; a run whose listener is gone is lost."""

from types import SimpleNamespace

import pytest

from zigdemo.ui import visitors
from zigdemo.ui.visitors import COOKIE, Listeners, address_of, new_cookie, visitor_in, visitor_of


@pytest.fixture(autouse=True)
def key(tmp_path, monkeypatch):
    monkeypatch.setenv("ZIGDEMO_RUNS", str(tmp_path))
    visitors._key.cache_clear()
    yield tmp_path / "visitors.key"
    visitors._key.cache_clear()


def page(client="10.0.0.7", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(client=SimpleNamespace(host=client), headers=headers)


def test_a_cookie_names_its_visitor_again_also_after_a_new_start(key):
    value = new_cookie()
    name = visitor_in(f"other=1; {COOKIE}={value}; more=2")
    assert name == value[:32]
    visitors._key.cache_clear()
    assert visitor_in(f"{COOKIE}={value}") == name and key.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "forged",
    ["", "x", "a.b", "0" * 32, f"{'0' * 32}.{'0' * 32}", f"{'0' * 32}.", "é" * 40, f"{'A' * 32}.{'0' * 32}", ";" * 99],
)
def test_what_this_program_did_not_sign_names_nobody(forged):
    assert visitor_in(f"{COOKIE}={forged}") is None


def test_a_changed_name_or_signature_names_nobody():
    value = new_cookie()
    for place in (0, 40):
        changed = value[:place] + ("0" if value[place] != "0" else "1") + value[place + 1 :]
        assert visitor_in(f"{COOKIE}={changed}") is None


def test_two_visitors_at_one_address_are_two_and_programs_without_a_cookie_are_their_address():
    one, two = (visitor_of(page(cookie=f"{COOKIE}={new_cookie()}")) for _ in range(2))
    assert one != two and visitor_of(page()) == visitor_of(page(cookie="x=1")) == "at 10.0.0.7"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [(None, "1.1.1.1", "10.0.0.7"), ("1", "6.6.6.6, 1.1.1.1", "1.1.1.1"), ("2", "6.6.6.6, 1.1.1.1, 2.2.2.2", "1.1.1.1"),
     ("1", "", "10.0.0.7"), ("x", "1.1.1.1", "10.0.0.7")],
)  # fmt: skip
def test_forwarding_headers_count_only_as_far_as_they_are_configured(monkeypatch, proxies, forwarded, address):
    monkeypatch.delenv("SPACE_ID", raising=False)
    if proxies:
        monkeypatch.setenv(visitors.PROXIES_NAME, proxies)
    assert address_of({"x-forwarded-for": forwarded}, "10.0.0.7") == address


def test_a_run_is_lost_once_its_stream_was_closed_and_otherwise_after_a_while(monkeypatch):
    now, heard = [100.0], Listeners()
    monkeypatch.setattr(visitors.time, "monotonic", lambda: now[0])
    assert not heard.is_lost(("a", None), since=100.0)
    now[0] += visitors.UNHEARD_SECONDS + 1
    assert heard.is_lost(("a", None), since=100.0)
    with heard.listening("a"), heard.listening("a"):
        now[0] += 1000
        assert not heard.is_lost(("a", None), since=100.0) and heard.is_lost(("b",), since=100.0)
    assert not heard.is_lost(("a",), since=100.0)
    now[0] += visitors.LOST_SECONDS + 0.1
    assert heard.is_lost(("a",), since=100.0)


def test_a_stream_of_an_earlier_run_says_nothing_about_the_next(monkeypatch):
    now, heard = [100.0], Listeners()
    monkeypatch.setattr(visitors.time, "monotonic", lambda: now[0])
    with heard.listening("a"):
        pass
    now[0] += 50
    assert not heard.is_lost(("a",), since=150.0)
