import assert from 'node:assert/strict';
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
