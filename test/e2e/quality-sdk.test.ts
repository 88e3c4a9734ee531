/** The rules of quality as the official SDK sees them, over the socket and in process, plain and streamed, with exact upstream counts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import OpenAI from 'openai';
import { chatBody } from './harness.ts';
import { CASES, poorAt } from './quality-cases.ts';
import { askBySdk } from './sdk-caller.ts';
import { startWorld, WAYS } from './world.ts';
import type { Way, World } from './world.ts';

const sdkOf = (world: World, way: Way): OpenAI =>
  way === 'socket' ? world.openai : new OpenAI({ baseURL: 'http://breakwater/v1', apiKey: 'unused', maxRetries: 0, fetch: world.fetch });
const callsOf = (world: World): number[] => Object.values(world.storms).map((storm) => storm.stats().calls);

for (const way of WAYS) {
  for (const stream of [false, true]) {
    describe(`by ${way}, ${stream ? 'a buffered stream' : 'a plain answer'}`, { concurrency: 4 }, () => {
      for (const { name, kind, quality, mark, body = {} } of CASES) {
        it(`is another’s, or marked where there is none: ${name}`, async (t) => {
          const models = { fast: ['a/m', 'b/m'], alone: ['a/m'] };
          const config = { policy: { quality: { ...quality, buffer: stream } } };
          const world = await startWorld(t, { storms: { a: poorAt(kind), b: {} }, models, config });
          const ask = (model: string) => askBySdk(sdkOf(world, way), chatBody({ max_tokens: 200, ...body, model, stream }));
          const good = await ask('fast');
          assert.equal(good.end, 'answer');
          assert.deepEqual([good.said[0]!.finish, good.headers.get('x-breakwater-quality')], ['stop', null]);
          assert.notEqual(good.said[0]!.content, '');
          assert.deepEqual([good.headers.get('x-breakwater-fallback'), ...callsOf(world)], ['quality', 1, 1]);
          const poor = await ask('alone');
          assert.equal(poor.end, 'answer');
          assert.deepEqual([poor.headers.get('x-breakwater-quality'), ...callsOf(world)], [mark, 2, 1]);
          assert.deepEqual(world.gateway.targets().find(({ target }) => target === 'a/m')?.failedQualityChecks, { [mark]: 2 });
        });
      }
    });
  }
}

it('a legacy completion is judged too, plain and streamed', async (t) => {
  const config = { policy: { quality: { minLength: 60, buffer: true } } };
  const world = await startWorld(t, { storms: { a: poorAt('prose'), b: {} }, config });
  const asked = { model: 'fast', prompt: 'Say something.', max_tokens: 200 };
  const plain = await world.openai.completions.create(asked);
  let streamed = '';
  for await (const chunk of await world.openai.completions.create({ ...asked, stream: true })) streamed += chunk.choices[0]?.text ?? '';
  assert.ok(plain.choices[0]!.text.length >= 60 && streamed.length >= 60);
  assert.deepEqual(callsOf(world), [2, 2]);
});

it('structured outputs parse, though the first target gives prose and the second wraps them in a fence', async (t) => {
  const schema = { type: 'object', properties: { boats: { type: 'integer' } }, required: ['boats'], additionalProperties: false };
  const fenced = '```json\n{ "boats": 3 }\n```';
  const world = await startWorld(t, {
    storms: { a: poorAt('prose'), b: {} },
    models: { fast: ['a/m', { target: 'b/m', set: { messages: [{ role: 'user', content: `echo ${fenced}` }] } }] },
  });
  const parsed = await world.openai.chat.completions.parse({
    model: 'fast',
    messages: [{ role: 'user', content: 'How many boats?' }],
    response_format: { type: 'json_schema', json_schema: { name: 'boats', strict: true, schema } },
  });
  assert.deepEqual(parsed.choices[0]!.message.parsed, { boats: 3 });
  assert.deepEqual(callsOf(world), [1, 1]);
});
