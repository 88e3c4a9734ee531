/** An application listens to what happens to its request, and hangs up right then: state is changed before anybody is told of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EventType } from '../../src/core/events.ts';
import { chatResponse, chatError, chatStream, streamStart } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';

const PROSE = 'The harbour wakes before the town does, and the boats leave while the streets are still dark and wet.'.match(/\S+\s*/g)!;

const cutStream = (): SimulatedResponse => ({ steps: [...streamStart({ words: PROSE, gapMs: 10 }), { do: 'break', code: 'ECONNRESET' }] });

const ANSWERS: Readonly<Record<string, { stream: boolean; first: () => SimulatedResponse; second: () => SimulatedResponse }>> = {
  'a plain answer': { stream: false, first: chatResponse, second: chatResponse },
  'a stream': { stream: true, first: () => chatStream({ gapMs: 10 }), second: chatStream },
  'a stream that breaks off': { stream: true, first: cutStream, second: () => chatError(400) },
  'a stream that breaks off and is continued': {
    stream: true,
    first: cutStream,
    second: () => chatStream({ words: ['and ', 'so ', 'on'] }),
  },
  'a stream that breaks off and starts over': { stream: true, first: cutStream, second: () => chatStream({ words: PROSE }) },
  'a fallback after a rate limit': { stream: false, first: () => chatError(429, {}, { 'retry-after': '5' }), second: chatResponse },
  'a failure everywhere': { stream: false, first: () => chatError(500), second: () => chatError(400) },
};

const EVENTS: readonly EventType[] = [
  'received',
  'queued',
  'attempt',
  'committed',
  'cooldown',
  'attempt_end',
  'backoff',
  'note',
  'finished',
];

function start(
  t: Parameters<typeof startVirtualWorld>[0],
  first: () => SimulatedResponse,
  second: () => SimulatedResponse,
): Promise<VirtualWorld> {
  const options: VirtualOptions = {
    providers: { a: first, b: second },
    models: { fast: ['a/m', { target: 'b/m', prefill: true }] },
    config: { policy: { stream: { recover: 'continue' } } },
  };
  return startVirtualWorld(t, options);
}

function assertAllBack(world: VirtualWorld): void {
  assert.deepEqual(
    world.gateway.targets().map((target) => target.inFlight),
    [0, 0],
  );
  assert.deepEqual([world.gateway.queue().inFlight, world.upstream.running], [0, 0]);
  assert.equal(world.eventsOf('finished').length, world.eventsOf('received').length);
  assert.equal(world.eventsOf('attempt_end').length, world.eventsOf('attempt').length);
}

for (const [what, { stream, first, second }] of Object.entries(ANSWERS)) {
  describe(`of ${what}`, () => {
    for (const type of EVENTS) {
      it(`a caller that leaves when it hears ${type} leaves nothing behind`, async (t) => {
        const world = await start(t, first, second);
        const asked = world.ask({ stream });
        world.gateway.events.on(type, () => asked.leave());
        await world.until(asked.done.catch(() => null));
        await world.clock.advanceAsync(60_000);
        assertAllBack(world);
      });

      it(`a gateway that is closed when ${type} is told ends it once`, async (t) => {
        const world = await start(t, first, second);
        const asked = world.ask({ stream });
        const closings: Promise<void>[] = [];
        world.gateway.events.on(type, () => void closings.push(world.gateway.close()));
        await world.until(asked.done.catch(() => null));
        await world.clock.advanceAsync(60_000);
        assertAllBack(world);
        await Promise.all(closings);
      });
    }
  });
}
