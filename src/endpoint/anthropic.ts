import type { Endpoint } from './endpoint.ts';

/** The version that all models and compatible servers accept; a caller's own version takes precedence. */
const VERSION = '2023-06-01';

export const ANTHROPIC_HEADERS: readonly string[] = ['anthropic-version', VERSION];

/** Anthropic and compatible servers: the SDK's base URL has no version, but many configurations include it. */
export const anthropicEndpoint: Endpoint = {
  path: (basePath, { path }) => versioned(basePath) + (path ?? '/messages'),
  modelsPath: (basePath) => `${versioned(basePath)}/models?limit=1000`,
  // Login tokens are accepted as `Bearer` only, keys in either header.
  credentialHeader: (credential, given) => (given === 'authorization' || /^sk-ant-oat/.test(credential) ? 'authorization' : 'x-api-key'),
  defaultHeaders: ANTHROPIC_HEADERS,
};

function versioned(basePath: string): string {
  return /\/v\d+$/.test(basePath) ? basePath : `${basePath}/v1`;
}
