"""Values that come from configs, requests, pages and files, each checked in one way and refused in one wording.

Every function raises ValueError with one sentence that names the value, says what it may be and shows what it was:
"steps must be a whole number from 1 to 250, not 0". True and False are no numbers here.
"""

from __future__ import annotations

import math
import reprlib
import sys
from collections.abc import Collection, Sequence
from dataclasses import fields
from numbers import Real
from typing import Any, TypeVar

Settings = TypeVar("Settings")
LENGTH = 40  # of a wrong value in a sentence: strangers send long ones

_short = reprlib.Repr()
_short.maxstring = _short.maxlong = _short.maxother = LENGTH


def shown(value: object) -> str:
    """A value as a sentence shows it: its repr on one line, of 40 characters at most."""
    try:
        text = " ".join(_short.repr(value).split())
    except ValueError:  # Python writes no int of more than 4300 digits
        return "something too long to write"
    return text if len(text) <= LENGTH else f"{text[: LENGTH - 3]}..."


def _refusal(name: str, wanted: str, value: object) -> ValueError:
    return ValueError(f"{name} must be {wanted}, not {'nothing' if value is None else shown(value)}")


def is_whole(value: Any, least: int = 0, most: int | None = None, kind: type = int) -> bool:
    """Whether `whole` takes a value."""
    if not isinstance(value, kind) or isinstance(value, bool) or not least <= value < math.inf:
        return False
    return (most is None or value <= most) and value == int(value)


def whole(name: str, value: Any, least: int, most: int | None = None, kind: type = int) -> int:
    """A whole number from least to most, as an int.

    kind: int takes only Python's own, for what is written back as it was given, such as a config or a request;
    numbers.Integral takes those of numpy too, and numbers.Real also floats without a fraction, see `as_whole`.
    """
    if not is_whole(value, least, most, kind):
        span = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise _refusal(name, f"a whole number {span}", value)
    return int(value)


def as_whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """As `whole`, of a page, whose numbers may be floats: 4.0 is 4."""
    return whole(name, value, least, most, Real)


def number(
    name: str,
    value: Any,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """A finite int or float (numpy's float64 is one) in these bounds, as it is; least and most are in, the others not.

    Too large an int for a float is not finite.
    """
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if not known or not least <= value <= most or not above < value < below:
        raise _refusal(name, f"a number {_span(least, most, above, below)}".rstrip(), value)
    return value


def _span(least: float, most: float, above: float, below: float) -> str:
    """The bounds in words, without those that are infinite."""
    if math.isfinite(least) and math.isfinite(most):
        return f"from {least:.15g} to {most:.15g}"
    bounds = {"of at least": least, "above": above, "at most": most, "below": below}
    return " and ".join(f"{words} {bound:.15g}" for words, bound in bounds.items() if math.isfinite(bound))


def flag(name: str, value: Any) -> bool:
    """True or False; no 0 or 1."""
    if not isinstance(value, bool):
        raise _refusal(name, "true or false", value)
    return value


def read_fields(what: str, content: Any, kind: type[Settings], needed: Sequence[str]) -> Settings:
    """A dataclass from a mapping out of a file, which must have the needed fields and may have the others."""
    known = sorted(entry.name for entry in fields(kind))
    if not isinstance(content, dict) or set(content) - set(known) or set(needed) - set(content):
        raise ValueError(f"{what} must have {' and '.join(needed)}, and of the rest only {', '.join(known)}")
    return kind(**content)


def choice(name: str, value: Any, known: Collection[str]) -> str:
    """One of the known names."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"unknown {name} {shown(value)}; choose one of {', '.join(known)}")
    return value
