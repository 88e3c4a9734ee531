import type { JobHost } from './host.ts';

const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 15_000;

/** Tries until the store takes it: a result that was paid for is worth waiting for the disk. Undefined: the runner was closed before. */
export async function saved<T>(host: JobHost, isClosed: () => boolean, save: () => Promise<T>): Promise<T | undefined> {
  for (let delayMs = RETRY_FIRST_MS; ; delayMs = Math.min(2 * delayMs, RETRY_MAX_MS)) {
    try {
      return await save();
    } catch {
      if (isClosed()) return undefined; // the runner warns of a store that fails
      await new Promise<void>((resolve) => {
        host.clock.schedule(delayMs, resolve);
      });
      if (isClosed()) return undefined;
    }
  }
}
