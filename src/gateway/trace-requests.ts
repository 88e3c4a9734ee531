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

export function createRequestTracer(random: Random, config: () => Config): RequestTracer {
  if (config().telemetry.traces.endpoint === '') return OFF;
  const source = new TraceSource(random, () => config().telemetry.traces.sample);
  return {
    trace(request, callerCredential) {
      if (request.trace !== undefined) return withCredential(request, callerCredential);
      const { forwardHeaders } = request;
      return {
        ...request,
        callerCredential,
        trace: source.begin(valueIn(forwardHeaders, 'traceparent'), valueIn(forwardHeaders, 'tracestate')),
      };
    },
    idsOf: (traceparent) => source.begin(traceparent ?? null, null),
  };
}

function withCredential(request: GatewayRequest, callerCredential: string | null): GatewayRequest {
  return request.callerCredential === callerCredential ? request : { ...request, callerCredential };
}
