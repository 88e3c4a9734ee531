/** What we write for Converse is what AWS's own SDK writes: it serialises by AWS's model of the API, and drops what that does not have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BedrockRuntimeClient, ConverseCommand } from '@aws-sdk/client-bedrock-runtime';
import type { ConverseCommandInput } from '@aws-sdk/client-bedrock-runtime';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { startCloudWorld } from './cloud-world.ts';

const MODEL = 'anthropic.claude-sonnet-4-5-20250929-v1:0';
const schema = { type: 'object', properties: { at: { type: 'string' } }, required: ['at'] };
const PNG = 'iVBORw0KGgo=';

const REQUESTS: Readonly<Record<string, object>> = {
  'text, system and settings': {
    system: 'Be brief.',
    temperature: 0.5,
    top_k: 5,
    stop_sequences: ['END'],
    messages: [{ role: 'user', content: 'hello' }],
  },
  'images and documents': {
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What is this?' },
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } },
          { type: 'document', title: 'A report', source: { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0=' } },
          { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'plain' } },
        ],
      },
    ],
  },
  'tools, calls and results': {
    tools: [{ name: 'tide', description: 'Tells the tide', input_schema: schema }],
    tool_choice: { type: 'tool', name: 'tide' },
    messages: [
      { role: 'user', content: 'When?' },
      { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_1', name: 'tide', input: { at: 'noon' } }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'high', is_error: true }] },
    ],
  },
  reasoning: { thinking: { type: 'enabled', budget_tokens: 1024 }, messages: [{ role: 'user', content: 'Think.' }] },
};

/** The SDK takes bytes where JSON has base64. */
function withBytes(value: unknown, key = ''): unknown {
  if (key === 'bytes') return Buffer.from(value as string, 'base64');
  if (Array.isArray(value)) return value.map((item) => withBytes(item));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, withBytes(item, name)]));
}

for (const [name, request] of Object.entries(REQUESTS)) {
  test(`the SDK writes the same request: ${name}`, async (t) => {
    const world = await startCloudWorld(t, {
      storms: { a: { keepBodies: 10 } },
      providers: { a: { preset: 'bedrock', apiKey: 'bedrock-key-1', models: { [MODEL]: { protocol: 'converse' } } } },
      models: { fast: [`a/${MODEL}`] },
    });
    const response = await world.post('/v1/messages', { model: 'fast', max_tokens: 2000, ...request });
    assert.equal(response.status, 200, await response.clone().text());
    const bodyOfLast = (): unknown => JSON.parse(world.storms['a']!.stats().log.at(-1)!.body!.toString());
    const ours = bodyOfLast();
    const client = new BedrockRuntimeClient({
      region: 'us-east-1',
      endpoint: `http://127.0.0.1:${world.storms['a']!.port}`,
      credentials: { accessKeyId: 'AKID', secretAccessKey: 'secret' },
      requestHandler: new NodeHttpHandler(),
      maxAttempts: 1,
    });
    t.after(() => client.destroy());
    await client.send(new ConverseCommand({ ...(withBytes(ours) as ConverseCommandInput), modelId: MODEL }));
    assert.deepEqual(bodyOfLast(), ours);
    assert.equal(world.calls()[0], 2);
  });
}
