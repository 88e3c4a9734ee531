/** `breakwater why ID`: explains one request, from a running gateway or from the request log. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { explainRecord } from '../telemetry/explain-record.ts';
import type { RequestRecord } from '../telemetry/request-log.ts';
import { explanationLines, type Explanation } from '../telemetry/explanation.ts';
import type { Timeline } from '../telemetry/timelines.ts';
import { askAdmin, configOf } from './admin-client.ts';
import { OperatorError } from './fail.ts';
import { gatewayAt, ownGateway, type OwnGateway } from './own-gateway.ts';

export interface WhyOptions {
  readonly config?: string;
  readonly url?: string;
  readonly file?: string;
}

export async function why(id: string, options: WhyOptions): Promise<void> {
  const explanation = options.file === undefined ? await lookEverywhere(id, options) : await fromFile(id, options.file);
  if (explanation === null) throw new OperatorError([`no request ${JSON.stringify(id)} in ${options.file}`]);
  process.stdout.write(`${explanationLines(id, explanation).join('\n')}\n`);
}

/** The gateway has more detail on a request than its request log, which covers a longer period. */
async function lookEverywhere(id: string, options: WhyOptions): Promise<Explanation> {
  const config = await configOf(options, 'adminKey', 'requests');
  const gateway = options.url === undefined ? await ownGateway(config) : gatewayAt(options.url);
  const asked = await fromGateway(id, gateway, config.server.adminKey);
  if (typeof asked !== 'string') return asked;
  const { file } = config.telemetry.requests;
  const explanation = file === '' ? null : await fromFile(id, file);
  if (explanation !== null) return explanation;
  const more = file === '' ? 'set telemetry.requests.file to keep a record of every request' : `not in ${file} either`;
  throw new OperatorError([asked, more]);
}

/** The explanation, or the reason why there is none. */
async function fromGateway(id: string, gateway: OwnGateway, adminKey: string): Promise<Explanation | string> {
  const reply = await askAdmin(gateway, `/admin/requests/${encodeURIComponent(id)}`, adminKey);
  if (reply.ok) return (JSON.parse(reply.body) as Timeline).story;
  return reply.isAway ? reply.why : `the gateway at ${gateway.url} has no request ${JSON.stringify(id)}`;
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
