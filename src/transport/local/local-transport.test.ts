import type { HeadersByName } from '../../core/headers.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createManualClock } from '../../testing/manual-clock.ts';
import type { Transport, UpstreamCall } from '../transport.ts';
import type { EngineSpec } from '../../local/engine.ts';
import { localBasePath, localOrigin, LocalTransport } from './local-transport.ts';

const faulty = new URL('../../local/faulty-engine-worker.test-suite.ts', import.meta.url);
const MB = 2 ** 20;

function specOf(parts: Partial<EngineSpec> = {}): EngineSpec {
  return {
    name: 'offline/a/b',
    responseModel: 'offline/a/b',
    engine: 'extract',
    task: 'text-generation',
    weights: null,
    hub: null,
    mayDownload: false,
    dtype: null,
    contextSize: null,
    maxTokens: 100,
    threads: 1,
    maxHeap: 64 * MB,
    cacheDir: '/nowhere',
    directory: '/nowhere',
    ...parts,
  };
}

interface Told {
  /** The callbacks in order, without the data: `sent`, `200`, `end`, `error`. */
  readonly order: string[];
  headers: HeadersByName;
  text: string;
  error: Error | null;
  call: UpstreamCall;
  readonly over: Promise<void>;
  readonly firstData: Promise<void>;
}

function setUp(t: TestContext, parts: Partial<EngineSpec> = {}, warm = false) {
  const clock = createManualClock();
  const http: string[] = [];
  const behind: Transport = {
    send(request) {
      http.push(request.origin);
      return { abort() {}, pause() {}, resume() {} };
    },
    close: () => Promise.resolve(),
  };
  const transport = new LocalTransport(behind, clock, faulty);
  transport.configure([{ spec: specOf(parts), warm }]);
  t.after(() => transport.close());

  function send(prompt: string, more: object = {}, path = '/chat/completions', model = 'a/b'): Told {
    const over = Promise.withResolvers<void>();
    const data = Promise.withResolvers<void>();
    const told: Told = { order: [], headers: {}, text: '', error: null, call: null!, over: over.promise, firstData: data.promise };
    const body = Buffer.from(JSON.stringify({ model: 'x', messages: [{ role: 'user', content: prompt }], ...more }));
    const request = {
      origin: localOrigin('offline'),
      path: localBasePath(model) + path,
      method: 'POST',
      headers: [],
      body,
      connectTimeoutMs: 1,
    };
    told.call = transport.send(request, {
      onSent: () => void told.order.push('sent'),
      onHeaders(status, headers) {
        told.order.push(String(status));
        told.headers = headers;
      },
      onData(chunk) {
        told.text += Buffer.from(chunk).toString();
        data.resolve();
      },
      onEnd() {
        told.order.push('end');
        over.resolve();
      },
      onError(error) {
        told.order.push('error');
        told.error = error;
        over.resolve();
      },
    });
    return told;
  }
  return { clock, transport, send, http };
}

const stream = { stream: true, stream_options: { include_usage: true } };
const codeOf = ({ text }: Told): string => (JSON.parse(text) as { error: { code: string } }).error.code;

test('a non-streaming response is one JSON text, with token counts and model name', async (t) => {
  const { send } = setUp(t);
  const told = send('say hello');
  await told.over;
  assert.deepEqual(told.order, ['sent', '200', 'end']);
  const answer = JSON.parse(told.text) as { model: string; choices: { message: { content: string } }[]; usage: object };
  assert.equal(answer.model, 'offline/a/b');
  assert.equal(answer.choices[0]?.message.content, 'hello');
  assert.deepEqual(answer.usage, { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 });
});

test('a stream has events, a usage chunk if requested, and a terminator', async (t) => {
  const { send } = setUp(t);
  const told = send('say hello', stream);
  await told.over;
  const events = told.text.trim().split('\n\n');
  assert.equal(events.at(-1), 'data: [DONE]');
  assert.match(events.at(-2)!, /"choices":\[\],"usage":\{"prompt_tokens":3/);
  assert.match(told.headers['content-type'] as string, /event-stream/);
});

test('legacy completions have their own response format', async (t) => {
  const { send } = setUp(t);
  const told = send('', { prompt: 'say hello' }, '/completions');
  await told.over;
  assert.match(told.text, /"object":"text_completion".*"text":"hello"/);
});

test('unsupported features are refused, so that another target is used', async (t) => {
  const { send } = setUp(t);
  for (const more of [{ tools: [{ type: 'function' }] }, { response_format: { type: 'json_object' } }, { n: 2 }]) {
    const told = send('say hello', more);
    await told.over;
    assert.deepEqual(told.order, ['sent', '400', 'end']);
    assert.equal(codeOf(told), 'unsupported_value');
  }
  const picture = send('', { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:' } }] }] });
  await picture.over;
  assert.equal(codeOf(picture), 'unsupported_value');
  const embeddings = send('', {}, '/embeddings');
  await embeddings.over;
  assert.deepEqual(embeddings.order, ['sent', '501', 'end']);
});

test('a model that is not configured is not found', async (t) => {
  const { send } = setUp(t);
  const told = send('say hello', {}, '/chat/completions', 'other');
  await told.over;
  assert.deepEqual(told.order, ['sent', '404', 'end']);
});

test('all other requests are sent over HTTP', (t) => {
  const { transport, http } = setUp(t);
  const request = { origin: 'https://h', path: '/v1/x', method: 'POST', headers: [], body: null, connectTimeoutMs: 1 };
  transport.send(request, { onSent() {}, onHeaders() {}, onData() {}, onEnd() {}, onError() {} });
  assert.deepEqual(http, ['https://h']);
});

test('calls run one at a time, in order', async (t) => {
  const { send } = setUp(t);
  const ends: number[] = [];
  const calls = Array.from({ length: 5 }, (_, i) => {
    const told = send(`say ${i}`);
    return told.over.then(() => void ends.push(i));
  });
  await Promise.all(calls);
  assert.deepEqual(ends, [0, 1, 2, 3, 4]);
});

test('a caller that disconnects stops generation, and the same thread serves the next call', async (t) => {
  const { send, transport } = setUp(t);
  const told = send('drip', stream);
  await told.firstData;
  told.call.abort();
  const next = send('say hello');
  await next.over;
  assert.deepEqual(next.order, ['sent', '200', 'end']);
  assert.deepEqual(told.order, ['sent', '200']);
  assert.equal(transport.status()[0]?.crashes, 0);
});

test('a caller that disconnects before its turn starts nothing', async (t) => {
  const { send } = setUp(t);
  const first = send('drip', stream);
  const second = send('exit');
  await first.firstData;
  second.call.abort();
  first.call.abort();
  const third = send('say hello');
  await third.over;
  assert.deepEqual(second.order, ['sent']);
  assert.deepEqual(third.order, ['sent', '200', 'end']);
});

test('a thread that does not stop in time is terminated, and the next call gets a new one', async (t) => {
  const { send, clock, transport } = setUp(t);
  const told = send('begin, spin', stream);
  await told.firstData;
  told.call.abort();
  const next = send('say hello');
  await Promise.resolve();
  clock.advance(5_000);
  await next.over;
  assert.deepEqual(next.order, ['sent', '200', 'end']);
  assert.equal(transport.status()[0]?.crashes, 0);
});

for (const [what, reason] of [
  ['exit', /code 7/],
  ['throw', /uncaught/],
  ['eat', /memory/],
] as const) {
  test(`a thread that crashes (${what}) fails its call, and the next gets a new one`, async (t) => {
    const { send, transport } = setUp(t);
    const told = send(what);
    await told.over;
    assert.deepEqual(told.order, ['sent', '500', 'end']);
    assert.equal(codeOf(told), 'engine_crashed');
    assert.match(told.text, reason);
    assert.equal(transport.status()[0]?.state, 'failed');
    const next = send('say hello');
    await next.over;
    assert.deepEqual(next.order, ['sent', '200', 'end']);
    assert.deepEqual(
      { ...transport.status()[0], memory: null },
      { name: 'offline/a/b', state: 'ready', memory: null, crashes: 1, error: null },
    );
  });
}

test('a crash during a stream aborts it, so that it never looks complete', async (t) => {
  const { send } = setUp(t);
  for (const what of ['begin, exit', 'begin, reject']) {
    const told = send(what, stream);
    await told.over;
    assert.deepEqual(told.order, ['sent', '200', 'error']);
    assert.doesNotMatch(told.text, /\[DONE\]|"finish_reason":"/);
    await send('say hello').over;
  }
});

test('an engine that fails on one prompt reports an error and continues', async (t) => {
  const { send, transport } = setUp(t);
  const told = send('reject');
  await told.over;
  assert.deepEqual(told.order, ['sent', '500', 'end']);
  assert.match(told.text, /offline\/a\/b failed: no such layer"/);
  assert.equal(transport.status()[0]?.crashes, 0);
});

test('a thread that crashes repeatedly restarts after growing pauses', async (t) => {
  const { send, clock } = setUp(t);
  const ask = async (what: string): Promise<Told> => {
    const told = send(what);
    await told.over;
    return told;
  };
  await ask('exit');
  await ask('exit');
  const refused = await ask('say hello');
  assert.deepEqual(refused.order, ['sent', '500', 'end']);
  assert.equal(refused.headers['retry-after-ms'], '1000');
  clock.advance(1_000);
  await ask('exit');
  assert.equal((await ask('say hello')).headers['retry-after-ms'], '2000');
  clock.advance(2_000);
  assert.deepEqual((await ask('say hello')).order, ['sent', '200', 'end']);
  await ask('exit');
  assert.deepEqual((await ask('say hello')).order, ['sent', '200', 'end'], 'a response resets the count of crashes');
});

test('a model that cannot be loaded fails all waiting calls, and is not loaded again at once', async (t) => {
  const { send, clock, transport } = setUp(t, { weights: 'missing' });
  const calls = [send('say a'), send('say b')];
  await Promise.all(calls.map((told) => told.over));
  for (const told of calls) assert.deepEqual(told.order, ['sent', '501', 'end']);
  assert.equal(transport.status()[0]?.error, 'no weights');
  const again = send('say a');
  await again.over;
  assert.equal(again.headers['retry-after-ms'], '1000');
  clock.advance(1_000);
  const later = send('say a');
  await later.over;
  assert.equal(later.headers['retry-after-ms'], undefined, 'loading was retried');
});

test('nothing is started before the first call, except warm models', async (t) => {
  const cold = setUp(t);
  assert.equal(cold.transport.status()[0]?.state, 'idle');
  const warm = setUp(t, {}, true);
  assert.equal(warm.transport.status()[0]?.state, 'loading');
  await warm.send('say hello').over;
  assert.deepEqual(warm.transport.status()[0], {
    name: 'offline/a/b',
    state: 'ready',
    memory: { heapBytes: 1_000, loadedBytes: 2_000 },
    crashes: 0,
    error: null,
  });
});

test('events during back-pressure are delivered when the caller resumes', async (t) => {
  const { send } = setUp(t);
  const told = send('say hello', stream);
  told.call.pause();
  await send('say next').over;
  assert.deepEqual(told.order, ['sent']);
  told.call.resume();
  assert.deepEqual(told.order, ['sent', '200', 'end']);
  assert.match(told.text, /hello/);
});

test('a reload keeps engines with equal settings, and lets others finish their calls', async (t) => {
  const { send, transport } = setUp(t);
  const running = send('drip', stream);
  await running.firstData;
  transport.configure([{ spec: specOf(), warm: false }]);
  assert.equal(transport.status()[0]?.state, 'ready');
  transport.configure([{ spec: specOf({ maxTokens: 5 }), warm: true }]);
  assert.equal(transport.status()[0]?.state, 'idle', 'two copies of a model would take twice the memory');
  const next = send('say hello');
  running.call.abort();
  await next.over;
  assert.deepEqual(next.order, ['sent', '200', 'end']);
  transport.configure([]);
  const gone = send('say hello');
  await gone.over;
  assert.deepEqual(gone.order, ['sent', '404', 'end']);
});

test('closing aborts running calls and terminates the threads', async (t) => {
  const { send, transport } = setUp(t);
  const running = send('drip', stream);
  const waiting = send('say hello');
  await running.firstData;
  await transport.close();
  assert.deepEqual(running.order, ['sent', '200', 'error']);
  assert.deepEqual(waiting.order, ['sent', 'error']);
});

test('a crash of a replaced engine affects its own callers only', async (t) => {
  const { send, transport } = setUp(t);
  const running = send('drip', stream);
  const crashing = send('exit');
  await running.firstData;
  transport.configure([{ spec: specOf({ maxTokens: 5 }), warm: false }]);
  const next = send('say hello');
  running.call.abort();
  await crashing.over;
  assert.deepEqual(crashing.order, ['sent', '500', 'end']);
  await next.over;
  assert.deepEqual(next.order, ['sent', '200', 'end']);
});

test('a call during a reload succeeds', async (t) => {
  const { send, transport } = setUp(t);
  const told = send('say hello');
  transport.configure([{ spec: specOf({ maxTokens: 5 }), warm: false }]);
  const next = send('say hello');
  await Promise.all([told.over, next.over]);
  for (const { order } of [told, next]) assert.deepEqual(order, ['sent', '200', 'end']);
});

test('closing does not wait for a thread that can neither be stopped nor terminated', async (t) => {
  const { send, transport, clock } = setUp(t, { engine: 'llama' });
  await send('say hello').over;
  const dozing = send('begin, doze', stream);
  await dozing.firstData;
  dozing.call.abort();
  clock.advance(5_000);
  const closed = transport.close();
  await clock.advanceAsync(2_000);
  await closed;
  assert.deepEqual(dozing.order, ['sent', '200']);
});
