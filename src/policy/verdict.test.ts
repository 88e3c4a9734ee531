import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Failure } from '../core/facts.ts';
import { judge } from './verdict.ts';
import type { Judgement } from './verdict.ts';

function failure(found: Partial<Failure>): Failure {
  return {
    kind: 'status',
    phase: 'headers',
    status: null,
    code: null,
    type: null,
    param: null,
    message: '',
    retryAfterMs: null,
    body: null,
    contentType: null,
    ...found,
  };
}

/** Verdict and reason, then what else follows: `breaker`, `cooldown`, `bench`, `request` (it lies in the request). */
function words(judgement: Judgement): string {
  const { verdict, reason, health, effect, liesInRequest } = judgement;
  return [verdict, reason, health === 'failure' ? 'breaker' : '', effect === 'none' ? '' : effect, liesInRequest ? 'request' : '']
    .filter(Boolean)
    .join(' ');
}

type Row = readonly [what: string, status: number, found: Partial<Failure>, expected: string];

const STATUS_ROWS: readonly Row[] = [
  // any provider
  ['a timeout at the provider', 408, {}, 'retry timeout'],
  ['a conflict', 409, {}, 'retry conflict'],
  ['too early', 425, {}, 'retry conflict'],
  ['a server error', 500, { type: 'server_error' }, 'retry server_error breaker'],
  [
    'a bad gateway with an HTML page',
    502,
    { message: 'an HTML page: 502 Bad Gateway', contentType: 'text/html' },
    'retry server_error breaker',
  ],
  ['unavailable', 503, {}, 'retry overloaded breaker'],
  ['a gateway timeout', 504, {}, 'retry server_error breaker'],
  ['a CDN that can’t reach its origin', 522, {}, 'retry server_error breaker'],
  ['overloaded', 529, { type: 'overloaded_error' }, 'retry overloaded breaker'],
  // OpenAI
  [
    'too many requests',
    429,
    { code: 'rate_limit_exceeded', type: 'requests', message: 'Rate limit reached for gpt-5. Please try again in 1.2s.' },
    'retry rate_limited cooldown',
  ],
  ['too many requests, no body', 429, {}, 'retry rate_limited cooldown'],
  [
    'a request that no wait makes fit',
    429,
    { code: 'rate_limit_exceeded', type: 'tokens', message: 'Request too large for gpt-5: Limit 30000, Requested 40000' },
    'switch too_large request',
  ],
  ['no quota left, by type', 429, { type: 'insufficient_quota', message: 'You exceeded your current quota' }, 'switch quota bench'],
  ['no quota left, by code', 429, { code: 'insufficient_quota' }, 'switch quota bench'],
  ['no credit left', 429, { code: 'credit_balance_exhausted', type: 'insufficient_quota' }, 'switch quota bench'],
  ['the organisation’s spend limit', 429, { code: 'organization_spend_limit_exceeded' }, 'switch quota bench'],
  ['the project’s spend limit', 429, { code: 'project_spend_limit_exceeded' }, 'switch quota bench'],
  ['the organisation’s usage limit', 429, { code: 'organization_usage_limit_exceeded' }, 'switch quota bench'],
  ['traffic that grows too fast', 429, { type: 'rate_limit_error', code: 'slow_down' }, 'retry rate_limited cooldown'],
  ['no flex capacity', 429, { code: 'resource_unavailable' }, 'retry rate_limited cooldown'],
  ['an overloaded server', 503, { type: 'service_unavailable_error', code: 'server_is_overloaded' }, 'retry overloaded breaker'],
  ['a context too long', 400, { type: 'invalid_request_error', code: 'context_length_exceeded' }, 'switch context_length request'],
  [
    'a prompt against the policy',
    400,
    { type: 'invalid_request_error', code: 'content_policy_violation' },
    'switch content_filter request',
  ],
  ['an invalid prompt', 400, { type: 'invalid_request_error', code: 'invalid_prompt' }, 'switch content_filter request'],
  [
    'an unsupported parameter',
    400,
    { type: 'invalid_request_error', code: 'unsupported_parameter', param: 'temperature' },
    'switch unsupported request',
  ],
  ['an unsupported value', 422, { code: 'unsupported_value' }, 'switch unsupported request'],
  ['a bad schema', 400, { type: 'invalid_request_error', code: 'invalid_function_parameters' }, 'reject invalid_request request'],
  ['a missing parameter', 400, { type: 'invalid_request_error', code: 'missing_required_parameter' }, 'reject invalid_request request'],
  ['unprocessable', 422, { type: 'invalid_request_error' }, 'reject invalid_request request'],
  ['a bad key', 401, { code: 'invalid_api_key' }, 'switch auth bench'],
  ['a country that is not served', 403, { code: 'unsupported_country_region_territory' }, 'switch auth bench'],
  [
    'a project without access to the model',
    403,
    { code: 'model_not_found', message: 'Project x does not have access to model y' },
    'switch model_not_found request',
  ],
  ['the same without a code', 403, { message: 'Your key does not have access to the model y' }, 'switch model_not_found request'],
  ['an unknown model', 404, { code: 'model_not_found', type: 'invalid_request_error' }, 'switch model_not_found request'],
  ['an unknown path', 404, { message: 'an HTML page' }, 'switch model_not_found request'],
  ['too large a body', 413, { message: 'an HTML page: 413 Request Entity Too Large' }, 'reject invalid_request request'],
  // Azure
  ['a content filter', 400, { code: 'content_filter', message: 'The response was filtered' }, 'switch content_filter request'],
  ['an unknown deployment', 404, { code: 'DeploymentNotFound' }, 'switch model_not_found request'],
  // Anthropic’s words behind an OpenAI protocol
  [
    'a spend limit in words',
    400,
    { type: 'invalid_request_error', message: 'This request would exceed your organization spend limit' },
    'switch quota bench',
  ],
  [
    'a credit balance in words',
    400,
    { type: 'invalid_request_error', message: 'Your credit balance is too low to access the API' },
    'switch quota bench',
  ],
  [
    'a prompt too long, in words',
    400,
    { type: 'invalid_request_error', message: 'prompt is too long: 210000 tokens > 200000 maximum' },
    'switch context_length request',
  ],
  // Gemini’s OpenAI endpoint
  [
    'RESOURCE_EXHAUSTED',
    429,
    { code: 'RESOURCE_EXHAUSTED', message: 'You exceeded your current quota, please check your plan and billing details' },
    'retry rate_limited cooldown',
  ],
  ['a bad key told as a bad argument', 400, { code: 'API_KEY_INVALID', type: 'INVALID_ARGUMENT' }, 'switch auth bench'],
  [
    'a token count too high',
    400,
    { code: 'INVALID_ARGUMENT', message: 'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).' },
    'switch context_length request',
  ],
  // the others
  ['Groq without capacity', 498, { code: 'capacity_exceeded' }, 'retry overloaded breaker'],
  [
    'Groq: too large for the minute',
    413,
    { code: 'rate_limit_exceeded', type: 'tokens', message: 'Request too large for model x on tokens per minute (TPM): Limit 6000' },
    'switch too_large request',
  ],
  ['DeepSeek without balance', 402, { message: 'Insufficient Balance' }, 'switch quota bench'],
  ['DeepSeek: bad parameters', 422, {}, 'reject invalid_request request'],
  ['OpenRouter without credits', 402, { type: 'payment_required' }, 'switch quota bench'],
  ['OpenRouter: moderation', 403, { message: 'Your input was flagged: x requires moderation' }, 'switch content_filter request'],
  ['OpenRouter: moderation, in a word', 403, { type: 'content_policy_violation' }, 'switch content_filter request'],
  [
    'Cerebras: token quota of the minute',
    429,
    { code: 'token_quota_exceeded', type: 'too_many_tokens_error' },
    'retry rate_limited cooldown',
  ],
  ['Mistral: validation', 422, { type: 'invalid_request_error' }, 'reject invalid_request request'],
  [
    'Ollama: its queue is full',
    503,
    { type: 'api_error', message: 'server busy, please try again. maximum pending requests exceeded' },
    'retry busy cooldown',
  ],
  ['llama.cpp: loading', 503, { type: 'unavailable_error', message: 'Loading model' }, 'retry busy cooldown'],
  ['llama.cpp: context too long', 400, { type: 'exceed_context_size_error' }, 'switch context_length request'],
  [
    'vLLM: context too long',
    400,
    { type: 'BadRequestError', code: '400', message: 'This model’s maximum context length is 8192 tokens' },
    'switch context_length request',
  ],
  ['vLLM: unauthorised', 401, { message: 'Unauthorized' }, 'switch auth bench'],
  ['an error of the model behind Bedrock', 424, {}, 'retry overloaded breaker'],
  ['a method that is not built', 501, {}, 'switch unsupported request'],
  ['a redirect', 302, {}, 'switch malformed breaker'],
];

describe('an error status', () => {
  for (const [what, status, found, expected] of STATUS_ROWS) {
    test(`${status} ${what}: ${expected}`, () => assert.equal(words(judge(failure({ ...found, status }))), expected));
  }
});

const INSIDE_ROWS: readonly (readonly [what: string, found: Partial<Failure>, expected: string])[] = [
  ['an overloaded server in the first event', { type: 'overloaded_error' }, 'retry overloaded breaker'],
  ['a failed response: server_error', { code: 'server_error' }, 'retry server_error breaker'],
  ['a failed response: rate_limit_exceeded', { code: 'rate_limit_exceeded' }, 'retry rate_limited cooldown'],
  ['a failed response: invalid_prompt', { code: 'invalid_prompt' }, 'switch content_filter request'],
  ['a chunk with a status of its own', { status: 429, code: '429' }, 'retry rate_limited cooldown'],
  ['a chunk with a bad gateway', { status: 502, code: '502' }, 'retry server_error breaker'],
  ['a chunk that names no quota', { type: 'insufficient_quota' }, 'switch quota bench'],
  ['a spend limit', { code: 'project_spend_limit_exceeded' }, 'switch quota bench'],
  ['a usage limit', { code: 'organization_usage_limit_exceeded' }, 'switch quota bench'],
  ['a context too long', { type: 'invalid_request_error', code: 'context_length_exceeded' }, 'switch context_length request'],
  ['max_tokens_exceeded', { type: 'max_tokens_exceeded' }, 'switch context_length request'],
  ['an unknown model', { type: 'invalid_request_error', code: 'model_not_found' }, 'switch model_not_found request'],
  ['a bad key', { type: 'invalid_request_error', code: 'invalid_api_key' }, 'switch auth bench'],
  ['a bad request', { type: 'invalid_request_error' }, 'reject invalid_request request'],
  ['a throttled model mid-stream', { type: 'throttlingException' }, 'retry rate_limited cooldown'],
  ['words that nobody knows', { code: 'whatever' }, 'retry server_error breaker'],
  ['no words at all', {}, 'retry server_error breaker'],
];

describe('an error inside a success', () => {
  for (const [what, found, expected] of INSIDE_ROWS) {
    test(`${what}: ${expected}`, () =>
      assert.equal(words(judge(failure({ status: null, ...found, kind: 'error', phase: 'answer' }))), expected));
  }
});

describe('a failure without a status', () => {
  const rows = [
    ['connect', 'retry connection breaker'],
    ['reset', 'retry connection breaker'],
    ['timeout', 'retry timeout breaker'],
    ['slow', 'retry slow breaker'],
    ['cut', 'retry interrupted breaker'],
    ['malformed', 'retry malformed breaker'],
    ['empty', 'retry empty'],
  ] as const;
  for (const [kind, expected] of rows) test(`${kind}: ${expected}`, () => assert.equal(words(judge(failure({ kind }))), expected));
});

test('what a caller wrote, quoted in an error, benches no credential and hurts no target', () => {
  for (const quoted of ['credit balance', 'spend limit', 'billing', 'insufficient funds', 'api usage limits', 'loading model']) {
    for (const message of [`Invalid value: '${quoted}'. Supported values are: 'system'`, `Unknown field "${quoted}"`]) {
      const judgement = judge(failure({ status: 400, type: 'invalid_request_error', code: 'invalid_value', message }));
      assert.equal(words(judgement), 'reject invalid_request request', message);
    }
  }
});

test('benches a credential for minutes, longer for money than for a key', () => {
  const quota = judge(failure({ status: 402 })).benchMs;
  const auth = judge(failure({ status: 401 })).benchMs;
  assert.ok(quota >= 5 * 60_000 && auth >= 60_000 && quota > auth);
});
