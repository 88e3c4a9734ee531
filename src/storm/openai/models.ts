/** `GET /v1/models` and `GET /v1/models/{id}`. */
import type { ParsedRequest, Failure, Received } from '../dialect.ts';
import { decodePart, lookup } from '../request.ts';

const CREATED = 1_750_000_000;

/** Lists `models`. */
export function readModels(models: readonly string[]): (received: Received) => ParsedRequest {
  const list = { object: 'list', data: models.map(toEntry) };
  return () => lookup(list);
}

/** Shows one of `models`. */
export function readModel(models: readonly string[]): (received: Received) => ParsedRequest | Failure {
  return ({ path }) => {
    const id = decodePart(path.slice(path.indexOf('/models/') + '/models/'.length));
    return models.includes(id) ? lookup(toEntry(id), id) : { reason: 'no-model', model: id };
  };
}

function toEntry(id: string): Record<string, unknown> {
  return { id, object: 'model', created: CREATED, owned_by: 'storm' };
}
