/** Traces over OTLP: what a collector receives of a request, and what providers and callers see of it. The gateway runs in virtual time. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { BreakwaterEvent } from '../../src/core/events.ts';
import { otlpOptions } from '../../src/gateway/otlp-options.ts';
import { createTelemetry, type Telemetry } from '../../src/telemetry/telemetry.ts';
import { chatError } from '../../src/testing/simulated-chat.ts';
import type { SimulatedCall, SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { HEDGE, after, failing } from './hedge-world.ts';
import { startReceiver, type OtlpReceiver, type ReceivedSpan } from './otlp-receiver.ts';
import { errorOf } from './world.ts';
import { startVirtualWorld, type VirtualOptions, type VirtualWorld } from './virtual.ts';

interface TracedWorld extends VirtualWorld {
  readonly receiver: OtlpReceiver;
  readonly telemetry: Telemetry;
  readonly logs: string[];
  /** Exports what is queued. */
  flush(): Promise<void>;
}

async function startTraced(t: TestContext, options: VirtualOptions, sample = 1, otlpMetrics = false): Promise<TracedWorld> {
  const receiver = await startReceiver();
  t.after(() => receiver.close());
  const traces = { endpoint: receiver.url, sample };
  const world = await startVirtualWorld(t, { ...options, config: { ...options.config, telemetry: { traces, otlpMetrics } } });
  const logs: string[] = [];
  const telemetry = createTelemetry({
    logs: { level: 'warn', destination: { write: (text: string, done: (error: null) => void) => (logs.push(text), done(null)) } },
    requests: { file: '' },
    clock: world.clock,
    secrets: [],
    ...otlpOptions(world.gateway.config, () => world.gateway.config),
  });
  telemetry.attach(world.gateway.events);
  const flush = async (): Promise<void> => {
    const flushed = telemetry.flush();
    world.clock.advance(0);
    await flushed;
  };
  return { ...world, receiver, telemetry, logs, flush };
}

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER_SPAN = '00f067aa0ba902b7';
const fromCaller = (flags = '01') => ({ traceparent: `00-${TRACE_ID}-${CALLER_SPAN}-${flags}`, tracestate: 'vendor=abc' });

/** One script per call, in order; the last one repeats. */
const inOrder = (...scripts: ((call: SimulatedCall) => SimulatedResponse)[]) => {
  let calls = 0;
  return (call: SimulatedCall): SimulatedResponse => scripts[Math.min(calls++, scripts.length - 1)]!(call);
};

function headerOf({ request: { headers } }: SimulatedCall, name: string): string[] {
  return headers.flatMap((found, i) => (i % 2 === 0 && found.toLowerCase() === name ? [headers[i + 1]!] : []));
}

const serverSpan = ({ spans }: OtlpReceiver): ReceivedSpan => spans.find(({ kind }) => kind === 2)!;
const clientSpans = ({ spans }: OtlpReceiver): ReceivedSpan[] =>
  spans
    .filter(({ kind }) => kind === 3)
    .toSorted((a, b) => Number(a.attributes['breakwater.attempt']) - Number(b.attributes['breakwater.attempt']));

/** The span of a request that was refused after its route was found: an error of the caller's side, so its status is unset. */
function assertRefused(spans: readonly ReceivedSpan[], refused: { readonly text: string; readonly headers: Headers }, code: string): void {
  const span = spans.find(({ attributes: of }) => of['breakwater.request.id'] === refused.headers.get('x-request-id'));
  assert.ok(!spans.some(({ parentSpanId }) => parentSpanId === span!.spanId), 'no attempt');
  const { attributes } = span!;
  assert.deepEqual([span!.traceId, span!.parentSpanId], [TRACE_ID, CALLER_SPAN]);
  assert.deepEqual([span!.name, span!.kind, span!.statusCode], ['chat fast', 2, 0]);
  assert.deepEqual([attributes['http.response.status_code'], attributes['error.type']], [429, code]);
  assert.deepEqual([attributes['breakwater.outcome'], attributes['breakwater.attempts']], ['refused', 0]);
  assert.equal(attributes['breakwater.error'], errorOf(refused.text).message);
  assert.equal(attributes['breakwater.target'], undefined);
}

describe('a trace', () => {
  it('shows the retry, the hedge and the fallback of a request, continues that of its caller, and is continued by the provider', async (t) => {
    const world = await startTraced(t, {
      providers: { a: failing(700, 503), b: inOrder(failing(100, 503), after(200)) },
      config: { policy: { hedge: HEDGE } },
    });
    const seen = await world.answerTo({ max_tokens: 30 }, fromCaller());
    assert.equal(seen.status, 200);
    await world.flush();

    const request = serverSpan(world.receiver);
    assert.equal(request.traceId, TRACE_ID);
    assert.equal(request.parentSpanId, CALLER_SPAN);
    assert.equal(request.name, 'chat fast');
    const { attributes } = request;
    assert.equal(attributes['gen_ai.operation.name'], 'chat');
    assert.equal(attributes['gen_ai.request.model'], 'fast');
    assert.equal(attributes['gen_ai.request.max_tokens'], 30);
    assert.equal(attributes['http.response.status_code'], 200);
    assert.equal(attributes['breakwater.attempts'], 4);
    assert.equal(attributes['breakwater.target'], 'b/m');
    assert.equal(attributes['breakwater.fallback'], 'overloaded');
    assert.equal(attributes['breakwater.request.id'], seen.headers.get('x-request-id'));
    assert.equal(request.statusCode, 0);
    assert.ok(Math.abs(request.endMs - request.startMs - seen.endAtMs) < 1, `${request.endMs - request.startMs} ms`);
    assert.ok(request.events.some(({ name, attributes: of }) => name === 'breakwater.committed' && of['breakwater.attempt'] === 4));

    const attempts = clientSpans(world.receiver);
    assert.deepEqual(
      attempts.map(({ name, attributes: of }) => [
        name,
        of['breakwater.target'],
        of['breakwater.retry'],
        of['breakwater.race'],
        of['breakwater.verdict'],
      ]),
      [
        ['chat m', 'a/m', undefined, undefined, 'retry'],
        ['chat m', 'b/m', undefined, 'hedge', 'retry'],
        ['chat m', 'a/m', true, undefined, 'retry'],
        ['chat m', 'b/m', true, undefined, 'success'],
      ],
    );
    for (const span of attempts) {
      assert.equal(span.traceId, TRACE_ID);
      assert.equal(span.parentSpanId, request.spanId);
      assert.ok(span.startMs >= request.startMs && span.endMs <= request.endMs);
    }
    const [first, hedge, , last] = attempts;
    assert.ok(hedge!.startMs - first!.startMs === 500 && hedge!.endMs < first!.endMs, 'the hedge runs beside the first attempt');
    assert.equal(first!.attributes['error.type'], '503');
    assert.equal(first!.attributes['server.address'], 'a');
    assert.equal(first!.statusCode, 2);
    assert.equal(last!.attributes['breakwater.committed'], true);
    assert.equal(last!.attributes['gen_ai.usage.input_tokens'], 5);
    assert.equal(last!.attributes['gen_ai.usage.output_tokens'], 1);
    assert.equal(last!.attributes['gen_ai.response.time_to_first_chunk'], 0.2);

    assert.deepEqual(
      world.upstream.calls.map((call) => headerOf(call, 'traceparent')),
      attempts.map(({ spanId }) => [`00-${TRACE_ID}-${spanId}-01`]),
    );
    assert.ok(world.upstream.calls.every((call) => headerOf(call, 'tracestate').join() === 'vendor=abc'));
  });

  it('begins at a request without traceparent, or with an invalid one, whose tracestate is dropped', async (t) => {
    const world = await startTraced(t, { providers: { a: after(10) } });
    const invalid = [
      {},
      { traceparent: `00-${'0'.repeat(32)}-${CALLER_SPAN}-01`, tracestate: 'a=1' },
      { traceparent: 'none' },
      { traceparent: `ff-${TRACE_ID}-${CALLER_SPAN}-01` },
    ];
    for (const headers of invalid) await world.answerTo({}, headers);
    await world.flush();
    const requests = world.receiver.spans.filter(({ kind }) => kind === 2);
    assert.equal(requests.length, invalid.length);
    assert.equal(new Set(requests.map(({ traceId }) => traceId)).size, invalid.length);
    for (const { traceId, spanId, parentSpanId } of requests) {
      assert.match(`${traceId} ${spanId}`, /^[0-9a-f]{32} [0-9a-f]{16}$/);
      assert.equal(parentSpanId, undefined);
    }
    assert.ok(world.upstream.calls.every((call) => headerOf(call, 'tracestate').length === 0));
  });

  it('is exported as the caller decided, whatever the sampled share; the context is passed on all the same', async (t) => {
    const world = await startTraced(t, { providers: { a: after(10) } }, 0);
    await world.answerTo({}, fromCaller('00'));
    await world.answerTo({}, {});
    await world.answerTo({}, fromCaller('01'));
    await world.flush();
    assert.equal(world.receiver.spans.length, 2);
    const flags = world.upstream.calls.map((call) => headerOf(call, 'traceparent')[0]!.slice(-2));
    assert.deepEqual(flags, ['00', '02', '01']);
    assert.ok(headerOf(world.upstream.calls[0]!, 'traceparent')[0]!.startsWith(`00-${TRACE_ID}-`));
    assert.notEqual(headerOf(world.upstream.calls[0]!, 'traceparent')[0]!.slice(36, 52), CALLER_SPAN);
  });

  it('holds the wait in the queue', async (t) => {
    const world = await startTraced(t, { providers: { a: after(300) }, limits: { concurrency: 1 } });
    const first = world.ask();
    const second = world.ask({}, fromCaller());
    await world.until(Promise.all([first.done, second.done]));
    await world.flush();
    const waited = world.receiver.spans.find(({ kind, traceId }) => kind === 2 && traceId === TRACE_ID)!;
    assert.equal(waited.attributes['breakwater.queue_ms'], 300);
    const [queued] = waited.events;
    assert.equal(queued!.name, 'breakwater.queued');
    assert.match(String(queued!.attributes['breakwater.blockers']), /^a\/m: concurrency/);
  });

  it('of a request that a full queue refuses has its code and message, and no attempt', async (t) => {
    const world = await startTraced(t, {
      providers: { a: after(300) },
      limits: { concurrency: 1 },
      config: { policy: { queue: { maxSize: 1 } } },
    });
    const served = [world.ask(), world.ask()];
    const refused = await world.answerTo({}, fromCaller());
    assert.deepEqual([refused.status, errorOf(refused.text).code], [429, 'queue_full']);
    await world.until(Promise.all(served.map(({ done }) => done)));
    await world.flush();
    assertRefused(world.receiver.spans, refused, 'queue_full');
  });

  for (const [name, budget] of [
    ['spent', 0.1],
    ['too small', 0.0001],
  ] as const) {
    it(`of a request that a budget refuses that is ${name} has its code and message, and no attempt`, async (t) => {
      const clients = [{ name: 'web', key: 'web-key-1234', budget: { usd: budget, per: 'day' as const } }];
      const price = { input: 1_000, output: 1_000 };
      const world = await startTraced(t, { providers: { a: after(10) }, config: { clients, prices: { 'a/m': price } } });
      const key = { authorization: 'Bearer web-key-1234' };
      const ask = () => world.answerTo({ max_tokens: 10 }, { ...key, ...fromCaller() });
      let refused = await ask();
      assert.equal(refused.status, name === 'spent' ? 200 : 429);
      for (let asked = 1; asked < 20 && refused.status === 200; asked++) refused = await ask();
      assert.deepEqual([refused.status, errorOf(refused.text).code], [429, 'budget_exceeded']);
      await world.flush();
      assertRefused(world.receiver.spans, refused, 'budget_exceeded');
    });
  }

  it('of a failed request has the error of each attempt and of the response', async (t) => {
    const world = await startTraced(t, {
      providers: { a: () => chatError(503, { message: 'overloaded' }) },
      config: { policy: { maxAttempts: 1 } },
    });
    const seen = await world.answerTo();
    assert.ok(seen.status >= 500);
    await world.flush();
    const request = serverSpan(world.receiver);
    assert.equal(request.statusCode, 2);
    assert.equal(request.attributes['error.type'], world.eventsOf('finished')[0]!.code);
    assert.match(clientSpans(world.receiver)[0]!.statusMessage!, /overloaded/);
  });
});

describe('a call that reports no usage', () => {
  it('has its estimated cost in both spans, beside what is known', async (t) => {
    const hedge = { hedge: { enabled: true, delay: '1s', budget: 1 } };
    const price = { input: 1_000, output: 5_000 };
    const world = await startTraced(t, {
      providers: { a: () => ({ steps: [{ do: 'wait', ms: Infinity }] }), b: after(10) },
      config: { prices: { 'a/m': price, 'b/m': price }, policy: hedge },
    });
    assert.equal((await world.answerTo()).headers.get('x-breakwater-target'), 'b/m');
    await world.flush();
    const [finished] = world.eventsOf('finished');
    assert.ok(finished!.estimatedUsd! > 0);
    const request = serverSpan(world.receiver).attributes;
    assert.deepEqual(
      [request['breakwater.estimated_cost_usd'], request['breakwater.cost_usd']],
      [finished!.estimatedUsd, finished!.costUsd],
    );
    const [lost, served] = clientSpans(world.receiver);
    assert.deepEqual(
      [lost!.attributes['breakwater.estimated_cost_usd'], lost!.attributes['breakwater.cost_usd']],
      [finished!.estimatedUsd, undefined],
    );
    assert.equal(served!.attributes['breakwater.estimated_cost_usd'], undefined);
  });
});

describe('without an endpoint', () => {
  it('the context of the caller is passed on as it is, and events have no trace', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: after(10) } });
    const events: BreakwaterEvent[] = [];
    world.gateway.events.onAny((event) => events.push(event));
    await world.answerTo({}, fromCaller('00'));
    assert.deepEqual(headerOf(world.upstream.calls[0]!, 'traceparent'), [fromCaller('00').traceparent]);
    assert.deepEqual(headerOf(world.upstream.calls[0]!, 'tracestate'), ['vendor=abc']);
    assert.ok(events.every((event) => !('trace' in event) && !('spanId' in event)));
  });
});

describe('a collector that fails', () => {
  it('loses spans, which are counted and warned of once, and nothing else', async (t) => {
    const world = await startTraced(t, { providers: { a: after(10) } });
    world.receiver.status = 400;
    for (let i = 0; i < 3; i++) {
      assert.equal((await world.answerTo()).status, 200);
      await world.flush();
    }
    assert.match(await world.telemetry.metrics.scrape(), /^breakwater_spans_dropped_total 6$/m);
    assert.equal(world.logs.join('').split('spans cannot be exported').length, 2);
    world.receiver.status = 200;
    await world.answerTo();
    await world.flush();
    assert.equal(world.receiver.spans.length, 2);
    assert.match(await world.telemetry.metrics.scrape(), /^breakwater_spans_exported_total 2$/m);
    assert.match(world.logs.join(''), /6 spans were lost/);
  });

  it('that rejects some of the spans has accepted the others only', async (t) => {
    const world = await startTraced(t, { providers: { a: after(10) } });
    world.receiver.body = { partialSuccess: { rejectedSpans: '1', errorMessage: 'too old' } };
    await world.answerTo();
    await world.flush();
    const metrics = await world.telemetry.metrics.scrape();
    assert.match(metrics, /^breakwater_spans_exported_total 1$/m);
    assert.match(metrics, /^breakwater_spans_dropped_total 1$/m);
    assert.match(world.logs.join(''), /"rejected":1,"exports":1,"error":"too old","msg":"the collector rejected 1 span"/);
    assert.doesNotMatch(world.logs.join(''), /were lost/);
  });

  it('that sends no response delays shutdown by a second and a half at most', async (t) => {
    const world = await startTraced(t, { providers: { a: after(10) } });
    world.receiver.status = null;
    await world.answerTo();
    let isClosed = false;
    const closing = world.telemetry.close().then(() => (isClosed = true));
    await world.clock.advanceAsync(1_400);
    assert.equal(isClosed, false);
    await world.clock.advanceAsync(100);
    await closing;
  });
});

describe('metrics over OTLP', () => {
  it('are those of /metrics, sent every minute and at the end', async (t) => {
    const world = await startTraced(t, { providers: { a: after(10) } }, 1, true);
    await world.answerTo();
    await world.flush();
    await world.telemetry.close();
    const { metrics, requests } = world.receiver;
    assert.ok(requests.some(({ path }) => path === '/v1/metrics'));
    const total = metrics.find(({ name }) => name === 'breakwater_requests_total')!;
    assert.equal(total.kind, 'sum');
    assert.equal(total.points[0]!.value, 1);
    assert.equal(total.points[0]!.attributes['outcome'], 'success');
    const duration = metrics.find(({ name }) => name === 'breakwater_request_duration_seconds')!;
    assert.equal(duration.kind, 'histogram');
    const [point] = duration.points;
    assert.deepEqual([point!.count, point!.sum, point!.bucketCounts!.length], [1, 0.01, 17]);
    assert.equal(
      point!.bucketCounts!.reduce((sum, count) => sum + Number(count), 0),
      1,
    );
    const exposed = (await world.telemetry.metrics.scrape()).match(/^# TYPE \S+/gm)!.map((line) => line.slice(7));
    const sent = new Set(metrics.map(({ name }) => name));
    assert.ok([...sent].every((name) => exposed.includes(name)));
  });
});
