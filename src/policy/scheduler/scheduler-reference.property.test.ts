/**
 * Compares the scheduler with a slow and simple reference: the order on one contended resource over several routes, and that few requests
 * are refused at once that would have started in time.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Instant } from '../../core/clock.ts';
import type { Resource } from '../../core/resource.ts';
import { requestLimit, tokenLimit } from '../rate-limiter/measures.fixture.ts';
import { SlidingWindow } from '../rate-limiter/sliding-window.ts';
import { TokenBucket } from '../rate-limiter/token-bucket.ts';
import { applicant, capacity, CLASSES, Driver, makeScheduler, slots } from './scheduler.fixture.ts';
import type { TestApplicant } from './scheduler.fixture.ts';

const SHARES = { normal: 0.2, low: 0.05 } as const;

/** Strict classes with shares, then clients by virtual time, then deadline, then arrival; iterates over all requests. */
class Reference {
  waiting: TestApplicant[] = [];
  readonly credit: Record<string, number> = { high: 0, normal: 0, low: 0, job: 0 };
  readonly used = new Map<string, number>();
  readonly clock: Record<string, number> = { high: 0, normal: 0, low: 0, job: 0 };

  add(each: TestApplicant): void {
    if (!this.waiting.some((other) => keyOf(other) === keyOf(each))) this.used.set(keyOf(each), this.at(each));
    this.waiting.push(each);
  }

  leave(each: TestApplicant): void {
    this.waiting = this.waiting.filter((other) => other !== each);
    if (!this.waiting.some((other) => other.class === each.class)) this.credit[each.class] = 0;
  }

  raise(each: TestApplicant, raised: TestApplicant): void {
    const place = this.waiting.indexOf(each);
    this.leave(each);
    this.add(raised);
    this.waiting.pop();
    this.waiting.splice(place, 0, raised); // the order of arrival stays
  }

  next(): TestApplicant | undefined {
    const classes = CLASSES.filter((name) => this.waiting.some((each) => each.class === name));
    const turn = classes.findLast((name) => this.credit[name]! >= 1 - 1e-9) ?? classes[0];
    const [first] = this.waiting
      .filter((each) => each.class === turn)
      .sort((a, b) => this.used.get(keyOf(a))! - this.used.get(keyOf(b))! || a.deadline - b.deadline);
    if (first === undefined) return undefined;
    this.clock[first.class] = Math.max(this.clock[first.class]!, this.used.get(keyOf(first))!);
    this.used.set(keyOf(first), this.used.get(keyOf(first))! + Math.max(1, first.needOn(first.tiers[0]![0]!).inputTokens));
    this.credit[first.class] = Math.max(0, this.credit[first.class]! - 1);
    for (const name of classes) this.credit[name] = Math.min(2, this.credit[name]! + ((SHARES as Record<string, number>)[name] ?? 0));
    this.leave(first);
    return first;
  }

  at(each: TestApplicant): number {
    return Math.max(this.used.get(keyOf(each)) ?? 0, this.clock[each.class]!);
  }
}

function keyOf(each: TestApplicant): string {
  return `${each.class} ${each.client}`;
}

const submission = fc.record({
  kind: fc.constant('submit' as const),
  route: fc.nat(2),
  class: fc.constantFrom(...CLASSES),
  client: fc.constantFrom('x', 'y', 'z'),
  deadline: fc.integer({ min: 1000, max: 1020 }),
  tokens: fc.integer({ min: 1, max: 50 }),
});
const orderStep = fc.oneof(
  { weight: 4, arbitrary: submission },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('next' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), index: fc.nat(30) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('raise' as const),
      index: fc.nat(30),
      class: fc.constantFrom(...CLASSES),
      deadline: fc.integer({ min: 1000, max: 1020 }),
    }),
  },
);

test('property: on one slot that three routes share, the order equals that of the reference', () => {
  fc.assert(
    fc.property(fc.array(orderStep, { maxLength: 100 }), (steps) => {
      const slot = slots(1);
      const driver = new Driver(makeScheduler({ minShare: SHARES }));
      const routes = [0, 1, 2].map((i) => [[capacity(`p/${i}`, slot)]]);
      const reference = new Reference();
      const expected = ['running'];
      /** The requests of the reference, and those of the scheduler. */
      const known = new Map<TestApplicant, TestApplicant>();
      driver.submit(applicant('running', routes[0]!));
      const next = (): void => {
        driver.settle(expected.at(-1)!);
        const first = reference.next();
        expected.push(first?.name ?? 'running');
        if (first === undefined) driver.submit(applicant('running', routes[0]!));
        assert.deepEqual(driver.names, expected);
      };
      for (const [i, step] of steps.entries()) {
        const picked = 'index' in step ? reference.waiting[step.index % Math.max(1, reference.waiting.length)] : undefined;
        if (step.kind === 'next') next();
        else if (step.kind === 'submit') {
          const each = applicant(`${i}`, routes[step.route]!, step);
          known.set(each, each);
          reference.add(each);
          driver.submit(each);
        } else if (picked !== undefined && step.kind === 'cancel') {
          reference.leave(picked);
          driver.scheduler.cancel(0, known.get(picked)!);
          driver.poll();
        } else if (picked !== undefined && step.kind === 'raise') {
          const better = CLASSES[Math.min(CLASSES.indexOf(step.class), CLASSES.indexOf(picked.class))]!;
          const deadline = Math.min(step.deadline, picked.deadline);
          const raised = { ...picked, class: better, deadline };
          known.set(raised, known.get(picked)!);
          reference.raise(picked, raised);
          driver.scheduler.raise(0, known.get(picked)!, { class: step.class, deadline: step.deadline });
          driver.poll();
        }
      }
      while (reference.waiting.length > 0) next();
      assert.equal(driver.scheduler.length, 0);
    }),
    { numRuns: 300 },
  );
});

const request = fc.record({
  atMs: fc.integer({ min: 0, max: 400 }),
  route: fc.nat(2),
  class: fc.constantFrom('high', 'normal', 'low'),
  client: fc.constantFrom('x', 'x', 'y', 'z'),
  waitMs: fc.integer({ min: 1, max: 6000 }),
  tokens: fc.integer({ min: 1, max: 60 }),
});
type Request = typeof request extends fc.Arbitrary<infer R> ? R : never;

interface World {
  readonly isSliding: boolean;
  readonly minShare: Partial<typeof SHARES>;
}

/** Submits these in order, the last one with unlimited time if `waitForLast`; returns the numbers of those refused at once. */
function play(requests: readonly Request[], world: World, waitForLast: boolean): { driver: Driver; refused: Map<number, Instant> } {
  const { isSliding, minShare } = world;
  const make = (id: string, kind: 'requests' | 'tokens', limit: number): Resource => {
    const options = { ...(kind === 'requests' ? requestLimit(limit, 1000) : tokenLimit(limit, 1000)), id };
    return isSliding ? new SlidingWindow(options) : new TokenBucket(options, 0);
  };
  const shared = make('shared', 'requests', 12);
  const [a, b] = [capacity('a', shared, make('a', 'tokens', 150)), capacity('b', shared, make('b', 'tokens', 300))];
  const routes = [[[a]], [[b]], [[a, b]]];
  const driver = new Driver(makeScheduler({ minShare }));
  const refused = new Map<number, Instant>();
  for (const [i, each] of requests.entries()) {
    driver.advanceTo(driver.now + each.atMs * (i % 7 === 0 ? 1 : 0));
    const deadline = driver.now + each.waitMs;
    const isLast = waitForLast && i === requests.length - 1;
    driver.submit(
      applicant(`${i}`, routes[each.route]!, { ...each, class: each.class as 'high', deadline, waitUntil: isLast ? 1e9 : deadline }),
    );
    if (driver.refused.at(-1)?.name === `${i}`) refused.set(i, deadline);
  }
  return { driver, refused };
}

/** The number of those refused at once, and those among them that would have started in time had they been admitted and none followed. */
function judge(requests: readonly Request[], world: World): { refused: number; wrong: string[] } {
  const found = { refused: 0, wrong: [] as string[] };
  for (const [number, deadline] of play(requests, world, false).refused) {
    const { driver, refused } = play(requests.slice(0, number + 1), world, true);
    driver.advanceTo(driver.now + 100_000);
    // A request that expires because of earlier deadlines frees capacity that was not predictable.
    if (driver.refused.length > refused.size) continue;
    found.refused++;
    const started = driver.started.find(({ name }) => name === `${number}`)!.at;
    if (started < deadline - 1e-6) found.wrong.push(`${number} would have started at ${started}, before ${deadline}`);
  }
  return found;
}

/** Runs many worlds; `change` simplifies the requests of each. */
function judgeMany(world: World, change: (each: Request) => Partial<Request>): { refused: number; wrong: number } {
  const found = fc.sample(fc.array(request, { minLength: 20, maxLength: 70 }), { numRuns: 200, seed: 1 }).map((requests) =>
    judge(
      requests.map((each) => ({ ...each, ...change(each) })),
      world,
    ),
  );
  return { refused: found.reduce((sum, each) => sum + each.refused, 0), wrong: found.flatMap((each) => each.wrong).length };
}

/**
 * The backlog of other clients and limits is known as sums, not one by one: over 150 seeds one refusal in 3,000 was wrong. A window is
 * assumed to open evenly; it may open sooner.
 */
const WRONG_MAX = 0.01;
/** Here the higher classes stop after four seconds, so the headroom for them is not needed. */
const WRONG_MAX_CLASSES = { continuous: 0.04, sliding: 0.01 };

for (const words of ['continuous', 'sliding'] as const) {
  const world = { isSliding: words === 'sliding', minShare: {} };
  test(`under ${words} limits few requests are refused at once that would have started in time without making others late`, () => {
    for (const routes of [2, 3]) {
      const { refused, wrong } = judgeMany(world, ({ route }) => ({ class: 'normal', route: route % routes }));
      assert.ok(refused > 100 && wrong <= refused * WRONG_MAX, `${wrong} of ${refused}`);
    }
  });

  test(`under ${words} limits a class expects little from higher ones that were active for seconds only, and is seldom wrong where no more come`, () => {
    const { refused, wrong } = judgeMany({ ...world, minShare: SHARES }, () => ({}));
    assert.ok(refused > 100 && wrong <= refused * WRONG_MAX_CLASSES[words], `${wrong} of ${refused}`);
  });
}
