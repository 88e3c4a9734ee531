/** `breakwater health`: whether the gateway of this config responds, for health checks of containers and services. */
import { systemClock } from '../gateway/system-clock.ts';
import { configOf } from './admin-client.ts';
import { OperatorError } from './fail.ts';
import { gatewayAt, ownGateway } from './own-gateway.ts';

export interface HealthOptions {
  readonly config?: string;
  readonly url?: string;
  /** Also fails while the gateway shuts down. */
  readonly ready?: boolean;
}

/** Timeout of the check, in milliseconds. */
const TIMEOUT_MS = 5_000;

/** Prints the status; throws an `OperatorError` if it is not healthy. */
export async function health(options: HealthOptions): Promise<void> {
  const gateway = options.url === undefined ? await ownGateway(await configOf(options)) : gatewayAt(options.url);
  const aborting = new AbortController();
  const timer = systemClock.schedule(TIMEOUT_MS, () => aborting.abort(new Error(`no response within ${TIMEOUT_MS / 1_000} s`)));
  try {
    const path = options.ready === true ? '/health/ready' : '/health/live';
    const response = await gateway.fetch(`${gateway.url.replace(/\/+$/, '')}${path}`, { signal: aborting.signal });
    const body = await response.text();
    if (!response.ok) throw new OperatorError([`the gateway at ${gateway.url} responded with ${response.status}: ${body.trim()}`]);
    process.stdout.write(`${body.trim()}\n`);
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new OperatorError([`the gateway at ${gateway.url} cannot be reached: ${cause instanceof Error ? cause.message : String(cause)}`]);
  } finally {
    timer.cancel();
    await gateway.close();
  }
}
