/** The files and batches API, as far as the commands use it, over a socket or in process. */
import { messageOf } from '../../core/errors.ts';
import { errorMessageIn } from '../error-message.ts';
import { OperatorError } from '../fail.ts';
import type { Counts } from './progress.ts';

export interface BatchObject {
  readonly id: string;
  readonly status: string;
  readonly endpoint: string;
  readonly created_at: number;
  readonly expires_at: number;
  readonly output_file_id: string | null;
  readonly error_file_id: string | null;
  readonly errors: { readonly data: readonly { readonly line: number | null; readonly message: string }[] } | null;
  readonly breakwater?: {
    readonly handed_over?: number;
    /** Why requests wait: the configuration does not allow them at present. */
    readonly waiting?: readonly { readonly model: string; readonly message: string }[];
    /** So far, over the requests with a known price. */
    readonly cost_usd?: number;
    readonly priced_requests?: number;
  };
  readonly request_counts: { readonly total: number; readonly completed: number; readonly failed: number };
  readonly metadata: Readonly<Record<string, string>> | null;
}

export type Fetch = typeof fetch;

const LISTED_MAX = 1_000;

/** An error response, or none (status 0). */
export class ApiFault extends OperatorError {
  /** The gateway, its store or a proxy before it is unavailable for now. */
  readonly mayPass: boolean;
  readonly status: number;

  constructor(message: string, status: number) {
    super([message]);
    this.status = status;
    this.mayPass = status === 0 || status === 429 || status >= 500;
  }
}

export class BatchApi {
  readonly #fetch: Fetch;
  readonly #base: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(go: Fetch, base: string, key: string | null) {
    this.#fetch = go;
    this.#base = base.replace(/\/+$/, '').replace(/\/v1$/, '');
    this.#headers = key === null ? {} : { authorization: `Bearer ${key}` };
  }

  async models(): Promise<string[]> {
    const { data } = (await this.#json('/models')) as { data: { id: string }[] };
    return data.map(({ id }) => id);
  }

  async upload(file: Blob, name: string): Promise<string> {
    const form = new FormData();
    form.append('purpose', 'batch');
    form.append('file', file, name);
    return ((await this.#json('/files', { method: 'POST', body: form })) as { id: string }).id;
  }

  async deleteFile(id: string): Promise<void> {
    await this.#json(`/files/${encodeURIComponent(id)}`, { method: 'DELETE' });
  }

  /** `key`: a second batch with the same key is a fault with status 409. */
  create(fileId: string, endpoint: string, window: string, metadata: Readonly<Record<string, string>>, key: string): Promise<BatchObject> {
    const body = JSON.stringify({ input_file_id: fileId, endpoint, completion_window: window, metadata });
    const headers = { 'content-type': 'application/json', 'idempotency-key': key };
    return this.#json('/batches', { method: 'POST', body, headers }) as Promise<BatchObject>;
  }

  get(id: string): Promise<BatchObject> {
    return this.#json(`/batches/${encodeURIComponent(id)}`) as Promise<BatchObject>;
  }

  cancel(id: string): Promise<BatchObject> {
    return this.#json(`/batches/${encodeURIComponent(id)}/cancel`, { method: 'POST' }) as Promise<BatchObject>;
  }

  /** Lists batches, newest first. */
  async *list(max: number = LISTED_MAX): AsyncGenerator<BatchObject> {
    let after = '';
    for (let left = max; left > 0;) {
      const page = (await this.#json(`/batches?limit=${Math.min(100, left)}${after}`)) as { data: BatchObject[]; has_more: boolean };
      yield* page.data;
      left -= page.data.length;
      if (!page.has_more) return;
      after = `&after=${encodeURIComponent(page.data.at(-1)!.id)}`;
    }
  }

  async content(id: string): Promise<ReadableStream<Uint8Array>> {
    return (await this.#ask(`/files/${encodeURIComponent(id)}/content`)).body!;
  }

  async #json(path: string, init: RequestInit = {}): Promise<unknown> {
    return (await this.#ask(path, init)).json();
  }

  async #ask(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { ...this.#headers, ...(init.headers as Record<string, string> | undefined) };
    const response = await this.#fetch(`${this.#base}/v1${path}`, { ...init, headers }).catch((error: Error) => {
      throw new ApiFault(`${this.#base} does not respond: ${messageOf(error.cause ?? error)}`, 0);
    });
    if (response.ok) return response;
    const text = await response.text();
    throw new ApiFault(errorMessageIn(text) ?? `${path} responded with status ${response.status}`, response.status);
  }
}

export function countsOf({ status, request_counts: counts, breakwater }: BatchObject): Counts {
  const { handed_over: handedOver, cost_usd: costUsd } = breakwater ?? {};
  const waitingFor = waitingText(breakwater);
  return {
    status,
    ...counts,
    ...(handedOver !== undefined && { handedOver }),
    ...(costUsd !== undefined && { costUsd }),
    ...(waitingFor !== null && { waitingFor }),
  };
}

/** Null: nothing waits for a change of the configuration. */
export function waitingText(breakwater: BatchObject['breakwater']): string | null {
  const [first, ...more] = breakwater?.waiting ?? [];
  if (first === undefined) return null;
  return `waiting: ${first.message}${more.length === 0 ? '' : `, and ${more.length} more`}`;
}

export function hasEnded({ status }: BatchObject): boolean {
  return ['completed', 'failed', 'expired', 'cancelled'].includes(status);
}
