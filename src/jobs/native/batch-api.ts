/** What the batch APIs of providers have in common. */
import type { EncodedRequest } from '../../pipeline/retry/encode-request.ts';
import type { NativeRecord } from './native-host.ts';
import type { ProviderReply } from './provider-client.ts';

/** A batch as its provider describes it. */
export interface RemoteBatch {
  /** `failed`: its input was refused, and nothing was processed. */
  readonly state: 'running' | 'ended' | 'failed';
  /** Paths of the files that hold its results. Empty for an ended batch: they are not there yet, or there are none. */
  readonly results: readonly string[];
  /** Why it failed. */
  readonly message: string;
  /** Results that the files should hold; null: unknown. */
  readonly expected: number | null;
}

/** What a provider says of one request. */
export interface RemoteResult {
  readonly customId: string;
  /** `done`: a response with status 200. `failed`: an error. `skipped`: it was not processed. */
  readonly kind: 'done' | 'failed' | 'skipped';
  /** The response; empty unless done. */
  readonly body: Uint8Array;
  readonly requestId: string | null;
  readonly message: string;
}

/** A refused or lost call. */
export class ProviderRefusal extends Error {
  readonly reply: ProviderReply;

  constructor(what: string, reply: ProviderReply) {
    super(`${what}: ${reply.message}`);
    this.reply = reply;
  }

  /** It may pass: the limit, an outage, a connection. */
  get mayPass(): boolean {
    const { status } = this.reply;
    return status === 0 || status === 408 || status === 429 || status >= 500;
  }

  /** The call may have had its effect. */
  get isAmbiguous(): boolean {
    const { status } = this.reply;
    return status === 0 || status >= 500;
  }
}

export interface BatchApi {
  /** One request as a part of the input. */
  encode(customId: string, request: EncodedRequest): Uint8Array;
  /** Uploads the input where that is a step of its own. The id of the file; null: there is none. Throws `ProviderRefusal`. */
  upload(record: NativeRecord, parts: readonly Uint8Array[]): Promise<string | null>;
  /** The provider's id of the new batch. Throws `ProviderRefusal`. */
  create(
    record: NativeRecord,
    request: { readonly path: string; readonly headers: readonly string[]; readonly parts: readonly Uint8Array[] },
  ): Promise<string>;
  /** A batch that may have been created for the record: its id; null: there is none; `unknown`: that can't be said. */
  find(record: NativeRecord): Promise<string | null | 'unknown'>;
  /** Null: there is no such batch. Throws `ProviderRefusal`. */
  get(remote: string): Promise<RemoteBatch | null>;
  cancel(remote: string): Promise<void>;
  /** Throws where the file breaks off. */
  results(path: string): AsyncGenerator<RemoteResult>;
  /** Deletes the files of a batch that is over. */
  cleanUp(record: NativeRecord, results: readonly string[]): Promise<void>;
}
