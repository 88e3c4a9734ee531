/** A binary min-heap of timers with removal from the middle; all operations are O(log n). */
import type { Instant } from '../core/clock.ts';

export interface HeapEntry {
  readonly dueAt: Instant;
  /** Scheduling order; breaks ties between equal instants. */
  readonly sequence: number;
  readonly task: () => void;
  /** Index of the entry in the heap; -1 if it is not in one. Maintained by the heap. */
  place: number;
}

export interface TimerHeap {
  readonly size: number;
  peek(): HeapEntry | undefined;
  push(entry: HeapEntry): void;
  /** Removes the entry, if it is in the heap. */
  remove(entry: HeapEntry): void;
}

export function createTimerHeap(): TimerHeap {
  const entries: HeapEntry[] = [];

  function put(entry: HeapEntry, place: number): void {
    entries[place] = entry;
    entry.place = place;
  }

  function rise(entry: HeapEntry): void {
    let place = entry.place;
    while (place > 0) {
      const parent = entries[(place - 1) >>> 1] as HeapEntry;
      if (!runsBefore(entry, parent)) break;
      const freed = parent.place;
      put(parent, place);
      place = freed;
    }
    put(entry, place);
  }

  function sink(entry: HeapEntry): void {
    let place = entry.place;
    for (;;) {
      const left = entries[2 * place + 1];
      if (left === undefined) break;
      const right = entries[2 * place + 2];
      const child = right !== undefined && runsBefore(right, left) ? right : left;
      if (!runsBefore(child, entry)) break;
      const freed = child.place;
      put(child, place);
      place = freed;
    }
    put(entry, place);
  }

  return {
    get size() {
      return entries.length;
    },
    peek: () => entries[0],
    push(entry) {
      put(entry, entries.length);
      rise(entry);
    },
    remove(entry) {
      const place = entry.place;
      if (place < 0) return;
      entry.place = -1;
      const last = entries.pop();
      if (last === undefined || last === entry) return;
      put(last, place);
      rise(last);
      sink(last);
    },
  };
}

function runsBefore(left: HeapEntry, right: HeapEntry): boolean {
  if (left.dueAt !== right.dueAt) return left.dueAt < right.dueAt;
  return left.sequence < right.sequence;
}
