import type { EngineSpec } from './engine.ts';

/** What an engine's thread is started with. */
export interface ThreadData {
  readonly spec: EngineSpec;
  /** One Int32: the number of the last call that has to stop. Read between two tokens, when no message can be. */
  readonly stopped: SharedArrayBuffer;
}

export type ToThread =
  | { readonly kind: 'load' }
  | {
      readonly kind: 'call';
      /** Counts up from 1. */
      readonly id: number;
      readonly path: string;
      readonly body: Uint8Array;
      /** Milliseconds since the epoch. */
      readonly epochMs: number;
    }
  /** The call of this number is wanted no more. */
  | { readonly kind: 'stop'; readonly id: number }
  | { readonly kind: 'close' };

/** What a thread holds, in bytes. */
export interface ThreadMemory {
  /** Its JavaScript: heap and buffers. */
  readonly heapBytes: number;
  /** By how much the process grew while it loaded: the weights and what computes with them. */
  readonly loadedBytes: number;
}

export type FromThread =
  | { readonly kind: 'loaded'; readonly memory: ThreadMemory }
  | { readonly kind: 'unloadable'; readonly error: ThreadError }
  | { readonly kind: 'head'; readonly id: number; readonly status: number; readonly contentType: string }
  | { readonly kind: 'data'; readonly id: number; readonly bytes: Uint8Array }
  /** The answer broke after it had begun. */
  | { readonly kind: 'broken'; readonly id: number; readonly message: string }
  /** The call is over, however it ended. */
  | { readonly kind: 'end'; readonly id: number; readonly memory: ThreadMemory };

export interface ThreadError {
  readonly status: number;
  readonly code: string;
  /** May be shown to callers. */
  readonly message: string;
  /** What the operator should know beside that; null: nothing. */
  readonly detail: string | null;
}
