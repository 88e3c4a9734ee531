#!/usr/bin/env node
// Nothing but this is imported before the compile cache is on: it halves the time to listening.
import { enableCompileCache, flushCompileCache, getCompileCacheDir } from 'node:module';
import { setFlagsFromString } from 'node:v8';

// V8 takes what every request makes for long-lived, and allocates it in its old generation; there each finished request is kept
// alive, and copied, until the next major collection (docs/decisions/010).
setFlagsFromString('--no-allocation-site-pretenuring');
// Bodies lie outside its heap: every 64 MB of them would cost a whole collection of a heap that holds nothing of them.
setFlagsFromString('--external-memory-accounted-in-global-limit');
enableCompileCache();
const cache = getCompileCacheDir();
if (cache !== undefined && process.env['NODE_COMPILE_CACHE'] === undefined) restartWithCache(cache);
const { run } = await import('./program.ts');
await run(process.argv.slice(2));

/**
 * Only the environment puts the cache before this very file, and before the first file of a worker. Without it, a process that runs from source
 * keeps Node's compiler of TypeScript, of 16 MB, and so does each worker. So the process replaces itself where it can: not where it has a
 * channel to its parent, which would be lost.
 */
function restartWithCache(folder: string): void {
  process.env['NODE_COMPILE_CACHE'] = folder;
  if (!import.meta.url.endsWith('.ts') || process.platform !== 'linux' || process.channel !== undefined) return;
  flushCompileCache();
  try {
    process.execve?.(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], process.env);
  } catch {
    // It goes on as it is.
  }
}
