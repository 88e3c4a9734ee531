/** The end of `breakwater batch run`: writes the results and a summary. */
import { OperatorError } from '../fail.ts';
import { writeFault } from '../file-fault.ts';
import type { BatchObject } from './api.ts';
import { findLater, hasSuccess, lastOf, type Run } from './earlier.ts';
import { saveMerged } from './merge.ts';
import { outputFiles, type OutputFiles } from './output.ts';
import { costText } from './progress.ts';
import { placeText } from './requests.ts';
import { firstFailure, saveOwn, shortMessage } from './results.ts';
import type { Session } from './session.ts';
import type { Started } from './start.ts';

/** Faults that are shown of a long list. */
const SHOWN_MAX = 20;
/** How often the results are written, if those of another process are later; the same command writes them again. */
const TRIES_MAX = 3;

/** Sets the exit code. */
export async function finish(session: Session, started: Started): Promise<void> {
  const { show } = session;
  if (lastOf(started.run).status === 'failed') return refused(started, session);
  const { run, files, target, completed } = await writeFiles(session, started);
  const { id, status, request_counts: counts } = lastOf(run);
  if (run !== started.run) show.say(`${id} has ended meanwhile, and its results are written`);
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
function refused({ run, places }: Started, { file, show }: Session): void {
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
  /** The run whose results are written. */
  readonly run: Run;
  readonly files: string[];
  readonly target: OutputFiles;
  /** Requests that have succeeded. */
  readonly completed: number;
}

/** Another process may retry or repeat the run at the same time, and write later results before these ones. */
async function writeFiles({ access: { api }, file, flags, stop, copies }: Session, { run: own, requests }: Started): Promise<Written> {
  let run = own;
  try {
    const target = await outputFiles(api, file, requests.source, flags.output); // others may have been written meanwhile
    const ids = requests.places.flatMap(({ customId }) => customId ?? []);
    for (let tries = 1; ; tries++) {
      const isCurrent = async (): Promise<boolean> => tries === TRIES_MAX || (await findLater(api, requests.source, run)) === null;
      if (run.retries.length === 0) {
        const files = await saveOwn(api, run.first, target, { stop, isCurrent });
        if (files !== null) return { run, files, target, completed: run.first.request_counts.completed };
      } else {
        const merged = await saveMerged(copies, run, ids, target, { stop, isCurrent });
        if (merged !== null) return { run, ...merged, target };
      }
      run = (await findLater(api, requests.source, run)) ?? run;
    }
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
