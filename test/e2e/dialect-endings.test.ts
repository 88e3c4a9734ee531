/** How responses end between dialects: finish reasons that denote a failure, and tool calls that are cut off. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatChunk, messageEvent } from './dialect-wires.ts';
import { FOUR_WIRES, readBody } from './four-wires.ts';
import { startScripted } from './scripted-provider.ts';

const ONCE = { maxAttempts: 1 };

const data = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;
const candidate = (parts: readonly object[], finishReason?: string): object => ({
  candidates: [{ index: 0, content: { role: 'model', parts }, ...(finishReason !== undefined && { finishReason }) }],
});
const FAILED = ['MALFORMED_FUNCTION_CALL', 'UNEXPECTED_TOOL_CALL', 'TOO_MANY_TOOL_CALLS', 'MALFORMED_RESPONSE', 'OTHER', 'NO_IMAGE'];

describe('a finish reason of Gemini that denotes a failure', () => {
  for (const reason of FAILED) {
    const events = data(candidate([{ text: 'Let me call' }])) + data(candidate([], reason));
    const whole = JSON.stringify(candidate([{ text: 'Let me call' }], reason));

    it(`${reason} is an error to callers of other dialects, after text too`, async (t) => {
      for (const caller of ['chat', 'messages', 'responses'] as const)
        for (const response of [events, whole])
          for (const stream of [true, false]) {
            const seen = await (await startScripted(t, 'gemini', [response], ONCE))(caller, stream);
            assert.match(seen.text, new RegExp(`ended the response with ${reason}`));
            assert.doesNotMatch(seen.text, /"(finish_reason|stop_reason)":"|message_stop|response\.completed/);
            assert.equal(seen.outcome, 'failed');
          }
    });

    it(`${reason} in a response that is not yet sent goes to the next target`, async (t) => {
      for (const caller of ['chat', 'messages', 'gemini'] as const) {
        const seen = await (await startScripted(t, 'gemini', [whole, FOUR_WIRES.gemini.plain]))(caller, false);
        assert.deepEqual([seen.status, seen.calls, readBody(caller, false, seen.text).text], [200, 2, 'one two three']);
      }
    });
  }

  it('passes between equal dialects with every byte, after text', async (t) => {
    const events = data(candidate([{ text: 'Let me call' }])) + data(candidate([], 'MALFORMED_FUNCTION_CALL'));
    const seen = await (await startScripted(t, 'gemini', [events], ONCE))('gemini', true);
    assert.deepEqual([seen.status, seen.text], [200, events]);
  });

  it('is no success between equal dialects, where only reasoning came before it', async (t) => {
    const events = data(candidate([{ text: 'hm', thought: true }])) + data(candidate([], 'MALFORMED_FUNCTION_CALL'));
    const seen = await (await startScripted(t, 'gemini', [events], ONCE))('gemini', true);
    assert.deepEqual([readBody('gemini', true, seen.text).hasError || seen.status === 502, seen.outcome], [true, 'failed']);
  });

  it('is the last resort of a non-streaming caller of the same dialect, marked as such', async (t) => {
    const whole = JSON.stringify(candidate([{ text: 'Let me call' }], 'MALFORMED_FUNCTION_CALL'));
    const seen = await (await startScripted(t, 'gemini', [whole], ONCE))('gemini', false);
    assert.deepEqual([seen.status, seen.headers.get('x-breakwater-quality'), seen.text], [200, 'empty', whole]);
  });
});

const call = { type: 'tool_use', id: 'toolu_1', name: 'tide', input: {} };
const item = { type: 'function_call', id: 'fc_1', call_id: 'call_1', name: 'tide', status: 'completed', arguments: '{"at":' };

/** A call whose arguments end inside their JSON, and a finish reason that says nothing of it. */
const CUT: Readonly<Record<'messages' | 'gemini', string>> = {
  messages:
    messageEvent('message_start', { message: { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content: [], usage: {} } }) +
    messageEvent('content_block_start', { index: 0, content_block: call }) +
    messageEvent('content_block_delta', { index: 0, delta: { type: 'input_json_delta', partial_json: '{"at":' } }) +
    messageEvent('content_block_stop', { index: 0 }) +
    messageEvent('message_delta', { delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 3 } }) +
    messageEvent('message_stop'),
  gemini:
    data(candidate([{ functionCall: { name: 'tide', willContinue: true, partialArgs: [{ jsonPath: '$.at', stringValue: 'no' }] } }])) +
    data(candidate([], 'STOP')),
};

describe('a tool call whose arguments end inside their JSON', () => {
  for (const [protocol, dialect] of [
    ['anthropic', 'messages'],
    ['gemini', 'gemini'],
  ] as const)
    // prettier-ignore
    for (const caller of ['chat', 'messages', 'gemini', 'responses'] as const)
      it(`is a failure of a ${dialect} provider for a ${caller} caller, and goes to the next target if nothing is sent`, async (t) => {
        for (const stream of [true, false]) {
          const seen = await (await startScripted(t, protocol, [CUT[dialect]], ONCE))(caller, stream);
          assert.match(seen.text, /ended inside the arguments of a tool call/);
          assert.doesNotMatch(seen.text, /"(finish_reason|stop_reason|finishReason)":"|message_stop|response\.completed|"args"/);
          assert.equal(seen.outcome, 'failed');
        }
        const other = await (await startScripted(t, protocol, [CUT[dialect], FOUR_WIRES[dialect].plain]))(caller, false);
        assert.deepEqual([other.status, other.calls, readBody(caller, false, other.text).text], [200, 2, 'one two three']);
      });

  it('is a failure of a Responses provider', async (t) => {
    const whole = JSON.stringify({ id: 'resp_1', object: 'response', created_at: 1, model: 'm', status: 'completed', output: [item] });
    const events = messageEvent('response.completed', { response: JSON.parse(whole) as object, sequence_number: 0 });
    for (const [response, stream] of [
      [whole, false],
      [events, true],
    ] as const) {
      const seen = await (await startScripted(t, 'openai', [response], ONCE))('responses', stream);
      assert.deepEqual([seen.outcome, /inside the arguments/.test(seen.text)], ['failed', true]);
    }
  });

  it('is no call for a caller whose dialect has only whole arguments, where a limit cut it off', async (t) => {
    const limited = CUT.messages.replace('"tool_use"},"usage"', '"max_tokens"},"usage"');
    for (const [caller, stream] of [
      ['messages', false],
      ['gemini', false],
      ['gemini', true],
    ] as const) {
      const seen = await (await startScripted(t, 'anthropic', [limited], ONCE))(caller, stream);
      assert.deepEqual([seen.status, seen.outcome], [200, 'success']);
      assert.match(seen.text, /"(stop_reason|finishReason)":"(max_tokens|MAX_TOKENS)"/);
      assert.doesNotMatch(seen.text, /tide/);
    }
  });
});

const piece = (fields: object): string => chatChunk({ tool_calls: [{ index: 0, ...fields }] });
const named = (fields: object, more: object = {}): string => piece({ ...more, function: fields });
const END = chatChunk({}, 'tool_calls') + 'data: [DONE]\n\n';
const ID = { id: 'call_1', type: 'function' };
const NAMES: Readonly<Record<string, string>> = {
  'in pieces': named({ name: 'get_', arguments: '' }, ID) + named({ name: 'tide', arguments: '{"at":"noon"}' }) + END,
  'after the arguments': named({ arguments: '{"at"' }, ID) + named({ name: 'get_tide', arguments: ':"noon"}' }) + END,
  'alone, and late': named({ arguments: '' }, ID) + named({ name: 'get_tide' }) + named({ arguments: '{"at":"noon"}' }) + END,
  'in every delta': named({ name: 'get_tide', arguments: '{"at"' }, ID) + named({ name: 'get_tide', arguments: ':"noon"}' }, ID) + END,
  'before its id': named({ name: 'get_tide', arguments: '' }) + named({ arguments: '{"at":"noon"}' }, ID) + END,
};

describe('the name of a tool in a chat stream', () => {
  for (const [how, events] of Object.entries(NAMES))
    it(`reaches every caller whole if it comes ${how}`, async (t) => {
      for (const caller of ['chat', 'messages', 'gemini', 'responses'] as const)
        for (const stream of caller === 'chat' ? [false] : [true, false]) {
          const seen = await (await startScripted(t, 'openai', [events], ONCE, caller === 'responses'))(caller, stream);
          assert.equal(seen.status, 200, seen.text);
          const names = [...seen.text.matchAll(/"name":"([^"]*)"/g)].map(([, name]) => name);
          assert.deepEqual([...new Set(names)], ['get_tide'], seen.text);
          assert.equal(seen.text.match(/noon/g)!.length >= 1, true);
        }
    });

  it('that never comes makes a converted response malformed', async (t) => {
    const events = named({ arguments: '{"at":"noon"}' }, ID) + END;
    for (const caller of ['messages', 'gemini'] as const)
      for (const stream of [true, false]) {
        const seen = await (await startScripted(t, 'openai', [events], ONCE))(caller, stream);
        assert.match(seen.text, /a tool call has no name/);
        assert.equal(seen.outcome, 'failed');
      }
  });
});

const USAGE = data({ id: 'chatcmpl-1', choices: [], usage: { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 } });

describe('content after the finish reason of a chat stream', () => {
  const events = chatChunk({ content: 'one ' }) + chatChunk({}, 'stop') + chatChunk({ content: 'two' }) + USAGE + 'data: [DONE]\n\n';

  it('reaches callers of every dialect', async (t) => {
    for (const caller of ['chat', 'messages', 'gemini', 'responses'] as const)
      for (const stream of [true, false]) {
        const seen = await (await startScripted(t, 'openai', [events], ONCE, caller === 'responses'))(caller, stream);
        const { text, isWhole, hasError } = readBody(caller, stream, seen.text);
        assert.deepEqual([text, isWhole, hasError], ['one two', true, false], `${caller} ${stream}: ${seen.text}`);
      }
  });
});
