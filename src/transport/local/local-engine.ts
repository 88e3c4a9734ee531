/**
 * One local model as an upstream: it runs one call at a time in a worker thread, which starts with the first call and restarts after
 * a crash. Callers see what any provider gives: a status, bytes, an end.
 */
import type { Clock, Instant, Timer } from '../../core/clock.ts';
import type { UpstreamCall, UpstreamListener } from '../transport.ts';
import type { EngineSpec } from '../../local/engine.ts';
import { EngineThread } from '../../local/engine-thread.ts';
import { LocalCall } from './local-call.ts';
import type { FromThread, ThreadError, ThreadMemory } from '../../local/messages.ts';

/** Time for an aborted call to stop before its thread is terminated, in ms: longer than any single step of a model. */
const STOP_WAIT_MS = 5_000;
/** Time for an engine to release its resources, in ms. */
const CLOSE_WAIT_MS = 2_000;
/** Wait before the restart of a thread that crashed or could not load, in ms; doubled with each failure. */
const RESTART_MIN_MS = 1_000;
const RESTART_MAX_MS = 60_000;

const NOTHING: ThreadMemory = { heapBytes: 0, loadedBytes: 0 };

export interface EngineStatus {
  /** `provider/model`. */
  readonly name: string;
  readonly state: 'idle' | 'loading' | 'ready' | 'failed';
  /** In bytes. */
  readonly memory: ThreadMemory;
  /** Number of threads that crashed or could not load, since the start. */
  readonly crashes: number;
  /** The last failure; null: none since the last successful call. */
  readonly error: string | null;
}

export class LocalEngine {
  readonly spec: EngineSpec;
  readonly #clock: Clock;
  readonly #workerUrl: URL | undefined;
  readonly #onTrouble: (message: string) => void;
  #thread: EngineThread | null = null;
  #isLoaded = false;
  #memory = NOTHING;
  #nextId = 1;
  #current: LocalCall | null = null;
  #waiting: LocalCall[] = [];
  #stopTimer: Timer | null = null;
  #crashes = 0;
  /** Consecutive failures. */
  #failures = 0;
  #failed: ThreadError | null = null;
  #restartAt: Instant = -Infinity;
  /** The end of the previous thread; the next one starts after it, since two copies of a model take twice the memory. */
  #before: Promise<void> | null = null;
  /** Finishes the queued calls and is not warmed again. */
  #isClosing = false;
  #isClosed = false;
  #whenIdle: (() => void) | null = null;

  /** `after`: the thread starts after it. */
  constructor(spec: EngineSpec, clock: Clock, onTrouble: (message: string) => void, after: Promise<void> | null = null, workerUrl?: URL) {
    this.spec = spec;
    this.#clock = clock;
    this.#onTrouble = onTrouble;
    this.#workerUrl = workerUrl;
    if (after !== null) this.#startAfter(after);
  }

  status(): EngineStatus {
    const { name } = this.spec;
    const state = this.#thread === null ? (this.#failed === null ? 'idle' : 'failed') : this.#isLoaded ? 'ready' : 'loading';
    return { name, state, memory: this.#memory, crashes: this.#crashes, error: this.#failed === null ? null : describe(this.#failed) };
  }

  /** Loads the model without a call. */
  warm(): void {
    if (this.#before !== null) void this.#before.then(() => this.warm());
    else if (this.#thread === null && !this.#isClosing) this.#start();
  }

  send(path: string, body: Uint8Array | null, listener: UpstreamListener): UpstreamCall {
    const call = new LocalCall(this.#nextId++, path, body, listener, (one) => this.#abort(one));
    // Queued at once, so that the engine does not count as idle.
    this.#waiting.push(call);
    queueMicrotask(() => {
      if (!call.isOver) listener.onSent();
      this.#pump();
    });
    return call;
  }

  /** Finishes all calls, then closes. */
  async retire(): Promise<void> {
    this.#isClosing = true;
    if (this.#current !== null || this.#waiting.length > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    await this.close();
  }

  /** Fails all calls and releases everything. */
  async close(): Promise<void> {
    this.#isClosing = true;
    for (const call of this.#waiting.splice(0)) call.break('the engine was closed');
    this.#isClosed = true;
    const thread = this.#thread;
    if (thread !== null) {
      this.#current?.break('the engine was closed');
      thread.stop(this.#nextId);
      thread.work();
      thread.post({ kind: 'close' });
    }
    const gone = thread === null ? this.#before : thread.gone;
    if (gone === null) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.schedule(CLOSE_WAIT_MS, () => {
        thread?.end();
        resolve();
      });
      void gone.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #pump(): void {
    if (this.#current !== null || this.#isClosed) return;
    if (this.#waiting.length === 0) return this.#whenIdle?.();
    if (this.#before !== null) return;
    if (this.#thread === null && !this.#tryStart()) return;
    const call = this.#waiting.shift()!;
    this.#current = call;
    this.#thread!.work();
    this.#thread!.post({ kind: 'call', id: call.id, path: call.path, body: call.takeBody(), epochMs: this.#clock.epochMs() });
  }

  /** False: the restart wait is not over; all queued calls have failed. */
  #tryStart(): boolean {
    const waitMs = this.#restartAt - this.#clock.now();
    if (waitMs <= 0) {
      this.#start();
      return true;
    }
    for (const call of this.#waiting.splice(0)) call.fail(this.#failed!, Math.ceil(waitMs));
    this.#whenIdle?.();
    return false;
  }

  #start(): void {
    this.#isLoaded = false;
    const thread = new EngineThread(
      this.spec,
      {
        // Messages of a discarded thread are ignored.
        onMessage: (message) => void (this.#thread === thread && this.#onMessage(message)),
        onExit: (reason) => this.#exited(thread, reason),
      },
      this.#workerUrl,
    );
    this.#thread = thread;
    thread.post({ kind: 'load' });
  }

  #onMessage(message: FromThread): void {
    switch (message.kind) {
      case 'loaded':
        this.#isLoaded = true;
        this.#memory = message.memory;
        return;
      case 'unloadable':
        return this.#unloadable(message.error);
      case 'head':
        return this.#callOf(message.id)?.head(message.status, message.contentType);
      case 'data':
        return this.#callOf(message.id)?.data(message.bytes);
      case 'broken':
        return this.#callOf(message.id)?.break(message.message);
      case 'end':
        return this.#ended(message.id, message.memory);
    }
  }

  #callOf(id: number): LocalCall | null {
    return this.#current?.id === id ? this.#current : null;
  }

  #ended(id: number, memory: ThreadMemory): void {
    const call = this.#callOf(id);
    this.#memory = memory;
    this.#failures = 0;
    this.#failed = null;
    if (call === null) return;
    this.#release();
    call.end();
    this.#pump();
  }

  #release(): void {
    this.#current = null;
    this.#stopTimer?.cancel();
    this.#stopTimer = null;
    this.#thread?.rest();
  }

  #unloadable(error: ThreadError): void {
    this.#failWith(error, 1);
    const calls = [...(this.#current === null ? [] : [this.#current]), ...this.#waiting.splice(0)];
    this.#discard(this.#thread!);
    for (const call of calls) call.fail(error, null);
    this.#whenIdle?.();
  }

  /** Ignores the thread from now on; the next one starts when it has ended. */
  #discard(thread: EngineThread): void {
    this.#thread = null;
    this.#memory = NOTHING;
    this.#release();
    thread.end();
    this.#startAfter(thread.gone);
  }

  #startAfter(gone: Promise<void>): void {
    this.#before = gone.then(() => {
      this.#before = null;
      this.#pump();
    });
  }

  #exited(thread: EngineThread, reason: string): void {
    if (this.#thread !== thread) return;
    const call = this.#current;
    this.#thread = null;
    this.#memory = NOTHING;
    this.#release();
    if (this.#isClosed) return;
    const error = { status: 500, code: 'engine_crashed', message: `${this.spec.name} crashed: ${reason}`, detail: null };
    this.#failWith(error, 0);
    call?.fail(error, null);
    this.#pump();
  }

  /** `pausesFrom`: 1: wait before the restart from the first failure on; 0: from the second consecutive one on. */
  #failWith(error: ThreadError, pausesFrom: 0 | 1): void {
    this.#crashes++;
    this.#failures++;
    this.#failed = error;
    this.#onTrouble(describe(error));
    const doublings = this.#failures - 2 + pausesFrom;
    if (doublings >= 0) this.#restartAt = this.#clock.now() + Math.min(RESTART_MAX_MS, RESTART_MIN_MS * 2 ** doublings);
  }

  #abort(call: LocalCall): void {
    const thread = this.#thread;
    if (this.#current === call && thread !== null) {
      thread.stop(call.id);
      this.#stopTimer = this.#clock.schedule(STOP_WAIT_MS, () => {
        this.#discard(thread);
        this.#pump();
      });
      return;
    }
    const at = this.#waiting.indexOf(call);
    if (at >= 0) this.#waiting.splice(at, 1);
    this.#pump();
  }
}

function describe({ message, detail }: ThreadError): string {
  return detail === null ? message : `${message}: ${detail}`;
}
