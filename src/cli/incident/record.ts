/** `breakwater record incident`: writes what happened in a period as a request file and a scenario, for `breakwater simulate`. */
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { configOf } from '../admin-client.ts';
import { OperatorError } from '../fail.ts';
import { linesOf, readLine } from '../simulate/record-line.ts';
import { IncidentBuilder, type Incident } from './incident.ts';

export interface RecordFlags {
  readonly from: string;
  readonly to?: string;
  readonly file?: string;
  readonly config?: string;
  readonly out: string;
}

const REQUESTS_MAX = 200_000;
/** Longer periods are not incidents, and their slices would be too coarse. */
const PERIOD_MS_MAX = 7 * 86_400_000;

export async function recordIncident(flags: RecordFlags, now: number): Promise<void> {
  const [from, to] = [instantOf('--from', flags.from, now), instantOf('--to', flags.to ?? '0s', now)];
  if (to <= from) throw new OperatorError(['--to must be later than --from']);
  if (to - from > PERIOD_MS_MAX) throw new OperatorError(['--from and --to must be at most seven days apart']);
  const file = flags.file ?? (await configOf(flags)).telemetry.requests.file;
  if (file === '') throw new OperatorError(['no request log: set telemetry.requests.file, or name one with --file']);
  await mkdir(flags.out, { recursive: true });
  const incident = await write(file, from, to, flags.out);
  process.stdout.write(summary(incident, flags.out));
}

/** Copies the records of the period; throws an OperatorError if there are none. */
async function write(file: string, from: number, to: number, out: string): Promise<Incident> {
  const builder = new IncidentBuilder(from, to);
  const requests = await open(join(out, 'requests.jsonl'), 'w', 0o600);
  let count = 0;
  try {
    for await (const text of linesOf(file)) {
      const line = text.trim() === '' ? '' : readLine(text);
      if (typeof line === 'string' || line.at < from || line.at >= to || count === REQUESTS_MAX) continue;
      count++;
      builder.take(line);
      await requests.write(`${text.trim()}\n`);
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new OperatorError([`${file}: can't be read (got ${code ?? message})`]);
  } finally {
    await requests.close();
  }
  if (count === 0) throw new OperatorError([`${file}: no request from ${new Date(from).toISOString()} to ${new Date(to).toISOString()}`]);
  const incident = builder.build();
  const scenario = await open(join(out, 'incident.json'), 'w', 0o600);
  await scenario.writeFile(`${JSON.stringify(incident)}\n`);
  await scenario.close();
  return incident;
}

/** An ISO date, or a duration before now such as 2h. */
function instantOf(flag: string, text: string, now: number): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)\s*(s|m|h|d)$/.exec(text) ?? [];
  const units = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
  const at = amount === undefined ? Date.parse(text) : now - Number(amount) * units[unit as keyof typeof units];
  if (Number.isFinite(at)) return at;
  throw new OperatorError([
    `${flag}: must be a date such as 2026-05-01T12:00:00Z, or a duration before now such as 2h (got ${JSON.stringify(text)})`,
  ]);
}

function summary({ requests, targets, from, to, sliceMs }: Incident, out: string): string {
  const lines = Object.entries(targets).map(([name, { attempts, failures }]) => `  ${name}: ${attempts} calls, ${failures} failed`);
  return `${[
    `${requests} requests from ${new Date(from).toISOString()} to ${new Date(to).toISOString()}, in slices of ${sliceMs / 1000} s`,
    ...lines,
    `written to ${out}; replay it with`,
    `  breakwater simulate --requests ${join(out, 'requests.jsonl')} --incident ${join(out, 'incident.json')}`,
  ].join('\n')}\n`;
}
