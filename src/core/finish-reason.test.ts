import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAtLimit, isFailedFinish, isWithheld } from './finish-reason.ts';

const KINDS = { failed: isFailedFinish, limit: isAtLimit, withheld: isWithheld };
const CASES: readonly (readonly [string, keyof typeof KINDS | null])[] = [
  ...[
    'error',
    'network_error',
    'insufficient_system_resource',
    'abort',
    'aborted',
    'timeout',
    'TIMED_OUT',
    'internal_error',
    'InternalError',
  ]
    .concat(['failed', 'cancelled', 'MALFORMED_FUNCTION_CALL', 'rate_limit', 'engine-overloaded', 'upstream disconnected'])
    .map((finish) => [finish, 'failed'] as const),
  ...[
    'length',
    'max_tokens',
    'MAX_TOKENS',
    'maxTokens',
    'max_output_tokens',
    'model_length',
    'model_context_window_exceeded',
    'token_limit',
  ].map((finish) => [finish, 'limit'] as const),
  ...['content_filter', 'SAFETY', 'refusal', 'sensitive', 'RECITATION', 'PROHIBITED_CONTENT'].map(
    (finish) => [finish, 'withheld'] as const,
  ),
  ...[
    'stop',
    'STOP',
    'tool_calls',
    'function_call',
    'eos_token',
    'stop_sequence',
    'end_turn',
    'eos',
    'complete',
    'unknown',
    'other',
    'pause_turn',
  ].map((finish) => [finish, null] as const),
  ['', null],
  ['error '.repeat(100), null],
];

for (const [finish, expected] of CASES) {
  test(`${JSON.stringify(finish.slice(0, 40))} is ${expected ?? 'a normal end'}`, () => {
    const found = Object.entries(KINDS).filter(([, is]) => is(finish)).map(([name]) => name); // prettier-ignore
    assert.deepEqual(found, expected === null ? [] : [expected]);
  });
}
