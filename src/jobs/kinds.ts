import type { JsonOperation } from '../wire/decode-request.ts';
import type { Dialect } from '../wire/dialect.ts';
import { DIALECTS } from '../wire/dialects.ts';
import type { Job, OpenJob } from '../store/jobs/job-store.ts';

/** What differs between the APIs by which jobs are created. */
export interface JobKind {
  /** Reads the input and adds the items; ends with a change to `in_progress` or `failed`. The runner holds the job, until `signal` is aborted. */
  prepare(job: OpenJob, runner: number, signal: AbortSignal): Promise<void>;
  /** Every item is done: ends with a change to a final state. The runner holds the job. */
  finish(job: OpenJob): Promise<void>;
  readonly expiredCode: string;
  readonly cancelledCode: string;
}

/** What a job's requests are. */
export interface RequestKind {
  readonly dialect: Dialect;
  readonly operation: JsonOperation;
}

/** By dialect and the path below the provider's base URL; null: they can't be run. */
export function requestKindOf({ dialect, path }: Pick<Job, 'dialect' | 'path'>): RequestKind | null {
  return KINDS.get(`${dialect} ${path}`) ?? null;
}

const chat = DIALECTS['openai-chat'];
const KINDS: ReadonlyMap<string, RequestKind> = new Map([
  ['openai-chat /chat/completions', { dialect: chat, operation: 'chat' }],
  ['openai-chat /completions', { dialect: chat, operation: 'completions' }],
  ['openai-chat /embeddings', { dialect: chat, operation: 'embeddings' }],
  ['openai-responses /responses', { dialect: DIALECTS['openai-responses'], operation: 'chat' }],
  ['anthropic-messages /messages', { dialect: DIALECTS['anthropic-messages'], operation: 'chat' }],
]);
