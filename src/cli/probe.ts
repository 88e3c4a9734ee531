/** Asks model servers on this machine what they have. */
import { get, type IncomingMessage } from 'node:http';
import type { Clock } from '../core/clock.ts';
import type { Probe } from '../gateway/config/index.ts';

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
        resolve(text === null ? null : readList(text));
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

function readList(text: string): string[] | null {
  try {
    const { data } = JSON.parse(text) as { data?: unknown };
    if (!Array.isArray(data)) return null;
    return data.map((entry: { id?: unknown } | null) => entry?.id).filter((id) => typeof id === 'string');
  } catch {
    return null;
  }
}
