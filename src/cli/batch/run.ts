/** `breakwater batch run`: runs a file of requests as a batch, or resumes an earlier run. */
import { mkdtempSync, openAsBlob } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { systemClock } from '../../gateway/system-clock.ts';
import type { RunFlags } from './flags.ts';
import { messageOf } from '../../core/errors.ts';
import { RecentPace } from '../../jobs/recent-pace.ts';
import { WINDOW_RULE, windowMs } from '../../jobs/window.ts';
import { endWithReader, OperatorError } from '../fail.ts';
import { openAccess, type Access } from './access.ts';
import { ApiFault, hasEnded, type BatchApi, type BatchObject } from './api.ts';
import { Display } from './display.ts';
import { inputData, outputFiles, type OutputFiles } from './output.ts';
import { costText, PACE_WINDOW_MS } from './progress.ts';
import { maxTokensOf, placeText, writeRequests, type RequestPlace } from './requests.ts';
import { firstFailure, saveResults, shortMessage } from './results.ts';
import { Stop, STOPPED } from './stop.ts';
import { delimiterOf } from './table.ts';

/** Polling interval, in milliseconds: short at first, so that a small batch finishes quickly. */
const [POLL_MIN_MS, POLL_MAX_MS] = [50, 1_000];
/** Faults that are shown of a long list. */
const SHOWN_MAX = 20;
/** Metadata key for the hash of the source file. */
const SOURCE = 'breakwater_source';

export async function runBatch(file: string, flags: RunFlags): Promise<void> {
  endWithReader();
  checkFlags(flags);
  const access = await openAccess(flags, 'all');
  const { api } = access;
  const show = new Display(flags.json === true);
  const stop = new Stop();
  let batch: BatchObject | null = null;
  const onSignal = (): void => {
    if (stop.isAsked) stop.exit();
    stop.isAsked = true;
    if (stop.isPreparing) show.say('stopping before anything is run; Ctrl-C again stops at once');
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal);
  try {
    const { output, reason } = await outputFiles(api, file, flags.output);
    if (reason !== undefined) show.say(`${reason}: those of ${basename(file)} are written to ${output}`);
    const started = await startOrFind(access, file, flags, show, stop);
    if (started !== null) {
      show.note({ type: 'started', id: started.batch.id, resumed: started.isResumed }, startText(started, access));
      batch = await follow(api, started.batch, show, () => stop.isAsked);
    }
    if (batch === null) show.say('stopped: nothing was run');
    else if (hasEnded(batch)) await end(api, { ...started!, batch }, file, flags, show);
    else if (!access.isRemote) show.say('stopping after the running requests; Ctrl-C again stops at once');
  } finally {
    await access.close();
  }
  if (batch !== null && !hasEnded(batch)) show.note({ type: 'stopped', id: batch.id }, stopText(batch, access, file));
  if (stop.isAsked) process.exit(STOPPED);
  process.exit();
}

/** Also if the batch exists, for which they have no effect. */
function checkFlags(flags: RunFlags): void {
  maxTokensOf(flags);
  if (flags.delimiter !== undefined) delimiterOf(flags.delimiter);
  if (windowMs(flags.window) === null) throw new OperatorError([`--window: must be ${WINDOW_RULE} (got ${JSON.stringify(flags.window)})`]);
}

interface Started {
  readonly batch: BatchObject;
  readonly isResumed: boolean;
  /** Of the requests of the batch. */
  readonly places: readonly RequestPlace[];
}

/** Null if the user stops it before the batch is created. */
async function startOrFind({ api }: Access, file: string, flags: RunFlags, show: Display, stop: Stop): Promise<Started | null> {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-batch-'));
  stop.folder = folder;
  try {
    const path = join(folder, 'requests.jsonl');
    const written = await writeRequests(file, path, flags, await modelOf(api, flags), show, stop);
    if (written === null) return null;
    const before = flags.again === true ? null : await findBefore(api, written.source);
    if (before !== null) return { batch: before, isResumed: true, places: written.places };
    if (stop.isAsked) return null;
    const id = await api.upload(await openAsBlob(path), `${basename(file)}.jsonl`);
    if (stop.isAsked) {
      await api.deleteFile(id);
      return null;
    }
    const data = { [SOURCE]: written.source, ...inputData(file) };
    stop.isPreparing = false;
    return { batch: await api.create(id, written.endpoint, flags.window, data), isResumed: false, places: written.places };
  } finally {
    stop.isPreparing = false;
    await rm(folder, { recursive: true, force: true });
    stop.folder = null;
  }
}

/** The only possible model; null if there are several. */
async function modelOf(api: BatchApi, { model }: RunFlags): Promise<string | null> {
  if (model !== undefined) return model;
  const names = await api.models();
  return names.length === 1 ? names[0]! : null;
}

/** The last batch of the same content that runs, or has succeeded in part: it did not fail, expire or get cancelled. */
async function findBefore(api: BatchApi, source: string): Promise<BatchObject | null> {
  for await (const batch of api.list()) {
    const { status, request_counts: counts } = batch;
    if (batch.metadata?.[SOURCE] !== source || ['failed', 'expired', 'cancelled'].includes(status)) continue;
    if (status !== 'completed' || counts.completed > 0) return batch;
  }
  return null;
}

function startText({ batch, isResumed }: Started, { place }: Access): string {
  const { completed, failed, total } = batch.request_counts;
  if (!isResumed) return `${batch.id} in ${place}`;
  return hasEnded(batch)
    ? `${batch.id} was run before (--again repeats it)`
    : `resuming ${batch.id} at ${completed + failed}/${total}, in ${place}`;
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
      if (messageOf(error) !== fault) show.say(`waiting for the state of ${batch.id}: ${messageOf(error)}`);
      fault = messageOf(error);
    }
  }
}

function stopText({ id }: BatchObject, { isRemote }: Access, file: string): string {
  return isRemote
    ? `${id} continues in the gateway; breakwater batch run ${file} shows it again, breakwater batch cancel ${id} cancels it`
    : 'stopped; the same command resumes it';
}

async function end(api: BatchApi, { batch, places }: Started, file: string, flags: RunFlags, show: Display): Promise<void> {
  const { id, status, request_counts: counts } = batch;
  if (status === 'failed') return refused(batch, places, file, show);
  const { files, target } = await writeFiles(api, batch, file, flags.output);
  const result = `${status}: ${counts.completed} of ${counts.total} succeeded, ${counts.failed} failed${costNote(batch)}`;
  const failure = files.includes(target.errors) ? await firstFailure(target.errors) : null;
  if (failure !== null)
    show.note({ type: 'failure', ...failure }, `the first failure, ${failure.customId}: ${shortMessage(failure.message)}`);
  show.note(
    { type: 'done', id, status, ...counts, costUsd: batch.breakwater?.cost_usd, files },
    files.length === 0 ? result : `${result}; wrote ${files.join(' and ')}`,
  );
  if (status !== 'completed' || counts.failed > 0) process.exitCode = 1;
}

/** The input has faults: nothing was run. */
function refused(
  { id, status, request_counts: counts, errors }: BatchObject,
  places: readonly RequestPlace[],
  file: string,
  show: Display,
): void {
  const faults = errors?.data ?? [];
  for (const { line: request, message } of faults.slice(0, SHOWN_MAX)) {
    const place = request === null ? undefined : places[request - 1];
    show.note(
      { type: 'error', line: place?.line ?? null, message },
      `${place === undefined ? file : placeText(place)}: ${shortMessage(message)}`,
    );
  }
  const more = faults.length > SHOWN_MAX ? ` (${faults.length - SHOWN_MAX} more faults)` : '';
  show.note({ type: 'done', id, status, ...counts, files: [] }, `failed: ${file} was refused, and nothing was run${more}`);
  process.exitCode = 1;
}

async function writeFiles(
  api: BatchApi,
  batch: BatchObject,
  file: string,
  output: string | undefined,
): Promise<{ readonly files: string[]; readonly target: OutputFiles }> {
  try {
    const target = await outputFiles(api, file, output); // others may have been written meanwhile
    return { files: await saveResults(api, batch, target, 'own'), target };
  } catch (error) {
    const fault = error instanceof OperatorError ? error.lines : [`the results cannot be written: ${messageOf(error)}`];
    throw new OperatorError([...fault, `the results are kept: breakwater batch results ${batch.id} --output FILE writes them`]);
  }
}

/** `, $0.0123`; empty if no price is known. */
function costNote({ breakwater, request_counts: { total } }: BatchObject): string {
  const { cost_usd: usd, priced_requests: priced = 0 } = breakwater ?? {};
  if (usd === undefined) return '';
  return `, ${costText(usd)}${priced < total ? ` for the ${priced} with a known price` : ''}`;
}
