/** Two parallel attempts, while the first response is checked and the other attempt continues. In virtual time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatStream, silence } from '../../src/testing/simulated-chat.ts';
import { after, answeredBy, assertSettled, endsOf, failing, startHedged } from './hedge-world.ts';
import type { Script } from './hedge-world.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';
import { contentOf } from './world.ts';

interface Checked {
  readonly checkMs?: number;
  readonly checkTimeout?: string;
  readonly timeouts?: { readonly idle?: string };
}

describe('while the first response is checked', () => {
  const CHECK_MS = 1000;
  /** A custom check that takes time and requires long responses. */
  async function startChecked(
    t: TestContext,
    providers: VirtualOptions['providers'],
    { checkMs = CHECK_MS, checkTimeout = '30s', timeouts = {} }: Checked = {},
  ): Promise<VirtualWorld> {
    const world: VirtualWorld = await startHedged(t, {
      providers,
      policy: {
        timeouts,
        quality: {
          check: ({ text }) => new Promise<boolean>((resolve) => world.clock.schedule(checkMs, () => resolve(text.length > 10))),
          checkTimeout,
        },
      },
    });
    return world;
  }
  const poor = after(700, 'poor');
  const longStream: Script = () => chatStream({ firstContentAfterMs: 400, gapMs: 100, words: Array.from({ length: 500 }, () => 'word ') });

  for (const stream of [false, true]) {
    it(`the other one continues, and is used if the check fails${stream ? ', as a buffered stream' : ''}`, async (t) => {
      const words = ['a much ', 'longer ', 'answer'];
      const other: Script = stream ? () => chatStream({ firstContentAfterMs: 400, gapMs: 600, words }) : after(400, words.join(''));
      const world = await startChecked(t, { a: poor, b: other });
      const seen = await world.answerTo({ stream });
      answeredBy(seen, 'b/m', 2, 'quality');
      assert.equal(contentOf(seen.text), words.join(''));
      assert.deepEqual(endsOf(world), ['a/m quality', 'b/m success']);
      assertSettled(world);
    });

    it(`the other one is closed if the check passes${stream ? ', as a stream' : ''}`, async (t) => {
      const world = await startChecked(t, { a: after(700, 'long enough to be good'), b: after(400, 'long enough as well') });
      const seen = await world.answerTo({ stream });
      answeredBy(seen, 'a/m', 2, null);
      assert.deepEqual(endsOf(world), ['a/m success', 'b/m cancelled']);
      assertSettled(world);
    });

    it(`a failure of the other one counts for its target${stream ? ', as a stream' : ''}`, async (t) => {
      const world = await startChecked(t, { a: after(700, 'long enough to be good'), b: failing(400) });
      answeredBy(await world.answerTo({ stream }), 'a/m', 2, null);
      assert.deepEqual(endsOf(world), ['a/m success', 'b/m server_error']);
      assert.ok(world.gateway.targets().find(({ target }) => target === 'b/m')!.health < 1);
      assertSettled(world);
    });

    it(`its caller may disconnect, and everything is closed${stream ? ', as a stream' : ''}`, async (t) => {
      for (const [leaveAfterMs, other] of [
        [800, silence],
        [1500, after(400, 'long enough as well')],
        [1500, failing(400)],
      ] as const) {
        const world = await startChecked(t, { a: poor, b: other });
        const asked = world.ask({ stream });
        await world.clock.advanceAsync(leaveAfterMs);
        asked.leave();
        await assert.rejects(asked.done);
        await world.clock.advanceAsync(CHECK_MS);
        assert.equal(world.eventsOf('finished')[0]!.outcome, 'cancelled');
        assertSettled(world);
      }
    });

    it(`its deadline may pass, and the available response is sent${stream ? ', as a stream' : ''}`, async (t) => {
      const world = await startChecked(t, { a: poor, b: silence });
      const seen = await world.answerTo({ stream }, { 'x-breakwater-deadline-ms': '1800' });
      assert.equal(seen.status, 200);
      assert.equal(contentOf(seen.text), 'poor');
      assertSettled(world);
    });
  }

  it('the other one is not reported as silent while the check holds it up', async (t) => {
    // Longer than any provider may be silent.
    const world = await startChecked(t, { a: poor, b: longStream }, { checkMs: 8_000, timeouts: { idle: '2s' } });
    const seen = await world.answerTo({ stream: true }, { 'x-breakwater-deadline-ms': '60000' });
    answeredBy(seen, 'b/m', 2, 'quality');
    assert.match(contentOf(seen.text), /^word word /);
    assertSettled(world);
  });

  it('the other one is not blamed for the deadline that passes meanwhile', async (t) => {
    const world = await startChecked(t, { a: poor, b: longStream }, { checkMs: 60_000, checkTimeout: '60s' });
    const seen = await world.answerTo({ stream: true }, { 'x-breakwater-deadline-ms': '20000' });
    assert.equal(contentOf(seen.text), 'poor');
    assert.deepEqual(endsOf(world), ['a/m success', 'b/m cancelled']);
    assert.equal(world.gateway.targets().find(({ target }) => target === 'b/m')!.health, 1);
    assertSettled(world);
  });

  it('a request error ends it if every other response fails the check', async (t) => {
    const world = await startChecked(t, {
      a: failing(700, 400, { code: 'missing_required_parameter' }),
      b: after(400, 'poor'),
      c: after(0),
    });
    const seen = await world.answerTo();
    assert.equal(seen.headers.get('x-breakwater-quality'), 'mismatch');
    assert.equal(world.callsTo('c'), 0);
    assertSettled(world);
  });
});
