/** `GET /v1/models` and `GET /v1/models/{id}`. */
import type { Ask, Failure, Received } from '../dialect.ts';
import { decodePart, listAsk } from '../request.ts';

const CREATED = 1_750_000_000;

/** Lists `models`. */
export function readModels(models: readonly string[]): (received: Received) => Ask {
  const list = { object: 'list', data: models.map(toEntry) };
  return () => listAsk(list);
}

/** Shows one of `models`. */
export function readModel(models: readonly string[]): (received: Received) => Ask | Failure {
  return ({ path }) => {
    const id = decodePart(path.slice(path.indexOf('/models/') + '/models/'.length));
    return models.includes(id) ? listAsk(toEntry(id), id) : { reason: 'no-model', model: id };
  };
}

function toEntry(id: string): Record<string, unknown> {
  return { id, object: 'model', created: CREATED, owned_by: 'storm' };
}
