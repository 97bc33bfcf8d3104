/* The same noise as torch.Generator().manual_seed(seed) and torch.randn on a CPU: Mersenne Twister, and Box and Muller
   on blocks of 16. Where torch computes logarithms, sines and roots with vectors, the last digits may differ by 1e-6. */

const SIZE = 624, MIDDLE = 397, BLOCK = 16;

/* MT19937 (Matsumoto & Nishimura 1998): a function that returns the next whole number below 2^32. */
export function twister(seed) {
  const state = new Uint32Array(SIZE);
  state[0] = seed >>> 0;
  for (let i = 1; i < SIZE; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  let at = SIZE;
  function renew() {
    for (let i = 0; i < SIZE; i++) {
      const joined = (state[i] & 0x80000000) | (state[(i + 1) % SIZE] & 0x7fffffff);
      state[i] = state[(i + MIDDLE) % SIZE] ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
    }
    at = 0;
  }
  return () => {
    if (at === SIZE) renew();
    let y = state[at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

/* `count` standard normals of a seed, as torch.randn makes them; count is at least 16, as for smaller ones torch has
   another way. */
export function normals(seed, count) {
  if (!Number.isInteger(count) || count < BLOCK) throw new Error(`count must be a whole number of at least ${BLOCK}, not ${count}`);
  const next = twister(seed), values = new Float32Array(count);
  const uniform = () => (next() & 0xffffff) / 0x1000000;
  const turn = (from) => {
    for (let i = from; i < from + BLOCK / 2; i++) {
      const radius = Math.sqrt(-2 * Math.log(1 - values[i])), angle = 2 * Math.PI * values[i + BLOCK / 2];
      values[i] = radius * Math.cos(angle);
      values[i + BLOCK / 2] = radius * Math.sin(angle);
    }
  };
  for (let i = 0; i < count; i++) values[i] = uniform();
  for (let i = 0; i + BLOCK <= count; i += BLOCK) turn(i);
  if (count % BLOCK) { // the last 16 are drawn afresh
    for (let i = count - BLOCK; i < count; i++) values[i] = uniform();
    turn(count - BLOCK);
  }
  return values;
}
