/** The messages between the main thread and the database's worker. */
import type { CachedResponseBounds, CachedResponseRow, Batch, ReadResult, Replacement, Selection } from '../backend.ts';
import type { JobCall, JobOutcome } from '../jobs/job-call.ts';
import type { StoreFault } from '../store-fault.ts';

export type SqliteRequest = { readonly id: number } & (
  | {
      readonly kind: 'open';
      readonly path: string;
      readonly writer: number | null;
      readonly nowMs: number;
      /** Takes the lock that marks the file as used by this process. */
      readonly locks: boolean;
    }
  | { readonly kind: 'apply'; readonly batch: Batch; readonly nowMs: number }
  | {
      readonly kind: 'read';
      readonly collection: string;
      readonly selection: Selection;
      /** The first key of the page, if it is stored. */
      readonly from: string;
      readonly nowMs: number;
    }
  | { readonly kind: 'replace'; readonly replacement: Replacement }
  | {
      readonly kind: 'putResponses';
      readonly rows: readonly CachedResponseRow[];
      readonly bounds: CachedResponseBounds;
      readonly nowMs: number;
    }
  | { readonly kind: 'getResponse'; readonly key: string; readonly nowMs: number }
  | { readonly kind: 'responseKeys'; readonly nowMs: number }
  | { readonly kind: 'jobs'; readonly calls: readonly JobCall[] }
  | { readonly kind: 'hasJobs' }
  | { readonly kind: 'check' }
  | { readonly kind: 'close' }
);

/** `next`: where the next page begins; null: it is the last one. */
export type PageResult = ReadResult & { readonly next: string | null };

/** The result of each kind of request. */
export interface SqliteResults {
  /** This process's writer id in the database; the same for all its connections, so that a repeated batch is recognized. */
  readonly open: {
    readonly writer: number;
    /** Another process uses the file. */
    readonly isShared: boolean;
  };
  readonly apply: null;
  readonly read: PageResult;
  readonly replace: boolean;
  readonly putResponses: null;
  readonly getResponse: Uint8Array | null;
  readonly responseKeys: readonly string[];
  readonly jobs: readonly JobOutcome[];
  readonly hasJobs: boolean;
  readonly check: null;
  readonly close: null;
}

export type SqliteReply =
  | { readonly id: number; readonly ok: true; readonly result: SqliteResults[keyof SqliteResults] }
  | { readonly id: number; readonly ok: false; readonly fault: StoreFault; readonly message: string };
