/** Queries the admin API of a running gateway, for commands that show its state. */
import { findConfigFile, parseConfig, type Config } from '../gateway/config/index.ts';
import { errorMessageIn } from './error-message.ts';
import { OperatorError } from './fail.ts';
import { readConfigFile } from './find-config.ts';
import { askGateway, type OwnGateway } from './own-gateway.ts';

/** Timeout of a query to the admin API, which normally takes milliseconds. */
const RESPONSE_TIMEOUT_MS = 10_000;

/** The config that `serve` would use. */
export async function configOf({ config }: { readonly config?: string }): Promise<Config> {
  const file = config ?? (await findConfigFile(process.cwd(), process.env));
  if (file !== null) return readConfigFile(file, {});
  const parsed = parseConfig({}, { env: process.env, source: 'file' });
  if (!parsed.ok) throw new OperatorError(parsed.faults.map(({ message }) => message));
  return parsed.config;
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
