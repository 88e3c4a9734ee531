/** Parses `--load rate=120,minutes=10,…` into a load. */
import type { Config } from '../../gateway/config/index.ts';
import { parseDuration } from '../../gateway/config/units.ts';
import type { Load, LoadKind } from '../../testing/workload.ts';
import { OperatorError } from '../fail.ts';

export const DEFAULT_LOAD = 'rate=60,minutes=10';

/** One request in twenty has this many times the median tokens. */
const TAIL = 4;
const KEYS = ['rate', 'minutes', 'model', 'peak', 'high', 'low', 'input', 'output', 'bound', 'stream', 'deadline', 'retries'] as const;
type Key = (typeof KEYS)[number];

/** Throws an OperatorError with one line per fault. */
export function readLoad(spec: string, config: Config): Load {
  const faults: string[] = [];
  const given = split(spec, faults);
  const number = (key: Key, fallback: number, min: number, max: number): number => {
    const text = given.get(key);
    if (text === undefined) return fallback;
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    faults.push(`--load: ${key} must be a number from ${min} to ${max} (got ${JSON.stringify(text)})`);
    return fallback;
  };
  const [high, low] = [number('high', 0.2, 0, 1), number('low', 0.2, 0, 1)];
  if (high + low > 1) faults.push('--load: high and low together must not be more than 1');
  const output = number('output', 200, 1, 1e6);
  const input = number('input', 500, 1, 1e6);
  const bound = number('bound', 0, 0, 1e6);
  const deadlineMs = deadlineOf(given.get('deadline'), faults);
  const kind = (model: string): Omit<LoadKind, 'weight' | 'priority'> => ({
    model,
    dialect: 'openai-chat',
    stream: number('stream', 0.5, 0, 1),
    inputTokens: { p50: input, p95: input * TAIL },
    outputTokens: { p50: output, p95: output * TAIL },
    retries: Math.round(number('retries', 0, 0, 10)),
    ...(bound === 0 ? {} : { outputBound: bound }),
    ...(deadlineMs === null ? {} : { deadlineMs }),
  });
  const shares = { high, normal: 1 - high - low, low } as const;
  const kinds = modelsOf(given.get('model'), config, faults).flatMap((model) =>
    (['high', 'normal', 'low'] as const).map((priority) => ({ ...kind(model), weight: shares[priority], ...askedBy(config, priority) })),
  );
  const peak = number('peak', 1, 0, 1000);
  const load = {
    durationMs: number('minutes', 10, 0.1, 1440) * 60_000,
    requestsPerMinute: number('rate', 60, 0.01, 1e6),
    shape: [1, 1, peak, 1, 1],
    kinds: kinds.filter(({ weight }) => weight > 0),
  };
  if (faults.length > 0) throw new OperatorError([...new Set(faults)]);
  return load;
}

function split(spec: string, faults: string[]): Map<Key, string> {
  const given = new Map<Key, string>();
  for (const part of spec.split(',').filter((one) => one.trim() !== '')) {
    const [key = '', ...value] = part.split('=').map((one) => one.trim());
    const known = KEYS.find((one) => one === key);
    if (known === undefined || value.length !== 1 || value[0] === '') {
      faults.push(`--load: expected KEY=VALUE with one of ${KEYS.join(', ')} (got ${JSON.stringify(part)})`);
    } else given.set(known, value[0]!);
  }
  return given;
}

function deadlineOf(text: string | undefined, faults: string[]): number | null {
  if (text === undefined) return null;
  const ms = parseDuration(text);
  if (ms !== null && ms >= 1) return ms;
  faults.push(`--load: deadline must be a duration such as 30s (got ${JSON.stringify(text)})`);
  return null;
}

function modelsOf(text: string | undefined, config: Config, faults: string[]): string[] {
  const configured = Object.keys(config.models).filter((name) => !name.includes('*'));
  if (text !== undefined) return text.split('+');
  if (configured.length === 0) faults.push('--load: the config names no models: set model=NAME');
  return configured;
}

/** If clients need a key: the first client that may use the priority, or the closest match. */
function askedBy(config: Config, priority: 'high' | 'normal' | 'low'): Pick<LoadKind, 'client' | 'priority'> {
  const client = config.clients.find((one) => one.priority === priority) ?? config.clients.find((one) => one.maxPriority === priority);
  const named = client ?? config.clients[0];
  return named === undefined ? { priority } : { client: named.name, priority };
}
