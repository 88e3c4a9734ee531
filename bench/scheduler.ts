/**
 * Benchmarks of the queue: a million waiting requests, admissions per second, memory per waiting request, and the cost
 * of a start without contention. Part of `npm run bench`; alone it prints its rows as JSON.
 *
 * Each row runs in a separate process, unaffected by the others. `--waiting N`: fewer entries. `--quick`: two rows.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { SchedulingClass } from '../src/core/request.ts';
import type { Capacity, Need, Resource } from '../src/core/resource.ts';
import { ConcurrencyLimiter } from '../src/policy/concurrency-limiter/concurrency-limiter.ts';
import { TokenBucket } from '../src/policy/rate-limiter/token-bucket.ts';
import type { LimitMeasure } from '../src/policy/rate-limiter/token-bucket.ts';
import { Scheduler } from '../src/policy/scheduler/scheduler.ts';
import type { Applicant, Start } from '../src/policy/scheduler/types.ts';
import type { Rows } from './alone.ts';

type Tiers = Applicant<Capacity>['tiers'];
type Queue = Scheduler<Capacity, Applicant<Capacity>>;

type Figures = Rows[string];

const CLASSES: readonly SchedulingClass[] = ['high', 'normal', 'low'];
const TOKENS: LimitMeasure = { of: (need) => need.inputTokens + need.outputTokens, used: () => null };
const NEED: Need = { requests: 1, inputTokens: 80, outputTokens: 20 };

const cases: Readonly<Record<string, (waiting: number) => Figures>> = {
  'one client, one route': (n) => overload(n, 1, 1),
  '100 clients, one route': (n) => overload(n, 100, 1),
  '10,000 clients, one route': (n) => overload(n, 10_000, 1),
  '100 clients, 100 routes on one slot': (n) => overload(n, 100, 100),
  'one client, a route over two credentials': (n) => overload(n, 1, 1, 2),
  'no contention': () => idle(),
};

const QUICK = ['100 clients, one route', 'no contention'];

const { values: options } = parseArgs({
  options: {
    waiting: { type: 'string', default: '1000000' },
    case: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
});
const waiting = Number(options.waiting);
process.stdout.write(JSON.stringify(options.case === undefined ? measureAll() : cases[options.case]!(waiting)));

function measureAll(): Rows {
  const names = options.quick ? QUICK : Object.keys(cases);
  return Object.fromEntries(names.map((name) => [name, measureApart(name)]));
}

function measureApart(name: string): Figures {
  const args = ['--expose-gc', fileURLToPath(import.meta.url), '--waiting', String(waiting), '--case', name];
  return JSON.parse(spawnSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).stdout) as Figures;
}

function make(): Queue {
  return new Scheduler({ queueLengthMax: 2e6, minShare: { low: 0.05, normal: 0.2 }, choose: (startable) => startable[0]! });
}

function request(tiers: Tiers, client: string, schedulingClass: SchedulingClass, deadline: number): Applicant<Capacity> {
  return {
    class: schedulingClass,
    client,
    session: null,
    isSide: false,
    deadline,
    waitUntil: deadline,
    waiting: null,
    tiers,
    patienceMs: 1000,
    maxCooldownWaitMs: 60_000,
    own: [],
    needOn: () => NEED,
    notBefore: () => -Infinity,
  };
}

function target(key: string, slots: Resource): Capacity {
  const tokens = new TokenBucket({ id: key, kind: 'tokens', limit: 1e12, windowMs: 60_000, burst: 1, measure: TOKENS }, 0);
  return { key, resources: [slots, tokens] };
}

/** Every request waits for a slot; each finished call starts the next. */
function overload(n: number, clients: number, routes: number, credentials = 1): Figures {
  const scheduler = make();
  const slots = Array.from({ length: credentials }, (_, i) => new ConcurrencyLimiter(`slots ${i}`, 1));
  const lanes: Tiers[] = Array.from({ length: routes }, (_, i) => [slots.map((each, j) => target(`p/${i}/${j}`, each))]);
  const running = slots.map(() => scheduler.submit(0, request(lanes[0]!, 'first', 'high', 2e9)) as Start<Capacity>);
  const rows = Array.from({ length: n }, (_, i) => request(lanes[i % routes]!, `c${i % clients}`, CLASSES[i % 3]!, 1e9 + ((i * 7919) % n)));
  const memoryBefore = memory();
  const queueing = seconds(() => {
    for (const row of rows) scheduler.submit(0, row);
  });
  const bytesEach = (memory() - memoryBefore) / n;
  const starts = Math.min(n / 2, 300_000);
  const starting = seconds(() => {
    for (let i = 0; i < starts; i++) {
      running[i % running.length]!.permit.settle(i / 1000, { usage: null, health: 'success' });
      const [decided] = scheduler.poll(i / 1000);
      running[i % running.length] = decided!.decision as Start<Capacity>;
    }
  });
  return { waiting: n, 'admissions/s': starts / starting, 'queued/s': n / queueing, 'bytes each': bytesEach };
}

/** The engine's usual path: a start and its end. */
function idle(): Figures {
  const scheduler = make();
  const lane: Tiers = [[target('p/m', new ConcurrencyLimiter('slots', 100))]];
  const once = (i: number): void => {
    const started = scheduler.submit(i / 100, request(lane, 'c', 'normal', 2e9)) as Start<Capacity>;
    started.permit.settle(i / 100, { usage: null, health: 'success' });
    if (scheduler.length > 0) scheduler.poll(i / 100);
  };
  for (let i = 0; i < 200_000; i++) once(i);
  const starts = 1_000_000;
  const took = seconds(() => {
    for (let i = 0; i < starts; i++) once(200_000 + i);
  });
  return { 'admissions/s': starts / took };
}

function memory(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
}

/** CPU time of this thread, which equals wall time on a quiet machine. */
function seconds(work: () => void): number {
  const begin = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(begin);
  return (user + system) / 1e6;
}
