import type { OtlpOptions } from '../telemetry/otlp/otlp.ts';
import type { ProviderFacts } from '../telemetry/otlp/span-text.ts';
import type { Config } from './config/index.ts';
import { version } from './version.ts';

/** What telemetry needs to export traces and metrics over OTLP; empty if no endpoint is configured. `current`: read when a span is built. */
export function otlpOptions(config: Config, current: () => Config): { readonly otlp?: OtlpOptions } {
  const { traces, otlpMetrics } = config.telemetry;
  if (traces.endpoint === '') return {};
  let of = config;
  const known = new Map<string, ProviderFacts>();
  const provider: OtlpOptions['provider'] = (name) => {
    if (of !== current()) known.clear();
    of = current();
    let facts = known.get(name);
    if (facts === undefined) known.set(name, (facts = factsOf(name, of)));
    return facts;
  };
  return { otlp: { endpoint: traces.endpoint, metrics: otlpMetrics, version: version(), provider } };
}

function factsOf(name: string, { providers }: Config): ProviderFacts {
  const { preset = null, baseUrl = '' } = providers[name] ?? {};
  const kind = preset ?? name;
  if (baseUrl === '') return { kind, address: null, port: null };
  const { hostname, port, protocol } = new URL(baseUrl);
  return { kind, address: hostname, port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) };
}
