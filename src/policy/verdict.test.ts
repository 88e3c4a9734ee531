import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CREDENTIAL_ROWS } from './verdict-credentials.fixture.ts';
import { REQUEST_ROWS } from './verdict-requests.fixture.ts';
import { failure, STATUS_ROWS } from './verdict.fixture.ts';
import { judge, ruleFor, STATUS_RULES } from './verdict.ts';
import type { Judgement } from './verdict.ts';

/** Verdict and reason, then the effects: `breaker`, `cooldown`, `quarantine`, `request` (the request is at fault). */
function words(judgement: Judgement): string {
  const { verdict, reason, health, effect, requestAtFault, longerPause } = judgement;
  const then = longerPause ? 'long cooldown' : effect === 'none' ? '' : effect;
  return [verdict, reason, health === 'failure' ? 'breaker' : '', then, requestAtFault ? 'request' : ''].filter(Boolean).join(' ');
}

const ROWS = [...STATUS_ROWS, ...CREDENTIAL_ROWS, ...REQUEST_ROWS];

describe('an error status', () => {
  for (const [what, status, found, expected] of ROWS) {
    test(`${status} ${what}: ${expected}`, () => assert.equal(words(judge(failure({ ...found, status }))), expected));
  }
});

const INSIDE_ROWS: readonly (readonly [what: string, found: Parameters<typeof failure>[0], expected: string])[] = [
  ['an overloaded server in the first event', { type: 'overloaded_error' }, 'retry overloaded breaker'],
  ['a failed response: server_error', { code: 'server_error' }, 'retry server_error breaker'],
  ['a failed response: rate_limit_exceeded', { code: 'rate_limit_exceeded' }, 'retry rate_limited cooldown'],
  ['a failed response: invalid_prompt', { code: 'invalid_prompt' }, 'switch content_filter request'],
  ['a chunk with a status of its own', { status: 429, code: '429' }, 'retry rate_limited cooldown'],
  ['a chunk with a bad gateway', { status: 502, code: '502' }, 'retry server_error breaker'],
  ['a chunk that reports no quota', { type: 'insufficient_quota' }, 'switch quota quarantine'],
  ['a spend limit', { code: 'project_spend_limit_exceeded' }, 'switch quota quarantine'],
  ['a usage limit', { code: 'organization_usage_limit_exceeded' }, 'switch quota quarantine'],
  ['a context too long', { type: 'invalid_request_error', code: 'context_length_exceeded' }, 'switch context_length request'],
  ['max_tokens_exceeded', { type: 'max_tokens_exceeded' }, 'switch context_length request'],
  ['an unknown model', { type: 'invalid_request_error', code: 'model_not_found' }, 'switch model_not_found request'],
  ['an invalid key', { type: 'invalid_request_error', code: 'invalid_api_key' }, 'switch auth quarantine'],
  ['a bad request', { type: 'invalid_request_error' }, 'switch refused request'],
  ['a retired model', { code: 'model_decommissioned' }, 'switch refused request'],
  ['a mistake of the model', { code: 'tool_use_failed' }, 'switch refused request'],
  ['a throttled model mid-stream', { type: 'throttlingException' }, 'retry rate_limited cooldown'],
  ['a daily quota', { code: 'GenerateRequestsPerDayPerProject' }, 'switch quota quarantine'],
  ['no flex capacity', { code: 'resource_unavailable' }, 'retry rate_limited'],
  ['a payload too large', { type: 'payload_too_large' }, 'switch refused request'],
  ['a refused key', { type: 'authentication' }, 'switch auth suspect'],
  ['a policy', { type: 'content_policy_violation' }, 'switch content_filter request'],
  ['a string too long', { type: 'string_too_long' }, 'switch context_length request'],
  ['no provider', { type: 'provider_overloaded' }, 'retry overloaded breaker'],
  ['a rate limit, by the message alone', { message: 'Rate limit reached, try again in 2s' }, 'retry rate_limited cooldown'],
  ['a context too long, by the message alone', { message: 'the maximum context is 8192 tokens' }, 'switch context_length request'],
  ['a machine without resources', { code: 'insufficient_system_resource' }, 'retry server_error breaker'],
  ['an unknown code', { code: 'whatever' }, 'retry server_error breaker'],
  ['no details', {}, 'retry server_error breaker'],
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

test('a reset of an idle connection does not count against the target', () => {
  assert.equal(words(judge(failure({ kind: 'reset', code: 'stale_connection' }))), 'retry connection');
});

describe('words of the caller, quoted in an error', () => {
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
    test(`change no verdict: ${text}`, () => {
      for (const frame of frames) {
        const message = frame(text);
        assert.equal(words(judge(failure({ status: 400, ...found, message }))), 'reject invalid_request request', message);
        assert.equal(words(judge(failure({ status: 400, message }))), 'switch refused request', message);
        assert.equal(words(judge(failure({ status: 503, message }))), 'retry overloaded breaker', message);
        assert.equal(words(judge(failure({ status: 403, message }))), 'switch auth suspect', message);
        assert.equal(words(judge(failure({ status: 429, message }))), 'retry rate_limited cooldown', message);
        assert.equal(words(judge(failure({ kind: 'error', message }))), 'retry server_error breaker', message);
      }
    });
  }

  test('quarantines no credential where the error names the field that contained them', () => {
    const message = 'messages.0.content: spend limit is no role';
    assert.equal(words(judge(failure({ status: 400, param: 'messages', message }))), 'switch refused request');
  });
});

test('every combination of status and words has a verdict, and a caller’s own error never counts against a target', () => {
  const lists = {
    code: fc.option(fc.oneof(fc.string(), fc.constantFrom('rate_limit_exceeded', 'slow_down', 'invalid_prompt', 'model_not_found'))),
    type: fc.option(fc.string()),
    message: fc.string({ maxLength: 300 }),
    status: fc.integer({ min: 100, max: 999 }),
    kind: fc.constantFrom('status' as const, 'error' as const),
  };
  fc.assert(
    fc.property(fc.record(lists), (found) => {
      const { verdict, health, requestAtFault, effect } = judge(failure(found));
      assert.ok(['retry', 'switch', 'reject'].includes(verdict));
      if (requestAtFault) assert.deepEqual([health, effect], ['neutral', 'none']);
    }),
    { numRuns: 2000 },
  );
});

test('every rule of the table has a row above', () => {
  const shown = new Set(ROWS.map(([, status, found]) => ruleFor(status, failure(found)).when));
  assert.deepEqual(
    STATUS_RULES.map((rule) => rule.when).filter((when) => !shown.has(when)),
    [],
  );
});

test('credentials are quarantined for minutes, longer for billing than for a key, and longest for a daily quota', () => {
  const day = judge(failure({ status: 429, code: 'RequestsPerDay' })).quarantineMs;
  const quota = judge(failure({ status: 402 })).quarantineMs;
  const auth = judge(failure({ status: 401 })).quarantineMs;
  assert.ok(day > quota && quota > auth && auth >= 60_000);
});
