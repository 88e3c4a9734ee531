import { valueIn } from '../core/headers.ts';
import type { Random } from '../core/random.ts';
import { TraceSource } from '../core/request-trace.ts';
import type { GatewayRequest } from '../pipeline/request/gateway-request.ts';
import type { Config } from './config/index.ts';

/** Adds a trace context to each request if traces are exported; otherwise requests are returned as they are. */
export function createRequestTracer(random: Random, config: () => Config): (request: GatewayRequest) => GatewayRequest {
  if (config().telemetry.traces.endpoint === '') return (request) => request;
  const source = new TraceSource(random, () => config().telemetry.traces.sample);
  return (request) => ({
    ...request,
    trace: source.begin(valueIn(request.forwardHeaders, 'traceparent'), valueIn(request.forwardHeaders, 'tracestate')),
  });
}
