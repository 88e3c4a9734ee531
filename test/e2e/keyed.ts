/** One provider with several keys, in virtual time, for the stories of credentials. */
import type { TestContext } from 'node:test';
import { chatResponse } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/simulated-upstream.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';

export const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
export const MINUTE = 60_000;
export const KEYS = ['sk-one-very-secret-1', 'sk-two-very-secret-2', 'sk-three-very-secret-3'];

export function refusing(status: number, code: string, headers: Record<string, string> = {}, afterMs = 0): SimulatedResponse {
  const body = JSON.stringify({ error: { message: `no: ${code}`, type: code, code, param: null } });
  return {
    steps: [
      { do: 'wait', ms: afterMs },
      { do: 'head', status, headers: { 'content-type': 'application/json', ...headers } },
      { do: 'send', bytes: body },
    ],
  };
}
export const badKey = () => refusing(401, 'invalid_api_key');
export const spent = () => refusing(429, 'insufficient_quota');
export const limited = (seconds: string) => refusing(429, 'rate_limit_exceeded', { 'retry-after': seconds });

export interface Keyed extends VirtualWorld {
  /** Calls so far by key, in the order of `KEYS`. */
  byKey(): number[];
}

export const keyOf = (call: SimulatedCall): string => {
  const at = call.request.headers.indexOf('authorization');
  return call.request.headers[at + 1]!.replace('Bearer ', '');
};

/** One provider `a` whose answers depend on the key: by its place in `KEYS`, and whether this key was called before. */
export async function keyed(
  t: TestContext,
  count: number,
  answer: (key: number, nth: number, call: SimulatedCall) => SimulatedResponse | null,
  more: Partial<VirtualOptions> = {},
): Promise<Keyed> {
  const counts = new Map<string, number>();
  const a = (call: SimulatedCall) => {
    const nth = (counts.get(keyOf(call)) ?? 0) + 1;
    counts.set(keyOf(call), nth);
    return answer(KEYS.indexOf(keyOf(call)), nth, call) ?? chatResponse();
  };
  const world = await startVirtualWorld(t, { keys: KEYS.slice(0, count), ...more, providers: { a, ...more.providers } });
  return { ...world, byKey: () => KEYS.slice(0, count).map((key) => counts.get(key) ?? 0) };
}

/** The states of one model, by credential. */
export const targetsOf = (world: Pick<VirtualWorld, 'gateway'>, ...names: string[]) =>
  world.gateway.targets().filter(({ target }) => (names.length === 0 ? ['a/m'] : names).includes(target));

export async function statuses(world: Keyed, count: number, headers: Record<string, string> = {}): Promise<number[]> {
  const seen = await world.until(Promise.all(times(count, () => world.ask({}, headers).done)));
  return [...new Set(seen.map((answer) => answer.status))];
}

export const ascending = (a: number, b: number) => a - b;
