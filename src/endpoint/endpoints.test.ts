import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EndpointCall } from './endpoint.ts';
import { endpointOf } from './endpoints.ts';
import type { EndpointSettings } from './settings.ts';

type Case = readonly [settings: EndpointSettings, protocol: string, basePath: string, call: Partial<EndpointCall>, path: string];

const CALL: EndpointCall = { operation: 'chat', dialect: 'openai-chat', path: null, model: 'm', stream: false };
const DATED = { name: 'azure', style: 'deployments', apiVersion: '2024-10-21' } as const;
const V1 = { name: 'azure', style: 'v1', apiVersion: null } as const;
const RUNTIME = { name: 'bedrock', service: 'runtime', claude: 'invoke' } as const;
const MESSAGES = { ...RUNTIME, claude: 'messages' } as const;
const MANTLE = { name: 'bedrock', service: 'mantle', claude: 'invoke' } as const;
const VERTEX = { name: 'vertex', project: 'p-1', location: 'us-east5' } as const;
const EXPRESS = { name: 'vertex', project: null, location: 'global' } as const;
const P = '/v1/projects/p-1/locations/us-east5';
const ARN = 'arn:aws:bedrock:us-east-1:123:inference-profile/us.anthropic.claude-x';

const CASES: readonly Case[] = [
  [DATED, 'openai', '', { model: 'my deployment' }, '/openai/deployments/my%20deployment/chat/completions?api-version=2024-10-21'],
  [DATED, 'openai', '/openai', { dialect: 'openai-responses' }, '/openai/responses?api-version=2024-10-21'],
  [DATED, 'openai', '', { operation: 'embeddings' }, '/openai/deployments/m/embeddings?api-version=2024-10-21'],
  [
    DATED,
    'openai',
    '',
    { operation: 'bytes', path: '/images/generations?api-version=2020-01-01&x=1' },
    '/openai/deployments/m/images/generations?x=1&api-version=2024-10-21',
  ],
  [DATED, 'anthropic', '', { dialect: 'anthropic-messages' }, '/anthropic/v1/messages'],
  [V1, 'openai', '/openai/v1', {}, '/openai/v1/chat/completions'],
  [V1, 'openai', '', { dialect: 'openai-responses', path: '/responses' }, '/openai/v1/responses'],
  [{ ...V1, apiVersion: 'preview' }, 'openai', '', {}, '/openai/v1/chat/completions?api-version=preview'],
  [V1, 'anthropic', '/anthropic', { path: '/messages?beta=true' }, '/anthropic/v1/messages?beta=true'],
  [RUNTIME, 'openai', '', {}, '/openai/v1/chat/completions'],
  [RUNTIME, 'openai', '/openai/v1', { dialect: 'openai-responses' }, '/openai/v1/responses'],
  [MANTLE, 'openai', '', {}, '/v1/chat/completions'],
  [MANTLE, 'openai', '/openai/v1', {}, '/openai/v1/chat/completions'],
  [MANTLE, 'anthropic', '', { path: '/messages' }, '/anthropic/v1/messages'],
  [MANTLE, 'anthropic', '/v1', { path: null }, '/anthropic/v1/messages'],
  [MESSAGES, 'anthropic', '', { path: '/messages/count_tokens' }, '/anthropic/v1/messages/count_tokens'],
  [RUNTIME, 'anthropic', '', { model: 'anthropic.claude-x-v1:0' }, '/model/anthropic.claude-x-v1%3A0/invoke'],
  [RUNTIME, 'anthropic', '', { model: ARN, stream: true }, `/model/${encodeURIComponent(ARN)}/invoke-with-response-stream`],
  [VERTEX, 'gemini', '', { model: 'gemini-x' }, `${P}/publishers/google/models/gemini-x:generateContent`],
  [VERTEX, 'gemini', '/v1', { model: 'gemini-x', stream: true }, `${P}/publishers/google/models/gemini-x:streamGenerateContent?alt=sse`],
  [
    VERTEX,
    'gemini',
    '/v1beta1',
    { model: 'gemini-x', operation: 'bytes', path: ':countTokens' },
    '/v1beta1/projects/p-1/locations/us-east5/publishers/google/models/gemini-x:countTokens',
  ],
  [VERTEX, 'gemini', '', { model: 'meta/llama-4' }, `${P}/publishers/meta/models/llama-4:generateContent`],
  [VERTEX, 'anthropic', '', { model: 'claude-x@20250929' }, `${P}/publishers/anthropic/models/claude-x%4020250929:rawPredict`],
  [VERTEX, 'anthropic', '', { model: 'claude-x', stream: true }, `${P}/publishers/anthropic/models/claude-x:streamRawPredict`],
  [
    VERTEX,
    'anthropic',
    '',
    { operation: 'bytes', path: '/messages/count_tokens' },
    `${P}/publishers/anthropic/models/count-tokens:rawPredict`,
  ],
  [VERTEX, 'openai', '', {}, `${P}/endpoints/openapi/chat/completions`],
  [EXPRESS, 'gemini', '', { model: 'gemini-x' }, '/v1/publishers/google/models/gemini-x:generateContent'],
];

for (const [settings, protocol, basePath, call, path] of CASES) {
  test(`${settings.name}, ${protocol}, below ${JSON.stringify(basePath)}: ${path}`, () => {
    assert.equal(endpointOf(settings, protocol).path(basePath, { ...CALL, ...call }), path);
  });
}

test("a caller's own credential is sent in the header that the cloud reads", () => {
  const headerFor = (settings: EndpointSettings, protocol: string, credential: string, given: string | null = null): string =>
    endpointOf(settings, protocol).credentialHeader(credential, given);
  assert.equal(headerFor(V1, 'openai', 'key'), 'api-key');
  assert.equal(headerFor(V1, 'openai', 'key', 'authorization'), 'authorization');
  assert.equal(headerFor(V1, 'openai', 'eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln'), 'authorization');
  assert.equal(headerFor(RUNTIME, 'anthropic', 'key', 'x-api-key'), 'authorization');
  assert.equal(headerFor(VERTEX, 'gemini', 'ya29.token'), 'authorization');
  assert.equal(headerFor(EXPRESS, 'gemini', 'key'), 'x-goog-api-key');
});

test('unsupported calls of a cloud are reported', () => {
  assert.equal(endpointOf(RUNTIME, 'anthropic').serves!('bytes', '/messages/count_tokens'), false);
  assert.equal(endpointOf(RUNTIME, 'anthropic').serves!('chat', '/messages'), true);
  for (const settings of [V1, RUNTIME, VERTEX]) assert.equal(endpointOf(settings, 'openai').modelsPath(''), null);
});
