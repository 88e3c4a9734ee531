/** What each dialect rejects that another accepts: typical conversion mistakes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isFailure } from './dialect.ts';
import { createDialects } from './dialects.ts';
import { createSeals } from './seals.ts';

const { all } = createDialects({ models: [], seals: createSeals(() => 'test'), epochMs: () => 0 });

/** The error message of a rejected request; empty if it is accepted. */
function refusalOf(path: string, body: object, headers: Readonly<Record<string, string>> = {}): string {
  const received = { method: 'POST', path, headers, body: Buffer.from(JSON.stringify(body)) };
  const dialect = all.find((one) => one.route(received) !== undefined);
  const read = dialect!.route(received)!.read(received);
  return isFailure(read) ? dialect!.failure(read).body.toString() : '';
}

function check(refusal: (change: object) => string, cases: readonly (readonly [change: object, message: RegExp])[]): void {
  assert.equal(refusal({}), '');
  for (const [change, message] of cases) assert.match(refusal(change), message);
}

test('Messages', () => {
  const user = { role: 'user', content: 'x' };
  const call = { role: 'assistant', content: [{ type: 'tool_use', id: 'i', name: 'f', input: {} }] };
  const result = (id: string) => ({ role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content: 'x' }] });
  const thinking = { type: 'enabled', budget_tokens: 1024 };
  const good = { model: 'm', max_tokens: 2000, messages: [user, call, result('i')] };
  check(
    (change) => refusalOf('/v1/messages', { ...good, ...change }, { 'anthropic-version': '2023-06-01' }),
    [
      [{ max_tokens: undefined }, /max_tokens: Field required/],
      [{ stop: ['x'] }, /stop: Extra inputs are not permitted/],
      [{ response_format: {} }, /response_format: Extra inputs/],
      [{ messages: [] }, /at least one message/],
      [{ messages: [{ role: 'tool', content: 'x' }] }, /Unexpected role/],
      [{ messages: [{ role: 'user', content: '' }] }, /non-empty content/],
      [{ messages: [{ role: 'user', content: [{ type: 'text', text: '' }] }] }, /text content blocks must be non-empty/],
      [{ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] }, /Input tag 'image_url'/],
      [{ messages: [user, call, user] }, /without `tool_result` blocks/],
      [{ messages: [user, call, result('i'), result('i')] }, /unexpected `tool_use_id`/],
      [{ messages: [user, call, result('i'), call, result('i')] }, /ids must be unique/],
      [{ tool_choice: 'auto' }, /tool_choice: Input should be an object/],
      [{ tools: [{ name: 'f', parameters: {} }] }, /tools\.0\.custom\.input_schema: Field required/],
      [{ tools: [{ type: 'function', function: {} }] }, /Input tag 'function'/],
      [{ thinking: { type: 'enabled', budget_tokens: 10 } }, /greater than or equal to 1024/],
      [{ thinking, max_tokens: 1000 }, /must be greater than `thinking\.budget_tokens`/],
      [{ thinking, temperature: 0.5 }, /may only be set to 1/],
      [{ thinking, tool_choice: { type: 'any' } }, /may not be enabled when tool_choice forces/],
    ],
  );
});

test('Gemini', () => {
  const user = { role: 'user', parts: [{ text: 'x' }] };
  const call = (args: unknown) => ({ role: 'model', parts: [{ functionCall: { name: 'f', args } }] });
  const result = (response: unknown) => ({ role: 'user', parts: [{ functionResponse: { name: 'f', response } }] });
  const declared = (declaration: object) => ({ tools: [{ functionDeclarations: [declaration] }] });
  const schema = { type: 'OBJECT', properties: { a: { type: 'ARRAY', items: { type: 'STRING', $ref: '#' } } } };
  const good = { contents: [user, call({}), result({})], ...declared({ name: 'a.b-c:d', parametersJsonSchema: { $schema: 'x' } }) };
  check(
    (change) => refusalOf('/v1beta/models/m:generateContent', { ...good, ...change }),
    [
      [{ max_tokens: 5 }, /Unknown name \\"maxTokens\\"/],
      [declared({ name: '1st' }), /Invalid function name/],
      [declared({ name: 'x'.repeat(65) }), /Invalid function name/],
      [declared({ name: 'f', parameters: { type: 'object', $schema: 'x' } }), /Unknown name \\"\$schema\\" at 'tools\[0\]/],
      [declared({ name: 'f', parameters: schema }), /Unknown name \\"\$ref\\" at '.*parameters\.properties\[0\]\.value\.items'/],
      [{ contents: [user, call('{}'), result({})] }, /function_call\.args' \(type\.googleapis\.com\/google\.protobuf\.Struct\)/],
      [{ contents: [user, call({}), result('x')] }, /function_response\.response'/],
      [{ contents: [user, call({})] }, /^$/],
      [{ contents: [user, call({}), user] }, /number of function response parts/],
      [{ contents: [user, result({})] }, /immediately after a function call turn/],
      [{ contents: [call({}), result({})] }, /immediately after a user turn/],
    ],
  );
});

test('Responses', () => {
  const format = (fields: object) => ({ text: { format: { type: 'json_schema', ...fields } } });
  const output = { type: 'function_call_output', call_id: 'c', output: 'x' };
  const call = { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' };
  check(
    (change) => refusalOf('/v1/responses', { model: 'm', input: [call, output], ...change }),
    [
      [format({ json_schema: { name: 'n', schema: {} } }), /Missing required parameter: 'text\.format\.name'/],
      [format({ name: 'n' }), /'text\.format\.schema'/],
      [{ tool_choice: { type: 'function', function: { name: 'f' } } }, /'tool_choice\.name'/],
      [{ n: 2 }, /Unknown parameter: 'n'/],
      [{ max_completion_tokens: 2 }, /has moved to 'max_output_tokens'/],
      [{ input: [output] }, /No tool call found for function call output with call_id c/],
      [{ input: [call] }, /No tool output found for function call c/],
      [{ input: [{ ...call, call_id: 'x'.repeat(65) }] }, /maximum length 64/],
      [
        { input: [{ role: 'assistant', content: [{ type: 'input_text', text: 'x' }] }] },
        /Supported values are: 'output_text' and 'refusal'/,
      ],
    ],
  );
});

test('Converse', () => {
  const user = { role: 'user', content: [{ text: 'x' }] };
  const call = { role: 'assistant', content: [{ toolUse: { toolUseId: 'i', name: 'f', input: {} } }] };
  const result = { role: 'user', content: [{ toolResult: { toolUseId: 'i', content: [] } }] };
  check(
    (change) => refusalOf('/model/m/converse', { messages: [user, call, result], toolConfig: { tools: [] }, ...change }),
    [
      [{ toolConfig: undefined }, /toolConfig field must be defined/],
      [{ messages: [{ role: 'user', content: [{ text: ' ' }] }] }, /is blank/],
      [{ messages: [user, user] }, /must alternate/],
      [{ messages: [call, result] }, /must start with a user message/],
      [{ messages: [user, call, user] }, /Expected toolResult blocks/],
      [{ messages: [user, { role: 'assistant', content: [{ text: 'y' }] }, result] }, /exceeds the number of toolUse blocks/],
      [{ messages: [{ role: 'system', content: [{ text: 'x' }] }] }, /enum value set/],
    ],
  );
});
