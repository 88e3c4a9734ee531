/** A query of Breakwater's own to a model, run like any request: admitted, limited, retried, and in the timeline under an id derived from its parent's. */
import { decodeRequest } from '../wire/decode-request.ts';
import { DIALECTS } from '../wire/dialects.ts';
import type { Caller } from './request/caller.ts';
import type { PipelineEngine } from './engine.ts';
import type { GatewayRequest } from './request/gateway-request.ts';
import type { ModelReply, ModelQuery } from './request/model-query.ts';
import { runRequest } from './pipeline.ts';
import type { Route } from './route/route.ts';
import type { ResponseSink } from './request/response-sink.ts';

/** The longest response read, in bytes. */
const ANSWER_BYTES_MAX = 1024 * 1024;

/** `route`: null for an unknown model. Never rejects. */
export async function askModel(engine: PipelineEngine, route: Route | null, query: ModelQuery): Promise<ModelReply> {
  if (route === null) return { ok: false, why: 'unknown model' };
  const caller = new NestedCaller();
  const request = requestOf(engine, query, caller);
  if (request === null) return { ok: false, why: 'the request is invalid' };
  const leave = (): void => caller.leave();
  if (query.signal.aborted) return { ok: false, why: 'it was cancelled' };
  query.signal.addEventListener('abort', leave, { once: true });
  const sink = new WholeSink();
  try {
    await runRequest(engine, request, route, sink);
  } finally {
    query.signal.removeEventListener('abort', leave);
  }
  if (sink.status !== 200) return { ok: false, why: sink.status === 0 ? 'the response broke off' : `status ${sink.status}` };
  try {
    return { ok: true, text: DIALECTS['openai-chat'].response.choices(sink.body)[0]?.text ?? '' };
  } catch {
    return { ok: false, why: 'its response is unreadable' };
  }
}

function requestOf(engine: PipelineEngine, query: ModelQuery, caller: Caller): GatewayRequest | null {
  const { parent, model, messages } = query;
  const decoded = decodeRequest(DIALECTS['openai-chat'], 'chat', Buffer.from(JSON.stringify({ model, messages })));
  if (!decoded.ok) return null;
  return {
    id: `${parent.id}.${query.number}`,
    dialect: DIALECTS['openai-chat'],
    path: '/chat/completions',
    method: 'POST',
    facts: decoded.facts,
    body: decoded.body,
    // The caller's own limits have admitted the parent, which is charged for it at its end.
    client: { name: parent.client.name, resources: [] },
    priority: parent.priority,
    receivedAt: engine.clock.now(),
    deadline: query.deadline,
    deadlineGiven: true,
    fallback: true,
    callerCredential: parent.callerCredential,
    sessionKey: null,
    forwardHeaders: [],
    caller,
    idempotencyKey: null,
    cache: 'off',
    isNested: true,
    onSpent: query.onSpent,
    ...(parent.trace !== undefined && { trace: parent.trace.child() }),
  };
}

class NestedCaller implements Caller {
  hasLeft = false;
  onLeave: (() => void) | null = null;

  leave(): void {
    this.hasLeft = true;
    this.onLeave?.();
  }
}

class WholeSink implements ResponseSink {
  status = 0;
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;

  get body(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }

  head(status: number): void {
    this.status = status;
  }

  write(bytes: Uint8Array): boolean {
    this.#bytes += bytes.byteLength;
    if (this.#bytes <= ANSWER_BYTES_MAX) this.#chunks.push(bytes);
    return true;
  }

  end(bytes?: Uint8Array): void {
    if (bytes !== undefined) this.write(bytes);
  }

  abort(): void {
    this.status = 0;
  }

  onDrain(): void {}

  readerMoved(): boolean {
    return true;
  }
}
