/** `GET /v1/models`: the models that the caller may use, in the format of its protocol. */
import { BreakwaterError } from '../core/errors.ts';
import { MODEL_LENGTH_MAX } from '../gateway/gateway-errors.ts';
import type { ModelEntry } from '../gateway/gateway.ts';
import type { Call } from './call.ts';

/** The creation date is unknown, but SDKs require one. */
const created = 0;

export async function listModels(call: Call): Promise<void> {
  const models = await call.gateway.models(call.client!);
  if (call.protocol === 'anthropic') {
    const data = models.map(toAnthropic);
    call.sendJson(200, { data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null });
  } else if (call.protocol === 'gemini') {
    call.sendJson(200, { models: models.map(toGemini) });
  } else {
    call.sendJson(200, { object: 'list', data: models.map(toOpenai) });
  }
}

/** A method of a Gemini model, which is called with POST. A model name may have a colon too (`llama3:8b`). */
const GEMINI_METHOD = /:(?:generateContent|streamGenerateContent|countTokens|embedContent|batchEmbedContents)$/;

/** Any model that can be requested, listed or not. The id may contain slashes, raw or encoded. */
export async function showModel(call: Call): Promise<void> {
  const id = call.place.rest;
  if (GEMINI_METHOD.test(id)) {
    const message = `${call.place.path} allows POST only (got ${call.exchange.method})`;
    return call.fail(new BreakwaterError('invalid_request', message, { status: 405 }), ['allow', 'POST']);
  }
  const model = await call.gateway.findModel(call.client!, id);
  if (model === null) {
    call.rejectedModel = id.slice(0, MODEL_LENGTH_MAX);
    throw new BreakwaterError('model_not_found', `unknown model ${JSON.stringify(id)}`, { param: 'model' });
  }
  const shape = call.protocol === 'anthropic' ? toAnthropic : call.protocol === 'gemini' ? toGemini : toOpenai;
  call.sendJson(200, shape(model));
}

function toOpenai({ id, ownedBy }: ModelEntry) {
  return { id, object: 'model', created, owned_by: ownedBy };
}

function toGemini({ id }: ModelEntry) {
  const supportedGenerationMethods = ['generateContent', 'streamGenerateContent', 'countTokens'];
  return { name: `models/${id}`, displayName: id, supportedGenerationMethods };
}

function toAnthropic({ id }: ModelEntry) {
  return { type: 'model', id, display_name: id, created_at: new Date(created).toISOString() };
}
