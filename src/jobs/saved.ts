import type { JobHost } from './host.ts';

const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 15_000;

/** Retries until the store accepts the call, as results have been paid for. Undefined if `closing` is aborted first. */
export async function saved<T>(host: JobHost, closing: AbortSignal, save: () => Promise<T>): Promise<T | undefined> {
  for (let delayMs = RETRY_FIRST_MS; ; delayMs = Math.min(2 * delayMs, RETRY_MAX_MS)) {
    try {
      return await save();
    } catch {
      // The runner emits the warning.
      if (!closing.aborted) await sleep(host, delayMs, closing);
      if (closing.aborted) return undefined;
    }
  }
}

/** Resolves after `ms` milliseconds, or when the signal is aborted. */
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
