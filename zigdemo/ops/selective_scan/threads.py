"""Our own small thread pool for the numba kernels.

numba's parallel layers are not safe here: `workqueue`, the default on some macOS and Windows installs, aborts the
process when two threads launch kernels at once, which is what a web page does. Kernels are compiled without the
interpreter lock instead and this pool hands each thread a run of tasks; results do not depend on the split.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import torch

_pool: ThreadPoolExecutor | None = None
_lock = Lock()
_forked = False


def _after_fork() -> None:
    """A forked child has no pool threads: it computes serially instead of waiting for them for ever."""
    global _pool, _lock, _forked
    _pool, _lock, _forked = None, Lock(), True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _executor() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="zigdemo-kernel")
        return _pool


def run(kernel: Callable[..., None], tasks: int, *arguments: object) -> None:
    """Run kernel(*arguments, first, last) over [0, tasks) on torch.get_num_threads() threads and wait for all."""
    threads = 1 if _forked else max(1, min(torch.get_num_threads(), tasks))
    bounds = [tasks * i // threads for i in range(threads + 1)]
    if threads == 1:
        kernel(*arguments, 0, tasks)
        return
    pool = _executor()
    others = [pool.submit(kernel, *arguments, bounds[i], bounds[i + 1]) for i in range(1, threads)]
    kernel(*arguments, bounds[0], bounds[1])
    for other in others:
        other.result()
