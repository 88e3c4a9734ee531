/**
 * The consequences of a refused credential: the credential is suspected or quarantined, and
 * the request may try one other credential at most, unless the error names the account itself.
 */
import { hash } from 'node:crypto';
import type { CooldownEvent } from '../../core/events.ts';
import type { Failure } from '../../core/facts.ts';
import type { Need } from '../../core/resource.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { QuarantineCause } from '../../policy/cooldown/quarantine.ts';
import type { RefusedRequest } from '../../policy/cooldown/suspicion.ts';
import type { Judgement } from '../../policy/verdict.ts';
import { waitUntil } from '../../wire/retry-hints.ts';
import type { Attempt } from '../attempt/attempt.ts';
import type { Engine } from '../request/engine.ts';
import { isOutOfOrder } from '../route/route.ts';
import type { RouteTarget, TargetState } from '../route/route.ts';
import type { ActiveRequest } from '../active/active-request.ts';
import type { RetryState } from './retry-state.ts';

/** Credentials that one request may try if the request itself may have caused the refusal. */
const CREDENTIALS_MAX = 2;
/** Number of bytes at each end of a large body that distinguish it from others. */
const SAMPLE_BYTES = 64 * 1024;

const SOLE_WORDS = ' for one client and model alone';

const SMALLEST: Need = { requests: 1, inputTokens: 0, outputTokens: 0 };

/** Suspects or quarantines the credential of a refused attempt; returns the event, or null if nothing has changed. */
export function blameCredential(retry: RetryState, attempt: Attempt, failure: Failure, judgement: Judgement): CooldownEvent | null {
  const { active } = retry;
  const { engine } = active;
  const { target, permit } = attempt.options;
  const { auth, quarantine, number } = target.state.credential;
  if (auth === 'caller') return null; // the caller's own key is not shared
  const now = engine.clock.now();
  const ticket = permit.ticketOf(quarantine)!;
  const { quarantineMs, floorMs } = quarantineTime(engine, failure, judgement);
  const cause = causeOf(failure, judgement);
  let forMs: number | null;
  if (judgement.effect === 'quarantine') forMs = quarantine.strike(now, ticket, quarantineMs, floorMs, cause);
  else {
    const witness = witnessOf(active, attempt);
    const confirmed = quarantine.suspect(now, ticket, witness, judgement.reason);
    if (confirmed === null) {
      if (ticket === quarantine.ticket) {
        active.note(`credential ${number} suspected (${describeCause(cause)}): a second, different request decides`, target);
        engine.keyCheck.raise(target.state);
      }
      return null;
    }
    forMs = quarantine.strikeInferred(now, ticket, quarantineMs, floorMs, cause, confirmed === 'sole' ? witness : null);
  }
  if (forMs === null) return null;
  const scope = quarantine.sole === null ? '' : SOLE_WORDS;
  active.note(`credential ${number} quarantined${scope} for ${(forMs / 1000).toFixed(1)} s (${describeCause(cause)})`, target);
  return quarantineEvent(engine, target.state, forMs, cause);
}

/** Quarantines a suspected credential that the key check found to be refused. */
export function confirmSuspicion(engine: Engine, state: TargetState, failure: Failure, judgement: Judgement): void {
  const { quarantine } = state.credential;
  const now = engine.clock.now();
  if (!quarantine.isSuspect(now) || (judgement.effect !== 'quarantine' && judgement.effect !== 'suspect')) return;
  const { quarantineMs, floorMs } = quarantineTime(engine, failure, judgement);
  const cause = causeOf(failure, judgement);
  const forMs = quarantine.strike(now, quarantine.ticket, quarantineMs, floorMs, cause);
  if (forMs === null) return;
  engine.events.emit(quarantineEvent(engine, state, forMs, cause));
  engine.admission.pump();
}

function quarantineEvent(engine: Engine, state: TargetState, forMs: number, cause: QuarantineCause): CooldownEvent {
  const subject = `${state.provider}#${state.credential.number}`;
  const why = `${describeCause(cause)}${state.credential.quarantine.sole === null ? '' : SOLE_WORDS}: ${cause.message}`;
  return { type: 'cooldown', at: engine.clock.now(), subject, kind: 'quarantine', forMs, reason: cause.reason, why };
}

/** The duration of the quarantine. A requested wait is a minimum, as credit does not return within seconds; a named instant is exact. */
function quarantineTime(engine: Engine, failure: Failure, judgement: Judgement): { quarantineMs: number; floorMs: number } {
  const resetMs = waitUntil(failure.resetEpochMs, engine.clock.epochMs());
  if (resetMs !== null) return { quarantineMs: 0, floorMs: resetMs };
  return { quarantineMs: judgement.quarantineMs, floorMs: failure.retryAfterMs ?? 0 };
}

function causeOf(failure: Failure, judgement: Judgement): QuarantineCause {
  const { status, code, type, message } = failure;
  return { reason: judgement.reason === 'quota' ? 'quota' : 'auth', status, code: code ?? type, message };
}

/** The cause in words for callers: of the provider's own words only the error code. `the provider refuses the key, 401 invalid_api_key` */
export function describeCause({ reason, status, code }: QuarantineCause): string {
  const what = reason === 'quota' ? 'the account has no quota or credit, or is suspended' : 'the provider refuses the key';
  const parts = [status, code === null || code === String(status) ? null : /^[\w.-]{1,60}/.exec(code)?.[0]].filter(Boolean);
  return parts.length === 0 ? what : `${what}, ${parts.join(' ')}`;
}

function witnessOf({ request, source }: ActiveRequest, { options }: Attempt): RefusedRequest {
  return { client: source.client, model: options.target.state.model, body: digestOf(request.body.bytes) };
}

function digestOf(bytes: Uint8Array): string {
  if (bytes.byteLength <= 2 * SAMPLE_BYTES) return hash('sha256', bytes, 'base64url');
  const ends = [bytes.subarray(0, SAMPLE_BYTES), bytes.subarray(-SAMPLE_BYTES)];
  return `${bytes.byteLength} ${hash('sha256', Buffer.concat(ends), 'base64url')}`;
}

/**
 * Limits how many credentials one request tries if the request itself may be the cause. The second one is another provider's if that can
 * start now, as it has a different account and different rules.
 */
export function limitCredentials(retry: RetryState, attempt: Attempt, judgement: Judgement): void {
  const { tried } = retry;
  if (judgement.blame === null || judgement.blame === 'account') return;
  const { target } = attempt.options;
  const refused = new Set<object>();
  for (const failed of retry.failures) {
    if (failed.judgement.blame === 'request' || failed.judgement.blame === 'unclear') refused.add(failed.target.state.credential);
  }
  const isOver = refused.size >= CREDENTIALS_MAX;
  const hasOtherProvider = !isOver && retry.tiers.some((tier) => tier.some((other) => canStartElsewhere(retry, target, other)));
  for (const tier of retry.tiers) {
    for (const other of tier) {
      if (tried.wasTried(other)) continue;
      const isSameKey = other.state.credential === target.state.credential;
      // A key that may be at fault is not tried for another model; one that refuses this model or size may accept another.
      if (isSameKey ? judgement.blame === 'unclear' : isOver && !refused.has(other.state.credential)) tried.exclude(other);
      else if (!isSameKey && hasOtherProvider && other.state.provider === target.state.provider) tried.exclude(other);
    }
  }
}

function canStartElsewhere(retry: RetryState, target: RouteTarget, other: RouteTarget): boolean {
  const { active } = retry;
  const { state } = other;
  if (state.provider === target.state.provider || state.runsHere) return false;
  const now = active.engine.clock.now();
  if (retry.tried.wasTried(other) || retry.tried.isExcluded(other) || isOutOfOrder(other, now, active.source)) return false;
  return other.resources.every((resource) => {
    const at = resource.earliest(now, SMALLEST);
    return at !== WHEN_SETTLED && at <= now;
  });
}
