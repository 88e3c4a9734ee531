import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FlightListener } from '../../cluster/flights.ts';
import { BreakwaterError } from '../../core/errors.ts';
import type { EventSink } from '../../core/events.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { DIALECTS } from '../../wire/dialects.ts';
import type { Caller } from '../request/caller.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import type { ResponseSink } from '../request/response-sink.ts';
import { RunningList } from '../request/running-list.ts';
import type { Route } from '../route/route.ts';
import { followElsewhere } from './follow-elsewhere.ts';
import { ResponseReader } from './response-reader.ts';
import { SharedResponse } from './shared-response.ts';

const HEAD = JSON.stringify({ status: 200, headers: ['content-type', 'text/event-stream'], isEventStream: true });

/** A streamed request that follows a response of another instance, whose parts the test sends. */
function stage() {
  const clock = createManualClock();
  const running = new RunningList();
  const outcomes: string[] = [];
  const events: EventSink = { emit: (event) => void (event.type === 'finished' && outcomes.push(`${event.outcome} ${event.code}`)) };
  const caller = { hasLeft: false, onLeave: null as Caller['onLeave'] };
  const wire = { text: '', status: 0, isEnded: false, isAborted: false, isFull: false, drain: null as (() => void) | null };
  const sink: ResponseSink = {
    head: (status) => void (wire.status = status),
    write: (bytes) => {
      wire.text += Buffer.from(bytes).toString();
      return !wire.isFull;
    },
    end: (bytes) => {
      wire.text += bytes === undefined ? '' : Buffer.from(bytes).toString();
      wire.isEnded = true;
    },
    abort: () => void (wire.isAborted = true),
    onDrain: (listener) => void (wire.drain = listener),
    readerMoved: () => true,
  };
  const request = {
    id: 'req_1',
    dialect: DIALECTS['openai-chat'],
    path: '/chat/completions',
    facts: { model: 'fast', operation: 'chat', stream: true, wantsUsage: false, inputTokens: 1, outputBound: null },
    body: { bytes: new Uint8Array(0) },
    client: { name: 'default', resources: [] },
    priority: 'normal',
    receivedAt: 0,
    deadline: 10_000,
    deadlineGiven: true,
    caller,
  } as unknown as GatewayRequest;
  const policy = { stream: { keepAlive: 60_000 } };
  const reader = new ResponseReader({ clock, events, running }, request, { deadlineMs: 10_000, policy } as unknown as Route, sink);
  const owner = { onComplete: () => {}, onDiscarded: () => {}, tryHold: () => true, release: () => {} };
  const purpose = { cacheKey: null, policy: {}, dialect: request.dialect } as unknown as SharedResponse['purpose'];
  const response = new SharedResponse({ clock, events, running }, owner, reader, purpose);
  let listener: FlightListener | null = null;
  const following = { stops: 0, resumes: 0, checks: 0 };
  const flights = {
    follow(_id: string, _urgency: object, given: FlightListener) {
      listener = given;
      return { stop: () => void following.stops++, resume: () => void following.resumes++, check: () => void following.checks++ };
    },
  };
  const done = followElsewhere({ clock, running }, flights, response, reader, { id: 'b.1' }, true);
  const part = (kind: string, meta = '', text = '') => listener!.part({ kind, meta, bytes: Buffer.from(text), place: '' });
  const signals = { gone: () => listener!.gone(), alive: () => listener!.alive!() };
  return { clock, running, outcomes, caller, wire, response, reader, following, done, part, ...signals };
}

test('a stream arrives as it is made, and ends', async () => {
  const { running, outcomes, wire, done, part } = stage();
  assert.equal(part('hello'), 'more');
  assert.equal(wire.status, 0);
  part('head', HEAD);
  assert.equal(part('chunk', '', 'data: 1\n\n'), 'more');
  assert.equal(wire.status, 200);
  assert.match(wire.text, /data: 1\n\n$/);
  assert.equal(wire.isEnded, false);
  assert.equal(part('end'), 'end');
  assert.equal(await done, true);
  assert.deepEqual([wire.isEnded, running.size, outcomes], [true, 0, ['success null']]);
});

test('if nothing came, the response is made here', async () => {
  const { running, outcomes, wire, response, following, done, part, gone } = stage();
  part('hello');
  gone();
  assert.equal(await done, false);
  assert.deepEqual([wire.status, running.size, outcomes, response.isFollowing, response.onLeave], [0, 0, [], false, null]);
  assert.equal(following.stops, 0);
});

test('a stream breaks off if its instance goes away after its beginning', async () => {
  const { running, outcomes, wire, done, part, gone } = stage();
  part('head', HEAD);
  part('chunk', '', 'data: 1\n\n');
  gone();
  assert.equal(await done, true);
  assert.match(wire.text, /stream_interrupted/);
  // The other instance may be alive: the caller may have paused for too long, or the response may be too large.
  assert.doesNotMatch(wire.text, /has stopped/);
  assert.deepEqual([running.size, outcomes], [0, ['interrupted stream_interrupted']]);
});

test('a caller that leaves ends the following, before the beginning and in the middle', async () => {
  for (const parts of [[], ['head']]) {
    const { running, outcomes, caller, following, done, part } = stage();
    for (const kind of parts) part(kind, HEAD);
    caller.hasLeft = true;
    caller.onLeave!();
    assert.equal(await done, true);
    assert.deepEqual([following.stops, running.size, outcomes], [1, 0, ['cancelled null']]);
  }
});

test('a request whose deadline passes before the response begins fails, and stops following', async () => {
  const { clock, running, outcomes, wire, following, done } = stage();
  clock.advance(10_000);
  assert.equal(await done, true);
  assert.equal(wire.status, 504);
  assert.deepEqual([following.stops, running.size, outcomes], [1, 0, ['failed deadline_exceeded']]);
  assert.equal(clock.pendingTimers, 0);
});

test('a caller that reads slowly pauses the parts until it has read', async () => {
  const { wire, following, done, part } = stage();
  part('head', HEAD);
  wire.isFull = true;
  assert.equal(part('chunk', '', 'data: 1\n\n'), 'pause');
  assert.equal(following.resumes, 0);
  wire.isFull = false;
  wire.drain!();
  assert.equal(following.resumes, 1);
  part('end');
  assert.equal(await done, true);
});

test('an error of the other instance reaches the caller', async () => {
  const { running, outcomes, wire, done, part } = stage();
  const meta = { code: 'queue_full', message: 'too many', status: 503, param: null, retryAfterMs: 1_000 };
  assert.equal(part('fail', JSON.stringify(meta)), 'end');
  assert.equal(await done, true);
  assert.equal(wire.status, 503);
  assert.match(wire.text, /too many/);
  assert.deepEqual([running.size, outcomes], [0, ['refused queue_full']]);
});

test('a stop of the gateway ends the request', async () => {
  const { running, outcomes, reader, following, done } = stage();
  reader.stop(new BreakwaterError('shutting_down', 'the gateway stops'));
  assert.equal(await done, true);
  assert.deepEqual([following.stops, running.size, outcomes], [1, 0, ['refused shutting_down']]);
});

test('checks at the same time are one, and its reply is awaited for 300 ms', async () => {
  const { clock, response, following, part, alive } = stage();
  part('head', HEAD);
  const checks = [response.lifeCheck!.isAlive(), response.lifeCheck!.isAlive()];
  assert.equal(following.checks, 1);
  alive();
  assert.deepEqual(await Promise.all(checks), [true, true]);
  const late = response.lifeCheck!.isAlive();
  await clock.advanceAsync(300);
  assert.equal(await late, false);
  assert.equal(following.checks, 2);
});

test('a check of a response that ends is over', async () => {
  for (const how of ['end', 'gone', 'leave'] as const) {
    const { caller, response, part, gone } = stage();
    part('head', HEAD);
    const check = response.lifeCheck!.isAlive();
    if (how === 'end') part('end');
    else if (how === 'gone') gone();
    else caller.onLeave!();
    assert.equal(await check, false);
  }
});
