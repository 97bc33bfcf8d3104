"""No backend holds a state for every token, forward or backward: peak memory at two sizes of the state."""

import subprocess
import sys
import textwrap

import pytest
from waiting import PATIENCE

from zigdemo.ops import backends

LENGTH, CHANNELS, SMALL, LARGE = 1024, 512, 8, 40
STEP = """
    import resource, torch
    from zigdemo.ops import backends, selective_scan
    backends.warm_up()
    def leaves(length):
        x, B = torch.rand(1, length, {channels}), torch.rand(1, length, {state})
        return [v.requires_grad_() for v in (x, x.clone(), -torch.rand({channels}, {state}), B, B.clone())]
    selective_scan(*leaves(64), backend="{backend}").sum().backward()
    tensors = leaves({length})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    selective_scan(*tensors, backend="{backend}").sum().backward()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def peak_kb(backend, state):
    code = textwrap.dedent(STEP).format(backend=backend, state=state, length=LENGTH, channels=CHANNELS)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in kilobytes on Linux only")
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_the_peak_grows_by_far_less_than_a_state_for_every_token(backend):
    if backend == "cpu" and backends.numba_fault():
        pytest.skip(backends.numba_fault())
    whole_kb = LENGTH * CHANNELS * (LARGE - SMALL) * 4 / 1024
    assert peak_kb(backend, LARGE) - peak_kb(backend, SMALL) < 0.3 * whole_kb
