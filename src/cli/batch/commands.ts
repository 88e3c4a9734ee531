/** `breakwater batch status`, `results` and `cancel`. */
import { systemClock } from '../../gateway/system-clock.ts';
import type { AccessFlags, ResultsFlags } from './flags.ts';
import { endWithReader, OperatorError } from '../fail.ts';
import { openAccess, type Access, type Runs } from './access.ts';
import { hasEnded, waitingText, type BatchObject } from './api.ts';
import { retriedBy } from './earlier.ts';
import { withErrors } from './output.ts';
import { printResults, saveResults, shortMessage } from './results.ts';

const LISTED = 20;
/** How long a gateway in this process waits for the end of a cancelled batch: checks, and the time between two in milliseconds. */
const [CANCEL_LOOKS_MAX, CANCEL_LOOK_MS] = [50, 100];

export async function showStatus(id: string | undefined, flags: AccessFlags): Promise<void> {
  await withAccess(flags, async ({ api }) => {
    if (id !== undefined) return print(await api.get(id), flags);
    let count = 0;
    for await (const batch of api.list(LISTED)) {
      print(batch, flags);
      count++;
    }
    if (count === 0 && flags.json !== true) process.stdout.write('there are no batches\n');
  });
}

export async function writeResults(id: string, flags: ResultsFlags): Promise<void> {
  await withAccess(flags, async ({ api }) => {
    const batch = await api.get(id);
    if (!hasEnded(batch)) throw new OperatorError([`${id} is ${batch.status}: its results are available once it has ended`]);
    if (flags.output === undefined) return printResults(api, batch);
    const replaces = flags.force === true ? 'any' : 'same';
    for (const file of await saveResults(api, batch, withErrors(flags.output), replaces)) process.stderr.write(`wrote ${file}\n`);
  });
}

export async function cancelBatch(id: string, flags: AccessFlags): Promise<void> {
  const cancel = async ({ api, isRemote }: Access): Promise<void> => {
    let batch = await api.cancel(id);
    // Nothing else may end it: what waits is ended here, unless another process has running requests.
    for (let looks = 0; !isRemote && !hasEnded(batch) && looks < CANCEL_LOOKS_MAX; looks++) {
      await new Promise<void>((resolve) => void systemClock.schedule(CANCEL_LOOK_MS, resolve));
      batch = await api.get(id);
    }
    print(batch, flags);
  };
  await withAccess(flags, cancel, { ends: id });
}

async function withAccess(flags: AccessFlags, work: (access: Access) => Promise<void>, runs: Runs = 'none'): Promise<void> {
  endWithReader();
  const access = await openAccess(flags, runs);
  try {
    await work(access);
  } finally {
    await access.close();
  }
  process.exit();
}

function print(batch: BatchObject, { json }: AccessFlags): void {
  process.stdout.write(`${json === true ? JSON.stringify(batch) : lineOf(batch)}\n`);
}

function lineOf(batch: BatchObject): string {
  const { id, status, request_counts: counts, created_at: created, metadata, errors } = batch;
  const name = metadata?.['file'];
  const of = retriedBy(batch);
  const when = new Date(created * 1000).toISOString().slice(0, 16).replace('T', ' ');
  const parts = [id, status, `${counts.completed}/${counts.total} done, ${counts.failed} failed`, when];
  if (name !== undefined) parts.push(name);
  if (of !== undefined) parts.push(`retry of ${of}`);
  const waiting = waitingText(batch.breakwater);
  if (waiting !== null) parts.push(waiting);
  if (errors?.data[0] !== undefined) parts.push(shortMessage(errors.data[0].message));
  return parts.join('  ');
}
