/** The lifetime of one worker thread that runs an engine. Calls are identified by number. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { messageOf } from './engine.ts';
import type { EngineSpec } from './engine.ts';
import type { FromThread, ThreadData, ToThread } from './messages.ts';

/** The worker is a `.ts` file in a checkout and `.js` when published. */
const defaultWorkerUrl = new URL(`./engine-worker${extname(import.meta.url)}`, import.meta.url);

const MEGABYTE = 2 ** 20;
/** Few objects live long in this thread; V8's default would reserve three times as much. */
const YOUNG_MB = 8;

export interface ThreadListener {
  onMessage(message: FromThread): void;
  /** The thread has ended, and why; called once. */
  onExit(reason: string): void;
}

export class EngineThread {
  readonly #worker: Worker;
  readonly #stopped: Int32Array;
  readonly #isNative: boolean;
  /** Resolves when the thread has ended. */
  readonly gone: Promise<void>;

  constructor(spec: EngineSpec, listener: ThreadListener, workerUrl: URL = defaultWorkerUrl) {
    const stopped = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    this.#stopped = new Int32Array(stopped);
    this.#isNative = spec.engine === 'llama';
    const workerData: ThreadData = { spec, stopped };
    this.#worker = new Worker(workerUrl, {
      name: `breakwater-${spec.name}`.slice(0, 60),
      workerData,
      execArgv: ['--disable-warning=ExperimentalWarning'],
      resourceLimits: { maxOldGenerationSizeMb: Math.ceil(spec.maxHeap / MEGABYTE), maxYoungGenerationSizeMb: YOUNG_MB },
      // A library's output must not appear in the gateway's.
      stdout: true,
      stderr: true,
    });
    this.#worker.stdout.resume();
    this.#worker.stderr.resume();
    let reason: string | null = null;
    this.#worker.on('message', (message: FromThread) => listener.onMessage(message));
    this.#worker.on('error', (error) => (reason ??= messageOf(error)));
    this.gone = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        listener.onExit(reason ?? `it ended with code ${code}`);
        resolve();
      });
    });
    this.rest();
  }

  post(message: ToThread): void {
    if (message.kind === 'call') this.#worker.postMessage(message, [message.body.buffer as ArrayBuffer]);
    else this.#worker.postMessage(message);
  }

  /** Stops this call and all before it, within one token. */
  stop(id: number): void {
    Atomics.store(this.#stopped, 0, id);
    this.post({ kind: 'stop', id });
  }

  /** A running call keeps the process alive; an idle engine does not. */
  work(): void {
    this.#worker.ref();
  }

  rest(): void {
    this.#worker.unref();
  }

  /**
   * Ends the thread, immediately if that is safe, otherwise after the current call. llama.cpp computes in its own threads; terminating their
   * worker during a computation crashes the process.
   */
  end(): void {
    this.rest();
    if (this.#isNative) this.post({ kind: 'close' });
    else void this.#worker.terminate();
  }
}
