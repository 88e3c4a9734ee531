/**
 * Endpoints that a gateway forwards as bytes. Each response reports what it received (`storm.bytes`, `storm.sha256`,
 * and the headers `x-storm-bytes`, `x-storm-sha256`), so that a test can assert that nothing was changed.
 */
import { createHash } from 'node:crypto';
import type { ParsedRequest, Endpoint, Failure, ResponseBody, Received } from '../dialect.ts';
import { readMultipart } from './multipart.ts';
import { countInput, readFields } from '../request.ts';

interface Seen {
  bytes: number;
  sha256: string;
  contentType: string;
  /** Multipart only: bytes of each part by name. */
  parts?: Record<string, number>;
}

type Maker = (seen: Seen, fields: Readonly<Record<string, unknown>>, seed: number) => ResponseBody;

/** The endpoints by path without the version. */
export function byteEndpoints(): Map<string, Endpoint> {
  const makers: [string, Maker][] = [
    ['/audio/speech', speech],
    ['/audio/transcriptions', (seen) => json({ text: 'The storm came over the harbour.', storm: seen })],
    ['/audio/translations', (seen) => json({ text: 'The storm came over the harbour.', storm: seen })],
    ['/images/generations', image],
    ['/images/edits', image],
    ['/moderations', moderation],
    ['/rerank', rerank],
  ];
  return new Map(makers.map(([path, make]) => [path, { label: `/v1${path}`, counted: true, read: reader(make) }]));
}

function reader(make: Maker): (received: Received) => ParsedRequest | Failure {
  return (received) => {
    const contentType = received.headers['content-type'] ?? '';
    const multipart = contentType.startsWith('multipart/form-data') ? readMultipart(received.body, contentType) : undefined;
    const read = multipart ?? readFields(received);
    if ('reason' in read) return read;
    const { fields } = read;
    const model = fields['model'];
    if (typeof model !== 'string') return { reason: 'invalid', param: 'model', message: 'you must provide a model parameter' };
    return {
      model,
      stream: false,
      inputTokens: multipart === undefined ? countInput(received, fields) : 0,
      outputLimit: 0,
      fields,
      body(_choices, facts) {
        const seen: Seen = { bytes: received.body.length, sha256: createHash('sha256').update(received.body).digest('hex'), contentType };
        if (multipart !== undefined) seen.parts = multipart.sizes;
        const made = make(seen, fields, facts.seed);
        return { ...made, headers: { 'x-storm-bytes': String(seen.bytes), 'x-storm-sha256': seen.sha256 } };
      },
    };
  };
}

function json(value: unknown): ResponseBody {
  return { contentType: 'application/json', body: JSON.stringify(value) };
}

/** Invalid UTF-8, so that a gateway that decodes it is detected. */
function speech(_seen: Seen, fields: Readonly<Record<string, unknown>>): ResponseBody {
  const length = typeof fields['input'] === 'string' ? 1024 + fields['input'].length * 16 : 1024;
  const body = Buffer.alloc(length);
  for (let at = 0; at < length; at++) body[at] = (at * 31 + (at >> 8)) & 0xff;
  return { contentType: 'audio/mpeg', body };
}

function image(seen: Seen): ResponseBody {
  // The smallest PNG: one transparent pixel.
  const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
  return json({ created: 1_750_000_000, data: [{ b64_json: pixel }], storm: seen });
}

function moderation(seen: Seen, fields: Readonly<Record<string, unknown>>): ResponseBody {
  const count = Array.isArray(fields['input']) ? fields['input'].length : 1;
  const results = Array.from({ length: count }, () => ({
    flagged: false,
    categories: { violence: false },
    category_scores: { violence: 0.01 },
  }));
  return json({ id: 'modr-storm', model: fields['model'], results, storm: seen });
}

function rerank(seen: Seen, fields: Readonly<Record<string, unknown>>): ResponseBody {
  const documents = Array.isArray(fields['documents']) ? fields['documents'] : [];
  const results = documents.map((_, index) => ({ index, relevance_score: 1 / (index + 1) }));
  return json({ id: 'rerank-storm', model: fields['model'], results, storm: seen });
}
