/** Background responses, with the official SDK, on targets of every dialect. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import OpenAI from 'openai';
import type { Response, ResponseStreamEvent } from 'openai/resources/responses/responses';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { startStorm, type StormOptions } from '../../src/storm/index.ts';
import { startGateway } from './harness.ts';
import { eventually } from './world.ts';

const TARGETS = ['openai', 'anthropic', 'gemini'] as const;
const FINAL = ['completed', 'failed', 'incomplete', 'cancelled'];

async function stage(t: TestContext, options: StormOptions = {}, more: Partial<ConfigInput> = {}) {
  const storm = await startStorm({ timing: { tokens: 12 }, keepBodies: 50, ...options });
  t.after(() => storm.close());
  const at = { baseUrl: storm.url, apiKey: 'sk-test' };
  const gemini = { protocol: 'gemini' as const, baseUrl: storm.url.replace('/v1', '/v1beta'), apiKey: 'sk-test' };
  const gateway = await startGateway({
    providers: {
      openai: { protocol: 'openai', ...at },
      anthropic: { protocol: 'anthropic', ...at },
      gemini,
    },
    models: Object.fromEntries(TARGETS.map((name) => [name, [`${name}/storm-large`]])),
    ...more,
  });
  t.after(() => gateway.close());
  const sdk = (apiKey = 'unused'): OpenAI => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0 });
  const openai = sdk();
  return {
    gateway,
    storm,
    sdk,
    openai,
    /** Bodies of all calls. */
    sent: (): string[] => storm.stats().log.map(({ body }) => body?.toString() ?? ''),
    ended: async (id: string, client = openai): Promise<Response> => {
      for (;;) {
        const response = await client.responses.retrieve(id);
        if (FINAL.includes(response.status!)) return response;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
  };
}

async function collect(stream: AsyncIterable<ResponseStreamEvent>): Promise<ResponseStreamEvent[]> {
  const events: ResponseStreamEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

const numbers = (events: readonly ResponseStreamEvent[]): number[] => events.map((event) => event.sequence_number);
const deltas = (events: readonly ResponseStreamEvent[]): string =>
  events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join('');

for (const model of TARGETS) {
  test(`a background response runs on a target of ${model}, and is polled`, async (t) => {
    const { openai, ended, storm, sent } = await stage(t, { timing: { tokens: 12, plainMs: 100 } });
    const metadata = { run: '7' };
    const queued = await openai.responses.create({ model, input: 'Say something.', background: true, metadata, max_output_tokens: 50 });
    assert.deepEqual([queued.object, queued.status, queued.background, queued.output], ['response', 'queued', true, []]);
    assert.deepEqual([queued.metadata, queued.max_output_tokens, queued.error, queued.model], [metadata, 50, null, model]);
    while ((await openai.responses.retrieve(queued.id)).status === 'queued');
    assert.equal((await openai.responses.retrieve(queued.id)).status, 'in_progress');
    const done = await ended(queued.id);
    assert.deepEqual([done.id, done.status, done.background, done.created_at], [queued.id, 'completed', true, queued.created_at]);
    assert.deepEqual(done.metadata, metadata);
    assert.ok(done.output_text.length > 0);
    assert.ok(done.usage!.output_tokens > 0);
    assert.equal(storm.stats().calls, 1);
    // No provider is asked to run it in its own background mode.
    assert.ok(sent().every((body) => !body.includes('background')));
    assert.deepEqual(await openai.responses.delete(queued.id), { id: queued.id, object: 'response', deleted: true });
    await assert.rejects(openai.responses.retrieve(queued.id), OpenAI.NotFoundError);
  });

  test(`the stream of a background response on ${model} is numbered, and resumes after any event`, async (t) => {
    const { openai } = await stage(t);
    const stream = await openai.responses.create({ model, input: 'Say something.', background: true, stream: true });
    const events = await collect(stream);
    assert.deepEqual(numbers(events), events.map((_, i) => i)); // prettier-ignore
    assert.deepEqual(
      events.slice(0, 3).map(({ type }) => type),
      ['response.created', 'response.queued', 'response.in_progress'],
    );
    const last = events.at(-1)!;
    assert.ok(last.type === 'response.completed');
    const { id } = last.response;
    for (const event of events) if ('response' in event) assert.equal(event.response.id, id);
    const text = last.response.output.flatMap((item) => (item.type === 'message' ? item.content : []));
    assert.equal(text.map((part) => (part.type === 'output_text' ? part.text : '')).join(''), deltas(events));
    assert.equal((await openai.responses.retrieve(id)).output_text, deltas(events));
    for (const after of [0, 1, 2, 5, events.length - 2, events.length - 1]) {
      const rest = await collect(await openai.responses.retrieve(id, { stream: true, starting_after: after }));
      assert.deepEqual(rest, events.slice(after + 1), `after ${after}`);
    }
    assert.deepEqual(await collect(await openai.responses.retrieve(id, { stream: true })), events);
  });
}

test('a response continues when its reader disconnects, and the reader finds the rest', async (t) => {
  const { openai, ended, storm } = await stage(t, { timing: { tokens: 30, tokensPerSecond: 100 } });
  const stream = await openai.responses.create({ model: 'openai', input: 'x', background: true, stream: true });
  const seen: ResponseStreamEvent[] = [];
  for await (const event of stream) {
    seen.push(event);
    if (seen.length === 8) break;
  }
  const first = seen[0]!;
  assert.ok(first.type === 'response.created');
  const { id } = first.response;
  const rest = await collect(await openai.responses.retrieve(id, { stream: true, starting_after: seen.at(-1)!.sequence_number }));
  const done = await ended(id);
  assert.equal(deltas([...seen, ...rest]), done.output_text);
  assert.deepEqual(numbers([...seen, ...rest]), [...seen, ...rest].map((_, i) => i)); // prettier-ignore
  assert.equal(storm.stats().calls, 1);
});

const SLOW: StormOptions = { timing: { tokens: 400, tokensPerSecond: 20, plainMs: 20_000 } };

test('a cancelled response stops its upstream call; cancelling again has no effect', async (t) => {
  const { openai, storm } = await stage(t, SLOW);
  const { id } = await openai.responses.create({ model: 'openai', input: 'x', background: true });
  await eventually(() => storm.stats().running > 0, 'the call');
  assert.equal((await openai.responses.cancel(id)).status, 'cancelled');
  await eventually(() => storm.stats().running === 0, 'the call is stopped');
  assert.equal((await openai.responses.cancel(id)).status, 'cancelled');
  assert.deepEqual([(await openai.responses.retrieve(id)).status, storm.stats().calls], ['cancelled', 1]);
});

test('the stream of a cancelled or deleted response ends', async (t) => {
  const { openai, storm } = await stage(t, SLOW);
  const stream = await openai.responses.create({ model: 'openai', input: 'x', background: true, stream: true });
  const events: ResponseStreamEvent[] = [];
  for await (const event of stream) {
    if (events.push(event) === 6) await openai.responses.cancel((events[0] as { response: Response }).response.id);
  }
  const last = events.at(-1) as unknown as { type: string; response: Response };
  assert.deepEqual([last.type, last.response.status], ['response.cancelled', 'cancelled']);
  assert.deepEqual(numbers(events), events.map((_, i) => i)); // prettier-ignore
  await eventually(() => storm.stats().running === 0, 'the call is stopped');
  const again = await openai.responses.create({ model: 'openai', input: 'x', background: true, stream: true });
  await assert.rejects(async () => {
    let seen = 0;
    for await (const event of again)
      if (++seen === 6) await openai.responses.delete(idIn(event) ?? firstId);
      else if (event.type === 'response.created') firstId = event.response.id;
  });
  await eventually(() => storm.stats().running === 0, 'the call is stopped');
});

let firstId = '';
const idIn = (event: ResponseStreamEvent): string | null => ('response' in event ? event.response.id : null);

test('a finished response can no longer be cancelled, and is kept', async (t) => {
  const { openai, ended } = await stage(t);
  const { id } = await openai.responses.create({ model: 'openai', input: 'x', background: true });
  const done = await ended(id);
  const still = await openai.responses.cancel(id);
  assert.deepEqual([still.status, still.output, still.usage], [done.status, done.output, done.usage]);
});

test('a response truncated at its output limit is incomplete; a failed one states its error', async (t) => {
  const { openai, ended, storm } = await stage(t, { timing: { tokens: 40 } });
  const cut = await openai.responses.create({ model: 'openai', input: 'x', background: true, max_output_tokens: 20 });
  const done = await ended(cut.id);
  assert.deepEqual([done.status, done.incomplete_details], ['incomplete', { reason: 'max_output_tokens' }]);
  storm.setFaults([{ kind: '400-parameter', param: 'input', message: 'it is not good' }]);
  const bad = await openai.responses.create({ model: 'openai', input: 'x', background: true });
  const failed = await ended(bad.id);
  assert.deepEqual([failed.status, failed.error!.code, failed.output], ['failed', 'invalid_prompt', []]);
  assert.match(failed.error!.message, /it is not good/);
  const stream = await openai.responses.create({ model: 'openai', input: 'x', background: true, stream: true });
  const last = (await collect(stream)).at(-1)!;
  assert.ok(last.type === 'response.failed');
  assert.match(last.response.error!.message, /it is not good/);
});

test('a provider that always fails ends the response; an unavailable one is waited for, until the deadline', async (t) => {
  const policy = { breaker: { openFor: '200ms', maxOpenFor: '200ms' } } as const;
  const { gateway, ended, storm, openai } = await stage(t, {}, { policy });
  storm.setFaults([{ kind: '500' }]);
  const always = await openai.responses.create({ model: 'openai', input: 'x', background: true });
  assert.equal((await ended(always.id)).error!.code, 'server_error');
  storm.setFaults([{ kind: '503' }]);
  const created = await gateway.post(
    '/v1/responses',
    { model: 'anthropic', input: 'x', background: true },
    { headers: { 'x-breakwater-deadline-ms': '2500' } },
  );
  const { id } = (await created.json()) as Response;
  const expired = await ended(id);
  assert.deepEqual([expired.status, expired.error!.code], ['failed', 'server_error']);
  assert.match(expired.error!.message, /the deadline passed before the response was completed; the last attempt: 503/);
  const waited = await openai.responses.create({ model: 'gemini', input: 'x', background: true });
  await eventually(() => storm.stats().calls > 0, 'a call');
  storm.setFaults([]);
  assert.equal((await ended(waited.id)).status, 'completed');
});

test('a hanging response ends at its deadline, streaming or not, and its call is aborted', async (t) => {
  const { gateway, ended, storm } = await stage(t, { faults: [{ kind: 'silence' }] });
  for (const stream of [false, true]) {
    const request = { model: 'openai', input: 'x', background: true, stream };
    const created = await gateway.post('/v1/responses', request, { headers: { 'x-breakwater-deadline-ms': '1500' } });
    const text = await created.text();
    const [, id] = /"id":"(resp_bg_[^"]+)"/.exec(text)!;
    const response = await ended(id!);
    assert.deepEqual([response.status, response.error!.code], ['failed', 'server_error']);
    assert.match(response.error!.message, /the deadline passed/);
    if (stream) assert.match(text, /event: response\.failed\n/);
    assert.equal(storm.stats().running, 0);
  }
});

test('the completion window of a background response is its deadline', async (t) => {
  const { openai, ended } = await stage(t, { faults: [{ kind: 'silence', calls: { first: 1 } }] });
  const create = (window: string): Promise<Response> =>
    openai.responses.create({ model: 'openai', input: 'x', background: true, background_options: { completion_window: window } } as never, {
      headers: { 'x-breakwater-deadline-ms': '60000' },
    });
  const short = await ended((await create('1s')).id);
  assert.match(short.error!.message, /the deadline passed/);
  assert.equal((await ended((await create('soonest')).id)).status, 'completed');
});

test('a broken stream is repeated; its reader sees increasing numbers and one complete response', async (t) => {
  const { openai, ended } = await stage(t, { timing: { tokens: 20 }, faults: [{ kind: 'cut', afterTokens: 5, calls: { first: 1 } }] });
  const events = await collect(await openai.responses.create({ model: 'openai', input: 'x', background: true, stream: true }));
  assert.ok(numbers(events).every((number, i) => i === 0 || number > numbers(events)[i - 1]!));
  const begins = events.map(({ type }) => type).lastIndexOf('response.in_progress');
  const last = events.at(-1)!;
  assert.ok(last.type === 'response.completed' && begins > 3, 'it restarted');
  assert.equal(deltas(events.slice(begins)), (await ended(last.response.id)).output_text);
});

test('responses and their streams are visible only to their client', async (t) => {
  const clients = ['web', 'app'].map((name) => ({ name, key: `${name}-key-0123456789` }));
  const { sdk } = await stage(t, {}, { clients });
  const [web, app] = clients.map(({ key }) => sdk(key));
  const { id } = await web!.responses.create({ model: 'openai', input: 'x', background: true });
  await assert.rejects(app!.responses.retrieve(id), OpenAI.NotFoundError);
  await assert.rejects(app!.responses.cancel(id), OpenAI.NotFoundError);
  await assert.rejects(app!.responses.delete(id), OpenAI.NotFoundError);
  await assert.rejects(
    app!.responses.inputItems.list(id).then((page) => page.data),
    OpenAI.NotFoundError,
  );
  await assert.rejects(app!.responses.retrieve(id, { stream: true }), OpenAI.NotFoundError);
});

test('unsupported background requests are refused at once', async (t) => {
  const { openai } = await stage(t);
  const create = (more: object): Promise<unknown> =>
    openai.responses.create({ model: 'openai', input: 'x', background: true, ...more } as never);
  for (const [more, param] of [
    [{ store: false }, 'store'],
    [{ background_options: { completion_window: 'soon' } }, 'background_options'],
    [{ model: 7 }, 'model'],
  ] as const) {
    await assert.rejects(create(more), (error) => error instanceof OpenAI.BadRequestError && error.param === param, param);
  }
  const { id } = await openai.responses.create({ model: 'openai', input: 'x', background: true });
  await assert.rejects(openai.responses.retrieve(id, { stream: true }), /created with stream: true/);
  await assert.rejects(openai.responses.retrieve('resp_bg_none'), OpenAI.NotFoundError);
});

test('a later request refers to a background response, on a target of any dialect', async (t) => {
  const { openai, ended, sent } = await stage(t);
  const first = await openai.responses.create({ model: 'openai', input: 'The word is harbour.', background: true });
  const said = (await ended(first.id)).output_text;
  const items = await openai.responses.inputItems.list(first.id);
  assert.equal(items.data.length, 1);
  const second = await openai.responses.create({ model: 'anthropic', input: 'Which?', previous_response_id: first.id, background: true });
  const done = await ended(second.id);
  assert.deepEqual([done.status, done.previous_response_id], ['completed', first.id]);
  const third = await openai.responses.create({ model: 'gemini', input: 'Again?', previous_response_id: second.id });
  assert.equal(third.status, 'completed');
  for (const body of sent().slice(1)) assert.ok(body.includes('The word is harbour.') && body.includes(said));
  assert.equal(sent().length, 3);
});

test('an idempotency key returns the same response; another body is a conflict', async (t) => {
  const { openai, storm, ended } = await stage(t);
  const create = (input: string): Promise<Response> =>
    openai.responses.create({ model: 'openai', input, background: true }, { headers: { 'idempotency-key': 'k' } });
  const [one, two] = [await create('x'), await create('x')];
  assert.equal(one.id, two.id);
  await ended(one.id);
  await assert.rejects(create('y'), OpenAI.ConflictError);
  assert.equal(storm.stats().calls, 1);
});

test('the same in process, without a socket', async (t) => {
  const { gateway } = await stage(t);
  const openai = new OpenAI({ baseURL: 'http://breakwater/v1', apiKey: 'unused', maxRetries: 0, fetch: gateway.fetch });
  const events = await collect(await openai.responses.create({ model: 'anthropic', input: 'x', background: true, stream: true }));
  const last = events.at(-1)!;
  assert.ok(last.type === 'response.completed');
  assert.deepEqual(await collect(await openai.responses.retrieve(last.response.id, { stream: true, starting_after: 4 })), events.slice(5));
});
