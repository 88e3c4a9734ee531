/** `breakwater record incident`: writes what happened in a period as a request file and a scenario, for `breakwater simulate`. */
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { askAdmin, configOf } from '../admin-client.ts';
import { OperatorError } from '../fail.ts';
import { gatewayAt, ownGateway } from '../own-gateway.ts';
import { linesOf, readLine } from '../simulate/record-line.ts';
import { IncidentBuilder, type Incident } from './incident.ts';

export interface RecordFlags {
  readonly from: string;
  readonly to?: string;
  readonly file?: string;
  readonly url?: string;
  readonly config?: string;
  readonly out: string;
}

const REQUESTS_MAX = 200_000;
/** The most requests that a gateway lists. */
const LISTED_MAX = 1_000;
/** Longer periods are not incidents, and their slices would be too coarse. */
const PERIOD_MS_MAX = 7 * 86_400_000;

export async function recordIncident(flags: RecordFlags, now: number): Promise<void> {
  const [from, to] = [instantOf('--from', flags.from, now), instantOf('--to', flags.to ?? '0s', now)];
  if (to <= from) throw new OperatorError(['--to must be later than --from']);
  if (to - from > PERIOD_MS_MAX) throw new OperatorError(['--from and --to must be at most seven days apart']);
  const source = await sourceOf(flags);
  await mkdir(flags.out, { recursive: true });
  const incident = await write(source, from, to, flags.out);
  process.stdout.write(summary(incident, flags.out));
}

interface Source {
  readonly name: string;
  readonly lines: AsyncIterable<string> | Iterable<string>;
}

/** The request log, or the running gateway if there is none. */
async function sourceOf(flags: RecordFlags): Promise<Source> {
  if (flags.file !== undefined) return { name: flags.file, lines: linesOf(flags.file) };
  const config = await configOf(flags);
  const { file } = config.telemetry.requests;
  if (flags.url === undefined && file !== '') return { name: file, lines: linesOf(file) };
  const gateway = flags.url === undefined ? await ownGateway(config) : gatewayAt(flags.url);
  const reply = await askAdmin(gateway, `/admin/requests?format=jsonl&limit=${LISTED_MAX}`, config.server.adminKey);
  const advice = 'set telemetry.requests.file, or name a request log with --file';
  if (!reply.ok) throw new OperatorError([reply.why, ...(flags.url === undefined ? [`there is no request log either: ${advice}`] : [])]);
  return { name: `the gateway at ${gateway.url}, which keeps the last ${LISTED_MAX} requests`, lines: reply.body.split('\n') };
}

/** Copies the records of the period; throws an OperatorError if there are none. */
async function write({ name, lines }: Source, from: number, to: number, out: string): Promise<Incident> {
  const builder = new IncidentBuilder(from, to);
  const requests = await open(join(out, 'requests.jsonl'), 'w', 0o600);
  let count = 0;
  try {
    for await (const text of lines) {
      const line = text.trim() === '' ? '' : readLine(text);
      if (typeof line === 'string' || line.at < from || line.at >= to || count === REQUESTS_MAX) continue;
      count++;
      builder.take(line);
      await requests.write(`${text.trim()}\n`);
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new OperatorError([`${name}: can't be read (got ${code ?? message})`]);
  } finally {
    await requests.close();
  }
  if (count === 0) throw new OperatorError([`${name}: no request from ${new Date(from).toISOString()} to ${new Date(to).toISOString()}`]);
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
    `  breakwater storm --scenario ${join(out, 'incident.json')}`,
    `or, in virtual time, with`,
    `  breakwater simulate --requests ${join(out, 'requests.jsonl')} --incident ${join(out, 'incident.json')}`,
  ].join('\n')}\n`;
}
