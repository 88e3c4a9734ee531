/**
 * Callers and providers of different dialects in one run: the same invariants as in `seeds.test.ts`, which runs one of these seeds again
 * with `SEED`. `MIXED_SEEDS` sets their number.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DIALECTS } from '../../src/testing/dialects.ts';
import { SIMULATED_DIALECTS } from '../../src/testing/dialects/names.ts';
import { SIMULATED_FAULT_KINDS } from '../../src/testing/simulated-faults.ts';
import { createSimulation } from '../../src/testing/simulation.ts';
import type { SimulatedRequest } from '../../src/testing/workload.ts';
import { runSeeds } from './pool.ts';
import { commandOf } from './run-seed.ts';
import { MIXED_SEEDS_FROM } from './scene.ts';

const count = Number(process.env['MIXED_SEEDS'] ?? 16);
const seeds = Array.from({ length: count }, (_, i) => MIXED_SEEDS_FROM + i + 1);

const PROTOCOLS = ['openai', 'anthropic', 'gemini'] as const;

test(`the invariants hold in ${count} seeds that mix dialects`, { timeout: 600_000 }, async () => {
  const reports = await runSeeds({ seeds });
  const broken = reports.filter(({ faults }) => faults.length > 0);
  const explained = broken
    .slice(0, 5)
    .map(({ seed, faults }) => `seed ${seed}:\n  ${faults.join('\n  ')}\n  again with: ${commandOf(seed)}`);
  assert.equal(broken.length, 0, explained.join('\n'));
  for (const { seed, seen, requests } of reports)
    assert.ok((seen['200'] ?? 0) > requests / 20, `seed ${seed} has few successes: ${JSON.stringify(seen)}`);
});

const REQUEST: SimulatedRequest = {
  id: 'r1', atMs: 0, model: 'fast', client: null, priority: null, deadlineMs: 60_000, stream: true,
  inputTokens: 100, outputBound: 300, outputTokens: 40, leavesAfterMs: null,
}; // prettier-ignore

function configOf(protocol: (typeof PROTOCOLS)[number], backup: (typeof PROTOCOLS)[number] | null = null) {
  const provider = (name: typeof protocol) => ({ protocol: name, baseUrl: 'http://a.invalid/v1', apiKey: 'k' });
  return {
    providers: { a: provider(protocol), ...(backup === null ? {} : { b: provider(backup) }) },
    models: { fast: backup === null ? ['a/m'] : ['a/m', 'b/m'] },
    policy: { maxAttempts: 2, timeouts: { firstContent: '5s', idle: '5s' } },
  };
}

for (const dialect of SIMULATED_DIALECTS) {
  for (const protocol of PROTOCOLS) {
    test(`a caller of ${dialect} gets the complete response of a provider of ${protocol}, of the length set for the request`, async () => {
      const calls: { dialect: string; id: string; inputTokens: number }[] = [];
      const simulation = await createSimulation({ config: configOf(protocol), onCall: (_, { request }) => void calls.push(request) });
      for (const stream of [true, false]) {
        await simulation.play([{ ...REQUEST, id: `s-${stream}`, dialect, stream }], (caller) => {
          assert.deepEqual([caller.status, caller.errorCode(), caller.faultOfResponse()], [200, null, null], caller.text);
          assert.match(caller.text, /5\/5/);
        });
      }
      assert.deepEqual(
        calls.map(({ id }) => id),
        ['s-true', 's-false'],
      );
      for (const call of calls) assert.ok(call.inputTokens >= 95 && call.inputTokens <= 100, `${call.inputTokens} input tokens`);
      const own = protocol === 'openai' ? dialect.replace('anthropic-messages', 'openai-chat').replace('gemini', 'openai-chat') : protocol;
      assert.ok(calls.every((call) => call.dialect.startsWith(own)), JSON.stringify(calls)); // prettier-ignore
      assert.equal(simulation.providers.get('a')!.count.outputTokens, 80);
      await simulation.close();
    });
  }
}

for (const kind of SIMULATED_FAULT_KINDS) {
  test(`${kind} of a provider of one dialect is served by a provider of another, or reported as broken`, async () => {
    for (const [i, dialect] of SIMULATED_DIALECTS.entries()) {
      const config = configOf(PROTOCOLS[i % 3]!, PROTOCOLS[(i + 1) % 3]);
      for (const stream of [true, false]) {
        const simulation = await createSimulation({ config, providers: { a: { faults: [{ kind }] } } });
        await simulation.play([{ ...REQUEST, dialect, stream }], (caller) => {
          assert.equal(caller.faultOfResponse(), null, `${dialect}: ${caller.text}`);
          const isLost = stream && (kind === 'cut' || kind === 'stall');
          assert.equal(caller.errorCode() === null, !isLost, `${dialect}, stream ${stream}: ${caller.status} ${caller.text}`);
        });
        await simulation.close();
      }
    }
  });
}

test('a retry hint is stated in the way of the dialect, and kept', async () => {
  for (const protocol of PROTOCOLS) {
    const faults = [{ kind: 'rate_limit', untilMs: 1_000, retryAfterMs: 7_000 }] as const;
    const at: number[] = [];
    const simulation = await createSimulation({
      config: configOf(protocol),
      providers: { a: { faults } },
      onCall: (_, call) => void at.push(call.at),
    });
    await simulation.play([REQUEST], (caller) => assert.equal(caller.status, 200, caller.text));
    assert.equal(at.length, 2);
    assert.ok(at[1]! - at[0]! >= 7_000 && at[1]! - at[0]! < 9_000, `${protocol}: called again after ${at[1]! - at[0]!} ms`);
    await simulation.close();
  }
});

test('an error is shown in the dialect of its caller', async () => {
  const simulation = await createSimulation({ config: configOf('openai') });
  for (const dialect of SIMULATED_DIALECTS) {
    await simulation.play([{ ...REQUEST, dialect, model: 'missing' }], (caller) => {
      assert.equal(caller.status, 404);
      assert.equal(caller.faultOfResponse(), null, caller.text);
      assert.notEqual(DIALECTS[dialect].readResponse([JSON.parse(caller.text) as Record<string, unknown>]).error, null);
    });
  }
  await simulation.close();
});

test('a stream that its caller leaves keeps its reserved output, also where the provider reported one token at its beginning', async () => {
  for (const protocol of PROTOCOLS) {
    const { providers, ...config } = configOf(protocol);
    const limits = { tokensPerMinute: 10_000 };
    const simulation = await createSimulation({ config: { ...config, providers: { a: { ...providers.a, limits } } } });
    const request = { ...REQUEST, outputBound: 6_000, outputTokens: 5_000, leavesAfterMs: 5_000 };
    await simulation.play([request]);
    const { resources } = simulation.gateway.snapshot();
    const left = resources.find(({ limit }) => limit === 10_000)!.available;
    if (protocol !== 'gemini') assert.ok(left < 5_500, `${protocol}: ${left} of 10,000 tokens are left`);
    await simulation.close();
  }
});
