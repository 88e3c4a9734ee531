/** A waiting request that is joined by a more urgent reader. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Priority } from '../../core/request.ts';
import { ConcurrencyLimiter } from '../../policy/concurrency-limiter/concurrency-limiter.ts';
import { Quarantine } from '../../policy/cooldown/quarantine.ts';
import { SilenceRecord } from '../../policy/latency/silence.ts';
import { Scheduler } from '../../policy/scheduler/scheduler.ts';
import { InputEstimate, OutputEstimate } from '../../policy/token-estimate.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { Admission } from '../admission/admission.ts';
import type { AdmissionResult, RouteApplicant } from '../admission/admission.ts';
import type { Engine } from '../request/engine.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import { requestPermit } from './request-applicant.ts';
import { RetryState } from './retry-state.ts';
import type { Route, RouteTarget } from '../route/route.ts';
import { ActiveRequest } from '../active/active-request.ts';

/** One place at one target, and requests for it. */
function world() {
  const clock = createManualClock();
  const scheduler = new Scheduler<RouteTarget, RouteApplicant>({ queueLengthMax: 100, minShare: {}, choose: ([first]) => first! });
  const admission = new Admission(scheduler, clock);
  const engine = { clock, admission, events: { emit: () => {} } } as unknown as Engine;
  const target = {
    key: 'p/m',
    resources: [new ConcurrencyLimiter('place', 1)],
    state: {
      countsOutput: true,
      silence: new SilenceRecord(),
      countsCached: true,
      rates: null,
      breaker: { state: 'closed' },
      credential: { quarantine: new Quarantine('p#1') },
      cooldown: { remainingMs: () => 0 },
      overload: { remainingMs: () => 0 },
      input: new InputEstimate(),
      output: new OutputEstimate(),
    },
  } as unknown as RouteTarget;
  const tiers = [[target]];
  const route = {
    name: 'm',
    areAllSpeaking: () => true,
    tiersFor: () => tiers,
    patienceMs: 0,
    maxAttempts: 1,
    policy: { retry: { maxRetryAfter: 1000 } },
  } as unknown as Route;
  const started: string[] = [];
  const results: Record<string, AdmissionResult['kind']> = {};
  let running: AdmissionResult | null = null;
  const note = (id: string, result: AdmissionResult): void => {
    results[id] = result.kind;
    if (result.kind !== 'start') return;
    started.push(id);
    running = result;
  };
  const request = async (id: string, priority: Priority, deadline: number, maxWaitMs = Infinity): Promise<void> => {
    const facts = { operation: 'chat', inputTokens: 1, outputBound: 1, stream: false };
    const request = {
      id,
      priority,
      facts,
      client: { name: 'c', resources: [] },
      caller: { hasLeft: false },
      receivedAt: 0,
      deadline,
      deadlineGiven: true,
      sessionKey: null,
      callerCredential: null,
      path: '/chat/completions',
      body: { bytes: new Uint8Array() },
    };
    const active = new ActiveRequest(engine, request as unknown as GatewayRequest, route);
    requests[id] = active;
    const retry = new RetryState(active, null);
    note(id, await requestPermit(retry, retry.tiers, clock.now() + maxWaitMs));
  };
  const requests: Record<string, ActiveRequest> = {};
  const next = async (): Promise<void> => {
    if (running?.kind === 'start') admission.cancel(running.permit);
    await clock.advanceAsync(0);
  };
  return { clock, scheduler, request, next, requests, started, results };
}

test('a waiting request moves to the queue position of its more urgent reader', async () => {
  const { scheduler, request, next, requests, started } = world();
  for (const [id, priority] of [
    ['first', 'normal'],
    ['normal', 'normal'],
    ['low', 'low'],
  ] as const)
    void request(id, priority, 60_000);
  requests['low']!.raise({ priority: 'high', deadline: 60_000 });
  assert.deepEqual([scheduler.waiting('high'), scheduler.waiting('low')], [1, 0]);
  for (let i = 0; i < 3; i++) await next();
  assert.deepEqual(started, ['first', 'low', 'normal']);
});

test('it is ordered by the earlier of both deadlines, and waits until the later', async () => {
  const { clock, request, next, requests, started, results } = world();
  for (const [id, deadline] of [
    ['first', 60_000],
    ['middle', 40_000],
    ['raised', 50_000],
  ] as const)
    void request(id, 'normal', deadline);
  requests['raised']!.raise({ priority: 'low', deadline: 20_000 });
  await next();
  await next();
  assert.deepEqual(started, ['first', 'raised']);
  void request('brief', 'normal', 45_000);
  requests['brief']!.raise({ priority: 'normal', deadline: 90_000 });
  await clock.advanceAsync(50_000);
  assert.deepEqual(results, { first: 'start', raised: 'start', middle: 'refuse' });
  await next();
  assert.equal(results['brief'], 'start');
});

test('a request that has started or left is not moved', async () => {
  const { scheduler, request, requests } = world();
  void request('first', 'normal', 60_000);
  void request('gone', 'normal', 60_000);
  requests['gone']!.wake!();
  for (const id of ['first', 'gone']) requests[id]!.raise({ priority: 'high', deadline: 70_000 });
  assert.equal(scheduler.length, 0);
});
