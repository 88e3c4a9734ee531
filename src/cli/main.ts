#!/usr/bin/env node
// Other modules are imported after the compile cache is enabled, which halves the startup time.
import { enableCompileCache, flushCompileCache, getCompileCacheDir } from 'node:module';

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
    // The process continues without the restart.
  }
}
