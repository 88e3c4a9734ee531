/** `/storm/…`: control endpoints of Storm when it runs as a separate process. */
import type { ServerResponse } from 'node:http';
import type { StormBatchOptions, StormBatchStats } from './batches/options.ts';
import type { Received } from './dialect.ts';
import type { StormFault } from './options.ts';
import type { StormStats } from './stats.ts';

export interface Controls {
  stats(): StormStats;
  reset(): void;
  setFaults(faults: readonly StormFault[]): void;
  batches(): StormBatchStats;
  setBatches(options: StormBatchOptions): void;
  /** Takes the server down for `ms` milliseconds. */
  downFor(ms: number): void;
}

/** Log entries returned over HTTP. */
const LOG_SHOWN = 100;

/**
 * Handles `GET /storm/stats`, `POST /storm/reset`, `POST /storm/faults` (an array that replaces the current faults),
 * `POST /storm/down` (`{"ms": 5000}`), and `GET` and `POST /storm/batches` (`{"afterMs": 1000, "fault": "expire"}`).
 */
export function handleControl({ method, path, body }: Received, res: ServerResponse, controls: Controls): void {
  const route = `${method} ${path}`;
  try {
    if (route === 'GET /storm/stats') {
      const stats = controls.stats();
      reply(res, 200, { ...stats, log: stats.log.slice(-LOG_SHOWN) });
    } else if (route === 'POST /storm/reset') {
      controls.reset();
      reply(res, 200, { ok: true });
    } else if (route === 'POST /storm/faults') {
      const faults: unknown = JSON.parse(body.toString('utf8'));
      if (!Array.isArray(faults)) throw new Error('expected an array of faults');
      controls.setFaults(faults as StormFault[]);
      reply(res, 200, { faults: faults.length });
    } else if (route === 'GET /storm/batches') {
      reply(res, 200, controls.batches());
    } else if (route === 'POST /storm/batches') {
      const options = JSON.parse(body.toString('utf8')) as StormBatchOptions;
      controls.setBatches(options);
      reply(res, 200, options);
    } else if (route === 'POST /storm/down') {
      const { ms } = JSON.parse(body.toString('utf8')) as { ms?: unknown };
      if (typeof ms !== 'number' || !(ms > 0)) throw new Error('expected ms above 0');
      res.once('finish', () => controls.downFor(ms));
      reply(res, 200, { downForMs: ms });
    } else {
      reply(res, 404, { error: `unknown control endpoint: ${route}` });
    }
  } catch (error) {
    reply(res, 400, { error: String(error) });
  }
}

function reply(res: ServerResponse, status: number, value: unknown): void {
  res.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(value)}\n`);
}
