/** OpenAI's batch API: a file of requests, a batch, and two files of results. */
import { isRecord } from '../../core/json.ts';
import type { EncodedRequest } from '../../pipeline/retry/encode-request.ts';
import { readErrorBody } from '../../wire/error-shape.ts';
import { onOneLine } from '../one-line.ts';
import { ProviderRefusal, type BatchApi, type FoundBatch, type RemoteBatch, type RemoteResult } from './batch-api.ts';
import type { NativeRecord } from './native-host.ts';
import type { ProviderClient } from './provider-client.ts';
import { ResultMembers } from './result-members.ts';

const NOTHING = new Uint8Array(0);
/** Batches listed to find one whose reply was lost; the newest come first. */
const LISTED = 100;
const FILES_LISTED = 1_000;

export class OpenaiApi implements BatchApi {
  readonly findsExactly = true;
  readonly #client: ProviderClient;
  /** The path of the base URL: the rest of a call's path is its endpoint. */
  readonly #basePath: string;

  constructor(client: ProviderClient, basePath: string) {
    this.#client = client;
    this.#basePath = basePath;
  }

  encode(customId: string, { path, body }: EncodedRequest): Uint8Array {
    const head = JSON.stringify({ custom_id: customId, method: 'POST', url: this.#endpoint(path) }).slice(0, -1);
    return Buffer.concat([Buffer.from(`${head},"body":`), onOneLine(body), Buffer.from('}\n')]);
  }

  async upload(record: NativeRecord, parts: readonly Uint8Array[]): Promise<string> {
    const boundary = `breakwater-${record.id}`;
    const field = (name: string, rest = ''): string => `--${boundary}\r\ncontent-disposition: form-data; name="${name}"${rest}\r\n`;
    const start = `${field('purpose')}\r\nbatch\r\n${field('file', `; filename="${fileNameOf(record)}"`)}content-type: application/jsonl\r\n\r\n`;
    const body = [Buffer.from(start), ...parts, Buffer.from(`\r\n--${boundary}--\r\n`)];
    const headers = ['content-type', `multipart/form-data; boundary=${boundary}`];
    const reply = await this.#client.call({ method: 'POST', path: '/files', body, headers });
    const file = reply.json?.['id'];
    if (reply.status !== 200 || typeof file !== 'string') throw new ProviderRefusal('the upload of the requests failed', reply);
    return file;
  }

  async create(record: NativeRecord, { path }: { readonly path: string }): Promise<string> {
    const asked = {
      input_file_id: record.file,
      endpoint: this.#endpoint(path),
      completion_window: '24h',
      metadata: { breakwater: record.id },
    };
    const headers = ['content-type', 'application/json'];
    const reply = await this.#client.call({ method: 'POST', path: '/batches', body: Buffer.from(JSON.stringify(asked)), headers });
    const remote = reply.json?.['id'];
    if (reply.status !== 200 || typeof remote !== 'string') throw new ProviderRefusal('the creation of the batch failed', reply);
    return remote;
  }

  async find({ id }: NativeRecord): Promise<FoundBatch | null> {
    const { status, json } = await this.#client.call({ method: 'GET', path: `/batches?limit=${LISTED}` });
    if (status !== 200 || !Array.isArray(json?.['data'])) return null;
    for (const batch of json['data'] as unknown[]) {
      if (!isRecord(batch) || !isRecord(batch['metadata']) || batch['metadata']['breakwater'] !== id) continue;
      return { remote: String(batch['id']), isGuess: false };
    }
    return { remote: null, isGuess: false };
  }

  async get(remote: string): Promise<RemoteBatch | null> {
    const reply = await this.#client.call({ method: 'GET', path: `/batches/${remote}` });
    if (reply.status === 404) return null;
    if (reply.status !== 200 || reply.json === null) throw new ProviderRefusal('the state of the batch is unknown', reply);
    const { status, output_file_id: output, error_file_id: error, errors, request_counts: counts } = reply.json;
    const results = [output, error].flatMap((file) => (typeof file === 'string' ? [`/files/${file}/content`] : []));
    const state = status === 'failed' ? 'failed' : ENDED.has(String(status)) ? 'ended' : 'running';
    return { state, results, message: firstError(errors), expected: status === 'completed' ? totalOf(counts) : null };
  }

  async cancel(remote: string): Promise<boolean> {
    const { status } = await this.#client.call({ method: 'POST', path: `/batches/${remote}/cancel` });
    return status === 200;
  }

  async *results(path: string): AsyncGenerator<RemoteResult> {
    for await (const line of this.#client.lines({ method: 'GET', path })) {
      const members = new ResultMembers(line);
      const customId = members.text('custom_id');
      if (customId === null) continue; // a truncated line
      const response = members.object('response');
      const body = response?.bytes('body') ?? null;
      const status = Number(response?.text('status_code') ?? 0);
      const requestId = response?.text('request_id') ?? null;
      if (status === 200 && body !== null) yield { customId, kind: 'done', body, requestId, message: '' };
      else yield { customId, ...failureOf(members, status, body), body: NOTHING, requestId };
    }
  }

  async cleanUp(record: NativeRecord, results: readonly string[]): Promise<void> {
    const uploaded = new Set([...(record.file === null ? [] : [record.file]), ...(await this.#uploads(record))]);
    const paths = [...uploaded].map((file) => `/files/${file}`);
    for (const path of [...paths, ...results.map((file) => file.replace(/\/content$/, ''))])
      await this.#client.call({ method: 'DELETE', path });
  }

  /** The files of the record's uploads, also of those whose reply was lost. */
  async #uploads(record: NativeRecord): Promise<string[]> {
    const { json } = await this.#client.call({ method: 'GET', path: `/files?purpose=batch&limit=${FILES_LISTED}` });
    const files = Array.isArray(json?.['data']) ? (json['data'] as unknown[]).filter(isRecord) : [];
    return files.filter(({ filename }) => filename === fileNameOf(record)).map(({ id }) => String(id));
  }

  #endpoint(path: string): string {
    return `/v1${path.slice(this.#basePath.length).split('?', 1)[0]}`;
  }
}

const ENDED: ReadonlySet<string> = new Set(['completed', 'expired', 'cancelled']);

function failureOf(line: ResultMembers, status: number, body: Uint8Array | null): Pick<RemoteResult, 'kind' | 'message'> {
  const error = line.object('error');
  const code = error?.text('code') ?? null;
  if (code === 'batch_expired' || code === 'batch_cancelled') return { kind: 'skipped', message: code };
  const shown = (body === null ? null : readErrorBody(body).message) ?? error?.text('message') ?? 'no message';
  return { kind: 'failed', message: `status ${status} in the batch of the provider: ${shown}` };
}

function fileNameOf({ id }: NativeRecord): string {
  return `${id}.jsonl`;
}

function firstError(errors: unknown): string {
  const [first] = isRecord(errors) && Array.isArray(errors['data']) ? (errors['data'] as unknown[]) : [];
  return isRecord(first) && typeof first['message'] === 'string' ? first['message'].slice(0, 300) : 'no reason was given';
}

function totalOf(counts: unknown): number | null {
  return isRecord(counts) && typeof counts['total'] === 'number' ? counts['total'] : null;
}
