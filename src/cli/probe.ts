/** Queries model servers on this machine for their models. */
import { get, type IncomingMessage } from 'node:http';
import type { Clock } from '../core/clock.ts';
import type { Probe } from '../gateway/config/index.ts';
import { readModelList } from '../wire/model-list.ts';

/** A longer response is not treated as a model list. */
const listBytesMax = 1024 * 1024;

/** Creates the probe; responses that are late or not a model list are null. */
export function createProbe(clock: Clock): Probe {
  return (url, timeoutMs) =>
    new Promise((resolve) => {
      const request = get(url, { agent: false }, (response) => collect(response, finish));
      const timer = clock.schedule(timeoutMs, () => finish(null));
      request.on('error', () => finish(null));

      function finish(text: string | null): void {
        timer.cancel();
        request.destroy();
        resolve(text === null ? null : readModelList(text));
      }
    });
}

function collect(response: IncomingMessage, finish: (text: string | null) => void): void {
  if (response.statusCode !== 200) return finish(null);
  let text = '';
  response.setEncoding('utf8');
  response.on('data', (piece: string) => {
    text += piece;
    if (text.length > listBytesMax) finish(null);
  });
  response.on('end', () => finish(text));
}
