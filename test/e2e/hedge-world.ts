/** A virtual world in which slow attempts are hedged after half a second, with helpers for its tests. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { chatResponse, chatError, chatStream } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/simulated-upstream.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualSeen, VirtualWorld } from './virtual.ts';

export type Script = (call: SimulatedCall) => SimulatedResponse;

/** A response in the requested form after a delay. */
export const after =
  (ms: number, word = 'well'): Script =>
  ({ body }) =>
    body.includes('"stream":true')
      ? chatStream({ headersAfterMs: ms / 2, firstContentAfterMs: ms / 2, words: [word] })
      : chatResponse({ headersAfterMs: ms, words: [word] });
export const failing =
  (ms: number, status = 500, error: Record<string, unknown> = {}): Script =>
  () => {
    const { steps } = chatError(status, error);
    return { steps: [{ do: 'wait', ms }, ...steps] };
  };

export const HEDGE = { enabled: true, delay: '500ms', budget: 1 } as const;

export interface HedgedOptions extends Omit<VirtualOptions, 'config'> {
  readonly policy?: NonNullable<ConfigInput['policy']>;
}

export function startHedged(t: TestContext, { policy, ...options }: HedgedOptions): Promise<VirtualWorld> {
  return startVirtualWorld(t, { ...options, config: { policy: { hedge: HEDGE, ...policy } } });
}

export function assertSettled(world: VirtualWorld): void {
  assert.equal(world.upstream.running, 0);
  assert.equal(world.eventsOf('received').length, world.eventsOf('finished').length);
  assert.equal(world.eventsOf('attempt').length, world.eventsOf('attempt_end').length);
  assert.ok(world.gateway.targets().every((target) => target.inFlight === 0));
  assert.deepEqual([world.gateway.queue().waiting, world.gateway.queue().inFlight, world.gateway.queue().heldBytes], [0, 0, 0]);
  const { resources } = world.gateway.snapshot();
  for (const { id, kind, limit, available } of resources) if (kind === 'concurrency') assert.equal(available, limit, id);
  const last = world.events.filter((event) => 'requestId' in event).at(-1);
  assert.equal(last?.type, 'finished');
}

export function answeredBy(seen: VirtualSeen, target: string, attempts: number, fallback: string | null): void {
  assert.equal(seen.status, 200);
  assert.equal(seen.headers.get('x-breakwater-target'), target);
  assert.equal(seen.headers.get('x-breakwater-attempts'), String(attempts));
  assert.equal(seen.headers.get('x-breakwater-fallback'), fallback);
}

/** How each attempt ended, in the order in which they were sent. */
export function endsOf(world: VirtualWorld): string[] {
  const ends = world
    .eventsOf('attempt_end')
    .map(({ attempt, target, verdict, reason }) => ({ attempt, text: `${target} ${reason ?? verdict}` }));
  return ends.toSorted((a, b) => a.attempt - b.attempt).map(({ text }) => text);
}
