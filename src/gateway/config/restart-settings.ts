/** Settings that a running gateway does not change. */
import { isDeepStrictEqual } from 'node:util';
import type { Config } from './config.ts';

/** Their paths. A block stands for all its settings. */
export const RESTART_SETTINGS = [
  'server.host',
  'server.port',
  'server.socket',
  'server.socketMode',
  'server.tls',
  'server.listener',
  'server.httpClient',
  'store',
  'telemetry.requests.file',
  'telemetry.traces.endpoint',
  'telemetry.otlpMetrics',
] as const;

/** Those that differ: a reload does not apply them. */
export function restartSettings(before: Config, next: Config): string[] {
  return RESTART_SETTINGS.filter((path) => !isDeepStrictEqual(valueAt(before, path), valueAt(next, path)));
}

function valueAt(config: Config, path: string): unknown {
  return path.split('.').reduce((value: unknown, key) => (value as Readonly<Record<string, unknown>>)[key], config);
}
