#!/usr/bin/env node
// Other modules are imported after the compile cache is enabled, which halves the startup time.
import { enableCompileCache } from 'node:module';
import { setFlagsFromString } from 'node:v8';

// V8 pretenures what every request allocates, and then keeps each finished request alive, and copies it, until the next
// major collection (docs/decisions/010).
setFlagsFromString('--no-allocation-site-pretenuring');
// Bodies are off-heap: every 64 MB of them would otherwise trigger a full collection of a heap that does not contain them.
setFlagsFromString('--external-memory-accounted-in-global-limit');
enableCompileCache();
const { run } = await import('./program.ts');
await run(process.argv.slice(2));
