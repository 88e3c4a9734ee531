/** Framings of a stream's events in its body: server-sent events or a JSON array. AWS event streams are in `bedrock/`. */

export type FramingName = 'sse' | 'json-array' | 'aws-event-stream';

/** An event as a dialect creates it: JSON (or a terminator) and, in dialects with named events, the name. */
export interface EventText {
  readonly data: string;
  readonly name?: string;
  /** Marks an error in framings that distinguish one. */
  readonly isException?: true;
}

export interface Framing {
  readonly name: FramingName;
  readonly headers: Readonly<Record<string, string>>;
  /** `index` is the event's position in the stream, from 0. */
  frame(event: EventText, index: number): string | Buffer;
  /** Sent after the last event. */
  readonly end: string;
}

/** Server-sent events. */
export const SSE: Framing = {
  name: 'sse',
  headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' },
  frame({ data, name }) {
    const line = data === '' ? 'data:\n\n' : `data: ${data}\n\n`;
    return name === undefined ? line : `event: ${name}\n${line}`;
  },
  end: '',
};

/** Server-sent events with CRLF line endings. */
export const SSE_CRLF: Framing = { ...SSE, frame: (event, index) => String(SSE.frame(event, index)).replaceAll('\n', '\r\n') };

/** A JSON array sent element by element, as Gemini streams without `alt=sse`. */
export const JSON_ARRAY: Framing = {
  name: 'json-array',
  headers: { 'content-type': 'application/json; charset=UTF-8' },
  frame: ({ data }, index) => (index === 0 ? `[${data}` : `\n,\r\n${data}`),
  end: '\n]\n',
};
