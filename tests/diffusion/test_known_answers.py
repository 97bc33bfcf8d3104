"""Solvers, SDEs and redrawing against mixtures whose every field is known exactly."""

import math

import pytest
import torch

from zigdemo.diffusion import (
    FORMS,
    LAST_STEPS,
    PATHS,
    PREDICTIONS,
    SAMPLERS,
    TOYS,
    convert,
    item_noise,
    renoise,
    sample,
    uniform_times,
)

PAIR, GAUSSIAN = TOYS["pair"](), TOYS["gaussian"]()
ODE = [name for name, entry in SAMPLERS.items() if not entry.stochastic and name != "dopri5"]


def start(count, seed=0):
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def end(solver, field, x, steps, **options):
    *_, last = sample(solver, field, x, steps, **options)
    return last.x


def skip_without(solver):
    if SAMPLERS[solver].needs:
        pytest.importorskip(SAMPLERS[solver].needs)


BEFORE = 0.9  # on the VP and DDPM paths sigma ends like a root, on which no solver of even steps keeps its order


@pytest.fixture(scope="module")
def exact():
    """Where the ODE of each path leads 32 points by the end, and by BEFORE, to about 1e-9."""
    found = {}
    for name, path in PATHS.items():
        field, early = PAIR.field(path=path), [BEFORE * time for time in uniform_times(400)]
        *_, before = SAMPLERS["rk4"].function(field, start(32), early)
        found[name] = (end("rk4", field, start(32), 400), before.x)
    return found


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_the_four_predictions_of_a_mixture_are_conversions_of_each_other(name, path):
    toy, x, t = TOYS[name](), start(50), torch.linspace(0.02, 0.98, 50, dtype=torch.float64)
    outputs = {kind: toy.output(kind, x, t, path) for kind in PREDICTIONS}
    for given in PREDICTIONS:
        for wanted in PREDICTIONS:
            mine = convert(wanted, given, outputs[given], x, t, path)
            assert torch.allclose(mine, outputs[wanted], rtol=1e-6, atol=1e-6), (given, wanted)


def test_the_score_is_the_slope_of_the_log_density():
    x = start(20).requires_grad_()
    PAIR.log_density(x, 0.6).sum().backward()
    assert torch.allclose(x.grad, PAIR.output("score", x.detach(), torch.full((20,), 0.6)), atol=1e-6)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("solver", ODE)
def test_each_solver_converges_at_its_order(solver, path, exact):
    skip_without(solver)
    fewer, errors = 24 if SAMPLERS[solver].order > 2 else 64, []
    for steps in (fewer, 2 * fewer):
        times = [BEFORE * time for time in uniform_times(steps)]
        *_, last = SAMPLERS[solver].function(PAIR.field(path=path), start(32), times)
        errors.append((last.x - exact[path.name][1]).square().mean().sqrt().item())
    assert math.log2(errors[0] / errors[1]) > SAMPLERS[solver].order - 0.35
    assert errors[1] < {1: 0.05, 2: 5e-3, 3: 1e-3}.get(SAMPLERS[solver].order, 1e-4)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("solver", [*ODE, "dopri5"])
def test_whatever_is_predicted_the_same_end_is_reached(solver, path, prediction, exact):
    skip_without(solver)
    reached = end(solver, PAIR.field(prediction, path), start(32), 64)
    tolerance = {1: 0.1, 2: 1e-2}.get(SAMPLERS[solver].order, 5e-3)
    assert (reached - exact[path.name][0]).square().mean().sqrt() < tolerance


def tail(statistic, degrees):
    """The chance that a chi-square variable is larger."""
    return float(torch.special.gammaincc(torch.tensor(degrees / 2, dtype=torch.float64), statistic / 2))


def moments_p(x, toy):
    """p-values that x (n, 2) has the mean and covariance of a Gaussian toy: Wald and Nagao chi-square tests."""
    n, white = len(x), torch.linalg.inv(toy.covariance)
    off = x.mean(0) - toy.mean
    spread = white @ torch.cov(x.T) - torch.eye(2, dtype=x.dtype)
    return tail(n * off @ white @ off, 2), tail(n / 2 * torch.trace(spread @ spread), 3)


def gaussian_run(solver, prediction="velocity", path="linear", count=1500, **options):
    x, steps = start(count, seed=1), 200 if PATHS[path].slope_diverges else 100
    generator = torch.Generator().manual_seed(2)

    def noise():
        return torch.randn(x.shape, generator=generator, dtype=x.dtype)

    return moments_p(end(solver, GAUSSIAN.field(prediction, PATHS[path]), x, steps, noise=noise, **options), GAUSSIAN)


def test_the_moment_test_itself_tells_right_from_wrong():
    x = GAUSSIAN.sample(2000, torch.Generator().manual_seed(0))
    assert min(moments_p(x, GAUSSIAN)) > 0.01
    assert moments_p(x + 0.1, GAUSSIAN)[0] < 1e-4 and moments_p(1.1 * x, GAUSSIAN)[1] < 1e-2


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("solver", ["euler-maruyama", "heun-sde"])
def test_every_sde_reaches_the_right_mean_and_covariance(solver, form, path):
    assert min(gaussian_run(solver, path=path, form=form)) > 0.01


@pytest.mark.parametrize("last_step", LAST_STEPS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("solver", ["euler-maruyama", "heun-sde"])
def test_so_it_does_with_every_prediction_and_last_step(solver, prediction, last_step):
    assert min(gaussian_run(solver, prediction, last_step=last_step)) > 0.01


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("solver", "options"), [("ddpm", {}), ("ddim", {"eta": 0.5})])
def test_ancestral_samplers_reach_the_right_mean_and_covariance(solver, options, path):
    assert min(gaussian_run(solver, path=path, **options)) > 0.01


def test_redrawing_from_part_of_the_way_keeps_the_distribution_and_as_much_of_the_sample_as_asked():
    x = GAUSSIAN.sample(2000, torch.Generator().manual_seed(9))
    apart = []
    for strength in (0.2, 0.5, 1.0):
        state, time = renoise(x, start(2000, seed=12), strength)
        redrawn = end("heun", GAUSSIAN.field(), state, 30, start=time)
        assert min(moments_p(redrawn, GAUSSIAN)) > 0.01
        apart.append((redrawn - x).square().mean().item())
    assert apart == sorted(apart)


def test_noise_of_an_item_does_not_depend_on_its_batch():
    def run(seeds, steps=6):
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        x = torch.stack([torch.randn(2, generator=generator) for generator in generators])
        return end("euler-maruyama", PAIR.field(), x, steps, noise=item_noise(generators, x), form="constant")

    together = run([3, 4, 5])
    assert torch.equal(together[1:2], run([4])) and torch.equal(together[[0, 2]], run([3, 5]))
