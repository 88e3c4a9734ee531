/** What a caller may wish for in headers (design 2.3). */
import type { Policy } from '../gateway/config/index.ts';
import { BreakwaterError } from '../core/errors.ts';
import { PRIORITIES, type Priority, type RequestFacts } from '../core/request.ts';
import type { KnownClient } from '../gateway/gateway.ts';
import type { Exchange } from './exchange.ts';

export interface RequestSettings {
  /** Asked for by header; null: not asked for. */
  readonly priority: Priority | null;
  readonly deadlineMs: number;
  /** False: `deadlineMs` is the policy's own. */
  readonly deadlineGiven: boolean;
  /** False: only the first tier. */
  readonly fallback: boolean;
  readonly cache: 'on' | 'off' | 'refresh';
  /** Null: none was given. */
  readonly idempotencyKey: string | null;
  /** `x-breakwater-*` headers that mean nothing here. */
  readonly unknownHeaders: readonly string[];
}

/** A longer idempotency key is refused, in characters. */
const KEY_LENGTH_MAX = 255;

type DeadlinePolicy = Pick<Policy, 'deadline' | 'maxDeadline'>;

/** Reads the headers; throws `invalid_request` for a value that means nothing. */
export function readSettings(exchange: Exchange, policy: DeadlinePolicy): RequestSettings {
  const cache = oneOf(exchange, 'x-breakwater-cache', ['off', 'refresh']) ?? 'on';
  const idempotencyKey = readKey(exchange);
  const fallback = oneOf(exchange, 'x-breakwater-fallback', ['on', 'off']) !== 'off';
  const priority = oneOf(exchange, 'x-breakwater-priority', PRIORITIES);
  const wishMs = deadlineWish(exchange, policy);
  return {
    priority,
    deadlineMs: wishMs ?? policy.deadline,
    deadlineGiven: wishMs !== null,
    fallback,
    cache,
    idempotencyKey,
    unknownHeaders: unknownHeaders(exchange),
  };
}

const ownPrefix = 'x-breakwater-';
const ownHeaders: ReadonlySet<string> = new Set(['priority', 'deadline-ms', 'fallback', 'cache'].map((name) => ownPrefix + name));
const none: readonly string[] = [];
/** More of them are not named. */
const namedMax = 10;

function unknownHeaders(exchange: Exchange): readonly string[] {
  if (!exchange.hasHeaderLike(ownPrefix)) return none;
  return exchange
    .headersLike(ownPrefix)
    .filter((name) => !ownHeaders.has(name))
    .slice(0, namedMax);
}

/** Only what changes something can be repeated by mistake: a key with any other method means nothing. */
function readKey(exchange: Exchange): string | null {
  const name = 'idempotency-key';
  const key = exchange.header(name);
  if (key === undefined || exchange.method !== 'POST') return null;
  if (key === '' || key.length > KEY_LENGTH_MAX) throw badHeader(name, `a text of 1 to ${KEY_LENGTH_MAX} characters`, key);
  return key;
}

/** The header's, else what the service tier means, else the client's; never above what the client may have. */
export function choosePriority(asked: Priority | null, facts: RequestFacts, client: KnownClient): Priority {
  const wish = asked ?? priorityOfTier(facts.serviceTier) ?? client.priority;
  return PRIORITIES.indexOf(wish) < PRIORITIES.indexOf(client.maxPriority) ? client.maxPriority : wish;
}

function priorityOfTier(tier: string | null): Priority | null {
  if (tier === 'priority') return 'high';
  return tier === 'flex' ? 'low' : null;
}

function deadlineWish(exchange: Exchange, policy: DeadlinePolicy): number | null {
  const name = 'x-breakwater-deadline-ms';
  const text = exchange.header(name);
  if (text === undefined) return sdkTimeout(exchange, policy);
  if (!/^\d{1,15}$/.test(text) || Number(text) === 0) throw badHeader(name, 'a positive whole number of milliseconds', text);
  return Math.min(Number(text), policy.maxDeadline);
}

/** The official SDKs tell when they give up; our answer has to come a little before that. */
function sdkTimeout(exchange: Exchange, policy: DeadlinePolicy): number | null {
  const timeoutMs = Number(exchange.header('x-stainless-timeout') ?? Number.NaN) * 1000;
  if (!(timeoutMs > 0)) return null;
  const wishMs = timeoutMs - Math.min(timeoutMs * 0.05, 1000);
  return wishMs < policy.deadline ? wishMs : null;
}

function oneOf<const W extends string>(exchange: Exchange, name: string, words: readonly W[]): W | null {
  const value = exchange.header(name);
  if (value === undefined) return null;
  const found = words.find((word) => word === value);
  if (found === undefined) throw badHeader(name, words.join(', '), value);
  return found;
}

function badHeader(name: string, rule: string, value: string): BreakwaterError {
  return new BreakwaterError('invalid_request', `${name} must be ${rule} (got ${JSON.stringify(value.slice(0, 80))})`, { param: name });
}
