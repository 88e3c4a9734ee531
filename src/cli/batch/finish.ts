/** The end of `breakwater batch run`: writes the results and a summary. */
import { OperatorError } from '../fail.ts';
import { writeFault } from '../file-fault.ts';
import type { BatchApi, BatchObject } from './api.ts';
import type { Display } from './display.ts';
import { hasSuccess, lastOf, type Run } from './earlier.ts';
import { saveMerged } from './merge.ts';
import { outputFiles, type OutputFiles } from './output.ts';
import { costText } from './progress.ts';
import { placeText } from './requests.ts';
import { firstFailure, saveResults, shortMessage } from './results.ts';
import type { Started } from './start.ts';

/** Faults that are shown of a long list. */
const SHOWN_MAX = 20;

/** Sets the exit code. */
export async function finish(api: BatchApi, started: Started, file: string, output: string | undefined, show: Display): Promise<void> {
  const { run } = started;
  const { id, status, request_counts: counts } = lastOf(run);
  if (status === 'failed') return refused(started, file, show);
  const { files, target, completed } = await writeFiles(api, started, file, output);
  const isRetried = run.retries.length > 0;
  const total = isRetried ? started.requests.places.length : counts.total;
  const failed = isRetried ? total - completed : counts.failed;
  const { text: cost, usd } = costOf([run.first, ...run.retries]);
  const failure = files.includes(target.errors) ? await firstFailure(target.errors) : null;
  if (failure !== null)
    show.note({ type: 'failure', ...failure }, `the first failure, ${failure.customId}: ${shortMessage(failure.message)}`);
  const retried = isRetried ? `${counts.completed} of ${counts.total} retried requests succeeded; in all ` : '';
  const wrote = files.length === 0 ? '' : `; wrote ${files.join(' and ')}`;
  show.note(
    { type: 'done', id, status, total, completed, failed, ...(isRetried && { retried: counts }), costUsd: usd, files },
    `${status}: ${retried}${completed} of ${total} succeeded, ${failed} failed${cost}${wrote}`,
  );
  if (status === 'completed' && failed === 0) return;
  show.say('to run the failed requests again, run the same command with --retry-failed');
  process.exitCode = 1;
}

/** The input has faults: nothing was run. */
function refused({ run, places }: Started, file: string, show: Display): void {
  const { id, status, request_counts: counts, errors } = lastOf(run);
  const faults = errors?.data ?? [];
  for (const { line: request, message } of faults.slice(0, SHOWN_MAX)) {
    const place = request === null ? undefined : places?.[request - 1];
    show.note(
      { type: 'error', line: place?.line ?? null, message },
      `${place === undefined ? file : placeText(place)}: ${shortMessage(message)}`,
    );
  }
  const more = faults.length > SHOWN_MAX ? ` (${faults.length - SHOWN_MAX} more faults)` : '';
  show.note({ type: 'done', id, status, ...counts, files: [] }, `failed: ${file} was refused, and nothing was run${more}`);
  process.exitCode = 1;
}

interface Written {
  readonly files: string[];
  readonly target: OutputFiles;
  /** Requests that have succeeded. */
  readonly completed: number;
}

async function writeFiles(api: BatchApi, { run, requests }: Started, file: string, output: string | undefined): Promise<Written> {
  const { first, retries } = run;
  try {
    const target = await outputFiles(api, file, requests.source, output); // others may have been written meanwhile
    if (retries.length === 0)
      return { files: await saveResults(api, first, target, 'own'), target, completed: first.request_counts.completed };
    const ids = requests.places.flatMap(({ customId }) => customId ?? []);
    return { ...(await saveMerged(api, run, ids, target)), target };
  } catch (error) {
    const fault = error instanceof OperatorError ? error.lines : [`the results cannot be written: ${writeFault(error)}`];
    throw new OperatorError([...fault, keptText(run)]);
  }
}

/** What writes the results later. The same command would start a run without a success from the beginning; its last batch has all failures. */
export function keptText(run: Run): string {
  return run.retries.length > 0 && hasSuccess(run)
    ? 'the results are kept: the same command without --retry-failed writes them'
    : `the results are kept: breakwater batch results ${lastOf(run).id} --output FILE writes them`;
}

/** Of all batches. The text is `, $0.0123`, or empty if no price is known. */
function costOf(batches: readonly BatchObject[]): { readonly usd: number | undefined; readonly text: string } {
  const sum = (of: (batch: BatchObject) => number | undefined): number => batches.reduce((all, batch) => all + (of(batch) ?? 0), 0);
  if (batches.every(({ breakwater }) => breakwater?.cost_usd === undefined)) return { usd: undefined, text: '' };
  const [usd, priced, total] = [
    sum(({ breakwater }) => breakwater?.cost_usd),
    sum(({ breakwater }) => breakwater?.priced_requests),
    sum(({ request_counts: { total: count } }) => count),
  ];
  return { usd, text: `, ${costText(usd)}${priced < total ? ` for the ${priced} with a known price` : ''}` };
}
