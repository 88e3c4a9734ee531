/** One thread of the pool: receives seeds, returns reports. */
import { parentPort, workerData } from 'node:worker_threads';
import { applyMutation } from './mutations.ts';

const { mutation } = workerData as { readonly mutation: string | null };
if (mutation !== null) applyMutation(mutation);
// Imported only now, so that mutations apply before anything uses the mutated file.
const { runSeed } = await import('./run-seed.ts');

parentPort!.on('message', (seed: number) => {
  void runSeed(seed).then((report) => parentPort!.postMessage(report));
});
