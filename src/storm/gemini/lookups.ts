/** Models and embeddings. */
import { isRecord } from '../../core/json.ts';
import type { ParsedRequest, Failure, Received } from '../dialect.ts';
import { countInput, lookup, readFields, wholeNumber } from '../request.ts';
import type { Fields } from '../request.ts';
import { toVector } from '../vectors.ts';
import { camelFields, listField, objectField } from './fields.ts';

const METHODS = ['generateContent', 'countTokens', 'embedContent', 'batchEmbedContents'];

function entryOf(id: string): Record<string, unknown> {
  return {
    name: `models/${id}`,
    version: '001',
    displayName: id,
    inputTokenLimit: 1_048_576,
    outputTokenLimit: 65_536,
    supportedGenerationMethods: METHODS,
    thinking: true,
  };
}

const PAGE_DEFAULT = 50;
const PAGE_MAX = 1000;

/** `GET /v1beta/models`, paginated. */
export function readModels(models: readonly string[], { query }: Received): ParsedRequest {
  const asked = new URLSearchParams(query);
  const size = Math.min(PAGE_MAX, Math.max(1, Number(asked.get('pageSize')) || PAGE_DEFAULT));
  const from = Math.max(0, Number(asked.get('pageToken')) || 0);
  const page = models.slice(from, from + size).map(entryOf);
  return lookup({ models: page, ...(from + size < models.length ? { nextPageToken: String(from + size) } : {}) });
}

/** `GET /v1beta/models/{model}`. */
export function readModel(models: readonly string[], { model = '' }: Received): ParsedRequest | Failure {
  return models.includes(model) ? lookup(entryOf(model), model) : { reason: 'no-model', model };
}

const DIMENSIONS_DEFAULT = 3072;
const BATCH_MAX = 100;

/** `:embedContent`. */
export function readEmbed(received: Received): ParsedRequest | Failure {
  return readEmbeddings(
    received,
    (fields) => [fields],
    ([embedding]) => ({ embedding }),
  );
}

/** `:batchEmbedContents`. */
export function readBatchEmbed(received: Received): ParsedRequest | Failure {
  return readEmbeddings(
    received,
    (fields) => listField(fields, 'requests').filter(isRecord).map(camelFields),
    (embeddings) => ({ embeddings }),
  );
}

function readEmbeddings(
  received: Received,
  toRequests: (fields: Fields) => readonly Fields[],
  toBody: (embeddings: readonly unknown[]) => Record<string, unknown>,
): ParsedRequest | Failure {
  const read = readFields(received);
  if ('reason' in read) return read;
  const fields = camelFields(read.fields);
  const requests = toRequests(fields);
  if (requests.length === 0) return { reason: 'invalid', message: '* BatchEmbedContentsRequest.requests: requests is not specified\n' };
  if (requests.length > BATCH_MAX) {
    return { reason: 'invalid', message: `* BatchEmbedContentsRequest.requests: at most ${BATCH_MAX} requests can be in one batch\n` };
  }
  if (requests.some((request) => textOf(request) === '')) {
    return { reason: 'invalid', message: '* EmbedContentRequest.content: content is empty\n' };
  }
  const model = received.model ?? '';
  return {
    model,
    stream: false,
    inputTokens: countInput(received, fields),
    outputLimit: 0,
    fields,
    body(_choices, { seed }) {
      const embeddings = requests.map((request) => {
        const dimensions = wholeNumber(request['outputDimensionality']) ?? DIMENSIONS_DEFAULT;
        return { values: Array.from(toVector(seed, model, textOf(request), dimensions)) };
      });
      return { contentType: 'application/json; charset=UTF-8', body: JSON.stringify(toBody(embeddings)) };
    },
  };
}

function textOf(request: Fields): string {
  return listField(objectField(request, 'content'), 'parts')
    .map((part) => (isRecord(part) && typeof part['text'] === 'string' ? part['text'] : ''))
    .join('');
}
