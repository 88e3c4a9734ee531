/** Deletes a response of the Responses API at the provider that stores it. */
import { BreakwaterError } from '../core/errors.ts';
import type { Clock } from '../core/clock.ts';
import { ProviderClient } from '../jobs/native/provider-client.ts';
import type { Route, TargetState } from '../pipeline/route/route.ts';
import type { Transport } from '../transport/transport.ts';
import { speaks } from '../wire/conversion.ts';
import { DIALECTS } from '../wire/dialects.ts';

/** For all keys of the provider, in milliseconds. */
const TIMEOUT_MS = 15_000;
/** The most keys of one provider that are tried. */
const KEYS_MAX = 16;

export interface ProviderParts {
  readonly transport: Transport;
  /** Null: there is no such model. */
  readonly routeOf: (model: string) => Route | null;
}

/**
 * `maker`: the `provider/model` that produced it. Tries each key of the provider until one finds the response. Resolves without a call if the provider
 * stores no responses, or is no longer configured. Throws `all_targets_failed` if the response may still be there.
 */
export async function deleteAtProvider({ transport, routeOf }: ProviderParts, clock: Clock, maker: string, id: string): Promise<void> {
  const states = (routeOf(maker)?.tiers.flat() ?? []).map(({ state }) => state).filter(isStoring);
  const closing = new AbortController();
  const timer = clock.schedule(TIMEOUT_MS, () => closing.abort());
  let fault: string | null = null;
  try {
    for (const state of states.slice(0, KEYS_MAX)) {
      const client = new ProviderClient(transport, clock, state, closing.signal);
      const { status, message } = await client.call({ method: 'DELETE', path: `/responses/${encodeURIComponent(id)}` });
      if (status >= 200 && status <= 299) return;
      if (status !== 404) fault = status === 0 ? `could not be reached (${message})` : `responded with status ${status}`;
    }
  } finally {
    timer.cancel();
  }
  if (fault !== null) throw new BreakwaterError('all_targets_failed', `the response was not deleted: its provider ${fault}`);
}

function isStoring(state: TargetState): boolean {
  return speaks(DIALECTS['openai-responses'], state) && state.credential.auth !== 'caller';
}
