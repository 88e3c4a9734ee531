/** `POST /v1/embeddings`: unit vectors that depend only on the seed, the model and the text. */
import type { ResponseFacts, ParsedRequest, Failure, ResponseBody, Received } from '../dialect.ts';
import { asText, countInput, readFields, wholeNumber } from '../request.ts';
import type { Fields } from '../request.ts';
import { toVector } from '../vectors.ts';

const DIMENSIONS_DEFAULT = 256;
const INPUTS_MAX = 2048;

/** Parses an embedding request: one or several texts, or token arrays. */
export function readEmbeddings(received: Received): ParsedRequest | Failure {
  const read = readFields(received);
  if ('reason' in read) return read;
  const { fields } = read;
  const inputs = toInputs(fields['input']);
  if (inputs.length === 0 || inputs.length > INPUTS_MAX) {
    return { reason: 'invalid', param: 'input', message: `'input' must hold 1 to ${INPUTS_MAX} items.` };
  }
  const inputTokens = countInput(received, fields);
  return {
    model: fields['model'] as string,
    stream: false,
    inputTokens,
    outputLimit: 0,
    fields,
    body: (_choices, facts) => embeddingsBody(fields, inputs, inputTokens, facts),
  };
}

/** One text per requested vector; token arrays are joined into a text. */
function toInputs(input: unknown): string[] {
  if (typeof input === 'string') return [input];
  if (!Array.isArray(input)) return [];
  if (typeof input[0] === 'number') return [input.join(' ')];
  return input.map((item) => (Array.isArray(item) ? item.join(' ') : asText(item)));
}

function embeddingsBody(fields: Fields, inputs: readonly string[], inputTokens: number, facts: ResponseFacts): ResponseBody {
  const model = fields['model'] as string;
  const dimensions = wholeNumber(fields['dimensions']) ?? DIMENSIONS_DEFAULT;
  const inBase64 = fields['encoding_format'] === 'base64';
  const data = inputs.map((text, index) => {
    const vector = toVector(facts.seed, model, text, dimensions);
    return { object: 'embedding', index, embedding: inBase64 ? Buffer.from(vector.buffer).toString('base64') : Array.from(vector) };
  });
  const usage = { prompt_tokens: inputTokens, total_tokens: inputTokens };
  return { contentType: 'application/json', body: JSON.stringify({ object: 'list', data, model, usage }) };
}
