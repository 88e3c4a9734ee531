/** Liveness and readiness: without upstream calls or keys, and `live` without any dependency. */
import { BreakwaterError } from '../core/errors.ts';
import { admitClient } from './admission.ts';
import type { Call } from './call.ts';

/** By which a library that uses this gateway names itself. */
const LIBRARY_HEADER = 'x-breakwater-library';

export function showLive(call: Call): void {
  call.sendJson(200, { status: 'live' });
}

export function showReady(call: Call): void {
  const { draining, libraries } = call.app;
  const library = call.exchange.header(LIBRARY_HEADER);
  const status = draining ? 'draining' : 'ready';
  const isKnown = library !== undefined && isClient(call);
  const known = isKnown ? { libraries: libraries.note(library), instances: call.gateway.fleet?.shares ?? 1 } : {};
  call.sendJson(draining ? 503 : 200, { status, ...known });
}

/** Only callers that may use the gateway count: their number divides its limits. */
function isClient(call: Call): boolean {
  try {
    admitClient(call);
    return true;
  } catch {
    return false;
  }
}

export async function showMetrics(call: Call): Promise<void> {
  const { scrape } = call.app;
  if (scrape === null) throw new BreakwaterError('not_found', 'metrics are not available');
  const { contentType, body } = await scrape();
  call.send(200, contentType, Buffer.from(body));
}
