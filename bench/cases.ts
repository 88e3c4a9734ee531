/** The benchmark cases, how they are measured, and their budgets. */
import { chatBody, prompts } from './bodies.ts';
import { quantile } from './quantile.ts';
import landed from './landed.json' with { type: 'json' };
import type { contenders } from './contenders.ts';

export type ContenderKey = keyof typeof contenders;

/** Figures of one contender in one round of one case. */
export interface Measured {
  readonly perSecond?: number;
  readonly medianMs?: number;
  readonly p99Ms?: number;
  /** CPU time per request of the contender: of the whole process, and of its main thread. */
  readonly cpuUs?: number;
  readonly mainThreadUs?: number;
  /** Heap allocation per request, and collections per thousand requests. */
  readonly allocatedBytes?: number;
  readonly minorPerThousand?: number;
  readonly majorPerThousand?: number;
  /** Share of the core used by other processes. */
  readonly othersPercent?: number;
  readonly memoryMb?: number;
  readonly startMs?: number;
}

/** Medians over all rounds. */
export interface Medians extends Measured {
  readonly rounds?: readonly Measured[];
}

export type Results = Partial<Record<ContenderKey, Medians>>;

export interface Budget<R = Results> {
  readonly what: string;
  /** Undefined if a required contender or row was not measured. */
  value(results: R): number | undefined;
  readonly unit: '×' | 'ms' | 'MB' | '/s' | 'bytes' | '%' | 'calls' | 'entries' | 'us';
  readonly atLeast?: number;
  readonly atMost?: number;
  /** A long-term goal; missing it is not an error. */
  readonly goal?: number;
}

interface CaseBase {
  readonly name: string;
  readonly title: string;
  readonly contenders: readonly ContenderKey[];
  readonly budgets: readonly Budget[];
}

export interface LoadCase extends CaseBase {
  readonly kind: 'load';
  readonly body: string;
  readonly connections: number;
}

/** `events`: the delay of each event of a paced stream. `open`: memory with open streams. `idle`: a fresh process. */
export interface OtherCase extends CaseBase {
  readonly kind: 'events' | 'open' | 'idle';
}

export type Case = LoadCase | OtherCase;

export const openStreams = 5000;

const three = ['relay', 'nginx', 'breakwater'] as const;

function ratio(key: keyof Measured, to: ContenderKey): (results: Results) => number | undefined {
  return (results) => {
    const [breakwater, other] = [results.breakwater?.[key], results[to]?.[key]];
    return breakwater === undefined || other === undefined ? undefined : breakwater / other;
  };
}

/** Median ratio of the relay's main-thread CPU time per request to Breakwater's, compared round by round: higher is better. */
export function cpuRatio(results: Results): number | undefined {
  const ratios = cpuRatios(results, 'breakwater', 'mainThreadUs');
  return ratios.length === 0 ? undefined : quantile(ratios, 0.5);
}

/** `of`: the whole process, or its main thread, which garbage collector and compiler threads on a busy core do not distort. */
export function cpuRatios(results: Results, key: ContenderKey, of: 'cpuUs' | 'mainThreadUs' = 'cpuUs'): number[] {
  const { relay, [key]: breakwater } = results;
  if (relay === undefined || breakwater === undefined) return [];
  return (breakwater.rounds ?? []).flatMap((round, at) => {
    const [ourUs, relayUs] = [round[of], relay.rounds?.[at]?.[of]];
    return ourUs === undefined || relayUs === undefined ? [] : [relayUs / ourUs];
  });
}

/** Median ratio of the CPU time per request of the whole process, round by round. */
function tracingCost({ breakwater, traced }: Results): number | undefined {
  const ratios = (traced?.rounds ?? []).flatMap((round, at) => {
    const without = breakwater?.rounds?.[at]?.cpuUs;
    return round.cpuUs === undefined || without === undefined ? [] : [round.cpuUs / without];
  });
  return ratios.length === 0 ? undefined : quantile(ratios, 0.5);
}

/** Allowed growth of CPU time over the landed figure. */
const GROWTH_MAX = 1.25;

function cpuBudget(name: keyof typeof landed, goal: number): Budget {
  return {
    what: "the relay's CPU time over Breakwater's",
    value: (results) => cpuRatio(results),
    unit: '×',
    atLeast: round(landed[name] / GROWTH_MAX),
    goal,
  };
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function over(key: keyof Measured, to: ContenderKey): (results: Results) => number | undefined {
  return (results) => {
    const [breakwater, other] = [results.breakwater?.[key], results[to]?.[key]];
    return breakwater === undefined || other === undefined ? undefined : breakwater - other;
  };
}

export const cases: readonly Case[] = [
  {
    name: 'plain-1k',
    title: 'non-streaming responses, 1 KB bodies, 32 connections',
    kind: 'load',
    body: chatBody(1024, false),
    connections: 32,
    contenders: [...three, 'sockets'],
    budgets: [
      { what: 'throughput over the relay', value: ratio('perSecond', 'relay'), unit: '×', atLeast: 0.7, goal: 1.1 },
      cpuBudget('plain-1k', 1.1),
    ],
  },
  {
    name: 'watched',
    title: 'non-streaming responses, 1 KB bodies, 32 connections, with and without an open dashboard',
    kind: 'load',
    body: chatBody(1024, false),
    connections: 32,
    contenders: ['breakwater', 'watched'],
    budgets: [
      {
        what: 'throughput with an open dashboard over that without',
        value: ({ breakwater, watched }) =>
          breakwater?.perSecond && watched?.perSecond ? watched.perSecond / breakwater.perSecond : undefined,
        unit: '×',
        atLeast: 0.97,
      },
    ],
  },
  ...(['plain', 'stream'] as const).map((kind): Case => ({
    name: `${kind}-tls`,
    title: `${kind === 'plain' ? 'non-streaming responses, 1 KB bodies' : 'streams of 100 events in 4 packets'}, over TLS on both sides, 32 connections`,
    kind: 'load',
    body: chatBody(1024, kind === 'stream'),
    connections: 32,
    contenders: ['tlsRelay', 'tls'],
    budgets: [
      {
        what: "the TLS relay's CPU time over Breakwater's",
        value: ({ tlsRelay, tls }) => (tlsRelay?.cpuUs && tls?.cpuUs ? tlsRelay.cpuUs / tls.cpuUs : undefined),
        unit: '×',
        atLeast: 0.5,
        goal: kind === 'plain' ? 1.1 : 1,
      },
    ],
  })),
  {
    name: 'stores',
    title: 'plain answers, 1 KB bodies, 32 connections, with SQLite, memory and Redis as the store',
    kind: 'load',
    body: chatBody(1024, false),
    connections: 32,
    contenders: ['breakwater', 'memory', 'redis'],
    budgets: [
      {
        what: 'CPU time with Redis over that with memory',
        value: ({ redis, memory }) => (redis?.cpuUs && memory?.cpuUs ? redis.cpuUs / memory.cpuUs : undefined),
        unit: '×',
        atMost: 1.15,
      },
    ],
  },
  {
    name: 'stores-latency',
    title: 'plain answers, 1 KB bodies, one connection, with SQLite, memory and Redis as the store',
    kind: 'load',
    body: chatBody(1024, false),
    connections: 1,
    contenders: ['breakwater', 'memory', 'redis'],
    budgets: [
      {
        what: 'median with Redis beyond that with memory',
        value: ({ redis, memory }) => (redis?.medianMs && memory?.medianMs ? redis.medianMs - memory.medianMs : undefined),
        unit: 'ms',
        atMost: 0.05,
      },
    ],
  },
  {
    name: 'traced',
    title: 'non-streaming responses, 1 KB bodies, 32 connections, with and without a trace of every request over OTLP',
    kind: 'load',
    body: chatBody(1024, false),
    connections: 32,
    contenders: ['breakwater', 'traced'],
    budgets: [{ what: 'CPU time with traces over that without', value: tracingCost, unit: '×', atMost: 1.05 }],
  },
  {
    name: 'latency',
    title: 'non-streaming responses, 1 KB bodies, one connection',
    kind: 'load',
    body: chatBody(1024, false),
    connections: 1,
    contenders: three,
    budgets: [{ what: 'median added to the relay', value: over('medianMs', 'relay'), unit: 'ms', atMost: 0.15, goal: 0.05 }],
  },
  {
    name: 'plain-1m',
    title: 'non-streaming responses, 1 MB bodies, 8 connections',
    kind: 'load',
    body: chatBody(2 ** 20, false),
    connections: 8,
    contenders: ['relay', 'parsingRelay', 'nginx', 'breakwater'],
    budgets: [
      {
        what: "Breakwater's CPU time per request",
        value: ({ breakwater }) => (breakwater?.cpuUs ?? Number.NaN) / 1000,
        unit: 'ms',
        atMost: 3,
      },
      cpuBudget('plain-1m', 1),
      { what: 'throughput over the relay that parses', value: ratio('perSecond', 'parsingRelay'), unit: '×', atLeast: 1 },
    ],
  },
  {
    name: 'stream',
    title: 'streams of 100 events in 4 packets, 32 connections',
    kind: 'load',
    body: chatBody(1024, true),
    connections: 32,
    contenders: [...three, 'sockets'],
    budgets: [
      { what: 'streams per second over the relay', value: ratio('perSecond', 'relay'), unit: '×', atLeast: 0.7, goal: 1 },
      cpuBudget('stream', 1),
    ],
  },
  {
    name: 'paced',
    title: 'streams of 100 events per second, each in its own packet, 32 connections',
    kind: 'load',
    body: chatBody(1024, true, prompts.paced),
    connections: 32,
    contenders: three,
    // The upstream sets the pace, so the remaining CPU time is what counts.
    budgets: [{ what: "the relay's CPU time over Breakwater's", value: (results) => cpuRatio(results), unit: '×', atLeast: 0.7 }],
  },
  {
    name: 'events',
    title: 'delay of each event, one stream with an event every 10 ms',
    kind: 'events',
    contenders: three,
    budgets: [{ what: 'median delay added to the relay', value: over('medianMs', 'relay'), unit: 'ms', atMost: 0.05 }],
  },
  {
    name: 'open-streams',
    title: `${openStreams} open streams`,
    kind: 'open',
    contenders: ['relay', 'breakwater'],
    budgets: [{ what: "memory over the relay's", value: ratio('memoryMb', 'relay'), unit: '×', atMost: 1.3 }],
  },
  {
    name: 'idle',
    title: 'a fresh process, warm compile cache',
    kind: 'idle',
    contenders: ['relay', 'breakwater'],
    budgets: [
      { what: 'idle memory', value: ({ breakwater }) => breakwater?.memoryMb, unit: 'MB', atMost: 120 },
      { what: 'start to listening', value: ({ breakwater }) => breakwater?.startMs, unit: 'ms', atMost: 600 },
    ],
  },
];
