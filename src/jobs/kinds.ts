import type { JsonOperation } from '../wire/decode-request.ts';
import type { Dialect } from '../wire/dialect.ts';
import { DIALECTS } from '../wire/dialects.ts';
import type { GatewayRequest } from '../pipeline/request/gateway-request.ts';
import type { ItemError, Job, LeasedItem, OpenJob } from '../store/jobs/job-store.ts';
import type { ItemSink } from './item-sink.ts';

/** What differs between the APIs that create jobs. */
export interface JobKind {
  /**
   * Reads the input and adds the items; ends with a change to `in_progress` or `failed`. Deletes a job whose process ended while it was being
   * received. The runner holds the job until `signal` is aborted.
   */
  prepare(job: OpenJob, runner: number, signal: AbortSignal): Promise<void>;
  /** Every item is done: ends with a change to a final state. The runner holds the job. */
  finish(job: OpenJob): Promise<void>;
  /** The errors of items that were not done when the job expired, or when it was cancelled. */
  readonly expired: ItemError;
  readonly cancelled: ItemError;
  /** Creates the sink of an item's response. Default: it is collected. */
  createSink?(job: Job, item: LeasedItem, closing: AbortSignal): ItemSink;
  /** The parts of an item's request besides its body. Default: none. `hold` is called with the bytes read, and may throw. */
  extras?(job: Job, body: Uint8Array, hold: (bytes: number) => void): Promise<Partial<GatewayRequest>>;
  /** The first upstream call of an item starts. */
  onSent?(job: Job): void;
  /** Its items may be handed over to batches of providers. Default: not. */
  readonly mayBeHandedOver?: boolean;
  /** Its requests may be streamed. Default: such an item fails. */
  readonly streams?: boolean;
  /** Jobs have a single item, without others to compare with: failures other than an outage count against it. */
  readonly isSingle?: boolean;
}

/** The kind of a job's requests. */
export interface RequestKind {
  readonly dialect: Dialect;
  readonly operation: JsonOperation;
}

/** By dialect and path below the provider's base URL; null if such requests are not supported. */
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
