"""One way to check a value and one wording to refuse it."""

from __future__ import annotations

import math
from fractions import Fraction
from numbers import Integral, Real

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import binary, booleans, dictionaries, floats, integers, lists, none, one_of, text

from zigdemo.checks import LENGTH, as_whole, choice, flag, is_whole, number, shown, whole

ANYTHING = one_of(
    none(), booleans(), integers(), floats(), text(), binary(), lists(integers()), dictionaries(text(), text())
)
HUGE = 10**5000  # Python writes no such number
NO_NUMBERS = [None, True, "3", "", b"3", [3], math.nan, math.inf, -math.inf, HUGE, -HUGE, 3j, object()]


def refusal(check, *given, **bounds):
    """The one sentence in which a value is refused."""
    with pytest.raises(ValueError) as fault:
        check("steps", *given, **bounds)
    sentence = str(fault.value)
    assert "\n" not in sentence and len(sentence) < 120
    return sentence


@given(integers(-(10**9), 10**9), integers(-99, 99), integers(-99, 99))
def test_a_whole_number_is_taken_where_it_is_in_its_bounds(value, least, most):
    if least <= value <= most:
        assert whole("steps", value, least, most) == as_whole("steps", float(value), least, most) == value
    else:
        span = f"from {least} to {most}, not {value}"
        assert not is_whole(value, least, most)
        assert refusal(whole, value, least, most) == f"steps must be a whole number {span}"


def test_a_bound_above_may_be_missing():
    assert whole("steps", HUGE, 1) == HUGE
    assert refusal(whole, 0, 1) == "steps must be a whole number of at least 1, not 0"


@pytest.mark.parametrize("check", [whole, as_whole])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
def test_what_is_no_whole_number_is_refused(check, value):
    assert refusal(check, value, 0, 9).startswith("steps must be a whole number from 0 to 9, not ")


@pytest.mark.parametrize("value", [2.5, -0.5, Fraction(1, 3), np.float32(2.5)], ids=repr)
def test_a_fraction_is_no_whole_number_on_a_page_either(value):
    assert refusal(as_whole, value, 0, 9) == f"steps must be a whole number from 0 to 9, not {value!r}"


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        (4, (int, Integral, Real)),
        (np.int64(4), (Integral, Real)),
        (np.uint8(4), (Integral, Real)),
        (4.0, (Real,)),
        (np.float64(4), (Real,)),
        (np.float32(4), (Real,)),
        (np.bool_(True), ()),
        (np.array(4), ()),
    ],
    ids=repr,
)
def test_who_takes_which_whole_numbers(value, kinds):
    for kind in (int, Integral, Real):
        assert is_whole(value, kind=kind) == (kind in kinds)
        if kind in kinds:
            assert type(whole("steps", value, 1, kind=kind)) is int


@given(one_of(floats(-9, 9), floats(allow_nan=False, allow_infinity=False)), integers(-9, 9), integers(-9, 9))
def test_a_number_is_taken_as_it_is_where_it_is_in_its_bounds(value, low, high):
    for bounds, inside in (
        ({}, True),
        ({"least": low}, low <= value),
        ({"above": low}, low < value),
        ({"least": low, "most": high}, low <= value <= high),
        ({"least": low, "below": high}, low <= value < high),
        ({"above": low, "most": high}, low < value <= high),
    ):
        if inside:
            assert number("steps", value, **bounds) is value
        else:
            refusal(number, value, **bounds)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
def test_what_is_no_finite_number_is_refused(value):
    assert refusal(number, value).startswith("steps must be a number, not ")


def test_a_number_of_numpy_is_taken_where_it_is_a_float():
    assert number("steps", np.float64(0.5), least=0, most=1) == 0.5
    assert refusal(number, np.int64(1)).startswith("steps must be a number, not ")


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({}, "a number"),
        ({"least": 0}, "a number of at least 0"),
        ({"above": 0.0}, "a number above 0"),
        ({"least": 0.05, "most": 20.0}, "a number from 0.05 to 20"),
        ({"above": 0, "most": 1e6}, "a number above 0 and at most 1000000"),
        ({"least": 0, "below": 1}, "a number of at least 0 and below 1"),
    ],
    ids=str,
)
def test_bounds_in_words(bounds, words):
    assert refusal(number, math.nan, **bounds) == f"steps must be {words}, not nan"


def test_a_flag_is_true_or_false():
    assert flag("steps", True) is True and flag("steps", False) is False
    for value, words in ((1, "1"), ("yes", "'yes'"), (None, "nothing")):
        assert refusal(flag, value) == f"steps must be true or false, not {words}"


@pytest.mark.parametrize("known", [("few", "many"), ["few", "many"], {"few": 1, "many": 2}], ids=str)
def test_a_choice_is_a_known_name(known):
    assert choice("steps", "many", known) == "many"
    for value in ("none", "", None, 7, ["few"], {}):
        assert refusal(choice, value, known) == f"unknown steps {value!r}; choose one of few, many"


@given(ANYTHING)
def test_any_value_is_shown_on_one_short_line(value):
    assert 0 < len(shown(value)) <= LENGTH and "\n" not in shown(value)


@pytest.mark.parametrize(
    "value", [HUGE, [HUGE], {"a": -HUGE}, "x" * 10**6, ["x"] * 10**6, np.zeros((99, 99))], ids=type
)
def test_a_huge_value_is_shown_short(value):
    assert 0 < len(shown(value)) <= LENGTH and "\n" not in shown(value)


def test_a_short_value_is_shown_whole():
    for value in (0, -2.5, "a name", None, True, [1, 2], (3, 4), {"a": 1}):
        assert shown(value) == repr(value)
