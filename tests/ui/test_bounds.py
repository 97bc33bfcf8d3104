"""Bounds are open on one's own machine, strict where others use it, and each is changed by its variable."""

from dataclasses import fields

import pytest

from zigdemo.ui import bounds
from zigdemo.ui.address import CLASS_NAME, is_shared
from zigdemo.ui.bounds import OPEN, STRICT, Bounds


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ("SPACE_ID", CLASS_NAME, *(bounds.PREFIX + one.name.upper() for one in fields(Bounds))):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variable", ["SPACE_ID", CLASS_NAME])
def test_they_are_strict_where_others_use_the_machine(monkeypatch, variable):
    assert bounds.bounds() == OPEN and not is_shared()
    monkeypatch.setenv(variable, "yes")
    assert bounds.bounds() == STRICT and is_shared() and bounds.file_limits() == bounds.STRICT_FILES


def test_no_strict_bound_is_wider_than_the_open_one():
    assert all(getattr(STRICT, one.name) <= getattr(OPEN, one.name) for one in fields(Bounds))


@pytest.mark.parametrize("name", [one.name for one in fields(Bounds)])
def test_every_bound_has_a_variable(monkeypatch, name):
    monkeypatch.setenv(f"ZIGDEMO_MAX_{name.upper()}", " 7 ")
    assert getattr(bounds.bounds(), name) == 7


@pytest.mark.parametrize("text", ["0", "-1", "x", "1e3", "9" * 30, "٣"])
def test_a_variable_that_is_no_number_is_one_sentence(monkeypatch, text):
    monkeypatch.setenv("ZIGDEMO_MAX_STEPS", text)
    with pytest.raises(ValueError, match="ZIGDEMO_MAX_STEPS must be a whole number from 1"):
        bounds.bounds()
