/** Errors in the words of single providers: what each leads to, with another target and without, in virtual time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatResponse } from '../../src/testing/index.ts';
import type { SimulatedResponse, SimulatedStep } from '../../src/testing/index.ts';
import { amazon, anthropic, DAILY_QUOTA, google, json, openai } from './provider-bodies.ts';
import { startVirtualWorld } from './virtual.ts';
import { errorOf } from './world.ts';

/** One row: what `a` says first and always, and what follows: verdict, reason, then `breaker`, `cooldown` or `quarantine`. */
interface Said {
  readonly who: string;
  readonly answer: SimulatedResponse;
  readonly expected: string;
  /** Told where nobody else is there; default: the status as it came. */
  readonly told?: number;
}

const SAID: readonly Said[] = [
  { who: 'OpenAI: rate limit', answer: openai(429, 'rate_limit_exceeded', 'requests'), expected: 'retry rate_limited cooldown' },
  {
    who: 'OpenAI: request too large',
    answer: openai(429, 'rate_limit_exceeded', 'tokens', 'Request too large for m: Limit 1, Requested 2'),
    expected: 'switch too_large',
  },
  { who: 'OpenAI: no quota, by type alone', answer: openai(429, null, 'insufficient_quota'), expected: 'switch quota quarantine' },
  { who: 'OpenAI: no credit', answer: openai(429, 'credit_balance_exhausted', 'insufficient_quota'), expected: 'switch quota quarantine' },
  { who: 'OpenAI: a spend limit', answer: openai(429, 'organization_spend_limit_exceeded', 'x'), expected: 'switch quota quarantine' },
  { who: 'OpenAI: slow_down', answer: openai(429, 'slow_down', 'rate_limit_error'), expected: 'retry rate_limited cooldown' },
  { who: 'OpenAI: no flex', answer: openai(429, 'resource_unavailable', 'x'), expected: 'retry rate_limited' },
  {
    who: 'OpenAI: overloaded',
    answer: openai(503, 'server_is_overloaded', 'service_unavailable_error'),
    expected: 'retry overloaded breaker',
  },
  { who: 'OpenAI: a country', answer: openai(403, 'unsupported_country_region_territory', 'x'), expected: 'switch auth', told: 502 },
  { who: 'OpenAI: a policy', answer: openai(400, 'content_policy_violation', 'invalid_request_error'), expected: 'switch content_filter' },
  {
    who: 'OpenAI: a bad schema',
    answer: openai(400, 'invalid_function_parameters', 'invalid_request_error'),
    expected: 'reject invalid_request',
  },
  {
    who: 'Anthropic: ramp',
    answer: anthropic(429, 'rate_limit_error', 'm', { details: { error_code: 'ramp_limit_exceeded' } }),
    expected: 'retry rate_limited cooldown',
  },
  {
    who: 'Anthropic: a spend limit',
    answer: anthropic(429, 'rate_limit_error', 'm', { details: { error_code: 'enforced_spend_limit_reached' } }),
    expected: 'switch quota quarantine',
  },
  {
    who: 'Anthropic: a spend limit in words',
    answer: anthropic(400, 'invalid_request_error', 'You have reached your specified API usage limits.'),
    expected: 'switch quota quarantine',
  },
  {
    who: 'Anthropic: too long',
    answer: anthropic(400, 'invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum'),
    expected: 'switch context_length',
  },
  {
    who: 'Anthropic: prefill',
    answer: anthropic(400, 'invalid_request_error', 'This model does not support assistant message prefill.'),
    expected: 'switch unsupported',
  },
  { who: 'Anthropic: overloaded', answer: anthropic(529, 'overloaded_error'), expected: 'retry overloaded breaker' },
  { who: 'Anthropic: billing', answer: anthropic(402, 'billing_error'), expected: 'switch quota quarantine' },
  {
    who: 'Gemini: the quota of a day',
    answer: DAILY_QUOTA,
    expected: 'switch quota quarantine',
  },
  {
    who: 'Gemini: a bad key',
    answer: google(400, 'INVALID_ARGUMENT', 'm', [{ reason: 'API_KEY_INVALID' }]),
    expected: 'switch auth quarantine',
    told: 502,
  },
  { who: 'Gemini: a region', answer: google(400, 'FAILED_PRECONDITION', 'User location is not supported'), expected: 'switch unsupported' },
  {
    who: 'Gemini: too many tokens',
    answer: google(400, 'INVALID_ARGUMENT', 'The input token count (9) exceeds the maximum'),
    expected: 'switch context_length',
  },
  {
    who: 'Gemini: a bad argument',
    answer: google(400, 'INVALID_ARGUMENT', 'Invalid value at contents'),
    expected: 'reject invalid_request',
  },
  {
    who: 'Gemini: overloaded, in an array',
    answer: json(503, [{ error: { code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' } }]),
    expected: 'retry overloaded breaker',
  },
  { who: 'Bedrock: throttled', answer: amazon(429, 'ThrottlingException'), expected: 'retry rate_limited cooldown' },
  { who: 'Bedrock: throttled as 503', answer: amazon(503, 'ThrottlingException'), expected: 'retry rate_limited cooldown' },
  { who: 'Bedrock: not ready', answer: amazon(429, 'ModelNotReadyException'), expected: 'retry busy cooldown' },
  { who: 'Bedrock: the quota', answer: amazon(400, 'ServiceQuotaExceededException'), expected: 'switch quota quarantine' },
  {
    who: 'Bedrock: too long',
    answer: amazon(400, 'ValidationException', 'Input is too long for requested model.'),
    expected: 'switch context_length',
  },
  {
    who: 'Bedrock: a bad request of the model',
    answer: amazon(424, 'ModelErrorException', 'm', { originalStatusCode: 400 }),
    expected: 'switch refused',
    told: 400,
  },
  {
    who: 'Bedrock: the model failed',
    answer: amazon(424, 'ModelErrorException', 'm', { originalStatusCode: 500 }),
    expected: 'retry server_error breaker',
    told: 500,
  },
  {
    who: 'Azure: the filter',
    answer: json(400, { error: { code: 'content_filter', message: 'm', innererror: { code: 'ResponsibleAIPolicyViolation' } } }),
    expected: 'switch content_filter',
  },
  {
    who: 'Azure: no such deployment',
    answer: json(404, { error: { code: 'DeploymentNotFound', message: 'm' } }),
    expected: 'switch model_not_found',
  },
  { who: 'Groq: no capacity', answer: openai(498, 'capacity_exceeded', 'x'), expected: 'retry overloaded breaker' },
  { who: 'Groq: too large for its minute', answer: openai(413, 'rate_limit_exceeded', 'tokens'), expected: 'switch too_large' },
  {
    who: 'DeepSeek: no balance',
    answer: openai(402, 'invalid_request_error', 'unknown_error', 'Insufficient Balance'),
    expected: 'switch quota quarantine',
  },
  { who: 'DeepSeek: bad parameters', answer: openai(422, null, 'invalid_request_error'), expected: 'switch refused' },
  {
    who: 'OpenRouter: moderation',
    answer: json(403, { error: { code: 403, message: 'Forbidden', metadata: { reasons: ['x'], flagged_input: 'y' } } }),
    expected: 'switch content_filter',
  },
  { who: 'OpenRouter: bad upstream', answer: json(502, { error: { code: 502, message: 'm' } }), expected: 'retry server_error breaker' },
  {
    who: 'OpenRouter: an error under 200',
    answer: json(200, { error: { code: 429, message: 'm', metadata: { error_type: 'rate_limit_exceeded' } } }),
    expected: 'retry rate_limited cooldown',
    told: 429,
  },
  {
    who: 'Mistral: flat, unprocessable',
    answer: json(422, { object: 'error', message: 'm', type: 'x', code: '1' }),
    expected: 'switch refused',
  },
  {
    who: 'Cerebras: flat, queue',
    answer: json(429, { message: 'm', type: 'too_many_requests_error', code: 'queue_exceeded' }),
    expected: 'retry rate_limited cooldown',
  },
  { who: 'Cohere: words only', answer: json(400, { message: 'too many tokens: 9 > 8' }), expected: 'switch context_length' },
  {
    who: 'xAI: a string',
    answer: json(400, { error: 'Incorrect API key provided', code: 'invalid_api_key' }),
    expected: 'switch auth quarantine',
    told: 502,
  },
  { who: 'vLLM: a string', answer: json(401, { error: 'Unauthorized' }), expected: 'switch auth', told: 502 },
  {
    who: 'Ollama: its queue is full',
    answer: openai(503, null, 'api_error', 'server busy, please try again. maximum pending requests exceeded'),
    expected: 'retry busy cooldown',
  },
  {
    who: 'llama.cpp: loading',
    answer: json(503, { error: { code: 503, message: 'Loading model', type: 'unavailable_error' } }),
    expected: 'retry busy cooldown',
  },
  {
    who: 'Cloudflare: its own shape',
    answer: json(200, { success: false, errors: [{ code: 7000, message: 'm' }], result: null }),
    expected: 'retry server_error breaker',
    told: 502,
  },
  {
    who: 'a proxy: JSON in a JSON text',
    answer: json(400, JSON.stringify(JSON.stringify({ error: { code: 'context_length_exceeded', message: 'm' } }))),
    expected: 'switch context_length',
  },
  { who: 'a number', answer: json(500, { error: 42 }), expected: 'retry server_error breaker' },
  { who: 'nothing', answer: json(429, ''), expected: 'retry rate_limited cooldown' },
  {
    who: 'bytes in a coding that nobody knows',
    answer: json(429, 'x', { 'content-encoding': 'compress' }),
    expected: 'retry rate_limited cooldown',
  },
  {
    who: 'bytes that are not in the coding they name',
    answer: json(401, 'no gzip', { 'content-encoding': 'gzip' }),
    expected: 'switch auth',
    told: 502,
  },
];

describe('an error in the words of', () => {
  for (const { who, answer, expected, told } of SAID) {
    const [verdict = '', reason = '', effect = ''] = expected.split(' ');
    const status = told ?? (answer.steps as SimulatedStep[]).map((step) => (step.do === 'head' ? step.status : 0))[0]!;

    it(`${who}: ${expected}; the next target answers`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: () => answer, b: () => chatResponse() } });
      const seen = await world.answerTo();
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], verdict === 'reject' ? [1, 0] : [1, 1]);
      assert.equal(seen.status, verdict === 'reject' ? status : 200);
      assert.equal(seen.headers.get('x-breakwater-fallback'), verdict === 'reject' ? null : reason);
      const end = world.eventsOf('attempt_end')[0]!;
      assert.deepEqual([end.verdict, end.reason], [verdict, reason]);
      const target = world.gateway.targets().find((known) => known.provider === 'a')!;
      assert.equal(target.breaker.failureRatio, effect === 'breaker' ? 1 : 0, 'the mark for the breaker');
      assert.deepEqual(
        world.eventsOf('cooldown').map((event) => event.kind),
        effect === 'cooldown' || effect === 'quarantine' ? [effect] : [],
      );
    });

    it(`${who}, alone: ${verdict === 'retry' ? 'asked four times' : 'asked once'}, then told`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: () => answer } });
      const seen = await world.answerTo();
      assert.equal(world.callsTo('a'), verdict === 'retry' ? 4 : 1);
      assert.equal(seen.status, status);
      assert.equal(seen.headers.get('x-should-retry'), 'false');
      assert.equal(seen.headers.get('x-breakwater-attempts'), String(world.callsTo('a')));
      assert.notEqual(errorOf(seen.text).message, '');
    });
  }
});

describe("the provider's own id of the request", () => {
  const identified = { 'x-request-id': 'req_theirs' };
  const empty = { choices: [{ index: 0, message: { role: 'assistant', content: '' }, finish_reason: 'stop' }] };
  const answers: Record<string, SimulatedResponse> = {
    'an error told as it came': json(400, { error: { message: 'm', type: 't', param: null, code: 'c' } }, identified),
    'an error in a shape that is not passed on': json(400, { message: 'm' }, identified),
    'an empty answer that is better than none': json(200, empty, identified),
  };
  for (const [what, answer] of Object.entries(answers)) {
    it(`stands beside ${what}`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: () => answer } });
      assert.equal((await world.answerTo()).headers.get('x-upstream-request-id'), 'req_theirs');
    });
  }

  it('is absent where the last target gave none', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => json(500, {}, identified), b: () => json(418, { error: {} }) } });
    const seen = await world.answerTo();
    assert.deepEqual([seen.status, seen.headers.get('x-upstream-request-id')], [418, null]);
  });
});
