import type { Endpoint } from './endpoint.ts';

/** The version that all models and compatible servers take; a caller's own goes before it. */
const VERSION = '2023-06-01';

export const ANTHROPIC_HEADERS: readonly string[] = ['anthropic-version', VERSION];

/** Anthropic and compatible servers: their SDK's base URL has no version, but many write it all the same. */
export const anthropicEndpoint: Endpoint = {
  path: (basePath, { path }) => versioned(basePath) + (path ?? '/messages'),
  modelsPath: (basePath) => `${versioned(basePath)}/models?limit=1000`,
  // Tokens of a login are taken as `Bearer` only, keys in both headers.
  credentialHeader: (credential, given) => (given === 'authorization' || /^sk-ant-oat/.test(credential) ? 'authorization' : 'x-api-key'),
  defaultHeaders: ANTHROPIC_HEADERS,
};

function versioned(basePath: string): string {
  return /\/v\d+$/.test(basePath) ? basePath : `${basePath}/v1`;
}
