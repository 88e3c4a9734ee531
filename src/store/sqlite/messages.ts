/** What the main thread and the database's worker say to each other. */
import type { AnswerBounds, AnswerRow, Batch, ReadResult } from '../backend.ts';
import type { StoreFault } from '../store.ts';

export type SqliteRequest = { readonly id: number } & (
  | { readonly kind: 'open'; readonly path: string; readonly writer: number | null; readonly nowMs: number }
  | { readonly kind: 'apply'; readonly batch: Batch; readonly nowMs: number }
  | { readonly kind: 'read'; readonly collection: string; readonly key: string | undefined; readonly nowMs: number }
  | { readonly kind: 'putAnswers'; readonly rows: readonly AnswerRow[]; readonly bounds: AnswerBounds; readonly nowMs: number }
  | { readonly kind: 'getAnswer'; readonly key: string; readonly nowMs: number }
  | { readonly kind: 'answerKeys'; readonly nowMs: number }
  | { readonly kind: 'check' }
  | { readonly kind: 'close' }
);

/** What each kind of request is answered with. */
export interface SqliteResults {
  /** This process's number in the database; kept over connections, so that a batch sent twice is known. */
  readonly open: {
    readonly writer: number;
    /** Another process uses the file. */
    readonly isShared: boolean;
  };
  readonly apply: null;
  readonly read: ReadResult;
  readonly putAnswers: null;
  readonly getAnswer: Uint8Array | null;
  readonly answerKeys: readonly string[];
  readonly check: null;
  readonly close: null;
}

export type SqliteReply =
  | { readonly id: number; readonly ok: true; readonly result: SqliteResults[keyof SqliteResults] }
  | { readonly id: number; readonly ok: false; readonly fault: StoreFault; readonly message: string };
