/** Liveness and readiness: without upstream calls or keys, and `live` without any dependency. */
import { BreakwaterError } from '../core/errors.ts';
import type { Call } from './call.ts';

export function showLive(call: Call): void {
  call.sendJson(200, { status: 'live' });
}

export function showReady(call: Call): void {
  const { draining } = call.app;
  call.sendJson(draining ? 503 : 200, { status: draining ? 'draining' : 'ready' });
}

export async function showMetrics(call: Call): Promise<void> {
  const { scrape } = call.app;
  if (scrape === null) throw new BreakwaterError('not_found', 'metrics are not available');
  const { contentType, body } = await scrape();
  call.send(200, contentType, Buffer.from(body));
}
