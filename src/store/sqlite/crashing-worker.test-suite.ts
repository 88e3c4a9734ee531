/**
 * The real worker, except that it crashes or hangs before or after the commit of the first batch that contains `crash before`, `crash after`,
 * `throw before` or `hang before`. A marker file prevents the next worker from doing so again.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import type { SqliteRequest } from './messages.ts';

if (parentPort === null) throw new Error('this file is a worker');
const port = parentPort;
const listen = port.on.bind(port) as (event: string, listener: (request: SqliteRequest) => void) => typeof port;
let marker = '';

port.on = ((event: string, work: (request: SqliteRequest) => void) =>
  listen(event, (request) => {
    if (request.kind === 'open') marker = `${request.path}.obeyed`;
    const order = request.kind === 'apply' && !existsSync(marker) ? JSON.stringify(request.batch) : '';
    if (/(crash|throw|hang) (before|after)/.test(order)) writeFileSync(marker, '');
    if (order.includes('crash before')) process.exit(3);
    if (order.includes('throw before')) throw new Error('simulated worker failure');
    if (order.includes('hang before')) for (;;);
    if (order.includes('crash after')) port.postMessage = () => process.exit(4);
    work(request);
  })) as typeof port.on;

await import('./worker.ts');
