/** Servers with `protocol: openai` that have no Responses API: requests are converted to chat, and the API is tried again later. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headStep, TEXT, wholeAnswer, WIRES } from './dialect-wires.ts';
import { startVirtualWorld } from './virtual.ts';

const HOUR_MS = 60 * 60 * 1000;

test('a server without the Responses API is asked for it once an hour', async (t) => {
  const world = await startVirtualWorld(t, {
    providers: {
      a: ({ request }) =>
        request.path.endsWith('/responses')
          ? { steps: [headStep(false, 404), { do: 'send', bytes: '{"detail":"Not Found"}' }] }
          : wholeAnswer(WIRES.openai, false),
    },
  });
  const paths = (): string[] => world.upstream.calls.map(({ request }) => request.path);
  const ask = async (): Promise<string> => {
    const response = await world.until(
      world.fetch('http://breakwater/v1/responses', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'fast', input: 'Hi', store: false }),
      }),
    );
    return world.until(response.text());
  };
  assert.match(await ask(), new RegExp(TEXT));
  assert.deepEqual(paths(), ['/v1/responses', '/v1/chat/completions']);
  await ask();
  await world.clock.advanceAsync(HOUR_MS - 1000);
  await ask();
  assert.deepEqual(paths().slice(2), ['/v1/chat/completions', '/v1/chat/completions']);
  await world.clock.advanceAsync(1000);
  await ask();
  assert.deepEqual(paths().slice(4), ['/v1/responses', '/v1/chat/completions']);
});
