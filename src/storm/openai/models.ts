/** `GET /v1/models` and `GET /v1/models/{id}`. */
import type { Ask, Failure, Received } from '../dialect.ts';

const CREATED = 1_750_000_000;

/** Lists `models`. */
export function readModels(models: readonly string[]): (received: Received) => Ask {
  const body = JSON.stringify({ object: 'list', data: models.map(toEntry) });
  return () => jsonAsk('', body);
}

/** Shows one of `models`. */
export function readModel(models: readonly string[]): (received: Received) => Ask | Failure {
  return ({ path }) => {
    const id = decoded(path.slice(path.indexOf('/models/') + '/models/'.length));
    return models.includes(id) ? jsonAsk(id, JSON.stringify(toEntry(id))) : { reason: 'no-model', model: id };
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function toEntry(id: string): Record<string, unknown> {
  return { id, object: 'model', created: CREATED, owned_by: 'storm' };
}

function jsonAsk(model: string, body: string): Ask {
  return { model, stream: false, inputTokens: 0, outputBound: 0, fields: {}, plain: () => ({ contentType: 'application/json', body }) };
}
