/** How responses end between dialects: finish reasons that denote a failure, and tool calls that are cut off. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
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
