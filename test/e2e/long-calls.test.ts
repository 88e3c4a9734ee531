/** The same as in `timeouts.test.ts`, once on real sockets and real time: about ninety seconds, all at once. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { contentOf, startWorld } from './world.ts';

const LONG_MS = 90_000;

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
  if (stream) assert.equal(seen.text.match(/^: keep-alive$/gm)?.length, 3);
  assert.equal(world.eventsOf('finished')[0]!.target, `a/${model}`);
}

describe('a call that is silent for ninety seconds succeeds with the defaults', { concurrency: true }, () => {
  it('plain, alone', (t) => tell(t, 'gpt-4o', false, false));
  it('plain, with a second target', (t) => tell(t, 'gpt-4o', false, true));
  it('a stream that thinks, alone', (t) => tell(t, 'gpt-5', true, false));
  it('a stream that thinks, with a second target', (t) => tell(t, 'gpt-5', true, true));
});
