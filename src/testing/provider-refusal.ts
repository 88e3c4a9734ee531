/** How a simulated provider fails a call before any work is done. */
import type { UpstreamRequest } from '../transport/transport.ts';
import type { ProviderRequest } from './provider-request.ts';
import { errorSteps, type ErrorParts } from './provider-wire.ts';
import type { SimulatedFault } from './simulated-faults.ts';
import type { SimulatedStep } from './simulated-upstream.ts';

const STATUS: Readonly<Partial<Record<SimulatedFault['kind'], number>>> = {
  rate_limit: 429,
  server_error: 500,
  overloaded: 503,
  refusal: 403,
};

/** Whether the fault applies before any work is done. */
export function isFront(fault: SimulatedFault): boolean {
  return fault.kind === 'reset' || fault.kind in STATUS;
}

/** A simulation creates keys that end in their position, from 0. */
export function keyNumberOf(request: UpstreamRequest): number {
  return Number(/\d+$/.exec(credentialOf(request))?.[0] ?? NaN) + 1;
}

export function credentialOf({ headers }: UpstreamRequest): string {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i]!;
    if (name === 'authorization' || name === 'api-key' || name === 'x-api-key' || name === 'x-goog-api-key') return headers[i + 1]!;
  }
  return '';
}

export function errorOf(
  { dialect }: ProviderRequest,
  status: number,
  message: string,
  waitMs: number | null = null,
  headers: ErrorParts['headers'] = {},
): ErrorParts {
  return { dialect, status, message, waitMs, headers };
}

export function* failAtFront(fault: SimulatedFault, parsed: ProviderRequest, networkMs: number): Generator<SimulatedStep> {
  if (fault.kind === 'reset') {
    yield { do: 'wait', ms: networkMs };
    return yield { do: 'break', code: 'ECONNRESET' };
  }
  const status = fault.status ?? STATUS[fault.kind] ?? 500;
  const waitMs = fault.retryAfterMs ?? null;
  const hints = waitMs === null ? 'none' : 'header';
  yield* errorSteps(networkMs, errorOf(parsed, status, fault.message ?? `simulated ${fault.kind}`, waitMs), { hints });
}
