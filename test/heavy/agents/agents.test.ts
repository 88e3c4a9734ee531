/**
 * Coding agents from npm, headless, before a gateway: a turn with a tool call through faults, over a target of their own dialect and over
 * others, and what a turn costs upstream while everything fails. They are large: `BREAKWATER_TEST_AGENTS=1` installs them.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { startWorld } from '../../e2e/world.ts';
import type { World } from '../../e2e/world.ts';
import type { StormFault } from '../../../src/storm/index.ts';
import { AGENTS, EXAMPLE_KEY, runTurn, SECRET } from './agents.ts';
import type { Agent, Turn } from './agents.ts';

const PROTOCOLS = ['openai', 'anthropic', 'gemini'] as const;
type Protocol = (typeof PROTOCOLS)[number];
const MODELS: Readonly<Record<Protocol, string>> = { openai: 'gpt-5.1', anthropic: 'claude-sonnet-4-5', gemini: 'gemini-2.5-pro' };
/** While everything fails an agent may ask for minutes; it is ended then. */
const TURN_MAX_MS = 60_000;

async function isInstalled(t: TestContext, { name, packages }: Agent): Promise<boolean> {
  if (packages.isInstalled || process.env['BREAKWATER_TEST_AGENTS'] === '1') return packages.install(t);
  t.skip(`BREAKWATER_TEST_AGENTS=1 installs ${name} and runs this`);
  return false;
}

function start(t: TestContext, protocol: Protocol, faults: readonly StormFault[]): Promise<World> {
  const target = [`a/${MODELS[protocol]}`];
  return startWorld(t, {
    storms: { a: { keepBodies: 40, faults: [...faults] } },
    providers: { a: { protocol } },
    models: { 'claude-*': target, 'gpt-*': target, 'gemini-*': target },
    config: { clients: [{ name: 'agents', key: EXAMPLE_KEY }] },
  });
}

describe('a turn of an agent', { concurrency: 1 }, () => {
  for (const agent of AGENTS) {
    for (const protocol of PROTOCOLS) {
      it(`${agent.name} runs its tool and ends its turn on a target of ${protocol}, through a 503, a 529 and a stream that is cut`, async (t) => {
        if (!(await isInstalled(t, agent))) return;
        const faults = (['503', '529', 'cut'] as const).map((kind) => ({ kind, calls: [1] }));
        const world = await start(t, protocol, faults);
        const turn = await runTurn(t, agent, world.url, { isConverted: agent.speaks !== protocol });
        const { calls, log } = world.storms['a']!.stats();
        t.diagnostic(`${calls} calls upstream, ${world.eventsOf('received').length} requests, ${Math.round(turn.ms)} ms`);
        assert.equal(turn.code, 0, turn.out);
        const bodies = log.map(({ body }) => String(body ?? ''));
        assert.ok(bodies.at(-1)!.includes(SECRET), `the result of the tool did not reach the provider: ${turn.out}`);
        const refused = world.eventsOf('finished').filter(({ status }) => status >= 400 && status < 500);
        assert.deepEqual(refused, [], 'no request was refused');
        assert.ok(calls <= 8, `${calls} calls`);
      });
    }

    it(`${agent.name} costs the attempts of one request a call while everything fails`, async (t) => {
      if (!(await isInstalled(t, agent))) return;
      const world = await start(t, agent.speaks, [{ kind: '500' }]);
      const storm = world.storms['a']!;
      const behind = await runTurn(t, agent, world.url, { timeoutMs: TURN_MAX_MS });
      const [upstream, requests] = [storm.stats().calls, world.eventsOf('received').length];
      storm.reset();
      const alone = await runTurn(t, agent, storm.url, { timeoutMs: TURN_MAX_MS });
      const figures = (calls: number, { code, ms }: Turn): string =>
        `${calls} calls upstream in ${Math.round(ms / 1000)} s${code === null ? ', and no end' : ''}`;
      t.diagnostic(`behind the gateway ${figures(upstream, behind)}, ${requests} requests; alone ${figures(storm.stats().calls, alone)}`);
      assert.ok(upstream <= 4 * requests, `${upstream} calls`);
      assert.ok(storm.stats().calls >= upstream);
      // opencode asks for a title beside its turn: the turn waits for the breaker that the title has opened, and ends inside a stream.
      if (agent.name === 'opencode') return assert.ok(requests <= 3, `${requests} requests`);
      assert.equal(requests, 1);
      assert.notEqual(behind.code, null, 'it ended by itself');
    });
  }
});
