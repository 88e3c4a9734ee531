/** The caller disconnects, in every phase: the provider's connection is closed within a second, and no target is blamed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/gateway/system-clock.ts';
import type { StormOptions } from '../../src/storm/index.ts';
import { chatBody } from './harness.ts';
import { contentOf, eventually, startWorld, WAYS } from './world.ts';
import type { Way, World } from './world.ts';

const CONCURRENCY = 2;
const LEAVERS = 32;

interface Phase {
  readonly name: string;
  readonly storm: StormOptions;
  readonly stream: boolean;
  /** When the caller disconnects. */
  readonly reached: (world: World) => boolean;
  /** Upstream calls made, and how many of them were aborted. */
  readonly calls: number;
  readonly aborted: number;
}

const callRuns = (world: World) => world.storms['a']!.stats().running === 1;
const isCommitted = (world: World) => world.eventsOf('committed').length === 1;
const isPaused = (world: World) => world.eventsOf('attempt_end').length === 1;
const paced = { tokens: 1000, tokensPerSecond: 50, eventsPerPacket: 1 };

const PHASES: readonly Phase[] = [
  {
    name: 'before the headers of a non-streaming response',
    storm: { faults: [{ kind: 'silence' }] },
    stream: false,
    reached: callRuns,
    calls: 1,
    aborted: 1,
  },
  {
    name: 'before the headers of a stream',
    storm: { faults: [{ kind: 'silence' }] },
    stream: true,
    reached: callRuns,
    calls: 1,
    aborted: 1,
  },
  {
    name: 'within a non-streaming response',
    storm: { faults: [{ kind: 'stall' }] },
    stream: false,
    reached: callRuns,
    calls: 1,
    aborted: 1,
  },
  {
    name: 'before the first content',
    storm: { faults: [{ kind: 'silence-content' }] },
    stream: true,
    reached: callRuns,
    calls: 1,
    aborted: 1,
  },
  { name: 'in the middle of a stream', storm: { timing: paced }, stream: true, reached: isCommitted, calls: 1, aborted: 1 },
  { name: 'in a stream that stalls', storm: { faults: [{ kind: 'stall' }] }, stream: true, reached: isCommitted, calls: 1, aborted: 1 },
  {
    name: 'while waiting for a retry',
    storm: { faults: [{ kind: '429-retry', retryAfter: 3 }] },
    stream: false,
    reached: isPaused,
    calls: 1,
    aborted: 0,
  },
];

function post(world: World, stream: boolean, way: Way, signal: AbortSignal): Promise<unknown> {
  const go = way === 'socket' ? fetch : world.fetch;
  const base = way === 'socket' ? world.url : 'http://breakwater';
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, signal };
  return go(`${base}/v1/chat/completions`, { ...init, body: JSON.stringify(chatBody({ stream, max_tokens: 2000 })) })
    .then((response) => response.text())
    .catch((error: unknown) => error);
}

async function assertReturned(world: World, requests = 1): Promise<void> {
  await eventually(() => world.eventsOf('finished').length === requests, 'the end of the request');
  await eventually(() => world.storms['a']!.stats().running === 0, 'the end of the call');
  const [target] = world.gateway.targets();
  assert.equal(target!.limits.find((limit) => limit.kind === 'concurrency')!.available, CONCURRENCY);
  assert.deepEqual([target!.inFlight, target!.breaker.failureRatio, target!.breaker.state], [0, 0, 'closed']);
  const queue = world.gateway.queue();
  assert.deepEqual([queue.waiting, queue.inFlight, queue.heldBytes], [0, 0, 0]);
  assert.equal(world.eventsOf('attempt').length, world.eventsOf('attempt_end').length);
}

function start(t: TestContext, storm: StormOptions): Promise<World> {
  return startWorld(t, { storms: { a: storm }, providers: { a: { limits: { concurrency: CONCURRENCY } } } });
}

async function leaveIn(t: TestContext, phase: Phase, way: Way): Promise<void> {
  const world = await start(t, phase.storm);
  const caller = new AbortController();
  const answer = post(world, phase.stream, way, caller.signal);
  await eventually(() => phase.reached(world), phase.name);
  await new Promise((resolve) => setTimeout(resolve, 30));
  const leftAt = performance.now();
  caller.abort();
  await answer;
  await eventually(() => world.storms['a']!.stats().aborted === phase.aborted, 'the closed connection');
  assert.ok(performance.now() - leftAt < 1000, `${performance.now() - leftAt} ms`);
  await assertReturned(world);
  assert.equal(world.storms['a']!.stats().calls, phase.calls);
  const [finished] = world.eventsOf('finished');
  assert.deepEqual([finished!.outcome, finished!.status, finished!.attempts], ['cancelled', 499, phase.calls]);
  if (phase.aborted > 0)
    assert.deepEqual([world.eventsOf('attempt_end')[0]!.verdict, world.eventsOf('attempt_end')[0]!.reason], ['cancelled', 'cancelled']);
}

describe('a caller who disconnects', { concurrency: 4 }, () => {
  for (const phase of PHASES) {
    for (const way of WAYS) it(`${phase.name}: the connection is closed and the permit released, ${way}`, (t) => leaveIn(t, phase, way));
  }

  for (const way of WAYS) {
    it(`while queued: the request is never sent, ${way}`, async (t) => {
      const world = await start(t, { timing: { plainMs: 400 } });
      const running = Array.from({ length: CONCURRENCY }, () => world.ask());
      await eventually(() => world.storms['a']!.stats().running === CONCURRENCY, 'a full house');
      const caller = new AbortController();
      const answer = post(world, false, way, caller.signal);
      await eventually(() => world.gateway.queue().waiting === 1, 'a place in the queue');
      caller.abort();
      await answer;
      await eventually(() => world.gateway.queue().waiting === 0 && world.eventsOf('finished').length === 1, 'an empty queue');
      assert.equal(world.eventsOf('finished')[0]!.outcome, 'cancelled');
      for (const seen of await Promise.all(running)) assert.equal(seen.status, 200);
      await assertReturned(world, CONCURRENCY + 1);
      assert.equal(world.storms['a']!.stats().calls, CONCURRENCY);
    });
  }

  for (const stream of [true, false]) {
    it(`with ${LEAVERS - 1} others, again and again, costs those who stay nothing, ${stream ? 'streams' : 'plain responses'}`, async (t) => {
      const world = await startWorld(t, { storms: { a: { timing: stream ? paced : {} } } });
      const storm = world.storms['a']!;
      for (let round = 1; round <= 3; round++) {
        if (!stream) storm.setFaults([{ kind: 'silence' }]);
        const caller = new AbortController();
        const responses = Array.from({ length: LEAVERS }, () => post(world, stream, 'socket', caller.signal));
        await eventually(() => storm.stats().running === LEAVERS, 'running calls');
        caller.abort();
        await Promise.all(responses);
        storm.setFaults([]);
        const seen = await world.ask({ max_tokens: 1 });
        assert.deepEqual([seen.status, seen.headers.get('x-breakwater-attempts')], [200, '1']);
        await eventually(() => storm.stats().aborted === round * LEAVERS, 'closed connections');
        await eventually(() => storm.stats().running === 0, 'the end of the calls');
      }
      const [target] = world.gateway.targets();
      assert.deepEqual([target!.inFlight, target!.breaker.failureRatio, target!.breaker.state, target!.cooldownMs], [0, 0, 'closed', 0]);
      assert.deepEqual([target!.learned.concurrency, target!.learned.limits, target!.health], [null, [], 1]);
    });
  }

  it('while uploading its body: nothing is held, and nothing is sent', async (t) => {
    const world = await start(t, {});
    const upload = request(`${world.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': '100000' },
    });
    upload.on('error', () => {});
    upload.write(' '.repeat(50_000));
    await eventually(() => world.gateway.queue().heldBytes === 50_000, 'what has come of the body');
    upload.destroy();
    await eventually(() => world.gateway.queue().heldBytes === 0, 'the room given back');
    assert.equal(world.storms['a']!.stats().calls, 0);
    assert.equal(world.events.length, 0);
  });
});

describe('an upload that never ends', () => {
  it("gets an error at its caller's deadline, and its connection is closed", async (t) => {
    const world = await start(t, {});
    const socket = connect(Number(new URL(world.url).port));
    const head = 'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-breakwater-deadline-ms: 400\r\ncontent-length: 100000\r\n\r\n';
    socket.write(`${head}{"model":"fast"`);
    const drip = setInterval(() => socket.write(' '), 50);
    t.after(() => clearInterval(drip));
    const askedAt = performance.now();
    let text = '';
    socket.setEncoding('latin1').on('data', (piece: string) => (text += piece));
    socket.on('error', () => {});
    await eventually(() => text.includes('}'), 'an answer');
    assert.ok(performance.now() - askedAt < 900);
    assert.match(text, /^HTTP\/1\.1 504 /);
    assert.match(text, /deadline_exceeded/);
    await eventually(() => socket.closed, 'the closed connection');
    assert.equal(world.gateway.queue().heldBytes, 0);
    assert.equal(world.storms['a']!.stats().calls, 0);
  });
});

/** Sends a request as it is over a socket of its own; `send` is the socket's write, or its end, which closes the caller's side. */
function raw(
  world: World,
  how: 'write' | 'end',
  body: Record<string, unknown>,
  version = '1.1',
  times = 1,
): { socket: Socket; text: Promise<string> } {
  const json = JSON.stringify(chatBody(body));
  const head = `POST /v1/chat/completions HTTP/${version}\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${json.length}`;
  const socket = connect({ port: Number(new URL(world.url).port), allowHalfOpen: true });
  socket[how](`${head}\r\n\r\n${json}`.repeat(times));
  const text = new Promise<string>((resolve) => {
    let all = '';
    socket.setEncoding('latin1').on('data', (piece: string) => (all += piece));
    socket.on('error', (error: NodeJS.ErrnoException) => (all += `[${error.code}]`));
    socket.on('end', () => socket.end());
    socket.on('close', () => resolve(all));
  });
  return { socket, text };
}

describe('a caller who half-closes its connection', { concurrency: 4 }, () => {
  it('gets its non-streaming response', async (t) => {
    const world = await start(t, { timing: { plainMs: 400 } });
    const text = await raw(world, 'end', {}).text;
    assert.match(text, /^(HTTP\/1\.1 102 Processing\r\n\r\n)+HTTP\/1\.1 200 OK\r\n/);
    assert.match(text, /"finish_reason":"length"/);
    await assertReturned(world);
    assert.equal(world.eventsOf('finished')[0]!.outcome, 'success');
  });

  it('gets its stream to the end, with comments during its pauses', async (t) => {
    const world = await start(t, { timing: { firstTokenMs: 200, tokensPerSecond: 20, eventsPerPacket: 1 } });
    const text = await raw(world, 'end', { stream: true, max_tokens: 10 }).text;
    assert.match(text, /data: \[DONE\]/);
    await assertReturned(world);
  });

  for (const phase of PHASES.filter(({ aborted }) => aborted > 0)) {
    it(`and then disconnects ${phase.name}: the connection is closed`, async (t) => {
      const world = await start(t, phase.storm);
      const { socket, text } = raw(world, 'end', { stream: phase.stream, max_tokens: 2000 });
      await eventually(() => phase.reached(world), phase.name);
      await new Promise((resolve) => setTimeout(resolve, 600));
      assert.equal(world.storms['a']!.stats().running, 1, 'it is still there');
      const leftAt = performance.now();
      socket.destroy();
      await text;
      await eventually(() => world.storms['a']!.stats().aborted === 1, 'the closed connection');
      assert.ok(performance.now() - leftAt < 1200, `${performance.now() - leftAt} ms`);
      await assertReturned(world);
      assert.equal(world.eventsOf('finished')[0]!.outcome, 'cancelled');
    });
  }
});

describe('a legacy client', () => {
  it('with HTTP 1.0 gets its stream without chunks, ended by the close', async (t) => {
    const world = await start(t, {});
    const text = await raw(world, 'write', { stream: true }, '1.0').text;
    const [head, body] = [text.slice(0, text.indexOf('\r\n\r\n')), text.slice(text.indexOf('\r\n\r\n') + 4)];
    assert.match(head, /^HTTP\/1\.1 200 OK/);
    assert.doesNotMatch(head, /transfer-encoding/i);
    assert.match(body, /^data: \{[^]*data: \[DONE\]\n\n$/);
    await assertReturned(world);
  });

  it('that pipelines two requests gets both responses in order', async (t) => {
    const world = await start(t, { faults: [{ kind: 'silence', ms: 200, calls: [1] }] });
    const { socket, text } = raw(world, 'write', {}, '1.1', 2);
    await eventually(() => world.eventsOf('finished').length === 2, 'two answers');
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.end();
    assert.equal((await text).match(/HTTP\/1\.1 200 OK/g)!.length, 2);
    await assertReturned(world, 2);
  });
});

/** Sends over a socket of its own, whose answer is read only when the test says so. */
function slowly(world: World): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const ask = request(`${world.url}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' } });
    ask.on('response', resolve);
    ask.on('error', reject);
    ask.end(JSON.stringify(chatBody({ stream: true, max_tokens: 200_000 })));
  });
}

/** A stream too large for the buffers on its way. */
const huge = { timing: { tokens: 100_000, eventsPerPacket: 100 } };

describe('a caller who reads slowly', { concurrency: 4 }, () => {
  it('applies back-pressure to the provider and loses nothing', async (t) => {
    const world = await start(t, huge);
    const response = await slowly(world);
    response.pause();
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal(world.storms['a']!.stats().running, 1, 'the provider waits too');
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk as string;
    assert.match(text, /data: \[DONE\]\n\n$/);
    assert.equal(contentOf(text).trim().split(/\s+/).length, 100_000);
    await assertReturned(world);
    assert.equal(world.eventsOf('finished')[0]!.outcome, 'success');
  });

  it('and disconnects: the connection is closed', async (t) => {
    const world = await start(t, huge);
    const response = await slowly(world);
    response.pause();
    await new Promise((resolve) => setTimeout(resolve, 300));
    response.on('error', () => {});
    response.destroy();
    await eventually(() => world.storms['a']!.stats().aborted === 1, 'the closed connection');
    await assertReturned(world);
    assert.equal(world.eventsOf('finished')[0]!.outcome, 'cancelled');
  });

  it('for longer than the provider may be silent loses nothing, and the provider is not blamed', async (t) => {
    const world = await startWorld(t, {
      storms: { a: huge },
      providers: { a: { limits: { concurrency: CONCURRENCY } } },
      config: { policy: { timeouts: { idle: '600ms' } } },
    });
    const response = await slowly(world);
    response.pause();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk as string;
    assert.equal(contentOf(text).trim().split(/\s+/).length, 100_000);
    assert.match(text, /data: \[DONE\]\n\n$/);
    await assertReturned(world);
  });

  it('or not at all is disconnected after two minutes, and the provider is not blamed', async (t) => {
    const world = await startWorld(t, {
      storms: { a: huge },
      providers: { a: { limits: { concurrency: CONCURRENCY } } },
      clock: { ...systemClock, schedule: (ms, task) => systemClock.schedule(ms === 120_000 ? 300 : ms, task) },
    });
    const response = await slowly(world);
    response.on('error', () => {});
    response.pause();
    await eventually(() => world.storms['a']!.stats().aborted === 1, 'the closed connection');
    await assertReturned(world);
    assert.equal(world.eventsOf('finished')[0]!.outcome, 'cancelled');
    assert.match(world.eventsOf('note').at(-1)!.note, /read nothing of its response for 120000 ms/);
    response.resume();
    await eventually(() => response.closed, 'the closed connection of the caller');
    assert.equal(response.complete, false, 'the caller sees that it is incomplete');
  });

  it('but reads a little every two minutes is served to the end', async (t) => {
    const world = await startWorld(t, {
      storms: { a: { timing: { tokens: 200_000, eventsPerPacket: 1000 } } },
      providers: { a: { limits: { concurrency: CONCURRENCY } } },
      clock: { ...systemClock, schedule: (ms, task) => systemClock.schedule(ms === 120_000 ? 400 : ms, task) },
    });
    const response = await slowly(world);
    response.on('error', () => {});
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      for (let bytes = 0; bytes < 4_000_000;)
        bytes += ((response.read() as Buffer | null) ?? (await once(response, 'readable'), Buffer.alloc(0))).length;
    }
    assert.deepEqual(world.eventsOf('finished'), []);
    response.destroy();
    await assertReturned(world);
  });
});
