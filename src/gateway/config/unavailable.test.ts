import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from './parse-config.ts';

const x = { baseUrl: 'http://127.0.0.1:1/v1' };

function faultsOf(input: object): string[] {
  const result = parseConfig(
    { ...input, providers: { x, ...('providers' in input ? (input.providers as object) : {}) } },
    { source: 'library' },
  );
  return result.ok ? [] : result.faults.map((fault) => fault.message);
}

const refused: readonly (readonly [input: object, line: string])[] = [
  [
    { providers: { x: { ...x, policy: { cache: { enabled: true } } } } },
    'providers.x.policy.cache.enabled: not available in this version (got true)',
  ],
  [{ providers: { x: { ...x, cache: { enabled: true } } } }, 'providers.x.cache.enabled: not available in this version (got true)'],
];

for (const [input, line] of refused) {
  test(line, () => assert.deepEqual(faultsOf(input), [line]));
}

test('available settings are not refused', () => {
  assert.deepEqual(
    faultsOf({
      policy: {
        queue: { maxSize: 1 },
        retry: { baseDelay: '1s' },
        breaker: { probes: 2 },
        timeouts: { headers: '1s' },
        cache: { enabled: true, coalesce: false },
        quality: {
          rejectTruncated: true,
          rejectRefusal: true,
          minLength: 1,
          mustMatch: ['a'],
          mustNotMatch: ['b'],
          buffer: true,
          check: () => true,
        },
      },
      providers: { x: { ...x, apiKeys: ['a', 'b'], limits: { requestsPerMinute: 1, window: 'sliding' } } },
      server: { allowAnonymous: true, passThrough: [{ path: '/v1/x', provider: 'x' }] },
      telemetry: { metrics: 'public', requests: { file: 'x.jsonl' } },
      store: 'sqlite:x.db',
    }),
    [],
  );
});

test("another provider's OpenAI-compatible endpoint can be used under its own name", () => {
  assert.deepEqual(faultsOf({ providers: { gemini: { protocol: 'openai', baseUrl: 'https://h/v1beta/openai', apiKey: 'k' } } }), []);
});
