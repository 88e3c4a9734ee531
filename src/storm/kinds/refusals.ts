/** Error statuses, as sent by a provider or a proxy in front of it. */
import { toBodyScript } from '../response-script.ts';
import type { Failure } from '../dialect.ts';
import type { FailureReason } from '../failure-reasons.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import { NAME_FACTORS } from '../fault-names.ts';
import type { RefusalKind, ShapedRefusalKind } from '../fault-names.ts';

/** A kind that responds with a failure. */
export function refusing(about: string, reason: FailureReason, more: Omit<Failure, 'reason'> = {}): FaultBehaviour {
  return { about, on: 'both', harm: 'before', refuse: (_fault, { model }) => ({ reason, model, ...more }) };
}

const page = 'HTML page of a reverse proxy';

export const REFUSALS: Family<RefusalKind> = {
  '400': refusing('a generic invalid_request_error', 'invalid'),
  '400-context': refusing('context_length_exceeded', 'context-length'),
  '400-parameter': {
    about: 'unsupported_parameter for field ARG (default temperature), while the request contains it',
    on: 'both',
    harm: 'before',
    arg: 'param',
    refuse: ({ param = 'temperature' }, { fields }) => (param in fields ? { reason: 'parameter', param } : undefined),
  },
  '400-content-filter': refusing('prompt blocked by the content filter', 'content-filter'),
  '400-azure-filter': refusing("the same in Azure's form, with innererror", 'content-filter', {
    param: 'prompt',
    extra: {
      status: 400,
      innererror: {
        code: 'ResponsibleAIPolicyViolation',
        content_filter_result: { violence: { filtered: true, severity: 'medium' }, jailbreak: { filtered: false, detected: false } },
      },
    },
  }),
  '400-spend-limit': refusing('a spend limit reported as an invalid request', 'invalid', {
    message: 'You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.',
  }),
  '400-empty': refusing('bad request with an empty body', 'invalid', { shape: 'empty' }),
  '400-html': refusing(page, 'invalid', { shape: 'html' }),
  '401': refusing('invalid_api_key', 'bad-key'),
  '401-string': refusing('{"error":"Unauthorized"}, as sent by vLLM', 'bad-key', {
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
  '404-deployment': refusing('DeploymentNotFound, as sent by Azure', 'no-model', {
    raw: {
      contentType: 'application/json',
      body: '{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}',
    },
  }),
  '408': refusing('request timeout', 'request-timeout'),
  '409': refusing('conflict', 'conflict'),
  '413': refusing(page, 'status', { status: 413, shape: 'html' }),
  '422-detail': refusing("validation error in FastAPI's form", 'invalid', { status: 422, shape: 'detail', message: 'Field required' }),
  '425': refusing('too early', 'status', { status: 425, message: 'Too early.' }),
  '498': refusing('no flex capacity, as sent by Groq', 'status', {
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
  '503-empty': refusing('service unavailable with an empty body', 'unavailable', { shape: 'empty' }),
  '503-retry': {
    about: 'overloaded with Retry-After in seconds (ARG, default 1)',
    on: 'both',
    harm: 'before',
    arg: 'retryAfter',
    refuse: ({ retryAfter = 1 }) => ({ reason: 'unavailable', headers: { 'retry-after': String(retryAfter) } }),
  },
  '503-loading': refusing('the model is loading, as sent by llama.cpp', 'unavailable', {
    raw: { contentType: 'application/json', body: '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}' },
  }),
  '503-busy': refusing('the queue is full, as sent by Ollama', 'unavailable', {
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
    edit: (script) => ({ ...toBodyScript(204, script.headers['content-type'] ?? 'application/json', ''), headers: {} }),
  },
};

const REASON_OF = { '400': 'invalid', '429': 'rate-limit', '503': 'unavailable' } as const;

const ABOUT = {
  flat: 'the error at the top level, as Mistral and Cerebras send it',
  message: 'only {"message"}, as Cohere sends it',
  string: 'the error as a string, as xAI and Ollama send it',
  array: 'the error in an array, as Gemini sends it',
  double: "the error's JSON in the message of another error",
  quoted: "the error's JSON as a JSON string",
  numeric: 'a numeric code and the original error in metadata, as OpenRouter sends it',
  google: 'a google.rpc.Status',
  detail: '{"detail"}, as FastAPI sends it',
  words: 'plain text',
  gzip: 'the body gzipped',
};

export const SHAPED_REFUSALS = Object.fromEntries(
  NAME_FACTORS.SHAPED_STATUSES.flatMap((status) =>
    NAME_FACTORS.SHAPED.map((shape) => [`${status}-${shape}`, refusing(ABOUT[shape], REASON_OF[status], { shape })]),
  ),
) as Family<ShapedRefusalKind>;
