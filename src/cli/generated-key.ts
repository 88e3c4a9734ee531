/**
 * The client key of a container that has none.
 *
 * In a container the gateway binds all interfaces, which requires a key. Without one it makes a key, prints it once and stores it in the
 * file that `BREAKWATER_GENERATE_KEY` names, so that it stays the same at the next start.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Config } from '../gateway/config/index.ts';

/** Puts the stored key, or a new one, into `BREAKWATER_GENERATED_KEY`, where the config takes it from if no other key is configured. */
export function prepareGeneratedKey(env: NodeJS.ProcessEnv): void {
  const file = env['BREAKWATER_GENERATE_KEY'] ?? '';
  if (file === '' || (env['BREAKWATER_KEY'] ?? '') !== '') return;
  env['BREAKWATER_GENERATED_KEY'] = storedKey(file) ?? `bw-${randomBytes(24).toString('base64url')}`;
}

/** Stores a new key that the config uses; returns the text to print, null if there is none. */
export function announceGeneratedKey({ clients }: Config, env: NodeJS.ProcessEnv): string | null {
  const [file = '', key = ''] = [env['BREAKWATER_GENERATE_KEY'], env['BREAKWATER_GENERATED_KEY']];
  if (key === '' || !clients.some((client) => client.key === key) || storedKey(file) === key) return null;
  let stored = `It is stored in ${file} and not printed again.`;
  try {
    writeFileSync(file, `${key}\n`, { mode: 0o600 });
  } catch (error) {
    const { code = 'an error' } = error as NodeJS.ErrnoException;
    stored = `It could not be stored in ${file} (${code}): every start makes a new one.`;
  }
  return `breakwater: no client key is configured, so one was made: ${key}\nbreakwater: ${stored} Set BREAKWATER_KEY, or clients in the config, to use your own.\n`;
}

function storedKey(file: string): string | null {
  try {
    const key = readFileSync(file, 'utf8').trim();
    return key === '' ? null : key;
  } catch {
    return null;
  }
}
