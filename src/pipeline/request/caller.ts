/**
 * The connection of the client that sent a request. A plain field instead of an AbortSignal: creating one and listening to it costs more
 * than the request's whole admission.
 */
export interface Caller {
  /** The caller disconnected before its response was complete. */
  readonly hasLeft: boolean;
  /** Called once when the caller disconnects. The engine sets it, and clears it when the request is over. */
  onLeave: (() => void) | null;
}
