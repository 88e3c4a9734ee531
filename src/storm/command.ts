/** `breakwater storm`: a Storm as a process of its own. */
import { startStorm } from './index.ts';
import type { StormOptions } from './index.ts';

/** Starts a Storm, says where it listens in one line on stdout, and runs until SIGTERM or SIGINT; resolves when closed. */
export async function runStorm(options: StormOptions): Promise<void> {
  const storm = await startStorm(options);
  process.stdout.write(`storm listening on ${storm.url}\n`);
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  await storm.close();
}
