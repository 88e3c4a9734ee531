import type { JobHost } from './host.ts';

const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 15_000;

/** Tries until the store takes it: a result that was paid for is worth waiting for the disk. Undefined: `closing` was aborted before. */
export async function saved<T>(host: JobHost, closing: AbortSignal, save: () => Promise<T>): Promise<T | undefined> {
  for (let delayMs = RETRY_FIRST_MS; ; delayMs = Math.min(2 * delayMs, RETRY_MAX_MS)) {
    try {
      return await save();
    } catch {
      // The runner warns of a store that fails.
      if (!closing.aborted) await sleep(host, delayMs, closing);
      if (closing.aborted) return undefined;
    }
  }
}

/** Until then, or until the signal is aborted. */
export function sleep({ clock }: Pick<JobHost, 'clock'>, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      timer.cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = clock.schedule(ms, end);
    signal.addEventListener('abort', end);
  });
}
