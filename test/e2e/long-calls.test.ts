/** The same as in `timeouts.test.ts`, where calls are silent for longer in virtual time, once on real sockets and in real time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { contentOf, startWorld } from './world.ts';

/** Longer than the 31.5 s after which a silent call is first doubted. */
const LONG_MS = 45_000;
const KEEP_ALIVE_MS = 25_000;

async function tell(t: TestContext, model: string, stream: boolean, withSecond: boolean): Promise<void> {
  const slow = { timing: { plainMs: LONG_MS, firstTokenMs: LONG_MS } };
  // The second one is asked beside the first, and is no quicker.
  const storms = withSecond ? { a: slow, b: slow } : { a: slow };
  const models = { [model]: Object.keys(storms).map((name) => `${name}/${model}`) };
  const world = await startWorld(t, { storms, models });
  const seen = await world.ask({ model, stream });
  assert.equal(seen.status, 200);
  assert.notEqual(contentOf(seen.text), '');
  assert.ok(seen.ms >= LONG_MS && seen.ms < LONG_MS + 3000, `${seen.ms} ms`);
  assert.equal(world.storms['a']!.stats().calls, 1);
  if (withSecond) assert.equal(world.storms['b']!.stats().calls, 1);
  if (stream) assert.equal(seen.text.match(/^: keep-alive$/gm)?.length, Math.floor(LONG_MS / KEEP_ALIVE_MS));
  assert.equal(world.eventsOf('finished')[0]!.target, `a/${model}`);
}

describe('a call that is silent for forty-five seconds succeeds with the defaults', { concurrency: true }, () => {
  it('plain, alone', (t) => tell(t, 'gpt-4o', false, false));
  it('plain, with a second target', (t) => tell(t, 'gpt-4o', false, true));
  it('a stream that thinks, alone', (t) => tell(t, 'gpt-5', true, false));
  it('a stream that thinks, with a second target', (t) => tell(t, 'gpt-5', true, true));
});
