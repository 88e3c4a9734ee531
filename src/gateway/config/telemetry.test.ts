import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Config } from './config.ts';
import { parseConfig, type ParseOptions } from './parse-config.ts';

const x = { baseUrl: 'http://127.0.0.1:1/v1' };

function read(telemetry: object | undefined, options: Partial<ParseOptions> = {}): Config['telemetry'] {
  const result = parseConfig({ providers: { x }, ...(telemetry && { telemetry }) }, { source: 'environment', ...options });
  if (!result.ok) throw new Error(result.faults.map(({ message }) => message).join('\n'));
  return result.config.telemetry;
}

describe('the OTLP endpoint', () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };

  it("is none by default, OpenTelemetry's variable where it is unset, and none again where it is empty", () => {
    assert.deepEqual(read(undefined).traces, { endpoint: '', sample: 1, maxPerSecond: 1_000 });
    assert.equal(read(undefined, { env }).traces.endpoint, 'http://collector:4318');
    assert.equal(read({ traces: { sample: 0.5 } }, { env }).traces.endpoint, 'http://collector:4318');
    assert.equal(read({ traces: { endpoint: 'http://other' } }, { env }).traces.endpoint, 'http://other');
    assert.equal(read({ traces: { endpoint: '' } }, { env }).traces.endpoint, '');
  });

  it('of the environment is ignored by the library, and where OpenTelemetry is disabled', () => {
    assert.equal(read(undefined, { env, source: 'library' }).traces.endpoint, '');
    assert.equal(read(undefined, { env: { ...env, OTEL_SDK_DISABLED: 'true' } }).traces.endpoint, '');
    assert.equal(read(undefined, { env: { ...env, OTEL_TRACES_EXPORTER: 'none' } }).traces.endpoint, '');
  });

  it('must be a URL, and is needed by metrics over OTLP', () => {
    const rule = /telemetry\.traces\.endpoint: must be a URL that starts with http:\/\/ or https:\/\//;
    assert.throws(() => read({ traces: { endpoint: 'collector:4318' } }), rule);
    assert.throws(() => read(undefined, { env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector' } }), rule);
    assert.throws(() => read({ otlpMetrics: true }), /telemetry\.otlpMetrics: needs telemetry\.traces\.endpoint/);
    assert.throws(() => read({ traces: { sample: 2 } }), /telemetry\.traces\.sample: must be a number from 0 to 1/);
  });
});
