/** How the events of a stream are laid out in its body: server-sent events, or one JSON array. AWS's is in `bedrock/`. */

export type FramingName = 'sse' | 'json-array' | 'aws-event-stream';

/** An event as a dialect makes it: JSON (or a terminator) and, in dialects that name their events, the name. */
export interface EventText {
  readonly data: string;
  readonly name?: string;
  /** An error, in framings that mark it as such. */
  readonly isException?: true;
}

export interface Framing {
  readonly name: FramingName;
  readonly headers: Readonly<Record<string, string>>;
  /** `index` counts the events of a stream from 0. */
  frame(event: EventText, index: number): string | Buffer;
  /** What closes the body after its last event. */
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

/** Server-sent events whose lines end with CR LF. */
export const SSE_CRLF: Framing = { ...SSE, frame: (event, index) => String(SSE.frame(event, index)).replaceAll('\n', '\r\n') };

/** One JSON array whose elements are sent one by one, as Gemini sends a stream without `alt=sse`. */
export const JSON_ARRAY: Framing = {
  name: 'json-array',
  headers: { 'content-type': 'application/json; charset=UTF-8' },
  frame: ({ data }, index) => (index === 0 ? `[${data}` : `\n,\r\n${data}`),
  end: '\n]\n',
};
