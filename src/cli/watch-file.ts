import { lstatSync, readFileSync, readlinkSync, watch, type FSWatcher, type Stats } from 'node:fs';
import { basename, dirname, join, parse, resolve, sep } from 'node:path';
import type { Clock, Instant, Timer } from '../core/clock.ts';

/** Editors write in several steps. */
const settleMs = 200;

/** As many as Linux follows. */
const LINKS_MAX = 40;

/**
 * Calls `onChange` after the file's content has changed. Returns a function that stops watching. What can't be watched is ignored.
 *
 * A plain file is watched itself, not its folder: logs and databases beside it would cause an event per write. The watch ends with the file,
 * so after each change, which may be a replacement, the path is watched anew. If there is no file, its folder is watched. So is the folder of
 * each symlink on the way: a mounted ConfigMap and a release are replaced by replacing a symlink (`..data`, `current`).
 */
export function watchFile(path: string, clock: Clock, onChange: () => void): () => void {
  const full = resolve(path);
  let content = read(full);
  let watchers: FSWatcher[] = [];
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
    for (const watcher of watchers) watcher.close();
    const { links, end } = followLinks(full);
    const file = statOf(end)?.isFile() === true ? tryWatch(end, changed) : null;
    const names = byFolder(file === null ? [...links, end] : links);
    const folders = [...names].map(([folder, inside]) =>
      tryWatch(folder, (_, name) => void ((name === null || inside.has(name)) && changed())),
    );
    watchers = [file, ...folders].filter((watcher) => watcher !== null);
  }

  startWatching();
  return () => {
    timer?.cancel();
    for (const watcher of watchers) watcher.close();
  };
}

/** The symlinks on the way, and where the path ends: at the file, or at the first name that does not exist. */
function followLinks(path: string): { readonly links: readonly string[]; readonly end: string } {
  const links: string[] = [];
  const { root } = parse(path);
  let at = root;
  const names = path.slice(root.length).split(sep);
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const next = join(at, name);
    const stat = statOf(next);
    if (stat === null) return { links, end: next };
    if (!stat.isSymbolicLink()) at = next;
    else if (links.push(next) > LINKS_MAX) return { links, end: next };
    else {
      const target = readlinkSync(next);
      const start = parse(target).root;
      if (start !== '') at = start;
      names.unshift(...target.slice(start.length).split(sep));
    }
  }
  // Links in the root folder belong to the system, and it sees many events.
  return { links: links.filter((link) => dirname(link) !== root), end: at };
}

function byFolder(paths: readonly string[]): Map<string, Set<string>> {
  const names = new Map<string, Set<string>>();
  for (const path of paths) names.set(dirname(path), (names.get(dirname(path)) ?? new Set()).add(basename(path)));
  return names;
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

/** Of the path itself, even if it is a symlink. Null: there is none. */
function statOf(path: string): Stats | null {
  try {
    return lstatSync(path);
  } catch {
    return null;
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
