/** `POST /v1/messages/count_tokens`: asked of a provider that counts, else estimated. */
import { BreakwaterError } from '../core/errors.ts';
import { decodeRequest } from '../wire/decode-request.ts';
import { DIALECTS } from '../wire/dialects.ts';
import type { Call } from './call.ts';
import { requireModel, withBody } from './inference.ts';
import { submitBytes } from './pass-through.ts';

export function countTokens(call: Call): Promise<void> {
  return withBody(call, async (bytes, arrival) => {
    const dialect = DIALECTS['anthropic-messages'];
    const decoded = decodeRequest(dialect, 'chat', bytes);
    if (!decoded.ok) throw new BreakwaterError('invalid_request', decoded.message, decoded.param === null ? {} : { param: decoded.param });
    const { facts, body } = decoded;
    requireModel(call, facts.model);
    if (await call.gateway.countsTokens(facts.model, call.holder, dialect, '/messages/count_tokens'))
      return submitBytes(call, dialect, body.bytes, arrival, body);
    call.sendJson(200, { input_tokens: facts.inputTokens }, ['x-breakwater-estimated', 'true']);
  });
}
