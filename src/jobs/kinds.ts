import type { JsonOperation } from '../wire/decode-request.ts';
import type { Dialect } from '../wire/dialect.ts';
import { DIALECTS } from '../wire/dialects.ts';
import type { GatewayRequest } from '../pipeline/request/gateway-request.ts';
import type { ItemError, Job, LeasedItem, OpenJob } from '../store/jobs/job-store.ts';
import type { ItemSink } from './item-sink.ts';

/** What differs between the APIs by which jobs are created. */
export interface JobKind {
  /**
   * Reads the input and adds the items; ends with a change to `in_progress` or `failed`. A job that was being received when its process
   * ended is deleted. The runner holds the job, until `signal` is aborted.
   */
  prepare(job: OpenJob, runner: number, signal: AbortSignal): Promise<void>;
  /** Every item is done: ends with a change to a final state. The runner holds the job. */
  finish(job: OpenJob): Promise<void>;
  /** Of an item that was not done when the job's time was over, or when it was cancelled. */
  readonly expired: ItemError;
  readonly cancelled: ItemError;
  /** Where the response to an item goes. Default: it is collected. */
  createSink?(job: Job, item: LeasedItem, closing: AbortSignal): ItemSink;
  /** What the request of an item has beside its body. Default: nothing. `hold` is called with what is read, in bytes, and may throw. */
  extras?(job: Job, body: Uint8Array, hold: (bytes: number) => void): Promise<Partial<GatewayRequest>>;
  /** The first upstream call of an item begins. */
  onSent?(job: Job): void;
  /** Its items may be handed over to batches of providers. Default: not. */
  readonly mayBeHandedOver?: boolean;
  /** Its requests may be streamed. Default: such an item fails. */
  readonly streams?: boolean;
  /** A job has one item, and nothing to compare it with: it is blamed for failures that are no outage. */
  readonly isSingle?: boolean;
}

/** What a job's requests are. */
export interface RequestKind {
  readonly dialect: Dialect;
  readonly operation: JsonOperation;
}

/** By dialect and the path below the provider's base URL; null: they can't be run. */
export function requestKindOf({ dialect, path }: Pick<Job, 'dialect' | 'path'>): RequestKind | null {
  return KINDS.get(`${dialect} ${path.split('?', 1)[0]}`) ?? null;
}

const chat = DIALECTS['openai-chat'];
const KINDS: ReadonlyMap<string, RequestKind> = new Map([
  ['openai-chat /chat/completions', { dialect: chat, operation: 'chat' }],
  ['openai-chat /completions', { dialect: chat, operation: 'completions' }],
  ['openai-chat /embeddings', { dialect: chat, operation: 'embeddings' }],
  ['openai-responses /responses', { dialect: DIALECTS['openai-responses'], operation: 'chat' }],
  ['anthropic-messages /messages', { dialect: DIALECTS['anthropic-messages'], operation: 'chat' }],
]);
