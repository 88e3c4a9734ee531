/** Breakers in the states that their tests start from. */
import assert from 'node:assert/strict';
import { CONTRACT_NEED as NEED } from '../../core/resource.contract.ts';
import type { Settlement } from '../../core/resource.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import type { BreakerOptions } from './circuit-breaker.ts';

const OPTIONS: BreakerOptions = {
  windowMs: 30_000,
  failureRatio: 0.5,
  minRequests: 10,
  consecutiveFailures: 5,
  openForMs: 5000,
  maxOpenForMs: 60_000,
  probes: 1,
};
const NO_JITTER = { next: () => 0 };

export type Health = Settlement['health'];

export function makeBreaker(options: Partial<BreakerOptions> = {}, random = NO_JITTER): CircuitBreaker {
  return new CircuitBreaker('p/m:breaker', { ...OPTIONS, ...options }, random);
}

export function attempt(breaker: CircuitBreaker, now: number, health: Health): void {
  breaker.settle(now, breaker.reserve(now, NEED), NEED, { usage: null, health });
}

export function attempts(breaker: CircuitBreaker, now: number, health: Health, count: number): void {
  for (let i = 0; i < count; i++) attempt(breaker, now, health);
}

export function opened(options: Partial<BreakerOptions> = {}, random = NO_JITTER): CircuitBreaker {
  const breaker = makeBreaker(options, random);
  attempts(breaker, 0, 'failure', 5);
  assert.equal(breaker.state, 'open');
  return breaker;
}

/** Opened 5 s before `now`, and closed by a probe at `now`. */
export function recovered(options: Partial<BreakerOptions> = {}, now = 5000): CircuitBreaker {
  const breaker = makeBreaker(options);
  attempts(breaker, now - 5000, 'failure', 5);
  attempt(breaker, now, 'success');
  assert.equal(breaker.state, 'closed');
  return breaker;
}

/** Starts as many attempts as are admitted at once; returns their tickets. */
export function startAll(breaker: CircuitBreaker, now: number): number[] {
  const tickets: number[] = [];
  while (tickets.length < 1000 && breaker.earliest(now) === now) tickets.push(breaker.reserve(now, NEED));
  return tickets;
}
