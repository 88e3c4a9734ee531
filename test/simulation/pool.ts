/** Runs seeds in several threads, each on a core of its own. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { SeedReport } from './run-seed.ts';

export interface PoolOptions {
  readonly seeds: readonly number[];
  /** Applied to the source before it is loaded; see `mutations.ts`. */
  readonly mutation?: string;
  /** True: no further seed is started. */
  readonly isEnough?: (report: SeedReport) => boolean;
  /** Default: two, or one on a machine with a single core. */
  readonly threads?: number;
}

/** The reports in the order of arrival. */
export async function runSeeds({ seeds, mutation, isEnough = () => false, threads }: PoolOptions): Promise<SeedReport[]> {
  const waiting = [...seeds];
  const reports: SeedReport[] = [];
  const count = Math.min(threads ?? Math.min(2, availableParallelism()), waiting.length);
  const runThread = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL('seed-worker.ts', import.meta.url), { workerData: { mutation: mutation ?? null } });
      const next = (): void => {
        const seed = waiting.shift();
        if (seed === undefined) void worker.terminate().then(() => resolve());
        else worker.postMessage(seed);
      };
      worker.on('message', (report: SeedReport) => {
        reports.push(report);
        if (isEnough(report)) waiting.length = 0;
        next();
      });
      worker.on('error', reject);
      next();
    });
  await Promise.all(Array.from({ length: count }, runThread));
  return reports;
}
