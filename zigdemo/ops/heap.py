"""Keep freed memory for the next step instead of returning it to the system, which a program that rests can do.

On virtual machines a fresh page can cost more than the arithmetic on it: we measured 0.5 GB/s for filling new memory
and 18 GB/s for reused memory. By default glibc returns every large buffer when it is freed.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8  # the option numbers of glibc's malloc.h
RESERVE_BYTES = 64 * 2**20
ARENAS = 1  # for all threads: each would keep what its thread once needed, and a page has many


def _of_glibc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None


def return_freed_memory() -> bool:
    """Return to the system what is free, but RESERVE_BYTES; False where there is no glibc.

    For when nothing is drawn: the next run fills fresh pages.
    """
    malloc_trim = _of_glibc("malloc_trim")
    if malloc_trim is None:
        return False
    malloc_trim(RESERVE_BYTES)
    return True


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep what is freed, growing by RESERVE_BYTES; False where there is no glibc."""
    mallopt = _of_glibc("mallopt")
    if mallopt is None:
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, RESERVE_BYTES), (_ARENA_MAX, ARENAS))
    return all(mallopt(option, value) == 1 for option, value in settings)
