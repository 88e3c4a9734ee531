/** `breakwater storm`: a Storm as a process of its own. */
import { FAULT_KINDS, startStorm } from './index.ts';
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

/** Every fault with what it does, one a line, and how to ask for it: for the command's help. */
export function describeFaults(): string {
  const lines = Object.entries(FAULT_KINDS).map(([kind, { about }]) => `  ${kind.padEnd(20)} ${about}`);
  return [
    'A fault is asked for by a model named fault-KIND[-ARG], or by the request header x-storm-fault: KIND[-ARG].',
    'Both take settings: fault-500;first=2 or x-storm-fault: stall-5; ms=2000.',
    ...lines,
  ].join('\n');
}
