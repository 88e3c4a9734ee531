/** The interface to the batch APIs of providers. */
import { isRecord } from '../../core/json.ts';
import type { EncodedRequest } from '../../pipeline/retry/encode-request.ts';
import type { NativeRecord } from './native-host.ts';
import type { KnownRemotes } from './native-shared.ts';
import type { ProviderReply } from './provider-client.ts';

/** A batch as its provider describes it. */
export interface RemoteBatch {
  /** `failed`: its input was refused, and nothing was processed. */
  readonly state: 'running' | 'ended' | 'failed';
  /** Paths of the files that hold its results. Empty for an ended batch: they are not there yet, or there are none. */
  readonly results: readonly string[];
  /** Why it failed. */
  readonly message: string;
  /** The number of results in the files; null: unknown. */
  readonly expected: number | null;
}

/** A provider's result for one request. */
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

  /** A temporary refusal: a limit, an outage, a connection. */
  get mayPass(): boolean {
    const { status } = this.reply;
    return status === 0 || status === 408 || status === 429 || status >= 500;
  }

  /** The call may have taken effect: an error response of the provider itself says that it has not. */
  get isAmbiguous(): boolean {
    const { status, json } = this.reply;
    return status === 0 || status === 200 || status === 504 || (status >= 500 && !isRecord(json?.['error']));
  }
}

export interface FoundBatch {
  /** The provider's id of the batch; null if there is none. */
  readonly remote: string | null;
  /** It only resembles the record, and may belong to something else. */
  readonly isGuess: boolean;
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
  /** Whether `find` returns no batch that belongs to something else. */
  readonly findsExactly: boolean;
  /** Searches for a batch created for the record, and for none of the known ones. Null if that is unknown. */
  find(record: NativeRecord, known: KnownRemotes): Promise<FoundBatch | null>;
  /** Null if there is no such batch. Throws `ProviderRefusal`. */
  get(remote: string): Promise<RemoteBatch | null>;
  /** Whether the cancellation was accepted. */
  cancel(remote: string): Promise<boolean>;
  /** Throws if the file is incomplete. */
  results(path: string): AsyncGenerator<RemoteResult>;
  /** Deletes the files of a batch that has ended or was not created. */
  cleanUp(record: NativeRecord, results: readonly string[]): Promise<void>;
}
