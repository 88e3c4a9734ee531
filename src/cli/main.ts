#!/usr/bin/env node
// Nothing but this is imported before the compile cache is on: it halves the time to listening.
import { enableCompileCache } from 'node:module';
import { setFlagsFromString } from 'node:v8';

// V8 takes what every request makes for long-lived, and allocates it in its old generation; there each finished request is kept
// alive, and copied, until the next major collection (docs/decisions/010).
setFlagsFromString('--no-allocation-site-pretenuring');
// Bodies lie outside its heap: every 64 MB of them would cost a whole collection of a heap that holds nothing of them.
setFlagsFromString('--external-memory-accounted-in-global-limit');
enableCompileCache();
const { run } = await import('./program.ts');
await run(process.argv.slice(2));
