/** `breakwater health`: whether the gateway of this config responds, for health checks of containers and services. */
import { configOf } from './admin-client.ts';
import { OperatorError } from './fail.ts';
import { askGateway, gatewayAt, ownGateway } from './own-gateway.ts';

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
  // The certificate on disk may be another than the one in use, or have expired: no reason to restart the gateway.
  const gateway = options.url === undefined ? await ownGateway(await configOf(options), { isChecked: false }) : gatewayAt(options.url);
  const path = options.ready === true ? '/health/ready' : '/health/live';
  const reply = await askGateway(gateway, path, { timeoutMs: TIMEOUT_MS });
  await gateway.close();
  if (!reply.ok) throw new OperatorError([reply.why]);
  const { status, body } = reply;
  if (status < 200 || status > 299) throw new OperatorError([`the gateway at ${gateway.url} responded with ${status}: ${body.trim()}`]);
  process.stdout.write(`${body.trim()}\n`);
}
