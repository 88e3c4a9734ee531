/**
 * Clients whose requests the providers refuse as if the key were at fault, beside a client that does nothing wrong. The others are not
 * affected: all their requests are served, with as many calls and as soon as without the poison.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SimulatedFault } from '../../src/testing/simulated-faults.ts';
import { observe, percent, quantile } from './observed.ts';

const SEEDS = [1, 2, 3, 4, 5];
const MARK = 'poison-';
const MINUTES = 10;

const refusal = (status: number, message: string): SimulatedFault => ({ kind: 'refusal', status, message, onlyFor: MARK });

/** In turn over the run. */
const WORDS: readonly SimulatedFault[] = [
  refusal(402, 'This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only afford 12.'),
  refusal(401, 'You have insufficient permissions for this operation. Missing scopes: model.request.'),
  refusal(403, 'Your organization must be verified to stream this model.'),
  refusal(403, 'Country, region, or territory not supported'),
];
const BARE: readonly SimulatedFault[] = [refusal(401, 'Unauthorized'), refusal(402, 'Payment Required'), refusal(403, 'Forbidden')];

function inTurn(faults: readonly SimulatedFault[]): SimulatedFault[] {
  const eachMs = (MINUTES * 60_000) / faults.length;
  return faults.map((fault, i) => ({ ...fault, fromMs: i * eachMs, untilMs: (i + 1) * eachMs }));
}

const provider = (name: string, keys: number) => ({
  protocol: 'openai' as const,
  baseUrl: `http://${name}.invalid/v1`,
  apiKeys: Array.from({ length: keys }, (_, i) => `sk-${name}-${i}`),
});
const CLIENTS = ['good', 'bad', 'worse'].map((name) => ({ name, key: `sk-client-${name}` }));
const KIND = { model: 'fast', inputTokens: 200, outputTokens: { p50: 60, p95: 150 }, deadlineMs: 60_000 } as const;

interface Scene {
  readonly what: string;
  /** The number of keys by provider. */
  readonly keys: Readonly<Record<string, number>>;
  readonly faults: readonly SimulatedFault[];
  readonly poisoners: readonly string[];
}

const SCENES: readonly Scene[] = [
  {
    what: 'messages about the request, from two clients, over four keys of two providers',
    keys: { a: 2, b: 2 },
    faults: WORDS,
    poisoners: ['bad', 'worse'],
  },
  { what: 'messages about the request, from two clients, over one key', keys: { a: 1 }, faults: WORDS, poisoners: ['bad', 'worse'] },
  { what: 'a bare status, from one client, over four keys of two providers', keys: { a: 2, b: 2 }, faults: BARE, poisoners: ['bad'] },
  { what: 'a bare status, from one client, over one key', keys: { a: 1 }, faults: BARE, poisoners: ['bad'] },
];

async function play({ keys, faults, poisoners }: Scene, seed: number, poisonWeight: number) {
  const names = Object.keys(keys);
  const played = inTurn(faults);
  const { records, calls, cooldowns } = await observe({
    config: {
      providers: Object.fromEntries(names.map((name) => [name, provider(name, keys[name]!)])),
      models: { fast: names.map((name) => `${name}/m`) },
      clients: CLIENTS,
    },
    providers: Object.fromEntries(names.map((name) => [name, { faults: played }])),
    seed,
    load: {
      durationMs: MINUTES * 60_000,
      requestsPerMinute: 60 + 300 * poisonWeight,
      kinds: [
        { ...KIND, client: 'good', weight: 60 },
        ...poisoners.map((client) => ({ ...KIND, client, mark: MARK, weight: (300 * poisonWeight) / poisoners.length })),
      ],
    },
  });
  const good = records.filter(({ received }) => received.client === 'good');
  const poisoned = records.length - good.length;
  return {
    good: good.length,
    served: good.filter(({ finished }) => finished.outcome === 'success').length,
    attempts: good.reduce((sum, { startedAt }) => sum + startedAt.length, 0),
    p50: quantile(
      good.map(({ finished }) => finished.durationMs),
      0.5,
    ),
    poisoned,
    refused: calls.filter(({ fate }) => fate === 'refusal').length,
    // A quarantine for the poisoning client alone does not affect others.
    quarantines: cooldowns.filter(({ kind, why }) => kind === 'quarantine' && !why!.includes(' for one client and model alone')),
  };
}

/**
 * Two clients that are refused alike look like a dead key: a response to a trial disproves that, and then their refusals no longer count.
 */
const PAIR: Scene = { what: 'a bare status, from two clients, over one key', keys: { a: 1 }, faults: BARE, poisoners: ['bad', 'worse'] };

for (const seed of SEEDS) {
  test(`poison beside a good client: ${PAIR.what} (seed ${seed})`, { timeout: 170_000 }, async (t) => {
    const seen = await play(PAIR, seed, 1);
    t.diagnostic(
      `${percent(seen.served, seen.good)} of ${seen.good} served by ${seen.attempts} calls, p50 ${seen.p50.toFixed(0)} ms; ${seen.poisoned} poisoned requests, ${seen.quarantines.length} quarantines`,
    );
    assert.ok(seen.served >= 0.99 * seen.good, `${seen.served} of ${seen.good}`);
    assert.ok(seen.quarantines.length <= 3, 'refusals of clients that were wrong once are ignored for a while');
    assert.ok(seen.p50 < 2_000, `${seen.p50} ms`);
  });
}

for (const scene of SCENES) {
  for (const seed of SEEDS) {
    test(`poison beside a good client: ${scene.what} (seed ${seed})`, { timeout: 170_000 }, async (t) => {
      const calm = await play(scene, seed, 0.0001);
      const seen = await play(scene, seed, 1);
      t.diagnostic(
        `${percent(seen.served, seen.good)} of ${seen.good} served by ${seen.attempts} calls, p50 ${seen.p50.toFixed(0)} ms (${calm.p50.toFixed(0)} ms without); ${seen.poisoned} poisoned requests, ${seen.refused} calls refused`,
      );
      assert.ok(seen.poisoned > 2_000, 'there is poison');
      assert.equal(seen.served, seen.good, 'all other requests are served');
      assert.equal(seen.attempts, seen.good, 'with one call each');
      assert.deepEqual(seen.quarantines, []);
      assert.ok(seen.p50 <= calm.p50 * 1.1, `${seen.p50} ms, ${calm.p50} ms without`);
      assert.ok(seen.refused <= 2 * seen.poisoned, 'a poisoned request tries at most two keys');
    });
  }
}
