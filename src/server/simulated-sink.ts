import type { ResponseSink } from '../pipeline/request/response-sink.ts';

const name = 'x-breakwater-simulated';

/** Wraps a sink and marks every response as simulated. */
export function markSimulated(sink: ResponseSink): ResponseSink {
  return {
    head: (status, headers) => sink.head(status, headers.includes(name) ? headers : [...headers, name, 'true']),
    write: (bytes) => sink.write(bytes),
    end: (bytes) => sink.end(bytes),
    abort: () => sink.abort(),
    onDrain: (listener) => sink.onDrain(listener),
    readerMoved: () => sink.readerMoved(),
  };
}
