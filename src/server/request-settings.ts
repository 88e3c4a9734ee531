/** Request settings in headers. */
import type { Policy } from '../gateway/config/index.ts';
import { BreakwaterError } from '../core/errors.ts';
import { PRIORITIES, SCHEDULING_CLASSES, type Priority, type RequestFacts, type SchedulingClass } from '../core/request.ts';
import type { KnownClient } from '../gateway/gateway.ts';
import type { AgentRole } from '../wire/agent-role.ts';
import type { Exchange } from './exchange.ts';

export interface RequestSettings {
  /** From the header; null: not set. */
  readonly priority: SchedulingClass | null;
  readonly deadlineMs: number;
  /** False: `deadlineMs` is the policy's. */
  readonly deadlineGiven: boolean;
  /** The deadline is from `x-breakwater-deadline-ms`, which takes precedence over SDK timeouts. */
  readonly isDeadlineAsked: boolean;
  /** The read timeout of the caller, in milliseconds; null: unknown. */
  readonly readTimeoutMs: number | null;
  /** False: only the first tier is used. */
  readonly fallback: boolean;
  readonly cache: 'on' | 'off' | 'refresh';
  /** Null: not set. */
  readonly idempotencyKey: string | null;
  /** Unknown `x-breakwater-*` headers. */
  readonly unknownHeaders: readonly string[];
}

/** The longest idempotency key, in characters. */
const KEY_LENGTH_MAX = 255;

const DEADLINE_HEADER = 'x-breakwater-deadline-ms';

type DeadlinePolicy = Pick<Policy, 'deadline' | 'maxDeadline'>;

/** Reads the headers; throws `invalid_request` for an invalid value. */
export function readSettings(exchange: Exchange, policy: DeadlinePolicy): RequestSettings {
  const cache = oneOf(exchange, 'x-breakwater-cache', ['off', 'refresh']) ?? 'on';
  const idempotencyKey = readKey(exchange);
  const fallback = oneOf(exchange, 'x-breakwater-fallback', ['on', 'off']) !== 'off';
  const priority = oneOf(exchange, 'x-breakwater-priority', SCHEDULING_CLASSES);
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
/** The most that are reported. */
const namedMax = 10;

function unknownHeaders(exchange: Exchange): readonly string[] {
  if (!exchange.hasHeaderLike(ownPrefix)) return none;
  return exchange
    .headersLike(ownPrefix)
    .filter((name) => !ownHeaders.has(name))
    .slice(0, namedMax);
}

/** A key applies to POST only, since repeating other methods has no side effects. */
function readKey(exchange: Exchange): string | null {
  const name = 'idempotency-key';
  const key = exchange.header(name);
  if (key === undefined || exchange.method !== 'POST') return null;
  if (key === '' || key.length > KEY_LENGTH_MAX) throw badHeader(name, `a string of 1 to ${KEY_LENGTH_MAX} characters`, key);
  return key;
}

/**
 * The priority from the header, else from the service tier, else the client's, adjusted for the role of the request in an agent run; never
 * above the client's maximum.
 */
export function choosePriority(
  requested: SchedulingClass | null,
  facts: RequestFacts,
  client: KnownClient,
  role: AgentRole | null,
  agents: Policy['agents'],
): SchedulingClass {
  if (requested !== null) return allowed(requested, client);
  const own = allowed(priorityOfTier(facts.serviceTier) ?? client.priority, client);
  return role === null ? own : allowed(priorityOfRole(own, agents[role]), client);
}

function allowed(wish: SchedulingClass, { maxPriority }: KnownClient): SchedulingClass {
  return SCHEDULING_CLASSES.indexOf(wish) < SCHEDULING_CLASSES.indexOf(maxPriority) ? maxPriority : wish;
}

/** A sub-agent of the lowest priority keeps it, since the class `job` must be requested explicitly. */
function priorityOfRole(own: SchedulingClass, setting: Policy['agents'][AgentRole]): SchedulingClass {
  if (setting === 'client') return own;
  const below = PRIORITIES[SCHEDULING_CLASSES.indexOf(own) + 1];
  return setting === 'lower' ? (below ?? own) : setting;
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

/** The deadline for the timeout that official SDKs send, slightly earlier so that the response arrives in time. */
function sdkTimeout(exchange: Exchange, policy: DeadlinePolicy): number | null {
  return shorterThan(secondsOf(exchange, 'x-stainless-timeout'), policy.deadline);
}

/** In milliseconds; null: the header is missing or not a positive number of seconds. */
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

/** The shortest interval of keep-alives that a caller can request, in milliseconds. */
const KEEP_ALIVE_MIN_MS = 250;
/** The interval of keep-alives, as a share of the caller's read timeout. */
const KEEP_ALIVE_SHARE = 0.8;

/** The effect of the caller's read timeout, which depends on whether the response is streamed. */
export interface Waiting extends Pick<RequestSettings, 'deadlineMs' | 'deadlineGiven'> {
  /** The longest interval of keep-alives in a stream, in milliseconds; null: that of the policy. */
  readonly keepAliveMaxMs: number | null;
}

/**
 * A caller with a read timeout gives up after that long without a byte. A non-streaming response sends nothing before it is complete, so the
 * read timeout is its deadline, unless `x-breakwater-deadline-ms` is set; a stream gets more frequent keep-alives.
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
