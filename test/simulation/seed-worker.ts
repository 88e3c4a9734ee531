/** One thread of the pool: takes seeds, gives reports. */
import { parentPort, workerData } from 'node:worker_threads';
import { applyMutation } from './mutations.ts';

const { mutation } = workerData as { readonly mutation: string | null };
if (mutation !== null) applyMutation(mutation);
// Loaded only now, so that what is mutated is mutated before anything uses it.
const { runSeed } = await import('./run-seed.ts');

parentPort!.on('message', (seed: number) => {
  void runSeed(seed).then((report) => parentPort!.postMessage(report));
});
