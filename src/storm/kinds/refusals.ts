/** Failures by status: what a provider, or the proxy in front of it, answers instead of an answer. */
import { toBodyAnswer } from '../answer.ts';
import type { Failure } from '../dialect.ts';
import type { FailureReason } from '../failure-words.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import { PRODUCTS } from '../fault-names.ts';
import type { RefusalKind, ShapedRefusalKind } from '../fault-names.ts';

/** A kind that answers with a failure. */
export function refusing(about: string, reason: FailureReason, more: Omit<Failure, 'reason'> = {}): FaultBehaviour {
  return { about, on: 'both', harm: 'before', refuse: (_fault, { model }) => ({ reason, model, ...more }) };
}

const page = 'HTML page of a proxy in front';

export const REFUSALS: Family<RefusalKind> = {
  '400': refusing('plain invalid_request_error', 'invalid'),
  '400-context': refusing('context_length_exceeded', 'context-length'),
  '400-parameter': {
    about: 'unsupported_parameter for field ARG (default temperature), as long as it is sent',
    on: 'both',
    harm: 'before',
    arg: 'param',
    refuse: ({ param = 'temperature' }, { fields }) => (param in fields ? { reason: 'parameter', param } : undefined),
  },
  '400-content-filter': refusing('prompt refused by the content filter', 'content-filter'),
  '400-azure-filter': refusing('the same as Azure tells it, with innererror', 'content-filter', {
    param: 'prompt',
    extra: {
      status: 400,
      innererror: {
        code: 'ResponsibleAIPolicyViolation',
        content_filter_result: { violence: { filtered: true, severity: 'medium' }, jailbreak: { filtered: false, detected: false } },
      },
    },
  }),
  '400-spend-limit': refusing('a spend limit told as an invalid request', 'invalid', {
    message: 'You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.',
  }),
  '400-empty': refusing('bad request with an empty body', 'invalid', { shape: 'empty' }),
  '400-html': refusing(page, 'invalid', { shape: 'html' }),
  '401': refusing('invalid_api_key', 'bad-key'),
  '401-string': refusing('{"error":"Unauthorized"}, as vLLM answers', 'bad-key', {
    raw: { contentType: 'application/json', body: '{"error":"Unauthorized"}' },
  }),
  '402': refusing('payment required: no balance', 'status', {
    status: 402,
    message: 'Insufficient Balance',
    type: 'unknown_error',
    code: 'invalid_request_error',
  }),
  '403': refusing('unsupported_country_region_territory', 'forbidden'),
  '404': refusing('model_not_found', 'no-model'),
  '404-deployment': refusing('DeploymentNotFound, as Azure answers', 'no-model', {
    raw: {
      contentType: 'application/json',
      body: '{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}',
    },
  }),
  '408': refusing('request timeout', 'request-timeout'),
  '409': refusing('conflict', 'conflict'),
  '413': refusing(page, 'status', { status: 413, shape: 'html' }),
  '422-detail': refusing('validation error as FastAPI writes it', 'invalid', { status: 422, shape: 'detail', message: 'Field required' }),
  '425': refusing('too early', 'status', { status: 425, message: 'Too early.' }),
  '498': refusing('no flex capacity, as Groq answers', 'status', {
    status: 498,
    message: 'Flex tier capacity exceeded.',
    type: 'capacity_exceeded',
    code: 'capacity_exceeded',
  }),
  '500': refusing('server_error', 'server'),
  '500-html': refusing('HTML error page', 'server', { shape: 'html' }),
  '502': refusing('bad gateway as JSON', 'bad-gateway'),
  '502-html': refusing('HTML error page', 'bad-gateway', { shape: 'html' }),
  '503': refusing('server_is_overloaded', 'unavailable'),
  '503-html': refusing('HTML error page', 'unavailable', { shape: 'html' }),
  '503-empty': refusing('unavailable with an empty body', 'unavailable', { shape: 'empty' }),
  '503-retry': {
    about: 'overloaded with Retry-After in seconds (ARG, default 1)',
    on: 'both',
    harm: 'before',
    arg: 'retryAfter',
    refuse: ({ retryAfter = 1 }) => ({ reason: 'unavailable', headers: { 'retry-after': String(retryAfter) } }),
  },
  '503-loading': refusing('the model is being loaded, as llama.cpp answers', 'unavailable', {
    raw: { contentType: 'application/json', body: '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}' },
  }),
  '503-busy': refusing('the queue is full, as Ollama answers', 'unavailable', {
    raw: {
      contentType: 'application/json',
      body: '{"error":{"message":"server busy, please try again.  maximum pending requests exceeded","type":"api_error","param":null,"code":null}}',
    },
  }),
  '504': refusing('gateway timeout as JSON', 'gateway-timeout'),
  '504-html': refusing('HTML error page', 'gateway-timeout', { shape: 'html' }),
  '524': refusing('timeout of a CDN, as HTML', 'gateway-timeout', { status: 524, shape: 'html' }),
  '529': refusing('overloaded', 'overloaded'),
  status: { ...refusing('status ARG with a JSON error', 'status'), arg: 'status' },
  redirect: {
    ...refusing('a redirect to another address', 'status'),
    refuse: (fault) => ({
      reason: 'status',
      status: fault.status ?? 307,
      headers: { location: '/v1/chat/completions?redirected=1' },
      message: 'Temporary Redirect',
    }),
  },
  'no-content': {
    about: 'status 204, which has no body',
    on: 'both',
    harm: 'before',
    answer: (answer) => ({ ...toBodyAnswer(204, answer.headers['content-type'] ?? 'application/json', ''), headers: {} }),
  },
};

const REASON_OF = { '400': 'invalid', '429': 'rate-limit', '503': 'unavailable' } as const;

const ABOUT = {
  flat: 'the error flat at the top, as Mistral and Cerebras write it',
  message: 'nothing but {"message"}, as Cohere writes it',
  string: 'the error as a string, as xAI and Ollama write it',
  array: 'the error in an array, as Gemini writes it',
  double: "the error's JSON in the message of another error",
  quoted: 'the JSON of the error as a JSON string',
  numeric: 'the code as a number and the real error in metadata, as OpenRouter writes it',
  google: 'a google.rpc.Status',
  detail: '{"detail"}, as FastAPI writes it',
  words: 'plain text',
  gzip: 'the body gzipped',
};

export const SHAPED_REFUSALS = Object.fromEntries(
  PRODUCTS.SHAPED_STATUSES.flatMap((status) =>
    PRODUCTS.SHAPED.map((shape) => [`${status}-${shape}`, refusing(ABOUT[shape], REASON_OF[status], { shape })]),
  ),
) as Family<ShapedRefusalKind>;
