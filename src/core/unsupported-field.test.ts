import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldNamedIn } from './unsupported-field.ts';

const NAMING: readonly string[] = [
  'Malformed input request: #: extraneous key [top_k] is not permitted, please reformat your input and try again.',
  "Unknown parameter: 'top_k'.",
  'Unrecognized request arguments supplied: top_k, seed',
  "Unrecognized key(s) in object: 'top_k'",
  'Unrecognized key: "top_k"',
  'Failed to deserialize the JSON body into the target type: unknown field `top_k`, expected one of `model`, `messages` at line 1 column 50',
  "Additional properties are not allowed ('top_k' was unexpected)",
  "Additional properties are not allowed ('top_k', 'seed' were unexpected)",
  '"top_k" is not allowed',
  '`top_k` is not permitted for this model',
  'top_k is not recognized',
  'top_k is not a valid parameter',
  'This model does not support the top_k parameter.',
  "The model doesn't support the parameter top_k",
  'The parameter `top_k` is no longer supported',
  'Argument not supported on this model: top_k',
  "Setting 'top_k' is not supported by this provider",
  'top_k cannot be used with this model',
];

test('the field that a message calls unsupported is found in all phrasings', () => {
  for (const message of NAMING) assert.equal(fieldNamedIn(message), 'top_k', message);
});

const OTHERS: readonly string[] = [
  '"stop" is not allowed to be empty',
  "Additional properties are not allowed ('top_k' was unexpected) - 'messages.0'",
  'This model does not support user messages',
  'This request is not allowed',
  'Request not allowed',
  'top_k must be at least 1',
  'top_k cannot be used with tools',
  'Failed to deserialize the JSON body into the target type: messages[0]: unknown field `top_k`, expected `role`',
  'The prompt says: top_k is not supported',
];

test('a message about a value, a part of a field or something else has no unsupported field', () => {
  for (const message of OTHERS) assert.equal(fieldNamedIn(message), null, message);
});
