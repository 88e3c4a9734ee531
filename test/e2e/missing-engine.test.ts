import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { startWorld } from './world.ts';

test('an engine whose package is missing fails its target with the cure, and the next target is asked', async (t) => {
  const world = await startWorld(t, {
    storms: { a: {} },
    providers: { offline: { protocol: 'local', engine: 'llama', models: { chat: { weights: 'chat.gguf' } } } as never },
    models: { fast: ['offline/chat', 'a/m'] },
    directory: tmpdir(),
  });
  const alone = await world.ask({ model: 'offline/chat' });
  if (alone.text.includes('no weights')) return t.skip('node-llama-cpp is installed here');
  assert.equal(alone.status, 501);
  assert.match(alone.text, /npm install node-llama-cpp/);
  const seen = await world.ask();
  assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
  assert.equal(seen.headers.get('x-breakwater-fallback'), 'unsupported');
});
