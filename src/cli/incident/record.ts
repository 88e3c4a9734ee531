/** `breakwater record incident`: writes what happened in a period as a request file and a scenario, for `breakwater simulate`. */
import { access, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
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
  const files = filesIn(flags.out);
  for (const file of Object.values(files)) await refuseExisting(file);
  const recorded = await record(await sourceOf(flags), from, to, files);
  process.stdout.write(summary(recorded, files, flags.out));
}

interface RecordFiles {
  readonly requests: string;
  readonly scenario: string;
}

const filesIn = (folder: string): RecordFiles => ({ requests: join(folder, 'requests.jsonl'), scenario: join(folder, 'incident.json') });

/** A recording is never replaced: it may be the only one, or the log to read. */
async function refuseExisting(file: string): Promise<void> {
  const exists = await access(file).then(
    () => true,
    () => false,
  );
  if (exists) throw new OperatorError([`${file} exists: name another folder with --out`]);
}

interface Source {
  readonly name: string;
  readonly lines: AsyncIterable<string> | Iterable<string>;
}

/** The request log, or the running gateway if there is none. */
async function sourceOf(flags: RecordFlags): Promise<Source> {
  if (flags.file !== undefined) return { name: flags.file, lines: linesOf(flags.file) };
  const config = await configOf(flags, 'adminKey', 'requests');
  const { file } = config.telemetry.requests;
  if (flags.url === undefined && file !== '') return { name: file, lines: linesOf(file) };
  const gateway = flags.url === undefined ? await ownGateway(config) : gatewayAt(flags.url);
  const reply = await askAdmin(gateway, `/admin/requests?format=jsonl&limit=${LISTED_MAX}`, config.server.adminKey);
  const advice = 'set telemetry.requests.file, or name a request log with --file';
  if (!reply.ok) throw new OperatorError([reply.why, ...(flags.url === undefined ? [`there is no request log either: ${advice}`] : [])]);
  return { name: `the gateway at ${gateway.url}, which keeps the last ${LISTED_MAX} requests`, lines: reply.body.split('\n') };
}

interface Recorded {
  readonly incident: Incident;
  /** Requests of the period that the file does not hold. */
  readonly left: number;
}

/** Writes both files, readable by their owner only, or none. Throws an OperatorError if the period has no requests. */
async function record(source: Source, from: number, to: number, files: RecordFiles): Promise<Recorded> {
  const unfinished = { requests: `${files.requests}.unfinished`, scenario: `${files.scenario}.unfinished` };
  try {
    await written(mkdir(dirname(files.requests), { recursive: true }));
    const recorded = await copyRequests(source, from, to, unfinished.requests);
    const scenario = await written(open(unfinished.scenario, 'w', 0o600));
    await written(scenario.writeFile(`${JSON.stringify(recorded.incident)}\n`).finally(() => scenario.close()));
    await written(rename(unfinished.requests, files.requests));
    await written(rename(unfinished.scenario, files.scenario));
    return recorded;
  } catch (error) {
    for (const file of Object.values(unfinished)) await rm(file, { force: true }).catch(() => {});
    throw error;
  }
}

/** Copies the records of the period. */
async function copyRequests({ name, lines }: Source, from: number, to: number, path: string): Promise<Recorded> {
  const builder = new IncidentBuilder(from, to);
  const requests = await written(open(path, 'w', 0o600));
  let count = 0;
  try {
    for await (const text of readable(name, lines)) {
      const line = text.trim() === '' ? '' : readLine(text);
      if (typeof line === 'string' || line.at < from || line.at >= to) continue;
      builder.take(line);
      if (++count <= REQUESTS_MAX) await written(requests.write(`${text.trim()}\n`));
    }
  } finally {
    await requests.close();
  }
  if (count === 0) throw new OperatorError([`${name}: no request from ${new Date(from).toISOString()} to ${new Date(to).toISOString()}`]);
  return { incident: builder.build(), left: Math.max(0, count - REQUESTS_MAX) };
}

async function* readable(name: string, lines: Source['lines']): AsyncGenerator<string> {
  try {
    yield* lines;
  } catch (error) {
    throw new OperatorError([`${name}: can't be read (got ${causeOf(error)})`]);
  }
}

async function written<T>(done: Promise<T>): Promise<T> {
  try {
    return await done;
  } catch (error) {
    throw new OperatorError([`--out: the recording can't be written (got ${causeOf(error)})`]);
  }
}

function causeOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
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

function summary({ incident, left }: Recorded, files: RecordFiles, out: string): string {
  const { requests, targets, from, to, sliceMs } = incident;
  const lines = Object.entries(targets).map(([name, { attempts, failures }]) => `  ${name}: ${attempts} calls, ${failures} failed`);
  return `${[
    `${requests} requests from ${new Date(from).toISOString()} to ${new Date(to).toISOString()}, in slices of ${sliceMs / 1000} s`,
    ...lines,
    ...(left === 0 ? [] : [`${files.requests} holds the first ${REQUESTS_MAX} requests; ${left} later ones count in the scenario only`]),
    `written to ${out}; replay it with`,
    `  breakwater storm --scenario ${files.scenario}`,
    `or, in virtual time, with`,
    `  breakwater simulate --requests ${join(out, 'requests.jsonl')} --incident ${files.scenario}`,
  ].join('\n')}\n`;
}
