"""The page's solvers and guidance take the steps of zigdemo.diffusion."""

import numpy as np
import pytest
import torch

from zigdemo.diffusion import Field, guide, sample
from zigdemo.web.folder import SOLVER_NAMES

# dx/dt = a x + b t, with a and b of each number, which both sides can compute.
RATES, DRIFTS = np.array([-1.5, 0.5, 1.0, -0.2]), np.array([0.3, -2.0, 1.0, 0.7])
RUN = """const { SOLVERS, times } = await at('solvers.js'); let x = Float32Array.from(given.x), calls = 0;
const { rates, drifts, steps, solver } = given, grid = times(steps), states = [];
const velocity = async (state, t) => { calls += 1; return state.map((v, i) => rates[i] * v + drifts[i] * t); };
for (let i = 0; i < steps; i++) {
  x = await SOLVERS[solver].step(velocity, x, grid[i], grid[i + 1]);
  states.push([...x]);
}
return { states, calls, known: Object.keys(SOLVERS), counted: SOLVERS[solver].calls };"""


@pytest.mark.parametrize("solver", SOLVER_NAMES)
@pytest.mark.parametrize("steps", [1, 8])
def test_a_solver_takes_the_same_steps(node, solver, steps):
    x = torch.tensor([[0.5, -1.0, 2.0, 0.1]])
    rates, drifts = torch.tensor(RATES).float(), torch.tensor(DRIFTS).float()
    expected = list(sample(solver, Field(lambda x, t: rates * x + drifts * t[:, None]), x, steps))
    given = {"x": x[0].tolist(), "rates": RATES.tolist(), "drifts": DRIFTS.tolist(), "steps": steps, "solver": solver}
    result = node(RUN, given)
    np.testing.assert_allclose(result["states"], np.stack([step.x[0].numpy() for step in expected]), atol=1e-5)
    assert result["calls"] == expected[-1].nfe == steps * result["counted"]
    assert sorted(result["known"]) == sorted(SOLVER_NAMES)


def test_guidance_is_the_same(node):
    cond, uncond = torch.randn(1, 6, generator=torch.Generator().manual_seed(1)), torch.ones(1, 6)
    result = node("const { guide } = await at('solvers.js'); return [...guide(Float32Array.from(given), 3.5)];",
                  torch.cat([cond, uncond]).flatten().tolist())  # fmt: skip
    np.testing.assert_allclose(result, guide(cond, uncond, 3.5)[0].numpy(), atol=1e-6)
