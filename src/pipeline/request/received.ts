import type { Instant } from '../../core/clock.ts';
import type { BreakwaterError } from '../../core/errors.ts';
import type { TraceIds } from '../../core/request-trace.ts';
import type { EventSink, RejectedEvent } from '../../core/events.ts';
import type { GatewayRequest } from './gateway-request.ts';

/** Begins the timeline of a request: `received`, and a note for each unknown header. */
export function emitReceived(events: EventSink, request: GatewayRequest, at: Instant, deadline: Instant): void {
  const { facts } = request;
  events.emit({
    type: 'received',
    requestId: request.id,
    at,
    protocol: request.dialect.protocol,
    operation: facts.operation,
    model: facts.model,
    client: request.client.name,
    priority: request.priority,
    stream: facts.stream,
    deadlineMs: deadline - at,
    bodyBytes: request.body.bytes.byteLength,
    inputTokens: facts.inputTokens,
    outputBound: facts.outputBound,
    ...(request.trace !== undefined && { trace: request.trace }),
  });
  for (const name of request.unknownHeaders ?? []) {
    events.emit({ type: 'note', requestId: request.id, at, note: `unknown header ${name}: it has no effect` });
  }
}

/** The facts of a request that is rejected before it is received. */
export type RejectedRequest = Pick<
  RejectedEvent,
  'method' | 'path' | 'protocol' | 'operation' | 'model' | 'client' | 'keyState' | 'hadModel'
> & {
  readonly trace: TraceIds | undefined;
};

export function rejectedEvent(requestId: string, at: Instant, error: BreakwaterError, request: RejectedRequest): RejectedEvent {
  const { status, code, message } = error;
  const { trace, ...asked } = request;
  return { type: 'rejected', requestId, at, status, code, message, ...asked, ...(trace !== undefined && { trace }) };
}
