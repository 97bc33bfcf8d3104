/* Solvers on the linear path from noise at t = 0 to data at t = 1, for networks that predict the velocity: the names
   and formulas of zigdemo.diffusion. Each is (velocity, x, now, after) -> the next x; velocity is (x, t) -> a promise of
   a Float32Array like x. */

const plus = (x, factor, slope) => x.map((value, i) => value + factor * slope[i]);

export const SOLVERS = {
  euler: {
    label: "Euler", calls: 1,
    step: async (velocity, x, now, after) => plus(x, after - now, await velocity(x, now)),
  },
  heun: {
    label: "Heun", calls: 2,
    async step(velocity, x, now, after) {
      const slope = await velocity(x, now), ahead = await velocity(plus(x, after - now, slope), after);
      return x.map((value, i) => value + (after - now) * (slope[i] + ahead[i]) / 2);
    },
  },
  /* Song et al. 2021 (arXiv 2010.02502) without fresh noise: split x into clean sample and noise, join them at the next
     time. With a velocity on the linear path that is Euler's step. */
  ddim: {
    label: "DDIM", calls: 1,
    async step(velocity, x, now, after) {
      const slope = await velocity(x, now), clean = plus(x, 1 - now, slope), noise = plus(x, -now, slope);
      return clean.map((value, i) => after * value + (1 - after) * noise[i]);
    },
  },
};

/* uncond + scale (cond - uncond), from both halves of a batch of two (Ho & Salimans 2022, arXiv 2207.12598). */
export function guide(both, scale) {
  const half = both.length / 2, cond = both.subarray(0, half), uncond = both.subarray(half);
  return uncond.map((value, i) => value + scale * (cond[i] - value));
}

/* steps + 1 even times from noise to data. */
export const times = (steps) => Array.from({ length: steps + 1 }, (_, i) => i / steps);
