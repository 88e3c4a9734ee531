/** Errors about requests that every provider refuses, and the expected verdicts: more rows of the verdict table. */
import type { Row } from './verdict.fixture.ts';

export const REQUEST_ROWS: readonly Row[] = [
  [
    'a value below a common minimum',
    400,
    {
      type: 'invalid_request_error',
      code: 'decimal_below_min_value',
      param: 'temperature',
      message: "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -1 instead.",
    },
    'reject invalid_request request',
  ],
  [
    'a value below a minimum of this target',
    400,
    {
      type: 'invalid_request_error',
      code: 'integer_below_min_value',
      param: 'max_output_tokens',
      message: "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 5 instead.",
    },
    'switch refused request',
  ],
  [
    'Responses: a tool call without its result',
    400,
    { type: 'invalid_request_error', code: 'invalid_request_error', message: 'No tool output found for function call call_1.' },
    'reject invalid_request request',
  ],
  [
    'chat: a tool call without its result',
    400,
    {
      type: 'invalid_request_error',
      message: "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.",
    },
    'reject invalid_request request',
  ],
  [
    'chat: a result without its tool call',
    400,
    {
      type: 'invalid_request_error',
      message: "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
    },
    'reject invalid_request request',
  ],
  [
    'Messages: a tool call without its result',
    400,
    {
      type: 'invalid_request_error',
      message: 'messages.2: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_01.',
    },
    'reject invalid_request request',
  ],
  [
    'Messages: a result without its tool call',
    400,
    { type: 'invalid_request_error', message: 'messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_01.' },
    'reject invalid_request request',
  ],
];
