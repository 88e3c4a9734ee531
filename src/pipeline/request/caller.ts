/**
 * Who waits for an answer, as far as the engine has to know: whether they are still there. A plain field instead of an
 * AbortSignal, because making one and listening to it costs each request more than its whole admission.
 */
export interface Caller {
  /** The caller left before its answer was whole. */
  readonly hasLeft: boolean;
  /** Called once when the caller leaves; the engine sets it, and takes it back when the request is over. */
  onLeave: (() => void) | null;
}
