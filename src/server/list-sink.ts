import type { HeaderPairs } from '../core/headers.ts';
import type { ResponseSink } from '../pipeline/request/response-sink.ts';

const OPEN = Buffer.from('[');
const CLOSE = Buffer.from(']');
const NONE: Uint8Array = Buffer.alloc(0);

/**
 * Wraps a sink so that every response is a JSON list, Gemini's streaming format without `alt=sse`. A list is passed unchanged, and a single
 * response becomes its only element. Errors are unchanged.
 */
export function inList(sink: ResponseSink): ResponseSink {
  /** The head, held until the first byte shows whether the body is a list. */
  let held: { readonly status: number; readonly headers: HeaderPairs } | null = null;
  let isWrapped = false;

  function begin(bytes: Uint8Array): Uint8Array {
    if (held === null) return bytes;
    const { status, headers } = held;
    held = null;
    isWrapped = !isList(bytes);
    const at = headers.findIndex((name, i) => i % 2 === 0 && name === 'content-length');
    sink.head(status, isWrapped && at >= 0 ? headers.toSpliced(at + 1, 1, String(Number(headers[at + 1]) + 2)) : headers);
    return isWrapped ? Buffer.concat([OPEN, bytes]) : bytes;
  }

  return {
    head(status, headers) {
      if (status >= 200 && status <= 299) held = { status, headers };
      else sink.head(status, headers);
    },
    write: (bytes) => sink.write(begin(bytes)),
    end(bytes) {
      const last = begin(bytes ?? NONE);
      sink.end(isWrapped ? Buffer.concat([last, CLOSE]) : last);
    },
    abort() {
      if (held !== null) sink.head(held.status, held.headers);
      sink.abort();
    },
    onDrain: (listener) => sink.onDrain(listener),
    readerMoved: () => sink.readerMoved(),
  };
}

/** Whether JSON starts with `[`, after white space or a byte order mark. */
function isList(bytes: Uint8Array): boolean {
  const first = bytes.find((byte) => byte > 0x20 && byte !== 0xef && byte !== 0xbb && byte !== 0xbf);
  return first === 0x5b;
}
