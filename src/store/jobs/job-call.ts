/** A serializable call on a job store, as it is posted to the database's thread, and its outcome. */
import type { StoreFault } from '../store-fault.ts';
import type { JobStore } from './job-store.ts';

type Methods = Omit<JobStore, 'close'>;
export type JobMethod = keyof Methods;
export type JobResult<M extends JobMethod> = Awaited<ReturnType<Methods[M]>>;
export type JobArguments<M extends JobMethod> = Parameters<Methods[M]>;

/** A method name and its arguments. */
export interface JobCall<M extends JobMethod = JobMethod> {
  readonly method: M;
  readonly args: JobArguments<M>;
}

export type JobOutcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly fault: StoreFault; readonly message: string };
