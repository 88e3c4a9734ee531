/** Starts the batch of a file, or finds the one that an earlier run has started. */
import { createWriteStream, mkdtempSync, openAsBlob } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { OperatorError } from '../fail.ts';
import { writeFault } from '../file-fault.ts';
import type { Access } from './access.ts';
import { ApiFault, hasEnded, type BatchApi, type BatchObject } from './api.ts';
import type { Display } from './display.ts';
import { findRun, lastOf, retryData, sourceData, type Run } from './earlier.ts';
import type { RunFlags } from './flags.ts';
import { succeededIn } from './merge.ts';
import { inputData, outputFiles } from './output.ts';
import { writeRequests, type RequestPlace, type Requests } from './requests.ts';
import type { Stop } from './stop.ts';
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
export async function startOrFind(access: Access, file: string, flags: RunFlags, show: Display, stop: Stop): Promise<Started | null> {
  const folder = temporaryFolder();
  stop.folder = folder;
  try {
    const path = join(folder, 'requests.jsonl');
    const requests = await writeRequests(file, path, flags, await modelOf(access.api, flags), show, stop);
    if (requests === null) return null;
    // Before anything is sent.
    const { output, reason } = await outputFiles(access.api, file, requests.source, flags.output);
    if (reason !== undefined) show.say(`${reason}: those of ${basename(file)} are written to ${output}`);
    return await new Start(access, file, flags, requests, path, stop).begin();
  } finally {
    stop.isPreparing = false;
    await rm(folder, { recursive: true, force: true });
    stop.folder = null;
  }
}

function temporaryFolder(): string {
  try {
    return mkdtempSync(join(tmpdir(), 'breakwater-batch-'));
  } catch (error) {
    throw new OperatorError([`${tmpdir()}: the folder for temporary files cannot be used (${writeFault(error)}); TMPDIR selects another`]);
  }
}

/** The only possible model; null if there are several. */
async function modelOf(api: BatchApi, { model }: RunFlags): Promise<string | null> {
  if (model !== undefined) return model;
  const names = await api.models();
  return names.length === 1 ? names[0]! : null;
}

class Start {
  readonly #access: Access;
  readonly #file: string;
  readonly #flags: RunFlags;
  readonly #requests: Requests;
  readonly #path: string;
  readonly #stop: Stop;

  /** `path`: of the batch file with all requests. */
  constructor(access: Access, file: string, flags: RunFlags, requests: Requests, path: string, stop: Stop) {
    this.#access = access;
    this.#file = file;
    this.#flags = flags;
    this.#requests = requests;
    this.#path = path;
    this.#stop = stop;
  }

  async begin(): Promise<Started | null> {
    const isRetry = this.#flags.retryFailed === true;
    for (let tries = 1; ; tries++) {
      const { run, lastId } = await findRun(this.#access.api, this.#requests.source, isRetry);
      if (isRetry && run === null) {
        const rule = 'with the same content and options (--template, --model, …)';
        throw new OperatorError([`${this.#file} was not run before ${rule}, in ${this.#access.place}: run it without --retry-failed`]);
      }
      const isAgain = tries === 1 && this.#flags.again === true;
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
    const first = await this.#submit(this.#path, sourceData(source), `breakwater batch ${source} after ${after}`);
    return first === null ? null : { run: { first, retries: [] }, isResumed: false, requests: this.#requests, places };
  }

  /** Runs the requests again that have not succeeded. If there are none, it only returns the run. */
  async #retry(run: Run, after: string): Promise<Started | null> {
    const good = await succeededIn(this.#access.api, run);
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
    const { api } = this.#access;
    if (this.#stop.isAsked) return null;
    const id = await api.upload(await openAsBlob(path), `${basename(this.#file)}.jsonl`);
    if (this.#stop.isAsked) {
      await api.deleteFile(id);
      return null;
    }
    this.#stop.isPreparing = false;
    try {
      return await api.create(id, this.#requests.endpoint, this.#flags.window, { ...more, ...inputData(this.#file) }, key);
    } catch (error) {
      // Otherwise it may have been created.
      if (error instanceof ApiFault && !error.mayPass) await api.deleteFile(id);
      throw error;
    }
  }
}
