/** Callers whom a reload has locked out are named to the operator, in the feed and in the story of a request. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { startStorm } from '../../src/storm/index.ts';
import type { ErrorCount, HelloFrame } from '../../src/telemetry/feed-frames.ts';
import { startWatched, type WatchedGateway } from './world.ts';

function errorsIn({ telemetry }: WatchedGateway): ErrorCount[] {
  let frame: HelloFrame | undefined;
  const reader = {
    send: (event: Uint8Array) => ((frame = JSON.parse(/^data: (.+)$/m.exec(Buffer.from(event).toString())![1]!) as HelloFrame), true),
    close() {},
  };
  telemetry.feed.subscribe(reader, null)!.stop();
  return [...frame!.state.errors];
}

test('a reload that changes a key, a model or the model list of a client leaves no quiet night', async (t) => {
  const storm = await startStorm({ name: 'a', models: ['m'] });
  t.after(() => storm.close());
  const config = (key: string, models: readonly string[], allowed?: readonly string[]): ConfigInput => ({
    providers: { a: { protocol: 'openai', baseUrl: storm.url, apiKey: 'sk-key-of-a-1' } },
    models: Object.fromEntries(models.map((name) => [name, ['a/m']])),
    clients: [{ name: 'web', key, ...(allowed !== undefined && { models: [...allowed] }) }],
  });
  const gateway = await startWatched(config('web-key-1234', ['summary', 'unused']));
  t.after(() => gateway.close());
  const ask = (model: string, key?: string) => gateway.ask({ model }, key === undefined ? {} : { authorization: `Bearer ${key}` });
  assert.equal(await ask('summary', 'web-key-1234'), 200);

  await gateway.reload(config('web-key-5678', ['summary', 'unused']));
  assert.equal(await ask('summary', 'web-key-1234'), 401);
  assert.equal(await ask('summary', 'a-guessed-key-1'), 401);
  assert.equal(await ask('summary'), 401);
  await gateway.reload(config('web-key-5678', ['other']));
  assert.equal(await ask('unused', 'web-key-5678'), 404);
  await gateway.reload(config('web-key-5678', ['summary'], ['other']));
  assert.equal(await ask('summary', 'web-key-5678'), 403);

  const found = errorsIn(gateway).map(({ code, client, model, requests, callerVisible }) => [code, client, model, requests, callerVisible]);
  assert.deepEqual(
    found.toSorted((a, b) => String(a).localeCompare(String(b))),
    [
      ['invalid_api_key', null, null, 1, 0],
      ['invalid_api_key', 'web', null, 1, 1],
      ['model_not_allowed', 'web', 'summary', 1, 1],
      ['model_not_found', 'web', 'unused', 1, 1],
    ],
  );
  const story = gateway.telemetry.timelines.list({ status: 401 }).at(-1)!;
  assert.equal(story.client, 'web');
  assert.match(
    gateway.telemetry.timelines.get(story.id)!.story.summary,
    /unknown API key; an earlier configuration accepted it, for client web$/,
  );
});

test('a reload that asks for keys locks out callers without one', async (t) => {
  const providers = { a: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'sk-key-of-a-1' } };
  const gateway = await startWatched({ providers, models: { summary: ['a/m'] } });
  t.after(() => gateway.close());
  await gateway.reload({ providers, models: { summary: ['a/m'] }, clients: [{ name: 'web', key: 'web-key-1234' }] });
  assert.equal(await gateway.ask(), 401);
  const [error] = errorsIn(gateway);
  assert.deepEqual([error!.code, error!.client, error!.callerVisible], ['invalid_api_key', 'anonymous', 1]);
});

test("Gemini's paths and a look at a removed model are recognized too", async (t) => {
  const providers = { a: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'sk-key-of-a-1' } };
  const config = (key: string, model: string): ConfigInput => ({
    providers,
    models: { [model]: ['a/m'] },
    clients: [{ name: 'web', key }],
  });
  const gateway = await startWatched(config('web-key-1234', 'summary'));
  t.after(() => gateway.close());
  await gateway.reload(config('web-key-5678', 'other'));
  const statusOf = async (path: string, headers: Record<string, string>, method = 'GET'): Promise<number> => {
    const response = await fetch(`${gateway.url}${path}`, { method, headers });
    await response.arrayBuffer();
    return response.status;
  };
  assert.equal(await statusOf('/v1beta/models/summary:generateContent', { 'x-goog-api-key': 'web-key-1234' }, 'POST'), 401);
  assert.equal(await statusOf('/v1/models/summary', { authorization: 'Bearer web-key-5678' }), 404);
  assert.equal(await statusOf('/v1/models/never-there', { authorization: 'Bearer web-key-5678' }), 404);
  assert.deepEqual(
    errorsIn(gateway).map(({ code, client, requests, callerVisible }) => [code, client, requests, callerVisible]),
    [
      ['model_not_found', 'web', 2, 1],
      ['invalid_api_key', 'web', 1, 1],
    ],
  );
  const [, removed] = gateway.telemetry.timelines.list({ status: 404 });
  assert.equal(removed!.model, 'summary');
  assert.match(gateway.telemetry.timelines.get(removed!.id)!.story.summary, /an earlier configuration had this model$/);
});
