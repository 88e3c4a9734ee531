import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Failure } from '../core/facts.ts';
import fc from 'fast-check';
import { judge, ruleFor, STATUS_RULES } from './verdict.ts';
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
  const { verdict, reason, health, effect, liesInRequest, longestPause } = judgement;
  const then = longestPause ? 'long cooldown' : effect === 'none' ? '' : effect;
  return [verdict, reason, health === 'failure' ? 'breaker' : '', then, liesInRequest ? 'request' : ''].filter(Boolean).join(' ');
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
  ['traffic that grows too fast', 429, { type: 'rate_limit_error', code: 'slow_down' }, 'retry rate_limited long cooldown'],
  ['no flex capacity', 429, { code: 'resource_unavailable' }, 'retry rate_limited'],
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
  ['the same in words alone', 413, { message: 'Limit 6000 tokens per minute, requested 7000' }, 'switch too_large request'],
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
  // Anthropic
  ['growth too fast, by error_code', 429, { type: 'rate_limit_error', code: 'ramp_limit_exceeded' }, 'retry rate_limited long cooldown'],
  ['rate limit', 429, { type: 'rate_limit_error' }, 'retry rate_limited cooldown'],
  ['enforced spend limit', 429, { type: 'rate_limit_error', code: 'enforced_spend_limit_reached' }, 'switch quota bench'],
  ['contract spend limit', 429, { type: 'rate_limit_error', code: 'contract_spend_limit_reached' }, 'switch quota bench'],
  ['linked spend limit', 429, { type: 'rate_limit_error', code: 'linked_organization_spend_limit_reached' }, 'switch quota bench'],
  [
    'usage limits set by the customer',
    400,
    { type: 'invalid_request_error', message: 'You have reached your specified API usage limits. You will regain access on 2026-12-01.' },
    'switch quota bench',
  ],
  [
    'max_tokens beyond the context',
    400,
    { type: 'invalid_request_error', message: 'input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000' },
    'switch context_length request',
  ],
  [
    'no prefill',
    400,
    { type: 'invalid_request_error', message: 'This model does not support assistant message prefill.' },
    'switch unsupported request',
  ],
  ['sampling', 400, { type: 'invalid_request_error', message: '`top_p` is deprecated for this model.' }, 'switch unsupported request'],
  [
    'another bad request',
    400,
    { type: 'invalid_request_error', message: 'messages: at least one message is required' },
    'reject invalid_request request',
  ],
  ['too large', 413, { type: 'request_too_large', message: 'Request exceeds the maximum size' }, 'reject invalid_request request'],
  ['billing', 402, { type: 'billing_error' }, 'switch quota bench'],
  ['billing, as older documents have it', 403, { type: 'billing_error' }, 'switch quota bench'],
  ['permission', 403, { type: 'permission_error' }, 'switch auth bench'],
  ['conflict', 409, { type: 'conflict_error' }, 'retry conflict'],
  ['timeout', 504, { type: 'timeout_error' }, 'retry server_error breaker'],
  ['its own fault', 500, { type: 'api_error' }, 'retry server_error breaker'],
  // Gemini and Vertex
  [
    'the quota of a day',
    429,
    { code: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier', type: 'RESOURCE_EXHAUSTED' },
    'switch quota bench',
  ],
  ['no money', 402, { code: 'RESOURCE_EXHAUSTED' }, 'switch quota bench'],
  [
    'a region',
    400,
    { code: 'FAILED_PRECONDITION', message: 'User location is not supported for the API use.' },
    'switch unsupported request',
  ],
  [
    'billing that is not enabled',
    400,
    {
      code: 'FAILED_PRECONDITION',
      message: 'Gemini API free tier is not available in your country. Please enable billing on your project',
    },
    'switch quota bench',
  ],
  ['a bad argument', 400, { code: 'INVALID_ARGUMENT', message: 'Invalid value at messages' }, 'reject invalid_request request'],
  ['permission of Google', 403, { code: 'PERMISSION_DENIED' }, 'switch auth bench'],
  ['an unknown model of Google', 404, { code: 'NOT_FOUND' }, 'switch model_not_found request'],
  ['cancelled on their side', 499, { code: 'CANCELLED' }, 'retry overloaded breaker'],
  ['internal', 500, { code: 'INTERNAL' }, 'retry server_error breaker'],
  ['a model that is overloaded', 503, { code: 'UNAVAILABLE', message: 'The model is overloaded.' }, 'retry overloaded breaker'],
  ['their deadline', 504, { code: 'DEADLINE_EXCEEDED' }, 'retry server_error breaker'],
  ['a rate limit of an older API', 403, { code: 'rateLimitExceeded' }, 'retry rate_limited cooldown'],
  // Bedrock
  ['throttling', 429, { code: 'ThrottlingException' }, 'retry rate_limited cooldown'],
  ['throttling told as unavailable', 503, { code: 'ThrottlingException' }, 'retry rate_limited cooldown'],
  ['a model that is not ready', 429, { code: 'ModelNotReadyException' }, 'retry busy cooldown'],
  ['a quota of the account', 400, { code: 'ServiceQuotaExceededException' }, 'switch quota bench'],
  ['too long', 400, { code: 'ValidationException', message: 'Input is too long for requested model.' }, 'switch context_length request'],
  ['a bad value', 400, { code: 'ValidationException', message: 'Malformed input request' }, 'reject invalid_request request'],
  ['a conflict of two calls', 400, { code: 'ConflictException' }, 'retry conflict'],
  ['no access', 403, { code: 'AccessDeniedException' }, 'switch auth bench'],
  ['a token that is old', 400, { code: 'ExpiredTokenException' }, 'switch auth bench'],
  ['a model that took too long', 408, { code: 'ModelTimeoutException' }, 'retry timeout'],
  ['a stream that failed', 424, { code: 'ModelStreamErrorException' }, 'retry overloaded breaker'],
  // more of the others
  ['Groq: too large, by code', 413, { code: 'rate_limit_exceeded', type: 'tokens' }, 'switch too_large request'],
  [
    'Groq: not built',
    400,
    { type: 'invalid_request_error', message: "property 'logprobs' is unsupported", param: 'logprobs' },
    'switch unsupported request',
  ],
  ['OpenRouter: a guardrail, by what it flags', 403, { code: 'moderation', message: 'Forbidden' }, 'switch content_filter request'],
  ['OpenRouter: a provider that is down', 502, { type: 'provider_unavailable', code: '502' }, 'retry server_error breaker'],
  ['OpenRouter: nobody serves it', 503, { code: '503' }, 'retry overloaded breaker'],
  ['Cerebras: queue', 429, { code: 'queue_exceeded', type: 'too_many_requests_error' }, 'retry rate_limited cooldown'],
  ['Together: dynamic limit', 429, { type: 'dynamic_request_limited' }, 'retry rate_limited cooldown'],
  [
    'Mistral: an unknown field',
    422,
    { type: 'extra_forbidden', param: 'body.foo', message: 'Extra inputs are not permitted' },
    'switch unsupported request',
  ],
  [
    'Azure: demand',
    429,
    { code: '429', message: 'The system is currently experiencing high demand. Please retry after 26 seconds.' },
    'retry rate_limited cooldown',
  ],
  ['Azure: a bad key', 401, { code: '401', message: 'Access denied due to invalid subscription key' }, 'switch auth bench'],
  [
    'Ollama: no tools',
    400,
    { type: 'invalid_request_error', message: 'registry.ollama.ai/library/gemma:latest does not support tools' },
    'switch unsupported request',
  ],
  ['a local server that loads', 503, { message: 'Model mistral-7b is currently loading' }, 'retry busy cooldown'],
  ['llama.cpp: no slot', 503, { message: 'no slot available' }, 'retry busy cooldown'],
  [
    'a field named by words only',
    400,
    { type: 'invalid_request_error', message: 'Unrecognized request argument supplied: top_k' },
    'switch unsupported request',
  ],
  ['a CDN that is out of reach', 520, { message: 'an HTML page: 520' }, 'retry server_error breaker'],
  ['a CDN that waits in vain', 524, {}, 'retry server_error breaker'],
  ['a teapot', 418, {}, 'reject invalid_request request'],
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
  ['the quota of a day', { code: 'GenerateRequestsPerDayPerProject' }, 'switch quota bench'],
  ['no flex', { code: 'resource_unavailable' }, 'retry rate_limited'],
  ['a payload too large', { type: 'payload_too_large' }, 'reject invalid_request request'],
  ['a refused key', { type: 'authentication' }, 'switch auth bench'],
  ['a policy', { type: 'content_policy_violation' }, 'switch content_filter request'],
  ['a string too long', { type: 'string_too_long' }, 'switch context_length request'],
  ['no provider', { type: 'provider_overloaded' }, 'retry overloaded breaker'],
  ['a rate limit in words alone', { message: 'Rate limit reached, try again in 2s' }, 'retry rate_limited cooldown'],
  ['a context too long in words alone', { message: 'the maximum context is 8192 tokens' }, 'switch context_length request'],
  ['a machine that ran out', { code: 'insufficient_system_resource' }, 'retry server_error breaker'],
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

test('a connection that had lain idle says nothing of the health of its target', () => {
  assert.equal(words(judge(failure({ kind: 'reset', code: 'stale_connection' }))), 'retry connection');
});

describe('what a caller wrote, quoted in an error', () => {
  const texts = [
    'credit balance',
    'spend limit',
    'insufficient funds',
    'api usage limits',
    'loading model',
    'maximum context length',
    'request too large',
    'flagged by moderation',
    'rate limit',
    'does not support tools',
    'invalid api key',
  ];
  const frames = [
    (text: string) => `Invalid value: '${text}'. Supported values are: 'system'`,
    (text: string) => `Invalid value: 'x' ${text} 'y'`,
    (text: string) => `Bad "${text}`,
    (text: string) => `Can't parse \`${text}\``,
    (text: string) => `Got “${text}”`,
  ];
  const found = { type: 'invalid_request_error', code: 'invalid_value' };
  for (const text of texts) {
    test(`changes no verdict: ${text}`, () => {
      for (const frame of frames) {
        const message = frame(text);
        assert.equal(words(judge(failure({ status: 400, ...found, message }))), 'reject invalid_request request', message);
        assert.equal(words(judge(failure({ status: 400, message }))), 'reject invalid_request request', message);
        assert.equal(words(judge(failure({ status: 503, message }))), 'retry overloaded breaker', message);
        assert.equal(words(judge(failure({ status: 403, message }))), 'switch auth bench', message);
        assert.equal(words(judge(failure({ status: 429, message }))), 'retry rate_limited cooldown', message);
        assert.equal(words(judge(failure({ kind: 'error', message }))), 'retry server_error breaker', message);
      }
    });
  }

  test('benches no credential where the error names the field that it stood in', () => {
    const message = 'messages.0.content: spend limit is no role';
    assert.equal(words(judge(failure({ status: 400, param: 'messages', message }))), 'reject invalid_request request');
  });
});

test('whatever status and words come, there is a verdict, and the caller’s own fault never counts against a target', () => {
  const lists = {
    code: fc.option(fc.oneof(fc.string(), fc.constantFrom('rate_limit_exceeded', 'slow_down', 'invalid_prompt', 'model_not_found'))),
    type: fc.option(fc.string()),
    message: fc.string({ maxLength: 300 }),
    status: fc.integer({ min: 100, max: 999 }),
    kind: fc.constantFrom('status' as const, 'error' as const),
  };
  fc.assert(
    fc.property(fc.record(lists), (found) => {
      const { verdict, health, liesInRequest, effect } = judge(failure(found));
      assert.ok(['retry', 'switch', 'reject'].includes(verdict));
      if (liesInRequest) assert.deepEqual([health, effect], ['neutral', 'none']);
    }),
    { numRuns: 2000 },
  );
});

test('every rule of the table is shown by a row above', () => {
  const shown = new Set(STATUS_ROWS.map(([, status, found]) => ruleFor(status, failure(found)).when));
  assert.deepEqual(
    STATUS_RULES.map((rule) => rule.when).filter((when) => !shown.has(when)),
    [],
  );
});

test('benches a credential for minutes, longer for money than for a key, and longest for a day', () => {
  const day = judge(failure({ status: 429, code: 'RequestsPerDay' })).benchMs;
  const quota = judge(failure({ status: 402 })).benchMs;
  const auth = judge(failure({ status: 401 })).benchMs;
  assert.ok(day > quota && quota > auth && auth >= 60_000);
});
