/** Starts the batch of a file, or finds the one that an earlier run has started. */
import { createWriteStream, openAsBlob } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { OperatorError } from '../fail.ts';
import { ApiFault, hasEnded, type BatchApi, type BatchObject } from './api.ts';
import { findRun, lastOf, retryData, sourceData, type Run } from './earlier.ts';
import type { RunFlags } from './flags.ts';
import { succeededIn } from './merge.ts';
import { inputData, outputFiles } from './output.ts';
import { writeRequests, type RequestPlace, type Requests } from './requests.ts';
import { noRunText, optionsData, optionsOf, type Options } from './run-options.ts';
import type { Session } from './session.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { textLines } from './text.ts';

/** A batch that another process has just created is looked for again, if it was refused. */
const TRIES_MAX = 3;
const CONFLICT = 409;

export interface Started {
  /** Its last batch is the one to follow. */
  readonly run: Run;
  readonly isResumed: boolean;
  /** All requests of the file. */
  readonly requests: Requests;
  /** Those of the last batch; null if they are unknown. */
  readonly places: readonly RequestPlace[] | null;
}

/** Null if the user stops it before the batch is created. */
export async function startOrFind(session: Session): Promise<Started | null> {
  const { access, file, flags, show, stop } = session;
  const folder = temporaryFolder('breakwater-batch-');
  stop.temporary.add(folder);
  try {
    const path = join(folder, 'requests.jsonl');
    const model = await modelOf(access.api, flags);
    const requests = await writeRequests(file, path, flags, model, show, stop);
    if (requests === null) return null;
    // Before anything is sent.
    const { output, reason } = await outputFiles(access.api, file, requests.source, flags.output);
    if (reason !== undefined) show.say(`${reason}: those of ${basename(file)} are written to ${output}`);
    return await new Start(session, requests, path, optionsOf(flags, model)).begin();
  } finally {
    stop.isPreparing = false;
    await rm(folder, { recursive: true, force: true });
    stop.temporary.delete(folder);
  }
}

/** The only possible model; null if there are several. */
async function modelOf(api: BatchApi, { model }: RunFlags): Promise<string | null> {
  if (model !== undefined) return model;
  const names = await api.models();
  return names.length === 1 ? names[0]! : null;
}

class Start {
  readonly #session: Session;
  readonly #requests: Requests;
  readonly #path: string;
  readonly #options: Options;

  /** `path`: of the batch file with all requests. */
  constructor(session: Session, requests: Requests, path: string, options: Options) {
    this.#session = session;
    this.#requests = requests;
    this.#path = path;
    this.#options = options;
  }

  async begin(): Promise<Started | null> {
    const { access, file, flags } = this.#session;
    const isRetry = flags.retryFailed === true;
    for (let tries = 1; ; tries++) {
      const { run, lastId } = await findRun(access.api, this.#requests.source, isRetry);
      if (isRetry && run === null) {
        throw new OperatorError([await noRunText(access.api, file, this.#options, access.place)]);
      }
      const isAgain = tries === 1 && flags.again === true;
      if (run !== null && !isAgain && !(isRetry && hasEnded(lastOf(run)))) return this.#resumed(run);
      try {
        // Of two processes that start the same batch at once, one creates it.
        // A batch that is not found, though its key is taken, is too old to be listed.
        const after = tries === 1 ? String(lastId) : `${lastId}, ${tries}`;
        return isRetry ? await this.#retry(run!, after) : await this.#startAll(after);
      } catch (error) {
        if (!(error instanceof ApiFault && error.status === CONFLICT) || tries === TRIES_MAX) throw error;
      }
    }
  }

  #resumed(run: Run): Started {
    const requests = this.#requests;
    return { run, isResumed: true, requests, places: run.retries.length === 0 ? requests.places : null };
  }

  async #startAll(after: string): Promise<Started | null> {
    const { source, places } = this.#requests;
    const first = await this.#submit(
      this.#path,
      { ...sourceData(source), ...optionsData(this.#options) },
      `breakwater batch ${source} after ${after}`,
    );
    return first === null ? null : { run: { first, retries: [] }, isResumed: false, requests: this.#requests, places };
  }

  /** Runs the requests again that have not succeeded. If there are none, it only returns the run. */
  async #retry(run: Run, after: string): Promise<Started | null> {
    const { status, request_counts: counts } = lastOf(run);
    // A retry has all requests that had not succeeded before it.
    if (status === 'completed' && counts.completed === counts.total) return this.#resumed(run);
    const good = await succeededIn(this.#session.copies, run);
    const isFailed = ({ customId }: RequestPlace): boolean => customId === null || !good.has(customId);
    const places = this.#requests.places.filter(isFailed);
    if (places.length === 0) return this.#resumed(run);
    const path = `${this.#path}.failed`;
    const all = this.#requests.places;
    const lines = async function* (from: string): AsyncGenerator<string> {
      for await (const { number, text } of textLines(from)) if (isFailed(all[number - 1]!)) yield `${text}\n`;
    };
    await pipeline(lines(this.#path), createWriteStream(path));
    const batch = await this.#submit(path, retryData(run), `breakwater retry of ${run.first.id} after ${after}`);
    if (batch === null) return null;
    return { run: { ...run, retries: [...run.retries, batch] }, isResumed: false, requests: this.#requests, places };
  }

  /** Null if the user stops it. */
  async #submit(path: string, more: Readonly<Record<string, string>>, key: string): Promise<BatchObject | null> {
    const { access, file, flags, stop } = this.#session;
    const { api } = access;
    if (stop.isAsked) return null;
    const id = await api.upload(await openAsBlob(path), `${basename(file)}.jsonl`);
    if (stop.isAsked) {
      await api.deleteFile(id);
      return null;
    }
    stop.isPreparing = false;
    try {
      return await api.create(id, this.#requests.endpoint, flags.window, { ...more, ...inputData(file) }, key);
    } catch (error) {
      // Otherwise it may have been created.
      if (error instanceof ApiFault && !error.mayPass) await api.deleteFile(id);
      throw error;
    }
  }
}
