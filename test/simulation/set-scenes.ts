/** Scenes that are set and not drawn, for what can be told over many requests only: who was chosen, and when who comes back. Seeds below 0. */
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { ProviderBehaviour } from '../../src/testing/simulated-provider.ts';
import { observe, percent } from './observed.ts';
import type { Observed } from './observed.ts';

const MINUTE_MS = 60_000;

interface SetScene {
  readonly weights?: readonly [number, number];
  readonly a: ProviderBehaviour;
  readonly minutes: number;
  /** What is wrong; null: nothing. */
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
      return back !== undefined && back.at <= 17 * MINUTE_MS ? null : 'and was not asked within a minute of its recovery';
    },
  },
};

export const SET_SCENES = Object.keys(SCENES).map(Number);

/** What is wrong in it, in words that begin with `choice: `. */
export async function faultsOfScene(number: number): Promise<string[]> {
  const { weights, a, minutes, faultOf } = SCENES[number]!;
  const provider = (name: string) => ({ protocol: 'openai' as const, baseUrl: `http://${name}.invalid/v1`, apiKey: 'k' });
  const models: NonNullable<ConfigInput['models']> = {
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
    config: { providers: { a: provider('a'), b: provider('b') }, models },
    providers: { a },
    load: {
      durationMs: minutes * MINUTE_MS,
      requestsPerMinute: 180,
      kinds: [{ model: 'fast', stream: 1, inputTokens: 200, outputTokens: { p50: 40, p95: 100 }, deadlineMs: 60_000 }],
    },
  });
  const share = observed.calls.filter(({ provider: name }) => name === 'a').length / observed.calls.length;
  const fault = faultOf(observed, share);
  return fault === null ? [] : [`choice: ${percent(share, 1)} of the calls went to the first target ${fault}`];
}
