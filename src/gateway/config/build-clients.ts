/** Builds clients from their input, with the hash of their key and all rights filled in. */
import { createHash } from 'node:crypto';
import { PRIORITIES } from '../../core/request.ts';
import { buildLimits } from './build-limits.ts';
import type { SessionBounds } from '../../policy/budget/session-limits.ts';
import type { ClientConfig } from './config.ts';
import { valueAt, type FaultList, type Path } from './faults.ts';
import type { ClientInput } from './schema.ts';

/** The stored form of a client's key: `sha256:` and 64 lower-case hex digits. */
export function hashKey(key: string): string {
  return `sha256:${createHash('sha256').update(key).digest('hex')}`;
}

/** `providers`: names of those that a budget may fall back to. */
export function buildClients(inputs: readonly ClientInput[], providers: ReadonlySet<string>, faults: FaultList): ClientConfig[] {
  const names = new Map<string, number>();
  const hashes = new Map<string, number>();
  return inputs.map((input, index) => {
    const path: Path = ['clients', index];
    const client = buildClient(input, path, faults);
    checkFallback(client, path, providers, faults);
    const sameName = names.get(client.name);
    if (sameName !== undefined) faults.add([...path, 'name'], `is also the name of clients[${sameName}]`);
    const sameKey = hashes.get(client.keyHash);
    if (sameKey !== undefined) faults.add([...path, input.key === undefined ? 'keyHash' : 'key'], `is also the key of clients[${sameKey}]`);
    if (client.keyHash !== '') hashes.set(client.keyHash, sameKey ?? index);
    names.set(client.name, sameName ?? index);
    return client;
  });
}

function buildClient(input: ClientInput, path: Path, faults: FaultList): ClientConfig {
  const key = input.key?.trim();
  checkKey(key, path, faults);
  const priority = input.priority ?? 'normal';
  const maxPriority = input.maxPriority ?? priority;
  if (PRIORITIES.indexOf(maxPriority) > PRIORITIES.indexOf(priority)) {
    faults.add([...path, 'maxPriority'], `must not be lower than priority (${priority})`);
  }
  return {
    name: input.name,
    key: key ?? null,
    keyHash: key === undefined ? (input.keyHash ?? '').toLowerCase() : hashKey(key),
    priority,
    maxPriority,
    models: input.models ?? null,
    limits: buildLimits(input.limits),
    budget: input.budget === undefined ? null : { ...input.budget, onExhausted: input.budget.onExhausted ?? null },
    sessionLimits: input.sessionLimits === undefined ? null : buildSessionLimits(input.sessionLimits),
  };
}

function buildSessionLimits({ requestsPerMinute, tokens, usd }: NonNullable<ClientInput['sessionLimits']>): SessionBounds {
  return { requestsPerMinute: requestsPerMinute ?? Infinity, tokens: tokens ?? Infinity, usd: usd ?? Infinity };
}

function checkFallback({ budget }: ClientConfig, path: Path, providers: ReadonlySet<string>, faults: FaultList): void {
  const target = budget?.onExhausted ?? null;
  if (target === null) return;
  const slash = target.indexOf('/');
  const at: Path = [...path, 'budget', 'onExhausted'];
  if (slash <= 0 || slash === target.length - 1) faults.add(at, 'must be a target, provider/model');
  else if (!providers.has(target.slice(0, slash))) faults.add(at, 'names a provider that is not configured');
}

function checkKey(key: string | undefined, path: Path, faults: FaultList): void {
  // Checked in the raw input: a key of the wrong type already has a fault.
  const isWritten = (name: string) => (valueAt(faults.input, [...path, name]) ?? null) !== null;
  if (!isWritten('key') && !isWritten('keyHash')) faults.add([...path, 'key'], 'is missing; set key, or keyHash: sha256:…');
  else if (isWritten('key') && isWritten('keyHash')) faults.add([...path, 'keyHash'], 'must not be combined with key; use one of them');
  else if (key === '') faults.add([...path, 'key'], 'must not be empty');
  else if (key !== undefined && /[^\x21-\x7e]/.test(key)) {
    faults.add([...path, 'key'], 'must contain only printable ASCII characters without spaces');
  }
}
