/** Requests that are turned away have a span too: by their head, by their body or by a limit of their client. Full queues and budgets: tracing.test.ts. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { otlpOptions } from '../../src/gateway/otlp-options.ts';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { createTelemetry } from '../../src/telemetry/telemetry.ts';
import { rawExchange } from '../server/raw-socket.ts';
import { startGateway, type TestGateway } from './harness.ts';
import { startReceiver, type OtlpReceiver, type ReceivedSpan } from './otlp-receiver.ts';

const KEY = { authorization: 'Bearer web-key-1234' };
const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER_SPAN = '00f067aa0ba902b7';
const body = (more: object = {}) => ({ model: 'fast', messages: [{ role: 'user', content: 'x' }], ...more });

interface Traced extends TestGateway {
  readonly receiver: OtlpReceiver;
  spans(): Promise<ReceivedSpan[]>;
}

async function start(t: TestContext, sample = 1, client: object = {}): Promise<Traced> {
  const receiver = await startReceiver();
  t.after(() => receiver.close());
  const gateway = await startGateway({
    providers: { a: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'sk-secret-of-a-1', limits: { concurrency: 1 } } },
    models: { fast: ['a/m'] },
    clients: [{ name: 'web', key: 'web-key-1234', models: ['fast', 'other'], ...client }],
    server: { maxBodySize: '1kb' },
    policy: { queue: { maxSize: 1 } },
    telemetry: { traces: { endpoint: receiver.url, sample } },
  });
  t.after(() => gateway.close());
  const { config, events } = gateway.gateway;
  const telemetry = createTelemetry({
    logs: { level: 'silent' },
    requests: { file: '' },
    clock: systemClock,
    secrets: config.secrets,
    ...otlpOptions(config, () => gateway.gateway.config),
  });
  t.after(() => telemetry.close());
  telemetry.attach(events);
  const spans = async (): Promise<ReceivedSpan[]> => {
    // The first export loads the packages, which may take longer than a flush.
    for (let tries = 0; tries < 20 && (receiver.spans.length === 0 || tries === 0); tries++) await telemetry.flush();
    return receiver.spans;
  };
  return { ...gateway, receiver, spans };
}

describe('a request that is turned away', () => {
  const cases: readonly [name: string, status: number, code: string, span: string, ask: (on: Traced) => Promise<Response>][] = [
    ['without a key', 401, 'invalid_api_key', 'chat', (on) => on.post('/v1/chat/completions', body())],
    ['with JSON that is cut off', 400, 'invalid_request', 'chat', (on) => on.post('/v1/chat/completions', '{', { headers: KEY })],
    [
      'with a body that is too large',
      413,
      'request_too_large',
      'chat',
      (on) => on.post('/v1/chat/completions', body({ user: 'u'.repeat(2000) }), { headers: KEY }),
    ],
    [
      'for an unknown model',
      404,
      'model_not_found',
      'chat other',
      (on) => on.post('/v1/chat/completions', body({ model: 'other' }), { headers: KEY }),
    ],
    ['for an unknown path', 404, 'not_found', 'GET', (on) => fetch(`${on.url}/nothing?key=sk-secret-of-a-1`, { headers: KEY })],
  ];
  for (const [name, status, code, span, ask] of cases) {
    it(`${name}: has one span with its status, code and message`, async (t) => {
      const world = await start(t);
      const response = await ask(world);
      assert.equal(response.status, status);
      const [found, ...more] = await world.spans();
      assert.equal(more.length, 0);
      const { attributes } = found!;
      assert.deepEqual([found!.name, found!.kind, found!.statusCode, found!.parentSpanId], [span, 2, 0, undefined]);
      assert.deepEqual([attributes['http.response.status_code'], attributes['error.type']], [status, code]);
      assert.equal(attributes['breakwater.outcome'], 'refused');
      assert.equal(attributes['breakwater.request.id'], response.headers.get('x-request-id'));
      assert.notEqual(attributes['breakwater.error'], '');
      assert.doesNotMatch(JSON.stringify(found), /sk-secret/);
    });
  }

  it('continues the trace of its caller, and follows the decision of the caller or the sampled share', async (t) => {
    const world = await start(t, 0);
    const ask = (flags: string | null) =>
      world.post('/v1/chat/completions', '{', {
        headers: { ...KEY, ...(flags !== null && { traceparent: `00-${TRACE_ID}-${CALLER_SPAN}-${flags}` }) },
      });
    for (const flags of [null, '00', '01']) assert.equal((await ask(flags)).status, 400);
    const [found, ...more] = await world.spans();
    assert.equal(more.length, 0);
    assert.deepEqual([found!.traceId, found!.parentSpanId], [TRACE_ID, CALLER_SPAN]);
  });

  it('has a span if a limit of its client or the limits of its session refuse it', async (t) => {
    const limited = await start(t, 1, { limits: { requestsPerMinute: 1 } });
    const headers = { ...KEY, 'x-breakwater-deadline-ms': '1000' };
    await limited.post('/v1/chat/completions', body(), { headers });
    assert.equal((await limited.post('/v1/chat/completions', body(), { headers })).status, 429);
    const refused = (await limited.spans()).filter(({ attributes }) => attributes['http.response.status_code'] === 429);
    assert.deepEqual(
      refused.map(({ name, attributes }) => [name, attributes['error.type'], attributes['breakwater.outcome']]),
      [['chat fast', 'rate_limited', 'refused']],
    );

    const looping = await start(t, 1, { sessionLimits: { requestsPerMinute: 1 } });
    const session = { ...headers, 'x-session-id': 'one', traceparent: `00-${TRACE_ID}-${CALLER_SPAN}-01` };
    await looping.post('/v1/chat/completions', body(), { headers: session });
    assert.equal((await looping.post('/v1/chat/completions', body(), { headers: session })).status, 429);
    const ended = (await looping.spans()).filter(({ attributes }) => attributes['http.response.status_code'] === 429);
    assert.deepEqual(
      ended.map(({ traceId, name, attributes }) => [traceId, name, attributes['breakwater.client']]),
      [[TRACE_ID, 'chat fast', 'web']],
    );
  });

  it('has a span if it is not HTTP', async (t) => {
    const world = await start(t);
    await rawExchange(world.url, 'nonsense\r\n\r\n');
    const [found] = await world.spans();
    assert.deepEqual([found!.name, found!.attributes['http.response.status_code']], ['HTTP', 400]);
  });
});
