/** Queries the admin API of a running gateway, for commands that show its state. */
import { isRecord } from '../core/json.ts';
import { findConfigFile, loadConfigFile, parseConfig, type Config } from '../gateway/config/index.ts';
import { errorMessageIn } from './error-message.ts';
import { OperatorError } from './fail.ts';
import { assertValid } from './find-config.ts';
import { askGateway, type OwnGateway } from './own-gateway.ts';

/** Timeout of a query to the admin API, which normally takes milliseconds. */
const RESPONSE_TIMEOUT_MS = 10_000;

export interface GatewayOptions {
  readonly config?: string;
  /** The gateway to query, instead of that of the config. */
  readonly url?: string;
}

/** The parts of the config that a command needs besides the address of the gateway. */
export type ConfigPart = 'adminKey' | 'requests';

/**
 * The settings of the config that `serve` would use that are needed to query its gateway. The others are defaults: an operator's shell need
 * not have the keys of providers and clients.
 */
export async function configOf({ config, url }: GatewayOptions, ...parts: readonly ConfigPart[]): Promise<Config> {
  const file = config ?? (await findConfigFile(process.cwd(), process.env));
  const { BREAKWATER_ADMIN_KEY: key = '' } = process.env;
  const wanted = new Set<string>([...parts, ...(url === undefined ? ['host', 'port', 'socket', 'tls'] : [])]);
  // The config is that of another gateway.
  if (url !== undefined && key !== '') wanted.delete('adminKey');
  const partOf = (settings: unknown): unknown => neededOf(settings, wanted);
  const result =
    file === null ? parseConfig(partOf({}), { env: process.env, source: 'file' }) : await loadConfigFile(file, process.env, {}, partOf);
  return assertValid(result, file);
}

/** Settings of another type are left to validation. */
function neededOf(settings: unknown, wanted: ReadonlySet<string>): unknown {
  if (settings !== null && !isRecord(settings)) return settings;
  const { server, telemetry } = settings ?? {};
  const requests = isRecord(telemetry) && wanted.has('requests') ? { requests: telemetry['requests'] } : {};
  return { server: server == null || isRecord(server) ? serverOf(server ?? {}, wanted) : server, telemetry: requests };
}

function serverOf(server: Readonly<Record<string, unknown>>, wanted: ReadonlySet<string>): Record<string, unknown> {
  const needed = Object.fromEntries(Object.entries(server).filter(([name]) => wanted.has(name)));
  const { tls } = needed;
  // The private key is only used by the gateway, which may have it from a variable of its own. Clients are not read.
  return { ...needed, ...(isRecord(tls) ? { tls: { ...tls, key: tls['cert'] } } : {}), allowAnonymous: true };
}

export type AdminReply =
  | { readonly ok: true; readonly body: string }
  | { readonly ok: false; readonly isAway: boolean; readonly why: string };

/** `ok: false`: the gateway does not answer (`isAway`), or with 404. Throws an `OperatorError` at any other error. */
export async function askAdmin(gateway: OwnGateway, path: string, adminKey: string): Promise<AdminReply> {
  const headers: Record<string, string> = adminKey === '' ? {} : { authorization: `Bearer ${adminKey}` };
  const reply = await askGateway(gateway, path, { timeoutMs: RESPONSE_TIMEOUT_MS, headers });
  await gateway.close();
  if (!reply.ok) return { ok: false, isAway: true, why: reply.why };
  const { status, body } = reply;
  if (status >= 200 && status <= 299) return { ok: true, body };
  const why = errorMessageIn(body) ?? 'not the admin API of Breakwater';
  if (status === 404) return { ok: false, isAway: false, why };
  throw new OperatorError([`the gateway at ${gateway.url} responded with ${status}: ${why}`]);
}
