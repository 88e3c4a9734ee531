/** Benchmarks without a contender: measured in separate processes, without sockets. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Budget } from './cases.ts';
import { cores, pinned } from './processes.ts';

/** Figures by row, then by column heading. */
export type Rows = Readonly<Record<string, Readonly<Record<string, number>>>>;

export interface AloneCase {
  readonly kind: 'alone';
  readonly name: string;
  readonly title: string;
  /** File in this folder; prints its rows as JSON, and accepts `--quick`. */
  readonly script: string;
  readonly budgets: readonly Budget<Rows>[];
}

const ADMISSIONS_MIN = 200_000;
const WAITING = 1_000_000;

/** The minimum of a column over all rows that have it. */
function least(head: string): (rows: Rows) => number | undefined {
  return (rows) => extreme(rows, head, Math.min);
}

function most(head: string): (rows: Rows) => number | undefined {
  return (rows) => extreme(rows, head, Math.max);
}

function extreme(rows: Rows, head: string, of: (...values: number[]) => number): number | undefined {
  const values = Object.values(rows).flatMap((row) => row[head] ?? []);
  return values.length === 0 ? undefined : of(...values);
}

function cell(row: string, head: string): (rows: Rows) => number | undefined {
  return (rows) => rows[row]?.[head];
}

/** The maximum of a column, over the rows of equal or of different dialects. */
function mostOf(isEqual: boolean, head: string): (rows: Rows) => number | undefined {
  return (rows) => {
    const chosen = Object.entries(rows).filter(([pair]) => {
      const [caller, target] = pair.split(' → ');
      return (caller === target) === isEqual;
    });
    return extreme(Object.fromEntries(chosen), head, Math.max);
  };
}

export const aloneCases: readonly AloneCase[] = [
  {
    kind: 'alone',
    name: 'scheduler',
    title: 'the queue alone, every request waits',
    script: 'scheduler.ts',
    budgets: [
      { what: 'waiting entries', value: least('waiting'), unit: 'entries', atLeast: WAITING },
      { what: 'admissions, the slowest row', value: least('admissions/s'), unit: '/s', atLeast: ADMISSIONS_MIN },
      { what: 'memory per waiting entry, the largest row', value: most('bytes each'), unit: 'bytes', atMost: 400 },
    ],
  },
  {
    kind: 'alone',
    name: 'overload',
    title: 'three times the capacity of two providers, in virtual time',
    script: 'overload.ts',
    budgets: [
      { what: 'capacity used, the lower row', value: least('used %'), unit: '%', atLeast: 95 },
      { what: 'goodput: capacity spent on responses in time', value: least('goodput %'), unit: '%', atLeast: 95 },
      { what: "calls over a provider's limit", value: most('over limit'), unit: 'calls', atMost: 0 },
      { what: 'p99 wait of high, buckets', value: cell('bucket', 'high p99 ms'), unit: 'ms', atMost: 1050 },
      // A sliding window frees its capacity all at once, so less of it can be kept in reserve.
      { what: 'p99 wait of high, sliding windows', value: cell('sliding', 'high p99 ms'), unit: 'ms', atMost: 2050, goal: 1050 },
    ],
  },
  {
    kind: 'alone',
    name: 'retry-loop',
    title: "bursts to a flaky provider, with the retries of OpenAI's SDK and with Breakwater, in real time",
    script: 'retry-loop.ts',
    budgets: [],
  },
  {
    kind: 'alone',
    name: 'conversion',
    title: 'from a caller to a target, CPU time',
    script: 'conversion.ts',
    budgets: [
      { what: 'a stream event between equal dialects', value: mostOf(true, 'event us'), unit: 'us', atMost: 5 },
      { what: 'a stream event, converted', value: mostOf(false, 'event us'), unit: 'us', atMost: 25 },
      { what: 'a request of 1 KB between equal dialects', value: mostOf(true, 'request 1 KB us'), unit: 'us', atMost: 20 },
      { what: 'a request of 1 KB, converted', value: mostOf(false, 'request 1 KB us'), unit: 'us', atMost: 150 },
    ],
  },
];

export async function measureAlone({ script }: AloneCase, isQuick: boolean): Promise<Rows> {
  const command = [process.execPath, join(import.meta.dirname, script), ...(isQuick ? ['--quick'] : [])];
  const [file = '', ...args] = pinned(cores.contender, command);
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0) throw new Error(`${script} exited with ${String(code)}`);
  return JSON.parse(said) as Rows;
}
