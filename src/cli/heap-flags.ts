/**
 * The flags of V8 for a process that serves requests (docs/decisions/010). Not set at the start of the process: under changed flags V8 rejects
 * the compiled code of Node's own modules, which then take more time and memory to load, in the main thread and in the store's.
 */
import { setFlagsFromString } from 'node:v8';

export function setHeapFlags(): void {
  // V8 pretenures what every request allocates, and then keeps each finished request alive, and copies it, until the next major collection.
  setFlagsFromString('--no-allocation-site-pretenuring');
  // Bodies are off-heap: every 64 MB of them would otherwise trigger a full collection of a heap that does not contain them.
  setFlagsFromString('--external-memory-accounted-in-global-limit');
}
