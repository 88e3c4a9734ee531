/** Queries the admin API of a running gateway, for commands that show its state. */
import { findConfigFile, parseConfig, type Config } from '../gateway/config/index.ts';
import { systemClock } from '../gateway/system-clock.ts';
import { OperatorError } from './fail.ts';
import { readConfigFile } from './find-config.ts';
import type { OwnGateway } from './own-gateway.ts';

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
export async function askAdmin({ url, fetch, close }: OwnGateway, path: string, adminKey: string): Promise<AdminReply> {
  const aborting = new AbortController();
  const timer = systemClock.schedule(RESPONSE_TIMEOUT_MS, () =>
    aborting.abort(new Error(`no response within ${RESPONSE_TIMEOUT_MS / 1_000} s`)),
  );
  try {
    const response = await fetch(`${url.replace(/\/+$/, '')}${path}`, {
      headers: adminKey === '' ? {} : { authorization: `Bearer ${adminKey}` },
      signal: aborting.signal,
    });
    const body = await response.text();
    if (response.ok) return { ok: true, body };
    if (response.status === 404) return { ok: false, isAway: false, why: messageOf(body) };
    throw new OperatorError([`the gateway at ${url} responded with ${response.status}: ${messageOf(body)}`]);
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const why = `the gateway at ${url} cannot be reached: ${cause instanceof Error ? cause.message : String(cause)}`;
    return { ok: false, isAway: true, why };
  } finally {
    timer.cancel();
    await close();
  }
}

function messageOf(body: string): string {
  try {
    return (JSON.parse(body) as { error: { message: string } }).error.message;
  } catch {
    return 'not the admin API of Breakwater';
  }
}
