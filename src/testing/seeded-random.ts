/** Reproducible randomness: the same seed gives the same numbers on every machine. */
import type { Random } from '../core/random.ts';

/**
 * sfc32 (Doty-Humphrey, PractRand): small, fast, passes the usual statistical batteries; not cryptographically secure.
 * `seed` is any finite number; numbers that differ in their 32-bit integer part or fraction give different sequences.
 */
export function createSeededRandom(seed: number): Random {
  const [low = 0, high = 0] = new Uint32Array(new Float64Array([seed]).buffer);
  let a = low;
  let b = high;
  let c = 0x9e3779b9;
  let counter = 1;

  function nextUint32(): number {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  // Similar seeds start alike; a few rounds spread the difference over the whole state.
  for (let round = 0; round < 15; round++) nextUint32();

  return { next: () => nextUint32() / 0x1_0000_0000 };
}
