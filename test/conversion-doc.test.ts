/** docs/conversion.md says what becomes of each field between dialects: row by row what the tables and writers in `src/wire` do. */
import assert from 'node:assert/strict';
import { CURRENT_MODEL } from '../src/wire/target-capabilities.fixture.ts';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { MESSAGES_FIELDS } from '../src/wire/anthropic-messages/request-fields.ts';
import { CODECS } from '../src/wire/codecs.ts';
import type { FieldHandling } from '../src/wire/conversion-loss.ts';
import { FINISH_CLASSES } from '../src/wire/model.ts';
import type { DialectName, WriteOptions } from '../src/wire/model.ts';
import { CHAT_FIELDS } from '../src/wire/openai-chat/request-fields.ts';

const doc = readFileSync(new URL('../docs/conversion.md', import.meta.url), 'utf8');

/** JSON whose shape the assertions say. */
// oxlint-disable-next-line typescript/no-explicit-any
type Json = Record<string, any>;
const FATES = ['carried', 'translated', 'dropped', 'refused', 'ignored'] as const;
type Fate = (typeof FATES)[number];

/** Rows of the table under a heading: the name in backticks, then the handling. */
function rowsUnder(heading: string): Map<string, string> {
  const section = doc.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0];
  assert.ok(section !== undefined, `there is no heading ${heading}`);
  const rows = new Map<string, string>();
  for (const [, names, handling] of section.matchAll(/^\| (`[^|]+`) \| (\w+) \|/gm)) {
    for (const [, name] of names!.matchAll(/`([^`]+)`/g)) {
      assert.ok(!rows.has(name!), `${name} stands twice under ${heading}`);
      rows.set(name!, handling!);
    }
  }
  return rows;
}

interface Direction {
  readonly heading: string;
  readonly from: DialectName;
  readonly to: DialectName;
  readonly fields: Readonly<Record<string, FieldHandling>>;
  readonly usual: Json;
  /** A value that asks for something, for each field. */
  readonly examples: Json;
}

const text = [{ role: 'user', content: 'Hi' }];
const schema = { type: 'object', properties: { at: { type: 'string' } }, required: ['at'], additionalProperties: false };
const chatTool = { type: 'function', function: { name: 'tide', parameters: schema } };
const tool = { name: 'tide', input_schema: schema };

const DIRECTIONS: readonly Direction[] = [
  {
    heading: 'A chat request at a Messages target',
    from: 'openai-chat',
    to: 'anthropic-messages',
    fields: CHAT_FIELDS,
    usual: { messages: text, max_tokens: 64_000 },
    examples: {
      messages: text,
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 7,
      max_completion_tokens: 7,
      n: 2,
      temperature: 0.5,
      top_p: 0.5,
      top_k: 5,
      seed: 7,
      presence_penalty: 1,
      frequency_penalty: 1,
      stop: ['END'],
      tools: [chatTool],
      tool_choice: 'required',
      parallel_tool_calls: false,
      functions: [chatTool.function],
      function_call: { name: 'tide' },
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
      reasoning_effort: 'high',
      reasoning: { effort: 'high' },
      thinking: { type: 'enabled', budget_tokens: 2048 },
      enable_thinking: true,
      user: 'u',
      safety_identifier: 'u',
      prompt_cache_key: 'k',
      service_tier: 'flex',
      modalities: ['text', 'audio'],
      audio: { voice: 'x' },
      web_search_options: { x: 1 },
      store: true,
      metadata: { a: 'b' },
      logprobs: true,
      top_logprobs: 2,
      logit_bias: { 1: 2 },
      prediction: { type: 'content' },
      verbosity: 'low',
      moderation: 'x',
      prompt_cache_options: { x: 1 },
      prompt_cache_retention: '24h',
    },
  },
  {
    heading: 'A Messages request at a chat target',
    from: 'anthropic-messages',
    to: 'openai-chat',
    fields: MESSAGES_FIELDS,
    usual: { messages: text, max_tokens: 50 },
    examples: {
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }],
      system: 'Be brief.',
      max_tokens: 7,
      stream: true,
      temperature: 0.5,
      top_p: 0.5,
      top_k: 5,
      stop_sequences: ['END'],
      tools: [tool],
      tool_choice: { type: 'any' },
      thinking: { type: 'enabled', budget_tokens: 2048 },
      output_config: { effort: 'high', format: { type: 'json_schema', schema } },
      output_format: { type: 'json_schema', schema },
      metadata: { user_id: 'u' },
      service_tier: 'priority',
      thread: { type: 'create' },
      container: 'c',
      mcp_servers: [{ type: 'url' }],
      compaction: { type: 'summarize' },
      anthropic_version: 'x',
      anthropic_beta: ['x'],
      betas: ['x'],
      diagnostics: { x: 1 },
      workspace_id: 'w',
      user_profile_id: 'p',
      billing_policy: { x: 1 },
      cache_control: { type: 'ephemeral' },
      context_management: { edits: [] },
      fallbacks: 'default',
      fallback_credit_token: 't',
      inference_geo: 'eu',
      speed: 'fast',
    },
  },
];

interface Converted {
  readonly body: Json;
  readonly dropped: readonly string[];
}

function convert({ from, to }: Pick<Direction, 'from' | 'to'>, body: Json): Converted | null {
  const request = CODECS[from].parseRequest(JSON.stringify({ model: 'm', ...body }), body['stream'] === true);
  const encoded = CODECS[to].writeRequest(request, { model: 'm', askUsage: false, apply: (fields) => fields }, CURRENT_MODEL);
  return encoded.ok ? { body: JSON.parse(Buffer.from(encoded.body).toString()) as Json, dropped: encoded.dropped } : null;
}

/** What becomes of a field, by what the conversion with it and without it gives. */
function fateOf(direction: Direction, field: string): Fate {
  const value: unknown = direction.examples[field];
  assert.notEqual(value, undefined, `there is no example for ${field}`);
  const needsTools = ['tool_choice', 'parallel_tool_calls'].includes(field);
  const usual: Json = {
    ...direction.usual,
    ...(needsTools ? { tools: direction.examples['tools'] } : {}),
    ...(field === 'function_call' ? { functions: direction.examples['functions'] } : {}),
  };
  const converted = convert(direction, { ...usual, [field]: value });
  if (converted === null) return 'refused';
  const without = convert(direction, usual)!;
  if (converted.dropped.length > 0) {
    assert.ok(
      converted.dropped.every((name) => name.split('.')[0] === field),
      `${field} is dropped as ${converted.dropped.join()}`,
    );
    return 'dropped';
  }
  if (isDeepStrictEqual(converted.body[field], value)) return 'carried';
  return isDeepStrictEqual(converted.body, without.body) && field !== 'messages' ? 'ignored' : 'translated';
}

for (const direction of DIRECTIONS) {
  test(`docs/conversion.md says what becomes of each field: ${direction.heading}`, () => {
    const rows = rowsUnder(direction.heading);
    const expected = new Map(
      Object.keys(direction.fields)
        .filter((name) => name !== 'model')
        .map((name) => [name, fateOf(direction, name)]),
    );
    assert.deepEqual(Object.fromEntries(rows), Object.fromEntries(expected));
  });
}

const IMAGE = { type: 'image_url', image_url: { url: 'data:image/png;base64,aGk=' } };
const PDF = 'data:application/pdf;base64,aGk=';
const source = { type: 'base64', media_type: 'image/png', data: 'aGk=' };

interface Content extends Pick<Direction, 'heading' | 'from' | 'to' | 'usual'> {
  /** Messages that hold each kind of content beside a text. */
  readonly examples: Readonly<Record<string, readonly Json[]>>;
}

const asked = (...content: Json[]): Json => ({ role: 'user', content: [{ type: 'text', text: 'Hi' }, ...content] });
const answered = (...content: Json[]): Json => ({ role: 'assistant', content: [{ type: 'text', text: 'So' }, ...content] });
const call = { id: 'c', type: 'function', function: { name: 'tide', arguments: '{}' } };
const use = { type: 'tool_use', id: 'toolu_c', name: 'tide', input: {} };

const CONTENTS: readonly Content[] = [
  {
    heading: 'Content of chat messages',
    from: 'openai-chat',
    to: 'anthropic-messages',
    usual: { max_tokens: 50 },
    examples: {
      text: [asked()],
      image_url: [asked(IMAGE)],
      input_audio: [asked({ type: 'input_audio', input_audio: { data: 'aGk=', format: 'wav' } })],
      file_data: [asked({ type: 'file', file: { filename: 'a.pdf', file_data: PDF } })],
      file_id: [asked({ type: 'file', file: { file_id: 'file-1' } })],
      refusal: [asked(), { role: 'assistant', content: null, refusal: 'No.' }, asked()],
      reasoning_content: [asked(), { role: 'assistant', content: 'So', reasoning_content: 'Hm' }, asked()],
      tool_calls: [asked(), { role: 'assistant', content: null, tool_calls: [call] }, { role: 'tool', tool_call_id: 'c', content: 'x' }],
      audio: [asked(), { role: 'assistant', content: 'So', audio: { id: 'audio_1' } }, asked()],
      name: [{ ...asked(), name: 'Ann' }],
      developer: [{ role: 'developer', content: 'Be brief.' }, asked()],
    },
  },
  {
    heading: 'Blocks of a Messages request',
    from: 'anthropic-messages',
    to: 'openai-chat',
    usual: { max_tokens: 50 },
    examples: {
      text: [asked()],
      image: [asked({ type: 'image', source })],
      'image by file_id': [asked({ type: 'image', source: { type: 'file', file_id: 'file_1' } })],
      document: [asked({ type: 'document', source: { ...source, media_type: 'application/pdf' } })],
      'document by url': [asked({ type: 'document', source: { type: 'url', url: 'https://example.com/a.pdf' } })],
      search_result: [asked({ type: 'search_result', source: 'x', title: 'y', content: [{ type: 'text', text: 'z' }] })],
      thinking: [asked(), answered({ type: 'thinking', thinking: 'Hm', signature: 's' }), asked()],
      redacted_thinking: [asked(), answered({ type: 'redacted_thinking', data: 'x' }), asked()],
      tool_use: [asked(), answered(use), asked({ type: 'tool_result', tool_use_id: 'toolu_c', content: 'x' })],
      tool_result: [asked(), answered(use), asked({ type: 'tool_result', tool_use_id: 'toolu_c', content: 'x', is_error: true })],
      server_tool_use: [asked(), answered({ type: 'server_tool_use', id: 's', name: 'web_search', input: {} }), asked()],
      web_search_tool_result: [asked(), answered({ type: 'web_search_tool_result', tool_use_id: 's', content: [] }), asked()],
      mcp_tool_use: [asked(), answered({ type: 'mcp_tool_use', id: 'm', name: 'x', server_name: 'y', input: {} }), asked()],
      fallback: [asked(), answered({ type: 'fallback', from: { model: 'a' }, to: { model: 'b' } }), asked()],
      compaction: [answered({ type: 'compaction', content: 'So far.' }), asked()],
      'compaction without words': [answered({ type: 'compaction', content: null, encrypted_content: 'x' }), asked()],
      container_upload: [asked({ type: 'container_upload', file_id: 'file_1' })],
      cache_control: [asked({ type: 'text', text: 'more', cache_control: { type: 'ephemeral' } })],
      system: [asked(), { role: 'system', content: 'Be brief.' }],
    },
  },
];

for (const content of CONTENTS) {
  test(`docs/conversion.md says what becomes of each kind of content: ${content.heading}`, () => {
    const expected = Object.entries(content.examples).map(([name, messages]): [string, Fate] => {
      const converted = convert(content, { ...content.usual, messages });
      if (converted === null) return [name, 'refused'];
      return [name, converted.dropped.length > 0 ? 'dropped' : 'translated'];
    });
    assert.deepEqual(Object.fromEntries(rowsUnder(content.heading)), Object.fromEntries(expected));
  });
}

const WRITE: WriteOptions = { id: 'r', model: 'm', createdAt: 0, includeUsage: true, tools: [], echo: {} };

function stopAt(to: DialectName, from: DialectName, response: Json): unknown {
  const written = CODECS[to].writeResponse(CODECS[from].parseResponse(Buffer.from(JSON.stringify(response))), WRITE);
  const value = JSON.parse(Buffer.from(written).toString()) as Json;
  return to === 'openai-chat' ? value['choices'][0].finish_reason : value['stop_reason'];
}

test('docs/conversion.md says what becomes of each reason to stop', () => {
  const message = {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    content: [{ type: 'text', text: 'So' }],
    usage: { input_tokens: 1, output_tokens: 1 },
  };
  const toChat = rowsUnder('Why a Messages response stopped');
  assert.ok(toChat.size >= FINISH_CLASSES.length + 1);
  for (const [reason, finish] of toChat) {
    const stop = reason === 'any other' ? 'sunset' : reason;
    const content = reason === 'tool_use' ? [{ type: 'tool_use', id: 'toolu_1', name: 'x', input: {} }] : message.content;
    assert.equal(stopAt('openai-chat', 'anthropic-messages', { ...message, content, stop_reason: stop }), finish, reason);
  }
  const toMessages = rowsUnder('Why a chat response stopped');
  assert.ok(toMessages.size >= 5);
  for (const [reason, stop] of toMessages) {
    const said = reason === 'tool_calls' ? { content: null, tool_calls: [call] } : { content: 'So' };
    const choices = [{ index: 0, message: { role: 'assistant', ...said }, finish_reason: reason === 'any other' ? 'sunset' : reason }];
    assert.equal(stopAt('anthropic-messages', 'openai-chat', { id: 'c', model: 'm', choices }), stop, reason);
  }
});
