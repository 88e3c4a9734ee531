/** What is measured, how, and the budgets of the design that it is held against. */
import { chatBody, prompts } from './bodies.ts';
import type { contenders } from './contenders.ts';

export type ContenderKey = keyof typeof contenders;

/** What one contender showed in one case: medians over all rounds. */
export interface Measured {
  readonly perSecond?: number;
  readonly medianMs?: number;
  readonly p99Ms?: number;
  /** Processor time of the contender for one request. */
  readonly cpuMs?: number;
  readonly memoryMb?: number;
  readonly startMs?: number;
}

export type Results = Partial<Record<ContenderKey, Measured>>;

export interface Budget<R = Results> {
  readonly what: string;
  /** Undefined where a contender or a row that it needs was not measured. */
  value(results: R): number | undefined;
  readonly unit: '×' | 'ms' | 'MB' | '/s' | 'bytes' | '%' | 'calls' | 'entries';
  readonly atLeast?: number;
  readonly atMost?: number;
  /** Where we want to be later; missing it is no fault. */
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

/** `events`: the delay of each event of a paced stream. `open`: memory with streams open. `idle`: a fresh process. */
export interface OtherCase extends CaseBase {
  readonly kind: 'events' | 'open' | 'idle';
}

export type Case = LoadCase | OtherCase;

export const openStreams = 5000;

const three = ['relay', 'nginx', 'breakwater'] as const;

function ratio(key: keyof Measured, to: ContenderKey): (results: Results) => number | undefined {
  return (results) => {
    const [ours, theirs] = [results.breakwater?.[key], results[to]?.[key]];
    return ours === undefined || theirs === undefined ? undefined : ours / theirs;
  };
}

function inverse(value: (results: Results) => number | undefined): (results: Results) => number | undefined {
  return (results) => {
    const found = value(results);
    return found === undefined ? undefined : 1 / found;
  };
}

function over(key: keyof Measured, to: ContenderKey): (results: Results) => number | undefined {
  return (results) => {
    const [ours, theirs] = [results.breakwater?.[key], results[to]?.[key]];
    return ours === undefined || theirs === undefined ? undefined : ours - theirs;
  };
}

export const cases: readonly Case[] = [
  {
    name: 'plain-1k',
    title: 'plain answers, 1 KB bodies, 32 connections',
    kind: 'load',
    body: chatBody(1024, false),
    connections: 32,
    contenders: three,
    budgets: [{ what: 'throughput over the relay', value: ratio('perSecond', 'relay'), unit: '×', atLeast: 0.7, goal: 1 }],
  },
  {
    name: 'watched',
    title: 'plain answers, 1 KB bodies, 32 connections, with and without a dashboard open',
    kind: 'load',
    body: chatBody(1024, false),
    connections: 32,
    contenders: ['breakwater', 'watched'],
    budgets: [
      {
        what: 'throughput with a dashboard open over that without',
        value: ({ breakwater, watched }) =>
          breakwater?.perSecond && watched?.perSecond ? watched.perSecond / breakwater.perSecond : undefined,
        unit: '×',
        atLeast: 0.97,
      },
    ],
  },
  {
    name: 'latency',
    title: 'plain answers, 1 KB bodies, one connection',
    kind: 'load',
    body: chatBody(1024, false),
    connections: 1,
    contenders: three,
    budgets: [{ what: 'median added to the relay', value: over('medianMs', 'relay'), unit: 'ms', atMost: 0.15, goal: 0.05 }],
  },
  {
    name: 'plain-1m',
    title: 'plain answers, 1 MB bodies, 8 connections',
    kind: 'load',
    body: chatBody(2 ** 20, false),
    connections: 8,
    contenders: ['relay', 'parsingRelay', 'nginx', 'breakwater'],
    budgets: [
      { what: 'our processor time for a request', value: ({ breakwater }) => breakwater?.cpuMs, unit: 'ms', atMost: 3 },
      { what: 'throughput over the relay that parses', value: ratio('perSecond', 'parsingRelay'), unit: '×', atLeast: 1 },
    ],
  },
  {
    name: 'stream',
    title: 'streams of 100 events in 4 packets, 32 connections',
    kind: 'load',
    body: chatBody(1024, true),
    connections: 32,
    contenders: three,
    budgets: [{ what: 'streams per second over the relay', value: ratio('perSecond', 'relay'), unit: '×', atLeast: 0.7 }],
  },
  {
    name: 'paced',
    title: 'streams of 100 events a second, each in a packet of its own, 32 connections',
    kind: 'load',
    body: chatBody(1024, true, prompts.paced),
    connections: 32,
    contenders: three,
    // The pace is the upstream's, so speed is what is left of the processor.
    budgets: [{ what: "the relay's processor time over ours", value: inverse(ratio('cpuMs', 'relay')), unit: '×', atLeast: 0.7 }],
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
