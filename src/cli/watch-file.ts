import { readFileSync, watch } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import type { Clock, Timer } from '../core/clock.ts';

/** Editors write in several steps. */
const settleMs = 200;

/**
 * Calls `onChange` after the file's content has changed. Watches the folder, because editors replace files and mounted
 * config maps swap a symlink beside them. Returns a function that stops watching. Folders that cannot be watched are
 * ignored.
 */
export function watchFile(path: string, clock: Clock, onChange: () => void): () => void {
  const full = resolve(path);
  const name = basename(full);
  let content = read(full);
  let timer: Timer | null = null;

  function look(): void {
    timer = null;
    const next = read(full);
    if (next === null || next === content) return;
    content = next;
    onChange();
  }

  try {
    const watcher = watch(dirname(full), { persistent: false }, (_, changed) => {
      if (changed !== null && changed !== name && !changed.startsWith('..')) return;
      timer?.cancel();
      timer = clock.schedule(settleMs, look);
    });
    watcher.on('error', () => watcher.close());
    return () => {
      timer?.cancel();
      watcher.close();
    };
  } catch {
    return () => {};
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
