"""Kernels under many threads, under numba's own layers, in forked children, and without numba."""

import os
import subprocess
import sys
import textwrap

import pytest
import torch
from waiting import PATIENCE

from zigdemo.ops import backends, selective_scan

pytestmark = pytest.mark.skipif(backends.numba_fault() is not None, reason=str(backends.numba_fault()))


def python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.mark.parametrize("layer", ["workqueue", "omp"])
def test_eight_threads_at_once_survive_and_agree_with_one(layer):
    code = """
        import threading, torch
        from zigdemo.ops import selective_scan
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(3, 40, 300, generator=generator); B = torch.randn(3, 40, 4, generator=generator)
        A = -torch.rand(300, 4, generator=generator)
        def work():
            leaf = x.clone().requires_grad_()
            y = selective_scan(leaf, torch.sigmoid(leaf), A, B, B, backend="cpu")
            return torch.cat([y.detach(), torch.autograd.grad(y.sum(), leaf)[0]])
        alone, found = work(), []
        threads = [threading.Thread(target=lambda: [found.append(work()) for _ in range(10)]) for _ in range(8)]
        [t.start() for t in threads]; [t.join() for t in threads]
        print(len(found), all(torch.equal(alone, value) for value in found))
    """
    assert python(code, NUMBA_THREADING_LAYER=layer) == "80 True"


@pytest.mark.parametrize("team", ["of torch", "our own pool"])
def test_every_task_runs_once_and_a_fault_inside_reaches_the_caller(team, monkeypatch):
    from zigdemo.ops import threads

    if team == "our own pool":
        monkeypatch.setattr(threads, "openmp", lambda: None)
    elif threads.openmp() is None:
        pytest.skip("torch has no GNU OpenMP here")
    before, seen = torch.get_num_threads(), []

    def kernel(note, first, last):
        seen.extend(range(first, last))
        if note == "break":
            raise RuntimeError("a fault inside")

    try:
        for count, tasks in ((2, 7), (4, 3), (3, 1)):
            torch.set_num_threads(count)
            threads.run(kernel, tasks, "go")
            assert sorted(seen) == list(range(tasks))
            seen.clear()
        with pytest.raises(RuntimeError, match="a fault inside"):
            threads.run(kernel, 4, "break")
    finally:
        torch.set_num_threads(before)


def test_the_result_does_not_depend_on_the_number_of_threads():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 33, 300, generator=generator)
    B = torch.randn(2, 33, 4, generator=generator)
    A = -torch.rand(300, 4, generator=generator)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            leaf = A.clone().requires_grad_()
            y = selective_scan(x, x.sigmoid(), leaf, B, B, backend="cpu")
            found.append(torch.cat([y.detach().flatten(), torch.autograd.grad(y.sum(), leaf)[0].flatten()]))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_computes_instead_of_waiting_for_threads_it_does_not_have():
    code = """
        import os, torch
        from zigdemo.ops import selective_scan
        torch.set_num_threads(2)
        x = torch.ones(2, 30, 300); B = torch.ones(2, 30, 4); A = -torch.ones(300, 4)
        wanted = selective_scan(x, x, A, B, B, backend="cpu")
        child = os.fork()
        if child == 0:
            os._exit(0 if torch.equal(selective_scan(x, x, A, B, B, backend="cpu"), wanted) else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert python(code) == "0"


def test_without_numba_the_reference_runs_and_the_report_says_so():
    code = """
        import sys
        sys.modules["numba"] = None
        import torch
        from zigdemo.ops import backends, selective_scan
        x, B = torch.ones(1, 3, 2), torch.ones(1, 3, 1)
        assert selective_scan(x, x, -torch.ones(2, 1), B, B).shape == x.shape
        lines = {(line.operator, line.backend): line for line in backends.report()}
        cpu, reference = lines["selective_scan", "cpu"], lines["selective_scan", "reference"]
        print(cpu.available, reference.chosen, "numba" in cpu.reason)
        backends.warm_up()
    """
    assert python(code) == "False True True"


def test_a_folder_that_cannot_be_written_does_not_stop_the_kernels(tmp_path):
    code = """
        import torch
        from zigdemo.ops import backends, selective_scan
        x, B = torch.ones(1, 3, 2), torch.ones(1, 3, 1)
        selective_scan(x, x, -torch.ones(2, 1), B, B, backend="cpu")
        print(backends.numba_fault())
    """
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert python(code, NUMBA_CACHE_DIR=str(blocked / "inside"), HOME=str(blocked)) == "None"


def test_a_thread_that_gives_its_team_back_leaves_no_thread_behind_and_computes_on():
    from zigdemo.ops import threads

    if threads.openmp() is None or not hasattr(threads.openmp(), "omp_pause_resource_all"):
        pytest.skip("torch has no GNU OpenMP here that gives threads back")
    code = """
        import os, threading, torch
        from zigdemo.ops.threads import release_team
        x = torch.randn(600, 600)
        def work():
            torch.set_num_threads(2)  # of this thread
            before = len(os.listdir("/proc/self/task"))
            first = x @ x
            kept = len(os.listdir("/proc/self/task")) - before
            release_team()
            left = len(os.listdir("/proc/self/task")) - before
            print(kept, left, torch.equal(first, x @ x))
        thread = threading.Thread(target=work)
        thread.start(); thread.join()
    """
    assert python(code) == "1 0 True"
