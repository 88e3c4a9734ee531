/** Every way in which a cloud is asked, as a provider of the configuration and with what Storm takes for its keys. */
import type { ConfigInput } from '../../src/gateway/config/index.ts';

type ProviderInput = NonNullable<ConfigInput['providers']>[string];

export interface CloudTarget {
  readonly provider: ProviderInput;
  readonly model: string;
  /** Keys that Storm accepts. */
  readonly keys: readonly string[];
  /** The path that Storm counts a plain and a streamed call under. */
  readonly paths: readonly [string, string];
}

const both = (path: string): [string, string] => [path, path];
const aws = { accessKeyId: 'AKIDOFTHISTEST', secretAccessKey: 'the-secret-of-the-access-key', sessionToken: 'the-session-token' };
const CLAUDE = 'anthropic.claude-sonnet-4-5-20250929-v1:0';
const CONVERSE: [string, string] = ['/model/{id}/converse', '/model/{id}/converse-stream'];
const INVOKE: [string, string] = ['/model/{id}/invoke', '/model/{id}/invoke-with-response-stream'];
const VERTEX = '/v1/projects/{p}/locations/{l}/publishers';

export const CLOUD_TARGETS: Readonly<Record<string, CloudTarget>> = {
  'Azure by deployments': {
    provider: { preset: 'azure', apiKey: 'azure-key-1', apiVersion: '2024-10-21' },
    model: 'my-deployment',
    keys: ['azure-key-1'],
    paths: both('/openai/deployments/{deployment}/chat/completions'),
  },
  'Azure v1': {
    provider: { preset: 'azure', apiKey: 'azure-key-1' },
    model: 'my-deployment',
    keys: ['azure-key-1'],
    paths: both('/openai/v1/chat/completions'),
  },
  'Claude on Azure': {
    provider: { preset: 'azure', apiKey: 'azure-key-1' },
    model: 'claude-sonnet-4-5',
    keys: ['azure-key-1'],
    paths: both('/v1/messages'),
  },
  'Claude on Bedrock by a key': {
    provider: { preset: 'bedrock', apiKey: 'bedrock-key-1' },
    model: 'us.anthropic.claude-sonnet-4-5-20250929-v1:0',
    keys: ['bedrock-key-1'],
    paths: INVOKE,
  },
  'Claude on Bedrock by a signature': {
    provider: { preset: 'bedrock', region: 'us-east-1', aws },
    model: 'anthropic.claude-sonnet-4-5-20250929-v1:0',
    keys: [aws.accessKeyId],
    paths: INVOKE,
  },
  'Claude on Bedrock by Messages': {
    provider: { preset: 'bedrock', apiKey: 'bedrock-key-1', claudeApi: 'messages' },
    model: 'anthropic.claude-opus-4-8',
    keys: ['bedrock-key-1'],
    paths: both('/v1/messages'),
  },
  'Nova on Bedrock by Converse': {
    provider: { preset: 'bedrock', region: 'us-east-1', aws },
    model: 'eu.amazon.nova-pro-v1:0',
    keys: [aws.accessKeyId],
    paths: CONVERSE,
  },
  'Claude on Bedrock by Converse': {
    provider: { preset: 'bedrock', apiKey: 'bedrock-key-1', models: { [CLAUDE]: { protocol: 'converse' } } },
    model: CLAUDE,
    keys: ['bedrock-key-1'],
    paths: CONVERSE,
  },
  'chat on Bedrock': {
    provider: { preset: 'bedrock', apiKey: 'bedrock-key-1' },
    model: 'openai.gpt-oss-120b-1:0',
    keys: ['bedrock-key-1'],
    paths: both('/openai/v1/chat/completions'),
  },
  'chat on Bedrock mantle': {
    provider: { preset: 'bedrock', apiKey: 'bedrock-key-1', service: 'mantle' },
    model: 'openai.gpt-oss-120b',
    keys: ['bedrock-key-1'],
    paths: both('/v1/chat/completions'),
  },
  'Claude on Bedrock mantle': {
    provider: { preset: 'bedrock', apiKey: 'bedrock-key-1', service: 'mantle' },
    model: 'anthropic.claude-opus-4-8',
    keys: ['bedrock-key-1'],
    paths: both('/v1/messages'),
  },
  'Gemini on Vertex': {
    provider: { preset: 'vertex', apiKey: 'ya29.access-token', project: 'p-1', location: 'us-central1' },
    model: 'gemini-2.5-flash',
    keys: ['ya29.access-token'],
    paths: [`${VERTEX}/google/models/{model}:generateContent`, `${VERTEX}/google/models/{model}:streamGenerateContent`],
  },
  'Gemini on Vertex by an API key': {
    provider: { preset: 'vertex', apiKey: 'express-key-1' },
    model: 'gemini-2.5-flash',
    keys: ['express-key-1'],
    paths: [`${VERTEX}/google/models/{model}:generateContent`, `${VERTEX}/google/models/{model}:streamGenerateContent`],
  },
  'Claude on Vertex': {
    provider: { preset: 'vertex', apiKey: 'ya29.access-token', project: 'p-1', location: 'us-east5' },
    model: 'claude-sonnet-4-5@20250929',
    keys: ['ya29.access-token'],
    paths: [`${VERTEX}/anthropic/models/{model}:rawPredict`, `${VERTEX}/anthropic/models/{model}:streamRawPredict`],
  },
};
