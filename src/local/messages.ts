import type { EngineSpec } from './engine.ts';

/** The worker data of an engine's thread. */
export interface ThreadData {
  readonly spec: EngineSpec;
  /** One Int32: the number of the last call to stop. Read between two tokens, when no message can be received. */
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
  /** The caller of this call has disconnected. */
  | { readonly kind: 'stop'; readonly id: number }
  | { readonly kind: 'close' };

/** The memory of a thread, in bytes. */
export interface ThreadMemory {
  /** JavaScript heap and buffers. */
  readonly heapBytes: number;
  /** Growth of the process during the load: the weights and the native library. */
  readonly loadedBytes: number;
}

export type FromThread =
  | { readonly kind: 'loaded'; readonly memory: ThreadMemory }
  | { readonly kind: 'unloadable'; readonly error: ThreadError }
  | { readonly kind: 'head'; readonly id: number; readonly status: number; readonly contentType: string }
  | { readonly kind: 'data'; readonly id: number; readonly bytes: Uint8Array }
  /** The response failed after it had started. */
  | { readonly kind: 'broken'; readonly id: number; readonly message: string }
  /** The call has ended, with or without success. */
  | { readonly kind: 'end'; readonly id: number; readonly memory: ThreadMemory };

export interface ThreadError {
  readonly status: number;
  readonly code: string;
  /** Safe to show to callers. */
  readonly message: string;
  /** Details for the operator, or null. */
  readonly detail: string | null;
}
