import { valueIn } from '../core/headers.ts';
import type { ResponseSink } from '../pipeline/request/response-sink.ts';

/**
 * Wraps a sink and calls `onWhole` with the body and headers of a complete successful response of at most `bytesMax`, and `onStart` with the
 * first bytes and the headers of any successful response.
 */
export function keepBody(
  sink: ResponseSink,
  bytesMax: number,
  onWhole: (body: Uint8Array, header: (name: string) => string | null) => void,
  onStart: (bytes: Uint8Array, header: (name: string) => string | null) => void,
): ResponseSink {
  let pieces: Uint8Array[] | null = null;
  let length = 0;
  let given: readonly string[] = [];
  const header = (name: string): string | null => valueIn(given, name);
  const keep = (bytes: Uint8Array): void => {
    if (pieces === null) return;
    if (length === 0) onStart(bytes, header);
    length += bytes.byteLength;
    if (length > bytesMax) pieces = null;
    else pieces.push(bytes);
  };
  return {
    head(status, headers) {
      if (status === 200) pieces = [];
      given = headers;
      sink.head(status, headers);
    },
    write(bytes) {
      keep(bytes);
      return sink.write(bytes);
    },
    end(bytes) {
      if (bytes !== undefined) keep(bytes);
      sink.end(bytes);
      if (pieces !== null) onWhole(Buffer.concat(pieces), header);
      pieces = null;
    },
    abort() {
      pieces = null;
      sink.abort();
    },
    onDrain: (listener) => sink.onDrain(listener),
    readerMoved: () => sink.readerMoved(),
  };
}
