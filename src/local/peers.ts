/** The packages that engines depend on: optional peer dependencies, because they take hundreds of megabytes. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { unavailable } from './engine.ts';
import type { EngineName } from './engine.ts';

const PEERS: Readonly<Record<EngineName, string | null>> = {
  extract: null,
  transformers: '@huggingface/transformers',
  llama: 'node-llama-cpp',
};

/** The missing package of an engine and how to install it, or null. `directory`: searched in addition to this package's folder. */
export function missingPeer(engine: EngineName, directory: string): string | null {
  const name = PEERS[engine];
  if (name === null || find(name, directory) !== null) return null;
  return `engine ${engine} needs the package ${name}, which is not installed; install it with: npm install ${name}`;
}

/** Loads an engine's package. Throws an EngineRefusal if it is missing. */
export async function importPeer(engine: EngineName, directory: string): Promise<unknown> {
  const missing = missingPeer(engine, directory);
  if (missing !== null) throw unavailable(missing);
  return import(find(PEERS[engine]!, directory)!);
}

/** URL of the package's ESM entry; null if it is not installed. */
function find(name: string, directory: string): string | null {
  for (const from of [import.meta.url, pathToFileURL(join(directory, 'config')).href]) {
    for (const folder of createRequire(from).resolve.paths(name) ?? []) {
      const packageFolder = join(folder, name);
      if (existsSync(join(packageFolder, 'package.json'))) return entryOf(packageFolder);
    }
  }
  return null;
}

/** `require.resolve` returns the entry for `require`, which a package may lack. */
function entryOf(packageFolder: string): string | null {
  const manifest = createRequire(join(packageFolder, 'package.json'))('./package.json') as { exports?: unknown; main?: string };
  const entry = importCondition(manifest.exports) ?? manifest.main ?? null;
  return entry === null ? null : pathToFileURL(join(packageFolder, entry)).href;
}

const CONDITIONS = ['.', 'node', 'import', 'default'];

function importCondition(exports: unknown): string | null {
  if (typeof exports === 'string') return exports;
  if (typeof exports !== 'object' || exports === null) return null;
  const found = Object.entries(exports).find(([condition]) => CONDITIONS.includes(condition));
  return found === undefined ? null : importCondition(found[1]);
}
