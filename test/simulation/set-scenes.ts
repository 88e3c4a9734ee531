/**
 * Fixed scenes, for properties that only show over many requests: the choice of targets, and the time of a recovery. Their seeds are below
 * 0.
 */
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { ProviderBehaviour } from '../../src/testing/simulated-provider.ts';
import type { LoadKind, Poison } from '../../src/testing/workload.ts';
import { observe, percent } from './observed.ts';
import type { Observed } from './observed.ts';

const MINUTE_MS = 60_000;

interface SetScene {
  readonly weights?: readonly [number, number];
  readonly a: ProviderBehaviour;
  readonly minutes: number;
  /** In addition to the others, on the first target alone. */
  readonly poison?: Poison;
  /** The violation; null: none. */
  readonly faultOf: (observed: Observed, share: number) => string | null;
}

const SCENES: Readonly<Record<number, SetScene>> = {
  [-1]: { weights: [3, 1], a: {}, minutes: 3, faultOf: (_, share) => (Math.abs(share - 0.75) > 0.03 ? 'for weights of 3 : 1' : null) },
  [-2]: {
    weights: [1, 1],
    a: { faults: [{ kind: 'server_error', probability: 0.2 }] },
    minutes: 8,
    faultOf: (_, share) => (share > 0.45 ? 'although it fails one in five' : null),
  },
  [-3]: {
    weights: [1, 1],
    a: { firstTokenMs: { p50: 4_000, p95: 9_000 } },
    minutes: 5,
    faultOf: (_, share) => (share > 0.25 ? 'although it is ten times slower' : null),
  },
  [-4]: {
    a: { faults: [{ kind: 'server_error', fromMs: MINUTE_MS, untilMs: 16 * MINUTE_MS }] },
    minutes: 18,
    faultOf: ({ calls }) => {
      const back = calls.find(({ provider, at, fate }) => provider === 'a' && at >= 16 * MINUTE_MS && fate === null);
      return back !== undefined && back.at <= 17 * MINUTE_MS ? null : 'and was not called within a minute of its recovery';
    },
  },
  [-5]: { a: {}, minutes: 5, poison: { kind: 'server_error' }, faultOf: goodIsServed },
  [-6]: { a: {}, minutes: 5, poison: { kind: 'rate_limit', retryAfterMs: 20_000 }, faultOf: goodIsServed },
};

function goodIsServed({ records, breakers }: Observed): string | null {
  const opened = breakers.filter(({ to }) => to === 'open').length;
  if (opened > 0) return `blame: the breaker has opened ${opened} times by the failures of one client alone`;
  const good = records.filter(({ received }) => received.client === 'good');
  const served = good.filter(({ finished }) => finished.outcome === 'success').length;
  return served >= 0.95 * good.length
    ? null
    : `blame: ${percent(served, good.length)} of the good client's requests were served beside a poison one`;
}

const KIND: LoadKind = { model: 'fast', stream: 1, inputTokens: 200, outputTokens: { p50: 40, p95: 100 }, deadlineMs: 60_000 };
const SOLE = { model: 'sole', deadlineMs: 8_000 } as const;
const CLIENTS = ['good', 'poison'].map((name) => ({ name, key: `k-${name}` }));

export const SET_SCENES = Object.keys(SCENES).map(Number);

/** The violations, whose texts start with `choice: ` or `blame: `. */
export async function faultsOfScene(number: number): Promise<string[]> {
  const { weights, a, minutes, poison, faultOf } = SCENES[number]!;
  const provider = (name: string) => ({ protocol: 'openai' as const, baseUrl: `http://${name}.invalid/v1`, apiKey: 'k' });
  const models: NonNullable<ConfigInput['models']> = {
    sole: ['a/m'],
    fast:
      weights === undefined
        ? ['a/m', 'b/m']
        : {
            targets: [
              [
                { target: 'a/m', weight: weights[0] },
                { target: 'b/m', weight: weights[1] },
              ],
            ],
          },
  };
  const observed = await observe({
    config: { providers: { a: provider('a'), b: provider('b') }, models, ...(poison === undefined ? {} : { clients: CLIENTS }) },
    providers: { a },
    load: {
      durationMs: minutes * MINUTE_MS,
      requestsPerMinute: 180,
      kinds:
        poison === undefined
          ? [KIND]
          : [
              { ...KIND, ...SOLE, client: 'good' },
              { ...KIND, ...SOLE, client: 'poison', poison, weight: 12, fromMs: MINUTE_MS },
            ],
    },
  });
  const share = observed.calls.filter(({ provider: name }) => name === 'a').length / observed.calls.length;
  const fault = faultOf(observed, share);
  if (fault?.startsWith('blame') === true) return [fault];
  return fault === null ? [] : [`choice: ${percent(share, 1)} of the calls went to the first target ${fault}`];
}
