import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigInput } from './config-input.ts';
import { parseConfig } from './parse-config.ts';
import { restartSettings } from './restart-settings.ts';

function configOf(input: ConfigInput) {
  const parsed = parseConfig({ providers: { a: { baseUrl: 'http://127.0.0.1:9/v1' } }, ...input }, { source: 'library' });
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.faults.map(({ path, message }) => `${path}: ${message}`).join('\n'));
  return parsed.config;
}

test('a reload does not apply the store, the files, the listener and the clients of sockets', () => {
  const before = configOf({ store: 'sqlite:./a.db', telemetry: { requests: { file: 'a.jsonl' } } });
  const changed = (change: ConfigInput): string[] => restartSettings(before, configOf({ ...change }));
  const same = { store: 'sqlite:./a.db', telemetry: { requests: { file: 'a.jsonl' } } } as const;
  assert.deepEqual(changed(same), []);
  assert.deepEqual(changed({ ...same, store: 'sqlite:./b.db' }), ['store']);
  assert.deepEqual(changed({ ...same, store: 'memory:' }), ['store']);
  const server = { host: '127.0.0.2', port: 1, listener: 'node', httpClient: 'undici', allowAnonymous: true, maxBodySize: '1mb' } as const;
  assert.deepEqual(changed({ ...same, server }), ['server.host', 'server.port', 'server.listener', 'server.httpClient']);
  assert.deepEqual(changed({ ...same, telemetry: { requests: { file: 'b.jsonl' } } }), ['telemetry.requests.file']);
  const telemetry = {
    requests: { file: 'a.jsonl', bodies: true },
    traces: { sample: 0.5 },
    logs: { prompts: true },
    metrics: 'public',
  } as const;
  assert.deepEqual(changed({ ...same, telemetry }), []);
});
