/** Anthropic's batch API: one call creates a batch with its requests, one reads all results. */
import { isRecord } from '../../core/json.ts';
import type { EncodedRequest } from '../../pipeline/retry/encode-request.ts';
import { readErrorBody } from '../../wire/error-shape.ts';
import { ProviderRefusal, type BatchApi, type FoundBatch, type RemoteBatch, type RemoteResult } from './batch-api.ts';
import type { NativeRecord } from './native-host.ts';
import type { KnownRemotes } from './native-shared.ts';
import type { ProviderClient } from './provider-client.ts';
import { ResultMembers } from './result-members.ts';

const NOTHING = new Uint8Array(0);
const LISTED = 100;
/** How far the provider's clock may be behind, in milliseconds. */
const CLOCKS_MS = 60_000;
const JSON_TYPE = 'application/json';

export class AnthropicApi implements BatchApi {
  readonly findsExactly = false;
  readonly #client: ProviderClient;

  constructor(client: ProviderClient) {
    this.#client = client;
  }

  encode(customId: string, { body }: EncodedRequest): Uint8Array {
    return Buffer.concat([Buffer.from(`{"custom_id":${JSON.stringify(customId)},"params":`), body, Buffer.from('}')]);
  }

  upload(): Promise<null> {
    return Promise.resolve(null);
  }

  async create(
    _record: NativeRecord,
    { headers, parts }: { readonly headers: readonly string[]; readonly parts: readonly Uint8Array[] },
  ): Promise<string> {
    const comma = Buffer.from(',');
    const list = parts.flatMap((part, i) => (i === 0 ? [part] : [comma, part]));
    const body = [Buffer.from('{"requests":['), ...list, Buffer.from(']}')];
    const reply = await this.#client.call({
      method: 'POST',
      path: '/messages/batches',
      body,
      headers: ['content-type', JSON_TYPE, ...dialectHeaders(headers)],
    });
    const remote = reply.json?.['id'];
    if (reply.status !== 200 || typeof remote !== 'string') throw new ProviderRefusal('the creation of the batch failed', reply);
    return remote;
  }

  /** Its batches carry no metadata: an unknown one of the same size that was created since then may be it. Its results show whether it is. */
  async find({ items, createdAtMs }: NativeRecord, known: KnownRemotes): Promise<FoundBatch | null> {
    const { status, json } = await this.#client.call({ method: 'GET', path: `/messages/batches?limit=${LISTED}` });
    if (status !== 200 || !Array.isArray(json?.['data'])) return null;
    const like = (json['data'] as unknown[]).filter((batch) => {
      if (!isRecord(batch) || !isRecord(batch['request_counts']) || known.has(String(batch['id']))) return false;
      const total = Object.values(batch['request_counts']).reduce((sum: number, count) => sum + Number(count), 0);
      return total === items && Date.parse(String(batch['created_at'])) >= createdAtMs - CLOCKS_MS;
    });
    if (like.length === 0) return { remote: null, isGuess: true };
    return like.length === 1 ? { remote: String((like[0] as { id?: unknown }).id), isGuess: true } : null;
  }

  async get(remote: string): Promise<RemoteBatch | null> {
    const reply = await this.#client.call({ method: 'GET', path: `/messages/batches/${remote}` });
    if (reply.status === 404) return null;
    if (reply.status !== 200 || reply.json === null) throw new ProviderRefusal('the state of the batch is unknown', reply);
    const isEnded = reply.json['processing_status'] === 'ended';
    const hasResults = isEnded && reply.json['results_url'] !== null;
    const counts = reply.json['request_counts'];
    const expected = isRecord(counts) ? Object.values(counts).reduce((sum: number, count) => sum + Number(count), 0) : null;
    return {
      state: isEnded ? 'ended' : 'running',
      results: hasResults ? [`/messages/batches/${remote}/results`] : [],
      message: '',
      expected: isEnded ? expected : null,
    };
  }

  async cancel(remote: string): Promise<boolean> {
    const { status } = await this.#client.call({ method: 'POST', path: `/messages/batches/${remote}/cancel` });
    return status === 200;
  }

  async *results(path: string): AsyncGenerator<RemoteResult> {
    for await (const line of this.#client.lines({ method: 'GET', path })) {
      const members = new ResultMembers(line);
      const customId = members.text('custom_id');
      const result = members.object('result');
      if (customId === null || result === null) continue;
      const type = result.text('type');
      const body = result.bytes('message');
      if (type === 'succeeded' && body !== null) yield { customId, kind: 'done', body, requestId: null, message: '' };
      else if (type === 'canceled' || type === 'expired')
        yield { customId, kind: 'skipped', body: NOTHING, requestId: null, message: type };
      else yield { customId, kind: 'failed', body: NOTHING, requestId: null, message: errorOf(result) };
    }
  }

  cleanUp(): Promise<void> {
    return Promise.resolve();
  }
}

/** The headers of the first request that determine how requests are parsed. */
function dialectHeaders(headers: readonly string[]): readonly string[] {
  return headers.filter((_, i) => headers[i - (i % 2)]!.startsWith('anthropic-'));
}

function errorOf(result: ResultMembers): string {
  const error = result.bytes('error');
  return `errored in the batch of the provider: ${(error === null ? null : readErrorBody(error).message) ?? 'no message'}`;
}
