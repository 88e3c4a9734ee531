/** `POST /v1/messages/count_tokens`: counted by a provider that can, else estimated. */
import { DIALECTS } from '../wire/dialects.ts';
import type { Call } from './call.ts';
import { requireDecoded, requireModel, withBody } from './inference.ts';
import { decodeInSlices } from './large-body.ts';
import { submitBytes } from './pass-through.ts';

export function countTokens(call: Call): Promise<void> {
  return withBody(call, async (bytes, arrival) => {
    const dialect = DIALECTS['anthropic-messages'];
    const { facts, body } = requireDecoded(await decodeInSlices(dialect, 'chat', bytes, call.gateway.slices));
    requireModel(call, facts.model);
    if (await call.gateway.countsTokens(facts.model, call.holder, dialect, '/messages/count_tokens'))
      return submitBytes(call, dialect, body.bytes, arrival, body);
    call.sendJson(200, { input_tokens: facts.inputTokens }, ['x-breakwater-estimated', 'true']);
  });
}
