import type { ResponseSink } from '../pipeline/request/response-sink.ts';

const OPEN = Buffer.from('[');
const CLOSE = Buffer.from(']');

/** The same sink, whose every response is the one element of a JSON list: how Gemini streams without `alt=sse`. Errors stay as they are. */
export function inList(sink: ResponseSink): ResponseSink {
  let isList = false;
  let isBegun = false;
  const begun = (bytes: Uint8Array): Uint8Array => {
    if (!isList || isBegun) return bytes;
    isBegun = true;
    return Buffer.concat([OPEN, bytes]);
  };
  return {
    head(status, headers) {
      isList = status >= 200 && status <= 299;
      const at = headers.findIndex((name, i) => i % 2 === 0 && name === 'content-length');
      sink.head(status, isList && at >= 0 ? headers.toSpliced(at + 1, 1, String(Number(headers[at + 1]) + 2)) : headers);
    },
    write: (bytes) => sink.write(begun(bytes)),
    end: (bytes) => sink.end(isList ? Buffer.concat([begun(bytes ?? Buffer.alloc(0)), CLOSE]) : bytes),
    abort: () => sink.abort(),
    onDrain: (listener) => sink.onDrain(listener),
    readerMoved: () => sink.readerMoved(),
  };
}
