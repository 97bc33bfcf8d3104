"""The threads of the numba kernels: torch's own OpenMP team if available, else a small pool.

numba's parallel layers are not safe here: `workqueue`, the default on some macOS and Windows installs, aborts the
process when two threads launch kernels at once, which is what a web page does. Instead, kernels release the
interpreter lock and every thread gets a range of tasks; results do not depend on the split.

After each operator torch's OpenMP threads spin for some milliseconds, waiting for the next one. Kernels on separate
threads would compete with that spinning, which costs a third of the time on two cores, so they run on the same team.
Every thread that has computed keeps a team. GNU's library lets none of them spin while there are more threads than
cores, which costs a third again, so a thread that has computed for a visitor gives its team back.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Lock

import torch

_pool: ThreadPoolExecutor | None = None
_lock = Lock()
_forked = False

_BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_PAUSE_SOFT = 1  # omp_pause_soft of OpenMP 5.0: threads go, settings stay


def _after_fork() -> None:
    """A forked child has none of these threads: it computes serially instead of waiting forever."""
    global _pool, _lock, _forked
    _pool, _lock, _forked = None, Lock(), True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@lru_cache(maxsize=1)
def openmp() -> ctypes.CDLL | None:
    """The OpenMP library that torch is linked with if it has GNU's entry points, else None.

    Linux only, where symbol lookup in a library includes the libraries it is linked with.
    """
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(torch._C.__file__)
    if not (hasattr(library, "GOMP_parallel") and hasattr(library, "omp_get_thread_num")):
        return None
    library.GOMP_parallel.argtypes = [_BODY, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    library.GOMP_parallel.restype = None
    return library


def release_team() -> None:
    """Give back the OpenMP threads of the calling thread; its next operator begins a team anew, in 0.1 ms."""
    library = openmp()
    if library is not None and hasattr(library, "omp_pause_resource_all"):
        library.omp_pause_resource_all(_PAUSE_SOFT)


def _executor() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="zigdemo-kernel")
        return _pool


def usable_cores() -> int:
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_team(library: ctypes.CDLL, share: Callable[[int], None], threads: int) -> None:
    """Run share(0) ... share(threads - 1), each in one thread of the caller's OpenMP team."""
    faults: list[BaseException] = []

    def body(_: int | None) -> None:
        try:
            share(library.omp_get_thread_num())
        except BaseException as fault:
            faults.append(fault)

    library.GOMP_parallel(_BODY(body), None, threads, 0)
    if faults:
        raise faults[0]


def run(kernel: Callable[..., None], tasks: int, *arguments: object) -> None:
    """Run kernel(*arguments, first, last) over [0, tasks) on torch.get_num_threads() threads and wait."""
    threads = 1 if _forked or tasks == 1 else torch.get_num_threads()
    if threads == 1:
        kernel(*arguments, 0, tasks)
        return
    bounds = [tasks * i // threads for i in range(threads + 1)]

    def share(index: int) -> None:
        if bounds[index] < bounds[index + 1]:
            kernel(*arguments, bounds[index], bounds[index + 1])

    library = openmp()
    if library is not None:
        _in_team(library, share, threads)
        return
    others = [_executor().submit(share, index) for index in range(1, threads)]
    share(0)
    for other in others:
        other.result()
