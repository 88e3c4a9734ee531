/** The admin API: requests, queue and targets, and the few manual actions. */
import { REQUEST_OUTCOMES } from '../core/events.ts';
import { BreakwaterError } from '../core/errors.ts';
import { effectiveConfig } from '../gateway/config/index.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { StoreHealth } from '../store/store.ts';
import type { ListOptions } from '../telemetry/timelines.ts';
import { adminQuery } from './admin-query.ts';
import type { Call } from './call.ts';

export function listRequests(call: Call): void {
  const { timelines } = call.app;
  const query = adminQuery(call, ['limit', 'before', 'outcome', 'status', 'model', 'client', 'format']);
  const filter = readFilter(query);
  if (readWord(query, 'format', ['json', 'jsonl']) !== 'jsonl') return call.sendJson(200, { requests: timelines?.list(filter) ?? [] });
  const lines = timelines?.records(filter).map((record) => `${JSON.stringify(record)}\n`) ?? [];
  call.send(200, 'application/jsonl', Buffer.from(lines.join('')));
}

export function showRequest(call: Call): void {
  const found = call.app.timelines?.get(call.place.rest) ?? null;
  if (found === null) {
    const cause = call.gateway.fleet === null ? 'it may be too old' : 'it may be too old, or of another instance';
    throw new BreakwaterError('not_found', `unknown request ${JSON.stringify(call.place.rest)}: ${cause}`);
  }
  call.sendJson(200, found);
}

/** All but `fleet` and each `limit` is this instance's own. */
export async function listTargets(call: Call): Promise<void> {
  const fleet = await call.gateway.fleet?.survey();
  call.sendJson(200, { targets: call.gateway.targets(), ...(fleet !== undefined && { fleet }) });
}

/** All but `fleet` is this instance's own. */
export async function showQueue(call: Call): Promise<void> {
  const fleet = await call.gateway.fleet?.survey();
  call.sendJson(200, { ...call.gateway.queue(), ...(fleet !== undefined && { fleet }) });
}

/** The state of the store and of the fleet, as far as this instance is linked to it. */
export function showHealth(call: Call): void {
  const { store, fleet } = call.gateway;
  const { kind } = store;
  const shown = faultShown(call.gateway) ?? { state: 'ok', fault: null, message: null };
  const members =
    fleet === null
      ? null
      : { instance: fleet.member, instances: Math.max(1, fleet.members.length), isLinked: fleet.isLinked, differences: fleet.differences };
  call.sendJson(200, { store: { kind, ...shown }, ...(members !== null && { fleet: members }) });
}

function faultShown({ store: { health }, fleet }: Gateway): object | null {
  if (health.state === 'degraded') return faultOf(health);
  const fault = fleet?.fault ?? null;
  return fault && faultOf({ state: 'degraded', fault: 'unavailable', ...fault });
}

function faultOf({ state, fault, message, sinceMs }: Extract<StoreHealth, { state: 'degraded' }>): object {
  return { state, fault, message, since: new Date(sinceMs).toISOString() };
}

export function showConfig(call: Call): void {
  call.sendJson(200, effectiveConfig(call.gateway.config));
}

export function isolateTarget(call: Call): void {
  changed(call, call.gateway.isolate(call.place.rest), 'isolated');
}

export function resetTarget(call: Call): void {
  changed(call, call.gateway.reset(call.place.rest), 'reset');
}

export async function reloadConfig(call: Call): Promise<void> {
  const { reload } = call.app;
  if (reload === null) throw new BreakwaterError('not_found', 'this gateway has no config file to reload');
  try {
    await reload();
  } catch (error) {
    throw new BreakwaterError('invalid_request', error instanceof Error ? error.message : String(error), { cause: error });
  }
  call.sendJson(200, { status: 'reloaded' });
}

function changed(call: Call, found: boolean, status: string): void {
  const target = call.place.rest;
  if (!found) throw new BreakwaterError('not_found', `unknown target ${JSON.stringify(target)}`);
  call.sendJson(200, { target, status });
}

function readFilter(query: URLSearchParams): ListOptions {
  const outcome = readWord(query, 'outcome', [...REQUEST_OUTCOMES, 'running']);
  const limit = readCount(query, 'limit');
  const before = readCount(query, 'before');
  const status = readCount(query, 'status');
  const model = query.get('model');
  const client = query.get('client');
  return {
    ...(outcome !== null && { outcome }),
    ...(limit !== null && { limit }),
    ...(before !== null && { before }),
    ...(status !== null && { status }),
    ...(model !== null && { model }),
    ...(client !== null && { client }),
  };
}

function readCount(query: URLSearchParams, name: string): number | null {
  const text = query.get(name);
  if (text === null) return null;
  if (/^\d{1,9}$/.test(text) && Number(text) > 0) return Number(text);
  throw new BreakwaterError('invalid_request', `${name} must be a positive whole number (got ${JSON.stringify(text)})`, { param: name });
}

function readWord<const W extends string>(query: URLSearchParams, name: string, words: readonly W[]): W | null {
  const text = query.get(name);
  if (text === null) return null;
  const found = words.find((word) => word === text);
  if (found !== undefined) return found;
  throw new BreakwaterError('invalid_request', `${name} must be one of ${words.join(', ')} (got ${JSON.stringify(text)})`, { param: name });
}
