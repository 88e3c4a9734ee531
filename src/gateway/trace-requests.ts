import type { Clock } from '../core/clock.ts';
import { valueIn } from '../core/headers.ts';
import type { Random } from '../core/random.ts';
import { TraceSource, type TraceIds } from '../core/request-trace.ts';
import type { GatewayRequest } from '../pipeline/request/gateway-request.ts';
import type { Config } from './config/index.ts';

export interface RequestTracer {
  /** The request with this credential of its caller and, if traces are exported, with a trace context; itself if nothing changes. */
  trace(request: GatewayRequest, callerCredential: string | null): GatewayRequest;
  /** The ids of a request that is rejected by its head; undefined: traces are off. `traceparent`: the caller's header. */
  idsOf(traceparent: string | undefined): TraceIds | undefined;
}

const OFF: RequestTracer = { trace: withCredential, idsOf: () => undefined };

export function createRequestTracer(random: Random, clock: Clock, config: () => Config): RequestTracer {
  if (config().telemetry.traces.endpoint === '') return OFF;
  const source = new TraceSource({
    random,
    clock,
    sample: () => config().telemetry.traces.sample,
    maxPerSecond: () => config().telemetry.traces.maxPerSecond,
  });
  return {
    trace(request, callerCredential) {
      if (request.trace !== undefined) return withCredential(request, callerCredential);
      const { forwardHeaders } = request;
      const trace = source.begin(valueIn(forwardHeaders, 'traceparent'), valueIn(forwardHeaders, 'tracestate'));
      return { ...request, callerCredential, trace };
    },
    idsOf: (traceparent) => source.begin(traceparent ?? null, null),
  };
}

function withCredential(request: GatewayRequest, callerCredential: string | null): GatewayRequest {
  return request.callerCredential === callerCredential ? request : { ...request, callerCredential };
}
