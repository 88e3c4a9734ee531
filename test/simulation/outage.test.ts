/** The first choice is dead for a while, in each way in which a provider can be dead, and recovers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SimulatedFaultKind } from '../../src/testing/simulated-faults.ts';
import { observe, percent } from './observed.ts';

const MINUTE_MS = 60_000;
const DEAD_FROM_MS = 5 * MINUTE_MS;
/** Calls that detect an outage; further ones are probes. */
const FINDING_OUT_MS = 90_000;
/** A target with demand is probed this often (policy/circuit-breaker), however long `maxOpenFor` is. */
const PROBE_EVERY_MS = 25_000;

const provider = (name: string) => ({ protocol: 'openai' as const, baseUrl: `http://${name}.invalid/v1`, apiKey: 'k' });

interface Outage {
  readonly kind: SimulatedFaultKind;
  readonly minutes: number;
  readonly requestsPerMinute: number;
}

async function outage({ kind, minutes, requestsPerMinute }: Outage) {
  const deadUntilMs = DEAD_FROM_MS + minutes * MINUTE_MS;
  const { records, calls, breakers } = await observe({
    config: { providers: { a: provider('a'), b: provider('b') }, models: { fast: ['a/m', 'b/m'] } },
    providers: { a: { faults: [{ kind, fromMs: DEAD_FROM_MS, untilMs: deadUntilMs }] } },
    load: {
      durationMs: deadUntilMs + 5 * MINUTE_MS,
      requestsPerMinute,
      kinds: [{ model: 'fast', inputTokens: 200, outputTokens: { p50: 80, p95: 200 }, deadlineMs: 120_000 }],
    },
  });
  const within = (at: number, fromMs: number, untilMs: number): boolean => at >= fromMs && at < untilMs;
  const callsTo = (name: string, fromMs: number, untilMs: number) =>
    calls.filter((call) => call.provider === name && within(call.at, fromMs, untilMs));
  const inOutage = records.filter(({ received }) => within(received.at, DEAD_FROM_MS, deadUntilMs));
  const back = callsTo('a', deadUntilMs, Infinity).find(({ fate }) => fate === null);
  const minuteAfter = [deadUntilMs + MINUTE_MS, deadUntilMs + 2 * MINUTE_MS] as const;
  const [toFirst, toSecond] = ['a', 'b'].map((name) => callsTo(name, ...minuteAfter).length) as [number, number];
  return {
    served: records.filter(({ finished }) => finished.outcome === 'success').length / records.length,
    toDead: callsTo('a', DEAD_FROM_MS + FINDING_OUT_MS, deadUntilMs).length,
    probesMax: (minutes * MINUTE_MS) / PROBE_EVERY_MS + 2,
    amplification: inOutage.reduce((sum, { startedAt }) => sum + startedAt.length, 0) / inOutage.length,
    backMs: (back?.at ?? Infinity) - deadUntilMs,
    shareAfter: toFirst / (toFirst + toSecond),
    openedAgain: breakers.filter(({ to, at }) => to === 'open' && at > (back?.at ?? 0)).length,
  };
}

for (const it of [
  { kind: 'server_error', minutes: 60, requestsPerMinute: 60 },
  { kind: 'refused', minutes: 60, requestsPerMinute: 60 },
  { kind: 'silence', minutes: 60, requestsPerMinute: 60 },
  { kind: 'server_error', minutes: 10, requestsPerMinute: 1_200 },
  { kind: 'silence', minutes: 10, requestsPerMinute: 1_200 },
] as const satisfies readonly Outage[]) {
  test(`an outage of ${it.minutes} minutes at ${it.requestsPerMinute} requests a minute: ${it.kind}`, { timeout: 170_000 }, async (t) => {
    const { served, toDead, probesMax, amplification, backMs, shareAfter, openedAgain } = await outage(it);
    t.diagnostic(
      `${toDead} calls to the dead target (at most ${probesMax} probes), amplification ${amplification.toFixed(3)}, ${percent(served, 1)} served, back ${(backMs / 1000).toFixed(0)} s after it recovered with ${percent(shareAfter, 1)} of the calls in the second minute, opened again ${openedAgain} times`,
    );
    await t.test('every request is served', () => assert.equal(served, 1));
    await t.test('calls to the dead target stay within probes', () => assert.ok(toDead <= probesMax, `${toDead} of ${probesMax}`));
    await t.test('upstream calls stay within 1.2 for each request', () => assert.ok(amplification <= 1.2, `${amplification}`));
    await t.test('it carries traffic again within a minute', () => assert.ok(backMs <= MINUTE_MS, `${backMs}`));
    await t.test('and after that minute nearly all of it', () => assert.ok(shareAfter > 0.85, `${shareAfter}`));
    await t.test('and does not collapse a second time', () => assert.equal(openedAgain, 0));
  });
}

test('a sole target that recovers with less capacity is not hit by all waiting requests at once', { timeout: 170_000 }, async (t) => {
  const untilMs = DEAD_FROM_MS + 4 * MINUTE_MS;
  const { records, calls, breakers } = await observe({
    config: { providers: { a: provider('a') }, models: { fast: ['a/m'] }, policy: { deadline: '30m' } },
    providers: {
      a: { knee: { concurrency: 30, refuseAbove: 60 }, faults: [{ kind: 'server_error', fromMs: DEAD_FROM_MS, untilMs }] },
    },
    load: {
      durationMs: untilMs + 10 * MINUTE_MS,
      requestsPerMinute: 120,
      kinds: [{ model: 'fast', inputTokens: 200, outputTokens: { p50: 80, p95: 200 } }],
    },
  });
  const served = records.filter(({ finished }) => finished.outcome === 'success').length / records.length;
  const refused = calls.filter(({ at, fate }) => at >= untilMs && fate === 'overloaded').length;
  const closedAt = breakers.find(({ to, at }) => to === 'closed' && at > untilMs)?.at ?? Infinity;
  const openedAgain = breakers.filter(({ to, at }) => to === 'open' && at > closedAt).length;
  const waiting = records.filter(({ received, finished }) => received.at < closedAt && finished.at > closedAt).length;
  t.diagnostic(
    `${waiting} had waited; back after ${((closedAt - untilMs) / 1000).toFixed(0)} s; ${refused} refused for overload; opened again ${openedAgain} times; ${percent(served, 1)} served`,
  );
  assert.ok(waiting >= 300, `${waiting} had waited`);
  assert.equal(openedAgain, 0);
  assert.ok(closedAt - untilMs <= MINUTE_MS, `closed after ${closedAt - untilMs} ms`);
  assert.ok(refused <= 20, `${refused} were refused`);
  assert.ok(served > 0.98, `${served}`);
});
