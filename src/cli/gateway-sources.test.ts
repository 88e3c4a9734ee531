import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../gateway/config/index.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { createGatewaySources } from './gateway-sources.ts';

function configOf(model: string) {
  const parsed = parseConfig(
    { providers: { a: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'key-12345678' } }, models: { [model]: ['a/m'] } },
    { source: 'library' },
  );
  assert.ok(parsed.ok);
  return parsed.config;
}

test('telemetry can be read before the gateway is complete, and then reads the gateway', () => {
  const sources = createGatewaySources(configOf('fast'), false);
  const { telemetry, configNow } = sources;
  const read = () => [telemetry.isConfiguredModel('fast'), telemetry.isConfiguredModel('listed'), telemetry.isConfiguredTarget('a/m')];
  assert.deepEqual(read(), [true, false, true]);
  assert.deepEqual([telemetry.snapshot(), telemetry.status()], [null, null]);
  assert.deepEqual([telemetry.captures.prompt('r'), telemetry.captures.bodies('r')], [null, null]);

  const next = configOf('slow');
  const snapshot = {};
  const captures = { prompt: () => 'hello', bodies: () => null };
  sources.attach({
    config: next,
    captures,
    snapshot: () => snapshot,
    isListed: (model: string) => model === 'listed',
  } as unknown as Gateway);
  assert.deepEqual(read(), [false, true, true]);
  assert.equal(configNow(), next);
  assert.equal(telemetry.snapshot(), snapshot);
  assert.equal(telemetry.captures.prompt('r'), 'hello');
});
