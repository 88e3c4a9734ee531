/** What a caller may wish for in headers (design 2.3). */
import type { Policy } from '../gateway/config/index.ts';
import { BreakwaterError } from '../core/errors.ts';
import { PRIORITIES, type Priority, type RequestFacts } from '../core/request.ts';
import type { KnownClient } from '../gateway/gateway.ts';
import type { AgentRole } from '../wire/agent-role.ts';
import type { Exchange } from './exchange.ts';

export interface RequestSettings {
  /** Asked for by header; null: not asked for. */
  readonly priority: Priority | null;
  readonly deadlineMs: number;
  /** False: `deadlineMs` is the policy's own. */
  readonly deadlineGiven: boolean;
  /** `x-breakwater-deadline-ms` names it, which goes before what an SDK says. */
  readonly isDeadlineAsked: boolean;
  /** How long the caller waits for the next byte, in milliseconds; null: that is not known. */
  readonly readTimeoutMs: number | null;
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

const DEADLINE_HEADER = 'x-breakwater-deadline-ms';

type DeadlinePolicy = Pick<Policy, 'deadline' | 'maxDeadline'>;

/** Reads the headers; throws `invalid_request` for a value that means nothing. */
export function readSettings(exchange: Exchange, policy: DeadlinePolicy): RequestSettings {
  const cache = oneOf(exchange, 'x-breakwater-cache', ['off', 'refresh']) ?? 'on';
  const idempotencyKey = readKey(exchange);
  const fallback = oneOf(exchange, 'x-breakwater-fallback', ['on', 'off']) !== 'off';
  const priority = oneOf(exchange, 'x-breakwater-priority', PRIORITIES);
  const wishMs = deadlineWish(exchange, policy);
  const isDeadlineAsked = exchange.header(DEADLINE_HEADER) !== undefined;
  const readTimeoutMs = secondsOf(exchange, 'x-stainless-read-timeout');
  return {
    priority,
    deadlineMs: wishMs ?? policy.deadline,
    deadlineGiven: wishMs !== null,
    isDeadlineAsked,
    readTimeoutMs,
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

/**
 * The header's, else what the service tier means, else the client's, which the part that the request has in an agent's run may change;
 * never above what the client may have.
 */
export function choosePriority(
  asked: Priority | null,
  facts: RequestFacts,
  client: KnownClient,
  role: AgentRole | null,
  agents: Policy['agents'],
): Priority {
  if (asked !== null) return allowed(asked, client);
  const own = allowed(priorityOfTier(facts.serviceTier) ?? client.priority, client);
  return role === null ? own : allowed(priorityOfRole(own, agents[role]), client);
}

function allowed(wish: Priority, { maxPriority }: KnownClient): Priority {
  return PRIORITIES.indexOf(wish) < PRIORITIES.indexOf(maxPriority) ? maxPriority : wish;
}

function priorityOfRole(own: Priority, setting: Policy['agents'][AgentRole]): Priority {
  if (setting === 'client') return own;
  return setting === 'lower' ? (PRIORITIES[PRIORITIES.indexOf(own) + 1] ?? own) : setting;
}

function priorityOfTier(tier: string | null): Priority | null {
  if (tier === 'priority') return 'high';
  return tier === 'flex' ? 'low' : null;
}

function deadlineWish(exchange: Exchange, policy: DeadlinePolicy): number | null {
  const text = exchange.header(DEADLINE_HEADER);
  if (text === undefined) return sdkTimeout(exchange, policy);
  if (!/^\d{1,15}$/.test(text) || Number(text) === 0) throw badHeader(DEADLINE_HEADER, 'a positive whole number of milliseconds', text);
  return Math.min(Number(text), policy.maxDeadline);
}

/** The official SDKs tell when they give up; our answer has to come a little before that. */
function sdkTimeout(exchange: Exchange, policy: DeadlinePolicy): number | null {
  return shorterThan(secondsOf(exchange, 'x-stainless-timeout'), policy.deadline);
}

/** In milliseconds; null: the header is missing, or no positive number of seconds. */
function secondsOf(exchange: Exchange, name: string): number | null {
  const timeoutMs = Number(exchange.header(name) ?? Number.NaN) * 1000;
  return timeoutMs > 0 && timeoutMs < Infinity ? timeoutMs : null;
}

/** The deadline for a caller that gives up after `timeoutMs`; null: `deadlineMs` is shorter. */
function shorterThan(timeoutMs: number | null, deadlineMs: number): number | null {
  if (timeoutMs === null) return null;
  const wishMs = timeoutMs - Math.min(timeoutMs * 0.05, 1000);
  return wishMs < deadlineMs ? wishMs : null;
}

/** The shortest interval of keep-alives that a caller can ask for, in milliseconds. */
const KEEP_ALIVE_MIN_MS = 250;
/** Keep-alives come after this share of what the caller waits for the next byte. */
const KEEP_ALIVE_SHARE = 0.8;

/** What the caller's read timeout means for its request, once it is known whether it asks for a stream. */
export interface Waiting extends Pick<RequestSettings, 'deadlineMs' | 'deadlineGiven'> {
  /** A stream must not be silent for longer, in milliseconds; null: the policy decides. */
  readonly keepAliveMaxMs: number | null;
}

/**
 * A caller with a read timeout gives up when it hears nothing for that long. A plain answer is silent until it is whole, so that is
 * its deadline, unless `x-breakwater-deadline-ms` says another; a stream gets keep-alives sooner.
 */
export function waitingOf(settings: RequestSettings, isEventStream: boolean): Waiting {
  const { deadlineMs, deadlineGiven, isDeadlineAsked, readTimeoutMs } = settings;
  if (readTimeoutMs === null) return { deadlineMs, deadlineGiven, keepAliveMaxMs: null };
  if (isEventStream) return { deadlineMs, deadlineGiven, keepAliveMaxMs: Math.max(KEEP_ALIVE_MIN_MS, readTimeoutMs * KEEP_ALIVE_SHARE) };
  const wishMs = isDeadlineAsked ? null : shorterThan(readTimeoutMs, deadlineMs);
  return { deadlineMs: wishMs ?? deadlineMs, deadlineGiven: deadlineGiven || wishMs !== null, keepAliveMaxMs: null };
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
