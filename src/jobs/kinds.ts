import type { JsonOperation } from '../wire/openai-chat/decode-request.ts';
import type { Job, OpenJob } from '../store/jobs/job-store.ts';

/** What differs between the APIs by which jobs are created. */
export interface JobKind {
  /** Reads the input and adds the items; ends with a change to `in_progress` or `failed`. The runner holds the job. */
  prepare(job: OpenJob, runner: number): Promise<void>;
  /** Every item is done: ends with a change to a final state. The runner holds the job. */
  finish(job: OpenJob): Promise<void>;
  /** The first item starts, or the job is being cancelled: nothing to do for most. */
  readonly expiredCode: string;
  readonly cancelledCode: string;
}

/** What a job's requests are, by the path below the provider's base URL; null: they can't be run. */
export function operationOf({ dialect, path }: Pick<Job, 'dialect' | 'path'>): JsonOperation | null {
  return dialect === 'openai-chat' ? (OPERATIONS.get(path) ?? null) : null;
}

const OPERATIONS: ReadonlyMap<string, JsonOperation> = new Map([
  ['/chat/completions', 'chat'],
  ['/completions', 'completions'],
  ['/embeddings', 'embeddings'],
]);
