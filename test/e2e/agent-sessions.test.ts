/** Agents behind one key: their sessions take turns, and the turn of a session goes before its own sub-agents. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatResponse } from '../../src/testing/index.ts';
import { startVirtualWorld } from './virtual.ts';

/** One call at a time, a second each; names are those of the requests that reach the provider, in order. */
async function oneAtATime(t: TestContext, config: object = {}) {
  const order: string[] = [];
  const world = await startVirtualWorld(t, {
    providers: {
      a: ({ body }) => {
        order.push((JSON.parse(body) as { user: string }).user);
        return chatResponse({ headersAfterMs: 1000 });
      },
    },
    limits: { concurrency: 1 },
    config,
  });
  const ask = async (name: string, headers: Record<string, string>) => {
    const asked = world.ask({ user: name }, headers).done;
    await world.clock.advanceAsync(0);
    return asked;
  };
  return { order, world, ask };
}

it('one session with many requests does not hold up another one', async (t) => {
  const { order, world, ask } = await oneAtATime(t);
  const asked = ['a0', 'a1', 'a2', 'a3'].map((name) => ask(name, { 'x-claude-code-session-id': 'a' }));
  asked.push(ask('b0', { 'x-claude-code-session-id': 'b' }));
  for (const { status } of await world.until(Promise.all(asked))) assert.equal(status, 200);
  // What started while nothing waited counts for no session.
  assert.deepEqual(order, ['a0', 'a1', 'b0', 'a2', 'a3']);
});

it('the turn of a session goes before its sub-agents, whatever priority policy.agents gives these', async (t) => {
  for (const subagent of ['lower', 'client'] as const) {
    const { order, world, ask } = await oneAtATime(t, { policy: { agents: { subagent } } });
    const session = { 'x-claude-code-session-id': 'a' };
    const asked = ['s0', 's1', 's2'].map((name) => ask(name, { ...session, 'x-claude-code-request-class': 'subagent' }));
    asked.push(ask('main', { ...session, 'x-claude-code-request-class': 'main' }));
    await world.until(Promise.all(asked));
    assert.deepEqual(order, ['s0', 'main', 's1', 's2'], subagent);
  }
});
