import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import OpenAI from 'openai';
import { createBreakwater } from './index.ts';
import { startStorm } from './storm/index.ts';

test('an SDK that is handed its fetch is answered without a port', async (t) => {
  const storm = await startStorm({ timing: { tokens: 5 } });
  t.after(() => storm.close());
  const breakwater = await createBreakwater({
    providers: { storm: { baseUrl: storm.url, apiKey: 'sk-test' } },
    models: { fast: ['storm/storm-small'] },
  });
  const attempts: string[] = [];
  breakwater.on('attempt', ({ target }) => attempts.push(target));
  const openai = new OpenAI({ baseURL: 'http://breakwater/v1', apiKey: 'unused', fetch: breakwater.fetch });
  const messages = [{ role: 'user' as const, content: 'hi' }];

  const plain = await openai.chat.completions.create({ model: 'fast', messages });
  assert.ok((plain.choices[0]?.message.content ?? '').length > 0);
  let streamed = '';
  for await (const chunk of await openai.chat.completions.create({ model: 'fast', messages, stream: true })) {
    streamed += chunk.choices[0]?.delta.content ?? '';
  }
  assert.ok(streamed.length > 0);
  assert.deepEqual(
    (await openai.models.list()).data.map(({ id }) => id).filter((id) => !id.includes('/')),
    ['fast'],
  );
  await assert.rejects(openai.chat.completions.create({ model: 'slow', messages }), { status: 404, code: 'model_not_found' });
  assert.deepEqual(attempts, ['storm/storm-small', 'storm/storm-small']);

  await breakwater.close();
  await assert.rejects(openai.chat.completions.create({ model: 'fast', messages }, { maxRetries: 0 }), {
    status: 503,
    code: 'shutting_down',
  });
});

test('a config that is not valid is refused with every fault', async () => {
  const config = { providers: { a: { baseUrl: 'nonsense' } }, policy: { maxAttempts: 0 } };
  await assert.rejects(
    createBreakwater(config),
    (error: Error) => /providers\.a\.baseUrl/.test(error.message) && /policy\.maxAttempts/.test(error.message),
  );
});

test('the library keeps what telemetry asks for: requests file, metrics, timelines', async (t) => {
  const storm = await startStorm({ timing: { tokens: 5 } });
  t.after(() => storm.close());
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-'));
  const file = join(folder, 'requests.jsonl');
  const breakwater = await createBreakwater({
    providers: { storm: { baseUrl: storm.url, apiKey: 'sk-test' } },
    models: { fast: ['storm/storm-small'] },
    telemetry: { requests: { file } },
  });
  const body = JSON.stringify({ model: 'fast', messages: [{ role: 'user', content: 'hi' }] });
  const response = await breakwater.fetch('http://breakwater/v1/chat/completions', { method: 'POST', body });
  await response.text();
  const id = response.headers.get('x-request-id');
  assert.match(await (await breakwater.fetch('http://breakwater/metrics')).text(), /^breakwater_requests_total\{model="fast"[^}]*\} 1$/m);
  assert.equal((await breakwater.fetch(`http://breakwater/admin/requests/${id}`)).status, 200);
  await breakwater.close();
  assert.equal((JSON.parse(await readFile(file, 'utf8')) as { id: string }).id, id);
});

test('the library logs where telemetry.logs is configured, and else writes nothing to stderr', () => {
  const run = (telemetry: string): string => {
    const index = new URL('./index.ts', import.meta.url).href;
    const config = `{ providers: { a: { baseUrl: 'http://127.0.0.1:9/v1' } }, models: { m: ['a/b'] }, policy: { maxAttempts: 1 }, telemetry: ${telemetry} }`;
    const code = `import { createBreakwater } from '${index}'; const b = await createBreakwater(${config});
      await b.fetch('http://b/v1/chat/completions', { method: 'POST', body: '{"model":"m","messages":[]}' }); await b.close();`;
    return spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' }).stderr;
  };
  assert.equal(run('{}'), '');
  assert.match(run("{ logs: { level: 'info' } }"), /^\{"level":"warn","time":"[^"]*Z","event":"attempt_end"/m);
});
