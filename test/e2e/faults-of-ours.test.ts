/** What throws in the middle of an answer is a fault of ours: it is told, and holds nothing. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ResponseSink } from '../../src/pipeline/request/response-sink.ts';
import { chatStream } from '../../src/testing/simulated-chat.ts';
import { decodeRequest } from '../../src/wire/decode-request.ts';
import { DIALECTS } from '../../src/wire/dialects.ts';
import { chatBody } from './harness.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualWorld } from './virtual.ts';

/** Runs one streamed request into a sink of which one method throws from its `nth` call on. */
async function runInto(world: VirtualWorld, method: keyof ResponseSink, nth: number): Promise<void> {
  const { gateway, clock } = world;
  const decoded = decodeRequest(DIALECTS['openai-chat'], 'chat', Buffer.from(JSON.stringify(chatBody({ stream: true, model: 'fast' }))));
  assert.ok(decoded.ok);
  let calls = 0;
  const count = (called: keyof ResponseSink): void => {
    if (called === method && ++calls >= nth) throw new TypeError(`${method} is broken`);
  };
  const sink: ResponseSink = {
    head: () => count('head'),
    write: () => (count('write'), true),
    end: () => count('end'),
    abort: () => {},
    onDrain: () => {},
    readerMoved: () => true,
  };
  const handled = gateway.handle(
    {
      id: `req_${method}_${nth}`,
      dialect: DIALECTS['openai-chat'],
      path: '/chat/completions',
      method: 'POST',
      facts: decoded.facts,
      body: decoded.body,
      client: gateway.authenticate(null)!,
      priority: 'normal',
      receivedAt: clock.now(),
      deadline: clock.now() + 60_000,
      deadlineGiven: false,
      fallback: true,
      callerCredential: null,
      sessionKey: null,
      forwardHeaders: [],
      caller: { hasLeft: false, onLeave: null },
      idempotencyKey: null,
      cache: 'on',
    },
    sink,
  );
  await world.until(handled);
}

describe('a sink that throws', () => {
  for (const [method, nth] of [
    ['head', 1],
    ['write', 1],
    ['write', 2],
    ['end', 1],
  ] as const) {
    it(`at ${method} no. ${nth} ends its request, and nothing stays held`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: () => chatStream({ gapMs: 50 }) }, limits: { concurrency: 2 } });
      await runInto(world, method, nth);
      const [target] = world.gateway.targets();
      assert.equal(target!.inFlight, 0);
      assert.equal(target!.limits.find((limit) => limit.kind === 'concurrency')!.available, 2);
      assert.equal(world.gateway.queue().inFlight, 0);
      assert.equal(world.eventsOf('finished').length, 1);
      assert.equal(world.eventsOf('attempt_end').length, 1, 'its story has an end');
      assert.ok(world.eventsOf('warning').length > 0, 'the operator hears of it');
      assert.match(world.eventsOf('warning')[0]!.detail!, new RegExp(`${method} is broken`));
    });
  }
});
