/** `breakwater why ID`: explains one request, from a running gateway or from the request log. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { findConfigFile, isLoopbackHost, parseConfig, type Config } from '../gateway/config/index.ts';
import { systemClock } from '../gateway/system-clock.ts';
import { explainRecord } from '../telemetry/explain-record.ts';
import type { RequestRecord } from '../telemetry/request-log.ts';
import { explanationLines, type Explanation } from '../telemetry/explanation.ts';
import type { Timeline } from '../telemetry/timelines.ts';
import { OperatorError } from './fail.ts';
import { readConfigFile } from './find-config.ts';

export interface WhyOptions {
  readonly config?: string;
  readonly url?: string;
  readonly file?: string;
}

/** Timeout of a query to the admin API, which normally takes milliseconds. */
const timeoutMs = 10_000;

export async function why(id: string, options: WhyOptions): Promise<void> {
  const explanation = options.file === undefined ? await lookEverywhere(id, options) : await fromFile(id, options.file);
  if (explanation === null) throw new OperatorError([`no request ${JSON.stringify(id)} in ${options.file}`]);
  process.stdout.write(`${explanationLines(id, explanation).join('\n')}\n`);
}

/** The gateway has more detail on a request than its request log, which covers a longer period. */
async function lookEverywhere(id: string, options: WhyOptions): Promise<Explanation> {
  const config = await configOf(options);
  const url = options.url ?? addressOf(config);
  const asked = await fromGateway(id, url, config.server.adminKey);
  if (typeof asked !== 'string') return asked;
  const { file } = config.telemetry.requests;
  const explanation = file === '' ? null : await fromFile(id, file);
  if (explanation !== null) return explanation;
  const more = file === '' ? 'set telemetry.requests.file to keep a record of every request' : `not in ${file} either`;
  throw new OperatorError([asked, more]);
}

async function configOf({ config }: WhyOptions): Promise<Config> {
  const file = config ?? (await findConfigFile(process.cwd(), process.env));
  if (file !== null) return readConfigFile(file, {});
  const parsed = parseConfig({}, { env: process.env, source: 'file' });
  if (!parsed.ok) throw new OperatorError(parsed.faults.map(({ message }) => message));
  return parsed.config;
}

/** The address of a gateway bound to all interfaces is the loopback address. */
function addressOf({ server }: Config): string {
  const host = isLoopbackHost(server.host) || !/^(?:0\.0\.0\.0|\[?::\]?)$/.test(server.host) ? server.host : '127.0.0.1';
  return `http://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${server.port}`;
}

/** The explanation, or the reason why there is none. */
async function fromGateway(id: string, url: string, adminKey: string): Promise<Explanation | string> {
  const aborting = new AbortController();
  const timer = systemClock.schedule(timeoutMs, () => aborting.abort(new Error(`no response within ${timeoutMs / 1_000} s`)));
  try {
    const response = await fetch(`${url.replace(/\/+$/, '')}/admin/requests/${encodeURIComponent(id)}`, {
      headers: adminKey === '' ? {} : { authorization: `Bearer ${adminKey}` },
      signal: aborting.signal,
    });
    const text = await response.text();
    if (response.status === 404) return `the gateway at ${url} has no request ${JSON.stringify(id)}`;
    if (!response.ok) throw new OperatorError([`the gateway at ${url} responded with ${response.status}: ${messageOf(text)}`]);
    return (JSON.parse(text) as Timeline).story;
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return `the gateway at ${url} cannot be reached: ${cause instanceof Error ? cause.message : String(cause)}`;
  } finally {
    timer.cancel();
  }
}

function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { error: { message: string } }).error.message;
  } catch {
    return 'not the admin API of Breakwater';
  }
}

/** The last record with this id; null if there is none. */
async function fromFile(id: string, file: string): Promise<Explanation | null> {
  let found: RequestRecord | null = null;
  try {
    const quoted = JSON.stringify(id);
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
      if (line.includes(quoted)) found = recordOf(line, id) ?? found;
    }
  } catch (error) {
    throw new OperatorError([`${file}: cannot be read (${error instanceof Error ? error.message : String(error)})`]);
  }
  if (found === null) return null;
  try {
    return explainRecord(found);
  } catch {
    throw new OperatorError([`${file}: this version cannot read the record of ${JSON.stringify(id)}`]);
  }
}

/** Null for truncated lines and other requests. */
function recordOf(line: string, id: string): RequestRecord | null {
  try {
    const value = JSON.parse(line) as RequestRecord;
    return value.id === id ? value : null;
  } catch {
    return null;
  }
}
