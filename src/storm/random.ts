/**
 * Randomness in Storm depends on the seed and the request, never on arrival order: the same request gets the same
 * response, and call number 7 gets the same fault in every run.
 */
import type { Random } from '../core/random.ts';
import type { Spread } from './options.ts';

/** Hashes text into 32 bits (FNV-1a). Of a long text only the length, start and end are hashed, so that a 1 MB prompt stays cheap. */
export function hashText(text: string, start = 0x811c9dc5): number {
  let hash = start ^ Math.imul(text.length, 0x9e3779b1);
  const { length } = text;
  const head = Math.min(length, 256);
  for (let at = 0; at < head; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  for (let at = Math.max(head, length - 256); at < length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

/** Hashes numbers into 32 bits. */
export function hashNumbers(...numbers: number[]): number {
  let hash = 0x9e3779b9;
  for (const number of numbers) {
    hash = Math.imul(hash ^ number, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash >>> 0;
}

/** A seeded generator (mulberry32). */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    },
  };
}

/** Samples a spread: a number is constant, `{min,max}` uniform, `{p50,p99}` log-normal; one of `samples`, 0 if there are none. */
export function sample(spread: Spread, random: Random): number {
  if (typeof spread === 'number') return spread;
  if ('min' in spread) return spread.min + (spread.max - spread.min) * random.next();
  if ('samples' in spread) return spread.samples[Math.floor(random.next() * spread.samples.length)] ?? 0;
  const sigma = Math.log(spread.p99 / spread.p50) / 2.3263478740408408; // The 99th percentile of the standard normal distribution.
  return spread.p50 * Math.exp(sigma * normal(random));
}

/** Samples the standard normal distribution (Box-Muller). */
function normal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
  return radius * Math.cos(2 * Math.PI * random.next());
}
