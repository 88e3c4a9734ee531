import { lstatSync, readFileSync, watch, type FSWatcher } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import type { Clock, Instant, Timer } from '../core/clock.ts';

/** Editors write in several steps. */
const settleMs = 200;

/**
 * Calls `onChange` after the file's content has changed. Returns a function that stops watching. What can't be watched is ignored.
 *
 * A plain file is watched itself, not its folder: logs and databases beside it would cause an event per write. The watch ends with the file,
 * so after each change, which may be a replacement, the path is watched anew. The folder is watched if the path is a symlink, as in a mounted
 * ConfigMap, where another symlink (`..data`) is replaced, or if there is no file.
 */
export function watchFile(path: string, clock: Clock, onChange: () => void): () => void {
  const full = resolve(path);
  const name = basename(full);
  let content = read(full);
  let watcher: FSWatcher | null = null;
  let timer: Timer | null = null;
  let changedAt: Instant = 0;

  /** Called for each event. */
  const changed = (): void => {
    changedAt = clock.now();
    timer ??= clock.schedule(settleMs, settle);
  };

  function settle(): void {
    const leftMs = changedAt + settleMs - clock.now();
    timer = leftMs > 0 ? clock.schedule(leftMs, settle) : null;
    if (timer !== null) return;
    startWatching();
    const next = read(full);
    if (next === null || next === content) return;
    content = next;
    onChange();
  }

  function startWatching(): void {
    watcher?.close();
    watcher = (isPlain(full) ? tryWatch(full, changed) : null) ?? tryWatch(dirname(full), changedInFolder);
  }

  function changedInFolder(_: string, file: string | null): void {
    if (file === null || file === name || file.startsWith('..')) changed();
  }

  startWatching();
  return () => {
    timer?.cancel();
    watcher?.close();
  };
}

/** Null: it can't be watched. */
function tryWatch(path: string, onEvent: (type: string, file: string | null) => void): FSWatcher | null {
  try {
    const watcher = watch(path, { persistent: false }, onEvent);
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return null;
  }
}

function isPlain(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
