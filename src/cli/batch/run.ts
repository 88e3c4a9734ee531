/** `breakwater batch run`: runs a file of requests as a batch, or resumes an earlier run. */
import { resolve } from 'node:path';
import { messageOf } from '../../core/errors.ts';
import { systemClock } from '../../gateway/system-clock.ts';
import { RecentPace } from '../../jobs/recent-pace.ts';
import { WINDOW_RULE, windowMs } from '../../jobs/window.ts';
import { OperatorError } from '../fail.ts';
import { openAccess, type Access } from './access.ts';
import { ApiFault, hasEnded, type BatchApi, type BatchObject } from './api.ts';
import { Display } from './display.ts';
import { lastOf, withLast } from './earlier.ts';
import { finish } from './finish.ts';
import type { RunFlags } from './flags.ts';
import { PACE_WINDOW_MS } from './progress.ts';
import { maxTokensOf } from './requests.ts';
import { ResultCopies } from './result-copies.ts';
import { startOrFind, type Started } from './start.ts';
import { Stop, STOPPED } from './stop.ts';
import { delimiterOf } from './table.ts';

/** Polling interval, in milliseconds: short at first, so that a small batch finishes quickly. */
const [POLL_MIN_MS, POLL_MAX_MS] = [50, 1_000];

export async function runBatch(file: string, flags: RunFlags): Promise<void> {
  checkFlags(file, flags);
  const access = await openAccess(flags, 'all');
  const { api } = access;
  const show = new Display(flags.json === true);
  const stop = new Stop();
  const copies = new ResultCopies(api);
  const session = { access, file, flags, show, stop, copies };
  let batch: BatchObject | null = null;
  let signals = 0;
  const onSignal = (): void => {
    signals++;
    const { hurry } = access;
    if (signals > (hurry === null ? 1 : 2)) stop.exit();
    if (signals === 2) {
      // The gateway in this process may run earlier batches too. After an exit, what runs would count as interrupted by a crash.
      hurry?.();
      if (stop.isPreparing) void access.close().finally(() => stop.exit());
      return;
    }
    stop.isAsked = true;
    if (stop.isPreparing) show.say('stopping before anything is run; Ctrl-C again stops at once');
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal);
  // A closed terminal is both: one stop.
  const onReaderLost = (): void => void (signals === 0 && onSignal());
  process.on('SIGHUP', onReaderLost);
  for (const stream of [process.stdout, process.stderr]) stream.on('error', onReaderLost);
  try {
    const started = await startOrFind(session);
    if (started !== null) {
      const { id } = lastOf(started.run);
      show.note({ type: 'started', id, resumed: started.isResumed, ...retryFact(started) }, startText(started, access, flags));
      batch = lastOf(started.run);
      batch = await follow(api, batch, show, () => stop.isAsked);
    }
    if (batch === null) show.say('stopped: nothing was run');
    else if (hasEnded(batch)) await finish(session, { ...started!, run: withLast(started!.run, batch) });
    else if (!access.isRemote) show.say('stopping after the running requests; Ctrl-C again stops at once');
  } finally {
    await copies.close();
    await access.close();
  }
  if (batch !== null && !hasEnded(batch))
    show.note({ type: 'stopped', id: batch.id, continues: access.isRemote }, stopText(batch, access, file));
  if (stop.isAsked) process.exit(STOPPED);
  process.exit();
}

/** Also if the batch exists, for which they have no effect. */
function checkFlags(file: string, flags: RunFlags): void {
  maxTokensOf(flags);
  if (flags.output === undefined && /^\/(?:dev|proc)\//.test(resolve(file)))
    throw new OperatorError([`${file} is not a regular file: choose a file for the results with --output`]);
  if (flags.again === true && flags.retryFailed === true) throw new OperatorError(['--again and --retry-failed: choose one of them']);
  if (flags.delimiter !== undefined) delimiterOf(flags.delimiter);
  if (windowMs(flags.window) === null) throw new OperatorError([`--window: must be ${WINDOW_RULE} (got ${JSON.stringify(flags.window)})`]);
}

function retryFact({ run: { first, retries } }: Started): object {
  return retries.length === 0 ? {} : { retryOf: first.id };
}

function startText({ run, isResumed, places }: Started, { place }: Access, flags: RunFlags): string {
  const batch = lastOf(run);
  const { completed, failed, total } = batch.request_counts;
  if (!isResumed && run.retries.length > 0) {
    const others = places!.length < run.first.request_counts.total ? ', as the others have succeeded' : '';
    return `${batch.id} in ${place}: ${countText(places!.length, 'request')} of ${run.first.id} again${others}`;
  }
  if (!isResumed) return `${batch.id} in ${place}`;
  if (!hasEnded(batch)) return `resuming ${batch.id} at ${completed + failed}/${total}, in ${place}`;
  if (flags.retryFailed === true) return `nothing to retry: all requests of ${run.first.id} have succeeded`;
  return `${run.first.id} was run before (--again repeats it${failed > 0 ? ', --retry-failed only what failed' : ''})`;
}

function countText(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

async function follow(api: BatchApi, first: BatchObject, show: Display, isStopped: () => boolean): Promise<BatchObject> {
  const pace = new RecentPace(PACE_WINDOW_MS);
  let batch = first;
  let fault = '';
  for (let delayMs = POLL_MIN_MS; ; delayMs = Math.min(POLL_MAX_MS, delayMs * 2)) {
    const now = systemClock.now();
    const { completed, failed, total } = batch.request_counts;
    show.progress(batch, pace.note({ done: completed + failed, total }, now), now);
    if (hasEnded(batch) || isStopped()) return batch;
    await new Promise<void>((resolve) => {
      systemClock.schedule(delayMs, resolve);
    });
    try {
      batch = await api.get(batch.id);
      fault = '';
    } catch (error) {
      // The gateway restarts, or its store is unavailable: the batch continues.
      if (error instanceof OperatorError && !(error instanceof ApiFault && error.mayPass)) throw error;
      const message = messageOf(error);
      if (message !== fault) show.note({ type: 'waiting', id: batch.id, message }, `waiting for the state of ${batch.id}: ${message}`);
      fault = message;
    }
  }
}

function stopText({ id }: BatchObject, { isRemote }: Access, file: string): string {
  return isRemote
    ? `${id} continues in the gateway; breakwater batch run ${file} shows it again, breakwater batch cancel ${id} cancels it`
    : 'stopped; the same command resumes it';
}
