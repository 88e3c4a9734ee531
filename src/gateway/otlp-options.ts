import type { OtlpOptions } from '../telemetry/otlp/otlp.ts';
import type { Config } from './config/index.ts';
import { version } from './version.ts';

/** What telemetry needs to export traces and metrics over OTLP; empty if no endpoint is configured. `current`: read when a span is built. */
export function otlpOptions(config: Config, current: () => Config): { readonly otlp?: OtlpOptions } {
  const { traces, otlpMetrics } = config.telemetry;
  if (traces.endpoint === '') return {};
  const provider: OtlpOptions['provider'] = (name) => {
    const { preset = null, baseUrl = '' } = current().providers[name] ?? {};
    const kind = preset ?? name;
    if (baseUrl === '') return { kind, address: null, port: null };
    const { hostname, port, protocol } = new URL(baseUrl);
    return { kind, address: hostname, port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) };
  };
  return { otlp: { endpoint: traces.endpoint, metrics: otlpMetrics, version: version(), provider } };
}
