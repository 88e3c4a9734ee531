/**
 * An hour of trouble beside one good client, in virtual time: each kind of trouble alone, and all together. The good client uses a pair of
 * targets, one of which has a dead key, and a single target.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SimulatedFault } from '../../src/testing/simulated-faults.ts';
import type { LoadKind, Poison } from '../../src/testing/workload.ts';
import { observe, percent } from './observed.ts';

const HOUR_MS = 3_600_000;

/** The kinds of trouble. */
const TROUBLES = ['random429s', 'poison500s', 'poison429s', 'slowReaders', 'deadKey'] as const;
type Trouble = (typeof TROUBLES)[number];

/** The share of the good client's requests that must be served. */
const SERVED_MIN = 0.99;
const RANDOM_429S: SimulatedFault = { kind: 'rate_limit', probability: 0.02 };

const provider = (name: string, keys = 1) => ({
  protocol: 'openai' as const,
  baseUrl: `http://${name}.invalid/v1`,
  apiKeys: Array.from({ length: keys }, (_, i) => `k-${name}-${i}`),
});

const small = { inputTokens: { p50: 100, p95: 400 }, outputTokens: { p50: 60, p95: 150 } } as const;

function kindsOf(troubles: ReadonlySet<Trouble>): LoadKind[] {
  const kinds: LoadKind[] = [];
  for (const model of ['pair', 'lone']) kinds.push({ model, client: 'good', weight: 20, deadlineMs: 20_000, ...small });
  const poison = (by: Poison): void => {
    for (const model of ['pair', 'lone']) kinds.push({ model, client: 'poison', weight: 50, deadlineMs: 20_000, poison: by, ...small });
  };
  if (troubles.has('poison500s')) poison({ kind: 'server_error' });
  if (troubles.has('poison429s')) poison({ kind: 'rate_limit', retryAfterMs: 20_000 });
  if (troubles.has('slowReaders')) {
    const slow = { stream: 1, slowReaders: 1, readMs: { p50: 5_000, p95: 20_000 } } as const;
    for (const model of ['pair', 'lone']) kinds.push({ model, client: 'crowd', weight: 10, ...slow, ...small });
  }
  return kinds;
}

async function hourOf(troubles: ReadonlySet<Trouble>) {
  const kinds = kindsOf(troubles);
  const faults = troubles.has('random429s') ? [RANDOM_429S] : [];
  const { records, calls } = await observe({
    config: {
      providers: { a: provider('a', 2), b: provider('b'), c: provider('c') },
      models: { pair: ['a/m', 'b/m'], lone: ['c/m'] },
      clients: ['good', 'poison', 'crowd'].map((name) => ({ name, key: `k-${name}` })),
    },
    providers: { a: { faults, deadKeys: troubles.has('deadKey') ? [1] : [] }, b: { faults }, c: { faults } },
    load: { durationMs: HOUR_MS, requestsPerMinute: kinds.reduce((sum, { weight }) => sum + weight!, 0), kinds },
  });
  const good = records.filter(({ received }) => received.client === 'good');
  const served = good.filter(({ finished }) => finished.outcome === 'success');
  const lone = good.filter(({ received }) => received.model === 'lone');
  return {
    asked: good.length,
    served: served.length / good.length,
    loneServed: lone.filter(({ finished }) => finished.outcome === 'success').length / lone.length,
    calls: calls.length,
    dead: calls.filter(({ fate }) => fate === 'dead_key').length,
  };
}

const days: readonly (readonly [string, readonly Trouble[]])[] = [
  ...TROUBLES.map((trouble) => [trouble, [trouble]] as const),
  ['everything at once', TROUBLES],
];

for (const [name, troubles] of days) {
  test(`an hour of trouble, ${name}: the good client is served`, { timeout: 300_000 }, async (t) => {
    const { asked, served, loneServed, calls, dead } = await hourOf(new Set(troubles));
    t.diagnostic(
      `${percent(served, 1)} of ${asked} served, ${percent(loneServed, 1)} at the lone target; ${calls} calls, ${dead} with the dead key`,
    );
    assert.ok(served >= SERVED_MIN, percent(served, 1));
    assert.ok(loneServed >= SERVED_MIN, `${percent(loneServed, 1)} at the lone target`);
  });
}
