/** One request to a provider, with what arrived and how long it took. */
import type { Clock } from '../../core/clock.ts';
import type { HeadersByName } from '../../core/headers.ts';
import type { Transport, UpstreamRequest } from '../../transport/transport.ts';

export interface Reply {
  /** 0: no response. */
  readonly status: number;
  readonly headers: HeadersByName;
  readonly text: string;
  readonly durationMs: number;
  /** The code of a failed connection, or `TIMEOUT`; null: a response arrived. */
  readonly fault: string | null;
}

/** A longer body is not a model list. */
const BODY_MAX = 4 * 1024 * 1024;

/** Sends a GET request; ends after `timeoutMs` at the latest. */
export function ask(
  transport: Transport,
  clock: Clock,
  { origin, path, headers }: Pick<UpstreamRequest, 'origin' | 'path' | 'headers'>,
  timeoutMs: number,
): Promise<Reply> {
  return new Promise((resolve) => {
    const startedAt = clock.now();
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    let [status, found]: [number, HeadersByName] = [0, {}];
    const end = (fault: string | null): void => {
      timer.cancel();
      resolve({ status, headers: found, text: Buffer.concat(chunks).toString(), durationMs: clock.now() - startedAt, fault });
    };
    const timer = clock.schedule(timeoutMs, () => {
      call.abort();
      end('TIMEOUT');
    });
    const call = transport.send(
      { origin, path, method: 'GET', headers, body: null, connectTimeoutMs: timeoutMs },
      {
        onSent() {},
        onHeaders(code, received) {
          status = code;
          found = received;
        },
        onData(chunk) {
          chunks.push(chunk);
          bytes += chunk.byteLength;
          if (bytes <= BODY_MAX) return;
          call.abort();
          end(null);
        },
        onEnd: () => end(null),
        onError: (error) => end((error as NodeJS.ErrnoException).code ?? error.message),
      },
    );
  });
}
