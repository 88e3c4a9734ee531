/** Measures one case with all contenders, round by round, so that interference affects all of them. */
import { openStreams, type Case, type ContenderKey, type LoadCase, type Measured, type Results } from './cases.ts';
import { contenders } from './contenders.ts';
import { options } from './options.ts';
import { quantile } from './quantile.ts';
import { sendLoad } from './load.ts';
import { busyMs, cores, start, type Running, type Start } from './processes.ts';
import { eventDelaysMs, holdStreams } from './streams.ts';

export interface Plan {
  readonly rounds: number;
  /** Measures only the relay and this checkout. */
  readonly isShort: boolean;
  readonly seconds: number;
  /** CPU time that each contender uses before it is measured. */
  readonly warmUpCpuMs: number;
  /** Folder for the contenders' files. */
  readonly folder: string;
  readonly upstream: string;
  say(text: string): void;
}

/** One measurement of a contender while the others are suspended. */
type Measure = (running: Running) => Promise<Measured>;

export async function measureCase(one: Case, plan: Plan): Promise<Results> {
  const keys = plan.isShort
    ? one.contenders.filter((key) => key === 'relay' || key === 'breakwater')
    : [...one.contenders, 'against' as const];
  const present = keys.filter((key) => {
    if (key === 'against' && options.against === undefined) return false;
    const why = contenders[key].missing();
    if (why !== undefined) plan.say(`  ${contenders[key].name}: skipped, ${why}`);
    return why === undefined;
  });
  switch (one.kind) {
    case 'load':
      return inRounds(present, plan, (running) => measureLoad(running, one, plan));
    case 'events':
      return inRounds(present, plan, measureEvents);
    case 'open':
      return oneByOne(present, plan, measureOpenStreams);
    case 'idle':
      return oneByOne(present, plan, measureIdle);
  }
}

async function inRounds(keys: readonly ContenderKey[], plan: Plan, measure: Measure): Promise<Results> {
  const running = new Map<ContenderKey, Running>();
  const taken = new Map<ContenderKey, Measured[]>();
  try {
    for (const key of keys) {
      await trying(key, plan, async () => {
        const process = await start(await contenders[key].prepare(plan.upstream, plan.folder));
        running.set(key, process);
        contenders[key].watch?.(process.url);
        taken.set(key, []);
        await warmUp(process, measure, plan);
        process.pause();
      });
    }
    for (let round = 0; round < plan.rounds; round += 1) {
      // Each contender follows every other equally often.
      const order = [...running].toSorted((a, b) => turn(a[0]) - turn(b[0]));
      function turn(key: ContenderKey): number {
        return (keys.indexOf(key) + round) % keys.length;
      }
      for (const [key, process] of order) {
        process.resume();
        await trying(key, plan, async () => taken.get(key)?.push(await measure(process)));
        process.pause();
      }
    }
  } finally {
    await Promise.all([...running.values()].map((process) => process.stop()));
  }
  return Object.fromEntries([...taken].filter(([, all]) => all.length > 0).map(([key, all]) => [key, { ...medians(all), rounds: all }]));
}

/** Code is compiled as it becomes hot; without warm-up the larger program would be at a temporary disadvantage. */
async function warmUp(running: Running, measure: Measure, { warmUpCpuMs }: Plan): Promise<void> {
  while (running.cpu().process < warmUpCpuMs) await measure(running);
}

async function oneByOne(keys: readonly ContenderKey[], plan: Plan, measure: (how: Start) => Promise<Measured>): Promise<Results> {
  const results: Results = {};
  for (const key of keys) {
    await trying(key, plan, async () => {
      results[key] = await measure(await contenders[key].prepare(plan.upstream, plan.folder));
    });
  }
  return results;
}

async function trying(key: ContenderKey, plan: Plan, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    plan.say(`  ${contenders[key].name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function measureLoad(running: Running, { body, connections }: LoadCase, { folder, seconds }: Plan): Promise<Measured> {
  const [heapBefore, before, busyBefore] = [await running.heap(), running.cpu(), busyMs(cores.contender)];
  const { perSecond, medianMs, p99Ms, count, tookMs } = await sendLoad(folder, { url: running.url, body, connections, seconds });
  const after = running.cpu();
  const othersMs = busyMs(cores.contender) - busyBefore - (after.process - before.process);
  const heap = await running.heap();
  return {
    perSecond,
    medianMs,
    p99Ms,
    cpuUs: ((after.process - before.process) * 1000) / count,
    mainThreadUs: ((after.mainThread - before.mainThread) * 1000) / count,
    othersPercent: Math.max(0, (othersMs / tookMs) * 100),
    ...(heap !== undefined &&
      heapBefore !== undefined && {
        allocatedBytes: (heap.allocatedBytes - heapBefore.allocatedBytes) / count,
        minorPerThousand: ((heap.minorCollections - heapBefore.minorCollections) * 1000) / count,
        majorPerThousand: ((heap.majorCollections - heapBefore.majorCollections) * 1000) / count,
      }),
  };
}

const pacedStreams = 4;

async function measureEvents({ url }: Running): Promise<Measured> {
  const delays: number[] = [];
  for (let count = 0; count < pacedStreams; count += 1) delays.push(...(await eventDelaysMs(url)));
  return { medianMs: quantile(delays, 0.5), p99Ms: quantile(delays, 0.99) };
}

const settleMs = 1500;

async function measureOpenStreams(how: Start): Promise<Measured> {
  const running = await start(how);
  try {
    const streams = await holdStreams(running.url, openStreams);
    await pause(settleMs);
    const memoryMb = running.memoryMb();
    streams.close();
    return { memoryMb };
  } finally {
    await running.stop();
  }
}

const starts = 5;

/** The first start fills the compile cache and is not counted. */
async function measureIdle(how: Start): Promise<Measured> {
  const all: Measured[] = [];
  for (let count = 0; count <= starts; count += 1) {
    const running = await start(how);
    await pause(count === starts ? settleMs : 100);
    all.push({ startMs: running.startMs, memoryMb: running.memoryMb() });
    await running.stop();
  }
  const { memoryMb = 0 } = all.at(-1) ?? {};
  return {
    startMs: quantile(
      all.slice(1).map(({ startMs = 0 }) => startMs),
      0.5,
    ),
    memoryMb,
  };
}

function medians(all: readonly Measured[]): Measured {
  const keys = Object.keys(all[0] ?? {}) as (keyof Measured)[];
  return Object.fromEntries(
    keys.map((key) => [
      key,
      quantile(
        all.map((measured) => measured[key] ?? Number.NaN),
        0.5,
      ),
    ]),
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
