/** One request of a batch: the response that a call would get, without limits and faults. */
import type { Received } from '../dialect.ts';
import { isFailure } from '../dialect.ts';
import type { Dialects } from '../dialects.ts';
import { generate } from '../generate.ts';
import type { StormOptions } from '../options.ts';

export interface ItemResponse {
  readonly status: number;
  readonly body: string;
}

export interface ItemRequest {
  readonly customId: string;
  /** Of the call: `/v1/chat/completions`. */
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export type ProcessItem = (item: ItemRequest, headers: Received['headers'], call: number) => ItemResponse;

export function createItemProcessor(dialects: Dialects, options: StormOptions, epochMs: () => number): ProcessItem {
  const { tokens } = options.timing ?? {};
  const atOnce = { ...options, timing: tokens === undefined ? {} : { tokens } };
  return ({ path, body }, headers, call) => {
    const received: Received = { method: 'POST', path, headers, body: Buffer.from(JSON.stringify(body)) };
    for (const dialect of dialects.all) {
      const endpoint = dialect.route(received);
      if (endpoint === undefined) continue;
      const ask = endpoint.read(received);
      if (isFailure(ask)) {
        const failure = dialect.failure(ask);
        return { status: failure.status, body: String(failure.body) };
      }
      const scene = { dialect, model: ask.model, call, epochMs: epochMs(), stream: false, fields: ask.fields };
      const { script } = generate({ ...ask, stream: false }, scene, [], atOnce);
      const sent = script.steps.flatMap((step) => (step.do === 'send' ? [Buffer.from(step.bytes)] : []));
      return { status: script.status, body: Buffer.concat(sent).toString('utf8') };
    }
    return { status: 404, body: JSON.stringify({ error: { message: `Invalid URL (POST ${path})`, type: 'invalid_request_error' } }) };
  };
}

/** The text by which a request is counted. */
export function promptOf({ body }: ItemRequest): string {
  const { messages, input, prompt } = body as { messages?: { content?: unknown }[]; input?: unknown; prompt?: unknown };
  const last = Array.isArray(messages) ? messages.at(-1)?.content : (input ?? prompt);
  return (typeof last === 'string' ? last : JSON.stringify(last ?? null)).slice(0, 200);
}
