/** Asks model servers on this machine what they have. */
import { get, type IncomingMessage } from 'node:http';
import type { Clock } from '../core/clock.ts';
import type { Probe } from '../gateway/config/index.ts';
import { readModelList } from '../wire/model-list.ts';

/** A longer list of models is none that we use. */
const listBytesMax = 1024 * 1024;

/** Makes the probe; what is no model list, or comes too late, is null. */
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
