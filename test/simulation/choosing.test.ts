/** Choice within a tier: by weight among equals, less for a target that fails or is slow; and the number of calls that this takes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { ProviderBehaviour } from '../../src/testing/simulated-provider.ts';
import { observe, percent, quantile } from './observed.ts';

const MINUTE_MS = 60_000;

interface Wish {
  readonly targets: NonNullable<ConfigInput['models']>[string];
  readonly a?: ProviderBehaviour;
  readonly requestsPerMinute?: number;
}

async function play({ targets, a = {}, requestsPerMinute = 300 }: Wish) {
  const provider = (name: string) => ({ protocol: 'openai' as const, baseUrl: `http://${name}.invalid/v1`, apiKey: 'k' });
  const { records, calls, breakers } = await observe({
    config: { providers: { a: provider('a'), b: provider('b') }, models: { fast: targets } },
    providers: { a },
    load: {
      durationMs: 10 * MINUTE_MS,
      requestsPerMinute,
      kinds: [{ model: 'fast', stream: 0.5, inputTokens: 200, outputTokens: { p50: 80, p95: 200 }, deadlineMs: 60_000 }],
    },
  });
  const toFirst = calls.filter(({ provider: name }) => name === 'a').length;
  return {
    share: toFirst / calls.length,
    amplification: calls.length / records.length,
    served: records.filter(({ finished }) => finished.outcome === 'success').length / records.length,
    opened: breakers.filter(({ to }) => to === 'open').length,
    firstContent: (q: number) =>
      quantile(
        records.map(({ finished }) => finished.firstContentMs ?? finished.durationMs),
        q,
      ),
  };
}

const tier = (a: number, b: number) => ({
  targets: [
    [
      { target: 'a/m', weight: a },
      { target: 'b/m', weight: b },
    ],
  ],
});

for (const requestsPerMinute of [20, 300, 1_200]) {
  test(`equal targets share by weight, at ${requestsPerMinute} requests a minute`, async (t) => {
    const { share, amplification } = await play({ targets: tier(3, 1), requestsPerMinute });
    t.diagnostic(percent(share, 1));
    assert.ok(Math.abs(share - 0.75) <= 0.015, `${share}`);
    assert.equal(amplification, 1);
  });
}

test('two providers whose usual latencies differ keep their weights', async (t) => {
  const { share } = await play({ targets: tier(1, 1), a: { firstTokenMs: { p50: 560, p95: 1_700 } } });
  t.diagnostic(percent(share, 1));
  assert.ok(Math.abs(share - 0.5) <= 0.05, `${share}`);
});

test('a target that is far slower gets little traffic', async (t) => {
  const { share, firstContent } = await play({ targets: tier(1, 1), a: { firstTokenMs: { p50: 4_000, p95: 12_000 } } });
  t.diagnostic(`${percent(share, 1)}, first content after ${Math.round(firstContent(0.5))} ms`);
  assert.ok(share < 0.15, `${share}`);
});

test('a target that fails three calls in ten loses weight, and its breaker stays closed most of the time', async (t) => {
  const { share, amplification, opened, served } = await play({
    targets: tier(1, 1),
    a: { faults: [{ kind: 'server_error', probability: 0.3 }] },
  });
  t.diagnostic(`${percent(share, 1)} of the calls, ${amplification.toFixed(3)} for each request`);
  assert.ok(share > 0.15 && share < 0.4, `${share}`);
  assert.ok(amplification <= 1.15, `${amplification}`);
  assert.ok(opened <= 5, `once its failure rate is known, five in a row do not open the breaker: ${opened}`);
  assert.equal(served, 1);
});

for (const f of [0.1, 0.3, 0.5]) {
  for (const [name, targets] of [
    ['alone', ['a/m']],
    ['before another', ['a/m', 'b/m']],
    ['beside another', tier(1, 1)],
  ] as const satisfies readonly (readonly [string, Wish['targets']])[]) {
    test(`while a target ${name} fails ${f * 100} % of its calls, upstream calls stay within 1/(1 − f) + 0.05`, async (t) => {
      const { amplification, served } = await play({
        targets,
        a: { faults: [{ kind: 'server_error', probability: f }] },
        requestsPerMinute: 1_200,
      });
      t.diagnostic(`${amplification.toFixed(3)}, ${percent(served, 1)} served`);
      assert.ok(amplification <= 1 / (1 - f) + 0.05, `${amplification}`);
      if (name !== 'alone') assert.equal(served, 1);
      else if (f <= 0.3)
        assert.ok(
          served >= 1 - f + 0.9 * Math.min(f, 0.2) * (1 - f) - 0.02,
          `${served}: retries make up for failures within the retry budget`,
        );
    });
  }
}
