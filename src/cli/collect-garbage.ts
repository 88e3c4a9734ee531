/** The collector of V8, which Node reaches by a flag only. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { trimMalloc } from './trim-malloc.ts';

type Collect = (options: { readonly type: 'major'; readonly flavor: 'last-resort' }) => void;

let collect: Collect | null = null;

/** Collects all garbage and returns unused memory to the system. */
export function collectGarbage(): void {
  if (collect === null) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as Collect;
    setFlagsFromString('--no-expose-gc');
  }
  // After such a collection V8 would let the heap grow by a tenth only until the next one: the next load would collect again and again.
  setFlagsFromString('--heap-growing-percent=200');
  collect({ type: 'major', flavor: 'last-resort' });
  setFlagsFromString('--heap-growing-percent=0');
  trimMalloc();
}

/** Memory of the process, in bytes; 0: it can't be read, as reading it needs a file descriptor. */
export function residentBytes(): number {
  try {
    return process.memoryUsage.rss();
  } catch {
    return 0;
  }
}
